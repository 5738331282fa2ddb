-- Budgets of owners and goals in tokens and micro-USD: reserved with the grant, settled with the call. Owners and the
-- account are counted always, a goal only while it has a budget, so that ended goals leave nothing.
local function purses(waiter)
  local found = { 'account', 'owner:' .. waiter.owner }
  if waiter.goal ~= '' then found[3] = 'goal:' .. waiter.goal end
  return found
end

local function budgeted(purse)
  return call('HEXISTS', BUDGETS, purse .. ':tokens') == 1 or call('HEXISTS', BUDGETS, purse .. ':usd') == 1
end

local function spend(waiter, tokens, usd)
  for index, purse in ipairs(purses(waiter)) do
    if index < 3 or budgeted(purse) then
      if tokens ~= 0 then call('HINCRBY', SPEND, purse .. ':tokens', int(tokens)) end
      if usd ~= 0 then call('HINCRBY', SPEND, purse .. ':usd', int(usd)) end
    end
  end
end

-- The purse that cannot pay for the call, or nil.
local function broke(waiter)
  for _, purse in ipairs(purses(waiter)) do
    local names = { purse .. ':tokens', purse .. ':usd' }
    local most, spent = call('HMGET', BUDGETS, unpack(names)), call('HMGET', SPEND, unpack(names))
    for index, cost in ipairs({ waiter.i + waiter.o, waiter.u }) do
      if most[index] and (tonumber(spent[index]) or 0) + cost > tonumber(most[index]) then return purse end
    end
  end
end
