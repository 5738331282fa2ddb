-- steer: messages for an agent's node. It takes them in, in their order, with its next turn.
-- KEYS  1 dag:{goal}   2 task:{goal}
-- ARGV  1 now, order   2 node   3 most that may wait, then for each message: its id, its JSON
-- Returns 'steered', 'known' (every one of them came before, whatever became of the node since), 'full', 'missing' (no such
--   node), 'other' (it is no agent's), 'gone', the state of the node or goal in which nobody would read them, or as
--   order.lua says
--@include base
--@include finish
--@include turn
--@include order
if not goal_state or call('HEXISTS', G, 'building') == 1 then return 'gone' end
local node = ARGV[2]
local spec = call('HGET', NODES, node)
if not spec then return 'missing' end
if cjson.decode(spec).kind ~= 'agent' then return 'other' end
local before = heed(node)
if before then return before end
local new = {}
for at = 4, #ARGV, 2 do
  if call('HEXISTS', task(node), 'said:' .. ARGV[at]) == 0 then new[#new + 1] = at end
end
if #new == 0 then return 'known' end
if cancelling then return 'CANCELLED' end
local state = call('HGET', task(node), 'state')
if TERMINAL[state] then return state end
if call('LLEN', steer_key(node)) + #new > tonumber(ARGV[3]) then return 'full' end
call('HSET', task(node), 'talks', 1)
for _, at in ipairs(new) do
  if call('HSETNX', task(node), 'said:' .. ARGV[at], 1) == 1 then -- a caller may name one twice
    call('RPUSH', steer_key(node), ARGV[at + 1])
    emit('node.steered', node, '', '', '', cjson.encode({ id = ARGV[at] }))
  end
end
return obeyed(node, 'steered')
