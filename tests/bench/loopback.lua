-- Every name is this machine: `*.localhost` does not resolve everywhere.
function wrk.resolve(host, service)
  local addrs = wrk.lookup("127.0.0.1", service)
  for i = #addrs, 1, -1 do
    if not wrk.connect(addrs[i]) then table.remove(addrs, i) end
  end
  wrk.addrs = addrs
end
