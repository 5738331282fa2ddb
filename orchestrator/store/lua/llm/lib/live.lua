-- Which processes are still there. One that has not spoken for a while is not, and neither is one that lets its grants lie:
-- they are taken back, so that a killed process holds nothing up.
local UNREAD_MS = 500

-- Take back what lies in the inbox of a process. If it lives it is told that it was not known, and joins again.
local function desert(process)
  local inbox = inbox_of(process)
  for _, message in ipairs(call('LRANGE', inbox, 0, -1)) do
    local fence, id = string.match(message, '^granted (%d+) %d+ (.*)$')
    local permit = id and held(id)
    if permit and not permit.cell and permit.fence == tonumber(fence) then undo(id, permit) end
  end
  call('DEL', inbox)
  call('ZREM', LIVE, process)
end

-- Is the process that waits still there; for a gated call: any that reads the gate's inbox?
local function alive(waiter)
  if waiter.process == me then return true end
  if tonumber(call('ZSCORE', LIVE, waiter.process) or 0) < now then return false end
  if waiter.gated then return true end
  local oldest = string.match(call('LINDEX', inbox_of(waiter.process), 0) or '', '^granted %d+ (%d+) ')
  if not oldest or tonumber(oldest) + UNREAD_MS > now then return true end
  desert(waiter.process)
  return false
end
