-- A bare sale on the ledger, of a hold that `reserve` made; each line of the file is a path:
--
--     cd bench/wrk && wrk -t1 -c60 -d10s -s commit.lua http://127.0.0.1:8000 -- holds.txt

require("report")
require("once")

once(function(path)
    return wrk.format("GET", path)
end)
