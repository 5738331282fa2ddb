-- expand: a running map node adds its items as nodes, up to 1,000 a call. Repeating a piece changes nothing.
-- KEYS  1 dag:{goal}   2 task:{goal}
-- ARGV  1 now   2 map node   3 token   4 nonce   5 items in all   6 slots JSON   7 dispatch ms, then for each item the
--       ten values of submit_piece
-- Returns {outcome, invitations}: 'stored', or 'fenced' if the map's lease is not the caller's
--@include base
--@include graph
--@include finish
--@include invite
--@include nodes
local map = ARGV[2]
local mine = ARGV[3] .. ' ' .. ARGV[4] .. ' '
local held = call('GET', lock(map))
if cancelling or not held or string.sub(held, 1, #mine) ~= mine then return { 'fenced', {} } end
if call('HSETNX', task(map), 'items_left', ARGV[5]) == 1 then
  call('HSET', task(map), 'items', ARGV[5])
  emit('node.expanded', map, '', ARGV[3], '', cjson.encode({ items = tonumber(ARGV[5]) }))
end
local added = 0
for at = 8, #ARGV, 10 do
  if store_node(ARGV, at) then
    added = added + 1
    touched[ARGV[at + 7] == '' and 'default' or ARGV[at + 7]] = true
  end
end
count('READY', added)
call('HINCRBY', G, 'total', added)
flush()
return { 'stored', invitations(ARGV[6], ARGV[7]) }
