-- meter: add to one bucket of a ring; a bucket whose time has come round again begins anew.
-- KEYS  1 the ring, a hash of JSON objects by place
-- ARGV  1 now (not needed)   2 place   3 when the bucket begins, ms   4 what is added up, JSON   5 what is replaced, JSON
-- Returns 1 if the bucket began anew
local text = redis.call('HGET', KEYS[1], ARGV[2])
local bucket = text and cjson.decode(text) or {}
local anew = bucket.at ~= tonumber(ARGV[3])
if anew then bucket = { at = tonumber(ARGV[3]) } end
for name, by in pairs(cjson.decode(ARGV[4])) do bucket[name] = (bucket[name] or 0) + by end
for name, value in pairs(cjson.decode(ARGV[5])) do bucket[name] = value end
redis.call('HSET', KEYS[1], ARGV[2], cjson.encode(bucket))
return anew and 1 or 0
