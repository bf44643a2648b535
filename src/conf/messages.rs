//! Text messages: `[messages]` and `[[message]]`.

use std::sync::Arc;

use serde::Deserialize;

use super::{Document, Fault, document::Number, settings::At};
use crate::switch::{MessageConfig, MessageRoute, Pattern};

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct MessagesTable {
    pub types: Vec<String>,
    pub max_bytes: u64,
    pub max_scripts: u64,
    pub max_sending: u64,
}

impl At<'_> {
    pub(super) fn messages(&self, document: &Document) -> Result<MessageConfig, Fault> {
        let table = &document.messages;
        let proper = |kind: &str| {
            let halves: Vec<&str> = kind.split('/').collect();
            let token = |c: char| c.is_ascii_alphanumeric() || "-.+_".contains(c);
            halves.len() == 2 && halves.iter().all(|half| !half.is_empty() && half.chars().all(token))
        };
        if let Some(bad) = table.types.iter().find(|kind| !proper(kind)) {
            let found = format!("\"{bad}\"");
            return Err(self.fault("messages.types", found, "media types such as text/plain"));
        }
        let routes = document.message.iter().enumerate();
        Ok(MessageConfig {
            routes: routes.map(|(at, route)| self.message_route(document, at, route)).collect::<Result<_, _>>()?,
            kinds: table.types.iter().map(|kind| kind.to_ascii_lowercase()).collect(),
            longest: self.number("messages.max_bytes", table.max_bytes, 1..=65_536)?,
            flows: self.number("messages.max_scripts", table.max_scripts, 0..=100_000)?,
            sending: self.number("messages.max_sending", table.max_sending, 0..=100_000)?,
        })
    }

    fn message_route(&self, document: &Document, at: usize, route: &Number) -> Result<MessageRoute, Fault> {
        let number = Pattern::parse(&route.number).map_err(|error| {
            let found = format!("\"{}\" ({error})", route.number);
            self.fault(&format!("message[{at}].number"), found, "digits, letters, X, N, and `*` at the end")
        })?;
        if route.script.is_empty() || route.script.split('/').any(|part| part == ".." || part.is_empty()) {
            let found = format!("\"{}\"", route.script);
            let allowed = format!("a path below {}", document.folders.scripts);
            return Err(self.fault(&format!("message[{at}].script"), found, allowed));
        }
        let vars = route.vars.clone().into_iter().collect();
        Ok(MessageRoute { number, script: Arc::from(route.script.as_str()), vars })
    }
}

#[cfg(test)]
mod tests {
    use crate::conf::Conf;

    #[test]
    fn messages_have_scripts_of_their_own_and_limits() {
        let text = "[messages]\nmax_bytes = 1000\ntypes = [\"Text/Plain\", \"text/html\"]\n\n\
                    [[message]]\nnumber = \"2XX\"\nscript = \"forward.lua\"\nvars = { a = \"b\" }\n";
        let conf = Conf::read("t", text).unwrap().messages;
        assert_eq!((conf.longest, conf.flows), (1000, 1000));
        assert_eq!(conf.kinds, ["text/plain", "text/html"]);
        assert_eq!((&*conf.routes[0].script, conf.routes[0].vars.len()), ("forward.lua", 1));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (text, line, key) in [
            ("[messages]\nmax_bytes = 0\n", 2, "messages.max_bytes"),
            ("[messages]\ntypes = [\"plain\"]\n", 2, "messages.types"),
            ("[[message]]\nnumber = \"1*2\"\nscript = \"a.lua\"\n", 2, "message[0].number"),
            ("[[message]]\nnumber = \"1\"\nscript = \"../a.lua\"\n", 3, "message[0].script"),
        ] {
            let fault = Conf::read("t", text).unwrap_err();
            assert_eq!((fault.line, fault.key.as_str()), (Some(line), key), "{fault}");
        }
    }
}
