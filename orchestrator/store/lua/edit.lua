-- edit: other inputs for a node that has not begun, or has failed.
-- KEYS  1 dag:{goal}   2 task:{goal}
-- ARGV  1 now, order   2 node   3 its specification as the caller saw it, JSON   4 the new one, JSON   5 names of the inputs that
--       change, JSON
-- Returns {outcome, detail}: 'edited' (detail: version of the plan), 'changed' (the specification is another by now: read
--   again), 'missing', 'gone', 'begun' (detail: what it has left already), the state of the node or goal that forbids it, or as
--   order.lua says
--@include base
--@include finish
--@include order
local EDITABLE = { BLOCKED = true, READY = true, WAITING = true, FAILED = true, SKIPPED = true }
if not goal_state or call('HEXISTS', G, 'building') == 1 then return { 'gone', '' } end
local node = ARGV[2]
local before = heed(node)
if before then return { before, '' } end
if cancelling then return { 'CANCELLING', '' } end
if goal_state == 'DONE' or goal_state == 'CANCELLED' then return { goal_state, '' } end
local spec = call('HGET', NODES, node)
if not spec then return { 'missing', '' } end
local record = call('HMGET', task(node), 'state', 'resume', 'items', 'kit')
if not EDITABLE[record[1]] then return { record[1], '' } end
if record[1] == 'WAITING' then
  local note = call('HGET', PARKED, node)
  if not note or cjson.decode(note).reason ~= 'backoff' then return { 'WAITING', '' } end
end
-- It goes on from what it has left: other inputs would change nothing.
if record[4] then return { 'begun', 'turns' } end
if record[3] then return { 'begun', 'items' } end
if record[2] and record[1] ~= 'FAILED' then return { 'begun', 'a step' } end
if call('HEXISTS', G .. ':children', node) == 1 then return { 'begun', 'a sub-goal' } end
if spec ~= ARGV[3] then return { 'changed', '' } end
local version = (goal[5] or '1') + 1
call('HSET', NODES, node, ARGV[4])
call('HSET', G, 'version', version) -- what a worker runs ahead with the old inputs is not taken
emit('node.edited', node, '', '', '', '{"inputs":' .. ARGV[5] .. ',"version":' .. int(version) .. '}')
return { obeyed(node, 'edited'), int(version) }
