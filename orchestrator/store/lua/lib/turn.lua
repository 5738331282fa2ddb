-- What a step of an agent's node leaves behind: its transcript grows, messages that it took in leave their list, and the
-- calls of its tools become nodes that it will wait for, as a map does for its items.
local function turns_key(node) return T .. ':' .. node .. ':turns' end
local function steer_key(node) return T .. ':' .. node .. ':steer' end
local AGENTS = G .. ':agents'

-- A message came after the request of the last turn was made: the agent does not end, it reads that first.
local function hear_out(node, resume, attempt, token, worker)
  move(node, 'RUNNING', 'WAITING')
  emit('node.waiting', node, attempt, token, worker, '{"reason":"steered"}')
  wake(node, 'steered', 'ready', resume)
end

-- `text` is JSON: {"entries": [text], "steered": number, "event": JSON text or '', "kit": [digest, JSON] or nil,
--   "cards": [[name, JSON]*], "again": what it resumes from should a message be left, or nil, "tools": [ten texts as for
--   submit_piece]*}. Returns true if the node goes on, whatever its end was to be.
local function note_turn(node, attempt, token, worker, text)
  local turn = cjson.decode(text)
  call('HSET', task(node), 'talks', 1) -- it has keys of its own, for its removal
  for _, entry in ipairs(turn.entries) do call('RPUSH', turns_key(node), entry) end
  if turn.steered > 0 then call('LTRIM', steer_key(node), turn.steered, -1) end
  if turn.kit and call('HSETNX', task(node), 'kit', turn.kit[1]) == 1 then -- fixed with the first step: it never grows
    call('HSETNX', AGENTS, 'kit:' .. turn.kit[1], turn.kit[2])
  end
  for _, card in ipairs(turn.cards) do call('HSETNX', AGENTS, card[1], card[2]) end
  if turn.event ~= '' then
    emit('node.turn', node, attempt, token, worker, turn.event)
    call('HDEL', task(node), 'failures', 'lost') -- it got on: what went wrong before counts no more
  end
  if turn.again and call('LLEN', steer_key(node)) > 0 then
    hear_out(node, turn.again, attempt, token, worker)
    return true
  end
  if #turn.tools == 0 then return end
  local added = 0
  for _, values in ipairs(turn.tools) do
    if store_node(values, 1) then
      added = added + 1
      touched[values[8] == '' and 'default' or values[8]] = true
    end
  end
  call('HSET', task(node), 'items_left', added, 'items_failed', 0)
  count('READY', added)
  call('HINCRBY', G, 'total', added)
  emit('node.expanded', node, attempt, token, worker, cjson.encode({ items = added }))
end
