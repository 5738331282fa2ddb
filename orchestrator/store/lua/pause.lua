-- pause: no further claim on this goal; running nodes finish. resume: the opposite.
-- KEYS  1 dag:{goal}   2 task:{goal}
-- ARGV  1 now   2 'pause' or 'resume'   3 reason   4 slots JSON   5 dispatch ms
-- Returns {outcome, invitations}: outcome is 'paused', 'resumed', 'unchanged' (it was so before), 'gone', or the state
--   that does not allow it
--@include base
--@include graph
--@include invite
if not goal_state or call('HEXISTS', G, 'building') == 1 then return { 'gone', {} } end
if cancelling then return { 'CANCELLING', {} } end
local to = ARGV[2] == 'pause' and 'PAUSED' or 'RUNNING'
if goal_state == to then return { 'unchanged', {} } end
if goal_state ~= 'PAUSED' and goal_state ~= 'RUNNING' then return { goal_state, {} } end
call('HSET', G, 'state', to, 'reason', ARGV[3])
if to == 'RUNNING' then call('HSET', G, 'resumed', int(now)) end -- waits of calls count from here
goal_state = to
emit(to == 'PAUSED' and 'goal.paused' or 'goal.resumed', '', '', '', '', cjson.encode({ reason = ARGV[3] }))
for _, field in ipairs(call('HKEYS', DISPATCH)) do
  local queue = string.match(field, '^out:(.+)$')
  if queue then touched[queue] = true end
end
return { to == 'PAUSED' and 'paused' or 'resumed', invitations(ARGV[4], ARGV[5]) }
