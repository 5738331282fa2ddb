-- submit_open: begin to store a goal. It stays hidden (PLANNING, building) until submit_seal.
-- KEYS  1 dag:{goal}   2 task:{goal}
-- ARGV  1 now   2 digest of the document   3 ms after which the record goes if nobody seals it, and the index that beat
--       reads does not know it   4.. field, value of the goal's record
-- Returns 'opened', 'exists' (stored, same digest) or 'conflict' (another document under this id). Submissions of the same
--   document store it together: what one has stored the other writes again, unchanged, and one of them seals it
--@include base
if goal_state then
  local known = call('HMGET', G, 'digest', 'building')
  if known[1] ~= ARGV[2] or known[2] == 'removing' then return 'conflict' end
  if not known[2] then return 'exists' end
  call('HSET', G, 'created', int(now))
else
  call('HSET', G, 'state', 'PLANNING', 'digest', ARGV[2], 'building', ARGV[2], 'created', int(now), unpack(ARGV, 4))
end
call('PEXPIRE', G, ARGV[3])
return 'opened'
