-- reopen: run failed nodes of a goal again that has not ended. The joins behind them are set anew from the states that their
-- parents are in at this moment: all or nothing.
-- KEYS  1 dag:{goal}   2 task:{goal}
-- ARGV  1 now, order   2 version of the plan   3 slots JSON   4 dispatch ms   5 node that the command named, or ''
--       6 JSON [{"id", "state": in which it must be, "need", "chosen", "items": left of a map or '', "parents": [[id, edge letter,
--         1 or 0: its `when` holds, -1: not known]]}]: those that run again, and behind them what waits for its join or its claim
-- Returns {outcome, invitations}: 'retried', 'changed' (a node moved on, or the plan did: read again), 'busy' (edges are still
--   being resolved: settle first), 'gone', the state of the goal that forbids it, or as order.lua says
--@include base
--@include graph
--@include finish
--@include invite
--@include rewire
--@include reopen
--@include order
if not goal_state or call('HEXISTS', G, 'building') == 1 then return { 'gone', {} } end
local before = heed(ARGV[5])
if before then return { before, {} } end
if cancelling then return { 'CANCELLING', {} } end
if goal_state ~= 'RUNNING' and goal_state ~= 'PAUSED' then return { goal_state, {} } end
if (goal[5] or '1') ~= ARGV[2] then return { 'changed', {} } end
if call('LLEN', RIPPLE) > 0 then return { 'busy', {} } end
local rows, again = cjson.decode(ARGV[6]), {}
for _, row in ipairs(rows) do
  if call('HGET', task(row.id), 'state') ~= row.state then return { 'changed', {} } end
  if TERMINAL[row.state] then again[row.id] = true end
end

-- Edges into a node that must still fire, and those that can; nil where a condition is not known.
local function join(row)
  local need, open = row.need, 0
  for _, parent in ipairs(row.parents) do
    local outcome = not again[parent[1]] and outcome_of(parent[1])
    if not outcome then open = open + 1
    elseif parent[2] == 'w' and parent[3] == -1 and outcome == 'd' then return nil
    elseif fires(parent[2], outcome, row.id, parent[3] == 0 and ' ' .. row.id .. ' ' or '') then need = need - 1 end
  end
  return need, open
end

for _, row in ipairs(rows) do
  row.left, row.open = join(row)
  if not row.left or (not row.chosen and row.left > row.open) then return { 'changed', {} } end
end
for _, row in ipairs(rows) do
  if again[row.id] then
    reopen(row.id, row.state, row.items)
    emit('node.reopened', row.id, '', '', '', '')
  end
  if row.left <= 0 then
    if row.state ~= 'READY' then make_ready(row.id, row.state) end
  else
    if row.state == 'READY' then unqueue(row.id) end
    if row.state ~= 'BLOCKED' then move(row.id, row.state, 'BLOCKED') end
    call('HSET', task(row.id), 'need', row.left, 'open', row.open)
  end
end
obeyed(ARGV[5], 'retried')
flush()
return { 'retried', invitations(ARGV[3], ARGV[4]) }
