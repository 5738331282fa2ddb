-- Nodes that a worker ran before their parent was committed. A claim tells the followers of its node: those that only
-- wait for it, in a line, with a token reserved for each. While they are short the worker runs on along the line under
-- the one lease, and commits all of it in one step; here each becomes RUNNING under its reserved token, and ends.

-- Let these nodes be taken over as soon as their join fires, if the plan is still the one that the worker saw.
local function expect_ahead(at, results, version)
  if goal_state ~= 'RUNNING' or cancelling or goal[5] ~= version or (fleet and queue_held(ARGV[5])) then return end
  for index = 1, results do
    if string.sub(ARGV[at + 3], 1, 1) == '+' and not (holding() and is_held(ARGV[at])) then ahead[ARGV[at]] = 'expected' end
    at = at + 8
  end
end

-- Claim a node that ran ahead. Returns whether it could be: its parent's commit in this script has set it free.
local function start_ahead(node, token, nonce, worker, lease_ms, outcome)
  if not ahead[node] then return false end
  ripple()
  if ahead[node] ~= 'free' then return false end
  ahead[node] = nil
  count('BLOCKED', -1)
  count('RUNNING', 1)
  call('HSET', task(node), 'state', 'RUNNING', 'attempt', 1, 'token', token)
  if outcome == 'running' then
    call('SET', lock(node), token .. ' ' .. nonce .. ' ' .. worker)
    call('ZADD', LEASES, int(now + tonumber(lease_ms)), node)
  end
  emit('node.claimed', node, 1, token, worker, '')
  return true
end

-- What was set free and not claimed after all is READY, for anyone.
local function let_go()
  for node, what in pairs(ahead) do
    if what == 'free' then make_ready(node, 'BLOCKED') end
  end
  ahead = {}
end
