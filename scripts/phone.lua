-- What `switchhook call` runs once the far end has answered. Its options come as variables:
--   play    WAV file to play            digits  digits to send
--   record  file to record into         wait    seconds to stay after that; without it, until the far end hangs up

local recording
if vars.record then
  local why
  recording, why = call:record { file = vars.record, stereo = true }
  if not recording then log("error", "cannot record: " .. why) end
end

if vars.play then
  local ok, why, detail = call:play(vars.play)
  if not ok then log("error", ("cannot play %s: %s %s"):format(vars.play, why, detail or "")) end
end

if vars.digits then call:send_digits(vars.digits) end

local wait = tonumber(vars.wait)
if wait then
  call:sleep(wait)
else
  repeat until not call:sleep(3600)
end

if recording then recording:stop() end
call:hangup()
