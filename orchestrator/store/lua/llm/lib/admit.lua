-- May a call go out now, and if not, when. Nothing here writes.
local NAMES = { r = 'requests', i = 'input', o = 'output', t = 'tokens' }

-- What the account may carry of one dimension now: lowered after 429s, but a call that fits its limit may go alone.
local function allowance(dim, amount)
  local most = limits[NAMES[dim]]
  return most and math.max(1, math.floor(most * state.factor), math.min(amount, most))
end

local function in_window(dim)
  return state['used_' .. dim] + state['kept_' .. dim]
end

-- The dimension of which the call needs more than the account ever has, or nil.
local function too_large(cost)
  for dim, amount in pairs(amounts(cost)) do
    if limits[NAMES[dim]] and amount > limits[NAMES[dim]] then return NAMES[dim] end
  end
end

-- The part of the account's allowance that a call takes: of the dimension that is scarcest for it. Fair shares are of this.
local function share(cost)
  local most = 0
  for dim, amount in pairs(amounts(cost)) do
    if limits[NAMES[dim]] then most = math.max(most, amount / limits[NAMES[dim]]) end
  end
  return most > 0 and most or 1
end

-- Pacing is of what a call is expected to use: what is reserved beyond it comes back too late to be made up for.
local function expected(cost)
  local output = limits.reserved and cost.o or math.floor(cost.o * state.part_used)
  return { r = 1, i = cost.i, o = output, t = cost.i + output }
end

-- Pacing, GCRA: each call moves the theoretical arrival time on by its part of the window; one may be early by the burst.
local function burst() return state.slow_until > now and 0 or limits.burst end
-- A twentieth faster than the limit: the window decides, and a tick that was late can be made up for.
local function interval(dim, amount) return 0.95 * amount * WINDOW / allowance(dim, amount) end
local function paced_at(dim, amount)
  if burst() >= WINDOW then return 0 end
  local own = interval(dim, amount)
  return state['pace_' .. dim] + own - math.max(burst(), own)
end
local function pace(by)
  for dim, amount in pairs(by) do
    if limits[NAMES[dim]] and amount ~= 0 then
      local from = amount > 0 and math.max(state['pace_' .. dim], now) or state['pace_' .. dim]
      state['pace_' .. dim] = from + interval(dim, amount)
    end
  end
end

-- When enough will have left the window; cells are looked at from the oldest, at most 64 of them.
local function room_at(need)
  local at
  for _, cell in ipairs(call('LRANGE', CELLS, 0, 63)) do
    local gone, enough = charge_of(cell), true
    gone.t = gone.i + gone.o
    for dim, amount in pairs(need) do
      need[dim] = amount - gone[dim]
      enough = enough and need[dim] <= 0
    end
    at = tonumber(cell) + WINDOW
    if enough then break end
  end
  return at or -1
end

-- 0: now; a time in ms; -1: when somebody else has acted.
local function fits_at(cost)
  if state.draining == 1 or state.probe ~= '' then return -1 end
  if state.hold > now then return state.hold end
  if limits.concurrent then
    if call('ZCARD', LEASES) >= math.max(1, math.floor(limits.concurrent * state.factor)) then return -1 end
  end
  local at, need, short, paced = 0, {}, false, expected(cost)
  for dim, amount in pairs(amounts(cost)) do
    local most = allowance(dim, amount)
    if most then
      local due = math.ceil(paced_at(dim, paced[dim]))
      if due > now then at = math.max(at, due) end
      local have = dim == 't' and in_window('i') + in_window('o') or in_window(dim)
      if have + amount > most then need[dim], short = have + amount - most, true end
    end
  end
  if short then
    local room = room_at(need)
    at = room < 0 and at == 0 and -1 or math.max(at, room)
  end
  return at
end
