-- submit_piece: store up to 1,000 nodes of a goal that is being built. Repeating a piece changes nothing.
-- KEYS  1 dag:{goal}   2 task:{goal}
-- ARGV  1 now   2 digest of the document, then for each node: id, spec JSON, parents JSON, edges, need, open or '', score,
--       queue or '', lane or '', lease ms or ''
-- Returns 'stored', or 'stale' if no goal of this document is being built (any more)
--@include base
if call('HGET', G, 'building') ~= ARGV[2] then return 'stale' end
-- Nothing runs yet, so writing a node again writes the same; the large hashes are written with one call each.
local nodes, deps, edges = {}, {}, {}
local function add(list, id, value)
  if value ~= '' then
    list[#list + 1] = id
    list[#list + 1] = value
  end
end
for at = 3, #ARGV, 10 do
  local id, queue, lane = ARGV[at], ARGV[at + 7], ARGV[at + 8]
  add(nodes, id, ARGV[at + 1])
  add(deps, id, ARGV[at + 2])
  add(edges, id, ARGV[at + 3])
  if ARGV[at + 4] ~= '0' then
    call('HSET', task(id), 'state', 'BLOCKED', 'need', ARGV[at + 4], 'score', ARGV[at + 6])
  else
    call('HSET', task(id), 'state', 'READY', 'score', ARGV[at + 6])
    if lane == '' then call('ZADD', ready_key(queue == '' and 'default' or queue), ARGV[at + 6], id) end
  end
  local rest = {}
  add(rest, 'open', ARGV[at + 5])
  add(rest, 'queue', queue)
  add(rest, 'lane', lane)
  add(rest, 'lease', ARGV[at + 9])
  if #rest > 0 then call('HSET', task(id), unpack(rest)) end
  if queue ~= '' then call('HSETNX', DISPATCH, 'out:' .. queue, 0) end
end
if #nodes > 0 then call('HSET', NODES, unpack(nodes)) end
if #deps > 0 then call('HSET', DEPS, unpack(deps)) end
if #edges > 0 then call('HSET', EDGES, unpack(edges)) end
return 'stored'
