-- submit_open: begin to store a goal. It stays hidden (PLANNING, building) until submit_seal.
-- KEYS  1 dag:{goal}   2 task:{goal}
-- ARGV  1 now   2 digest of the document   3 submission nonce   4.. field, value of the goal's record
-- Returns 'opened', 'exists' (stored, same digest) or 'conflict' (another document under this id). A goal that someone
--   else is storing from the same document is taken over: its pieces stay, the other submission becomes stale
--@include base
if goal_state then
  local known = call('HMGET', G, 'digest', 'building')
  if known[1] ~= ARGV[2] or known[2] == 'removing' then return 'conflict' end
  if not known[2] then return 'exists' end
  call('HSET', G, 'building', ARGV[3], 'created', int(now))
  return 'opened'
end
call('HSET', G, 'state', 'PLANNING', 'digest', ARGV[2], 'building', ARGV[3], 'created', int(now), unpack(ARGV, 4))
return 'opened'
