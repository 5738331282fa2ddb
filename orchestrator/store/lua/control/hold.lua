-- hold: set and lift holds of the fleet, once for a command.
-- KEYS  1 {control}:order:<id>   2 {control}:holds
-- ARGV  1 'hold' or 'release'   2 note JSON, of a hold   3.. what is held: 'queue:<name>', 'agent:<owner or *>/<name>', 'fleet';
--       a release of '*' is one of everything
-- Returns 'held', 'released', 'unchanged' (it was so before), or 'repeated <outcome of the first time>'
local call, order, holds = redis.call, KEYS[1], KEYS[2]
local before = call('HGET', order, 'acted')
if before then return 'repeated ' .. before end
local changed = 0
for at = 3, #ARGV do
  if ARGV[1] == 'hold' then changed = changed + call('HSETNX', holds, ARGV[at], ARGV[2])
  elseif ARGV[at] == '*' then changed = changed + call('DEL', holds)
  else changed = changed + call('HDEL', holds, ARGV[at]) end
end
local outcome = changed == 0 and 'unchanged' or ARGV[1] == 'hold' and 'held' or 'released'
if call('EXISTS', order) == 1 then call('HSET', order, 'acted', outcome) end
return outcome
