-- Nodes that no claim takes: they, or the agents that do them, are held in this goal (`held`: 'n:<node>', 'a:<agent>' to the
-- JSON of who holds them and why) or in the whole fleet (invite.lua). A claim that meets one sets it aside; once nothing holds
-- it, it goes back among the ready ones. While nobody is held none of this costs a command.
local owner

local function holding() return goal[7] or fleet end

-- The queue is looked at too: that of a user's task is not the one from which its node is claimed.
local function is_held(node)
  if goal[7] and call('HEXISTS', HELD, 'n:' .. node) == 1 then return true end
  local spec = call('HGET', NODES, node) or '{}'
  if not string.find(spec, '"agent"', 1, true) and not string.find(spec, '"queue"', 1, true) then return false end
  spec = cjson.decode(spec)
  if spec.queue and queue_held(spec.queue) then return true end
  if not spec.agent then return false end
  if goal[7] and call('HEXISTS', HELD, 'a:' .. spec.agent) == 1 then return true end
  local agents = fleet and fleet.agents
  if not agents then return false end
  owner = owner or call('HGET', G, 'owner') or 'default'
  return (agents['*/' .. spec.agent] or agents[owner .. '/' .. spec.agent]) ~= nil
end

local function note_held()
  if not goal[7] then
    goal[7] = '1'
    call('HSET', G, 'held', 1)
  end
end

local function set_aside(node)
  note_held()
  call('ZADD', ASIDE, call('HGET', task(node), 'score') or 0, node)
end

-- Put nodes back that nothing holds any more; looks at up to `most` of those aside, going on where the last look ended.
-- Returns whether more are to be looked at.
local function bring_back(most)
  if not goal[7] then return false end
  local at = tonumber(call('HGET', G, 'aside_at') or '0')
  local names = call('ZRANGE', ASIDE, at, at + most - 1)
  for _, node in ipairs(names) do
    if is_held(node) then at = at + 1
    else
      local record = call('HMGET', task(node), 'state', 'score', 'queue')
      local queue = record[3] or 'default'
      call('ZREM', ASIDE, node)
      call('ZADD', ready_key(queue), record[2] or 0, node)
      touched[queue] = true
    end
  end
  if #names == most then
    call('HSET', G, 'aside_at', at)
    return true
  end
  call('HDEL', G, 'aside_at')
  if call('EXISTS', HELD, ASIDE) == 0 then call('HDEL', G, 'held') end
  return false
end
