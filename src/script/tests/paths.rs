//! What a flow did, as the record of its call has it.

use super::*;

/// The steps of a script that runs to its end, whatever it asks for being done.
fn steps(text: &str) -> Vec<String> {
    let mut run = Run::new(text);
    while let Step::Request(..) = run.step {
        run.reply(Reply::Done);
    }
    run.vm.ran().steps().map(str::to_owned).collect()
}

#[test]
fn each_step_names_its_line_and_what_was_asked_for() {
    let text = "call:answer()\n\ncall:sleep(1)\nlocal function hear()\n  call:ring()\nend\nhear()\ncall:sleep(2)";
    assert_eq!(steps(text), ["test.lua:1 answer", "test.lua:3 sleep", "test.lua:5 ring", "test.lua:8 sleep"]);
}

#[test]
fn steps_in_a_coroutine_of_the_scripts_own_have_their_lines() {
    let text = "local co = coroutine.wrap(function()\n  call:answer()\n  call:ring()\nend)\nco()";
    assert_eq!(steps(text), ["test.lua:2 answer", "test.lua:3 ring"]);
}

#[test]
fn the_last_act_of_a_script_has_the_line_that_led_there_or_none() {
    assert_eq!(steps("local function out()\n  return call:ring()\nend\nlocal x = out()"), ["test.lua:4 ring"]);
    assert_eq!(steps("call:answer()\nreturn call:ring()"), ["test.lua:1 answer", "ring"]);
}

#[test]
fn what_was_refused_is_no_step() {
    assert_eq!(steps("pcall(function() call:sleep('long') end)\ncall:answer()"), ["test.lua:2 answer"]);
}

#[test]
fn a_step_is_told_once_with_the_version_of_its_script() {
    let run = Run::new("call:answer()");
    let version = program("test.lua", "call:answer()").version;
    assert!(version.starts_with("sha256:"), "{version}");
    assert_eq!(run.vm.ran().version, Some(version));
    assert_eq!(run.vm.ran(), crate::verbs::Ran::default());
}

#[test]
fn a_script_that_goes_round_needs_no_more_room_than_another() {
    let mut run = Run::new("while true do call:sleep(1) end");
    for _ in 0..1000 {
        run.reply(Reply::Done);
    }
    let ran = run.vm.ran();
    assert_eq!((ran.steps().count(), ran.left_out()), (64, 1001 - 64));
}
