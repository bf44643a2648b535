//! Whoever starts a server without keys gets one, and a password to log in where nobody can; each shown this once. A
//! database that is not there yet is waited for.

use std::time::Duration;

use super::{Context, Shared, people};
use crate::{
    io::pass,
    store::{Person, Scope, fresh_password},
};

/// A database that is away is tried again so often.
const AGAIN: Duration = Duration::from_secs(1);

/// Make them when the database is there.
pub(super) async fn make(context: Shared) {
    let mut told = false;
    while let Err(error) = try_to(&context).await {
        if !told {
            tracing::warn!(%error, "the database is away: whether the API needs a first key is seen when it is there");
            told = true;
        }
        pass(AGAIN).await;
    }
    std::future::pending().await
}

async fn try_to(context: &Context) -> Result<(), sqlx::Error> {
    let store = context.opened().await?;
    if store.keys().await?.is_empty() {
        let (_, secret) = store.make_key("first", Scope::Admin, &[], context.now_ms()).await?;
        println!("API key with all rights, shown only this once: {secret}");
    }
    if store.people().await?.is_empty() {
        let plain = fresh_password();
        // None: the server stops.
        let Ok(password) = people::hashed(plain.clone()).await else { return Ok(()) };
        let admin = Person { name: "admin".into(), role: Scope::Admin, numbers: Vec::new() };
        if store.add_person(&admin, &password, context.now_ms()).await? {
            println!("user admin may log in with this password, shown only this once: {plain}");
        }
    }
    Ok(())
}
