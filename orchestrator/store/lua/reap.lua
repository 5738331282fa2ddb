-- reap: everything that is due on one goal: expired leases, timers, what a script left over, lost messages, the deadline.
-- KEYS  1 dag:{goal}   2 task:{goal}
-- ARGV  1 now   2 most of each   3 lost limit   4 slots JSON   5 dispatch ms
--       6-8 time to live in ms once DONE, FAILED, CANCELLED   9 time to live of a half-built goal   10 '1' to spare expired leases
-- Returns {next due in ms (absolute) or -1, invitations, lost nodes, advice, tally (or none)}: advice is 'wait', 'again' (more is due),
--   'cancel' (a cancellation goes on), 'remove' (its time to live has passed) 'notify' (its parent waits for word) or
--   'orphans' (it was cancelled and its sub-goals must be too)
--@include base
--@include graph
--@include finish
--@include invite
--@include hold
--@include park
--@include due
--@include tally
if not goal_state then return { -1, {}, {}, 'remove' } end
mind(ARGV[4])
local ended = terminal_due()
if ended then
  ended[5] = tally()
  return ended
end
if cancelling then return { int(now + 1000), {}, {}, 'cancel' } end
local most = tonumber(ARGV[2])
local lost = ARGV[10] == '1' and {} or reap_leases(most, tonumber(ARGV[3]))
local woken = fire_timers(most)
for _, item in ipairs(call('LPOP', RIPPLE, 1000) or {}) do pending[#pending + 1] = cjson.decode(item) end
flush()
local deadline = tonumber(call('HGET', G, 'deadline') or '')
if deadline and deadline <= now and not cancelling and not GOAL_TERMINAL[goal_state] then
  call('HSET', G, 'cancelling', 'FAILED', 'reason', 'the deadline has passed')
  cancelling = 'FAILED'
  emit('goal.cancelling', '', '', '', '', '{"reason":"the deadline has passed"}')
end
if cancelling then return { int(now + 1000), {}, lost, 'cancel' } end
bring_back(1000)
redispatch()
local out = invitations(ARGV[4], ARGV[5])
local again = #lost >= most or woken >= most or call('LLEN', RIPPLE) > 0
return { next_due(deadline, tonumber(ARGV[5])), out, lost, again and 'again' or 'wait', tally() }
