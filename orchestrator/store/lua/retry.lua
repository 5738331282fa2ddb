-- retry: reopen nodes of a FAILED goal, up to 1,000 a call; the call with seal = '1' sets the goal running again.
-- KEYS  1 dag:{goal}   2 task:{goal}
-- ARGV  1 now, order   2 seal   3 slots JSON   4 dispatch ms   5 node that the command named, or '', then for each node: id,
--       state it must be in, edges that must still fire, edges still open, items left of a map or '', of a DONE one its score
-- Returns {outcome, invitations}: 'stored', 'retried', 'changed' (a node is in another state: read again), the goal's
--   state if that is not FAILED, 'CANCELLED' if its deadline cancelled nodes, which never run again, or as order.lua says
--@include base
--@include graph
--@include finish
--@include invite
--@include reopen
--@include order
local before = heed(ARGV[5])
if before then return { before, {} } end
if goal_state ~= 'FAILED' or cancelling then return { goal_state or 'gone', {} } end
if tonumber(call('HGET', G, 'n:CANCELLED') or '0') > 0 then return { 'CANCELLED', {} } end
for at = 6, #ARGV, 6 do
  if call('HGET', task(ARGV[at]), 'state') ~= ARGV[at + 1] then return { 'changed', {} } end
end
for at = 6, #ARGV, 6 do
  local node, state, need = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2])
  reopen(node, state, ARGV[at + 4])
  if state == 'DONE' then
    call('HSET', task(node), 'score', ARGV[at + 5])
    emit('node.reopened', node, '', '', '', '')
  end
  if need > 0 then
    move(node, state, 'BLOCKED')
    call('HSET', task(node), 'need', need, 'open', ARGV[at + 3])
  else
    make_ready(node, state)
  end
end
for state, by in pairs(delta) do
  call('HINCRBY', G, 'n:' .. state, by)
  if not TERMINAL[state] then call('HINCRBY', G, 'left', by) end
end
delta = {}
if ARGV[2] ~= '1' then return { 'stored', {} } end
goal_state = 'RUNNING'
call('HSET', G, 'state', goal_state)
if call('HEXISTS', G, 'parent') == 1 then call('HSET', G, 'notify', 1) end
call('HDEL', G, 'ended', 'reason', 'deadline')
emit('goal.retried', '', '', '', '', '')
obeyed(ARGV[5], 'retried')
for _, field in ipairs(call('HKEYS', DISPATCH)) do
  local queue = string.match(field, '^out:(.+)$')
  if queue then
    call('HSET', DISPATCH, field, 0)
    touched[queue] = true
  end
end
return { 'retried', invitations(ARGV[3], ARGV[4]) }
