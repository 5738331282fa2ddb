-- priority: a goal, or one of its nodes, goes earlier or later. Of a node the place among the ready ones is set anew; no other
-- node is touched.
-- KEYS  1 dag:{goal}   2 task:{goal}
-- ARGV  1 now, order   2 node or '' for the goal   3 priority   4 how many priorities there are: a score is -(rank * so many +
--       priority)
-- Returns {outcome, priority before}: 'set', 'unchanged', 'missing', 'gone', the state of a node or goal in which it means
--   nothing any more, or as order.lua says
--@include base
--@include finish
--@include order
if not goal_state or call('HEXISTS', G, 'building') == 1 then return { 'gone', '' } end
local node, to, many = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local before = heed(node)
if before then return { before, '' } end
if cancelling then return { 'CANCELLING', '' } end
if TERMINAL[goal_state] then return { goal_state, '' } end
if node == '' then
  local was = goal[4] or '0'
  if was == ARGV[3] then return { obeyed('', 'unchanged'), was } end
  call('HSET', G, 'priority', to)
  emit('goal.priority', '', '', '', '', cjson.encode({ priority = to, before = tonumber(was) }))
  return { obeyed('', 'set'), was }
end
local record = call('HMGET', task(node), 'state', 'score', 'queue')
if not record[1] then return { 'missing', '' } end
if TERMINAL[record[1]] and record[1] ~= 'FAILED' and record[1] ~= 'SKIPPED' then return { record[1], '' } end
local cost = -tonumber(record[2] or '0')
local was = cost % many
if was == to then return { obeyed(node, 'unchanged'), int(was) } end
local score = int(-(cost - was + to))
call('HSET', task(node), 'score', score)
call('ZADD', ready_key(record[3] or 'default'), 'XX', score, node)
if goal[7] then call('ZADD', ASIDE, 'XX', score, node) end
emit('node.priority', node, '', '', '', cjson.encode({ priority = to, before = was }))
return { obeyed(node, 'set'), int(was) }
