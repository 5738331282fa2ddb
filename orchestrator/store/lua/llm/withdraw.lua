-- withdraw: every waiter of a goal leaves the line, at most 500 a script; processes that wait are told.
-- KEYS  1 {llm:<account>}:state
-- ARGV  1 to 5 as in base.lua   6 owner   7 goal
-- Returns {outcome, now, fence, known, alarm, how many}: 'more' if there may be others
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
local start = prefix(ARGV[6], ARGV[7])
local members = call('ZRANGEBYLEX', QUEUE, '[' .. start, '(' .. ARGV[6] .. '\1' .. ARGV[7] .. '\2', 'LIMIT', 0, 500)
for _, member in ipairs(members) do
  local id = string.match(string.sub(member, #start + 1), '^%d+\1%d+\1(.*)$')
  local waiter = cjson.decode(call('HGET', WAITERS, id))
  dequeue(id, waiter)
  if not waiter.gated then tell(waiter, word(id, 'cancelled', '-')) end -- a gated one's node was cancelled before
end
local _, wake = pump()
return finish(#members == 500 and 'more' or 'done', wake, #members)
