-- acquire: join the line, and go out at once if the line and the limits allow. Safe to send again.
-- KEYS  1 {llm:<account>}:state
-- ARGV  1 to 5 as in base.lua   6 id   7 waiter JSON {i, o, u: input and output tokens, micro-USD; owner, goal, priority, weight,
--       owner_weight, nonce; process, the inbox; gated; claim, ttl: ms until it must have started, and of its lease}
-- Returns {outcome, now, fence, known, alarm, detail}: 'granted' with fence and time, 'queued' with how many wait, or why not:
--   'too_large' with the limit, 'over_budget' with the purse, 'breaker' with its reason, 'taken': another has this id
--@include base
--@include cells
--@include spend
--@include admit
--@include line
--@include permit
--@include breaker
--@include live
--@include pump
--@include ends
arrive()
local id, waiter = ARGV[6], cjson.decode(ARGV[7])
local there, answer = held(id), nil
if there then
  answer = there.nonce == waiter.nonce and granted(id, there) or word(id, 'taken', '-')
else
  join_line(id, waiter)
end
local mine, wake = pump(id)
answer = answer or mine or word(id, 'queued', call('ZCARD', QUEUE))
local outcome, detail = string.match(answer, '^(%S+) (.*) %S+$')
return finish(outcome, wake, detail)
