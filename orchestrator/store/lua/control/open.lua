-- open: take a command in, once. One that was taken in and not closed is carried out again by whoever finds it: that is safe.
-- KEYS  1 {control}:order:<id>   2 {control}:open
-- ARGV  1 now or ''   2 id   3 digest of what it asks for   4 command JSON   5 ms until its expiry or ''   6 ms to remember it
-- Returns {outcome, detail}: 'new' or 'open' (detail: its expiry in ms or ''), 'done' (detail: the answer that was given),
--   'taken' (the id stands for another command)
local call, order = redis.call, KEYS[1]
local now = tonumber(ARGV[1])
if not now then
  local time = call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local known = call('HMGET', order, 'digest', 'answer', 'until')
if known[1] then
  if known[1] ~= ARGV[3] then return { 'taken', '' } end
  if known[2] then return { 'done', known[2] } end
  return { 'open', known[3] or '' }
end
local expiry = ARGV[5] ~= '' and string.format('%.0f', now + tonumber(ARGV[5])) or ''
call('HSET', order, 'digest', ARGV[3], 'command', ARGV[4], 'until', expiry)
call('PEXPIRE', order, ARGV[6])
call('ZADD', KEYS[2], string.format('%.0f', now), ARGV[2])
return { 'new', expiry }
