-- Sends each request of a file once, and stops when there is none left. The requests are built
-- before the first is sent, so that sending one costs wrk no more than a table look-up.
--
-- `once(build)` reads the file that is the script's one argument; `build(line)` makes a request.
-- It takes one thread (-t1): each thread has a Lua state, and so a list, of its own.

local requests = {}
local sent = -1 -- wrk asks for one request to look at before it starts, and does not send that

function once(build)
    function init(arguments)
        for line in io.lines(arguments[1]) do
            requests[#requests + 1] = build(line)
        end
    end

    function request()
        sent = sent + 1
        if sent == 1 then
            started_at = now()
        elseif sent == #requests + 1 then
            ran_out_at = now()
            wrk.thread:stop()
        end
        return requests[math.max(1, sent)] or "" -- nothing to send
    end
end
