local recording
if vars.record then recording = call:record{file = vars.record} end
if vars.play then call:play(vars.play) end
if vars.digits then call:send_digits(vars.digits) end
call:sleep(tonumber(vars.wait or "5"))
