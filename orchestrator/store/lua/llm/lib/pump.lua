-- Give out what may go out now, and see to it that somebody comes back when more may.
local MOST_GRANTS, MOST_TURNS, GRACE_MS = 64, 192, 250

-- Why a waiter leaves the line without a permit, and a detail; or nil.
local function refusal(waiter)
  if not alive(waiter) then return 'dead' end
  if state.open_until > now then return 'breaker', state.open_reason end
  local dim, purse = too_large(waiter), broke(waiter)
  if dim then return 'too_large', dim end
  if purse then return 'over_budget', purse end
end

-- The flow that is next in fair order, past `skip` owners: owner and goal; nil at the end. Flows without waiters go.
local function next_flow(skip)
  local owner = call('ZRANGE', OWNERS, skip, skip)[1]
  if not owner then return nil end
  local goal = call('ZRANGE', flows_of(owner), 0, 0)[1]
  if not goal then call('ZREM', OWNERS, owner) end
  return owner, goal
end

-- `mine` is the id that this very script enqueued: its word goes into the reply instead of the inbox.
-- Returns the word for it, and when to come back: a time, 0 (nobody waits) or -1 (after the next release).
local function pump(mine)
  local answer, grants, skip = nil, 0, 0
  for _ = 1, MOST_TURNS do
    local owner, goal = next_flow(skip)
    if not owner then return answer, skip > 0 and -1 or 0 end
    local id, waiter
    if goal then id, waiter = head(owner, goal) end
    if goal and not id then
      call('ZREM', flows_of(owner), goal)
    elseif id then
      local outcome, detail = refusal(waiter)
      if not outcome then
        local at = fits_at(waiter)
        if waiter.gated and state.slots >= 0 and state.gated >= state.slots then
          skip = skip + 1
        elseif at ~= 0 then return answer, at
        elseif grants == MOST_GRANTS then return answer, now
        else
          dequeue(id, waiter)
          local permit = grant(id, waiter)
          grants = grants + 1
          advance(OWNERS, owner, share(waiter) / waiter.owner_weight)
          advance(flows_of(owner), goal, share(waiter) / waiter.weight)
          if id == mine then answer = granted(id, permit) else tell(waiter, granted(id, permit)) end
        end
      else
        dequeue(id, waiter)
      end
      if outcome and id == mine then answer = word(id, outcome, detail)
      elseif outcome and outcome ~= 'dead' then tell(waiter, word(id, outcome, detail)) end
    end
  end
  return answer, now
end

-- Elect who ticks: the process whose script first sees an earlier wake-up, or that the one before it is late or dead.
local function alarm(wake)
  if wake == 0 then
    state.alarm, state.pacer = 0, ''
    return 0
  end
  local lease = tonumber(call('ZRANGE', LEASES, 0, 0, 'WITHSCORES')[2])
  if lease and (wake < 0 or lease + 1 < wake) then wake = lease + 1 end
  if wake < 0 then wake = now + 1000 end
  wake = math.max(wake, now)
  local keeper = state.pacer
  local kept = keeper ~= '' and keeper ~= me and state.alarm + GRACE_MS >= now and state.alarm <= wake + 2
    and tonumber(call('ZSCORE', LIVE, keeper) or 0) >= now
  if kept or me == '' then return 0 end
  state.alarm, state.pacer = wake, me
  return wake
end

-- The end of every operation. Returns {outcome, now, fence, known, alarm, ...}: the highest fence, whether the process was
-- known as alive before, when it must tick (0: not it).
local known = 1
local function arrive()
  expire_cells()
  if me ~= '' then
    known = tonumber(call('ZSCORE', LIVE, me) or 0) >= now and 1 or 0
    call('ZADD', LIVE, int(now + LIVE_MS), me)
  end
  note_started(ARGV[5])
  reap()
end

local function finish(outcome, wake, ...)
  local due, changed = alarm(wake), {}
  for _, names in ipairs({ NUMBERS, TEXTS }) do
    for name in pairs(names) do
      local text = names == TEXTS and state[name] or string.format('%.17g', state[name])
      if text ~= stored[name] then
        changed[#changed + 1] = name
        changed[#changed + 1] = text
      end
    end
  end
  if #changed > 0 then call('HSET', STATE, unpack(changed)) end
  return { outcome, int(now), int(state.fence), known, int(due), ... }
end
