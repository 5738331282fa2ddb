-- The line of waiters. QUEUE is one lexicographic zset of `owner \1 goal \1 priority \1 order \1 id`, so the head of a flow
-- is one range query. OWNERS and flows:<owner> hold start tags: the least tag is served next and moves on by the share it
-- took over its weight (start-time fair queueing, Goyal et al. 1996). The virtual time is the tag at which the last call
-- was granted: who joins, and who was passed over because it has no slot, is owed nothing of the time before. Joining tags
-- differ by a trifle, or those who came at one virtual time would be served by their names.
local function prefix(owner, goal) return owner .. '\1' .. goal .. '\1' end

local STEP = 1e-9

-- A member that is not there joins behind all who joined before; returns the tag of the last that joined.
local function join(tags, member, virtual, last)
  if call('ZSCORE', tags, member) then return last end
  last = math.max(virtual, last + STEP)
  call('ZADD', tags, string.format('%.17g', last), member)
  return last
end

-- Of an owner's goals: the virtual time, and the tag of the last that joined.
local function virtual_of(owner)
  local from, last = string.match(call('HGET', VIRTUAL, owner) or '0 0', '^(%S+) (%S+)$')
  return tonumber(from), tonumber(last)
end

local function set_virtual(owner, from, last) call('HSET', VIRTUAL, owner, string.format('%.17g %.17g', from, last)) end

-- Returns the virtual time from now on.
local function advance(tags, member, by, virtual)
  local from = math.max(tonumber(call('ZSCORE', tags, member)) or 0, virtual)
  call('ZADD', tags, string.format('%.17g', from + by), member)
  return from
end

-- A call of the goal was granted.
local function served(owner, goal, waiter, part)
  state.virtual = advance(OWNERS, owner, part / waiter.owner_weight, state.virtual)
  local from, last = virtual_of(owner)
  set_virtual(owner, advance(flows_of(owner), goal, part / waiter.weight, from), last)
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
  state.joining = join(OWNERS, waiter.owner, state.virtual, state.joining)
  local from, last = virtual_of(waiter.owner)
  local now_last = join(flows_of(waiter.owner), waiter.goal, from, last)
  if now_last ~= last then set_virtual(waiter.owner, from, now_last) end
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
