-- commit: end the leases a worker shows, propagate what follows, and claim what is next, in one step.
-- KEYS  1 dag:{goal}   2 task:{goal}
-- ARGV  1 now   2 worker   3 nonce for the next claims   4 lease ms   5 queue to claim from   6 most (0: claim nothing)
--       7 slots JSON   8 dispatch ms   9 number of results, then for each result:
--       node, token, nonce, outcome, body, extra. By outcome, (body; extra) are
--         done    (output JSON or ''; ' target target ' whose `when` does not hold, or '')
--         failed  (failure JSON; the same)
--         retry   (failure JSON; delay ms)
--         park    (park JSON {"reason", "then", "output"?, "resume"?}; delay ms or '')
--         release (what it resumed from, or ''; ''): hand the node back; the attempt does not count
-- Returns {status, verdicts, claims, invitations, more}: a verdict is 'accepted', 'repeated' (this lease committed before),
--   'fenced' (the lease is not the node's), 'cancelling' or 'gone'; more = 1 if the ripple list needs another script
--@include base
--@include graph
--@include finish
--@include invite
--@include take
--@include park
if not goal_state then
  local gone = {}
  for index = 1, tonumber(ARGV[9]) do gone[index] = 'gone' end
  return { 'GONE', gone, {}, {}, 0 }
end
local worker, verdicts = ARGV[2], {}

local function apply(node, token, attempt, outcome, body, extra)
  if outcome == 'done' then complete(node, 'RUNNING', body, extra, attempt, token, worker)
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

for index = 1, tonumber(ARGV[9]) do
  local at = 10 + (index - 1) * 6
  local node, token, outcome = ARGV[at], ARGV[at + 1], ARGV[at + 3]
  local verdict = judge(node, token, ARGV[at + 2])
  verdicts[index] = verdict
  local attempt = call('HGET', task(node), 'attempt') or ''
  if verdict == 'accepted' then
    unlease(node)
    apply(node, token, attempt, outcome, ARGV[at + 4], ARGV[at + 5])
  elseif verdict == 'fenced' then
    emit('node.fenced', node, attempt, token, worker, '')
  end
end
ripple()
touched[ARGV[5]] = true
local claims = take(ARGV[5], tonumber(ARGV[6]), '', worker, ARGV[3], ARGV[4])
flush()
local more = call('LLEN', RIPPLE) > 0 and 1 or 0
return { cancelling and 'CANCELLING' or goal_state, verdicts, claims, invitations(ARGV[7], ARGV[8]), more }
