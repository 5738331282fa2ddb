-- pause: no further claim on this goal; running nodes finish, or are stopped: their leases are taken away, and they run
-- again after a resume. resume: the opposite of pause. stop: go on with a pause that stops nodes.
-- KEYS  1 dag:{goal}   2 task:{goal}
-- ARGV  1 now, order   2 'pause', 'resume' or 'stop'   3 reason   4 slots JSON   5 dispatch ms
--       6 how many running nodes this call may stop; 0: they finish
-- Returns {outcome, invitations, stopped nodes, more}: outcome is 'paused', 'resumed', 'unchanged' (it was so before), 'gone',
--   the state that does not allow it, or as order.lua says; more = 1: call it with 'stop' until it is 0
--@include base
--@include graph
--@include finish
--@include invite
--@include order
local verb, most, stopped = ARGV[2], tonumber(ARGV[6]), {}

local function stop_running()
  for _, node in ipairs(call('ZRANGE', LEASES, 0, most - 1)) do
    local record = call('HMGET', task(node), 'attempt', 'token')
    local worker = string.match(call('GET', lock(node)) or '', '^%S+ %S+ (.*)$') or ''
    unlease(node)
    call('HDEL', task(node), 'token') -- else the late commit would pass for a repetition of one that was accepted
    emit('node.stopped', node, record[1], record[2], worker, '')
    make_ready(node, 'RUNNING')
    stopped[#stopped + 1] = node
  end
  flush()
  if call('ZCARD', LEASES) == 0 then call('HDEL', G, 'stopping') else call('HSET', G, 'stopping', 1) end
end

if not goal_state or call('HEXISTS', G, 'building') == 1 then return { 'gone', {}, {}, 0 } end
local before = heed('')
if before then return { before, {}, {}, call('HEXISTS', G, 'stopping') } end
if cancelling then return { 'CANCELLING', {}, {}, 0 } end
if verb == 'stop' then
  if goal_state == 'PAUSED' and call('HEXISTS', G, 'stopping') == 1 then stop_running() end
  return { goal_state, {}, stopped, call('HEXISTS', G, 'stopping') }
end
local to = verb == 'pause' and 'PAUSED' or 'RUNNING'
if goal_state ~= 'PAUSED' and goal_state ~= 'RUNNING' then return { goal_state, {}, {}, 0 } end
local outcome = goal_state == to and 'unchanged' or to == 'PAUSED' and 'paused' or 'resumed'
if goal_state ~= to then
  call('HSET', G, 'state', to, 'reason', ARGV[3])
  if to == 'RUNNING' then
    call('HSET', G, 'resumed', int(now)) -- waits of calls count from here
    call('HDEL', G, 'stopping')
  end
  goal_state = to
  emit(to == 'PAUSED' and 'goal.paused' or 'goal.resumed', '', '', '', '',
    cjson.encode({ reason = ARGV[3], by = order and order.by or nil }))
end
obeyed('', outcome)
if to == 'PAUSED' and most > 0 then stop_running() end
for _, field in ipairs(call('HKEYS', DISPATCH)) do
  local queue = string.match(field, '^out:(.+)$')
  if queue and outcome == 'resumed' then touched[queue] = true end
end
return { outcome, invitations(ARGV[4], ARGV[5]), stopped, call('HEXISTS', G, 'stopping') }
