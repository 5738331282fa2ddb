-- commit: end the leases a worker shows, propagate what follows, and claim what is next, in one step.
-- KEYS  1 dag:{goal}   2 task:{goal}
-- ARGV  1 now   2 worker   3 nonce for the next claims   4 lease ms   5 queue to claim from   6 most (0: claim nothing)
--       7 slots JSON   8 dispatch ms   9 most followers to tell of   10 version of the plan that nodes ran ahead under
--       11 number of results, then for each: node, token, nonce, outcome, body, extra, data for the event of a `done`,
--       what an agent's step leaves behind (JSON, see turn.lua) or ''.
--       A + before the outcome: it ran ahead, behind the result before it (see ahead.lua). By outcome, (body; extra) are
--         done    (output JSON or ''; ' target target ' whose `when` does not hold, or '')
--         failed  (failure JSON; the same)
--         retry   (failure JSON; delay ms)
--         park    (park JSON {"reason", "then", "output"?, "resume"?}; delay ms or '')
--         release (what it resumed from, or ''; ''): hand the node back; the attempt does not count
--         running ('', ''): it runs ahead and takes longer than was thought; claim it
-- Returns {status, verdicts, claims, invitations, more}: a verdict is 'accepted', 'repeated' (this lease committed before),
--   'fenced' (the lease is not the node's), 'unclaimed' (it ran ahead and may not be claimed now: it runs again), 'waits'
--   (an agent's end came before a message that it has not read: it goes on), 'cancelling' or 'gone'; more = 1: settle
--@include base
--@include graph
--@include finish
--@include invite
--@include hold
--@include take
--@include park
--@include nodes
--@include turn
--@include ahead
--@include judge
if not goal_state then
  local gone = {}
  for index = 1, tonumber(ARGV[11]) do gone[index] = 'gone' end
  return { 'GONE', gone, {}, {}, 0 }
end
mind(ARGV[7])
local verdicts = {}
expect_ahead(12, tonumber(ARGV[11]), ARGV[10])
for index = 1, tonumber(ARGV[11]) do
  local at = 12 + (index - 1) * 8
  local node, token, nonce = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local follows, outcome = string.match(ARGV[at + 3], '^(%+?)(%l+)$')
  local verdict, attempt
  if follows == '+' and start_ahead(node, token, nonce, worker, ARGV[4], outcome) then
    verdict, attempt = 'accepted', '1'
  else
    verdict, attempt = judge(node, token, nonce), call('HGET', task(node), 'attempt') or ''
    if verdict == 'accepted' and outcome ~= 'running' then unlease(node) end
  end
  if verdict == 'fenced' then
    if follows == '+' then verdict = 'unclaimed' else emit('node.fenced', node, attempt, token, worker, '') end
  elseif verdict == 'accepted' and outcome ~= 'running' then
    if ARGV[at + 7] ~= '' and note_turn(node, attempt, token, worker, ARGV[at + 7]) then verdict = 'waits'
    else apply(node, token, attempt, outcome, ARGV[at + 4], ARGV[at + 5], ARGV[at + 6]) end
  end
  verdicts[index] = verdict
end
ripple()
let_go()
touched[ARGV[5]] = true
local claims = take(ARGV[5], tonumber(ARGV[6]), '', worker, ARGV[3], ARGV[4], tonumber(ARGV[9]))
flush()
local more = call('LLEN', RIPPLE) > 0 and 1 or 0
return { cancelling and 'CANCELLING' or goal_state, verdicts, claims, invitations(ARGV[7], ARGV[8]), more }
