//! Phones: `[phones]` and `[[phone]]`.

use std::sync::Arc;

use serde::Deserialize;

use super::{Document, Fault, settings::At};
use crate::{
    sip::auth::{Algorithm, Credentials, Secret},
    switch::{Phone, Phones},
};

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct PhonesTable {
    pub realm: String,
    pub algorithms: Vec<String>,
    pub guests: bool,
    pub script: String,
    pub min_expires_s: u64,
    pub max_expires_s: u64,
    pub keep_alive_s: u64,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct PhoneTable {
    pub user: String,
    #[serde(default)]
    pub number: String,
    #[serde(default)]
    pub password: String,
    #[serde(default)]
    pub ha1: String,
    #[serde(default = "ten")]
    pub max_contacts: u64,
    #[serde(default)]
    pub security: String,
}

const fn ten() -> u64 {
    10
}

impl At<'_> {
    pub(super) fn phones(&self, document: &Document) -> Result<Phones, Fault> {
        let table = &document.phones;
        let plain = |text: &str| !text.is_empty() && !text.chars().any(|c| c.is_control() || "\"\\".contains(c));
        if !plain(&table.realm) {
            let found = format!("{:?}", table.realm);
            return Err(self.fault("phones.realm", found, "a name without quotes and control characters"));
        }
        if table.script.split('/').any(|part| part == "..") || table.script.starts_with('/') {
            let allowed = format!("a path below {}, or empty", document.folders.scripts);
            return Err(self.fault("phones.script", format_args!("\"{}\"", table.script), allowed));
        }
        let max = self.seconds("phones.max_expires_s", table.max_expires_s, table.min_expires_s.max(1)..=604_800)?;
        let keep_alive = self.seconds("phones.keep_alive_s", table.keep_alive_s, 0..=3600)?;
        let mut phones = Phones {
            realm: table.realm.clone(),
            algorithms: self.algorithms(&table.algorithms)?,
            guests: table.guests,
            script: (!table.script.is_empty()).then(|| Arc::from(table.script.as_str())),
            min_expires: self.seconds("phones.min_expires_s", table.min_expires_s, 0..=86_400)?,
            max_expires: max,
            keep_alive: (!keep_alive.is_zero()).then_some(keep_alive),
            ..Phones::default()
        };
        for (index, phone) in document.phone.iter().enumerate() {
            let phone = self.phone(index, phone, &phones)?;
            let (user, number) = (phone.credentials.user.clone(), phone.number.clone());
            if !phones.add(phone) {
                let found = format!("\"{user}\" with number \"{number}\"");
                return Err(self.fault(&format!("phone[{index}].user"), found, "each user and each number once"));
            }
        }
        Ok(phones)
    }

    fn algorithms(&self, found: &[String]) -> Result<Vec<Algorithm>, Fault> {
        let names = Algorithm::ALL.map(Algorithm::as_str).join(", ");
        let fault = |found: &str| self.fault("phones.algorithms", found, format_args!("one or more of {names}"));
        let one = |name: &String| Algorithm::parse(name).ok_or_else(|| fault(&format!("\"{name}\"")));
        let algorithms = found.iter().map(one).collect::<Result<Vec<_>, _>>()?;
        if algorithms.is_empty() { Err(fault("none")) } else { Ok(algorithms) }
    }

    fn phone(&self, index: usize, phone: &PhoneTable, phones: &Phones) -> Result<Phone, Fault> {
        let key = |name: &str| format!("phone[{index}].{name}");
        let word = |text: &str| {
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_.+*#".contains(c);
            !text.is_empty() && text.len() <= 64 && text.chars().all(plain)
        };
        let allowed = "1 to 64 letters, digits, and - _ . + * #";
        if !word(&phone.user) {
            return Err(self.fault(&key("user"), format_args!("{:?}", phone.user), allowed));
        }
        let number = if phone.number.is_empty() { &phone.user } else { &phone.number };
        if !word(number) {
            return Err(self.fault(&key("number"), format_args!("{number:?}"), allowed));
        }
        let secret = match (phone.password.as_str(), phone.ha1.as_str()) {
            ("", "") => return Err(self.fault(&key("password"), "neither", "a password, or ha1")),
            (password, "") => Secret::Password(password.to_owned()),
            ("", hex) => {
                // The hash is good for one algorithm: no other may be offered, or the phone would answer with that.
                let [algorithm] = phones.algorithms[..] else {
                    let allowed = "one entry in phones.algorithms, the one that ha1 is made with";
                    return Err(self.fault(&key("ha1"), "several algorithms", allowed));
                };
                if hex.len() != algorithm.hex_len() || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
                    let allowed = format!("{} hexadecimal digits", algorithm.hex_len());
                    return Err(self.fault(&key("ha1"), "something else", allowed));
                }
                Secret::Ha1 { algorithm, realm: phones.realm.clone(), hex: hex.to_ascii_lowercase() }
            }
            (_, _) => return Err(self.fault(&key("ha1"), "both", "a password, or ha1")),
        };
        let max_contacts = self.number(&key("max_contacts"), phone.max_contacts, 1..=100)?;
        let credentials = Credentials { user: phone.user.clone(), secret };
        let security = self.own_policy(&key("security"), &phone.security)?;
        Ok(Phone { credentials, number: number.clone(), max_contacts, security })
    }
}

#[cfg(test)]
#[path = "phones_tests.rs"]
mod tests;
