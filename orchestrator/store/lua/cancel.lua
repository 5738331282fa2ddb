-- cancel: from this script on no claim and no commit is accepted; every node that has not ended becomes CANCELLED, in
-- slices. Call it again while it returns 'more'; beat goes on where a caller stopped.
-- KEYS  1 dag:{goal}   2 task:{goal}
-- ARGV  1 now, order   2 reason   3 nodes a slice   4 '1' to begin, '0' only to go on
-- Returns 'more', 'cancelled' (now), 'ended' (it had ended before), 'idle' (nothing to go on with), 'gone', or as
--   order.lua says
--@include base
--@include graph
--@include finish
--@include order
if not goal_state or call('HEXISTS', G, 'building') == 1 then return 'gone' end
local before = heed('')
if before then return before end
if goal_state == 'CANCELLED' or goal_state == 'DONE' or goal_state == 'FAILED' then return 'ended' end
if not cancelling then
  if ARGV[4] ~= '1' then return 'idle' end
  cancelling = 'CANCELLED'
  call('HSET', G, 'cancelling', cancelling, 'reason', ARGV[2])
  obeyed('', 'cancelled')
  emit('goal.cancelling', '', '', '', '', cjson.encode({ reason = ARGV[2], by = order and order.by or nil }))
end
local page = call('HSCAN', NODES, call('HGET', G, 'cancel_cursor') or '0', 'COUNT', tonumber(ARGV[3]))
for index = 1, #page[2], 2 do
  local node = page[2][index]
  local record = call('HMGET', task(node), 'state', 'attempt', 'token')
  if not TERMINAL[record[1]] then
    if record[1] == 'RUNNING' then unlease(node) end
    move(node, record[1], 'CANCELLED')
    emit('node.cancelled', node, record[2] or '', record[3] or '', '', '')
  end
end
flush()
if page[1] ~= '0' then
  call('HSET', G, 'cancel_cursor', page[1])
  return 'more'
end
call('HDEL', G, 'cancel_cursor')
if call('EXISTS', G .. ':children') == 1 then call('HSET', G, 'orphans', 1) end -- sub-goals that must be cancelled too
call('DEL', LEASES, TIMERS, PARKED, RIPPLE, DISPATCH, HELD, ASIDE)
end_goal(cancelling, call('HGET', G, 'reason') or '')
return 'cancelled'
