-- renew: prolong the leases that a process still holds; with none of them, its heartbeat.
-- KEYS  1 {llm:<account>}:state
-- ARGV  1 to 5 as in base.lua   6 JSON [[id, fence, nonce], ...]
-- Returns {outcome, now, fence, known, alarm, ids of the leases that are lost...}
--@include base
--@include cells
--@include spend
--@include admit
--@include line
--@include permit
--@include breaker
--@include live
--@include pump
--@include ends
arrive()
local lost = {}
for _, one in ipairs(cjson.decode(ARGV[6])) do
  local permit = held(one[1])
  if permit and permit.fence == one[2] and permit.nonce == one[3] then
    start(one[1], permit)
    call('ZADD', LEASES, int(now + permit.ttl), one[1])
  else
    lost[#lost + 1] = one[1]
  end
end
local _, wake = pump()
return finish('renewed', wake, unpack(lost))
