-- Codes that a phone dials to take a call: with what = "pickup" the one that rings another phone, with what = "fetch" the
-- one that is parked (see desk.lua). What stands behind the code is the other phone's number:
--   [[number]]
--   number = "88*"
--   script = "codes.lua"
--   vars = { code = "88", what = "pickup" }
if not call.phone then
  return call:reject(403) -- Only phones of ours; a guest could take anybody's call.
end
local number = call.called:sub(#(vars.code or "") + 1)

call:answer()
-- Where this works, the script ends here, and the call goes on with the other one.
if vars.what == "fetch" then
  call:retrieve(number)
  call:say("Nobody is parked there.")
else
  call:pickup(number)
  call:say("That phone does not ring.")
end
