//! The parts of the library that are written in Lua, compiled once.
//!
//! They carry no debug information: so they load faster, and stay out of tracebacks.

use std::sync::LazyLock;

use mlua::{Lua, LuaOptions, StdLib};

const PARTS: [(&str, &str); 6] = [
    ("base", include_str!("prelude/base.lua")),
    ("core", include_str!("prelude/core.lua")),
    ("coroutine", include_str!("prelude/coroutine.lua")),
    ("os", include_str!("prelude/os.lua")),
    ("string", include_str!("prelude/string.lua")),
    ("table", include_str!("prelude/table.lua")),
];

static COMPILED: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let lua = Lua::new_with(StdLib::NONE, LuaOptions::new()).expect("no library is asked for that could be refused");
    let compile = |(name, text): &(&str, &str)| {
        let chunk = lua.load(*text).set_name(format!("={name}")).into_function();
        chunk.unwrap_or_else(|error| panic!("the library's own part does not compile: {error}")).dump(true)
    };
    PARTS.iter().map(compile).collect()
});

/// The bytecode of a part.
pub(super) fn code(name: &str) -> &'static [u8] {
    let index = PARTS.iter().position(|(part, _)| *part == name).expect("only parts that there are are asked for");
    &COMPILED[index]
}
