-- A checkout: a hold on the ledger and a payment session in Redis:
--
--     cd bench/wrk && wrk -t1 -c60 -d10s -s checkout.lua http://127.0.0.1:8000

require("report")

wrk.method = "POST"
wrk.path = "/api/checkout"
wrk.headers["content-type"] = "application/json"
wrk.body = '{"cls":"A","customer_email":"fan@example.org"}'
