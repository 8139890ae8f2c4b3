-- Asks Cardea about a request: `http-request lua.cardea ADDRESS`. A yes sets the variable `txn.cardea_yes` and tells the
-- service who asks; any other answer goes to the client as it is. Whatever fails is no yes.

-- What only Cardea says. What the client sent under these names is dropped, in any case.
local TOLD = { "cardea-assertion", "remote-user", "x-groups", "x-request-id" }

-- Between two hops only, or about a body that the question does not have.
local NOT_ASKED = {
  ["connection"] = true, ["keep-alive"] = true, ["proxy-connection"] = true, ["te"] = true, ["trailer"] = true,
  ["transfer-encoding"] = true, ["upgrade"] = true, ["content-length"] = true, ["expect"] = true,
  ["proxy-authorization"] = true, ["proxy-authenticate"] = true,
}

local function close(txn, status)
  txn:done(txn:reply({ status = status, headers = { ["cache-control"] = { "no-store" } } }))
end

core.register_action("cardea", { "http-req" }, function(txn, address)
  local asked = {}
  for name, values in pairs(txn.http:req_get_headers()) do
    if not NOT_ASKED[name] then
      asked[name] = {}
      -- HAProxy counts values from 0.
      for at = 0, #values do
        table.insert(asked[name], values[at])
      end
    end
  end
  -- Over HTTP/2 a WebSocket has no key: HAProxy makes one only on the way to the service.
  if txn.http:req_get_headers()["upgrade"] and not asked["sec-websocket-key"] then
    asked["sec-websocket-key"] = { "-" }
  end
  asked["x-forwarded-method"] = { txn.sf:method() }
  asked["x-forwarded-host"] = asked["host"]
  asked["x-forwarded-uri"] = { txn.sf:pathq() }

  local answer = core.httpclient():get({
    url = "http://" .. address .. "/.cardea/authorize", headers = asked, timeout = 10000,
  })
  if not answer or not answer.status or answer.status == 0 then
    return close(txn, 503)
  end

  if answer.status ~= 200 then
    local headers = {}
    for name, values in pairs(answer.headers or {}) do
      if not NOT_ASKED[name] then headers[name] = values end
    end
    return txn:done(txn:reply({ status = answer.status, headers = headers, body = answer.body or "" }))
  end

  local function first(name)
    local values = answer.headers[name]
    return values and (values[0] or values[1])
  end
  for _, name in ipairs(TOLD) do
    txn.http:req_del_header(name)
    if first(name) then txn.http:req_set_header(name, first(name)) end
  end
  -- The client's cookies without Cardea's.
  txn.http:req_del_header("cookie")
  if first("cookie") and first("cookie") ~= "" then txn.http:req_set_header("cookie", first("cookie")) end
  if first("set-cookie") then txn:set_var("txn.cardea_sets", first("set-cookie")) end
  txn:set_var("txn.cardea_yes", true)
end, 1)
