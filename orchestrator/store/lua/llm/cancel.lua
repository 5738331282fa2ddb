-- cancel: waiters leave the line, by their ids. A gated call that was granted and did not begin leaves too: its message finds
-- the permit lost.
-- KEYS  1 {llm:<account>}:state
-- ARGV  1 to 5 as in base.lua   6 JSON [id, ...]
-- Returns {outcome, now, fence, known, alarm, words...}: a word an id, 'cancelled <how many of its flow were before it>
--   <id>', 'granted <fence> <time> <id>' (too late: settle it or hand it back) or 'unknown - <id>'
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
local words = {}
for index, id in ipairs(cjson.decode(ARGV[6])) do
  local found, permit = call('HGET', WAITERS, id), held(id)
  if found then
    local waiter = cjson.decode(found)
    local before = call('ZLEXCOUNT', QUEUE, '[' .. prefix(waiter.owner, waiter.goal), '(' .. waiter.m)
    dequeue(id, waiter)
    words[index] = word(id, 'cancelled', before)
  elseif permit and permit.gated and not permit.cell then
    undo(id, permit)
    words[index] = word(id, 'cancelled', 0)
  elseif permit then
    words[index] = granted(id, permit)
  else
    words[index] = word(id, 'unknown', '-')
  end
end
local _, wake = pump()
return finish('done', wake, unpack(words))
