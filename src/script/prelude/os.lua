-- What there is of the os library, loaded when a script first uses it.

local rust, kit, error, type, select, next, pcall, tostring, rawget, getmetatable, raw_setmetatable,
  raw_collectgarbage, raw_load, seed, tointeger, concat, rep, sub, small, coroutine, os = ...
local expect, guarded, raw_date, raw_time, difftime = kit.base.expect, kit.base.guarded, os.date, os.time, os.difftime
local os = kit.os


function os.time(t)
  if t == nil then return (rust.time()) end
  expect(t, "table", 1, "time")
  return guarded(pcall(raw_time, t))
end

function os.date(format, at)
  if format == nil then format = "%c" end
  if at == nil then at = rust.time() end
  return guarded(pcall(raw_date, format, at))
end

function os.clock() return (select(2, rust.time())) end

os.difftime = difftime
