-- The coroutine library, loaded when a script first uses it.
--
-- Coroutines of the script's own always yield with the mark USER in front; so a yield without it is a wait (or the end
-- of a time slice) and is passed on to the coroutine above, up to the top.

local rust, kit, error, type, select, next, pcall, tostring, rawget, getmetatable, raw_setmetatable,
  raw_collectgarbage, raw_load, seed, tointeger, concat, rep, sub, small, coroutine, os = ...
local expect, cancel, below, raw, coroutine = kit.base.expect, rust.cancel, kit.below, coroutine, kit.coroutine
local co_create, co_resume, co_yield, co_close = raw.create, raw.resume, raw.yield, raw.close
local co_running, co_status, co_yieldable = raw.running, raw.status, raw.isyieldable


local USER, SPOILT, STOPPED = {}, {}, rust.stopped
-- coroutine -> true: alive; SPOILT: stopped by a limit, never to be closed
local made = raw_setmetatable({}, { __mode = "k" })
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

coroutine.status = co_status
