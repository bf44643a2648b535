//! What requests may hold, as far as the code that reads them says it in no attribute: items of lists, names and values
//! of maps, and texts without control characters. A request that fits the description is never called unreadable.

use serde_json::{Value, json};

/// As [`super::access::plain`] wants it.
const PLAIN: &str = "^[^\\x00-\\x1f\\x7f-\\x9f]+$";
/// A number in a list that is kept with commas between.
const LISTED: &str = "^[^\\x00-\\x1f\\x7f-\\x9f,]+$";
/// Something must be left without its spaces.
const SPACED: &str = "^[^\\x00-\\x1f\\x7f-\\x9f]*[^\\x00-\\x1f\\x7f-\\x9f\\s][^\\x00-\\x1f\\x7f-\\x9f]*$";
/// No text of a database has this in it.
const NO_NUL: &str = "^[^\\x00]*$";

/// Texts, by schema and property.
const TEXTS: [(&str, &str, &str); 16] = [
    ("NewCall", "to", PLAIN),
    ("NewCall", "from", PLAIN),
    ("QuickCall", "to", PLAIN),
    ("QuickCall", "from", PLAIN),
    ("QuickCall", "contact", NO_NUL),
    ("Listener", "to", PLAIN),
    ("Listener", "from", PLAIN),
    ("Target", "to", PLAIN),
    ("NewKey", "name", PLAIN),
    ("NewContact", "name", PLAIN),
    ("NewContact", "notes", NO_NUL),
    ("Said", "who", PLAIN),
    ("Said", "text", NO_NUL),
    ("Upload", "note", NO_NUL),
    ("NewWebhook", "secret", NO_NUL),
    ("OtherWebhook", "secret", NO_NUL),
];

/// Lists of numbers, by schema.
const NUMBERS: [(&str, &str, u32); 6] = [
    ("NewKey", LISTED, 100),
    ("NewUser", LISTED, 100),
    ("Change", LISTED, 100),
    ("NewContact", SPACED, 200),
    ("NewWebhook", LISTED, 100),
    ("OtherWebhook", LISTED, 100),
];

/// Schemas with kinds of events.
const KINDS: [&str; 2] = ["NewWebhook", "OtherWebhook"];
/// A kind, or the beginning of some.
const KIND: &str = "^([a-z._]{1,64}\\*?|\\*)$";

/// Schemas with variables of flows.
const VARS: [&str; 4] = ["NewCall", "QuickCall", "Another", "NewContact"];

/// Say it.
pub(super) fn refine(schemas: &mut Value) {
    for (schema, property, pattern) in TEXTS {
        schemas[schema]["properties"][property]["pattern"] = pattern.into();
    }
    for (schema, pattern, most) in NUMBERS {
        let item = json!({"type": "string", "minLength": 1, "maxLength": most, "pattern": pattern});
        schemas[schema]["properties"]["numbers"]["items"] = item;
    }
    for schema in KINDS {
        schemas[schema]["properties"]["kinds"]["items"] = json!({"type": "string", "pattern": KIND});
    }
    for schema in VARS {
        let vars = &mut schemas[schema]["properties"]["vars"];
        vars["maxProperties"] = 100.into();
        vars["propertyNames"] = json!({"maxLength": 256});
        vars["additionalProperties"] = json!({"type": "string", "maxLength": 8192});
    }
    let headers = &mut schemas["NewCall"]["properties"]["headers"];
    headers["maxProperties"] = 50.into();
    headers["propertyNames"] = json!({"minLength": 1, "maxLength": 100, "pattern": PLAIN});
    headers["additionalProperties"] = json!({"type": "string", "minLength": 1, "maxLength": 2000, "pattern": PLAIN});
}

#[cfg(test)]
mod tests {
    use super::super::doc::described;

    #[test]
    fn each_refinement_is_about_a_property_that_is_there() {
        let schemas = &described()["components"]["schemas"];
        let names = super::TEXTS.iter().map(|(schema, property, _)| (*schema, *property));
        let names = names.chain(super::NUMBERS.iter().map(|(schema, ..)| (*schema, "numbers")));
        let names = names.chain(super::KINDS.iter().map(|schema| (*schema, "kinds")));
        let names = names.chain(super::VARS.iter().map(|schema| (*schema, "vars"))).chain([("NewCall", "headers")]);
        for (schema, property) in names {
            let about = &schemas[schema]["properties"][property];
            assert!(about.get("type").is_some(), "{schema}.{property}: {about}");
        }
    }
}
