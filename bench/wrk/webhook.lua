-- A webhook that sells a ticket; each line of the file is a signature, a space, and the body that
-- it signs:
--
--     cd bench/wrk && wrk -t1 -c60 -d10s -s webhook.lua http://127.0.0.1:8000 -- webhooks.txt

require("report")
require("once")

once(function(line)
    local signature, body = line:match("^(%S+) (.*)$")
    local headers = {
        ["content-type"] = "application/json",
        ["x-mockpay-signature"] = signature,
    }
    return wrk.format("POST", "/payments/webhook", headers, body)
end)
