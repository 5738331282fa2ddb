-- told: how far each receiver of a goal's events has been told, and who tells now: one at a time, so that order is kept.
-- KEYS  1 dag:{goal}   2 task:{goal}
-- ARGV  1 now   2 'take', 'note' or 'leave'   3 nonce of who tells   4 ms for which nobody else may tell
--       5 receiver   6 its cursor, JSON (of a note)
-- Returns {'taken', receiver, cursor, ...}, or {'noted'}, {'left'}, {'busy'} (somebody else tells), {'gone'} (no such goal)
--@include base
if not goal_state then return { 'gone' } end
local TOLD, LEASE = G .. ':told', '*lease' -- no receiver is called so
local till, holder = string.match(call('HGET', TOLD, LEASE) or '', '^(%d+) (.*)$')
if till and holder ~= ARGV[3] and tonumber(till) > now then return { 'busy' } end
if ARGV[2] == 'leave' then
  if holder == ARGV[3] then call('HDEL', TOLD, LEASE) end
  return { 'left' }
end
if ARGV[2] == 'note' and holder ~= ARGV[3] then return { 'busy' } end -- another one has told meanwhile, and goes on
call('HSET', TOLD, LEASE, int(now + tonumber(ARGV[4])) .. ' ' .. ARGV[3])
if ARGV[2] == 'note' then
  call('HSET', TOLD, ARGV[5], ARGV[6])
  return { 'noted' }
end
local out = { 'taken' }
local record = call('HGETALL', TOLD)
for at = 1, #record, 2 do
  if record[at] ~= LEASE then
    out[#out + 1] = record[at]
    out[#out + 1] = record[at + 1]
  end
end
return out
