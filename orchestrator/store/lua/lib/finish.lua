-- The end of a node, and of the goal with its last node.
local TERMINAL = { DONE = true, FAILED = true, SKIPPED = true, DROPPED = true, CANCELLED = true }

local function unlease(node)
  call('DEL', lock(node))
  call('ZREM', LEASES, node)
end

local function complete(node, before, output, untaken, attempt, token, worker, data)
  move(node, before, 'DONE')
  call('HDEL', task(node), 'need', 'open', 'score', 'failures', 'begun') -- of no more use; a goal has many nodes
  if output ~= '' then call('HSET', OUTPUTS, node, output) end
  emit('node.done', node, attempt, token, worker, data)
  leave_lane(node)
  pending[#pending + 1] = { node, 'd', untaken, 1 }
end

-- Whether the plan deals with a failure: by an `on: failed` edge, or by the map that the node is an item of.
local function handled(edges) return string.find(' ' .. (edges or '') .. ' ', ':[fi] ') ~= nil end

-- `failure` is JSON: {"reason", "error", ...}; it is kept in the dead letters and in the event.
local function fail(node, before, failure, untaken, attempt, token, worker)
  move(node, before, 'FAILED')
  call('HSET', DEAD, node, failure)
  emit('node.failed', node, attempt, token, worker, failure)
  leave_lane(node)
  if not handled(call('HGET', EDGES, node)) then call('HINCRBY', G, 'unhandled', 1) end
  pending[#pending + 1] = { node, 'f', untaken, 1 }
end

local function end_goal(state, reason)
  call('HSET', G, 'state', state, 'ended', int(now), 'reason', reason)
  call('HDEL', G, 'cancelling')
  call('DEL', RIPPLE) -- what is left there leads to nodes that have ended; a retry must not find it
  emit('goal.' .. string.lower(state), '', '', '', '', reason ~= '' and cjson.encode({ reason = reason }) or '')
  goal_state = state
end

-- Writes the counters; ends the goal when nothing is left. Every operation that moved nodes calls it last.
local function flush()
  if #pending > 0 then ripple() end
  local left = 0
  for state, by in pairs(delta) do
    if by ~= 0 then call('HINCRBY', G, 'n:' .. state, by) end
    if not TERMINAL[state] then left = left + by end
  end
  delta = {}
  if left ~= 0 and call('HINCRBY', G, 'left', left) == 0 and not cancelling then
    if tonumber(call('HGET', G, 'unhandled') or '0') > 0 then end_goal('FAILED', '') else end_goal('DONE', '') end
  end
end
