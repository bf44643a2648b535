-- A conference: asks for a room number and a PIN (where the room has one), then joins the room until * is pressed.
-- Set a PIN with store.set("room.123.pin", "4711") from any script.

call:answer()
local room
for try = 1, 3 do
  room = call:gather { say = "Please enter the number of your room, then hash.", max = 6 }
  if room == nil then return end
  if room ~= "" then break end
end
if room == "" then return call:say("Goodbye.") end

local pin = store.get("room." .. room .. ".pin")
if pin then
  local given = call:gather { say = "Please enter the PIN, then hash.", max = 10 }
  if given ~= pin then return call:say("That is not the PIN. Goodbye.") end
end

local inside = store.add("room." .. room .. ".inside")
on_hangup(function() store.add("room." .. room .. ".inside", -1) end)

call:say(inside == 1 and "You are the first one here." or ("There are " .. inside .. " of you now."))
call:join("room-" .. room, { stop_on = "*" })
call:say("You have left the conference.")
