//! Scripts that would hold up a thread, eat its memory, or refuse to die. Each ends only itself.

use std::{cell::Cell, rc::Rc, time::Duration};

use super::*;

fn limits() -> Limits {
    Limits { instructions: 3_000_000, ending_instructions: 300_000, ..Limits::default() }
}

/// Run `text` to its end.
fn run(text: &str) -> Run {
    Run::with(text, limits(), no_modules())
}

#[track_caller]
fn reaches(limit: &'static str, text: &str) -> Run {
    let run = run(text);
    assert_eq!(run.end(), &FlowEnd::Limit(limit), "log: {:?}", run.logs);
    run
}

#[test]
fn an_endless_loop_is_sliced_and_then_stopped_with_its_line() {
    let run = reaches("instructions", "local x = 0\nwhile true do\n  x = x + 1\nend");
    assert!(run.slices >= 50, "{} slices", run.slices);
    let (level, text) = &run.logs[0];
    assert_eq!(*level, Level::Error);
    assert!(text.contains("limit 'instructions'") && text.contains("test.lua:"), "{text}");
}

#[test]
fn an_endless_loop_names_the_function_it_is_in() {
    let run = reaches("instructions", "local function spin()\n  while true do end\nend\nspin()\nlog('x')");
    assert!(run.lines()[0].contains("test.lua:2: in"), "{:?}", run.logs);
    assert!(run.lines()[0].contains("test.lua:4: in"), "{:?}", run.logs);
}

#[test]
fn a_goto_loop_is_stopped() {
    reaches("instructions", "::again:: goto again");
}

#[test]
fn nested_pcalls_do_not_catch_the_end() {
    reaches(
        "instructions",
        "while true do pcall(function() while true do pcall(function() while true do end end) end end) end",
    );
    // Deep in a stack of pcalls each error costs Lua a walk through the stack, so only a few of them are waited for.
    let few = Limits { instructions: 60_000, ..limits() };
    let run = Run::with("local function f() pcall(f) while true do pcall(f) end end f()", few, no_modules());
    assert_eq!(run.end(), &FlowEnd::Limit("instructions"));
}

#[test]
fn an_error_handler_that_loops_is_stopped() {
    reaches("instructions", "xpcall(error, function() while true do end end)");
    let few = Limits { instructions: 60_000, ..limits() };
    let run = Run::with("local function h() while true do xpcall(error, h) end end h()", few, no_modules());
    assert_eq!(run.end(), &FlowEnd::Limit("instructions"));
}

#[test]
fn coroutines_that_loop_are_sliced_and_stopped() {
    let run = reaches("instructions", "coroutine.wrap(function() while true do end end)()");
    assert!(run.slices >= 50, "{} slices", run.slices);
    reaches("instructions", "while true do coroutine.wrap(function() coroutine.yield() end)() end");
    reaches(
        "instructions",
        "while true do local co = coroutine.create(function() while true do end end) pcall(coroutine.resume, co) end",
    );
    let nested = "local function f(n) if n == 0 then while true do end end coroutine.wrap(f)(n - 1) end f(20)";
    assert!(reaches("instructions", nested).slices >= 50);
}

#[test]
fn the_number_of_living_coroutines_is_limited_but_not_that_of_the_dead() {
    let keep = run("local all = {} while true do all[#all + 1] = coroutine.create(function() end) end");
    assert!(keep.error().contains("test.lua:1: too many coroutines (the limit is 100)"), "{}", keep.error());
    let drop =
        run("for i = 1, 1000 do coroutine.create(function() end) end\nfor i = 1, 1000 do coroutine.wrap(print)() end");
    assert_eq!(drop.end(), &FlowEnd::Finished);
}

#[test]
fn coroutines_nested_too_deep_are_an_error() {
    let run = run("local function f() return coroutine.wrap(f)() end f()");
    assert!(run.error().contains("too many coroutines") || run.error().contains("stack overflow"), "{}", run.error());
}

#[test]
fn patterns_that_backtrack_are_sliced_and_stopped() {
    let run = reaches("instructions", "string.find(('a'):rep(30000), ('.-'):rep(30) .. 'b')");
    assert!(run.slices >= 20, "{} slices", run.slices);
    reaches("instructions", "pcall(string.match, ('a'):rep(30000), ('a*'):rep(30) .. 'b')");
    reaches("instructions", "for _ in ('a'):rep(30000):gmatch(('a?'):rep(30) .. 'b') do end");
    reaches("instructions", "('a'):rep(30000):gsub(('a-'):rep(30) .. 'b', '')");
    reaches("instructions", "('a'):rep(30000):gsub(('a-'):rep(30) .. 'b', {})");
    reaches("instructions", "local s = ('a'):rep(100000) while true do s:find(s .. 'b', 1, true) end");
    reaches("instructions", "('a'):rep(200000):find(('a'):rep(100000) .. 'b', 1, true) while true do end");
}

#[test]
fn a_pattern_inside_a_metamethod_that_cannot_wait_is_stopped_too() {
    reaches(
        "uninterruptible",
        "tostring(setmetatable({}, {__tostring = function() string.find(('a'):rep(30000), ('.-'):rep(30) .. 'b') end}))",
    );
}

#[test]
fn text_that_grows_without_end_ends_at_the_memory_limit() {
    let run = run("local s = ('x'):rep(1 << 40)");
    assert!(run.error().contains("test.lua:1: not enough memory for 'rep'"), "{}", run.error());
    reaches("memory", "local s = 'x' while true do s = s .. s end");
    reaches("memory", "local t = {} for i = 1, 1000 do t[i] = ('x'):rep(100000) end");
    reaches("memory", "local t = {} for i = 1, 100 do t[i] = ('x'):rep(100000) .. i; table.concat(t) end");
}

#[test]
fn tables_that_grow_without_end_end_at_the_memory_limit() {
    let run = reaches("memory", "local t = {}\nfor i = 1, math.huge do\n  t[i] = i\nend");
    let near = run.lines()[0].strip_prefix("stopped: the flow reached its limit 'memory' near test.lua:").unwrap();
    assert!(["2", "3"].contains(&near), "{near}");
    reaches("memory", "local t = {} for i = 1, 1000000 do t[i] = {} end");
    reaches("memory", "local t = {} while true do t = {t, t} end");
    let caught = "while true do pcall(function() local t = {} while true do t[#t + 1] = {} end end) end";
    reaches("instructions", caught);
}

#[test]
fn the_memory_is_free_again_when_an_error_of_it_was_caught() {
    let run = run("print(('x'):rep(2))
         print(pcall(function() local t = {} while true do t[#t + 1] = {} end end))
         print(pcall(string.rep, 'x', 1000))");
    assert_eq!(run.end(), &FlowEnd::Finished);
    assert_eq!(run.lines()[..2], ["xx", "false\tnot enough memory"]);
    assert!(run.lines()[2].starts_with("true\txxx"));
}

#[test]
fn endless_recursion_ends_at_a_limit() {
    reaches("memory", "local function f() return 1 + f() end f()");
    let run =
        run("local t = setmetatable({}, {}) getmetatable(t).__index = function(t, k) return t[k] end local x = t.x");
    assert!(run.error().contains("C stack overflow"), "{}", run.error());
    let nested = run_text_error(&format!("return {}1{}", "(".repeat(1000), ")".repeat(1000)));
    assert!(nested.contains("C stack overflow") || nested.contains("too many"), "{nested}");
}

fn run_text_error(text: &str) -> String {
    match Program::compile("test.lua", text.as_bytes()) {
        Ok(_) => panic!("it compiled"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn finalizers_are_refused() {
    let early = run("\nsetmetatable({}, {__gc = function() while true do end end})");
    assert!(early.error().starts_with("test.lua:2: setmetatable: __gc is not available"), "{}", early.error());
    let late = "local m = {} local t = setmetatable({}, m) m.__gc = function() while true do end end t = nil
        for i = 1, 100000 do local x = {} end";
    assert_eq!(run(late).end(), &FlowEnd::Finished);
    assert!(
        run("local m = {} local t = setmetatable({}, m) m.__gc = print setmetatable(t, m)").error().contains("__gc")
    );
}

#[test]
fn metamethods_that_loop_where_lua_cannot_yield_are_stopped() {
    let looping = "function() while true do end end";
    reaches("uninterruptible", &format!("tostring(setmetatable({{}}, {{__tostring = {looping}}}))"));
    reaches("uninterruptible", &format!("string.format('%s', setmetatable({{}}, {{__tostring = {looping}}}))"));
    reaches("uninterruptible", &format!("table.concat(setmetatable({{}}, {{__index = {looping}}}), '', 1, 2)"));
    reaches("uninterruptible", &format!("table.unpack(setmetatable({{}}, {{__index = {looping}}}), 1, 2)"));
    reaches("uninterruptible", &format!("for i in ipairs(setmetatable({{}}, {{__index = {looping}}})) do end"));
    reaches("uninterruptible", &format!("log(setmetatable({{}}, {{__tostring = {looping}}}))"));
}

#[test]
fn pcalls_inside_such_a_metamethod_do_not_catch_the_end() {
    for body in [
        "while true do pcall(function() while true do end end) end",
        "local function f() pcall(f) while true do pcall(f) end end f()",
        "xpcall(function() while true do end end, function() while true do end end)",
        "while true do xpcall(function() while true do end end, function() while true do end end) end",
        "while true do local x <close> = setmetatable({}, {__close = function() while true do end end}) end",
        "while true do pcall(function() local x <close> = setmetatable({}, {__close = function() while true do end end}) error('x') end) end",
        "while true do coroutine.wrap(function() while true do end end)() end",
        "while true do pcall(coroutine.wrap(function() pcall(function() while true do end end) while true do end end)) end",
        "local co = coroutine.create(function() local x <close> = setmetatable({}, {__close = function() while true do end end}) while true do end end)
         while true do coroutine.resume(co) coroutine.close(co) end",
        "while true do tostring(setmetatable({}, {__tostring = function() pcall(function() while true do end end) end})) end",
        "while true do pcall(pcall, pcall, pcall, function() while true do end end) end",
    ] {
        reaches("uninterruptible", &format!("tostring(setmetatable({{}}, {{__tostring = function() {body} end}}))\nwhile true do end"));
    }
}

#[test]
fn operators_that_loop_are_sliced() {
    for (operator, use_of) in [
        ("__index", "t.x"),
        ("__add", "t + 1"),
        ("__eq", "t == u"),
        ("__lt", "t < u"),
        ("__concat", "t .. u"),
        ("__len", "#t"),
        ("__call", "t()"),
    ] {
        let text = format!(
            "local m = {{{operator} = function() while true do end end}} local t, u = setmetatable({{}}, m), setmetatable({{}}, m) local x = {use_of}"
        );
        let run = reaches("instructions", &text);
        assert!(run.slices >= 50, "{operator}: {} slices", run.slices);
    }
    reaches("instructions", "setmetatable(_G, {__newindex = function() while true do end end}) x = 1");
    reaches("instructions", "getmetatable('').__index = function() while true do end end; local x = ('a').b");
    reaches("instructions", "getmetatable('').__add = function() while true do end end; local x = 'a' + 1");
}

#[test]
fn comparators_may_loop_lie_and_wait() {
    let run = reaches("instructions", "table.sort({3, 2, 1}, function() while true do end end)");
    assert!(run.slices >= 50);
    let lying =
        run_ok("local t = {} for i = 1, 500 do t[i] = i end table.sort(t, function() return true end) print(#t)");
    assert_eq!(lying, ["500"]);
    let random = run_ok(
        "local t = {} for i = 1, 500 do t[i] = i end table.sort(t, function() return math.random() < 0.5 end) print(#t)",
    );
    assert_eq!(random, ["500"]);
    let mut waiting = Run::new(
        "local t = {3, 1, 2} table.sort(t, function(a, b) call:sleep(1) return a < b end) print(t[1], t[2], t[3])",
    );
    assert_eq!(waiting.drive(|_| Reply::Done), FlowEnd::Finished);
    assert_eq!(waiting.lines(), ["1\t2\t3"]);
}

fn run_ok(text: &str) -> Vec<String> {
    printed(text)
}

#[test]
fn table_functions_do_not_believe_a_metatable_without_limits() {
    let huge = "setmetatable({}, {__len = function() return 1 << 60 end})";
    for text in [
        format!("table.insert({huge}, 1, 'x')"),
        format!("table.remove({huge}, 1)"),
        format!("table.sort({huge}, rawequal)"),
        "table.move({}, 1, 1 << 60, 2)".to_owned(),
    ] {
        let run = run(&text);
        let stopped = matches!(run.end(), FlowEnd::Limit("instructions" | "memory"));
        assert!(stopped, "{text}: {:?}", run.end());
    }
}

#[test]
fn an_error_that_is_no_text_ends_the_flow_with_a_traceback() {
    for value in ["{}", "nil", "true", "42", "print", "setmetatable({}, {__tostring = function() return 'odd' end})"] {
        let run = run(&format!("local function f()\n  error({value})\nend\nf()\nlog('x')"));
        assert!(run.error().contains("test.lua:2: in"), "{value}: {}", run.error());
        assert!(run.error().contains("test.lua:4: in"), "{value}: {}", run.error());
    }
    let looping = run("error(setmetatable({}, {__tostring = function() while true do end end}))");
    assert!(matches!(looping.end(), FlowEnd::Limit(_)), "{:?}", looping.end());
    let odd = run("error(setmetatable({}, {__tostring = function() return 'odd' end}))");
    assert!(odd.error().starts_with("odd"), "{}", odd.error());
}

#[test]
fn an_error_names_script_and_line_and_the_way_there() {
    let run = run("local function f(x)\n  return x.y.z\nend\n\nf({})\nlog('never')");
    assert!(run.error().starts_with("test.lua:2: attempt to index a nil value (field 'y')"), "{}", run.error());
    assert!(run.error().contains("test.lua:5: in main chunk"), "{}", run.error());
    assert!(!run.error().contains("[C]"), "{}", run.error());
}

#[test]
fn a_wait_inside_a_pcall_works_and_an_error_after_it_is_caught() {
    let mut run = Run::new(
        "print(pcall(function() call:sleep(1) error('late', 0) end)) print(pcall(pcall, function() return call:sleep(2) end))",
    );
    assert_eq!(run.drive(|_| Reply::Done), FlowEnd::Finished);
    assert_eq!(run.lines(), ["false\tlate", "true\ttrue\ttrue"]);
}

#[test]
fn metamethods_may_wait() {
    let mut run = Run::new(
        "local m = {__index = function(t, k) call:sleep(1) return k .. '!' end, __add = function() call:sleep(2) return 5 end,
           __pairs = function(t) call:sleep(3) return next, t end}
         local t = setmetatable({}, m)
         print(t.x, t + 1)
         for k in pairs(t) do end
         do local c <close> = setmetatable({}, {__close = function() call:sleep(4) print('closed') end}) end
         print(pcall(tostring, setmetatable({}, {__tostring = function() call:sleep(5) end})))",
    );
    assert_eq!(run.drive(|_| Reply::Done), FlowEnd::Finished);
    assert_eq!(run.lines()[..2], ["x!\t5", "closed"]);
    assert!(run.lines()[2].contains("test.lua:7: this cannot wait here"), "{:?}", run.logs);
    let slept: Vec<Verb> = (1..5).map(|s| Verb::Sleep(Duration::from_secs(s))).collect();
    assert_eq!(run.asked, slept);
}

#[test]
fn a_wait_in_a_coroutine_that_c_code_holds_fails_without_waiting() {
    let run = Run::new(
        "local t = setmetatable({}, {__tostring = function()
           return tostring(select(2, coroutine.wrap(function() return call:sleep(1) end)()))
         end})
         print(tostring(t))",
    );
    assert_eq!(run.end(), &FlowEnd::Finished);
    assert_eq!(run.lines(), ["cannot_wait"]);
}

#[test]
fn hanging_up_unwinds_past_any_pcall() {
    let mut run = Run::new(
        "on_hangup(function(reason) print('handler', reason, call:play('x.wav')) end)
         while true do pcall(function() pcall(call.sleep, call, 1) end) end",
    );
    run.reply(Reply::Failed(crate::verbs::Failure::HungUp));
    run.hang_up();
    assert_eq!(run.end(), &FlowEnd::Stopped);
    assert_eq!(run.lines(), ["handler\thangup\tnil\thangup"]);
}

#[test]
fn hanging_up_closes_variables_from_the_inside_out_through_coroutines() {
    let mut run = Run::new(
        "local function closing(name) return setmetatable({}, {__close = function() print(name, call:sleep(1)) end}) end
         local a <close> = closing('outer')
         coroutine.wrap(function()
           local b <close> = closing('middle')
           pcall(coroutine.wrap(function() local c <close> = closing('inner') call:sleep(1) end))
         end)()",
    );
    assert_eq!(run.verb(), &Verb::Sleep(Duration::from_secs(1)));
    run.hang_up();
    assert_eq!(run.end(), &FlowEnd::Stopped);
    assert_eq!(run.lines(), ["inner\tnil\thangup", "middle\tnil\thangup", "outer\tnil\thangup"]);
}

#[test]
fn a_closing_function_that_loops_is_stopped_and_the_handlers_still_run() {
    for body in ["while true do end", "while true do pcall(function() while true do end end) end", "error('x')"] {
        let text = format!(
            "on_hangup(function(reason) print('handled') end)
             local a <close> = setmetatable({{}}, {{__close = function() print('outer') end}})
             local b <close> = setmetatable({{}}, {{__close = function() {body} end}})
             call:sleep(1)"
        );
        let mut run = Run::with(&text, limits(), no_modules());
        run.hang_up();
        assert_eq!(run.end(), &FlowEnd::Stopped);
        assert_eq!(run.lines().last(), Some(&"handled"), "{body}: {:?}", run.logs);
    }
}

#[test]
fn a_handler_that_loops_is_stopped() {
    let mut run = Run::with(
        "on_hangup(function() while true do pcall(function() while true do end end) end end) call:sleep(1)",
        limits(),
        no_modules(),
    );
    run.hang_up();
    assert_eq!(run.end(), &FlowEnd::Stopped);
    assert!(run.lines()[0].contains("limit 'instructions'"), "{:?}", run.logs);
}

#[test]
fn handlers_run_at_every_end_and_may_use_the_store() {
    for (body, reason) in [("", "finished"), ("error('x')", "error"), ("while true do end", "limit")] {
        let text =
            format!("on_hangup(function(reason) print(reason, store.add('n', 3)) vars.done = reason end)\n{body}");
        let mut run = Run::with(&text, limits(), no_modules());
        assert_eq!(run.step, Step::Keep(KeepOp::Add { key: "n".into(), by: 3 }));
        run.reply(Reply::Value(Some("8".into())));
        assert_eq!(run.lines().last().unwrap(), &format!("{reason}\t8"));
        assert_eq!(run.told, [Verb::SetVar { name: "done".into(), value: Some(reason.into()) }]);
        assert!(matches!(run.end(), FlowEnd::Finished | FlowEnd::Error(_) | FlowEnd::Limit("instructions")));
    }
}

#[test]
fn a_second_hang_up_gives_up_on_the_handlers() {
    let mut run = Run::new("on_hangup(function() store.get('x') print('never') end) call:sleep(1)");
    run.hang_up();
    assert!(matches!(run.step, Step::Keep(_)) && run.vm.is_ending());
    run.hang_up();
    assert_eq!(run.end(), &FlowEnd::Stopped);
    assert!(run.logs.is_empty());
}

#[test]
fn after_an_error_variables_are_closed() {
    let run =
        run("local a <close> = setmetatable({}, {__close = function(_, e) print('closed', e) end})\nerror('bad')");
    assert!(run.error().starts_with("test.lua:2: bad"));
    assert_eq!(run.lines(), ["closed\ttest.lua:2: bad"]);
}

#[test]
fn a_flow_that_runs_too_long_by_the_clock_is_stopped() {
    let time = Rc::new(Cell::new(Time::START));
    let shown = Rc::clone(&time);
    let clock: Clock = Rc::new(move || {
        shown.set(shown.get() + Duration::from_micros(100));
        shown.get()
    });
    let mut vm = Vm::new(Limits { run_time: Duration::from_secs(1), ..Limits::default() }, clock, no_modules());
    let mut step = vm.start(&program("test.lua", "call:ring()\nwhile true do end"), &start("test.lua"));
    assert_eq!(step, Step::Request(CALL, Verb::Ring));
    let began = time.get();
    step = vm.resume(Duration::ZERO, Reply::Done);
    let mut slices = 0;
    while step == Step::Slice {
        slices += 1;
        step = vm.go_on();
    }
    assert!((800..=1000).contains(&slices), "{slices} slices of about 10 looks at the clock");
    assert!(matches!(&step, Step::Log(Level::Error, text) if text.contains("run_time")), "{step:?}");
    assert_eq!(vm.go_on(), Step::Ended(FlowEnd::Limit("run_time")));
    assert!(time.get() - began < Duration::from_millis(1300));
}

#[test]
fn a_wait_begins_the_time_of_running_anew() {
    let time = Rc::new(Cell::new(Time::START));
    let shown = Rc::clone(&time);
    let clock: Clock = Rc::new(move || {
        shown.set(shown.get() + Duration::from_micros(100));
        shown.get()
    });
    let mut vm = Vm::new(Limits { run_time: Duration::from_millis(50), ..Limits::default() }, clock, no_modules());
    let text = "for i = 1, 20 do for j = 1, 5000 do end call:ring() end";
    let mut step = vm.start(&program("test.lua", text), &start("test.lua"));
    loop {
        step = match step {
            Step::Slice => vm.go_on(),
            Step::Request(..) => vm.resume(Duration::ZERO, Reply::Done),
            other => break assert_eq!(other, Step::Ended(FlowEnd::Finished)),
        };
    }
    assert!(time.get() > Time::START + Duration::from_millis(60));
}

#[test]
fn a_script_cannot_reach_what_is_not_for_it() {
    for name in [
        "io",
        "debug",
        "package",
        "dofile",
        "loadfile",
        "warn",
        "os.execute",
        "os.exit",
        "os.getenv",
        "os.remove",
        "string.dump",
    ] {
        assert_eq!(printed(&format!("print({name})")), ["nil"], "{name}");
    }
    assert!(run("collectgarbage('stop')").error().contains("only 'count'"));
    assert_eq!(printed("print(load('\\27Lua'))")[0].split('\t').next(), Some("nil"));
    assert_eq!(printed("print(load('return 1', 'x', 'b'))"), ["nil\tonly text can be loaded (mode 't')"]);
    assert_eq!(printed("print(getmetatable(vars))"), ["false"]);
}

#[test]
fn overwriting_globals_does_not_break_the_library() {
    let mut run = Run::new(
        "type, error, pcall, next, select, tostring, setmetatable, rawget, coroutine, string, table = nil
         getmetatable(_G or {}) vars.x = 1 call:sleep(1) log('fine')",
    );
    let end = run.drive(|_| Reply::Done);
    assert_eq!(end, FlowEnd::Finished, "{:?}", run.logs);
    assert_eq!(run.lines(), ["fine"]);
}

#[test]
fn a_flood_of_log_lines_gives_way() {
    let run = run("for i = 1, 1000 do log(i) end");
    assert_eq!(run.end(), &FlowEnd::Finished);
    assert_eq!(run.logs.len(), 1000);
    assert!(run.slices >= 9, "{} slices", run.slices);
}

#[test]
fn misdriving_the_machine_ends_the_flow_and_does_not_panic() {
    let mut vm = Vm::new(Limits::default(), still(), no_modules());
    assert!(matches!(vm.resume(Duration::ZERO, Reply::Done), Step::Ended(FlowEnd::Error(_))));
    let mut run = Run::new("call:sleep(1)");
    run.step = run.vm.go_on();
    assert!(run.error().contains("without the reply"));
    assert!(matches!(run.vm.go_on(), Step::Ended(_)));
    run.hang_up();
    assert_eq!(run.end(), &FlowEnd::Stopped);
}
