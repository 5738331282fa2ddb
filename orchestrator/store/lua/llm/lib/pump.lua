-- Give out what may go out now, and see to it that somebody comes back when more may.
local MOST_GRANTS, MOST_TURNS, MOST_SKIPS, MOST_OF_OWNER = 64, 192, 64, 16

-- Why a waiter leaves the line without a permit, and a detail; or nil.
local function refusal(waiter)
  if not (waiter.gated or alive(waiter)) then return 'dead' end
  if state.open_until > now then return 'breaker', state.open_reason end
  local dim, purse = too_large(waiter), broke(waiter)
  if dim then return 'too_large', dim end
  if purse then return 'over_budget', purse end
end

-- The flow that is next in fair order, past so many owners and goals of the owner: owner and goal; nil at the end, without
-- a goal at the end of the owner's. Owners without flows go.
local function next_flow(owners, goals)
  local owner = call('ZRANGE', OWNERS, owners, owners)[1]
  if not owner then return nil end
  local goal = goals < MOST_OF_OWNER and call('ZRANGE', flows_of(owner), goals, goals)[1]
  if not goal and goals == 0 then
    call('ZREM', OWNERS, owner)
    call('HDEL', VIRTUAL, owner)
  end
  return owner, goal
end

-- A gated call goes out only to a gate that lives, and to a slot. Until then it lets direct calls of other goals pass, as
-- long as not too many such goals are before them: a script stays short.
local function stuck(waiter)
  return waiter.gated and (state.slots >= 0 and state.gated >= state.slots or not alive(waiter))
end

-- `mine` is the id that this very script enqueued: its word goes into the reply instead of the inbox.
-- Returns the word for it, and when to come back: a time, 0 (nobody waits) or -1 (after the next release).
local function pump(mine)
  local answer, grants, skips, owners, goals = nil, 0, 0, 0, 0
  for _ = 1, MOST_TURNS do
    local owner, goal = next_flow(owners, goals)
    if not owner then return answer, skips > 0 and -1 or 0 end
    local id, waiter
    if goal then id, waiter = head(owner, goal) end
    if goals > 0 and not goal then
      owners, goals = owners + 1, 0
    elseif goal and not id then
      call('ZREM', flows_of(owner), goal)
    elseif id then
      local outcome, detail = refusal(waiter)
      if not outcome then
        if stuck(waiter) then
          goals, skips = goals + 1, skips + 1
          if skips == MOST_SKIPS or call('ZCARD', QUEUE) == state.parked then return answer, -1 end
        else
          local at = fits_at(waiter)
          if at ~= 0 then return answer, at end
          if grants == MOST_GRANTS then return answer, now end
          dequeue(id, waiter)
          local permit = grant(id, waiter)
          grants, goals = grants + 1, 0
          served(owner, goal, waiter, share(waiter))
          if id == mine then answer = granted(id, permit) else tell(waiter, granted(id, permit)) end
        end
      else
        dequeue(id, waiter)
      end
      if outcome and id == mine then answer = word(id, outcome, detail)
      elseif outcome and outcome ~= 'dead' then tell(waiter, word(id, outcome, detail)) end
    end
  end
  return answer, now
end
