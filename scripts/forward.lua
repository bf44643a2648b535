-- A text message for a phone of ours goes to all its devices, and its sender hears how that went. Nothing goes over
-- carriers, so nobody can send messages at our cost.
local places = phones.registrations(message.to)
if not places then
  message:reject(404)
  return
end

local how, why, code = messages.send {
  to = message.to,
  from = message.from,
  text = message.text,
  type = message.type,
}
if how then
  message:accept()
elseif why == "refused" then
  message:reject(code)
else
  message:reject(480)
end
