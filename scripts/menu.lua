call:answer()
local digits = call:gather{say = "Welcome. Press 1 or 2.", max = 1, first_timeout = 5}
call:say("You pressed " .. (digits or "nothing"))
