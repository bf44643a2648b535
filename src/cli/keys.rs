//! Keys and passwords made in the database itself: for who has neither, and sits at the machine.

use crate::{
    conf::Conf,
    io::clock::Clock,
    server,
    store::{Password, Person, Scope, Store, fresh_password},
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
        let make = async |store: Store| store.make_key(&self.name, scope, &self.number, now_ms()).await;
        let (_, secret) = in_store(conf, make)?;
        println!("{secret}");
        Ok(())
    }
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
            Ok(())
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
