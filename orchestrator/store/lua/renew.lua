-- renew: prolong leases that a worker still holds.
-- KEYS  1 dag:{goal}   2 task:{goal}
-- ARGV  1 now, then for each lease: node, token, nonce, lease ms
-- Returns the nodes whose lease is lost: their work may go on, its commit will be fenced
--@include base
local lost = {}
for at = 2, #ARGV, 4 do
  local node = ARGV[at]
  local mine = ARGV[at + 1] .. ' ' .. ARGV[at + 2] .. ' '
  local held = call('GET', lock(node))
  if held and string.sub(held, 1, #mine) == mine and not cancelling then
    call('ZADD', LEASES, int(now + tonumber(ARGV[at + 3])), node)
  else
    lost[#lost + 1] = node
  end
end
return lost
