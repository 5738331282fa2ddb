-- Names, time, state and limits shared by every operation on one account. KEYS[1] is `{llm:<account>}:state`; every other
-- key is derived from it, so all share one hash slot. The first arguments are the same for all operations:
-- ARGV  1 now, ms, or '' for the server's clock, read once a script   2 limits JSON   3 process that asks, or '', and
--       behind a blank the shared inbox that it reads too, `gate`; `-` for who only looks or operates: the limits of those
--       who call stand over his
--       4 highest fence that the process has seen   5 what the process did since its last script, JSON or '': {started: [[id,
--       fence, ms ago], ...], joined: [[id, waiter], ...]: waiters, as of acquire, that nobody waits for to be told}
local STATE, call = KEYS[1], redis.call
local A = string.sub(STATE, 1, -6)
local CELLS, CHARGES, LEASES, HELD = A .. 'cells', A .. 'charges', A .. 'leases', A .. 'held'
local OWNERS, QUEUE, WAITERS, LIVE = A .. 'owners', A .. 'queue', A .. 'waiters', A .. 'live'
local RECENT, EVENTS, SPEND, BUDGETS = A .. 'recent', A .. 'events', A .. 'spend', A .. 'budgets'
local VIRTUAL = A .. 'virtual'
local ACCOUNT = cjson.encode(string.match(A, '{llm:(.*)}:$'))
local me, gate = string.match(ARGV[3], '^(%S*) ?(%S*)$')
local outside = me == '-'
if outside then me = '' end
local LIVE_MS, INBOX_MS, GATE_MS, EVENTS_KEPT = 1500, 60000, 86400000, 10000

local function int(value) return string.format('%.0f', value) end
local function flows_of(owner) return A .. 'flows:' .. owner end
local function inbox_of(process) return A .. 'in:' .. process end

-- The account's record, read once and written once, by finish(). Times are ms. gated: permits of gated calls; parked: gated
-- calls in the line. used_*: charged in cells of the window;
-- kept_*: reserved by permits that were granted and did not start yet; pace_*: theoretical arrival times (GCRA) of
-- requests, input, output and all tokens. gap: between scripts, on the average; part_used: of the output that is reserved,
-- on the average. virtual, joining: time of the fair queue of owners, and the tag
-- of the last that joined it. base: limits of the settings of those who call.
local NUMBERS = {
  last = 0, fence = 0, order = 0, factor = 1, factor_at = 0, cut = 0, hold = 0, draining = 0, slots = -1, gated = 0, parked = 0,
  used_r = 0, used_i = 0, used_o = 0, kept_r = 0, kept_i = 0, kept_o = 0, pace_r = 0, pace_i = 0, pace_o = 0, pace_t = 0,
  gap = 0, part_used = 1, virtual = 0, joining = 0,
  slow_until = 0, open_until = 0, open_ms = 0, failures = 0, alarm = 0,
}
local TEXTS = { base = '', override = '', pacer = '', probe = '', open_reason = '', hold_reason = '' }
local state, stored = {}, {}
local raw = call('HGETALL', STATE)
local fresh = #raw == 0
for at = 1, #raw, 2 do stored[raw[at]] = raw[at + 1] end
for name, value in pairs(NUMBERS) do state[name] = tonumber(stored[name]) or value end
for name, value in pairs(TEXTS) do state[name] = stored[name] or value end

-- Time never goes back for an account, whatever the clock of a new master says.
local now = tonumber(ARGV[1])
if not now then
  local time = call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
if fresh then
  local newest = call('XREVRANGE', EVENTS, '+', '-', 'COUNT', 1)[1]
  state.last = newest and tonumber(string.match(newest[1], '^%d+')) or 0
  state.factor_at = now
end
if now < state.last then now = state.last end
if not fresh then state.gap = state.gap + (math.min(1000, now - state.last) - state.gap) / 16 end
state.last = now

-- The limits of the settings, and over them what an operator set at run time; false lifts a limit. The window stays.
local limits
local function read_limits()
  if not outside or state.base == '' then state.base = ARGV[2] end
  limits = cjson.decode(state.base)
  if state.override ~= '' then
    for name, value in pairs(cjson.decode(state.override)) do limits[name] = value or nil end
  end
end
read_limits()
local WINDOW = limits.window
local CELL = math.max(1, math.floor(WINDOW / 3000))
-- How much later than its process says a call counts as started: it is sent a little after its thread was let go.
local SLACK_MS = math.max(1, math.floor(WINDOW / 600))

-- A process that saw a higher fence than is stored here knows more than Redis does: the last writes are lost. What was
-- charged in them is unknown, so for one window calls go out evenly, without a burst.
local seen = tonumber(ARGV[4])
local lost = seen > state.fence
if lost then
  state.fence, state.slow_until = seen + 1000, now + WINDOW
  for _, dim in ipairs({ 'r', 'i', 'o', 't' }) do state['pace_' .. dim] = now end
end

-- Additive recovery after 429s: a tenth of the allowance a window.
if state.factor < 1 then state.factor = math.min(1, state.factor + 0.1 * math.max(0, now - state.factor_at) / WINDOW) end
state.factor_at = now

local function emit(kind, id, tokens, more)
  call('XADD', EVENTS, 'MAXLEN', '~', EVENTS_KEPT, int(now) .. '-*', 'type', kind, 'data', string.format(
    '{"permit":%s,"account":%s%s%s}', cjson.encode(id), ACCOUNT, tokens and ',"tokens":' .. int(tokens) or '', more or ''))
end
