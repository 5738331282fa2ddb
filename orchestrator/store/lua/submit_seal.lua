-- submit_seal: make a stored goal visible and start it.
-- KEYS  1 dag:{goal}   2 task:{goal}
-- ARGV  1 now   2 digest of the document   3 nodes   4 ready nodes   5 slots JSON   6 dispatch ms   7 deadline ms or ''
--       8 start state: RUNNING or AWAITING_APPROVAL   9.. ready nodes with a lane, in document order
-- Returns {'started', invitations}, {'exists', {}} if it was sealed before, or {'stale', {}}
--@include base
--@include graph
--@include invite
local building = call('HGET', G, 'building')
if not goal_state then return { 'stale', {} } end
if not building then return { 'exists', {} } end
if building ~= ARGV[2] or call('HLEN', NODES) ~= tonumber(ARGV[3]) then return { 'stale', {} } end
goal_state = ARGV[8]
local ready = tonumber(ARGV[4])
call('HDEL', G, 'building')
call('PERSIST', G)
call('HSET', G, 'state', goal_state, 'started', int(now), 'total', ARGV[3], 'left', ARGV[3], 'n:READY', ready,
  'n:BLOCKED', ARGV[3] - ready)
if ARGV[7] ~= '' then call('HSET', G, 'deadline', int(now + tonumber(ARGV[7]))) end
call('HSETNX', DISPATCH, 'out:default', 0)
emit('goal.submitted', '', '', '', '', cjson.encode({ nodes = tonumber(ARGV[3]) }))
if goal_state == 'RUNNING' then emit('goal.started', '', '', '', '', '') end
for index = 9, #ARGV do
  local record = call('HMGET', task(ARGV[index]), 'score', 'queue', 'lane')
  enqueue(ARGV[index], record[1], record[2], record[3])
end
for _, field in ipairs(call('HKEYS', DISPATCH)) do
  local queue = string.match(field, '^out:(.+)$')
  if queue then touched[queue] = true end
end
return { 'started', invitations(ARGV[5], ARGV[6]) }
