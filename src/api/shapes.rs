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

/// A text in one line, or empty.
const LINE: &str = "^[^\\x00-\\x1f\\x7f-\\x9f]*$";
/// A path of a script, or empty.
const SCRIPT: &str = "^([^\\x00-\\x1f\\x7f-\\x9f/.][^\\x00-\\x1f\\x7f-\\x9f/]*(/[^\\x00-\\x1f\\x7f-\\x9f/.][^\\x00-\\x1f\\x7f-\\x9f/]*)*)?$";
/// What can be dialled.
const ADDRESS: &str = "^([A-Za-z0-9_.+*#-]{1,64}|([sS][iI][pP][sS]?|[tT][eE][lL]):[!#-;=?-~]{1,490})$";
/// An id in a list.
const ID: &str = "^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$";

/// Texts of queues and agents.
const LABELS: [(&str, &str, &str); 12] = [
    ("Queue", "name", LINE),
    ("Queue", "notes", NO_NUL),
    ("Queue", "wait_script", SCRIPT),
    ("Agent", "name", LINE),
    ("Agent", "notes", NO_NUL),
    ("AiAgent", "name", LINE),
    ("AiAgent", "notes", NO_NUL),
    ("AiAgent", "model", LINE),
    ("AiAgent", "prompt", NO_NUL),
    ("AiAgent", "tts", LINE),
    ("AiAgent", "voice", LINE),
    ("AiAgent", "stt", LINE),
];

/// Lists whose items are there once: schema, property, pattern, and how long an item may be.
const LISTS: [(&str, &str, &str, u32); 5] = [
    ("Queue", "agents", ID, 64),
    ("Queue", "tags", PLAIN, 64),
    ("Agent", "addresses", ADDRESS, 495),
    ("Agent", "tags", PLAIN, 64),
    ("AiAgent", "tools", ID, 64),
];

/// Schemas with variables of flows.
const VARS: [&str; 4] = ["NewCall", "QuickCall", "Another", "NewContact"];

/// Say it.
pub(super) fn refine(schemas: &mut Value) {
    for (schema, property, pattern) in TEXTS.into_iter().chain(LABELS) {
        schemas[schema]["properties"][property]["pattern"] = pattern.into();
    }
    for (schema, pattern, most) in NUMBERS {
        let item = json!({"type": "string", "minLength": 1, "maxLength": most, "pattern": pattern});
        schemas[schema]["properties"]["numbers"]["items"] = item;
    }
    for (schema, property, pattern, most) in LISTS {
        let list = &mut schemas[schema]["properties"][property];
        list["uniqueItems"] = true.into();
        list["items"] = json!({"type": "string", "minLength": 1, "maxLength": most, "pattern": pattern});
    }
    schemas["AiAgent"]["properties"]["key"]["pattern"] = LINE.into();
    let parameters = &mut schemas["AiAgent"]["properties"]["parameters"];
    parameters["maxProperties"] = 100.into();
    parameters["propertyNames"] = json!({"maxLength": 256, "pattern": NO_NUL});
    parameters["additionalProperties"] = json!({"type": "string", "maxLength": 8192, "pattern": NO_NUL});
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
        let names = super::TEXTS.iter().chain(&super::LABELS).map(|(schema, property, _)| (*schema, *property));
        let names = names.chain(super::LISTS.iter().map(|(schema, property, ..)| (*schema, *property)));
        let names = names.chain([("AiAgent", "key"), ("AiAgent", "parameters")]);
        let names = names.chain(super::NUMBERS.iter().map(|(schema, ..)| (*schema, "numbers")));
        let names = names.chain(super::KINDS.iter().map(|schema| (*schema, "kinds")));
        let names = names.chain(super::VARS.iter().map(|schema| (*schema, "vars"))).chain([("NewCall", "headers")]);
        for (schema, property) in names {
            let about = &schemas[schema]["properties"][property];
            assert!(about.get("type").is_some(), "{schema}.{property}: {about}");
        }
    }
}
