-- tell: when a worker is to tell of goals. It runs in full memory too: goals go only once they were told of.
-- KEYS  1 {control}:telling
-- ARGV  1 now or ''   2 'ask' (then, or earlier where that was asked for), 'put_off' (then, of those that are there),
--       'begin' (then), 'forget', 'done' (all is told) or 'rest' (then again): the last two not where somebody asked
--       since that 'begin'   3 ms from now   4 what that 'begin' returned, or ''   5.. goals
-- Returns of a 'begin' the time at which somebody else may, ms; else how many of the goals it changed
local call, telling, act, changed = redis.call, KEYS[1], ARGV[2], 0
local now = tonumber(ARGV[1])
if not now then
  local time = call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local at, began = now + tonumber(ARGV[3]), tonumber(ARGV[4])
for index = 5, #ARGV do
  local goal = ARGV[index]
  local known = tonumber(call('ZSCORE', telling, goal) or '')
  if act == 'forget' or (act == 'done' and (not known or known == began)) then
    call('ZREM', telling, goal)
    changed = changed + 1
  elseif act == 'begin' or (act == 'rest' and (not known or known == began))
    or (act == 'ask' and (not known or at < known)) or (act == 'put_off' and known) then
    call('ZADD', telling, string.format('%.0f', at), goal)
    changed = changed + 1
  end
end
return act == 'begin' and string.format('%.0f', at) or changed
