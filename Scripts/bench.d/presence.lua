-- Presence beats for wrk: each thread has its own sessions and counts each session's beats itself.
-- The file named by the first argument has a session's id and its device's token on each line; the second
-- argument is the number of threads.
local threads = 0

function setup(thread)
    thread:set("number", threads)
    threads = threads + 1
end

local heads, seqs, turn, format = {}, {}, 0, string.format

function init(args)
    local index = 0
    for line in io.lines(args[1]) do
        local id, token = line:match("^(%S+) (%S+)$")
        if id and index % tonumber(args[2]) == number then
            heads[#heads + 1] = format(
                "POST /v1/sessions/%s/presence HTTP/1.1\r\nHost: %s:%s\r\nAuthorization: Bearer %s\r\n"
                    .. "Content-Type: application/json\r\nContent-Length: 35\r\n\r\n",
                id, wrk.host, wrk.port, token)
            -- Ten digits from the start, so that the length never changes.
            seqs[#seqs + 1] = 1000000000
        end
        index = index + 1
    end
end

function request()
    turn = turn % #heads + 1
    local seq = seqs[turn] + 1
    seqs[turn] = seq
    return heads[turn] .. format('{"seq":%d,"state":"active"}', seq)
end

function done(summary, latency, requests)
    local errors = summary.errors
    io.write(format(
        'RESULT {"requests":%d,"microseconds":%d,"failed":%d,"p50":%.0f,"p95":%.0f,"p99":%.0f,"max":%.0f}\n',
        summary.requests, summary.duration,
        errors.connect + errors.read + errors.write + errors.status + errors.timeout,
        latency:percentile(50), latency:percentile(95), latency:percentile(99), latency.max))
end
