-- What all parts need, and basic functions that many flows never call: loaded when one is first needed.

local rust, kit, error, type, select, next, pcall, tostring, rawget, getmetatable, raw_setmetatable,
  raw_collectgarbage, raw_load, seed, tointeger, concat, rep, sub, small, coroutine, os = ...

local base, below, handlers, write = {}, kit.below, kit.handlers, rust.log

function base.expect(value, kind, number, name)
  if type(value) ~= kind then
    local found = value == nil and "no value" or type(value)
    error("bad argument #" .. number .. " to '" .. name .. "' (" .. kind .. " expected, got " .. found .. ")", 3)
  end
end

-- Calls a C function whose errors shall carry the line of the script.
function base.guarded(ok, ...)
  if ok then return ... end
  error((...), 2)
end

local expect, guarded = base.expect, base.guarded

function base.setmetatable(t, meta)
  expect(t, "table", 1, "setmetatable")
  if meta ~= nil then
    if type(meta) ~= "table" then error("bad argument #2 to 'setmetatable' (nil or table expected)", 2) end
    -- Lua runs finalizers with hooks off, where no limit holds.
    if rawget(meta, "__gc") ~= nil then error("setmetatable: __gc is not available; use a <close> variable", 2) end
  end
  return guarded(pcall(raw_setmetatable, t, meta))
end

-- Calls the handler after the unwinding, so that it can wait and be limited like any other code.
local function handled(handler, ok, ...)
  if ok then return true, ... end
  return false, select(2, pcall(handler, ...))
end

function base.xpcall(f, handler, ...)
  expect(handler, "function", 2, "xpcall")
  return handled(handler, pcall(f, ...))
end

function base.load(chunk, name, mode, ...)
  if type(chunk) ~= "string" then error("load: the chunk must be a string, not a " .. type(chunk), 2) end
  if #chunk > 65536 then return nil, "chunk is longer than 65536 bytes" end
  if mode ~= nil and mode ~= "t" and mode ~= "bt" then return nil, "only text can be loaded (mode 't')" end
  if select("#", ...) > 0 then return raw_load(chunk, name, "t", (...)) end
  return raw_load(chunk, name, "t")
end

function base.collectgarbage(what)
  if what == "count" then return raw_collectgarbage("count") end
  error("collectgarbage: only 'count' is available", 2)
end

local loaded, LOADING = {}, {}

function base.require(name)
  expect(name, "string", 1, "require")
  local value = loaded[name]
  if value == LOADING then error("module '" .. name .. "' requires itself", 2) end
  if value ~= nil then return value end
  local chunk, failure = rust.module(name)
  if not chunk then error(failure, 2) end
  loaded[name] = LOADING
  local ok, result = pcall(chunk, name)
  loaded[name] = nil
  if not ok then error(result, 0) end
  if result == nil then result = true end
  loaded[name] = result
  return result
end

function base.randomseed(a, b)
  if a == nil then a, b = kit.seed, nil end
  return guarded(pcall(seed, a, b or 0))
end

function base.print(...)
  local parts = { ... }
  for i = 1, select("#", ...) do parts[i] = tostring(parts[i]) end
  kit.log(concat(parts, "\t"))
end

function base.on_hangup(handler)
  expect(handler, "function", 1, "on_hangup")
  handlers[#handlers + 1] = handler
end

-- Close the to-be-closed variables of a script that is given up, innermost coroutine first; then give what remains to
-- be run: the handlers.
function base.finish(main, reason)
  local chain = {}
  while main do
    chain[#chain + 1], main = main, below[main]
  end
  for i = #chain, 1, -1 do
    local ok, failure = coroutine.close(chain[i])
    if not ok then write("error", "while closing: " .. tostring(failure)) end
  end
  return function()
    for i = 1, #handlers do
      local ok, failure = pcall(handlers[i], reason)
      if not ok then write("error", "on_hangup: " .. tostring(failure)) end
    end
  end
end

return base
