-- A command that the script carries out: it acts on each receiver once, and not after its expiry. The receiver is a node,
-- or '' for the goal. `order` is {"id", "by", "reason", "until"}; without one the scripts act for the engine itself.
local ORDERS = G .. ':orders'
local order = order_text ~= '' and cjson.decode(order_text) or nil

-- nil if the script may act on the receiver; else the outcome that it returns: 'repeated <outcome of the first time>' or
-- 'expired'. Ask before looking at any state: a command that came twice is answered as the first time.
local function heed(receiver)
  if not order then return nil end
  local before = call('HGET', ORDERS, order.id .. ' ' .. receiver)
  if before then return 'repeated ' .. before end
  if order['until'] and now > order['until'] then return 'expired' end
end

-- Note that the receiver has acted, in the same step.
local function obeyed(receiver, outcome)
  if not order then return outcome end
  call('HSET', ORDERS, order.id .. ' ' .. receiver, outcome)
  emit('command.applied', receiver, '', '', '', cjson.encode({ command = order.id, by = order.by, reason = order.reason,
    outcome = outcome, expires = order['until'] and order['until'] / 1000 or nil }))
  return outcome
end
