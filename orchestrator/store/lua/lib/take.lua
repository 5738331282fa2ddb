-- Hand the best ready nodes of a queue to a worker, each under a lease of its own.
local function take(queue, most, hint, worker, nonce, lease_ms)
  if goal_state ~= 'RUNNING' or cancelling or most < 1 then return {} end
  local ready, nodes = ready_key(queue), {}
  if hint ~= '' and call('ZREM', ready, hint) == 1 then nodes[1] = hint end
  if #nodes < most then
    local popped = call('ZPOPMIN', ready, most - #nodes)
    for index = 1, #popped, 2 do nodes[#nodes + 1] = popped[index] end
  end
  if #nodes == 0 then return {} end
  local token = call('HINCRBY', G, 'token', #nodes) - #nodes
  local specs = call('HMGET', NODES, unpack(nodes))
  local out, expiries = {}, {}
  for index, node in ipairs(nodes) do
    local key = task(node)
    local record = call('HMGET', key, 'attempt', 'resume', 'lease', 'failures')
    local attempt = tonumber(record[1] or '0') + (record[2] and 0 or 1)
    local lease = tonumber(record[3] or lease_ms)
    token = token + 1
    call('HSET', key, 'state', 'RUNNING', 'attempt', attempt, 'token', token)
    if record[2] then call('HDEL', key, 'resume') end
    call('SET', lock(node), token .. ' ' .. nonce .. ' ' .. worker)
    expiries[#expiries + 1] = int(now + lease)
    expiries[#expiries + 1] = node
    emit('node.claimed', node, attempt, token, worker, '')
    out[index] = { node, token, attempt, lease, tonumber(record[4] or '0'), specs[index], record[2] or '' }
  end
  call('ZADD', LEASES, unpack(expiries))
  count('READY', -#nodes)
  count('RUNNING', #nodes)
  return out
end
