-- Store one node from ten arguments: id, spec JSON, parents JSON, edges, need, open, score, queue, lane, lease ms.
-- A node that is stored already is left alone. Returns whether it is new.
local function store_node(at)
  local id, need, queue = ARGV[at], tonumber(ARGV[at + 4]), ARGV[at + 7]
  if call('HSETNX', NODES, id, ARGV[at + 1]) == 0 then return false end
  if ARGV[at + 2] ~= '' then call('HSET', DEPS, id, ARGV[at + 2]) end
  if ARGV[at + 3] ~= '' then call('HSET', EDGES, id, ARGV[at + 3]) end
  local lane = ARGV[at + 8]
  if need > 0 then
    call('HSET', task(id), 'state', 'BLOCKED', 'need', need, 'score', ARGV[at + 6])
  else
    call('HSET', task(id), 'state', 'READY', 'score', ARGV[at + 6])
    if lane == '' then call('ZADD', ready_key(queue == '' and 'default' or queue), ARGV[at + 6], id) end
  end
  if ARGV[at + 5] ~= '' then call('HSET', task(id), 'open', ARGV[at + 5]) end
  if queue ~= '' then call('HSET', task(id), 'queue', queue) end
  if lane ~= '' then call('HSET', task(id), 'lane', lane) end
  if ARGV[at + 9] ~= '' then call('HSET', task(id), 'lease', ARGV[at + 9]) end
  if queue ~= '' then call('HSETNX', DISPATCH, 'out:' .. queue, 0) end
  return true
end
