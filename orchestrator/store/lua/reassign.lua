-- reassign: nodes of agents that nobody has begun go to other agents and queues, or are noted to be stuck. Safe to repeat.
-- KEYS  1 dag:{goal}   2 task:{goal}
-- ARGV  1 now   2 slots JSON   3 dispatch ms, then for each node: id, the queue it is in, the new one or '' (it stays, and
--       is stuck), its new specification JSON, data for the event
-- Returns {outcomes, invitations}, an outcome each: 'moved', 'noted' (stuck), 'known' (that was said before), 'changed' (it
--   was begun, has ended, or is in another queue), 'ended' (the goal does not run)
--@include base
--@include graph
--@include invite
local open_states = { BLOCKED = true, READY = true }

local function stays(node, queue, data)
  if call('HGET', task(node), 'stuck') == queue then return 'known' end
  call('HSET', task(node), 'stuck', queue)
  emit('node.stuck', node, '', '', '', data)
  return 'noted'
end

local function reassign(node, queue, to, spec, data)
  local record = call('HMGET', task(node), 'state', 'queue', 'score', 'attempt')
  if not open_states[record[1] or ''] or record[4] or (record[2] or 'default') ~= queue then return 'changed' end
  if to == '' then return stays(node, queue, data) end
  call('HSET', NODES, node, spec)
  call('HSET', task(node), 'queue', to)
  call('HDEL', task(node), 'stuck')
  call('HSETNX', DISPATCH, 'out:' .. to, 0)
  if call('ZREM', ready_key(queue), node) == 1 then -- else it is blocked, or not the head of its lane
    call('ZADD', ready_key(to), record[3] or 0, node)
    touched[to] = true
  end
  emit('node.reassigned', node, '', '', '', data)
  return 'moved'
end

local outcomes = {}
local runs = (goal_state == 'RUNNING' or goal_state == 'PAUSED') and not cancelling
for at = 4, #ARGV, 5 do
  outcomes[#outcomes + 1] = runs and reassign(ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4]) or 'ended'
end
return { outcomes, invitations(ARGV[2], ARGV[3]) }
