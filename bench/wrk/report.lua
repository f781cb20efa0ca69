-- Prints what a run measured as one line of JSON; each script here requires this one. Alone it
-- sends GET requests for the URL on the command line:
--
--     cd bench/wrk && wrk -t1 -c60 -d10s -s report.lua http://127.0.0.1:8000/
--
-- A script whose requests run out stops its thread before the time is over. wrk goes on waiting
-- and knows no clock, so the thread notes by the system's when it sent its first and last request.

local ffi = require("ffi")

ffi.cdef [[
struct moment { long seconds; long microseconds; };
int gettimeofday(struct moment *moment, void *zone);
]]

local moment = ffi.new("struct moment")

function now()
    ffi.C.gettimeofday(moment, nil)
    return tonumber(moment.seconds) + tonumber(moment.microseconds) / 1e6
end

local threads = {}

function setup(thread)
    threads[#threads + 1] = thread
end

function done(summary, latency)
    local seconds = summary.duration / 1e6
    local ran_out = threads[1]:get("ran_out_at")
    if ran_out then
        seconds = ran_out - threads[1]:get("started_at")
    end
    local errors = summary.errors
    io.write(string.format(
        '{"requests": %d, "seconds": %.6f, "status_errors": %d, "socket_errors": %d, '
            .. '"p50_ms": %.3f, "p99_ms": %.3f, "ran_out": %s}\n',
        summary.requests, seconds, errors.status,
        errors.connect + errors.read + errors.write + errors.timeout,
        latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, tostring(ran_out ~= nil)))
end
