//! The tables, and how older ones become these.

use super::desk_schema;

/// A step towards the present tables: its number, by which the database remembers that it was done, and what it does.
pub type Step = (i64, &'static [&'static str]);

/// What is here never changes, new steps follow; those that are missing are done in this order. The statements mean the
/// same to SQLite and PostgreSQL.
pub const MIGRATIONS: [Step; 10] = [
    (1, FIRST),
    (10, LEANER),
    (20, desk_schema::TABLES),
    (30, LEFT_BEHIND),
    (45, OUTCOMES),
    (60, desk_schema::WEBHOOKS),
    (61, desk_schema::PLAIN_NUMBERS),
    (70, desk_schema::HEARD),
    (80, desk_schema::ROSTER),
    (81, ORDERS_BY_SERVER),
];

const FIRST: &[&str] = &[
    "CREATE TABLE spool (node TEXT PRIMARY KEY, done BIGINT NOT NULL)",
    "CREATE TABLE calls (
        node TEXT NOT NULL, id TEXT NOT NULL, parent TEXT, direction TEXT NOT NULL,
        caller TEXT NOT NULL, called TEXT NOT NULL, trunk TEXT, script TEXT,
        status TEXT NOT NULL, stage BIGINT NOT NULL, end_reason TEXT, code BIGINT,
        start_ms BIGINT NOT NULL, answer_ms BIGINT, end_ms BIGINT,
        document TEXT NOT NULL, PRIMARY KEY (node, id))",
    "CREATE INDEX calls_by_start ON calls (start_ms, id)",
    "CREATE INDEX calls_by_id ON calls (id)",
    "CREATE INDEX calls_open ON calls (node) WHERE end_reason IS NULL",
    "CREATE TABLE events (
        node TEXT NOT NULL, id BIGINT NOT NULL, at_ms BIGINT NOT NULL, kind TEXT NOT NULL, call TEXT,
        document TEXT NOT NULL, PRIMARY KEY (node, id))",
    "CREATE INDEX events_by_time ON events (at_ms)",
    "CREATE INDEX events_by_call ON events (call)",
    "CREATE TABLE api_keys (
        id TEXT PRIMARY KEY, name TEXT NOT NULL, hash TEXT NOT NULL UNIQUE, scope TEXT NOT NULL,
        numbers TEXT NOT NULL, created_ms BIGINT NOT NULL)",
    "CREATE TABLE orders (
        owner TEXT NOT NULL, name TEXT NOT NULL, body TEXT NOT NULL, call TEXT NOT NULL, at_ms BIGINT NOT NULL,
        PRIMARY KEY (owner, name))",
    "CREATE TABLE audit (
        at_ms BIGINT NOT NULL, who TEXT NOT NULL, what TEXT NOT NULL, about TEXT NOT NULL)",
];

/// Each index costs every call. Old events are found by their numbers, which count up with time; a call by its id is
/// found by the key, with the few names of servers in front of it.
const LEANER: &[&str] = &["DROP INDEX events_by_time", "DROP INDEX calls_by_id"];

/// Few calls are left behind; they are looked for at each start.
const LEFT_BEHIND: &[&str] =
    &["CREATE INDEX calls_left_behind ON calls (node, end_ms) WHERE end_reason = 'reconciled'"];

/// What came of what was done; of what was done before, it was noted only if it was.
const OUTCOMES: &[&str] = &["ALTER TABLE audit ADD COLUMN outcome TEXT NOT NULL DEFAULT 'done'"];

/// Servers that share a database know their own orders.
const ORDERS_BY_SERVER: &[&str] = &["ALTER TABLE orders ADD COLUMN node TEXT NOT NULL DEFAULT ''"];
