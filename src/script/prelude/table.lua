-- The functions of the table library that could run for long, loaded when a script first uses one.
-- Lua's own run in C over as many places as a metatable claims there are, without a hook.

local rust, kit, error, type, select, next, pcall, tostring, rawget, getmetatable, raw_setmetatable,
  raw_collectgarbage, raw_load, seed, tointeger, concat, rep, sub, small, coroutine, os = ...
local expect, table = kit.base.expect, kit.table


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
