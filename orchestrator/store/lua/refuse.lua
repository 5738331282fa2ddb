-- refuse: note that a command was refused, in the history of a goal that has not ended. It will not act there any more.
-- KEYS  1 dag:{goal}   2 task:{goal}
-- ARGV  1 now, order   2 node or ''   3 the command's name   4 why
-- Returns 'refused', 'ended', 'gone', or as order.lua says
--@include base
--@include finish
--@include order
if not goal_state or call('HEXISTS', G, 'building') == 1 then return 'gone' end
local before = heed(ARGV[2])
if before then return before end
if cancelling or TERMINAL[goal_state] then return 'ended' end
call('HSET', ORDERS, order.id .. ' ' .. ARGV[2], 'refused ' .. ARGV[4])
emit('command.refused', ARGV[2], '', '', '', cjson.encode({ command = order.id, by = order.by, reason = order.reason,
  verb = ARGV[3], why = ARGV[4], expires = order['until'] and order['until'] / 1000 or nil }))
return 'refused'
