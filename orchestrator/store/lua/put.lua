-- put: one write of what is bounded anyway - when goals are looked at next, heartbeats, ticks - that must go through when Redis
-- is full: else nothing would be removed any more.
-- KEYS  1 the key
-- ARGV  1 now (not needed)   2 HSET, SET, ZADD or LPUSH   3.. what stands behind the key in that command
-- Returns its reply
return redis.call(ARGV[2], KEYS[1], unpack(ARGV, 3))
