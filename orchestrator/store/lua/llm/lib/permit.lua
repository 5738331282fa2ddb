-- Permits: granted, started, ended, lost. HELD has the record of the waiter and, beside it, fence and cell once it started;
-- LEASES the time at which the permit is taken back: first that of the claim, then that of the lease.
local SLOT_MS = 30
local function limits_text()
  local both = limits.tokens
  if limits.input and limits.output then both = math.min(both or math.huge, limits.input + limits.output) end
  local parts = { '"seconds":' .. string.format('%.17g', WINDOW / 1000) }
  for name, value in pairs({ concurrent = limits.concurrent, requests = limits.requests, tokens = both }) do
    parts[#parts + 1] = string.format('"%s":%s', name, int(value))
  end
  return ',"limits":{' .. table.concat(parts, ',') .. '}'
end

local function hold_record(id, permit) call('HSET', HELD, id, cjson.encode(permit)) end

local function held(id)
  local found = call('HGET', HELD, id)
  return found and cjson.decode(found)
end

local function grant(id, waiter)
  state.fence = state.fence + 1
  local cost = amounts(waiter)
  local paced = expected(cost)
  keep(cost, 1)
  pace(paced)
  spend(waiter, cost.t, waiter.u)
  if waiter.gated then state.gated = state.gated + 1 end
  if state.open_until > 0 then state.probe = id end
  waiter.fence, waiter.at, waiter.paced = state.fence, now, paced.o
  -- A worker of many slots takes up what it was granted at once one after the other.
  local claim = waiter.gated and math.max(waiter.claim, SLOT_MS * state.slots) or waiter.claim
  call('ZADD', LEASES, int(now + claim), id)
  hold_record(id, waiter)
  emit('llm.permit', id, cost.t, limits_text())
  return waiter
end

-- The call began so many ms ago, by the clock of its process; nil: at this moment. It is charged when it began.
local function start(id, permit, ago)
  if permit.cell then return end
  keep(amounts(permit), -1)
  permit.cell = charge(amounts(permit), ago and math.min(now, math.max(permit.at, now - ago + SLACK_MS)) or now)
  hold_record(id, permit)
  call('ZADD', LEASES, int(now + permit.ttl), id)
end

-- Start now, whatever was thought before. One whose charge has left the window is too late.
local function restart(id, permit)
  if permit.cell then
    if call('HEXISTS', CHARGES, 'r' .. permit.cell) == 0 then return false end
    correct(permit.cell, { r = -1, i = -permit.i, o = -permit.o })
    keep(amounts(permit), 1)
    permit.cell = nil
  end
  start(id, permit)
  return true
end

local function drop(id, permit)
  call('ZREM', LEASES, id)
  call('HDEL', HELD, id)
  if permit.gated then state.gated = state.gated - 1 end
end

-- Take a permit back as if it had never been given.
local function undo(id, permit)
  local cost, paced = amounts(permit), permit.paced or permit.o
  drop(id, permit)
  if permit.cell then
    correct(permit.cell, { r = -1, i = -cost.i, o = -cost.o })
  else
    keep(cost, -1)
  end
  pace({ r = -1, i = -cost.i, o = -paced, t = -cost.i - paced })
  spend(permit, -cost.t, -permit.u)
  if state.probe == id then state.probe = '' end
  emit('llm.released', id)
end

-- A claim ran out. A gated call was not begun: it goes back to its place. A direct one may have gone out unless its grant
-- still lies in the inbox: then it did not, and goes back too if its process lives; else it counts as started.
local function claim_over(id, permit)
  local unread = call('LREM', inbox_of(permit.process), 1, granted(id, permit)) > 0
  if not (permit.gated or unread) then return start(id, permit) end
  undo(id, permit)
  permit.fence, permit.at = nil, nil
  enqueue(id, permit) -- the pump drops it if its process is dead
end

local function reap()
  for _, id in ipairs(call('ZRANGEBYSCORE', LEASES, '-inf', '(' .. int(now), 'LIMIT', 0, 64)) do
    local permit = held(id)
    if not permit then call('ZREM', LEASES, id)
    elseif not permit.cell then claim_over(id, permit)
    else
      -- The holder is lost; its call may have been made, so the charge and the spend stay.
      drop(id, permit)
      if state.probe == id then state.probe = '' end
      emit('llm.settled', id, permit.i + permit.o)
    end
  end
end

-- Join the line, unless the id waits or has a permit.
local function join_line(id, waiter)
  if call('HEXISTS', WAITERS, id) == 1 or call('HEXISTS', HELD, id) == 1 then return end
  waiter.since = now
  enqueue(id, waiter)
end

-- What the process did since its last script.
local function note(text)
  local told = text ~= '' and cjson.decode(text) or {}
  for _, one in ipairs(told.started or {}) do
    local permit = held(one[1])
    if permit and permit.fence == one[2] then start(one[1], permit, one[3]) end
  end
  for _, one in ipairs(told.joined or {}) do join_line(one[1], one[2]) end
end
