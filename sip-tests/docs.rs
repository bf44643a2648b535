//! What the documents say is tried: configurations are read, command lines parsed, links followed, keys looked up.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use clap::Parser;
use switchhook::{
    cli::Arguments,
    conf::{Conf, DEFAULTS},
    switch::{CallQuality, CallRecord, Direction, EndReason, Status},
};

/// A page, by its path from the top folder.
struct Page {
    path: PathBuf,
    text: String,
}

/// A fenced block: its language, the line it begins on, what stands in it.
struct Block {
    language: String,
    line: usize,
    text: String,
}

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn page(path: &str) -> Page {
    let text = fs::read_to_string(top().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    Page { path: path.into(), text }
}

/// README.md and all of docs/.
fn pages() -> Vec<Page> {
    let names = fs::read_dir(top().join("docs")).expect("the folder is there");
    let names = names.map(|entry| entry.expect("readable").file_name());
    let names = names.map(|name| name.into_string().expect("UTF-8")).filter(|name| name.ends_with(".md"));
    let mut pages: Vec<Page> = names.map(|name| page(&format!("docs/{name}"))).collect();
    pages.push(page("README.md"));
    pages
}

impl Page {
    fn blocks(&self) -> Vec<Block> {
        let mut blocks = Vec::new();
        let mut open: Option<Block> = None;
        for (at, line) in self.text.lines().enumerate() {
            match (line.trim_start().strip_prefix("```"), open.as_mut()) {
                (Some(_), Some(_)) => blocks.extend(open.take()),
                (Some(language), None) => {
                    open = Some(Block { language: language.trim().to_owned(), line: at + 1, text: String::new() });
                }
                (None, Some(block)) => {
                    block.text.push_str(line);
                    block.text.push('\n');
                }
                (None, None) => {}
            }
        }
        assert!(open.is_none(), "{}: a block is not closed", self.path.display());
        blocks
    }

    /// The text without its fenced blocks.
    fn prose(&self) -> String {
        let mut inside = false;
        let line = |line: &&str| {
            let fence = line.trim_start().starts_with("```");
            inside ^= fence;
            !(inside || fence)
        };
        self.text.lines().filter(line).collect::<Vec<_>>().join("\n")
    }

    fn blocks_in(&self, language: &str) -> Vec<Block> {
        self.blocks().into_iter().filter(|block| block.language == language).collect()
    }

    /// Words in back quotes.
    fn quoted(&self) -> Vec<String> {
        self.prose().split('`').skip(1).step_by(2).map(str::to_owned).collect()
    }

    /// The names of its headings, as links write them.
    fn anchors(&self) -> Vec<String> {
        let heading = |line: &str| line.starts_with('#').then(|| anchor(line.trim_start_matches('#')));
        self.prose().lines().filter_map(heading).collect()
    }
}

fn anchor(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    heading.trim().to_lowercase().chars().filter(kept).map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// What a shell makes of a line, up to a pipe or a redirection.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in line.chars() {
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            ('\'' | '"', None) => {
                word.get_or_insert_default();
                quote = Some(c);
            }
            ('#', None) if word.is_none() => break,
            (' ', None) => words.extend(word.take()),
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    let end = words.iter().position(|word| matches!(word.as_str(), "|" | ">" | "2>" | "&" | "&&"));
    words.truncate(end.unwrap_or(words.len()));
    words
}

/// The command lines of all `sh` and `console` blocks, each with its place. In `console` they stand behind `$`.
fn commands() -> Vec<(String, Vec<String>)> {
    let mut found = Vec::new();
    for page in pages() {
        for block in page.blocks() {
            for (at, line) in block.text.lines().enumerate() {
                let line = match block.language.as_str() {
                    "console" => line.strip_prefix("$ "),
                    "sh" => Some(line.trim()),
                    _ => None,
                };
                let Some(line) = line else { continue };
                let place = format!("{}:{}: {line}", page.path.display(), block.line + at + 1);
                found.push((place, words(line)));
            }
        }
    }
    found
}

#[test]
fn every_configuration_in_the_docs_is_valid() {
    let mut read = 0;
    for page in pages() {
        for block in page.blocks_in("toml") {
            let place = format!("{}:{}", page.path.display(), block.line);
            Conf::read(&place, &block.text).unwrap_or_else(|fault| panic!("{place}: {fault}"));
            read += 1;
        }
    }
    assert!(read > 0, "there are examples");
}

#[test]
fn every_command_line_in_the_docs_is_one_that_the_program_takes() {
    let mut parsed = 0;
    for (place, words) in commands() {
        let is_ours =
            |at: usize| words.get(at).is_some_and(|word| word == "switchhook" || word.ends_with("/switchhook"));
        let skipped = if words.starts_with(&["cargo".to_owned(), "run".to_owned()]) {
            words.iter().position(|word| word == "--").unwrap_or(words.len())
        } else if is_ours(0) {
            0
        } else if words.first().is_some_and(|word| word == "sudo") && is_ours(1) {
            1
        } else {
            continue;
        };
        let arguments = words.iter().skip(skipped + 1);
        let line = std::iter::once("switchhook").chain(arguments.map(String::as_str));
        match Arguments::try_parse_from(line) {
            Ok(_) => {}
            Err(told) if !told.use_stderr() => {} // --help, --version
            Err(told) => panic!("{place}\n{told}"),
        }
        parsed += 1;
    }
    assert!(parsed > 3, "only {parsed} found");
}

/// Those of the page for authors are run, not only compiled, by a test beside the script runtime.
#[test]
fn every_flow_in_the_readme_compiles() {
    let folder = tempfile::tempdir().unwrap();
    let flows = page("README.md").blocks_in("lua");
    assert!(!flows.is_empty());
    for flow in flows {
        fs::write(folder.path().join(format!("line{}.lua", flow.line)), flow.text).unwrap();
    }
    let faults: Vec<String> = switchhook::script::check(folder.path()).iter().map(ToString::to_string).collect();
    assert_eq!(faults, Vec::<String>::new());
}

#[test]
fn every_make_target_in_the_docs_exists() {
    let makefile = fs::read_to_string(top().join("Makefile")).unwrap();
    for (place, words) in commands().into_iter().filter(|(_, words)| words.first().is_some_and(|w| w == "make")) {
        for target in &words[1..] {
            assert!(makefile.lines().any(|line| line.starts_with(&format!("{target}:"))), "{place}");
        }
    }
}

#[test]
fn every_link_in_the_docs_leads_somewhere() {
    for from in pages() {
        for link in from.prose().split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let folder = from.path.parent().unwrap_or(Path::new(""));
            let path = if file.is_empty() { from.path.clone() } else { folder.join(file) };
            assert!(top().join(&path).exists(), "{}: nothing is at {link}", from.path.display());
            if !heading.is_empty() {
                let to = page(&path.display().to_string());
                assert!(to.anchors().contains(&heading.to_owned()), "{}: no heading {link}", from.path.display());
            }
        }
    }
}

/// `table.key` for each key of the defaults.
fn keys() -> Vec<(String, String)> {
    let defaults: toml::Table = toml::from_str(DEFAULTS).expect("the defaults are TOML");
    let mut keys = Vec::new();
    for (table, content) in &defaults {
        let tables = match content {
            toml::Value::Table(one) => vec![one],
            toml::Value::Array(list) => list.iter().filter_map(toml::Value::as_table).collect(),
            other => panic!("{table} is no table but {other}"),
        };
        keys.extend(tables.into_iter().flat_map(|one| one.keys().map(|key| (table.clone(), key.clone()))));
    }
    keys.sort();
    keys.dedup();
    keys
}

/// The words for what happens, as the sources have them.
fn kinds_of_events() -> BTreeSet<String> {
    let sources = ["src/switch/happened.rs", "src/store/event.rs"].map(|source| page(source).text);
    let strings = sources.iter().flat_map(|text| text.split('"'));
    let is_kind = |text: &&str| {
        text.split_once('.').is_some_and(|(about, what)| {
            ["call", "media", "message", "phone", "play", "recording", "room", "server", "siprec", "stream", "trunk"]
                .contains(&about)
                && what.chars().all(|c| c.is_ascii_lowercase() || c == '_')
        })
    };
    strings.filter(is_kind).map(str::to_owned).collect()
}

#[test]
fn the_operator_reads_of_every_kind_of_event() {
    let (kinds, quoted) = (kinds_of_events(), page("docs/operator.md").quoted());
    assert!(kinds.len() > 35 && kinds.contains("recording.stopped") && kinds.contains("call.ringing"), "{kinds:?}");
    for kind in &kinds {
        assert!(quoted.contains(kind), "{kind} is not explained");
    }
}

#[test]
fn the_operator_reads_of_every_key_and_of_no_key_that_is_not_there() {
    let operator = page("docs/operator.md");
    let (keys, quoted) = (keys(), operator.quoted());
    for (table, key) in &keys {
        let full = format!("{table}.{key}");
        assert!(quoted.contains(&full), "{full} is not explained in {}", operator.path.display());
    }
    let (api, events) = (page("scripts/meta/switchhook.lua").text, kinds_of_events());
    for page in pages() {
        for word in page.quoted() {
            let Some((table, key)) = word.split_once('.') else { continue };
            // A flow's `call` and `recording` are objects, which have fields of their own.
            let is_field = [' ', '?'].iter().any(|end| api.contains(&format!("---@field {key}{end}")));
            // Events have names of that form, too.
            if events.contains(&word) || ["call", "recording"].contains(&table) && is_field {
                continue;
            }
            let is_word = key.chars().all(|c| c.is_ascii_lowercase() || c == '_');
            if is_word && keys.iter().any(|(t, _)| t == table) && !["lua", "toml"].contains(&key) {
                // What may be left out stands there as a comment.
                let optional = DEFAULTS.contains(&format!("\n# {key} = "));
                let known = optional || keys.contains(&(table.to_owned(), key.to_owned()));
                assert!(known, "{}: there is no key {word}", page.path.display());
            }
        }
    }
}

#[test]
fn the_call_record_in_the_docs_has_every_field() {
    let record = CallRecord {
        id: String::new(),
        parent: None,
        partners: Vec::new(),
        direction: Direction::Inbound,
        from: String::new(),
        to: String::new(),
        trunk: None,
        cost: None,
        sip_call_id: String::new(),
        peer: None,
        start_ms: 0,
        answer_ms: None,
        end_ms: 0,
        talk_seconds: 0.0,
        total_seconds: 0.0,
        status: Status::Completed,
        end_reason: EndReason::CallerHangup,
        end_detail: None,
        code: None,
        q850: None,
        transferred: false,
        script: None,
        flow_version: None,
        path: vec![],
        path_left_out: 0,
        runs: Vec::new(),
        codec: None,
        quality: Some(CallQuality::default()),
        no_audio: None,
        recordings: Vec::new(),
        recorded_parties: Default::default(),
        recording_errors: Vec::new(),
        stir: None,
        vars: Default::default(),
        error: None,
    };
    let real = serde_json::to_value(record).unwrap();
    let operator = page("docs/operator.md");
    let example = operator.blocks_in("json").into_iter().next().expect("an example of a record");
    let example: serde_json::Value = serde_json::from_str(&example.text).unwrap();
    let quoted = operator.quoted();
    for part in ["", "/quality"] {
        let names = |value: &serde_json::Value| -> Vec<String> {
            value.pointer(part).and_then(|v| v.as_object()).expect("an object").keys().cloned().collect()
        };
        assert_eq!(names(&real), names(&example), "fields of the record{part}");
        for name in names(&real) {
            let full = if part.is_empty() { name } else { format!("quality.{name}") };
            assert!(quoted.contains(&full), "{full} is not explained");
        }
    }
}

#[test]
fn faults_in_the_docs_are_found() {
    let page = Page { path: "x.md".into(), text: "# A b, c\n`k`\n```sh\nx 'y z' # w\n```\n".to_owned() };
    assert_eq!((page.anchors(), page.quoted()), (vec!["a-b-c".to_owned()], vec!["k".to_owned()]));
    assert_eq!(words(page.blocks_in("sh")[0].text.trim_end()), ["x", "y z"]);
    assert_eq!(words("a --digits 12# | b"), ["a", "--digits", "12#"]);
    assert!(Arguments::try_parse_from(["switchhook", "rnu"]).is_err());
}
