-- The Lua half of the call API, run once in every new VM before anything else. `rust` holds what is written in Rust.
-- Whatever this file needs later is kept in locals, so that a script may overwrite any global.
--
-- How a flow waits: `ask` notes in Rust what is wanted, then the coroutine yields without values. Coroutines of the
-- script's own always yield with the mark USER in front; so a yield without it is a wait (or the end of a time slice)
-- and is passed on to the coroutine above, up to the top.

local rust = ...
local ask, cancel, find, go_on_finding = rust.ask, rust.cancel, rust.find, rust.go_on_finding
local error, type, select, tostring, pcall = error, type, select, tostring, pcall
local next, rawget, getmetatable, raw_setmetatable, raw_xpcall = next, rawget, getmetatable, setmetatable, xpcall
local raw_load, raw_collectgarbage = load, collectgarbage
local co_create, co_resume, co_yield, co_close = coroutine.create, coroutine.resume, coroutine.yield, coroutine.close
local co_running, co_status, co_yieldable = coroutine.running, coroutine.status, coroutine.isyieldable
local concat, rep, sub, tointeger, seed = table.concat, string.rep, string.sub, math.tointeger, math.randomseed
local small, raw_date, raw_time, difftime = string.lower, os.date, os.time, os.difftime

local function expect(value, kind, number, name)
  if type(value) ~= kind then
    local found = value == nil and "no value" or type(value)
    error("bad argument #" .. number .. " to '" .. name .. "' (" .. kind .. " expected, got " .. found .. ")", 3)
  end
end

-- Calls a C function whose errors shall carry the line of the script.
local function guarded(ok, ...)
  if ok then return ... end
  error((...), 2)
end

---------------------------------------------------------------- coroutines

local USER, SPOILT, STOPPED = {}, {}, rust.stopped
local weak = { __mode = "k" }
local made = raw_setmetatable({}, weak)   -- coroutine -> true: alive; SPOILT: stopped by a limit, never to be closed
local below = raw_setmetatable({}, weak)  -- waiting coroutine -> the one that it waits for
local alive, most = 0, rust.coroutines

local settle

local function go_on(co, ...)
  below[co_running()] = nil
  return settle(co, co_resume(co, ...))
end

function settle(co, ok, ...)
  local first = ...
  if first == USER then return true, select(2, ...) end
  if not ok then
    if co_status(co) == "dead" and made[co] == true then
      alive = alive - 1
      -- Such an error may have been raised inside a hook; then hooks are off in this coroutine for ever.
      made[co] = (first == STOPPED or first == "not enough memory" or type(first) == "userdata") and SPOILT or nil
    end
    return false, first
  end
  if co_status(co) == "suspended" then
    if co_yieldable() then
      below[co_running()] = co
      return go_on(co, co_yield())
    elseif cancel() then
      return settle(co, co_resume(co, nil, "cannot_wait"))
    end
    return settle(co, co_resume(co))
  end
  made[co], alive = nil, alive - 1
  return true, ...
end

local function create(f, level)
  if type(f) ~= "function" then error("bad argument #1 to 'create' (function expected)", level) end
  if alive >= most then
    raw_collectgarbage()
    alive = 0
    for _, state in next, made do
      if state == true then alive = alive + 1 end
    end
    if alive >= most then error("too many coroutines (the limit is " .. most .. ")", level) end
  end
  local co = co_create(f)
  made[co], alive = true, alive + 1
  return co
end

local function close(co)
  if made[co] == SPOILT then return false, "stopped by a limit" end
  if made[co] then made[co], alive = nil, alive - 1 end
  return co_close(co)
end

local function unwrap(co, ok, ...)
  if ok then return ... end
  local failure = ...
  if co_status(co) == "dead" then
    local fine, other = close(co)
    if not fine and made[co] ~= SPOILT and other ~= nil then failure = other end
  end
  error(failure, 2)
end

function coroutine.create(f) return (create(f, 3)) end

function coroutine.resume(co, ...)
  expect(co, "thread", 1, "resume")
  if made[co] ~= true then
    return false, "cannot resume " .. (co_status(co) == "dead" and "dead" or "non-suspended") .. " coroutine"
  end
  return settle(co, co_resume(co, ...))
end

function coroutine.wrap(f)
  local co = create(f, 3)
  return function(...)
    if made[co] ~= true then error("cannot resume dead coroutine", 2) end
    return unwrap(co, settle(co, co_resume(co, ...)))
  end
end

function coroutine.yield(...)
  if made[co_running()] == nil then error("attempt to yield from outside a coroutine", 2) end
  if not co_yieldable() then error("attempt to yield across a C-call boundary", 2) end
  return co_yield(USER, ...)
end

function coroutine.close(co)
  expect(co, "thread", 1, "close")
  local status = co_status(co)
  if status ~= "suspended" and status ~= "dead" then error("cannot close a " .. status .. " coroutine", 2) end
  return close(co)
end

function coroutine.running()
  local co = co_running()
  return co, made[co] == nil
end

function coroutine.isyieldable()
  return made[co_running()] ~= nil and co_yieldable()
end

---------------------------------------------------------------- base

dofile, loadfile, warn, string.dump = nil, nil, nil, nil

function setmetatable(t, meta)
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

function xpcall(f, handler, ...)
  expect(handler, "function", 2, "xpcall")
  return handled(handler, pcall(f, ...))
end

function load(chunk, name, mode, ...)
  if type(chunk) ~= "string" then error("load: the chunk must be a string, not a " .. type(chunk), 2) end
  if #chunk > 65536 then return nil, "chunk is longer than 65536 bytes" end
  if mode ~= nil and mode ~= "t" and mode ~= "bt" then return nil, "only text can be loaded (mode 't')" end
  if select("#", ...) > 0 then return raw_load(chunk, name, "t", (...)) end
  return raw_load(chunk, name, "t")
end

function collectgarbage(what)
  if what == "count" then return raw_collectgarbage("count") end
  error("collectgarbage: only 'count' is available", 2)
end

local loaded, LOADING = {}, {}

function require(name)
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

---------------------------------------------------------------- strings

-- Rust answers SIGN and a text (an error), or SIGN and a search that is not through when its time is.
local SIGN = rust.sign

local function found(level, ...)
  local first, state = ...
  if first ~= SIGN then return ... end
  if type(state) == "string" then error(state, level) end
  if co_yieldable() then co_yield() end
  return found(level, go_on_finding(state))
end

function string.find(s, pattern, init, plain) return found(2, find("find", s, pattern, init, plain)) end

function string.match(s, pattern, init) return found(2, find("match", s, pattern, init)) end

function string.gmatch(s, pattern, init)
  local from, last = found(2, find("check", s, pattern, init)), nil
  local function step(ended, ...)
    if ended == nil then return nil end
    from, last = ended, ended
    return ...
  end
  return function() return step(found(3, find("gmatch", s, pattern, from, last))) end
end

local function replacement(with, from, to, ...)
  if from == nil then return nil end
  if type(with) == "table" then return from, to, with[(...)] end
  return from, to, (with(...))
end

function string.gsub(s, pattern, with, limit)
  local kind = type(with)
  if limit ~= nil then
    expect(limit, "number", 4, "gsub")
    limit = tointeger(limit) or error("bad argument #4 to 'gsub' (number has no integer representation)", 2)
  end
  if kind == "string" or kind == "number" then return found(2, find("replace", s, pattern, limit, with)) end
  if kind ~= "function" and kind ~= "table" then
    local got = with == nil and "nil" or kind
    error("bad argument #3 to 'gsub' (string/function/table expected, got " .. got .. ")", 2)
  end
  local at, last, parts, count = found(2, find("check", s, pattern)), nil, {}, 0
  local once = sub(pattern, 1, 1) == "^"
  while not limit or count < limit do
    local first, ended, value = replacement(with, found(3, find("gsub", s, pattern, at, last)))
    if first == nil then break end
    if not value then
      value = sub(s, first, ended - 1)
    elseif type(value) ~= "string" and type(value) ~= "number" then
      error("invalid replacement value (a " .. type(value) .. ")", 2)
    end
    parts[#parts + 1] = sub(s, at, first - 1)
    parts[#parts + 1] = value
    at, last, count = ended, ended, count + 1
    if once then break end
  end
  parts[#parts + 1] = sub(s, at)
  return concat(parts), count
end

function string.rep(s, n, between)
  if type(s) == "number" then s = s .. "" end
  expect(s, "string", 1, "rep")
  expect(n, "number", 2, "rep")
  if between == nil then between = "" else expect(between, "string", 3, "rep") end
  local times = tointeger(n) or error("bad argument #2 to 'rep' (number has no integer representation)", 2)
  local one = s .. between
  if times < 1 then return "" end
  if #one > 0 and times > rust.memory // #one then error("not enough memory for 'rep'", 2) end
  if times < 4096 then return rep(s, times, between) end
  return rep(rep(one, 1024), (times - 1) // 1024) .. rep(one, (times - 1) % 1024) .. s
end

---------------------------------------------------------------- tables
-- Lua's own run in C over as many places as a metatable claims there are, without a hook.

function table.insert(t, ...)
  expect(t, "table", 1, "insert")
  local n, given = #t + 1, select("#", ...)
  if given == 1 then
    t[n] = (...)
    return
  end
  if given ~= 2 then error("wrong number of arguments to 'insert'", 2) end
  local at, value = ...
  expect(at, "number", 2, "insert")
  at = tointeger(at)
  if not at or at < 1 or at > n then error("bad argument #2 to 'insert' (position out of bounds)", 2) end
  for i = n, at + 1, -1 do t[i] = t[i - 1] end
  t[at] = value
end

function table.remove(t, at)
  expect(t, "table", 1, "remove")
  local n = #t
  if at == nil then
    at = n
  else
    expect(at, "number", 2, "remove")
    at = tointeger(at)
    if not at or at ~= n and (at < 1 or at > n + 1) then
      error("bad argument #2 to 'remove' (position out of bounds)", 2)
    end
  end
  local value = t[at]
  for i = at, n - 1 do t[i] = t[i + 1] end
  if at < n then t[n] = nil else t[at] = nil end
  return value
end

function table.move(a, first, last, to, b)
  expect(a, "table", 1, "move")
  expect(first, "number", 2, "move")
  expect(last, "number", 3, "move")
  expect(to, "number", 4, "move")
  if b == nil then b = a else expect(b, "table", 5, "move") end
  if to > last or to <= first or a ~= b then
    for i = 0, last - first do b[to + i] = a[first + i] end
  else
    for i = last - first, 0, -1 do b[to + i] = a[first + i] end
  end
  return b
end

-- A merge sort: stable, at most n log n comparisons whatever the comparator says, and it may wait.
function table.sort(t, before)
  expect(t, "table", 1, "sort")
  if before ~= nil then expect(before, "function", 2, "sort") end
  local n, a, b, kind = #t, {}, {}, type(t[1])
  for i = 1, n do
    local value = t[i]
    a[i] = value
    local is = type(value)
    if not before and (is ~= kind or is ~= "number" and is ~= "string" and getmetatable(value) == nil) then
      error("attempt to compare " .. kind .. " with " .. is .. " (element " .. i .. " of 'sort')", 2)
    end
  end
  local width = 1
  while width < n do
    for low = 1, n, 2 * width do
      local middle, high = low + width, low + 2 * width
      if middle > n + 1 then middle = n + 1 end
      if high > n + 1 then high = n + 1 end
      local i, j = low, middle
      for k = low, high - 1 do
        local right
        if i >= middle then right = true
        elseif j >= high then right = false
        elseif before then right = before(a[j], a[i])
        else right = a[j] < a[i] end
        if right then b[k], j = a[j], j + 1 else b[k], i = a[i], i + 1 end
      end
    end
    a, b, width = b, a, 2 * width
  end
  for i = 1, n do t[i] = a[i] end
end

---------------------------------------------------------------- time and chance

os = {
  time = function(t)
    if t == nil then return (rust.time()) end
    expect(t, "table", 1, "time")
    return guarded(pcall(raw_time, t))
  end,
  date = function(format, at)
    if format == nil then format = "%c" end
    if at == nil then at = rust.time() end
    return guarded(pcall(raw_date, format, at))
  end,
  clock = function() return (select(2, rust.time())) end,
  difftime = difftime,
}

local first_seed

function math.randomseed(a, b)
  if a == nil then a, b = first_seed, nil end
  return guarded(pcall(seed, a, b or 0))
end

---------------------------------------------------------------- the call

-- Without values: wait. True: it cannot be done now, and that is an expected failure. False: misuse.
local function method(name)
  return function(self, a, b)
    local answer, word = ask(co_yieldable(), name, self, a, b)
    if answer == nil then return co_yield() end
    if answer then return nil, word end
    error(word, 2)
  end
end

local methods, recording, handlers, values = {}, {}, {}, {}
-- The metatables of calls (the script's own, and the legs that it dialled) and of recordings.
local a_call, a_recording = { __index = methods, __name = "call" }, { __index = recording, __name = "recording" }
for _, name in next, {
  "answer", "ring", "progress", "reject", "hangup", "play", "say", "tone", "gather", "record", "dial", "bridge", "join",
  "echo", "send_digits", "sleep", "mailbox", "pickup", "park", "retrieve",
} do methods[name] = method(name) end
for _, name in next, { "stop", "pause", "resume" } do recording[name] = method("recording." .. name) end

local function note(refusal, full)
  if refusal then error(refusal, 3) end
  if full and co_yieldable() then co_yield() end
end

function log(...)
  if select("#", ...) > 1 then
    local level, text = ...
    note(rust.log(level, tostring(text)))
  else
    note(rust.log("info", tostring((...))))
  end
end

function print(...)
  local parts = { ... }
  for i = 1, select("#", ...) do parts[i] = tostring(parts[i]) end
  note(rust.log("info", concat(parts, "\t")))
end

store = { get = method("store.get"), set = method("store.set"), add = method("store.add") }

vars = raw_setmetatable({}, {
  __index = values,
  __newindex = function(_, name, value)
    local text, refusal, full = rust.set_var(name, value)
    note(refusal, full)
    values[name] = text
  end,
  __pairs = function() return next, values end,
  __metatable = false,
})

function on_hangup(handler)
  expect(handler, "function", 1, "on_hangup")
  handlers[#handlers + 1] = handler
end

---------------------------------------------------------------- what Rust calls

-- Fill in what is known of the call.
local function begin(facts, route, headers, start)
  seed(start, 0)
  first_seed = start
  raw_setmetatable(values, { __index = facts })
  for name, value in next, route do values[name] = value end
  local lower = {}
  for name, value in next, headers do lower[small(name)] = value end
  raw_setmetatable(headers, {
    __index = function(_, name) return type(name) == "string" and lower[small(name)] or nil end,
  })
  call = raw_setmetatable({ headers = headers }, a_call)
  for name, value in next, facts do call[name] = value end
  return call
end

-- The body of the flow's coroutine. False first: it failed, and Rust knows how.
local function enter(chunk)
  return (raw_xpcall(chunk, rust.failed))
end

-- Close the to-be-closed variables of a script that is given up, innermost coroutine first; then give what remains to
-- be run: the handlers.
local function finish(main, reason)
  local chain = {}
  while main do
    chain[#chain + 1], main = main, below[main]
  end
  for i = #chain, 1, -1 do
    local ok, failure = co_close(chain[i])
    if not ok then rust.log("error", "while closing: " .. tostring(failure)) end
  end
  return function()
    for i = 1, #handlers do
      local ok, failure = pcall(handlers[i], reason)
      if not ok then rust.log("error", "on_hangup: " .. tostring(failure)) end
    end
  end
end

return begin, enter, finish, handlers, a_call, a_recording
