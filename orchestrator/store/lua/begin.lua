-- begin: the Celery task starts that a node was parked with; the node is claimed under a lease.
-- KEYS  1 dag:{goal}   2 task:{goal}
-- ARGV  1 now   2 worker   3 nonce   4 lease ms   5 node   6 attempt that the message was sent for
--       7 what it was parked with: `task`, or `llm` for `llm:<account>`   8 slots JSON
-- Returns {outcome, token, lease ms, what it resumes from, when the goal was stored}: 'claimed', or why not: 'duplicate' (it
--   runs or has ended), 'PAUSED', 'HELD', 'CANCELLING', 'gone'
--@include base
--@include graph
--@include finish
--@include invite
--@include hold
if not goal_state then return { 'gone' } end
if cancelling then return { 'CANCELLING' } end
local node = ARGV[5]
local record = call('HMGET', task(node), 'state', 'attempt', 'lease', 'token', 'lane', 'begun')
local mine = (record[4] or '') .. ' ' .. ARGV[3] .. ' '
if string.sub(call('GET', lock(node)) or '', 1, #mine) == mine then -- the same call again: its answer was lost
  return { 'claimed', record[4], tonumber(record[3] or ARGV[4]), record[6] or '', goal[6] or '' }
end
local note = call('HGET', PARKED, node)
note = note and cjson.decode(note) or { reason = '' }
if record[1] ~= 'WAITING' or record[2] ~= ARGV[6] or string.match(note.reason, '^%l*') ~= ARGV[7] then return { 'duplicate' } end
mind(ARGV[8] or '')
local held = holding() and (queue_held(call('HGET', task(node), 'queue') or 'default') or is_held(node))
if goal_state ~= 'RUNNING' or held then
  call('ZADD', TIMERS, int(now), node) -- its message is used up: the node is sent again once it may go on
  return { goal_state == 'RUNNING' and 'HELD' or goal_state }
end
local token = call('HINCRBY', G, 'token', 1)
local lease = tonumber(record[3] or ARGV[4])
call('HDEL', PARKED, node)
call('ZREM', TIMERS, node)
move(node, 'WAITING', 'RUNNING')
call('HSET', task(node), 'token', token, 'begun', note.resume or '')
call('SET', lock(node), token .. ' ' .. ARGV[3] .. ' ' .. ARGV[2])
call('ZADD', LEASES, int(now + lease), node)
emit('node.claimed', node, record[2], token, ARGV[2], record[5] and place_in(record[5], node) or '')
flush()
return { 'claimed', token, lease, note.resume or '', goal[6] or '' }
