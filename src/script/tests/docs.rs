//! The guide for authors: its code runs, and it names everything.

use std::fs;

use super::{samples::usual, *};

fn guide() -> String {
    fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/script-author.md")).unwrap()
}

/// The Lua blocks, with the line that each begins at.
fn blocks(text: &str) -> Vec<(usize, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (number, line) in text.lines().enumerate() {
        match (&mut open, line) {
            (None, "```lua") => open = Some((number + 1, String::new())),
            (Some(_), "```") => blocks.extend(open.take()),
            (Some((_, block)), line) => *block += &format!("{line}\n"),
            (None, _) => {}
        }
    }
    blocks
}

#[test]
fn every_block_of_the_guide_runs_to_its_end() {
    let blocks = blocks(&guide());
    assert!(blocks.len() >= 14, "{}", blocks.len());
    for (line, block) in blocks {
        let begin = if block.contains("message.text") { Run::letter } else { Run::new };
        let mut run = begin(&block);
        assert_eq!(run.drive(usual), FlowEnd::Finished, "the block at line {line}; log: {:?}", run.logs);
        let mut run = begin(&block);
        let end = run.drive(|_| Reply::Failed(crate::verbs::Failure::HungUp));
        let tolerant = matches!(end, FlowEnd::Finished) || block.contains("recording:");
        assert!(tolerant, "the block at line {line}, when all fails: {end:?}");
    }
}

#[test]
fn the_guide_names_every_function_reason_and_option() {
    let guide = guide();
    let stubs = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/meta/switchhook.lua")).unwrap();
    for name in
        stubs.lines().filter_map(|line| line.strip_prefix("function ")).filter_map(|rest| rest.split('(').next())
    {
        assert!(guide.contains(&format!("{name}(")) || guide.contains(&format!("{name} {{")), "{name}");
    }
    for option in stubs
        .lines()
        .filter_map(|line| line.strip_prefix("---@field "))
        .filter_map(|rest| rest.split(['?', ' ']).next())
    {
        if option == "[integer]" {
            continue;
        }
        assert!(guide.contains(option), "{option}");
    }
    for reason in
        stubs.lines().filter_map(|line| line.strip_prefix("---| \"")).filter_map(|rest| rest.split('"').next())
    {
        assert!(guide.contains(&format!("| `{reason}` |")), "{reason}");
    }
}

#[test]
fn the_limits_of_the_guide_are_those_of_the_code() {
    let (guide, limits) = (guide(), Limits::default());
    for line in [
        format!("| memory | {} MiB |", limits.memory >> 20),
        format!("| running without a wait | {} s |", limits.run_time.as_secs()),
        format!("| instructions in all | {},000 million |", limits.instructions / 1_000_000_000),
        format!("such as `__tostring` | {} ms |", limits.stuck_time.as_millis()),
        format!("| coroutines alive | {} |", limits.coroutines),
        format!(
            "| {} s, {} million instructions |",
            limits.ending_time.as_secs(),
            limits.ending_instructions / 1_000_000
        ),
        format!("| time slice | {} ms |", limits.slice_time.as_millis()),
    ] {
        assert!(guide.contains(&line), "{line}");
    }
}
