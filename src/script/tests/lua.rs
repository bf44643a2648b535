//! The language as scripts find it: coroutines, modules, time and chance.

use super::*;

#[test]
fn coroutines_of_a_script_do_not_see_its_waits() {
    let mut run = Run::new(
        "local co = coroutine.create(function(a)
           print('in', a, call:sleep(1))
           local b = coroutine.yield('first', a + 1)
           print('again', b, call:sleep(2))
           return 'done', nil, 7
         end)
         print(coroutine.resume(co, 5))
         print(coroutine.status(co), coroutine.isyieldable())
         print(coroutine.resume(co, 'x'))
         print(coroutine.status(co), coroutine.resume(co))",
    );
    assert_eq!(run.drive(|_| Reply::Done), FlowEnd::Finished);
    assert_eq!(
        run.lines(),
        [
            "in\t5\ttrue",
            "true\tfirst\t6",
            "suspended\tfalse",
            "again\tx\ttrue",
            "true\tdone\tnil\t7",
            "dead\tfalse\tcannot resume dead coroutine",
        ]
    );
}

#[test]
fn coroutine_functions_do_as_in_lua() {
    let script = "
      local function all(...) return select('#', ...), ... end
      print(all(coroutine.resume(coroutine.create(function() end))))
      print(all(coroutine.resume(coroutine.create(function() coroutine.yield() end))))
      print(all(coroutine.resume(coroutine.create(function() coroutine.yield(nil, nil) end))))
      local gen = coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end end)
      print(gen(), gen(), gen(), gen())
      print(pcall(gen))
      print(pcall(coroutine.wrap(function() error({}) end)) == false)
      print(pcall(coroutine.wrap(function() error('plain', 0) end)))
      print(coroutine.resume(coroutine.running()))
      local co co = coroutine.create(function() return coroutine.resume(co) end)
      print(coroutine.resume(co))
      co = coroutine.create(function() coroutine.yield() end) coroutine.resume(co)
      print(coroutine.close(co), coroutine.status(co))
      co = coroutine.create(function()
        local x <close> = setmetatable({}, {__close = function() error('in close', 0) end}) coroutine.yield() end)
      coroutine.resume(co)
      print(coroutine.close(co))
      print(pcall(coroutine.close, coroutine.running()))
      print(select(2, coroutine.running()), coroutine.wrap(function() return select(2, coroutine.running()), coroutine.isyieldable() end)())
      print(pcall(coroutine.yield, 1))
      print(pcall(coroutine.create, 5))
      print(pcall(coroutine.resume, 5))
      local deep = coroutine.wrap(function() return coroutine.wrap(function() return coroutine.wrap(function() coroutine.yield(1) return 2 end)() end)() end)
      print(deep())";
    assert_eq!(
        printed(script),
        [
            "1\ttrue",
            "1\ttrue",
            "3\ttrue\tnil\tnil",
            "1\t2\t3",
            "false\tcannot resume dead coroutine",
            "true",
            "false\tplain",
            "false\tcannot resume non-suspended coroutine",
            "true\tfalse\tcannot resume non-suspended coroutine",
            "true\tdead",
            "false\tin close",
            "false\tcannot close a running coroutine",
            "true\tfalse\ttrue",
            "false\tattempt to yield from outside a coroutine",
            "false\tbad argument #1 to 'create' (function expected)",
            "false\tbad argument #1 to 'resume' (thread expected, got number)",
            "1",
        ]
    );
}

#[test]
fn generators_that_wait_work_in_a_for_loop() {
    let mut run = Run::new(
        "local function ticks(n) return coroutine.wrap(function() for i = 1, n do call:sleep(i) coroutine.yield(i) end end) end
         local sum = 0 for i in ticks(4) do sum = sum + i end print(sum)",
    );
    assert_eq!(run.drive(|_| Reply::Done), FlowEnd::Finished);
    assert_eq!(run.lines(), ["10"]);
    assert_eq!(run.asked.len(), 4);
}

#[test]
fn a_slice_in_the_middle_of_a_coroutine_changes_nothing() {
    let small = Limits { slice_instructions: 100, ..Limits::default() };
    let text = "local function fib() local a, b = 0, 1 while true do coroutine.yield(a) a, b = b, a + b end end
       local next = coroutine.wrap(fib)
       for i = 1, 500 do local x = next() if i == 50 then print(x) end end
       local parts = {} for w in ('the quick brown fox '):rep(50):gmatch('%a+') do parts[#parts + 1] = w end print(#parts)
       local t = {} for i = 1, 300 do t[i] = (i * 7919) % 300 end table.sort(t) print(t[1], t[150], t[300])
       print((('ab'):rep(300):gsub('a', function(c) return c:upper() end)):sub(1, 6))";
    let run = Run::with(text, small, no_modules());
    assert_eq!(run.end(), &FlowEnd::Finished);
    assert!(run.slices > 100, "{} slices", run.slices);
    assert_eq!(run.lines(), ["7778742049", "200", "0\t149\t299", "AbAbAb"]);
}

#[test]
fn a_reply_reaches_its_question_wherever_the_slice_ends() {
    let asks = [
        "local function ask() return call:play('a.wav') end",
        "local function ask()
           local inner = coroutine.wrap(function() coroutine.yield(call:play('a.wav')) end)
           return coroutine.wrap(function() coroutine.yield(inner()) end)()
         end",
    ];
    // The hook looks once in 50 instructions, and always ends the slice; the steps move it on by one at a time.
    let small = Limits { slice_instructions: 50, ..Limits::default() };
    for (ask, steps) in asks.into_iter().flat_map(|ask| (0..60).map(move |steps| (ask, steps))) {
        let steps = "a = 1 ".repeat(steps);
        let text = format!("{ask} {steps} for i = 1, 20 do local ok, key, took = ask() print(ok, key, took) end");
        let mut run = Run::with(&text, small, no_modules());
        let end = run.drive(|_| Reply::Played { key: Some('5'), length: Duration::from_secs(2) });
        assert_eq!(end, FlowEnd::Finished, "after {} steps", steps.len() / 6);
        assert_eq!(run.lines(), ["true\t5\t2.0"; 20], "after {} steps", steps.len() / 6);
    }
}

#[test]
fn table_functions_do_as_in_lua() {
    let script = "
      local function try(f, ...) local ok, e = pcall(f, ...) return ok and 'ok' or (e:gsub('^.-:%d+: ', '')) end
      local t = {1, 2, 3}
      table.insert(t, 4) table.insert(t, 1, 0) table.insert(t, 6, 'end') print(table.concat(t, ' '))
      print(table.remove(t), table.remove(t, 1), table.concat(t, ' '))
      print(table.remove({}), table.remove({}, 0), #t, table.remove(t, #t + 1))
      print(try(table.insert, t, 9, 1), try(table.insert, t), try(table.insert, nil, 1), try(table.remove, t, 9))
      print(table.concat(table.move({1, 2, 3}, 1, 3, 2), ' '), table.concat(table.move({1, 2, 3}, 2, 3, 1), ' '))
      print(table.concat(table.move({1, 2}, 1, 2, 3, {8, 9}), ' '))
      local words = {'pear', 'apple', 'fig'} table.sort(words) print(table.concat(words, ' '))
      table.sort(words, function(a, b) return #a < #b end) print(table.concat(words, ' '))
      print(try(table.sort, {1, 'x'}), try(table.sort, {{}, {}}), try(table.sort, {1, 2}, 5))
      local lt = {__lt = function(a, b) return a.n < b.n end}
      local objects = {} for i, n in ipairs {3, 1, 2} do objects[i] = setmetatable({n = n}, lt) end
      table.sort(objects) print(objects[1].n, objects[2].n, objects[3].n)
      print(select('#', table.unpack({1, nil, 3}, 1, 3)), table.pack(1, nil).n)";
    assert_eq!(
        printed(script),
        [
            "0 1 2 3 4 end",
            "end\t0\t1 2 3 4",
            "nil\tnil\t4\tnil",
            "bad argument #2 to 'insert' (position out of bounds)\twrong number of arguments to 'insert'\tbad argument #1 to 'insert' (table expected, got no value)\tbad argument #2 to 'remove' (position out of bounds)",
            "1 1 2 3\t2 3 3",
            "8 9 1 2",
            "apple fig pear",
            "fig pear apple",
            "attempt to compare number with string (element 2 of 'sort')\tattempt to compare table with table (element 1 of 'sort')\tbad argument #2 to 'sort' (function expected, got number)",
            "1\t2\t3",
            "3\t2",
        ]
    );
}

#[test]
fn errors_of_the_library_carry_the_line_of_the_script() {
    for text in [
        "table.insert(nil, 1)",
        "table.sort({1, {}})",
        "string.rep()",
        "setmetatable(1, {})",
        "require(5)",
        "coroutine.wrap(5)",
        "coroutine.yield()",
        "os.time({})",
        "os.date('%Ez', 0)",
        "math.randomseed({})",
        "collectgarbage()",
        "load(5)",
        "('x'):rep(1e12)",
        "table.concat({{}})",
        "string.format('%d', 'x')",
        "xpcall(print)",
        "('x'):bad()",
        "#nil",
        "setmetatable(setmetatable({}, {__metatable = 1}), {})",
    ] {
        let text = if text.starts_with('#') { format!("local x = {text}") } else { text.to_owned() };
        let run = Run::new(&format!("\n\n{text}\nlog('never')"));
        assert!(run.error().starts_with("test.lua:3: "), "{text}: {}", run.error());
    }
}

#[test]
fn xpcall_calls_its_handler_which_may_wait() {
    let mut run = Run::new(
        "print(xpcall(function() error('x', 0) end, function(e) call:sleep(1) return e .. '!' end))
         print(xpcall(function(...) return ... end, print, 1, 2))
         print(xpcall(error, function() error('again', 0) end))",
    );
    assert_eq!(run.drive(|_| Reply::Done), FlowEnd::Finished);
    assert_eq!(run.lines(), ["false\tx!", "true\t1\t2", "false\tagain"]);
}

#[test]
fn time_is_the_calls_own() {
    let mut run = Run::new(
        "print(os.time(), os.clock(), os.date('!%Y-%m-%d %H:%M:%S')) call:sleep(90)
         print(os.time(), os.clock(), os.date('!%H:%M:%S'), os.date('!*t').wday, os.date('!%A', 0), os.difftime(5, 3))
         local t = os.date('*t', 86400 * 365) t.day = t.day + 31 print(os.time(t) - 86400 * 365)",
    );
    run.elapsed = Duration::from_millis(90_500);
    run.reply(Reply::Done);
    assert_eq!(
        run.lines(),
        [
            "1772447400\t0.0\t2026-03-02 10:30:00",
            "1772447490\t90.5\t10:31:30\t2\tThursday\t5.0".replace("5.0", "2.0").as_str(),
            "2678400"
        ]
    );
}

#[test]
fn chance_is_the_calls_own() {
    let text =
        "print(math.random(1000000), math.random(), math.random(6)) math.randomseed() print(math.random(1000000))
       math.randomseed(7) print(math.random(1000000))";
    let (first, second) = (printed(text), printed(text));
    assert_eq!(first, second);
    assert_eq!(first[0].split('\t').next(), first[1].split('\t').next());
    assert_ne!(first[1], first[2]);
}

#[test]
fn modules_are_required_once_and_may_return_anything() {
    let modules: Modules = Rc::new(|name| match name {
        "lib/greet.lua" => Ok(program(name, "print('loading', ...) return function(who) return 'hello ' .. who end")),
        "nothing.lua" => Ok(program(name, "counter = (counter or 0) + 1")),
        "loop.lua" => Ok(program(name, "local loop = require 'loop'")),
        "broken.lua" => Ok(program(name, "\nerror('inside')")),
        "waits.lua" => Ok(program(name, "call:sleep(1) return {ready = true}")),
        _ => Err(format!("there is no script '{name}'")),
    });
    let text = "print(require('lib.greet')('you'), require 'lib.greet' == require 'lib.greet')
       print(require 'nothing', require 'nothing', counter)
       print(pcall(require, 'loop')) print(pcall(require, 'broken')) print(pcall(require, 'missing'))
       for _, bad in ipairs {'../x', '/etc/x', 'a..b', '', 'a//b', 'x.lua.', 'a b', 'a\\0b'} do print(select(2, pcall(require, bad))) end
       print(require('waits').ready)";
    let mut run = Run::with(text, Limits::default(), modules);
    assert_eq!(run.drive(|_| Reply::Done), FlowEnd::Finished, "{:?}", run.logs);
    let lines = run.lines();
    assert_eq!(
        lines[..4],
        ["loading\tlib.greet", "hello you\ttrue", "true\ttrue\t1", "false\tloop.lua:1: module 'loop' requires itself"]
    );
    assert_eq!(lines[4], "false\tbroken.lua:2: inside");
    assert_eq!(lines[5], "false\tmodule 'missing': there is no script 'missing.lua'");
    for line in &lines[6..14] {
        assert!(line.contains("a name is made of letters"), "{line}");
    }
    assert_eq!(lines[14], "true");
}

#[test]
fn a_small_flow_is_small() {
    let run = Run::new("call:answer()");
    assert!(run.vm.memory() < 80_000, "{} bytes", run.vm.memory());
}
