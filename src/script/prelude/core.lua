-- The Lua half of the call API, run once in every new VM before anything else. `rust` holds what is written in Rust.
-- Parts that many flows never use are loaded when they first do: making a VM shall be cheap. All parts keep what they
-- need in locals, so that a script may overwrite any global.
--
-- How a flow waits: `ask` notes in Rust what is wanted, then the coroutine yields without values.

local rust = ...
local ask, write, set_var, knows, error, select, tostring = rust.ask, rust.log, rust.set_var, rust.knows, error, select, tostring
local setmetatable, next, xpcall, type = setmetatable, next, xpcall, type
local co_yield, co_yieldable, unpack, seed, small = coroutine.yield, coroutine.isyieldable, table.unpack, math.randomseed, string.lower

---------------------------------------------------------------- what is loaded later

-- What the parts get, as it was before the script could overwrite it.
local kit = {
  error, type, select, next, pcall, tostring, rawget, getmetatable, setmetatable, collectgarbage, load, seed,
  math.tointeger, table.concat, string.rep, string.sub, small, coroutine, os,
}
kit.handlers, kit.below = {}, setmetatable({}, { __mode = "k" }) -- waiting coroutine -> the one that it waits for

local function part(name)
  kit.base = kit.base or rust.part("base")(rust, kit, unpack(kit))
  return name == "base" and kit.base or rust.part(name)(rust, kit, unpack(kit))
end

-- A function of the part `base`.
local function later(name)
  return function(...) return part("base")[name](...) end
end

coroutine, os = {}, {}
kit.coroutine, kit.os, kit.string, kit.table = coroutine, os, string, table

local function complete(library)
  setmetatable(library, nil)
  part(library == kit.coroutine and "coroutine" or library == kit.os and "os" or library == kit.string and "string" or "table")
end

-- The first look at something that is not there loads it.
local incomplete = {
  __index = function(library, name) complete(library) return library[name] end,
  __pairs = function(library) complete(library) return next, library end,
}
string.find, string.match, string.gmatch, string.gsub, string.rep, string.dump = nil, nil, nil, nil, nil, nil
table.insert, table.remove, table.move, table.sort = nil, nil, nil, nil
setmetatable(coroutine, incomplete)
setmetatable(os, incomplete)
setmetatable(string, incomplete)
setmetatable(table, incomplete)

dofile, loadfile, warn = nil, nil, nil
_G.setmetatable, _G.xpcall, load, collectgarbage = later "setmetatable", later "xpcall", later "load", later "collectgarbage"
require, print, on_hangup, math.randomseed = later "require", later "print", later "on_hangup", later "randomseed"

---------------------------------------------------------------- the call

-- Of the answers to `ask`, none means: wait; true: it cannot be done now, an expected failure; false: misuse.
local function method(name)
  return function(self, a, b)
    local answer, word = ask(co_yieldable(), name, self, a, b)
    if answer == nil then return co_yield() end
    if answer then return nil, word end
    error(word, 2)
  end
end

-- A table of methods that makes each when it is first used.
local function methods(prefix)
  return setmetatable({}, {
    __index = function(known, name)
      if not knows(prefix, name) then return nil end
      known[name] = method(prefix .. name)
      return known[name]
    end,
  })
end

local values, call_kind = {}, { __index = methods "call.", __name = "call" }
store, messages, phones, contacts = methods "store.", methods "messages.", methods "phones.", methods "contacts."
queues, agents, ai_agents = methods "queues.", methods "agents.", methods "ai_agents."

local function note(refusal, full)
  if refusal then error(refusal, 3) end
  if full and co_yieldable() then co_yield() end
end

function log(...)
  if select("#", ...) > 1 then
    local level, text = ...
    note(write(level, tostring(text)))
  else
    note(write("info", tostring((...))))
  end
end
kit.log = log

vars = setmetatable({}, {
  __index = values,
  __newindex = function(_, name, value)
    local text, refusal, full = set_var(name, value)
    note(refusal, full)
    values[name] = text
  end,
  __pairs = function() return next, values end,
  __metatable = false,
})

---------------------------------------------------------------- what Rust calls

-- Fill in what is known of the call.
local function begin(
  leg, start, id, caller, caller_name, called, sip_call_id, source, inbound, trunk, phone, route, headers, stir, letter
)
  seed(start, 0)
  kit.seed = start
  setmetatable(values, {
    __index = {
      id = id, caller = caller, caller_name = caller_name, called = called, sip_call_id = sip_call_id, source = source,
      inbound = inbound, trunk = trunk, phone = phone,
    },
  })
  if route then
    for name, value in next, route do values[name] = value end
  end
  if headers then
    local lower = {}
    for name, value in next, headers do lower[small(name)] = value end
    setmetatable(headers, {
      __index = function(_, name) return type(name) == "string" and lower[small(name)] or nil end,
    })
  end
  if letter then -- There is no call.
    letter.headers = headers or {}
    message = setmetatable(letter, { __index = methods "message.", __name = "message" })
    return
  end
  call = setmetatable({
    _leg = leg, id = id, caller = caller, caller_name = caller_name, called = called, sip_call_id = sip_call_id,
    source = source, inbound = inbound, trunk = trunk, phone = phone, headers = headers or {},
    stir = stir,
  }, call_kind)
end

-- The body of the flow's coroutine. False: it failed, and Rust knows how.
local failed = rust.failed
local function enter(chunk)
  return (xpcall(chunk, failed))
end

return begin, enter, later "finish", kit.handlers, call_kind, { __index = methods "recording.", __name = "recording" },
  { __index = methods "playing.", __name = "playing" }
