-- status: one consistent picture of the account, for people and gauges.
-- KEYS  1 {llm:<account>}:state
-- ARGV  1 to 5 as in base.lua   6 most owners, goals and leases that are listed
-- Returns {outcome, now, fence, known, alarm, state JSON, limits JSON, owners JSON [[owner, waiting, [[goal, waiting, since
--   of its head]]]], leases JSON [[id, ends, record]], spend JSON, budgets JSON, live processes, waiting}
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
local most, owners, leases = tonumber(ARGV[6]), {}, {}
local _, wake = pump()
local function many(list) return #list > 0 and cjson.encode(list) or '[]' end
local function pairs_of(key)
  local flat, found = call('HGETALL', key), {}
  for at = 1, #flat, 2 do found[#found + 1] = { flat[at], tonumber(flat[at + 1]) } end
  return many(found)
end
for _, owner in ipairs(call('ZRANGE', OWNERS, 0, most - 1)) do
  local goals = {}
  for _, goal in ipairs(call('ZRANGE', flows_of(owner), 0, most - 1)) do
    local id, waiter = head(owner, goal)
    local count = call('ZLEXCOUNT', QUEUE, '[' .. prefix(owner, goal), '(' .. owner .. '\1' .. goal .. '\2')
    if id then goals[#goals + 1] = { goal, count, waiter.since } end
  end
  local waiting = call('ZLEXCOUNT', QUEUE, '[' .. owner .. '\1', '(' .. owner .. '\2')
  if waiting > 0 then owners[#owners + 1] = { owner, waiting, goals } end
end
local flat = call('ZRANGE', LEASES, 0, most - 1, 'WITHSCORES')
for at = 1, #flat, 2 do leases[#leases + 1] = { flat[at], tonumber(flat[at + 1]), held(flat[at]) } end
return finish('status', wake, cjson.encode(state), cjson.encode(limits), many(owners), many(leases), pairs_of(SPEND),
  pairs_of(BUDGETS), call('ZCOUNT', LIVE, int(now), '+inf') - (alive({ process = 'gate' }) and 1 or 0), call('ZCARD', QUEUE))
