//! Keys and passwords made in the database itself: for who has neither, and sits at the machine.

use serde_json::{Value, json};

use super::{ConfFile, ask::table};
use crate::{
    conf::Conf,
    io::clock::Clock,
    server,
    store::{Done, Password, Person, Scope, Store, fresh_password},
    time::Time,
};

/// Make a key to the API, in the database itself.
#[derive(Debug, clap::Args)]
pub struct NewKey {
    /// What it is for.
    #[arg(long)]
    name: String,
    /// What it allows: read, call or admin.
    #[arg(long, default_value = "read")]
    scope: String,
    /// A number whose calls it may see and make; several times for several. Without, all.
    #[arg(long)]
    number: Vec<String>,
}

impl NewKey {
    /// Make it, and print its secret.
    pub fn run(&self, conf: &Conf) -> Result<(), String> {
        let scope: Scope = self.scope.parse().map_err(|allowed| format!("--scope: allowed: {allowed}"))?;
        let make = async |store: Store| {
            let (key, secret) = store.make_key(&self.name, scope, &self.number, now_ms()).await?;
            store.note(&done("key.make", &key.id)).await?;
            Ok(secret)
        };
        let secret = in_store(conf, make)?;
        println!("{secret}");
        Ok(())
    }
}

/// What to do with the keys to the API of the server with this configuration; it may run or not.
#[derive(Debug, clap::Subcommand)]
pub enum Keys {
    /// All keys, without their secrets.
    List {
        #[command(flatten)]
        file: ConfFile,
        /// JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Make a key, and print it.
    Add {
        #[command(flatten)]
        file: ConfFile,
        #[command(flatten)]
        new: NewKey,
    },
    /// Take a key back: within a second it opens nothing any more, and its streams of events end.
    Revoke {
        /// Its id, as `list` shows it.
        id: String,
        #[command(flatten)]
        file: ConfFile,
    },
}

impl Keys {
    /// Do it.
    pub fn run(&self) -> Result<(), String> {
        match self {
            Keys::List { file, json } => list(&file.load()?, *json),
            Keys::Add { file, new } => new.run(&file.load()?),
            Keys::Revoke { id, file } => revoke(&file.load()?, id),
        }
    }
}

fn list(conf: &Conf, as_json: bool) -> Result<(), String> {
    let keys = in_store(conf, async |store: Store| store.keys().await)?;
    let row = |key: crate::store::Key| json!({"id": key.id, "name": key.name, "scope": key.scope.as_str(), "numbers": key.numbers});
    let rows: Vec<Value> = keys.into_iter().map(row).collect();
    if as_json {
        println!("{}", Value::from(rows));
    } else {
        print!("{}", table(&rows, &["id", "name", "scope", "numbers"]));
    }
    Ok(())
}

fn revoke(conf: &Conf, id: &str) -> Result<(), String> {
    let removed = in_store(conf, async |store: Store| {
        let removed = store.remove_key(id).await?;
        if removed {
            store.note(&done("key.remove", id)).await?;
        }
        Ok(removed)
    })?;
    if !removed {
        return Err(format!("{id}: no key has this id"));
    }
    println!("revoked: {id}");
    Ok(())
}

/// For the audit log: whoever sits at the machine did it.
fn done(what: &str, about: &str) -> Done {
    let [who, what, about, outcome] = ["command", what, about, "done"].map(str::to_owned);
    Done { at_ms: now_ms(), who, what, about, outcome }
}

/// Let somebody log in with a new password, which is printed.
#[derive(Debug, clap::Args)]
pub struct NewPassword {
    /// By which they log in.
    #[arg(long, default_value = "admin")]
    user: String,
    /// What they may do, where nobody of this name is there yet: read, call or admin.
    #[arg(long, default_value = "admin")]
    role: String,
}

impl NewPassword {
    /// Make it, and print it. Sessions of this user end.
    pub fn run(&self, conf: &Conf) -> Result<(), String> {
        let role: Scope = self.role.parse().map_err(|allowed| format!("--role: allowed: {allowed}"))?;
        let plain = fresh_password();
        let password = Password::new(&plain);
        let person = Person { name: self.user.clone(), role, numbers: Vec::new() };
        in_store(conf, async |store: Store| {
            if !store.add_person(&person, &password, now_ms()).await? {
                store.change_password(&person.name, &password).await?;
            }
            store.note(&done("user.password", &person.name)).await
        })?;
        println!("{plain}");
        Ok(())
    }
}

pub(super) fn now_ms() -> i64 {
    let now = Clock::start().epoch().unix(Time::START).as_millis();
    i64::try_from(now).unwrap_or(i64::MAX)
}

/// Do something in the database of this configuration.
pub(super) fn in_store<T>(conf: &Conf, work: impl AsyncFnOnce(Store) -> Result<T, sqlx::Error>) -> Result<T, String> {
    let runtime = crate::io::runtime().map_err(|e| e.to_string())?;
    std::fs::create_dir_all(&conf.folders.state).map_err(|error| error.to_string())?;
    let done = runtime.block_on(async { work(Store::open(&server::database(conf)).await?).await });
    done.map_err(|error| error.to_string())
}
