//! Questions to the control task, and its answers back to who asked.

use std::{collections::HashMap, time::Duration};

use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

use super::{Context, problem::Problem};
use crate::{
    ids::{CallId, RequestId},
    io::Order,
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
    Call { originate: Box<Originate>, answer: oneshot::Sender<ConsoleReply> },
    /// How do the carriers stand, as far as they told?
    Trunks { answer: oneshot::Sender<Standings> },
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
    orders: mpsc::WeakSender<Order>,
) {
    let mut waiting: HashMap<RequestId, oneshot::Sender<ConsoleReply>> = HashMap::new();
    let mut trunks = Standings::new();
    let mut last = FIRST_REQUEST;
    loop {
        tokio::select! {
            reply = replies.recv() => match reply {
                None => return,
                Some(ConsoleReply::Trunk { trunk, news }) => stand(trunks.entry(trunk.to_string()).or_default(), news),
                Some(reply) => {
                    if let Some(asked) = reply.request().and_then(|request| waiting.remove(&request)) {
                        // Who asked may have lost patience.
                        let _ = asked.send(reply);
                    }
                }
            },
            Some(ask) = asks.recv() => {
                waiting.retain(|_, asked| !asked.is_closed());
                last += 1;
                let id = RequestId(last);
                let (input, answer) = match ask {
                    Ask::Trunks { answer } => {
                        drop(answer.send(trunks.clone()));
                        continue;
                    }
                    Ask::Do { call, verb, answer } => {
                        (Input::Request(Request { origin: Origin::Console, id, call, verb }), answer)
                    }
                    Ask::Call { originate, answer } => {
                        (Input::Originate(Originate { request: id, ..*originate }), answer)
                    }
                };
                waiting.insert(id, answer);
                let Some(orders) = orders.upgrade() else { return };
                if orders.send(Order::Input(Box::new(input))).await.is_err() {
                    return;
                }
            }
        }
    }
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
    pub(super) async fn originate(&self, originate: Originate) -> Result<ConsoleReply, Problem> {
        let (answer, answered) = oneshot::channel();
        let originate = Box::new(originate);
        self.asks.send(Ask::Call { originate, answer }).await.map_err(|_| Problem::gone())?;
        answered.await.map_err(|_| Problem::gone())
    }

    /// What carriers told last.
    pub(super) async fn standings(&self) -> Result<Standings, Problem> {
        let (answer, answered) = oneshot::channel();
        self.asks.send(Ask::Trunks { answer }).await.map_err(|_| Problem::gone())?;
        answered.await.map_err(|_| Problem::gone())
    }
}
