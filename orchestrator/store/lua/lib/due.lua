-- When a goal must be looked at next, and what is due on it now.
local GOAL_TERMINAL = { DONE = 6, FAILED = 7, CANCELLED = 8 } -- the ARGV that holds its time to live

local function terminal_due()
  local record = call('HMGET', G, 'building', 'created', 'ended', 'notify', 'orphans')
  if record[1] then
    local at = tonumber(record[2]) + tonumber(ARGV[9])
    return { int(at), {}, {}, at <= now and 'remove' or 'wait' }
  end
  local ttl = GOAL_TERMINAL[goal_state]
  if not ttl then return nil end
  if record[5] then return { int(now + 1000), {}, {}, 'orphans' } end
  if record[4] then return { int(now + 1000), {}, {}, 'notify' } end
  local at = tonumber(record[3]) + tonumber(ARGV[ttl])
  return { int(at), {}, {}, at <= now and 'remove' or 'wait' }
end

-- A lease that ran out: the worker is gone or stands still. Its late commit will be fenced.
local function reap_leases(most, limit)
  local lost = call('ZRANGEBYSCORE', LEASES, '-inf', now, 'LIMIT', 0, most)
  for _, node in ipairs(lost) do
    local record = call('HMGET', task(node), 'attempt', 'token')
    local worker = string.match(call('GET', lock(node)) or '', '^%S+ %S+ (.*)$') or ''
    unlease(node)
    call('HDEL', task(node), 'token') -- else the late commit would pass for a repetition of one that was accepted
    emit('node.lost', node, record[1], record[2], worker, '')
    if call('HINCRBY', task(node), 'lost', 1) >= limit then
      local times = 'its worker was lost ' .. limit .. ' times'
      local failure = cjson.encode({ reason = 'lost', error = times .. ', last ' .. worker })
      fail(node, 'RUNNING', failure, '', record[1], record[2], worker)
    else
      make_ready(node, 'RUNNING')
    end
  end
  if #lost > 0 then -- invitations that their workers had taken went with them: send anew, and do not wait for those
    for queue in pairs(touched) do call('HSET', DISPATCH, 'out:' .. queue, 0) end
  end
  return lost
end

local function fire_timers(most)
  local due = call('ZRANGEBYSCORE', TIMERS, '-inf', now, 'LIMIT', 0, most)
  for _, node in ipairs(due) do
    call('ZREM', TIMERS, node)
    local note = call('HGET', PARKED, node)
    if note then
      note = cjson.decode(note)
      local body = note['then'] == 'done' and note.output or note['then'] == 'failed' and note.failure or note.resume
      wake(node, 'timer', note['then'], body or '')
    end
  end
  return #due
end

-- Invitations that nobody took in time count as lost, and are sent again.
local function redispatch()
  local record = call('HGETALL', DISPATCH)
  local values = {}
  for index = 1, #record, 2 do values[record[index]] = record[index + 1] end
  for field, out in pairs(values) do
    local queue = string.match(field, '^out:(.+)$')
    if queue and call('ZCARD', ready_key(queue)) > 0 then
      if tonumber(values['due:' .. queue] or '0') <= now and out ~= '0' then
        call('HSET', DISPATCH, field, 0)
        call('HINCRBY', DISPATCH, 'unanswered:' .. queue, 1)
      end
      touched[queue] = true
    end
  end
end

-- The nearest deadline of an invitation that is out.
local function next_dispatch(dispatch_ms)
  local at = math.huge
  for _, field in ipairs(call('HKEYS', DISPATCH)) do
    local queue = string.match(field, '^due:(.+)$')
    if queue and not queue_held(queue) and call('ZCARD', ready_key(queue)) > 0 then at = math.min(at, tonumber(call('HGET', DISPATCH, field))) end
  end
  if at < math.huge then return at end
  return now + ((fleet or goal[7]) and 10000 or dispatch_ms) -- what is held does not become free so soon
end

local function next_due(deadline, dispatch_ms)
  local at = math.huge
  local function sooner(value) if value and tonumber(value) < at then at = tonumber(value) end end
  sooner(call('ZRANGE', LEASES, 0, 0, 'WITHSCORES')[2])
  sooner(call('ZRANGE', TIMERS, 0, 0, 'WITHSCORES')[2])
  sooner(deadline)
  if call('LLEN', RIPPLE) > 0 then sooner(now) end
  if tonumber(call('HGET', G, 'n:RUNNING') or '0') > 0 then sooner(now + 3000) end -- what runs may park or fail any moment
  if goal_state == 'RUNNING' and tonumber(call('HGET', G, 'n:READY') or '0') > 0 then sooner(next_dispatch(dispatch_ms)) end
  if GOAL_TERMINAL[goal_state] then sooner(now) end
  return at == math.huge and int(now + 60000) or int(math.max(at, now))
end
