-- Who follows a node in a line and could run right behind it: {node, spec JSON, parents JSON}* of nodes that wait for it
-- alone and for the first time, with nothing of their own that a claim must look at (ahead.lua).
local function followers(node, most, queue)
  local out = {}
  while #out < most do
    local next_node = call('HGET', EDGES, node)
    if not next_node or string.find(next_node, '[ :]') then break end
    local record = call('HMGET', task(next_node), 'state', 'need', 'open', 'queue', 'lane', 'lease', 'attempt')
    if record[1] ~= 'BLOCKED' or record[2] ~= '1' or record[3] or (record[4] or 'default') ~= queue then break end
    if record[5] or record[6] or record[7] or (holding() and is_held(next_node)) then break end
    out[#out + 1] = { next_node, call('HGET', NODES, next_node), call('HGET', DEPS, next_node) }
    node = next_node
  end
  return out
end

-- The best ready nodes of a queue. What is held is set aside on the way, up to 500 nodes a script.
local function best(queue, most, hint)
  local ready, nodes = ready_key(queue), {}
  if hint ~= '' and call('ZREM', ready, hint) == 1 then nodes[1] = hint end
  if #nodes < most then
    local popped = call('ZPOPMIN', ready, most - #nodes)
    for index = 1, #popped, 2 do nodes[#nodes + 1] = popped[index] end
  end
  return nodes
end

local function best_free(queue, most, hint)
  local nodes = best(queue, most, hint)
  if not holding() then return nodes end
  local free, looked = {}, 0
  while #nodes > 0 do
    for _, node in ipairs(nodes) do
      if is_held(node) then set_aside(node) else free[#free + 1] = node end
    end
    looked = looked + #nodes
    if #free >= most then break end
    if looked > 500 then
      touched[queue] = true -- another invitation goes on
      break
    end
    nodes = best(queue, most - #free, '')
  end
  return free
end

-- Hand the best ready nodes of a queue to a worker, each under a lease of its own. One that is alone comes with up to
-- `look_ahead` followers; tokens are reserved for them.
local function take(queue, most, hint, worker, nonce, lease_ms, look_ahead)
  if goal_state ~= 'RUNNING' or cancelling or most < 1 then return {} end
  if queue_held(queue) then return {} end
  local nodes = best_free(queue, most, hint)
  if #nodes == 0 then return {} end
  local line = #nodes == 1 and look_ahead and followers(nodes[1], look_ahead, queue) or {}
  local token = call('HINCRBY', G, 'token', #nodes + #line) - #nodes - #line
  local specs = call('HMGET', NODES, unpack(nodes))
  local out, expiries = {}, {}
  for index, node in ipairs(nodes) do
    local key = task(node)
    local record = call('HMGET', key, 'attempt', 'resume', 'lease', 'failures', 'lane')
    local attempt = tonumber(record[1] or '0') + (record[2] and 0 or 1)
    local lease = tonumber(record[3] or lease_ms)
    token = token + 1
    call('HSET', key, 'state', 'RUNNING', 'attempt', attempt, 'token', token)
    if record[2] then call('HDEL', key, 'resume') end
    call('SET', lock(node), token .. ' ' .. nonce .. ' ' .. worker)
    expiries[#expiries + 1] = int(now + lease)
    expiries[#expiries + 1] = node
    emit('node.claimed', node, attempt, token, worker, record[5] and place_in(record[5], node) or '')
    out[index] = { node, token, attempt, lease, tonumber(record[4] or '0'), specs[index], record[2] or '', line, goal[5] or '',
      goal[6] or '' }
  end
  call('ZADD', LEASES, unpack(expiries))
  count('READY', -#nodes)
  count('RUNNING', #nodes)
  return out
end
