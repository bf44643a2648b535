//! Web servers that are told events, `[[webhook]]`; and how numbers are written, `[numbering]`.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::{Document, Fault, settings::At};
use crate::{
    api::{WebhookConfig, is_kind, is_name},
    hooks::Url,
    switch::Dialling,
};

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct WebhookTable {
    pub name: String,
    pub url: String,
    #[serde(default)]
    pub secret: String,
    #[serde(default)]
    pub kinds: Vec<String>,
    #[serde(default)]
    pub numbers: Vec<String>,
    #[serde(default)]
    pub all: bool,
    #[serde(default)]
    pub trust: String,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct NumberingTable {
    pub country: String,
    pub international: String,
    pub national: String,
}

impl At<'_> {
    pub(super) fn webhooks(&self, document: &Document) -> Result<Vec<WebhookConfig>, Fault> {
        let (mut names, mut webhooks) = (BTreeSet::new(), Vec::new());
        for (index, table) in document.webhook.iter().enumerate() {
            webhooks.push(self.webhook(document, index, table)?);
            if !names.insert(&table.name) {
                return Err(self.fault(&format!("webhook[{index}].name"), &table.name, "a name of its own"));
            }
        }
        Ok(webhooks)
    }

    fn webhook(&self, document: &Document, index: usize, table: &WebhookTable) -> Result<WebhookConfig, Fault> {
        let key = |name: &str| format!("webhook[{index}].{name}");
        if !is_name(&table.name) {
            let found = format_args!("\"{}\"", table.name).to_string();
            return Err(self.fault(&key("name"), found, "1 to 64 letters, digits, '.', '_', '-'"));
        }
        // What is in an address may be a secret.
        let to = Url::parse(&table.url)
            .ok_or_else(|| self.fault(&key("url"), "something else", "an http:// or https:// address"))?;
        if let Some(bad) = table.kinds.iter().find(|kind| !is_kind(kind)) {
            let found = format_args!("\"{bad}\"").to_string();
            return Err(self.fault(&key("kinds"), found, "kinds of events, such as call.ended or call.*"));
        }
        let trust = if table.trust.is_empty() { &document.tls.trust } else { &table.trust };
        Ok(WebhookConfig {
            name: table.name.clone(),
            to,
            secret: table.secret.clone(),
            kinds: table.kinds.clone(),
            numbers: table.numbers.clone(),
            whole: table.all,
            since_ms: None,
            trust: trust.into(),
        })
    }

    pub(super) fn dialling(&self, document: &Document) -> Result<Dialling, Fault> {
        let table = &document.numbering;
        let digits = |key: &str, found: &String| {
            let is = found.len() <= 5 && found.bytes().all(|byte| byte.is_ascii_digit());
            is.then(|| found.clone())
                .ok_or_else(|| self.fault(key, format_args!("\"{found}\""), "up to 5 digits, or empty"))
        };
        Ok(Dialling {
            country: digits("numbering.country", &table.country)?,
            international: digits("numbering.international", &table.international)?,
            national: digits("numbering.national", &table.national)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::conf::Conf;

    #[test]
    fn webhooks_have_names_filters_and_authorities_of_their_own() {
        let text = "[tls]\ntrust = \"/all.pem\"\n[[webhook]]\nname = \"crm\"\nurl = \"https://crm.example/x\"\n\
                    kinds = [\"call.*\"]\nnumbers = [\"201\"]\n\
                    [[webhook]]\nname = \"own\"\nurl = \"http://127.0.0.1:9/\"\nall = true\ntrust = \"/own.pem\"\n";
        let webhooks = Conf::read("x", text).unwrap().store.webhooks;
        let [crm, own] = &webhooks[..] else { panic!("{webhooks:?}") };
        assert_eq!((crm.to.host.as_str(), crm.whole, crm.trust.to_str()), ("crm.example", false, Some("/all.pem")));
        assert_eq!((&crm.kinds[..], &crm.numbers[..]), (&["call.*".to_owned()][..], &["201".to_owned()][..]));
        assert_eq!((own.whole, own.trust.to_str()), (true, Some("/own.pem")));
    }

    #[test]
    fn what_is_wrong_is_named_and_no_address_is_shown() {
        let table = |more: &str| format!("[[webhook]]\n{more}");
        for (text, told) in [
            (table("name = \"a b\"\nurl = \"http://h/\"\n"), "x:2: webhook[0].name: found \"a b\""),
            (table("name = \"a\"\nurl = \"ftp://secret/\"\n"), "x:3: webhook[0].url: found something else"),
            (table("name = \"a\"\nurl = \"http://h/\"\nkinds = [\"Call\"]\n"), "x:4: webhook[0].kinds: found \"Call\""),
            (
                table("name = \"a\"\nurl = \"http://h/\"\n[[webhook]]\nname = \"a\"\nurl = \"http://h/\"\n"),
                "x:5: webhook[1].name: found a; allowed: a name of its own",
            ),
            ("[numbering]\ncountry = \"+49\"\n".to_owned(), "x:2: numbering.country: found \"+49\""),
        ] {
            let fault = Conf::read("x", &text).unwrap_err().to_string();
            assert!(fault.starts_with(told), "{fault}");
        }
    }
}
