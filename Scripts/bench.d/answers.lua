-- The body of a small message, posted again and again.
wrk.method = "POST"
wrk.body = '{"to":{"app":"mail"},"body":"' .. string.rep("x", 100) .. '","ttlSeconds":60}'
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer " .. string.rep("t", 43)

function done(summary, latency, requests)
    local errors = summary.errors
    io.write(string.format(
        'RESULT {"requests":%d,"microseconds":%d,"failed":%d,"p50":%.0f,"p95":%.0f,"p99":%.0f,"max":%.0f}\n',
        summary.requests, summary.duration,
        errors.connect + errors.read + errors.write + errors.status + errors.timeout,
        latency:percentile(50), latency:percentile(95), latency:percentile(99), latency.max))
end
