-- purge: take keys away that a goal left behind. Nothing happens where the goal is there, or is being stored; a key of
-- another type than ours is somebody else's.
-- KEYS  1 dag:{goal}   2 task:{goal}
-- ARGV  1 now   2.. keys, each of this goal, and its type
-- Returns how many were removed, or -1 if the goal is there
--@include base
if call('EXISTS', G) == 1 then return -1 end
local gone = 0
for at = 2, #ARGV, 2 do
  local key = ARGV[at]
  local of_goal = string.sub(key, 1, #G + 1) == G .. ':' or string.sub(key, 1, #T + 1) == T .. ':'
  if of_goal and call('TYPE', key).ok == ARGV[at + 1] then
    gone = gone + call('UNLINK', key)
  end
end
return gone
