-- file_register: let a heartbeat file be read from a place on, or no more.
-- KEYS  1 {control}:files   2 {control}:cursors   3 {control}:reading:<file>   4 {control}:lines:<file>
-- ARGV  1 file   2 registration JSON, '' to forget it   3 epoch that must be known for that, '' for any   4 cursor JSON
--       then pairs of a line's hash and how often it is there
-- Returns 'registered', 'known' (for the same purpose: nothing is changed), 'forgotten' or 'gone'
local call = redis.call
local known = call('HGET', KEYS[1], ARGV[1])
local before = known and cjson.decode(known)
if ARGV[2] == '' then
  if not before or (ARGV[3] ~= '' and before.epoch ~= ARGV[3]) then return 'gone' end
  call('HDEL', KEYS[1], ARGV[1])
  call('HDEL', KEYS[2], ARGV[1])
  call('UNLINK', KEYS[3], KEYS[4])
  if call('HLEN', KEYS[1]) == 1 then call('DEL', KEYS[1]) else call('HSET', KEYS[1], '*', '-' .. before.epoch) end
  return 'forgotten'
end
local given = cjson.decode(ARGV[2])
if before and before.purpose == given.purpose then return 'known' end
call('UNLINK', KEYS[3], KEYS[4])
call('HSET', KEYS[1], ARGV[1], ARGV[2])
call('HSET', KEYS[2], ARGV[1], ARGV[4])
for at = 5, #ARGV, 2 do call('HINCRBY', KEYS[4], ARGV[at], ARGV[at + 1]) end
call('HSET', KEYS[1], '*', given.epoch)
return 'registered'
