
-- Each request is another session's: as many of a file's handles as are told, once, and no more.
local cookies, said, met, refused = {}, 0, 0, 0
local wanted, name

function init(args)
  wanted, name = tonumber(args[2]), args[3]
  for line in io.lines(args[1]) do
    cookies[#cookies + 1] = line
    if #cookies == wanted then break end
  end
end

function request()
  said = math.min(said + 1, wanted)
  return wrk.format(nil, nil, { ["Host"] = wrk.headers["Host"], ["Cookie"] = name .. "=" .. cookies[said] })
end

function response(status)
  if status == 200 then met = met + 1 else refused = refused + 1 end
  if met + refused == wanted then
    print("crowd: " .. met .. " met, " .. refused .. " refused")
    io.stdout:flush()
    wrk.thread:stop()
  end
end
