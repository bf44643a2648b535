//! The tables of who works with the server, and of what they work with.

/// People and their sessions, contacts, flows in versions, the index of recordings, transcripts; and an order for what
/// was done.
pub const TABLES: &[&str] = &[
    "CREATE TABLE people (
        name TEXT PRIMARY KEY, password TEXT NOT NULL, role TEXT NOT NULL, numbers TEXT NOT NULL,
        created_ms BIGINT NOT NULL)",
    "CREATE TABLE sessions (
        hash TEXT PRIMARY KEY, person TEXT NOT NULL, created_ms BIGINT NOT NULL, expires_ms BIGINT NOT NULL)",
    "CREATE INDEX sessions_by_person ON sessions (person)",
    "ALTER TABLE audit ADD COLUMN id TEXT NOT NULL DEFAULT ''",
    "CREATE INDEX audit_by_time ON audit (at_ms, id)",
    "CREATE TABLE contacts (
        id TEXT PRIMARY KEY, name TEXT NOT NULL, notes TEXT NOT NULL, vars TEXT NOT NULL,
        created_ms BIGINT NOT NULL, changed_ms BIGINT NOT NULL)",
    "CREATE INDEX contacts_by_time ON contacts (created_ms, id)",
    "CREATE TABLE contact_numbers (
        contact TEXT NOT NULL, place BIGINT NOT NULL, number TEXT NOT NULL, PRIMARY KEY (contact, place))",
    "CREATE INDEX contacts_by_number ON contact_numbers (number)",
    "CREATE TABLE flow_versions (
        flow TEXT NOT NULL, version BIGINT NOT NULL, text TEXT NOT NULL, note TEXT NOT NULL, made_by TEXT NOT NULL,
        made_ms BIGINT NOT NULL, PRIMARY KEY (flow, version))",
    "CREATE TABLE active_flows (
        flow TEXT PRIMARY KEY, version BIGINT NOT NULL, since_ms BIGINT NOT NULL, made_by TEXT NOT NULL)",
    "CREATE TABLE recordings (
        node TEXT NOT NULL, id TEXT NOT NULL, call TEXT NOT NULL, file TEXT NOT NULL, at_ms BIGINT NOT NULL,
        caller TEXT NOT NULL, called TEXT NOT NULL, erased_ms BIGINT, PRIMARY KEY (node, id))",
    "CREATE INDEX recordings_by_time ON recordings (at_ms, id)",
    "CREATE INDEX recordings_by_id ON recordings (id)",
    "CREATE TABLE transcripts (
        call TEXT NOT NULL, turn BIGINT NOT NULL, at_ms BIGINT NOT NULL, who TEXT NOT NULL, text TEXT NOT NULL,
        PRIMARY KEY (call, turn))",
];

/// Several webhooks, each with a place of its own. Of the one that there was before, the place is not kept: it was without
/// a name.
pub const WEBHOOKS: &[&str] = &[
    "CREATE TABLE webhooks (
        name TEXT PRIMARY KEY, url TEXT NOT NULL, secret TEXT NOT NULL, kinds TEXT NOT NULL, numbers TEXT NOT NULL,
        whole BIGINT NOT NULL, created_ms BIGINT NOT NULL)",
    "CREATE TABLE webhook_places (
        webhook TEXT NOT NULL, node TEXT NOT NULL, done BIGINT NOT NULL, since_ms BIGINT NOT NULL,
        taken_ms BIGINT NOT NULL, trouble TEXT NOT NULL, trouble_ms BIGINT NOT NULL, PRIMARY KEY (webhook, node))",
    "DELETE FROM spool WHERE node LIKE '% webhook'",
];

/// Where callers wait and who takes them, as far as the API made them; and which queues name which agents.
pub const ROSTER: &[&str] = &[
    "CREATE TABLE queues (
        id TEXT PRIMARY KEY, document TEXT NOT NULL, created_ms BIGINT NOT NULL, changed_ms BIGINT NOT NULL)",
    "CREATE TABLE agents (
        id TEXT PRIMARY KEY, document TEXT NOT NULL, created_ms BIGINT NOT NULL, changed_ms BIGINT NOT NULL)",
    "CREATE TABLE ai_agents (
        id TEXT PRIMARY KEY, document TEXT NOT NULL, created_ms BIGINT NOT NULL, changed_ms BIGINT NOT NULL)",
    "CREATE TABLE queue_agents (
        queue TEXT NOT NULL, agent TEXT NOT NULL, PRIMARY KEY (queue, agent))",
    "CREATE INDEX queues_by_agent ON queue_agents (agent)",
];

/// Numbers of contacts without visual separators and `+`, by which they are found. A text without letters is the same in
/// capital and in small ones.
pub const PLAIN_NUMBERS: &[&str] = &[
    "ALTER TABLE contact_numbers ADD COLUMN plain TEXT NOT NULL DEFAULT ''",
    "UPDATE contact_numbers SET plain = LOWER(number)",
    "UPDATE contact_numbers SET plain = REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(number, '+', ''), '-', ''),
        '.', ''), '(', ''), ')', ''), ' ', '')
        WHERE LOWER(number) = UPPER(number) AND number NOT LIKE '%@%' AND number NOT LIKE '%:%'",
    "CREATE INDEX contacts_by_plain_number ON contact_numbers (plain)",
];

/// Who is on a recording; of older ones only the caller and the called are known.
pub const HEARD: &[&str] = &["ALTER TABLE recordings ADD COLUMN heard TEXT NOT NULL DEFAULT ''"];
