-- Answers, greets, and sends back what you say until you press #.

call:answer()
call:tone("beep")
call:say("Everything you say comes back. Press the hash key to end.", { stop_on = "any" })
call:echo { stop_on = "#", limit = 600 }
call:say("Goodbye.")
