-- The two ends of every operation, and who comes back when more may go out.
local GRACE_MS = 250
-- A tick may come a little after calls may go out: as late as two scripts come by anyway, on the average. Most often one
-- of them lets the calls out, and no tick is needed.
local function lateness() return math.min(100, WINDOW / 150, math.max(WINDOW / 600, 2 * state.gap)) end

-- A caller without a process cannot tick: one of the gates shall, if there is one.
local function nudge_gate()
  local any = { process = 'gate', gated = true }
  if alive(any) and call('LLEN', inbox_of('gate')) == 0 then tell(any, '') end
  return 0
end

-- Elect who ticks: the process whose script first sees an earlier wake-up, or that the one before it is late or dead.
local function alarm(wake)
  if wake == 0 then
    state.alarm, state.pacer = 0, ''
    return 0
  end
  if wake > now then wake = math.floor(wake + lateness()) end
  local lease = tonumber(call('ZRANGE', LEASES, 0, 0, 'WITHSCORES')[2])
  if lease and (wake < 0 or lease + 1 < wake) then wake = lease + 1 end
  if wake < 0 then wake = now + 1000 end
  wake = math.max(wake, now)
  local keeper = state.pacer
  local kept = keeper ~= '' and keeper ~= me and state.alarm + GRACE_MS >= now and state.alarm <= wake + 2
    and tonumber(call('ZSCORE', LIVE, keeper) or 0) >= now
  if kept then return 0 end
  if me == '' then return nudge_gate() end
  state.alarm, state.pacer = wake, me
  return wake
end

-- The end of every operation. Returns {outcome, now, fence, known, alarm, ...}: the highest fence, whether the process was
-- known as alive before, when it must tick (0: not it).
local known = 1
local function arrive()
  expire_cells()
  if me ~= '' then
    known = not lost and tonumber(call('ZSCORE', LIVE, me) or 0) >= now and 1 or 0
    call('ZADD', LIVE, int(now + LIVE_MS), me)
    if gate ~= '' then call('ZADD', LIVE, int(now + LIVE_MS), gate) end
  end
  note(ARGV[5])
  reap()
end

local function finish(outcome, wake, ...)
  local due, changed = alarm(wake), {}
  for _, names in ipairs({ NUMBERS, TEXTS }) do
    for name in pairs(names) do
      local text = names == TEXTS and state[name] or string.format('%.17g', state[name])
      if text ~= stored[name] then
        changed[#changed + 1] = name
        changed[#changed + 1] = text
      end
    end
  end
  if #changed > 0 then call('HSET', STATE, unpack(changed)) end
  return { outcome, int(now), int(state.fence), known, int(due), ... }
end
