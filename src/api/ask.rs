//! Questions to the control task, and its answers back to who asked.

use std::{collections::HashMap, time::Duration};

use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

use super::{Context, problem::Problem};
use crate::{
    ids::{CallId, RequestId},
    io::{self, pass},
    switch::{ConsoleReply, Input, Originate, TrunkNews},
    verbs::{Origin, Request, Verb},
};

/// Requests of the API have numbers from here on; those below belong to the operator's command line.
pub const FIRST_REQUEST: u64 = 1 << 48;

/// What is asked; the number of the request is put in on the way.
#[derive(Debug)]
pub(super) enum Ask {
    /// Do this to a call.
    Do { call: CallId, verb: Verb, answer: oneshot::Sender<ConsoleReply> },
    /// Make a call.
    Call { order: Box<Order>, answer: oneshot::Sender<ConsoleReply> },
    /// How do the carriers stand, as far as they told?
    Trunks { answer: oneshot::Sender<Standings> },
}

/// A call to be made.
#[derive(Debug)]
pub(super) struct Order {
    /// Which.
    pub originate: Originate,
    /// What it does when it is answered; it ends when that is over. Absent: whatever its script says.
    pub then: Option<Verb>,
    /// It is hung up so long after its answer; absent: never.
    pub limit: Option<Duration>,
}

/// What carriers told last, by name.
pub(super) type Standings = HashMap<String, Standing>;

/// What a carrier told last.
#[derive(Clone, Debug, Default)]
pub(super) struct Standing {
    /// Are we registered there? Absent: that was never tried.
    pub registered: Option<bool>,
    /// Its targets, and whether they answer; only those whose state has changed.
    pub targets: HashMap<String, bool>,
}

/// Carry questions to the control task until the server is gone.
pub(super) async fn answer(
    mut asks: mpsc::Receiver<Ask>,
    mut replies: mpsc::UnboundedReceiver<ConsoleReply>,
    orders: mpsc::WeakSender<io::Order>,
) {
    let (waiting, then, ends, trunks) = Default::default();
    let mut desk = Desk { orders, last: FIRST_REQUEST, waiting, then, ends, trunks };
    loop {
        let go_on = tokio::select! {
            reply = replies.recv() => match reply {
                None => return,
                Some(reply) => desk.reply(reply).await,
            },
            Some(ask) = asks.recv() => desk.ask(ask).await,
        };
        if go_on.is_none() {
            return;
        }
    }
}

/// What was asked, and what is to be done when the answers come.
struct Desk {
    orders: mpsc::WeakSender<io::Order>,
    last: u64,
    waiting: HashMap<RequestId, oneshot::Sender<ConsoleReply>>,
    /// What calls do when they are answered, and how long they may last; by the order that made them.
    then: HashMap<RequestId, (Option<Verb>, Option<Duration>)>,
    /// Calls that end when what they do is over, by what they were asked to do.
    ends: HashMap<RequestId, CallId>,
    trunks: Standings,
}

impl Desk {
    /// None: the server is gone.
    async fn ask(&mut self, ask: Ask) -> Option<()> {
        self.waiting.retain(|_, asked| !asked.is_closed());
        let (input, answer) = match ask {
            Ask::Trunks { answer } => {
                drop(answer.send(self.trunks.clone()));
                return Some(());
            }
            Ask::Do { call, verb, answer } => {
                let id = self.next();
                (Input::Request(Request { origin: Origin::Console, id, call, verb }), (id, answer))
            }
            Ask::Call { order, answer } => {
                let id = self.next();
                let Order { originate, then, limit } = *order;
                if then.is_some() || limit.is_some() {
                    self.then.insert(id, (then, limit));
                }
                (Input::Originate(Originate { request: id, ..originate }), (id, answer))
            }
        };
        self.waiting.insert(answer.0, answer.1);
        tell(&self.orders, input).await
    }

    /// None: the server is gone.
    async fn reply(&mut self, reply: ConsoleReply) -> Option<()> {
        match &reply {
            ConsoleReply::Trunk { trunk, news } => {
                stand(self.trunks.entry(trunk.to_string()).or_default(), news.clone());
                return Some(());
            }
            ConsoleReply::Answered { request, call } => {
                if let Some((then, limit)) = self.then.remove(request) {
                    self.go_on(*call, then, limit).await?;
                }
            }
            ConsoleReply::Failed { request, .. } | ConsoleReply::Ended { request, .. } => {
                self.then.remove(request);
            }
            ConsoleReply::Reply { request, .. } => {
                if let Some(call) = self.ends.remove(request) {
                    let id = self.next();
                    tell(&self.orders, hangup(id, call)).await?;
                }
            }
            ConsoleReply::Calling { .. } | ConsoleReply::Drained | ConsoleReply::Alarm(_) => {}
        }
        if let Some(asked) = reply.request().and_then(|request| self.waiting.remove(&request)) {
            // Who asked may have lost patience.
            let _ = asked.send(reply);
        }
        Some(())
    }

    /// A call that was ordered is answered.
    async fn go_on(&mut self, call: CallId, then: Option<Verb>, limit: Option<Duration>) -> Option<()> {
        if let Some(verb) = then {
            let id = self.next();
            self.ends.insert(id, call);
            tell(&self.orders, Input::Request(Request { origin: Origin::Console, id, call, verb })).await?;
        }
        if let Some(limit) = limit {
            let (id, orders) = (self.next(), self.orders.clone());
            tokio::spawn(async move {
                pass(limit).await;
                // A call that is over by then is not found.
                tell(&orders, hangup(id, call)).await
            });
        }
        Some(())
    }

    fn next(&mut self) -> RequestId {
        self.last += 1;
        RequestId(self.last)
    }
}

fn hangup(id: RequestId, call: CallId) -> Input {
    Input::Request(Request { origin: Origin::Console, id, call, verb: Verb::Hangup })
}

/// None: the server is gone.
async fn tell(orders: &mpsc::WeakSender<io::Order>, input: Input) -> Option<()> {
    orders.upgrade()?.send(io::Order::Input(Box::new(input))).await.ok()
}

fn stand(standing: &mut Standing, news: TrunkNews) {
    use crate::sip::register::Change;
    match news {
        TrunkNews::Registration(Change::Registered(_)) => standing.registered = Some(true),
        TrunkNews::Registration(Change::Failed { still, .. }) => standing.registered = Some(still),
        TrunkNews::Registration(Change::Lost | Change::Left) => standing.registered = Some(false),
        TrunkNews::Target { uri, up } => drop(standing.targets.insert(uri.to_string(), up)),
    }
}

impl Context {
    /// Do something to a call. None: it takes longer than `patience`, and goes on.
    pub(super) async fn command(
        &self,
        call: CallId,
        verb: Verb,
        patience: Duration,
    ) -> Result<Option<ConsoleReply>, Problem> {
        let (answer, answered) = oneshot::channel();
        self.asks.send(Ask::Do { call, verb, answer }).await.map_err(|_| Problem::gone())?;
        match timeout(patience, answered).await {
            Ok(reply) => reply.map(Some).map_err(|_| Problem::gone()),
            Err(_) => Ok(None),
        }
    }

    /// Make a call; the answer is its first reply.
    pub(super) async fn originate(&self, order: Order) -> Result<ConsoleReply, Problem> {
        let (answer, answered) = oneshot::channel();
        self.asks.send(Ask::Call { order: Box::new(order), answer }).await.map_err(|_| Problem::gone())?;
        answered.await.map_err(|_| Problem::gone())
    }

    /// What carriers told last.
    pub(super) async fn standings(&self) -> Result<Standings, Problem> {
        let (answer, answered) = oneshot::channel();
        self.asks.send(Ask::Trunks { answer }).await.map_err(|_| Problem::gone())?;
        answered.await.map_err(|_| Problem::gone())
    }
}
