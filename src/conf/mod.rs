//! The configuration: `conf/switchhook.toml` holds every key with its default; a user's file says what differs.
//!
//! [`Conf::read`] reads twice: the text into [`document::Document`] (types, unknown keys), then that into what each
//! folder declares as its own `Config` (ranges, names). A [`Fault`] names file, line, key, what was found and what is
//! allowed.

mod api;
mod document;
mod fault;
mod guard;
mod keys;
mod messages;
mod numbers;
mod phones;
mod recording;
mod roster;
mod rules;
mod security;
mod settings;
mod stir;
mod store;
mod stream;
#[cfg(test)]
mod tests;
mod trunks;
mod web;
mod webhooks;
mod wires;

pub use api::ApiConf;
pub use document::Document;
pub use fault::Fault;
pub use keys::{Change, Keys};
pub use settings::{Conf, Folders, InterfaceConf, LogFormat};
pub use store::StoreConf;

/// The defaults, as shipped.
pub const DEFAULTS: &str = include_str!("../../conf/switchhook.toml");
