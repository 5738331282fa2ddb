-- purge: take keys away that a goal left behind. Nothing happens where the goal is there, or is being stored.
-- KEYS  1 dag:{goal}   2 task:{goal}
-- ARGV  1 now   2.. keys, each of this goal
-- Returns how many were removed, or -1 if the goal is there
--@include base
if call('EXISTS', G) == 1 then return -1 end
local gone = 0
for at = 2, #ARGV do
  local key = ARGV[at]
  if string.sub(key, 1, #G + 1) == G .. ':' or string.sub(key, 1, #T + 1) == T .. ':' then
    gone = gone + call('UNLINK', key)
  end
end
return gone
