-- Which Celery messages to send. A message is an invitation to work on one queue of one goal; as many are out as
-- there are ready nodes, but no more than there are free slots, and at least one. `slots` is JSON: {"queue": slots}, and
-- where something is held in the whole fleet "*held": {"queues": {queue: 1}, "agents": {"owner/agent": 1}}; `*` is any.
local fleet -- what is held in the whole fleet, or nil
local function mind(slots_json)
  if string.find(slots_json, '"*held"', 1, true) then fleet = cjson.decode(slots_json)['*held'] end
end
local function queue_held(queue)
  local queues = fleet and fleet.queues
  return queues and (queues[queue] or queues['*'])
end

local function invite(queue, slots, dispatch_ms, out)
  local ready = call('ZCARD', ready_key(queue))
  if ready == 0 then return end
  local free = (slots[queue] or slots['*'] or 1) - call('ZCARD', LEASES)
  local sent = tonumber(call('HGET', DISPATCH, 'out:' .. queue) or '0')
  local want = math.min(ready, math.max(1, free)) - sent
  if want <= 0 then return end
  local seen = call('HMGET', DISPATCH, 'wait:' .. queue, 'unanswered:' .. queue)
  local patience = math.max(dispatch_ms, 3 * tonumber(seen[1] or '0'))
  if seen[2] then -- nobody answers: one message at a time, ever more rarely, or they would pile up
    if sent > 0 then return end
    want = 1
    patience = patience * 2 ^ math.min(tonumber(seen[2]), 10)
  end
  call('HSET', DISPATCH, 'out:' .. queue, sent + want, 'due:' .. queue, int(now + patience))
  for _, node in ipairs(call('ZRANGE', ready_key(queue), 0, want - 1)) do
    local record = call('HMGET', task(node), 'attempt', 'resume')
    out[#out + 1] = { queue, node, tonumber(record[1] or '0') + (record[2] and 0 or 1), int(now), goal[4] or '0' }
  end
end

-- Invitations for every queue that got a ready node in this script: a list of {queue, node, attempt, now, priority of the goal}.
local function invitations(slots_json, dispatch_ms)
  local out = {}
  if next(touched) and goal_state == 'RUNNING' and not cancelling then
    local slots = cjson.decode(slots_json)
    fleet = slots['*held']
    for queue in pairs(touched) do
      if not queue_held(queue) then invite(queue, slots, tonumber(dispatch_ms), out) end
    end
  end
  return out
end
