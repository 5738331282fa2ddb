-- What happened to the goal since beat looked last, for the timelines. `counted` in the record is what was told before:
-- nodes that were DONE, nodes that had FAILED, and when the goal ended.
-- Returns {1 at the first look, 1 if it has ended, nodes done, nodes failed, state and ms of a goal that has ended ('', 0), nodes that run,
-- nodes that wait, then of each queue its name and how many nodes are ready}
local function tally()
  local record = call('HMGET', G, 'counted', 'n:DONE', 'n:FAILED', 'n:RUNNING', 'n:WAITING', 'started', 'ended')
  if goal_state == 'PLANNING' or not record[6] then return {} end -- not stored yet, or being removed
  local told = record[1]
  local done, failed, ended = string.match(told or '0 0 0', '^(%d+) (%d+) (%d+)$')
  local open = not GOAL_TERMINAL[goal_state]
  local met = (record[2] or '0') .. ' ' .. (record[3] or '0') .. ' ' .. (open and '0' or record[7])
  if met ~= told then call('HSET', G, 'counted', met) end
  local over = not open and record[7] ~= ended
  local out = { told and 0 or 1, open and 0 or 1, math.max(0, tonumber(record[2] or '0') - done), math.max(0, tonumber(record[3] or '0') - failed),
    over and goal_state or '', over and int(record[7] - record[6]) or 0, tonumber(record[4] or '0'), tonumber(record[5] or '0') }
  for _, field in ipairs(open and call('HKEYS', DISPATCH) or {}) do
    local queue = string.match(field, '^out:(.+)$')
    local ready = queue and call('ZCARD', ready_key(queue)) or 0
    if ready > 0 then
      out[#out + 1] = queue
      out[#out + 1] = ready
    end
  end
  return out
end
