"""What Redis does with payment sessions in one go, as scripts; `sessions` says what is what.

KEYS[1] is always the index of unpaid sessions, by the end of their hold. Where there are
more, KEYS[2] is the index of what is asked about, by the moment it is due, and KEYS[3] has the
attempts.
"""

from typing import Final

from tigerfans.stores.redis_connection import Script

# For each session: order id, the ends of the hold and of the session in ms, entry, how many
# tickets, how many holders, and for each of them its key and how many tickets it may have on hold.
# A checkout that is replayed must not take the answer from an order that is paid, and is not
# counted again. The index of unpaid sessions, which claims empty, forgets what ended before
# ARGV[3], so that it cannot grow for ever where nobody claims.
#
# A session over a limit leaves an empty entry until the end of its hold, which is about to be given
# back: whoever saves it once more must not promise a buyer what is voided a moment later. Nobody
# else sees that entry: an empty one is none.
#
# What a holder had open, an order's id for each of its tickets, is looked up in that index where it
# and the new ones are more than there may be, and not before: to keep it exact would cost each
# checkout and each payment a write of its own. Nobody asks for more tickets than that maximum.
#
# Replies with triples: which session is over a limit, by which of its holders (both from 0), and
# when the hold of theirs ends after which there is room, in ms. Where it was over one before, the
# holder is -1, and where it was saved before, -2.
SAVE: Final = Script("""
local call, now, over, session, i, held = redis.call, tonumber(ARGV[2]), {}, 0, 4, {}
local function still_open(orders)
    local open, ends = {}, {}
    for order in string.gmatch(orders, string.rep('%x', 32)) do
        local hold_end = tonumber(call('ZSCORE', KEYS[1], order) or 0)
        if hold_end > now then
            open[#open + 1], ends[#ends + 1] = order, hold_end
        end
    end
    table.sort(ends)
    return table.concat(open), ends
end
while i <= #ARGV do
    local order, hold_end, entry = ARGV[i], ARGV[i + 1], ARGV[1] .. ARGV[i]
    local qty, first, last, is_over = ARGV[i + 4], i + 6, i + 5 + 2 * ARGV[i + 5], false
    for h = first, last, 2 do
        local room, ends = ARGV[h + 1] - qty
        held[h] = call('GET', ARGV[h]) or ''
        if #held[h] > 32 * room then
            held[h], ends = still_open(held[h])
            if #ends > room and call('STRLEN', entry) == 0 then
                call('SET', entry, '', 'PXAT', hold_end)
                over[#over + 1] = {session, (h - first) / 2, ends[#ends - room]}
                is_over = true
                break
            end
        end
    end
    if not is_over then
        if call('SET', entry, ARGV[i + 3], 'PXAT', ARGV[i + 2], 'NX') then
            call('ZADD', KEYS[1], hold_end, order)
            for h = first, last, 2 do
                call('SET', ARGV[h], held[h] .. string.rep(order, qty), 'PXAT', hold_end)
            end
        else
            over[#over + 1] = {session, call('STRLEN', entry) == 0 and -1 or -2, 0}
        end
    end
    session, i = session + 1, last + 1
end
call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[3])
return over
""")

# Argument triples: order id, the charged order's entry or nothing, the end of the session in ms.
# What was not charged can be paid until that end, and is due then to be asked about.
FINISH: Final = Script("""
for i = 3, #ARGV, 3 do
    local was_unpaid = redis.call('ZREM', KEYS[1], ARGV[i]) == 1
    if ARGV[i + 1] ~= '' then
        redis.call('SET', ARGV[1] .. ARGV[i], ARGV[i + 1], 'EX', ARGV[2])
        if not was_unpaid then
            redis.call('ZREM', KEYS[2], ARGV[i])
            redis.call('HDEL', KEYS[3], ARGV[i])
        end
    elseif was_unpaid then
        redis.call('ZADD', KEYS[2], ARGV[i + 2], ARGV[i])
    end
end
""")

# Takes a lease on sessions that ended unpaid, those first that were claimed before: up to ARGV[3]
# of what is due at ARGV[1], until ARGV[2]. Each comes with the attempts there were at it.
CLAIM: Final = Script("""
local claimed = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ARGV[1], 'LIMIT', 0, ARGV[3])
local room = ARGV[3] - #claimed
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, room)) do
    redis.call('ZREM', KEYS[1], id)
    claimed[#claimed + 1] = id
end
local answer = {}
for i, id in ipairs(claimed) do
    redis.call('ZADD', KEYS[2], ARGV[2], id)
    answer[2 * i - 1] = id
    answer[2 * i] = tonumber(redis.call('HGET', KEYS[3], id) or 0)
end
return answer
""")

# Makes order ARGV[1] due at ARGV[2] after ARGV[3] attempts. Where Redis was wiped meanwhile, or the
# order is charged, there is nothing to postpone.
POSTPONE: Final = Script("""
if redis.call('ZSCORE', KEYS[2], ARGV[1]) then
    redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1])
    if ARGV[3] == '0' then
        redis.call('HDEL', KEYS[3], ARGV[1])
    else
        redis.call('HSET', KEYS[3], ARGV[1], ARGV[3])
    end
end
""")
