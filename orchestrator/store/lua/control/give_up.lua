-- give_up: remember an event that a receiver could not be told of.
-- KEYS  1 {control}:untold
-- ARGV  1 now or ''   2 how many are kept   3 goal   4 receiver   5 event   6 its type   7 why
-- Returns how many there are now
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
redis.call('LPUSH', KEYS[1], cjson.encode({ goal = ARGV[3], target = ARGV[4], event = ARGV[5], type = ARGV[6],
  why = ARGV[7], at_ms = now }))
redis.call('LTRIM', KEYS[1], 0, tonumber(ARGV[2]) - 1)
return redis.call('LLEN', KEYS[1])
