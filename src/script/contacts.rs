//! `contacts`: whom a number belongs to.

use mlua::{IntoLua, Lua, Value};

use super::{
    args::{Given, Refusal},
    ask::{Arguments, Asked, Want},
    vm::Step,
};
use crate::verbs::{Contact, KeepOp};

/// Functions of the list of contacts.
pub(super) const OF_CONTACTS: [&str; 1] = ["find"];
/// Longest number, in bytes.
const LONGEST: usize = 200;

/// `contacts.find(number)`.
pub(super) fn find(function: &str, given: &Arguments) -> Result<Asked, Refusal> {
    // Who hides has no number.
    let hidden = matches!(&given.own, Value::String(text) if text.as_bytes().is_empty());
    let number = match hidden {
        true => String::new(),
        false => Given::argument(function, "the number", &given.own).text(LONGEST)?,
    };
    Ok(Asked { step: Step::Keep(KeepOp::Contact { number }), want: Want::Plain })
}

/// What a script gets: a table, or nil.
pub(super) fn contact(lua: &Lua, contact: Option<Box<Contact>>) -> mlua::Result<Value> {
    let Some(contact) = contact else { return Ok(Value::Nil) };
    let table = lua.create_table()?;
    table.raw_set("id", contact.id)?;
    table.raw_set("name", contact.name)?;
    table.raw_set("numbers", contact.numbers)?;
    table.raw_set("notes", contact.notes)?;
    table.raw_set("vars", lua.create_table_from(contact.vars)?)?;
    table.into_lua(lua)
}
