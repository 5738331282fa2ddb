-- file_put: note how far a heartbeat file was read; only whoever took it up may.
-- KEYS  1 {control}:files   2 {control}:cursors   3 {control}:reading:<file>   4 {control}:lines:<file>
-- ARGV  1 file   2 epoch   3 reader   4 ms until others may read, 0: at once   5 cursor JSON, '' for no change
--       6 '1': forget the lines that were kept   then pairs of a line's hash and how often it was read
-- Returns 'put', 'lost' (somebody else reads it by now), or 'changed' (it is registered otherwise, or no more)
local call = redis.call
if call('GET', KEYS[3]) ~= ARGV[3] then return 'lost' end
local known = call('HGET', KEYS[1], ARGV[1])
local same = known and cjson.decode(known).epoch == ARGV[2]
if same then
  if ARGV[5] ~= '' then call('HSET', KEYS[2], ARGV[1], ARGV[5]) end
  if ARGV[6] == '1' then call('DEL', KEYS[4]) end
  for at = 7, #ARGV, 2 do call('HINCRBY', KEYS[4], ARGV[at], ARGV[at + 1]) end
end
if ARGV[4] == '0' or not same then call('DEL', KEYS[3]) else call('PEXPIRE', KEYS[3], ARGV[4]) end
return same and 'put' or 'changed'
