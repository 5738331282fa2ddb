-- file_take: take a heartbeat file up for reading, unless somebody else reads it at the moment.
-- KEYS  1 {control}:files   2 {control}:cursors   3 {control}:reading:<file>
-- ARGV  1 now or ''   2 file   3 epoch of the registration that the reader knows   4 reader   5 ms until others may read
-- Returns {outcome, cursor JSON, now in ms}: 'taken', 'busy', or 'changed' (it is registered otherwise, or no more)
local call = redis.call
local now = tonumber(ARGV[1])
if not now then
  local time = call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local known = call('HGET', KEYS[1], ARGV[2])
if not known or cjson.decode(known).epoch ~= ARGV[3] then return { 'changed', '', now } end
local reader = call('GET', KEYS[3])
if reader and reader ~= ARGV[4] then return { 'busy', '', now } end
call('SET', KEYS[3], ARGV[4], 'PX', ARGV[5])
return { 'taken', call('HGET', KEYS[2], ARGV[2]) or '{}', now }
