-- release: a call is over. What it used is settled against what was reserved, in the cell in which it was charged.
-- KEYS  1 {llm:<account>}:state
-- ARGV  1 to 5 as in base.lua   6 id   7 fence   8 nonce   9 outcome: 'ok', 'failed' (the provider's fault), 'unknown', or 'unused':
--       never sent, all is refunded   10 input tokens used   11 output tokens   12 micro-USD   13 reason of a failure
--       14 model \1 role whose output is learned from this call, or ''
-- Returns {outcome, now, fence, known, alarm}: 'settled', 'repeated' or 'lost'
--@include base
--@include cells
--@include spend
--@include admit
--@include line
--@include permit
--@include breaker
--@include live
--@include pump
--@include ends
arrive()
local LEARNED_KEPT, LEARNED_SECONDS = 200, 7 * 86400
local id, how, outcome = ARGV[6], ARGV[9], 'lost'
local permit, receipt = held(id), ARGV[6] .. ' ' .. ARGV[7] .. ' ' .. ARGV[8]

local function learn(key, tokens)
  call('LPUSH', key, tokens)
  call('LTRIM', key, 0, LEARNED_KEPT - 1)
  call('EXPIRE', key, LEARNED_SECONDS)
end

local function settle()
  local used = { r = 1, i = tonumber(ARGV[10]), o = tonumber(ARGV[11]) }
  start(id, permit)
  local by = { r = 0, i = used.i - permit.i, o = used.o - permit.o }
  by.t = by.i + by.o
  if limits.reserved and used.i + used.o > 0 then -- the provider counts what was reserved, and gives nothing back
    local more = { r = 0, i = math.max(0, by.i), o = math.max(0, by.o) }
    correct(permit.cell, more)
    pace({ r = 0, i = more.i, o = more.o, t = more.i + more.o })
  else
    local paced = used.o - (permit.paced or permit.o)
    correct(permit.cell, by)
    pace({ r = 0, i = by.i, o = paced, t = by.i + paced })
  end
  if permit.o > 0 and not limits.reserved then state.part_used = state.part_used + (math.min(2, used.o / permit.o) - state.part_used) / 32 end
  spend(permit, by.t, tonumber(ARGV[12]) - permit.u)
  drop(id, permit)
  judge(id, how, ARGV[13])
  emit('llm.settled', id, used.i + used.o)
  if ARGV[14] ~= '' then learn(A .. 'learned:' .. ARGV[14], ARGV[11]) end
end

if permit and permit.fence == tonumber(ARGV[7]) and permit.nonce == ARGV[8] then
  if how == 'unused' then undo(id, permit) else settle() end
  call('ZADD', RECENT, int(now), receipt)
  outcome = 'settled'
elseif call('ZSCORE', RECENT, receipt) then
  outcome = 'repeated'
end
call('ZREMRANGEBYSCORE', RECENT, '-inf', int(now - INBOX_MS))
local _, wake = pump()
return finish(outcome, wake)
