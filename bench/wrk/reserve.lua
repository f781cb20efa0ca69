-- A bare hold on the ledger, without session and order:
--
--     cd bench/wrk && wrk -t1 -c60 -d10s -s reserve.lua http://127.0.0.1:8000

require("report")

wrk.path = "/api/accounting/reserve"
