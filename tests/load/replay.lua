-- Sends each request of a file once: `wrk -s replay.lua URL -- FILE`. Each is "LENGTH in 8 digits,
-- raw request". Where the file ends, so does the thread; there must be only one.
local file

function init(arguments)
   file = assert(io.open(arguments[1], "rb"))
end

function request()
   local length = file:read(8)
   if not length then
      wrk.thread:stop()
      return wrk.format("GET", "/end-of-the-file")
   end
   return file:read(tonumber(length))
end

function done(summary, latency)
   local errors = summary.errors
   io.write(string.format(
      "FIGURES %d %d %d %d %d\n", summary.requests, summary.duration,
      latency:percentile(50), latency:percentile(99),
      errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
