-- hold: no further claim of a node, or of the nodes of an agent, in this goal; what runs finishes. release: the opposite.
-- look: put back what was set aside and nothing holds any more, and invite to it.
-- KEYS  1 dag:{goal}   2 task:{goal}
-- ARGV  1 now, order   2 'hold', 'release' or 'look'   3 'node', 'agent' or ''   4 its name   5 by   6 reason   7 slots JSON
--       8 dispatch ms   9 '1' if the goal has such an agent
-- Returns {outcome, invitations, more}: 'held', 'released', 'unchanged' (it was so before), 'missing' (no such node, or no node
--   of such an agent), 'looked', 'gone', the state of a node or goal in which nobody claims it, or as order.lua says;
--   more = 1: call it with 'look' until it is 0
--@include base
--@include graph
--@include finish
--@include invite
--@include hold
--@include order
local verb, what, name = ARGV[2], ARGV[3], ARGV[4]
local receiver = what == 'node' and name or ''
if not goal_state or call('HEXISTS', G, 'building') == 1 then return { 'gone', {}, 0 } end
local before = heed(receiver)
if before then return { before, {}, 0 } end
if cancelling then return { 'CANCELLING', {}, 0 } end
if TERMINAL[goal_state] then return { goal_state, {}, 0 } end
mind(ARGV[7])

local function known()
  if what == 'node' then return call('HEXISTS', NODES, name) == 1 end
  return ARGV[9] == '1' or call('HEXISTS', HELD, 'a:' .. name) == 1
end

local outcome = 'looked'
if verb ~= 'look' then
  if not known() then return { 'missing', {}, 0 } end
  local state = what == 'node' and call('HGET', task(name), 'state')
  if verb == 'hold' and TERMINAL[state] and state ~= 'FAILED' and state ~= 'SKIPPED' then return { state, {}, 0 } end
  local field = string.sub(what, 1, 1) .. ':' .. name
  local note = cjson.encode({ by = ARGV[5], reason = ARGV[6], at = now / 1000, command = order and order.id or nil })
  local data = cjson.encode({ [what] = name, by = ARGV[5], reason = ARGV[6] })
  if verb == 'hold' then
    outcome = call('HSETNX', HELD, field, note) == 1 and 'held' or 'unchanged'
    note_held()
  else
    outcome = call('HDEL', HELD, field) == 1 and 'released' or 'unchanged'
    call('HDEL', G, 'aside_at')
  end
  if outcome ~= 'unchanged' then emit('goal.' .. outcome, '', '', '', '', data) end
  obeyed(receiver, outcome)
end
local more = verb ~= 'hold' and bring_back(1000)
if verb == 'look' then
  for _, field in ipairs(call('HKEYS', DISPATCH)) do
    local queue = string.match(field, '^out:(.+)$')
    if queue then touched[queue] = true end
  end
end
return { outcome, invitations(ARGV[7], ARGV[8]), more and 1 or 0 }
