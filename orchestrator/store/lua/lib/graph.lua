-- What follows when a node ends: edges fire or die, joins count down, nodes become READY or SKIPPED, the goal ends.
local BUDGET = 2000 -- edges one script resolves; the rest waits in the ripple list, so that no script runs for long
local touched = {}  -- queues that got a ready node
local ahead = {}    -- nodes that ran before their parent's commit: 'expected', or 'free' once their join has fired

local function lane_key(lane) return G .. ':lane:' .. lane end

-- READY nodes of a lane stand in line; only the head of the line can be claimed.
local function enqueue(node, score, queue, lane)
  queue = queue or 'default'
  if lane then
    local line = lane_key(lane)
    call('ZADD', line, 'NX', call('HINCRBY', G, 'lane_seq', 1), node)
    if call('ZRANGE', line, 0, 0)[1] ~= node then return end
  end
  call('ZADD', ready_key(queue), score or 0, node)
  touched[queue] = true
end

-- What a claim tells of a node's place in its lane: the number it got when it joined the line.
local function place_in(lane, node) return '{"place":' .. (call('ZSCORE', lane_key(lane), node) or 'null') .. '}' end

local function make_ready(node, before)
  local record = call('HMGET', task(node), 'score', 'queue', 'lane')
  move(node, before, 'READY')
  enqueue(node, record[1], record[2], record[3])
end

local function leave_lane(node)
  local lane = call('HGET', task(node), 'lane')
  if not lane then return end
  local line = lane_key(lane)
  call('ZREM', line, node)
  local head = call('ZRANGE', line, 0, 0)[1]
  if not head then return end
  local record = call('HMGET', task(head), 'state', 'score', 'queue')
  if record[1] == 'READY' and not (goal[7] and call('ZSCORE', ASIDE, head)) then
    local queue = record[3] or 'default'
    call('ZADD', ready_key(queue), record[2] or 0, head)
    touched[queue] = true
  end
end

local pending = {} -- nodes that ended in this script: {node, outcome letter, untaken conditional targets, offset}

-- An item of a map ended: the map node goes on when it was the last.
local function settle_item(map, failed)
  if failed then call('HINCRBY', task(map), 'items_failed', 1) end
  if call('HINCRBY', task(map), 'items_left', -1) > 0 then return end
  if call('HGET', task(map), 'state') == 'WAITING' then
    local note = call('HGET', PARKED, map)
    call('HDEL', PARKED, map)
    call('ZREM', TIMERS, map)
    call('HSET', task(map), 'resume', note and cjson.decode(note).resume or 'items')
    make_ready(map, 'WAITING')
    emit('node.woken', map, '', '', '', '{"by":"items"}')
  end
end

local function settle_edge(target, fires)
  local key = task(target)
  local record = call('HMGET', key, 'state', 'need', 'open', 'score', 'queue', 'lane')
  if record[1] ~= 'BLOCKED' then return end
  local need = tonumber(record[2])
  local open = tonumber(record[3] or record[2]) - 1
  if fires then need = need - 1 end
  if need <= 0 then
    if ahead[target] then
      ahead[target] = 'free'
      return
    end
    move(target, 'BLOCKED', 'READY')
    enqueue(target, record[4], record[5], record[6])
  elseif open < need then
    move(target, 'BLOCKED', 'SKIPPED')
    emit('node.skipped', target, '', '', '', '')
    pending[#pending + 1] = { target, 's', '', 1 }
  elseif record[3] then
    call('HSET', key, 'need', need, 'open', open)
  else
    call('HSET', key, 'need', need)
  end
end

-- Outcome letters: d done, f failed, s skipped, x dropped. Edge letters behind the target: none = on done,
-- f = on failed, a = finished, w = done and its `when` held, i = item of a map.
local function fires(letter, outcome, target, untaken)
  if letter == 'a' then return true end
  if letter == 'f' then return outcome == 'f' and not string.find(untaken, ' ' .. target .. ' ', 1, true) end
  if outcome ~= 'd' then return false end
  return letter == '' or not string.find(untaken, ' ' .. target .. ' ', 1, true)
end

local function ripple()
  local budget, first = BUDGET, 1
  while pending[first] and budget > 0 do
    local node, outcome, untaken, at = unpack(pending[first])
    local edges = call('HGET', EDGES, node) or ''
    while budget > 0 and at <= #edges do
      local from, to, target, letter = string.find(edges, '^([^ :]+):?(%a?) ?', at)
      at = to + 1
      budget = budget - 1
      if letter == 'i' then settle_item(target, outcome ~= 'd')
      else settle_edge(target, fires(letter, outcome, target, untaken)) end
    end
    if at > #edges then first = first + 1 else pending[first][4] = at end
  end
  -- To the front, in order: what was begun is finished first. A node without edges has nothing left to resolve.
  for index = #pending, first, -1 do
    if call('HEXISTS', EDGES, pending[index][1]) == 1 then call('LPUSH', RIPPLE, cjson.encode(pending[index])) end
  end
  pending = {}
end
