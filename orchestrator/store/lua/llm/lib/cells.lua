-- The sliding window. A charge stands in a cell, named by the time at which the cell ends; it leaves only when the whole
-- cell is older than the window. So whatever a window of that length is laid over, it holds no more than was allowed.
-- A permit that was granted and did not start yet is not in a cell but kept aside: it counts, and does not age.
local DIMS = { 'r', 'i', 'o' }

local function amounts(cost) return { r = 1, i = cost.i, o = cost.o, t = cost.i + cost.o } end

local function keep(cost, sign)
  for _, dim in ipairs(DIMS) do state['kept_' .. dim] = state['kept_' .. dim] + sign * cost[dim] end
end

local function charge_of(cell)
  local found = call('HMGET', CHARGES, 'r' .. cell, 'i' .. cell, 'o' .. cell)
  return { r = tonumber(found[1]) or 0, i = tonumber(found[2]) or 0, o = tonumber(found[3]) or 0 }
end

local function expire_cells()
  while true do
    local cell = call('LINDEX', CELLS, 0)
    if not cell or tonumber(cell) + WINDOW > now then return end
    local gone = charge_of(cell)
    for _, dim in ipairs(DIMS) do state['used_' .. dim] = state['used_' .. dim] - gone[dim] end
    call('HDEL', CHARGES, 'r' .. cell, 'i' .. cell, 'o' .. cell)
    call('LPOP', CELLS)
  end
end

local function add(cell, cost, sign)
  for _, dim in ipairs(DIMS) do
    if cost[dim] ~= 0 then
      call('HINCRBY', CHARGES, dim .. cell, int(sign * cost[dim]))
      state['used_' .. dim] = state['used_' .. dim] + sign * cost[dim]
    end
  end
end

-- Charge at a time. Returns the cell, for a later refund. Cells stand in order: most new ones are the newest.
local function charge(cost, at)
  local ends = (math.floor(at / CELL) + 1) * CELL
  local cell, later = int(ends), nil
  for index = -1, -1000, -1 do
    local found = call('LINDEX', CELLS, index)
    if not found or tonumber(found) <= ends then
      if found ~= cell then call(later and 'LINSERT' or 'RPUSH', CELLS, unpack(later and { 'BEFORE', later, cell } or { cell })) end
      break
    end
    later = found
  end
  add(cell, cost, 1)
  return cell
end

-- Correct a charge by what was not used (or used beyond it), where it stands. One that has left the window is history.
local function correct(cell, difference)
  if call('HEXISTS', CHARGES, 'r' .. cell) == 1 then add(cell, difference, 1) end
end
