-- A call to a phone's number, like extension.lua; and the phone may park its caller: it presses #, and anybody fetches
-- the caller by the phone's number (see codes.lua). Meanwhile the caller hears the music on hold. Where nobody comes
-- within two minutes, the phone rings again.
local number = vars.phone or call.called

for try = 1, 3 do
  local leg, why = call:dial(number, { timeout = 30 })
  if not leg then
    call:reject(why == "busy" and 486 or 480) -- A caller who was answered already only hears the end.
    return
  end
  local left = leg:bridge(call, { stop_on = "#" })
  if left ~= "key" then return end
  leg:say("Parked on " .. number)
  leg:hangup()
  local other, reason = call:park(number, { timeout = 120 })
  if other then
    call:bridge(other)
    return
  elseif reason == "busy" then
    call:say("Somebody is parked here already.")
  end
end
