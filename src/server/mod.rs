//! The program put together: configuration in, sockets and threads out, and one control task in the middle.

mod budget;
mod interfaces;
mod keeping;
mod log;
mod records;
mod reload;
mod scripts;
mod start;

use std::{net::SocketAddr, sync::Arc, thread::JoinHandle, time::Duration};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{mpsc, watch},
    time::timeout,
};

pub use keeping::database;
pub use log::{in_background as log_in_background, to_stderr as log_to_stderr};
pub use records::read as read_records;
pub use scripts::{bring as bring_scripts, faults as script_faults};
pub use start::{StartError, check_addresses, unique};

pub use crate::io::Seen;
use crate::{
    api::{Fixed, Reload},
    conf::Conf,
    io::Order,
    switch::{self, ConsoleReply, Counts, Guarded, Input, Originate},
    verbs::Roster,
};

/// Longest wait for the calls that are hung up at the end.
const GOODBYE: Duration = Duration::from_secs(5);

/// So often a server that drains tells how far it is.
const PROGRESS: Duration = Duration::from_secs(2);

/// What a server is to do beyond its configuration.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wishes {
    /// Tell every SIP message and decision as [`Seen::Trace`].
    pub trace: bool,
}

/// A running server. Dropping it stops it.
pub struct Server {
    addresses: Vec<SocketAddr>,
    listening: Vec<String>,
    orders: mpsc::Sender<Order>,
    seen: mpsc::UnboundedReceiver<Seen>,
    /// What the API asks for.
    reloads: mpsc::Receiver<Reload>,
    control: JoinHandle<Counts>,
    media: String,
    /// What the switch was started with.
    config: switch::Config,
    /// Webhooks that stand in the configuration.
    webhooks: watch::Sender<Fixed>,
    /// Queues and agents that stand in the configuration.
    roster: watch::Sender<Arc<Roster>>,
}

impl Server {
    /// Open everything that `conf` names and start the threads.
    pub fn start(conf: &Conf, wishes: Wishes) -> Result<Server, StartError> {
        start::start(conf, wishes)
    }

    /// Where SIP is listened to.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// What to tell an operator who has just started it.
    pub fn greeting(&self, conf: &Conf) -> Vec<String> {
        let mut lines: Vec<String> = self.listening.iter().map(|told| format!("listening on {told}")).collect();
        lines.push(self.media.clone());
        let host = self.addresses.first().map_or_else(String::new, ToString::to_string);
        lines.extend(conf.routes.iter().map(|route| format!("dial sip:{}@{host} for {}", route.number, route.service)));
        lines.push("ready; Ctrl-C stops".into());
        lines
    }

    /// Make a call.
    pub fn originate(&self, originate: Originate) {
        self.order(Order::Input(Box::new(Input::Originate(originate))));
    }

    /// The next thing that happens; absent: the server has ended.
    pub fn watch(&mut self) -> Option<Seen> {
        self.seen.blocking_recv()
    }

    /// As [`Server::watch`]; absent also where nothing happens for so long.
    pub fn watch_within(&mut self, longest: Duration) -> Option<Seen> {
        let runtime = crate::io::runtime().ok()?;
        runtime.block_on(async { timeout(longest, self.seen.recv()).await }).ok().flatten()
    }

    /// Stop at once; gives what was seen, but not watched yet.
    pub fn stop(mut self) -> Vec<Seen> {
        self.order(Order::Stop);
        let mut left = Vec::new();
        // The channel closes when the control task ends.
        while let Some(seen) = self.watch() {
            left.push(seen);
        }
        self.join();
        left
    }

    /// Run until SIGTERM or SIGINT. The first one lets calls in progress end, for up to `drain`, and refuses new ones;
    /// the second stops at once. SIGUSR1 prints what is held; SIGHUP takes the configuration that `again` reads in the
    /// place of `conf`, and so does the API. Tells what was still held at the end.
    pub fn run_until_told(
        mut self,
        mut conf: Conf,
        again: impl Fn() -> Result<Conf, String>,
    ) -> std::io::Result<Counts> {
        let runtime = crate::io::runtime()?;
        runtime.block_on(async {
            let mut stop = signal(SignalKind::terminate())?;
            let mut interrupt = signal(SignalKind::interrupt())?;
            let mut counts = signal(SignalKind::user_defined1())?;
            let mut hangup = signal(SignalKind::hangup())?;
            loop {
                tokio::select! {
                    _ = stop.recv() => break,
                    _ = interrupt.recv() => break,
                    _ = hangup.recv() => drop(self.reload_told(&mut conf, again()).await),
                    Some(asked) = self.reloads.recv() => {
                        let done = match asked.only_plan {
                            true => again().map_err(|fault| vec![fault]).and_then(|new| reload::planned(&conf, &new)),
                            false => self.reload_told(&mut conf, again()).await,
                        };
                        // Who asked may have lost patience.
                        let _ = asked.answer.send(done);
                    }
                    _ = counts.recv() => self.ask(Order::Counts).await,
                    seen = self.seen.recv() => match seen {
                        Some(Seen::Counts { held, guarded }) => print_counts(&held, &guarded),
                        Some(_) => {}
                        None => return Ok(()),
                    },
                }
            }
            let drain = conf.sip.drain;
            println!(
                "draining for up to {} s: calls in progress may end, new ones get 503; once more stops at once",
                drain.as_secs()
            );
            self.ask(Order::Input(Box::new(Input::Drain))).await;
            let in_time = tokio::select! {
                _ = stop.recv() => false,
                _ = interrupt.recv() => false,
                done = timeout(drain, drained_told(&self.orders, &mut self.seen, drain)) => done.is_ok(),
            };
            if !in_time {
                // Whoever is still talking gets a BYE, and a record.
                self.ask(Order::Input(Box::new(Input::HangUpAll))).await;
                let _ = timeout(GOODBYE, drained(&mut self.seen)).await;
            }
            Ok::<(), std::io::Error>(())
        })?;
        runtime.block_on(self.ask(Order::Stop));
        Ok(self.join())
    }

    fn join(self) -> Counts {
        match self.control.join() {
            Ok(counts) => counts,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }

    fn order(&self, order: Order) {
        // A server that has ended obeys nobody.
        let _ = self.orders.blocking_send(order);
    }

    async fn ask(&self, order: Order) {
        let _ = self.orders.send(order).await;
    }
}

/// Until no call is left.
async fn drained(seen: &mut mpsc::UnboundedReceiver<Seen>) {
    while let Some(seen) = seen.recv().await {
        if matches!(seen, Seen::Console(ConsoleReply::Drained)) {
            return;
        }
    }
}

/// As [`drained`]; meanwhile it is printed again and again how many calls are left.
async fn drained_told(orders: &mpsc::Sender<Order>, seen: &mut mpsc::UnboundedReceiver<Seen>, drain: Duration) {
    let mut again = tokio::time::interval(PROGRESS);
    // The first tick is at once, and that was told.
    again.tick().await;
    let mut passed = Duration::ZERO;
    loop {
        tokio::select! {
            seen = seen.recv() => match seen {
                Some(Seen::Console(ConsoleReply::Drained)) | None => return,
                Some(Seen::Counts { held, .. }) => {
                    println!("draining: {} calls left, up to {} s", held.calls, drain.saturating_sub(passed).as_secs());
                }
                Some(Seen::Trace(_) | Seen::Console(_)) => {}
            },
            _ = again.tick() => {
                passed += PROGRESS;
                // A control task that is gone has told so, or closes `seen`.
                let _ = orders.send(Order::Counts).await;
            }
        }
    }
}

/// Two lines that programs can read, too.
fn print_counts(counts: &Counts, guarded: &Guarded) {
    println!("counts {}", counts_json(counts));
    println!("guard {}", guarded_json(guarded));
}

/// What was kept out since the start, as JSON.
fn guarded_json(guarded: &Guarded) -> serde_json::Value {
    serde_json::json!({
        "denied": guarded.denied,
        "banned": guarded.banned,
        "too_fast": guarded.too_fast,
        "offences": guarded.offences,
        "bans": guarded.bans,
        "shed": guarded.shed,
        "unanswered": guarded.unanswered,
        "in_force": guarded.in_force,
        "sources": guarded.sources,
    })
}

/// What is held, as JSON.
pub fn counts_json(counts: &Counts) -> serde_json::Value {
    let named = crate::io::counts_of(counts).into_iter().map(|(name, count)| (name.to_owned(), count.into()));
    serde_json::Value::Object(named.collect())
}
