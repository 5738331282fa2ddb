-- receivers: a worker says which receivers of notifications it knows. When each was first seen stays.
-- KEYS  1 {control}:targets
-- ARGV  1 now or ''   2 receiver   3 what it wants, JSON   and so on in pairs
-- Returns how many are new
local call, targets, new = redis.call, KEYS[1], 0
local now = ARGV[1]
if now == '' then
  local time = call('TIME')
  now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
end
for at = 2, #ARGV, 2 do
  new = new + call('HSETNX', targets, 'since:' .. ARGV[at], now)
  call('HSET', targets, 'wants:' .. ARGV[at], ARGV[at + 1], 'seen:' .. ARGV[at], now)
end
return new
