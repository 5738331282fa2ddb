-- A node that has ended is to run again, as if it had not; the caller moves it.
local function reopen(node, before, items_left)
  call('HDEL', task(node), 'failures', 'lost', 'resume')
  if call('HDEL', DEAD, node) == 1 and not handled(call('HGET', EDGES, node)) then
    call('HINCRBY', G, 'unhandled', -1)
  end
  if before == 'DONE' then call('HDEL', OUTPUTS, node) end
  if items_left and items_left ~= '' then call('HSET', task(node), 'items_left', items_left, 'items_failed', 0) end
end
