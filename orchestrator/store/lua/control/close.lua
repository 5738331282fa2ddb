-- close: keep the answer to a command, and write the audit trail. Of two that carried it out the first one's answer stands.
-- KEYS  1 {control}:order:<id>   2 {control}:open   3 {control}:audit
-- ARGV  1 now or ''   2 id, '' for a command that was not taken in   3 answer JSON   4 most audit entries, then the fields
--       of the entry
-- Returns the answer that stands
local call, order = redis.call, KEYS[1]
local answer = ARGV[3]
if ARGV[2] ~= '' then
  call('ZREM', KEYS[2], ARGV[2])
  local known = call('HMGET', order, 'answer', 'digest')
  if known[1] then return known[1] end
  if known[2] then
    call('HSET', order, 'answer', answer)
    call('HDEL', order, 'command') -- its arguments are needed no more
  end
end
call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[4], ARGV[1] == '' and '*' or ARGV[1] .. '-*', unpack(ARGV, 5))
return answer
