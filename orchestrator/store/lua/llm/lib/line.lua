-- The line of waiters. QUEUE is one lexicographic zset of `owner \1 goal \1 priority \1 order \1 id`, so the head of a flow
-- is one range query. OWNERS and flows:<owner> hold start tags: the least tag is served next and moves on by the share it
-- took over its weight (start-time fair queueing, Goyal et al. 1996; the virtual time is the least tag).
local function prefix(owner, goal) return owner .. '\1' .. goal .. '\1' end

local function join(tags, member)
  if call('ZSCORE', tags, member) then return end
  call('ZADD', tags, call('ZRANGE', tags, 0, 0, 'WITHSCORES')[2] or 0, member)
end

local function advance(tags, member, by)
  local tag = tonumber(call('ZSCORE', tags, member)) or 0
  call('ZADD', tags, string.format('%.17g', tag + by), member)
end

local function enqueue(id, waiter)
  if not waiter.m then
    state.order = state.order + 1
    local rank = string.format('%05d\1%016d\1', 50000 - waiter.priority, state.order)
    waiter.m = prefix(waiter.owner, waiter.goal) .. rank .. id
  end
  if waiter.gated then state.parked = state.parked + 1 end
  call('ZADD', QUEUE, 0, waiter.m)
  call('HSET', WAITERS, id, cjson.encode(waiter))
  join(OWNERS, waiter.owner)
  join(flows_of(waiter.owner), waiter.goal)
end

local function dequeue(id, waiter)
  if waiter.gated then state.parked = state.parked - 1 end
  call('ZREM', QUEUE, waiter.m)
  call('HDEL', WAITERS, id)
end

-- The first waiter of a flow: its id and record, or nil.
local function head(owner, goal)
  local start = prefix(owner, goal)
  local member = call('ZRANGEBYLEX', QUEUE, '[' .. start, '(' .. owner .. '\1' .. goal .. '\2', 'LIMIT', 0, 1)[1]
  if not member then return nil end
  local id = string.match(string.sub(member, #start + 1), '^%d+\1%d+\1(.*)$')
  return id, cjson.decode(call('HGET', WAITERS, id))
end

-- A word to the process that waits; `detail` is fence and time of a grant, or what stands against it.
local function word(id, outcome, detail) return string.format('%s %s %s', outcome, detail, id) end
local function granted(id, permit) return word(id, 'granted', int(permit.fence) .. ' ' .. int(permit.at)) end
local function tell(waiter, message)
  local inbox = inbox_of(waiter.process)
  call('RPUSH', inbox, message)
  call('PEXPIRE', inbox, waiter.gated and GATE_MS or INBOX_MS)
end
