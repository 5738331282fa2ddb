-- adjust: what an operator or a provider's answer changes for the whole account.
-- KEYS  1 {llm:<account>}:state
-- ARGV  1 to 5 as in base.lua   6 what   7 value   8 detail, by 6:
--         limits (JSON over those of the settings; '' for theirs)      slots  (of live llm workers; -1: not known)
--         drain  (1: grant nothing until 0)                            budget (most, or '' for none; purse:tokens or :usd)
--         hold   (ms; reason)   throttled (ms; fence of the 429, then a blank and the reason): hold, and lower the factor
--         open   (ms; reason)   close ()                               forget (purse): its budget and what it spent
-- Returns {outcome, now, fence, known, alarm}: 'adjusted' or 'unchanged'
--@include base
--@include cells
--@include spend
--@include admit
--@include line
--@include permit
--@include breaker
--@include live
--@include pump
--@include ends
arrive()
local what, value, detail, outcome = ARGV[6], ARGV[7], ARGV[8], 'adjusted'

local function hold(ms, reason)
  if now + ms > state.hold then state.hold, state.hold_reason = now + ms, reason end
end

-- Calls that were under way when the factor fell say nothing new: only a later fence may lower it again.
local function throttle(fence)
  if fence <= state.cut then outcome = 'unchanged' return end
  state.factor, state.cut = math.max(0.1, state.factor * 0.7), state.fence
end

if what == 'limits' then
  state.override = value
  read_limits()
elseif what == 'slots' then state.slots = tonumber(value)
elseif what == 'drain' then state.draining = tonumber(value)
elseif what == 'hold' then hold(tonumber(value), detail)
elseif what == 'throttled' then
  local fence, reason = string.match(detail, '^(%d+) (.*)$')
  hold(tonumber(value), reason)
  throttle(tonumber(fence))
elseif what == 'open' then open_breaker(tonumber(value), detail)
elseif what == 'close' then close_breaker()
elseif what == 'budget' then
  if value == '' then call('HDEL', BUDGETS, detail) else call('HSET', BUDGETS, detail, value) end
elseif what == 'forget' then
  call('HDEL', BUDGETS, value .. ':tokens', value .. ':usd')
  call('HDEL', SPEND, value .. ':tokens', value .. ':usd')
end
local _, wake = pump()
return finish(outcome, wake)
