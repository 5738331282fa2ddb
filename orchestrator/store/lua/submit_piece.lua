-- submit_piece: store up to 1,000 nodes of a goal that is being built. Repeating a piece changes nothing.
-- KEYS  1 dag:{goal}   2 task:{goal}
-- ARGV  1 now   2 submission nonce, then for each node: id, spec JSON, parents JSON, edges, need, open or '', score,
--       queue or '', lane or '', lease ms or ''
-- Returns 'stored', or 'stale' if this submission no longer holds the goal
--@include base
--@include nodes
if call('HGET', G, 'building') ~= ARGV[2] then return 'stale' end
for at = 3, #ARGV, 10 do store_node(at) end
return 'stored'
