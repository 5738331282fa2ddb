-- complete: the result of a deferred tool call, given from outside, once. Safe to send again.
-- KEYS  1 dag:{goal}   2 task:{goal}
-- ARGV  1 now   2 node   3 secret   4 outcome: done or failed   5 output or failure JSON   6 slots JSON   7 dispatch ms
-- Returns {verdict, invitations}: 'completed', 'repeated' (with the same before), 'taken' (with another), 'wrong' (no call of
--   this secret), 'gone', or the state of the node or goal in which nobody reads it. A call that has not parked yet, or whose
--   function is to be tried again, finds it when it parks
--@include base
--@include graph
--@include finish
--@include invite
--@include park
if not goal_state or call('HEXISTS', G, 'building') == 1 then return { 'gone', {} } end
local node = ARGV[2]
local spec = call('HGET', NODES, node)
if not spec or cjson.decode(spec).deferred ~= ARGV[3] then return { 'wrong', {} } end
local mark = redis.sha1hex(ARGV[4] .. ' ' .. ARGV[5])
local given = call('HGET', task(node), 'given')
if given then return { given == mark and 'repeated' or 'taken', {} } end
if cancelling then return { 'CANCELLED', {} } end
local state = call('HGET', task(node), 'state')
if TERMINAL[state] then return { state, {} } end
call('HSET', task(node), 'given', mark)
local note = call('HGET', PARKED, node)
if state == 'WAITING' and note and cjson.decode(note).reason == 'deferred' then wake(node, 'deferred', ARGV[4], ARGV[5])
else call('HSET', task(node), 'gift', ARGV[4] .. ' ' .. ARGV[5]) end
flush()
return { 'completed', invitations(ARGV[6], ARGV[7]) }
