-- A checkout: a hold on the ledger and a payment session in Redis. Each has an Idempotency-Key of its
-- own, as the shop's page sends it:
--
--     cd bench/wrk && wrk -t1 -c60 -d10s -s checkout.lua http://127.0.0.1:8000

require("report")

local KEY = "KEY"
local before, after
local sent = 0

function init()
    local headers = {["content-type"] = "application/json", ["idempotency-key"] = KEY}
    local body = '{"cls":"A","customer_email":"fan@example.org"}'
    local whole = wrk.format("POST", "/api/checkout", headers, body)
    local first, last = whole:find(KEY, 1, true)
    -- No two runs start in the same microsecond.
    before = whole:sub(1, first - 1) .. string.format("%016.0f", now() * 1e6)
    after = whole:sub(last + 1)
end

function request()
    sent = sent + 1
    return before .. string.format("%016d", sent) .. after
end
