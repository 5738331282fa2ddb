-- forget: take a goal that was removed out of the index, unless it was submitted anew since.
-- KEYS  1 goals:index
-- ARGV  1 now (not needed)   2 goal   3 its score when the removal began (when it was submitted, ms)
-- Returns 1 if it was taken out
local score = redis.call('ZSCORE', KEYS[1], ARGV[2])
if not score or tonumber(score) ~= tonumber(ARGV[3]) then return 0 end
return redis.call('ZREM', KEYS[1], ARGV[2])
