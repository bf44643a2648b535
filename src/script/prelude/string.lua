-- The functions of the string library that could run for long, loaded when a script first uses one.

local rust, kit, error, type, select, next, pcall, tostring, rawget, getmetatable, raw_setmetatable,
  raw_collectgarbage, raw_load, seed, tointeger, concat, rep, sub, small, coroutine, os = ...
local expect, find, go_on_finding, string = kit.base.expect, rust.find, rust.go_on_finding, kit.string
local co_yield, co_yieldable = coroutine.yield, coroutine.isyieldable


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
