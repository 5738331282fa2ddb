-- Whose commit it is, and what it does. `worker` is who commits.
local worker = ARGV[2]

local function apply(node, token, attempt, outcome, body, extra, data)
  if outcome == 'done' then complete(node, 'RUNNING', body, extra, attempt, token, worker, data)
  elseif outcome == 'failed' then fail(node, 'RUNNING', body, extra, attempt, token, worker)
  elseif outcome == 'retry' then retry_later(node, body, extra, attempt, token, worker)
  elseif outcome == 'park' then park(node, body, extra, attempt, token, worker)
  else
    if body == '' then call('HINCRBY', task(node), 'attempt', -1) else call('HSET', task(node), 'resume', body) end
    make_ready(node, 'RUNNING')
    emit('node.released', node, attempt, token, worker, '')
  end
end

local function judge(node, token, nonce)
  local mine = token .. ' ' .. nonce .. ' '
  local held = call('GET', lock(node))
  if held and string.sub(held, 1, #mine) == mine then return cancelling and 'cancelling' or 'accepted' end
  local record = call('HMGET', task(node), 'state', 'token')
  if record[2] == token and record[1] ~= 'RUNNING' and not held and record[1] ~= 'CANCELLED' then return 'repeated' end
  return 'fenced'
end
