-- The circuit breaker: closed; open until a time, calls are refused; then half open, one call goes out as a probe.
local OPEN_MOST_MS = 300000

local function open_breaker(ms, reason)
  state.open_ms, state.open_until = math.max(1, ms), now + math.max(1, ms)
  state.open_reason, state.probe = reason, ''
end

local function close_breaker()
  state.open_until, state.open_ms, state.failures, state.open_reason, state.probe = 0, 0, 0, '', ''
end

-- A call ended: 'ok', 'failed' (the provider's fault) or 'unknown'.
local function judge(id, outcome, reason)
  if outcome == 'ok' then
    if state.open_until > 0 and state.probe == id then close_breaker() end
    state.failures = 0
  elseif outcome == 'failed' then
    state.failures = state.failures + 1
    if state.probe == id then
      open_breaker(math.min(OPEN_MOST_MS, state.open_ms * 2), reason)
    elseif state.open_until == 0 and state.failures >= limits.breaker_failures then
      open_breaker(limits.breaker_ms, reason)
    end
  end
  if state.probe == id then state.probe = '' end
end
