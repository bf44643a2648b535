-- A call to a phone's number: every device of the phone rings. Runs where no [[number]] is just for this number.
local number = vars.phone or call.called

local leg, why = call:dial(number, { timeout = 30 })
if leg then
  call:bridge(leg)
elseif why == "busy" then
  call:reject(486)
else
  call:reject(480)
end
