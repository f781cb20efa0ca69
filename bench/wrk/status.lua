-- The status of paid orders, one after the other and then from the start; each line of the file is
-- an order's id:
--
--     cd bench/wrk && wrk -t1 -c60 -d10s -s status.lua http://127.0.0.1:8000 -- orders.txt

require("report")

local requests = {}
local sent = 0

function init(arguments)
    for id in io.lines(arguments[1]) do
        requests[#requests + 1] = wrk.format("GET", "/api/orders/" .. id)
    end
end

function request()
    sent = sent + 1
    return requests[sent % #requests + 1]
end
