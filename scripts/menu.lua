-- A menu: speech, digits, two more tries, and a human (or voicemail) for those who press nothing.

local voicemail = require "voicemail"

local function sales()
  local who, why = call:dial { "sip:sales@127.0.0.1", timeout = 20 }
  if who then
    call:bridge(who)
  else
    log("warn", "sales did not answer: " .. why)
    voicemail("sales")
  end
end

local function hours()
  call:say("We are open from nine to five, Monday to Friday.")
end

local choices = { ["1"] = sales, ["2"] = hours, ["3"] = function() voicemail("office") end }

call:answer()
for try = 1, 3 do
  local digit, why = call:gather {
    say = "For sales, press one. For our opening hours, press two. To leave a message, press three.",
    timeout = 5,
  }
  if not digit then return log("warn", "menu ended: " .. why) end
  local choice = choices[digit]
  if choice then return choice() end
  if why ~= "no_input" then call:say("There is nothing on that key.") end
end
sales()
