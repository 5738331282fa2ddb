-- Store one node from ten values of a list: id, spec JSON, parents JSON, edges, need, open, score, queue, lane, lease ms.
-- A node that is stored already is left alone. Returns whether it is new.
local function store_node(values, at)
  local id, need, queue = values[at], tonumber(values[at + 4]), values[at + 7]
  if call('HSETNX', NODES, id, values[at + 1]) == 0 then return false end
  if values[at + 2] ~= '' then call('HSET', DEPS, id, values[at + 2]) end
  if values[at + 3] ~= '' then call('HSET', EDGES, id, values[at + 3]) end
  local lane = values[at + 8]
  if need > 0 then
    call('HSET', task(id), 'state', 'BLOCKED', 'need', need, 'score', values[at + 6])
  else
    call('HSET', task(id), 'state', 'READY', 'score', values[at + 6])
    if lane == '' then call('ZADD', ready_key(queue == '' and 'default' or queue), values[at + 6], id) end
  end
  if values[at + 5] ~= '' then call('HSET', task(id), 'open', values[at + 5]) end
  if queue ~= '' then call('HSET', task(id), 'queue', queue) end
  if lane ~= '' then call('HSET', task(id), 'lane', lane) end
  if values[at + 9] ~= '' then call('HSET', task(id), 'lease', values[at + 9]) end
  if queue ~= '' then call('HSETNX', DISPATCH, 'out:' .. queue, 0) end
  return true
end
