-- The moves of a patch.
local OUTCOME = { DONE = 'd', FAILED = 'f', SKIPPED = 's', DROPPED = 'x', CANCELLED = 's' }
-- Of a node that has ended; one that was dropped as failed counts as such.
local function outcome_of(node)
  local record = call('HMGET', task(node), 'state', 'as')
  return record[1] == 'DROPPED' and record[2] or OUTCOME[record[1] or '']
end
local OPEN = { BLOCKED = true, READY = true }

-- The first node that the patch may not touch any more, or nil. Checked before anything is written.
local function first_fixed(patch)
  for _, target in ipairs(patch.targets) do
    local state = call('HGET', task(target.id), 'state')
    if state and not OPEN[state] then return target.id end
    for _, parent in ipairs(target.parents) do
      local now_state = call('HGET', task(parent[1]), 'state')
      if parent[2] == 'w' and parent[3] == -1 and OUTCOME[now_state or ''] then return parent[1] end
    end
  end
  for _, node in ipairs(patch.drop) do
    local state = call('HGET', task(node), 'state')
    if not OPEN[state or ''] and state ~= 'WAITING' then return node end
  end
  return nil
end

local function unqueue(node)
  local record = call('HMGET', task(node), 'queue', 'lane')
  call('ZREM', ready_key(record[1] or 'default'), node)
  if goal[7] then call('ZREM', ASIDE, node) end
  leave_lane(node)
end

-- Set a node's join anew from the states that its parents are in at this moment.
local function rewire(target)
  local node, need, open = target.id, target.need, 0
  for _, parent in ipairs(target.parents) do
    local outcome = outcome_of(parent[1])
    if not outcome then open = open + 1
    elseif fires(parent[2], outcome, node, parent[3] == 0 and ' ' .. node .. ' ' or '') then need = need - 1 end
  end
  if target.deps == '' then call('HDEL', DEPS, node) else call('HSET', DEPS, node, target.deps) end
  local state = call('HGET', task(node), 'state')
  if need <= 0 then
    if state == 'BLOCKED' then make_ready(node, 'BLOCKED') end
    return
  end
  if state == 'READY' then
    unqueue(node)
    move(node, 'READY', 'BLOCKED')
  end
  call('HSET', task(node), 'need', need, 'open', open)
  if open < need then
    move(node, 'BLOCKED', 'SKIPPED')
    emit('node.skipped', node, '', '', '', '')
    pending[#pending + 1] = { node, 's', '', 1 }
  end
end

-- `as` 'f': its edges fire as if it had failed, and so does the goal if nothing deals with that.
local function drop(node, as)
  local state = call('HGET', task(node), 'state')
  if not OPEN[state] and state ~= 'WAITING' then return end -- this very patch skipped it
  if state == 'READY' then unqueue(node) end
  if state == 'WAITING' then
    call('HDEL', PARKED, node)
    call('ZREM', TIMERS, node)
    leave_lane(node)
  end
  move(node, state, 'DROPPED')
  emit('node.dropped', node, '', '', '', as and '{"as":"failed"}' or '')
  if as then
    call('HSET', task(node), 'as', as)
    if not handled(call('HGET', EDGES, node)) then call('HINCRBY', G, 'unhandled', 1) end
  end
  pending[#pending + 1] = { node, as or 'x', '', 1 }
end
