-- Rings several phones at once; who answers first gets the call. Nobody: voicemail.
-- The phones come from the route's variable `targets` ("sip:anna@10.0.0.5 sip:bo@10.0.0.6").

local targets = {}
for uri in (vars.targets or ""):gmatch("%S+") do targets[#targets + 1] = uri end
if #targets == 0 then
  log("error", "the route has no variable 'targets'")
  return call:reject(404)
end

call:ring()
local who, why, detail = call:dial { table.unpack(targets) }
if who then
  log("answered by " .. who.target)
  vars.answered_by = who.target
  return call:bridge(who)
end

log(("nobody took the call: %s %s"):format(why, detail or ""))
if why == "busy" then return call:reject(486) end
require "voicemail" (call.called)
