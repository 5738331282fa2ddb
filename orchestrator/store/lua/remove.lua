-- remove: take an ended, aged or half-built goal away, in slices. Call it again while it returns 'more'.
-- KEYS  1 dag:{goal}   2 task:{goal}
-- ARGV  1 now   2 nodes a slice; 0: only hide the goal, so that nothing begins on it any more   3 when it ended as the caller
--       saw it, or when its half-built record was begun, ms; 'hidden': only go on with what is hidden; '': whenever that was
-- Returns 'more', 'removed', 'open' (it has not ended, or ended or was submitted again since) or 'gone'
--@include base
if not goal_state and call('EXISTS', NODES) == 0 then return 'gone' end
local building = call('HGET', G, 'building')
local ended = goal_state == 'DONE' or goal_state == 'FAILED' or goal_state == 'CANCELLED'
if goal_state and not ended and not building then return 'open' end
if goal_state and building ~= 'removing' then -- else it is hidden, or its record ran out: go on
  if ARGV[3] == 'hidden' then return 'open' end -- another removal was faster, and it was submitted anew since
  if ARGV[3] ~= '' and call('HGET', G, building and 'created' or 'ended') ~= ARGV[3] then return 'open' end
end
call('HSET', G, 'state', 'PLANNING', 'building', 'removing') -- hidden from the first slice on
call('HSETNX', G, 'created', 0) -- of a record that ran out before its nodes were removed
if ARGV[2] == '0' then return 'more' end
local page = call('HSCAN', NODES, call('HGET', G, 'remove_cursor') or '0', 'COUNT', tonumber(ARGV[2]))
for index = 1, #page[2], 2 do
  local node = page[2][index]
  local record = call('HMGET', task(node), 'lane', 'queue', 'talks')
  if record[1] then call('DEL', G .. ':lane:' .. record[1]) end
  if record[2] then call('DEL', ready_key(record[2])) end
  if record[3] then call('DEL', T .. ':' .. node .. ':turns', T .. ':' .. node .. ':steer') end
  call('DEL', task(node), lock(node))
end
if page[1] ~= '0' then
  call('HSET', G, 'remove_cursor', page[1])
  return 'more'
end
call('UNLINK', G, NODES, DEPS, EDGES, OUTPUTS, DEAD, EVENTS, LEASES, TIMERS, PARKED, SIGNALS, DISPATCH, RIPPLE,
  ready_key('default'), G .. ':children', G .. ':chunks', G .. ':agents', G .. ':orders', G .. ':told', HELD, ASIDE)
return 'removed'
