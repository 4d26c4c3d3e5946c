-- Sends the requests of a file: `wrk -t1 -s replay.lua URL -- FILE once|again`. Each request is "LENGTH
-- in 8 digits, raw request". With `once`, the thread ends at the end of the file.
local file, again

function init(arguments)
   file = assert(io.open(arguments[1], "rb"))
   again = arguments[2] == "again"
end

function request()
   local length = file:read(8)
   if not length and again then
      file:seek("set", 0)
      length = file:read(8)
   end
   if not length then
      wrk.thread:stop()
      return wrk.format("GET", "/the-file-has-ended")
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
