-- Names shared by every operation on one goal. KEYS[1] is the goal's record `dag:{goal}`, KEYS[2] the prefix
-- `task:{goal}`; every other key is derived from the two, so all share one hash slot. ARGV[1] is the time in
-- milliseconds, or '' for the server's clock, which is read once a script; behind a blank the order, JSON, of the command
-- that the script carries out, if there is one (order.lua).
local G, T = KEYS[1], KEYS[2]
local NODES, DEPS, EDGES = G .. ':nodes', G .. ':deps', G .. ':edges'
local OUTPUTS, DEAD, EVENTS = G .. ':outputs', G .. ':dead', G .. ':events'
local LEASES, TIMERS, PARKED, SIGNALS = G .. ':leases', G .. ':timers', G .. ':parked', G .. ':signals'
local DISPATCH, RIPPLE = G .. ':dispatch', G .. ':ripple'
local HELD, ASIDE = G .. ':held', G .. ':aside'
local call = redis.call
local when, order_text = string.match(ARGV[1], '^(%d*) ?(.*)$')
local now, stamp = tonumber(when), '*'
if now then
  stamp = when .. '-*'
else
  local time = call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end

local function int(value) return string.format('%.0f', value) end
local function task(node) return T .. ':' .. node end
local function lock(node) return T .. ':' .. node .. ':lock' end
local function ready_key(queue) return G .. ':ready:' .. queue end

-- The goal's record, read once: state, cancelling, events limit, priority, version of the plan, created, and whether nodes
-- of it may be held or set aside.
local goal = call('HMGET', G, 'state', 'cancelling', 'events_limit', 'priority', 'version', 'created', 'held')
local goal_state, cancelling, events_limit = goal[1], goal[2], goal[3]

local function emit(kind, node, attempt, token, worker, data)
  call('XADD', EVENTS, 'MAXLEN', '~', events_limit or 10000, stamp,
    'type', kind, 'node', node, 'attempt', attempt, 'token', token, 'worker', worker, 'data', data)
end

-- Counts of nodes by state are kept in the record (`n:READY`); moves are added up here and written once, by flush().
local delta = {}
local function count(state, by) delta[state] = (delta[state] or 0) + by end
local function move(node, before, after)
  count(before, -1)
  count(after, 1)
  call('HSET', task(node), 'state', after)
end
