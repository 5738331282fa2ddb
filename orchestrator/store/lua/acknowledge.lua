-- acknowledge: somebody has seen dead letters of the goal and wants to hear of them no more. A retry forgets it.
-- KEYS  1 dag:{goal}   2 task:{goal}
-- ARGV  1 now   2 who   3 why, then node ids
-- Returns an outcome each: 'acknowledged', 'known' (it was before) or 'missing' (it is no dead letter)
--@include base
local outcomes = {}
for at = 4, #ARGV do
  local text = call('HGET', DEAD, ARGV[at])
  local letter = text and cjson.decode(text)
  if not letter then outcomes[#outcomes + 1] = 'missing'
  elseif letter.seen then outcomes[#outcomes + 1] = 'known'
  else
    letter.seen = { by = ARGV[2], reason = ARGV[3], at = int(now) }
    call('HSET', DEAD, ARGV[at], cjson.encode(letter))
    outcomes[#outcomes + 1] = 'acknowledged'
  end
end
return outcomes
