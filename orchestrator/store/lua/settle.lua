-- settle: go on resolving edges that an earlier script left in the ripple list.
-- KEYS  1 dag:{goal}   2 task:{goal}
-- ARGV  1 now   2 slots JSON   3 dispatch ms
-- Returns {more, invitations}: more = 1 if the list still holds work
--@include base
--@include graph
--@include finish
--@include invite
if not goal_state then return { 0, {} } end
for index, item in ipairs(call('LPOP', RIPPLE, 1000) or {}) do pending[index] = cjson.decode(item) end
flush()
return { call('LLEN', RIPPLE) > 0 and 1 or 0, invitations(ARGV[2], ARGV[3]) }
