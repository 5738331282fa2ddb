-- wake: a parked node goes on, because of an answer, a signal or the end of a child goal. Acts once.
-- KEYS  1 dag:{goal}   2 task:{goal}
-- ARGV  1 now, order   2 node, or '' for every node that waits for this cause   3 cause, as parked: 'approval', 'signal:name',
--       'child:goal', 'task'   4 outcome: done, failed, ready or retry   5 output, failure or resume JSON
--       6 slots JSON   7 dispatch ms   8 '1' to keep the signal for nodes that will wait for it later
-- Returns {outcome, invitations}: 'woken', 'kept' (nobody waits yet), 'stale' (it does not wait for this), 'gone',
--   'ended', or as order.lua says
--@include base
--@include graph
--@include finish
--@include invite
--@include park
--@include order
if not goal_state or call('HEXISTS', G, 'building') == 1 then return { 'gone', {} } end
local before = heed(ARGV[2])
if before then return { before, {} } end
if cancelling or goal_state == 'DONE' or goal_state == 'FAILED' or goal_state == 'CANCELLED' then return { 'ended', {} } end
local cause, woken = ARGV[3], 0
local function try(node, note)
  if note and cjson.decode(note).reason == cause and call('HGET', task(node), 'state') == 'WAITING' then
    wake(node, cause, ARGV[4], ARGV[5])
    woken = woken + 1
  end
end
if ARGV[8] == '1' then
  local name = string.match(cause, '^signal:(.+)$')
  if call('HSETNX', SIGNALS, name, ARGV[5]) == 1 then
    emit('goal.signalled', '', '', '', '', cjson.encode({ signal = name }))
  end
end
if ARGV[2] ~= '' then
  try(ARGV[2], call('HGET', PARKED, ARGV[2]))
else
  local parked = call('HGETALL', PARKED)
  for index = 1, #parked, 2 do try(parked[index], parked[index + 1]) end
end
local outcome = woken > 0 and 'woken' or ARGV[8] == '1' and 'kept' or 'stale'
if outcome ~= 'stale' then obeyed(ARGV[2], outcome) end
flush()
return { outcome, invitations(ARGV[6], ARGV[7]) }
