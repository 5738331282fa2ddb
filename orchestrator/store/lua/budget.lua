-- budget: what the goal may spend on model calls from now on, in all.
-- KEYS  1 dag:{goal}   2 task:{goal}
-- ARGV  1 now, order   2 the budget that the caller saw, JSON or ''   3 the new one, JSON   4 data of the event, JSON
-- Returns 'set', 'unchanged', 'changed' (it is another by now: read again), 'gone', the state of a goal that has ended, or as
--   order.lua says
--@include base
--@include finish
--@include order
if not goal_state or call('HEXISTS', G, 'building') == 1 then return 'gone' end
local before = heed('')
if before then return before end
if cancelling then return 'CANCELLING' end
if goal_state == 'DONE' or goal_state == 'CANCELLED' then return goal_state end
if (call('HGET', G, 'budget') or '') ~= ARGV[2] then return 'changed' end
if ARGV[2] == ARGV[3] then return obeyed('', 'unchanged') end
call('HSET', G, 'budget', ARGV[3])
emit('goal.budget', '', '', '', '', ARGV[4])
return obeyed('', 'set')
