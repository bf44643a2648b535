-- Takes a message. As a script of its own it is the mailbox of the number called;
-- other scripts: require "voicemail" (mailbox).

local function voicemail(mailbox)
  call:answer()
  call:say("Nobody can take your call now. Please speak after the tone, and press hash when you are done.")
  call:tone("beep")

  local message, why = call:record { party_only = true, max = 180, stop_on = "#", wait = true }
  if not message then return log("error", "no message recorded: " .. why) end
  if message.seconds < 1 then return log("caller of " .. mailbox .. " said nothing") end

  local count = store.add("voicemail." .. mailbox)
  store.set("voicemail." .. mailbox .. "." .. count, message.file)
  vars.message = message.file
  log(("message %d for %s from %s: %s"):format(count, mailbox, call.caller, message.file))
  call:say("Thank you. Goodbye.")
end

-- `...` is the module's name where another script requires this one, and nothing where a call starts it.
if ... then return voicemail end
voicemail(call.called)
