-- retry: reopen nodes of a FAILED goal, up to 1,000 a call; the call with seal = '1' sets the goal running again.
-- KEYS  1 dag:{goal}   2 task:{goal}
-- ARGV  1 now   2 seal   3 slots JSON   4 dispatch ms, then for each node: id, state it must be in, edges that must still
--       fire, edges still open, items left of a map or ''
-- Returns {outcome, invitations}: 'stored', 'retried', 'changed' (a node is in another state: read again), the goal's
--   state if that is not FAILED, or 'CANCELLED' if its deadline cancelled nodes, which never run again
--@include base
--@include graph
--@include finish
--@include invite
if goal_state ~= 'FAILED' or cancelling then return { goal_state or 'gone', {} } end
if tonumber(call('HGET', G, 'n:CANCELLED') or '0') > 0 then return { 'CANCELLED', {} } end
for at = 5, #ARGV, 5 do
  if call('HGET', task(ARGV[at]), 'state') ~= ARGV[at + 1] then return { 'changed', {} } end
end
for at = 5, #ARGV, 5 do
  local node, before, need = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2])
  call('HDEL', task(node), 'failures', 'lost', 'resume')
  if call('HDEL', DEAD, node) == 1 and not handled(call('HGET', EDGES, node)) then
    call('HINCRBY', G, 'unhandled', -1)
  end
  if ARGV[at + 4] ~= '' then call('HSET', task(node), 'items_left', ARGV[at + 4], 'items_failed', 0) end
  if need > 0 then
    move(node, before, 'BLOCKED')
    call('HSET', task(node), 'need', need, 'open', ARGV[at + 3])
  else
    make_ready(node, before)
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
for _, field in ipairs(call('HKEYS', DISPATCH)) do
  local queue = string.match(field, '^out:(.+)$')
  if queue then
    call('HSET', DISPATCH, field, 0)
    touched[queue] = true
  end
end
return { 'retried', invitations(ARGV[3], ARGV[4]) }
