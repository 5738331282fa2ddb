-- tick: nothing but time has passed; the elected process comes back when more may go out.
-- KEYS  1 {llm:<account>}:state
-- ARGV  1 to 5 as in base.lua
-- Returns {outcome, now, fence, known, alarm}
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
call('ZREMRANGEBYSCORE', LIVE, '-inf', int(now - INBOX_MS))
local _, wake = pump()
return finish('ticked', wake)
