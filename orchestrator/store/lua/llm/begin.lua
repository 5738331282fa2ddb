-- begin: the call of a permit starts now. A gated call does this first: a claim that ran out is refused. So does one that
-- is late; if it counted as started already, its charge moves to now.
-- KEYS  1 {llm:<account>}:state
-- ARGV  1 to 5 as in base.lua   6 id   7 fence   8 nonce   9 how long its lease lasts, ms, or '' as it asked for
-- Returns {outcome, now, fence, known, alarm}: 'started' (also when sent again) or 'lost'
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
local permit, outcome = held(ARGV[6]), 'lost'
if permit and permit.fence == tonumber(ARGV[7]) and permit.nonce == ARGV[8] then
  permit.ttl = tonumber(ARGV[9]) or permit.ttl
  outcome = restart(ARGV[6], permit) and 'started' or 'lost'
end
local _, wake = pump()
return finish(outcome, wake)
