-- Nodes that wait without a worker: a back-off, a timer, a signal, an approval, a child goal, the items of a map.
local function wake(node, by, outcome, body)
  local attempt = call('HGET', task(node), 'attempt') or ''
  call('HDEL', PARKED, node)
  call('ZREM', TIMERS, node)
  emit('node.woken', node, attempt, '', '', cjson.encode({ by = by }))
  if outcome == 'done' and string.find((call('HGET', EDGES, node) or '') .. ' ', ':w ') then
    outcome, body = 'ready', '=' .. body -- a worker commits this output, for it can test the conditions of the edges
  end
  if outcome == 'done' then complete(node, 'WAITING', body, '', attempt, '', '', '')
  elseif outcome == 'failed' then fail(node, 'WAITING', body, '', attempt, '', '')
  else
    if outcome == 'ready' then call('HSET', task(node), 'resume', body) end -- else 'retry': a new attempt
    make_ready(node, 'WAITING')
  end
end

local function retry_later(node, failure, delay, attempt, token, worker)
  call('HINCRBY', task(node), 'failures', 1)
  emit('node.retry', node, attempt, token, worker, failure)
  if tonumber(delay) <= 0 then return make_ready(node, 'RUNNING') end
  move(node, 'RUNNING', 'WAITING')
  call('HSET', PARKED, node, '{"reason":"backoff","then":"retry"}')
  call('ZADD', TIMERS, int(now + tonumber(delay)), node)
end

-- What waits until every node that it added has ended: a map, an agent's turn for its tools or for other agents.
local FOR_ITEMS = { items = true, tools = true, children = true }

-- A park whose cause came first is woken at once: the signal is there, or the last item has ended.
local function park(node, body, delay, attempt, token, worker)
  local note = cjson.decode(body)
  move(node, 'RUNNING', 'WAITING')
  call('HSET', PARKED, node, body)
  emit('node.waiting', node, attempt, token, worker, cjson.encode({ reason = note.reason, why = note.why }))
  if delay ~= '' then call('ZADD', TIMERS, int(now + tonumber(delay)), node) end
  local signal = string.match(note.reason, '^signal:(.+)$')
  local sent = signal and call('HGET', SIGNALS, signal)
  local gift = note.reason == 'deferred' and call('HGET', task(node), 'gift')
  if sent then wake(node, note.reason, 'done', sent)
  elseif gift then
    call('HDEL', task(node), 'gift')
    wake(node, 'deferred', string.match(gift, '^(%l+) (.*)$'))
  elseif FOR_ITEMS[note.reason] and tonumber(call('HGET', task(node), 'items_left') or '0') <= 0 then
    wake(node, 'items', 'ready', note.resume or 'items')
  end
end
