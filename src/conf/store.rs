//! Where call records and events are kept.

use super::{ApiConf, Document, Fault, settings::At};
use crate::{
    api::WebhookConfig,
    store::{Database, Days},
    switch::Dialling,
};

/// Where call records and events are kept.
#[derive(Clone, Debug, PartialEq)]
pub struct StoreConf {
    /// Which database; absent: a file in `folders.state`.
    pub database: Option<Database>,
    /// Most bytes that may wait for the database.
    pub spool: u64,
    /// How long things are kept.
    pub days: Days,
    /// The API; absent: there is none.
    pub api: Option<ApiConf>,
    /// Where events are posted to.
    pub webhooks: Vec<WebhookConfig>,
    /// How numbers are written here.
    pub dialling: Dialling,
}

impl At<'_> {
    pub(super) fn store(&self, document: &Document) -> Result<StoreConf, Fault> {
        let store = &document.store;
        let database = match store.database.as_str() {
            "" => None,
            url => Some(Database::parse(url).ok_or_else(|| {
                // Its address may hold a password.
                let found = format_args!("\"{}...\"", url.split(':').next().unwrap_or_default()).to_string();
                self.fault("store.database", found, "postgres://user:password@host/name, or empty")
            })?),
        };
        Ok(StoreConf {
            database,
            spool: self.number::<u64>("store.spool_mb", store.spool_mb, 10..=1_000_000)? << 20,
            days: Days {
                events: self.number("store.event_days", store.event_days, 0..=36_500)?,
                records: self.number("store.record_days", store.record_days, 0..=36_500)?,
                audit: self.number("store.audit_days", store.audit_days, 0..=36_500)?,
            },
            api: self.api(document)?,
            webhooks: self.webhooks(document)?,
            dialling: self.dialling(document)?,
        })
    }
}
