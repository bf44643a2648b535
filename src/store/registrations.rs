//! Where phones are, kept over a restart: one SQLite table, one row a user. A phone that registered for an hour is called
//! right after the program comes back, not an hour later.

use std::{io, net::SocketAddr, path::Path, thread, time::Duration};

use serde::{Deserialize, Serialize};
use sqlx::{
    ConnectOptions, Connection, Row, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use tokio::sync::mpsc;

use crate::{
    ids::InterfaceId,
    io::{clock::Clock, runtime},
    sip::{Hop, NameAddr, Transport},
    switch::Binding,
};

/// Its file in the folder of what is kept.
pub(super) const FILE: &str = "registrations.sqlite";
/// How its table is made.
pub(super) const TABLE: &str =
    "CREATE TABLE IF NOT EXISTS registration (user TEXT PRIMARY KEY, bindings TEXT NOT NULL) WITHOUT ROWID";
/// Users that are written in one transaction at the most.
const TOGETHER: usize = 256;

/// A [`Binding`] as it is written down.
#[derive(Serialize, Deserialize)]
struct Kept {
    contact: String,
    hop: Option<(String, u8, SocketAddr)>,
    path: Vec<String>,
    call_id: String,
    cseq: u32,
    until_ms: u64,
    instance: Option<String>,
    reg_id: Option<u32>,
    agent: String,
}

impl Kept {
    fn of(binding: &Binding, clock: Clock) -> Kept {
        let hop = binding.hop.map(|hop| (hop.transport.as_str().to_owned(), hop.interface.0, hop.remote));
        Kept {
            contact: binding.contact.to_string(),
            hop,
            path: binding.path.clone(),
            call_id: binding.call_id.clone(),
            cseq: binding.cseq,
            until_ms: u64::try_from(clock.epoch().unix(binding.until).as_millis()).unwrap_or(u64::MAX),
            instance: binding.instance.clone(),
            reg_id: binding.reg_id,
            agent: binding.agent.clone(),
        }
    }

    /// None: it is over, or it cannot be read.
    fn binding(self, clock: Clock) -> Option<Binding> {
        let left = Duration::from_millis(self.until_ms).checked_sub(clock.epoch().unix(clock.now()))?;
        let hop = match self.hop {
            None => None,
            Some((transport, interface, remote)) => {
                let transport = Transport::from_word(&transport)?;
                Some(Hop { transport, interface: InterfaceId(interface), remote })
            }
        };
        Some(Binding {
            contact: NameAddr::parse(&self.contact).ok()?,
            hop,
            path: self.path,
            call_id: self.call_id,
            cseq: self.cseq,
            until: clock.now() + left,
            instance: self.instance,
            reg_id: self.reg_id,
            agent: self.agent,
            silent: false,
        })
    }
}

/// What was kept in `folder`, by user; what is over is left out.
pub fn load(folder: &Path, clock: Clock) -> io::Result<Vec<(String, Vec<Binding>)>> {
    let runtime = runtime()?;
    runtime.block_on(async {
        let mut connection = open(folder).await.map_err(io::Error::other)?;
        let all = sqlx::query("SELECT user, bindings FROM registration").fetch_all(&mut connection);
        let rows = all.await.map_err(io::Error::other)?;
        let _ = connection.close().await;
        Ok(rows.iter().map(|row| (row.get("user"), read(&row.get::<String, _>("bindings"), clock))).collect())
    })
}

fn read(text: &str, clock: Clock) -> Vec<Binding> {
    let kept: Vec<Kept> = serde_json::from_str(text).unwrap_or_default();
    kept.into_iter().filter_map(|one| one.binding(clock)).collect()
}

/// Start the thread that keeps what comes from `jobs`. It ends when the sender is gone and all is written.
pub fn spawn(
    folder: &Path,
    clock: Clock,
    mut jobs: mpsc::Receiver<(String, Vec<Binding>)>,
) -> io::Result<thread::JoinHandle<()>> {
    let runtime = runtime()?;
    let mut connection = runtime.block_on(open(folder)).map_err(io::Error::other)?;
    thread::Builder::new().name("registrations".into()).spawn(move || {
        runtime.block_on(async {
            let mut changes = Vec::new();
            while jobs.recv_many(&mut changes, TOGETHER).await > 0 {
                if let Err(error) = write(&mut connection, &mut changes, clock).await {
                    tracing::warn!(%error, "registrations are not kept over a restart");
                }
                changes.clear();
            }
            let _ = connection.close().await;
        });
    })
}

async fn write(
    connection: &mut SqliteConnection,
    changes: &mut Vec<(String, Vec<Binding>)>,
    clock: Clock,
) -> Result<(), sqlx::Error> {
    let mut all = connection.begin().await?;
    for (user, bindings) in changes.drain(..) {
        let kept: Vec<Kept> = bindings.iter().map(|one| Kept::of(one, clock)).collect();
        let query = if kept.is_empty() {
            sqlx::query("DELETE FROM registration WHERE user = ?").bind(user)
        } else {
            let text = serde_json::to_string(&kept).expect("plain data can be written");
            sqlx::query("REPLACE INTO registration (user, bindings) VALUES (?, ?)").bind(user).bind(text)
        };
        query.execute(&mut *all).await?;
    }
    all.commit().await
}

async fn open(folder: &Path) -> Result<SqliteConnection, sqlx::Error> {
    std::fs::create_dir_all(folder)?;
    let options = SqliteConnectOptions::new()
        .filename(folder.join(FILE))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .disable_statement_logging();
    let mut connection = options.connect().await?;
    sqlx::query(TABLE).execute(&mut connection).await?;
    Ok(connection)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Time;

    fn binding(clock: Clock, seconds: u64, transport: Transport) -> Binding {
        Binding {
            contact: "<sip:anna@192.0.2.7:5070>;q=0.5".parse().unwrap(),
            hop: Some(Hop { transport, interface: InterfaceId(1), remote: "192.0.2.7:5070".parse().unwrap() }),
            path: vec!["<sip:edge.example;lr>".into()],
            call_id: "c".into(),
            cseq: 7,
            until: clock.now() + Duration::from_secs(seconds),
            instance: Some("<urn:uuid:1>".into()),
            reg_id: Some(1),
            agent: "Phone/1".into(),
            silent: false,
        }
    }

    #[test]
    fn what_was_kept_comes_back_until_it_is_over_and_what_ended_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::start();
        let (udp, tls) = (binding(clock, 600, Transport::Udp), binding(clock, 600, Transport::Tls));
        let over = Binding { until: Time::START, ..udp.clone() };
        let (sender, jobs) = mpsc::channel(16);
        let thread = spawn(folder.path(), clock, jobs).unwrap();
        for (user, bindings) in
            [("anna", vec![udp.clone()]), ("bo", vec![udp.clone()]), ("cy", vec![over, tls.clone()]), ("bo", vec![])]
        {
            sender.blocking_send((user.to_owned(), bindings)).unwrap();
        }
        drop(sender);
        thread.join().unwrap();
        let back = load(folder.path(), clock).unwrap();
        let users: Vec<&str> = back.iter().map(|(user, _)| user.as_str()).collect();
        assert_eq!(users, ["anna", "cy"]);
        for ((_, bindings), was) in back.iter().zip([udp, tls]) {
            let [one] = &bindings[..] else { panic!("{bindings:?}") };
            let apart = one.until.since_start().abs_diff(was.until.since_start());
            assert!(apart < Duration::from_secs(1), "{apart:?}");
            assert_eq!(*one, Binding { until: one.until, ..was });
        }
    }

    #[test]
    fn what_cannot_be_read_is_left_out() {
        let clock = Clock::start();
        assert_eq!(read("nonsense", clock), []);
        assert_eq!(read("[{}]", clock), []);
    }
}
