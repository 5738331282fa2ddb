-- use: a call of the goal is about to join the line of an account of models. Safe to send again.
-- KEYS  1 dag:{goal}   2 task:{goal}
-- ARGV  1 now   2 account
-- Returns 'noted', 'known' or 'gone'
--@include base
if not goal_state then return 'gone' end
local known = call('HGET', G, 'llm')
if string.find(' ' .. (known or '') .. ' ', ' ' .. ARGV[2] .. ' ', 1, true) then return 'known' end
call('HSET', G, 'llm', (known and known .. ' ' or '') .. ARGV[2])
return 'noted'
