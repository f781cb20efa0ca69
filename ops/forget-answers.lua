-- Takes the answer of each paid order out of Redis and leaves its session (tigerfans/stores/sessions.py):
-- after a restore, PostgreSQL and the ledger say what is paid. Gives the number of answers.
-- ARGV[1] is what the shop's keys begin with: eight digits of its id.
local forgotten, cursor = 0, '0'
repeat
    local page = redis.call('SCAN', cursor, 'MATCH', ARGV[1] .. ':order:*', 'COUNT', 1000)
    cursor = page[1]
    for _, key in ipairs(page[2]) do
        local entry = redis.call('GET', key)
        local session_end = string.find(entry, '\n', 1, true)
        if session_end and session_end < #entry then
            redis.call('SET', key, string.sub(entry, 1, session_end), 'KEEPTTL')
            forgotten = forgotten + 1
        end
    end
until cursor == '0'
return forgotten
