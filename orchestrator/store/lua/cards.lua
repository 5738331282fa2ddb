-- cards: the agents that a goal carries along, by name. A turn that begins later is taken with the new ones.
-- KEYS  1 dag:{goal}   2 task:{goal}
-- ARGV  1 now, order   2 data of the event, JSON; '' while the goal is being stored   3.. name, JSON or '' for an agent that is gone
-- Returns 'stored', 'gone', the state of a goal that has ended, or as order.lua says
--@include base
--@include order
if not goal_state then return 'gone' end
if ARGV[2] ~= '' then
  if call('HEXISTS', G, 'building') == 1 then return 'gone' end
  local before = heed('')
  if before then return before end
  if cancelling then return 'CANCELLED' end
  if goal_state == 'DONE' or goal_state == 'FAILED' or goal_state == 'CANCELLED' then return goal_state end
end
for at = 3, #ARGV, 2 do
  if ARGV[at + 1] == '' then call('HDEL', G .. ':agents', ARGV[at]) else call('HSET', G .. ':agents', ARGV[at], ARGV[at + 1]) end
end
if ARGV[2] ~= '' then emit('goal.reparsed', '', '', '', '', ARGV[2]) end
return ARGV[2] ~= '' and obeyed('', 'stored') or 'stored'
