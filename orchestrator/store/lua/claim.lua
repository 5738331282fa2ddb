-- claim: start work for an invitation. Takes up to `most` ready nodes of one queue, the named one first if it can.
-- KEYS  1 dag:{goal}   2 task:{goal}
-- ARGV  1 now   2 worker   3 nonce   4 lease ms   5 queue   6 most   7 hinted node or ''   8 sent at (ms) or ''
--       9 slots JSON   10 dispatch ms
-- Returns {status, claims, invitations}: status is the goal's state, 'CANCELLING' or 'GONE';
--   claims = {node, token, attempt, lease ms, failures, spec JSON, resume}*; invitations = {queue, node, attempt}*
--@include base
--@include graph
--@include finish
--@include invite
--@include hold
--@include take
if not goal_state then return { 'GONE', {}, {} } end
mind(ARGV[9])
local worker, nonce, queue = ARGV[2], ARGV[3], ARGV[5]
if ARGV[8] ~= '' then
  -- The invitation has arrived: it is out no longer, and its wait tells how patient the next deadline must be.
  local out = tonumber(call('HGET', DISPATCH, 'out:' .. queue) or '0')
  local wait = tonumber(call('HGET', DISPATCH, 'wait:' .. queue) or '0')
  local seen = math.min(60000, math.max(0, now - tonumber(ARGV[8]))) -- a night without workers is no usual wait
  call('HSET', DISPATCH, 'out:' .. queue, math.max(0, out - 1), 'wait:' .. queue, int(wait * 0.7 + seen * 0.3))
  call('HDEL', DISPATCH, 'unanswered:' .. queue)
end
local claims = take(queue, tonumber(ARGV[6]), ARGV[7], worker, nonce, ARGV[4])
if #claims > 0 then touched[queue] = true end
flush()
return { cancelling and 'CANCELLING' or goal_state, claims, invitations(ARGV[9], ARGV[10]) }
