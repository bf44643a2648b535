//! The pattern machine against Lua's own.

use mlua::{Function, Lua, MultiValue};
use proptest::prelude::*;

use super::*;
use crate::script::pattern::{Progress, Search};

/// What Lua's own library says to `expression`, and what ours says.
fn both(expression: &str) -> (String, String) {
    let text = format!(
        "local function show(...) local t = {{...}} for i = 1, select('#', ...) do t[i] = tostring(t[i]) end
           return select('#', ...) .. ': ' .. table.concat(t, ' ') end
         local function run() {expression} end
         return show(pcall(run))"
    );
    let lua = Lua::new();
    let theirs: String = lua.load(&text).set_name("=x").eval().unwrap();
    let ours = printed(&format!("local function all() {text} end print(all())"));
    let clean = |text: &str| text.replace("test.lua:3: ", "").replace("x:3: ", "").replace("test.lua:1: ", "");
    (clean(&theirs), clean(&ours.join("\n")))
}

#[test]
fn everything_in_the_manual_is_as_in_lua() {
    for expression in [
        "return ('hello world'):find('o w')",
        "return ('hello world'):find('o', 6)",
        "return ('hello world'):find('l+')",
        "return ('hello'):find('', 10)",
        "return ('hello'):find('', 6)",
        "return ('hello'):find('xyz')",
        "return ('a.b'):find('.', 1, true)",
        "return ('a.b'):find('%.')",
        "return ('hello'):find('l', -2)",
        "return ('hello'):find('h', -100)",
        "return ('key = value'):match('^(%w+)%s*=%s*(%w+)$')",
        "return ('2026-03-02'):match('(%d+)-(%d+)-(%d+)')",
        "return ('  trim  '):match('^%s*(.-)%s*$')",
        "return ('hello'):match('()ll()')",
        "return ('hello'):match('.-(l+)(.*)')",
        "return ('THE (quick) fox'):find('%((%a+)%)')",
        "return ('f(a(b)c)d'):match('%b()')",
        "return ('f(a(b'):match('%b()')",
        "return ('THE (quick) fox'):gsub('%f[%a]%a+', '<%0>')",
        "return ('abcabc'):match('(a)(b)(c)%1%2%3')",
        "return ('\"it\\'s\"'):match('([\"\\'])(.-)%1')",
        "return ('[[x]]'):match('%[(%[*)')",
        "return ('a-b]c'):match('[]%-a-c]+')",
        "return ('a^b'):match('[%^b^]+')",
        "return ('x^y'):match('[^^]+')",
        "return ('\\0a\\0'):find('%z')",
        "return ('a\\0b'):match('a%zb')",
        "return ('hello world'):gsub('o', '0')",
        "return ('hello world'):gsub('(o)', '<%1>')",
        "return ('hello world'):gsub('(%w+) (%w+)', '%2 %1')",
        "return ('hello'):gsub('', '-')",
        "return ('hello'):gsub('l', {l = 'L'})",
        "return ('hello'):gsub('l', function() end)",
        "return ('hello'):gsub('(h)(e)', function(a, b) return b .. a end)",
        "return ('hello'):gsub('.', {h = 1, e = false})",
        "return ('abc'):gsub('%w', '%0%0', 2)",
        "return ('abc'):gsub('^%w', 'x')",
        "return ('abc'):gsub('b*', 'x')",
        "return ('abc'):gsub('$', '!')",
        "return ('a,b,,c'):gsub(',', ';', 0)",
        "return ('100%'):gsub('%%', '%%%%')",
        "return ('abc'):gsub('(a)()', '%2%1')",
        "return ('abc'):find('b', nil, true)",
        "return (123):rep(2)",
        "local t = {} for k, v in ('a=1, b=2'):gmatch('(%w+)=(%w+)') do t[#t + 1] = k .. v end return table.concat(t, ' ')",
        "local t = {} for w in ('one two'):gmatch('%a*') do t[#t + 1] = '<' .. w .. '>' end return table.concat(t)",
        "local t = {} for p in ('abc'):gmatch('()') do t[#t + 1] = p end return table.concat(t, ' ')",
        "local t = {} for w in ('a b c'):gmatch('%a', 3) do t[#t + 1] = w end return table.concat(t)",
        "local t = {} for w in ('a b c'):gmatch('%a', -1) do t[#t + 1] = w end return table.concat(t)",
        "local t = {} for w in ('abc'):gmatch('%a', 10) do t[#t + 1] = w end return #t",
        "local t = {} for w in ('^a^a'):gmatch('^a') do t[#t + 1] = w end return #t",
        "return ('x'):rep(3, ',')",
        "return ('x'):rep(-1), ('x'):rep(0), ('x'):rep(1, 'y')",
        "return (('ab'):rep(5000, '-'):gsub('%-', '')):len()",
    ] {
        let (theirs, ours) = both(expression);
        assert_eq!(ours, theirs, "{expression}");
    }
}

#[test]
fn errors_read_as_in_lua() {
    for expression in [
        "return ('a'):find('%')",
        "return ('a'):find('[a')",
        "return ('a'):find('[a%')",
        "return ('a'):find('(a')",
        "return ('a'):find('a)')",
        "return ('a'):find('%1')",
        "return ('a'):find('(%1)')",
        "return ('a'):find('%b')",
        "return ('a'):find('%bx')",
        "return ('a'):find('%fx')",
        "return ('a'):find(('()'):rep(33))",
        "return ('a'):gsub('a', '%')",
        "return ('a'):gsub('a', '%2')",
        "return ('a'):gsub('a', '%x')",
        "return ('a'):gsub('a', function() return {} end)",
        "return string.gsub('a', 'a', nil)",
        "return string.find('a', nil)",
        "return string.find('a', 'a', {})",
        "return string.find('a', 'a', 1.5)",
        "return string.find()",
    ] {
        let (theirs, ours) = both(expression);
        let theirs = theirs.replace("got no value", "got nil").replace("got nil", "got nothing");
        let ours = ours.replace("got no value", "got nil").replace("got nil", "got nothing");
        assert_eq!(ours, theirs, "{expression}");
    }
}

#[test]
fn an_error_in_a_pattern_carries_the_line_of_the_script() {
    for text in [
        "\n('a'):find('[')",
        "\nlocal x = ('a'):gsub('%', 'x')",
        "\nfor w in ('a'):gmatch('[') do end",
        "\n('a'):gsub('[', {})",
    ] {
        assert!(Run::new(text).error().starts_with("test.lua:2: malformed pattern"), "{}", Run::new(text).error());
    }
}

#[test]
fn a_search_that_is_cut_into_small_pieces_finds_the_same() {
    let subject = "the quick brown fox jumps over the lazy dog".repeat(20);
    let pattern = b"(%w+)%s+(o.-)%s(%w*)%s-l";
    let mut whole = Search::new(0, None, pattern, true);
    let found = whole.run(subject.as_bytes(), pattern, &mut usize::MAX.clone()).unwrap();
    let mut pieces = Search::new(0, None, pattern, true);
    let mut times = 0;
    let pieced = loop {
        times += 1;
        match pieces.run(subject.as_bytes(), pattern, &mut 1).unwrap() {
            Progress::More => {}
            other => break other,
        }
    };
    assert!(times > 50, "{times}");
    assert_eq!(pieced, found);
    let Progress::Found(range) = found else { panic!("nothing found") };
    for index in 0..3 {
        assert_eq!(whole.capture(index, &range), pieces.capture(index, &range));
    }
}

fn pattern() -> impl Strategy<Value = String> {
    let single = prop_oneof![
        Just("a".to_owned()),
        Just("b".to_owned()),
        Just(".".to_owned()),
        Just("%a".to_owned()),
        Just("%W".to_owned()),
        Just("[ab]".to_owned()),
        Just("[^a]".to_owned()),
        Just("[a-c%s]".to_owned()),
        Just("(".to_owned()),
        Just(")".to_owned()),
        Just("()".to_owned()),
        Just("%1".to_owned()),
        Just("%bab".to_owned()),
        Just("%f[b]".to_owned()),
        Just("$".to_owned()),
        Just("^".to_owned()),
        Just("-".to_owned()),
        Just("]".to_owned()),
        Just("[".to_owned()),
        Just("%".to_owned()),
    ];
    let suffix = prop_oneof![4 => Just(""), 1 => Just("*"), 1 => Just("+"), 1 => Just("-"), 1 => Just("?")];
    prop::collection::vec((single, suffix), 0..7)
        .prop_map(|items| items.into_iter().map(|(item, suffix)| item + suffix).collect())
}

thread_local! {
    /// `(subject, pattern) -> all of find, match, gmatch and gsub in one text`, by Lua's own library.
    static THEIRS: (Lua, Function) = {
        let lua = Lua::new();
        let run = lua.load(ALL).eval().unwrap();
        (lua, run)
    };
}

const ALL: &str = "return function(s, p)
    local out = {}
    local function add(ok, ...)
      out[#out + 1] = ok and 'ok' or 'failed'
      for i = 1, select('#', ...) do out[#out + 1] = (tostring((select(i, ...))):gsub('^[^ ]*:%d+: ', '', 1)) end
    end
    add(pcall(string.find, s, p)) add(pcall(string.match, s, p, 2)) add(pcall(string.gsub, s, p, '<%0>'))
    add(pcall(string.gsub, s, p, function(...) return select('#', ...) end))
    add(pcall(function() local n = 0 for a, b in string.gmatch(s, p) do n = n + 1 out[#out + 1] = tostring(a) .. tostring(b) end return n end))
    return table.concat(out, '|')
  end";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn any_pattern_does_as_in_lua(subject in "[abc ()]{0,12}", pattern in pattern()) {
        let theirs: String = THEIRS.with(|(_, run)| run.call((subject.as_str(), pattern.as_str())).unwrap());
        let text = format!("local all = (function() {ALL} end)() print(all({subject:?}, {pattern:?}))");
        let ours = printed(&text);
        prop_assert_eq!(&ours[0], &theirs, "{} {}", subject, pattern);
    }

    #[test]
    fn no_bytes_make_it_panic(subject in prop::collection::vec(any::<u8>(), 0..40), pattern in prop::collection::vec(any::<u8>(), 0..20)) {
        let mut search = Search::new(0, None, &pattern, true);
        let mut steps = 100_000;
        if let Ok(Progress::Found(range)) = search.run(&subject, &pattern, &mut steps) {
            prop_assert!(range.start <= range.end && range.end <= subject.len());
            let _ = search.capture(0, &range);
        }
    }
}

#[test]
fn lua_values_of_the_reference_are_many() {
    let values: MultiValue = THEIRS.with(|(_, run)| run.call(("abc", "b")).unwrap());
    assert_eq!(values.len(), 1);
}
