-- patch: change the plan of a goal that has not ended: add, drop and rewire nodes, all or nothing.
-- KEYS  1 dag:{goal}   2 task:{goal}
-- ARGV  1 now, order   2 version the patch was made for   3 slots JSON   4 dispatch ms
--       5 patch JSON: {"reason", "receiver": node that a command drops or '', "drop": [id], "as": {id: 'f' where it counts as
--         failed}, "edges": {source: edges}, "targets": [{"id", "deps": JSON, "need", "parents": [[id, edge letter, 1 or 0: its
--         `when` holds]]}]}, then the ten values of submit_piece for each added node
-- Returns {outcome, detail, invitations}: 'patched' (detail: new version), 'changed' (detail: the version, or a node that
--   moved on meanwhile: read again), 'busy' (edges are still being resolved: settle first), the state that forbids it, or as
--   order.lua says
--@include base
--@include graph
--@include finish
--@include invite
--@include nodes
--@include rewire
--@include order
if not goal_state or call('HEXISTS', G, 'building') == 1 then return { 'gone', '', {} } end
local patch = cjson.decode(ARGV[5])
local receiver = patch.receiver or ''
local before = heed(receiver)
if before then return { before, '', {} } end
if cancelling then return { 'CANCELLING', '', {} } end
if goal_state ~= 'RUNNING' and goal_state ~= 'PAUSED' then return { goal_state, '', {} } end
local version = call('HGET', G, 'version') or '1'
if version ~= ARGV[2] then return { 'changed', version, {} } end
if call('LLEN', RIPPLE) > 0 then return { 'busy', '', {} } end
local fixed = first_fixed(patch)
if fixed then return { 'changed', fixed, {} } end
local added = 0
for at = 6, #ARGV, 10 do
  if store_node(ARGV, at) then added = added + 1 end
end
count('BLOCKED', added)
call('HINCRBY', G, 'total', added)
for source, edges in pairs(patch.edges) do
  local before = handled(call('HGET', EDGES, source))
  if before ~= handled(edges) and outcome_of(source) == 'f' then
    call('HINCRBY', G, 'unhandled', before and 1 or -1)
  end
  if edges == '' then call('HDEL', EDGES, source) else call('HSET', EDGES, source, edges) end
end
for _, target in ipairs(patch.targets) do rewire(target) end
for _, node in ipairs(patch.drop) do drop(node, patch.as and patch.as[node]) end
call('HSET', G, 'version', version + 1)
emit('goal.patched', '', '', '', '', cjson.encode({ reason = patch.reason, version = version + 1 }))
obeyed(receiver, receiver == '' and 'patched' or 'dropped')
flush()
return { 'patched', int(version + 1), invitations(ARGV[3], ARGV[4]) }
