//! A thread that runs many flows in turn.
//!
//! One message in may wake a flow; a flow runs for at most a slice, then it is the next one's turn. When the outbox is
//! full, flows wait, the inbox is still read, and nothing is lost: each flow has at most a handful of messages under way.

use std::{
    cell::RefCell,
    collections::{HashMap, VecDeque},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    sync::Arc,
};

use tokio::sync::mpsc::{
    self, Receiver, Sender, channel,
    error::{TryRecvError, TrySendError},
};

use super::{Clock, Config, Level, Library, Modules, Step, Vm};
use crate::{
    facts::Start,
    ids::{CallId, FlowId, RequestId},
    switch::Input,
    time::Time,
    verbs::{FlowEnd, Keep, Origin, Ran, Reply, Request, ToFlow, Verb},
};

/// Messages that fit into the inbox.
const INBOX: usize = 4096;

/// What a script thread tells.
#[derive(Debug, PartialEq)]
pub enum FromScript {
    /// A flow wants something of a call.
    Request(Request),
    /// A flow wants something of the key-value store.
    Keep(Keep),
    /// A flow is over; it says nothing more.
    Ended {
        /// Which.
        flow: FlowId,
        /// How.
        end: FlowEnd,
        /// What it did until then.
        ran: Box<Ran>,
    },
}

/// Where a script thread's words go.
#[derive(Clone, Debug)]
pub struct Outbox {
    /// Requests and ends.
    pub control: Sender<Input>,
    /// The key-value store.
    pub keep: Sender<Keep>,
}

impl Outbox {
    /// Send without waiting; gives the word back where there is no room. [`None`]: nobody listens any more.
    fn try_send(&self, word: FromScript) -> Option<Result<(), FromScript>> {
        let sent = match word {
            FromScript::Keep(keep) => self.keep.try_send(keep).map_err(|error| error_of(error, FromScript::Keep)),
            FromScript::Request(request) => self.control.try_send(Input::Request(request)).map_err(|error| {
                error_of(error, |input| match input {
                    Input::Request(request) => FromScript::Request(request),
                    _ => unreachable!("what was sent comes back"),
                })
            }),
            FromScript::Ended { flow, end, ran } => {
                self.control.try_send(Input::FlowEnded { flow, end, ran }).map_err(|error| {
                    error_of(error, |input| match input {
                        Input::FlowEnded { flow, end, ran } => FromScript::Ended { flow, end, ran },
                        _ => unreachable!("what was sent comes back"),
                    })
                })
            }
        };
        match sent {
            Ok(()) => Some(Ok(())),
            Err(Some(word)) => Some(Err(word)),
            Err(None) => None,
        }
    }

    /// Wait until there is room for `word`.
    async fn room(&self, word: &FromScript) {
        // A closed channel has room in the sense that waiting is over.
        let _ = match word {
            FromScript::Keep(_) => self.keep.reserve().await.map(drop),
            FromScript::Request(_) | FromScript::Ended { .. } => {
                self.control.reserve().await.map(drop).map_err(|_| mpsc::error::SendError(()))
            }
        };
    }
}

async fn room(outbox: &Outbox, word: Option<&FromScript>) {
    if let Some(word) = word {
        outbox.room(word).await;
    }
}

fn error_of<T>(error: TrySendError<T>, back: impl FnOnce(T) -> FromScript) -> Option<FromScript> {
    match error {
        TrySendError::Full(item) => Some(back(item)),
        TrySendError::Closed(_) => None,
    }
}

/// Start script thread number `index`. It ends when the returned sender is dropped, and takes its flows with it.
/// `clock` shows the time.
pub fn spawn(
    index: usize,
    config: Config,
    clock: impl Fn() -> Time + Send + 'static,
    outbox: Outbox,
) -> io::Result<Sender<ToFlow>> {
    let (sender, inbox) = channel(INBOX);
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let thread = std::thread::Builder::new().name(format!("script-{index}"));
    thread.spawn(move || runtime.block_on(Runner::new(config, Rc::new(clock)).run(inbox, outbox)))?;
    Ok(sender)
}

struct Flow {
    vm: Vm,
    /// The call's id in logs and records.
    call: String,
    script: Arc<str>,
    started: Time,
    /// The number of the last request.
    last: u64,
    /// The request whose reply it waits for.
    waiting: Option<RequestId>,
    turn: Turn,
}

/// What a flow does at its next turn.
#[derive(Debug)]
enum Turn {
    Wait,
    GoOn,
    Resume(Reply),
    HangUp,
}

/// All flows of a thread. Sans-IO but for the script files, so that tests can drive it.
pub struct Runner {
    config: Config,
    clock: Clock,
    library: Rc<RefCell<Library>>,
    modules: Modules,
    pool: Vec<Vm>,
    flows: HashMap<FlowId, Flow>,
    /// Whose turn it is, in order; each at most once.
    runnable: VecDeque<FlowId>,
    /// Said, but not sent.
    backlog: VecDeque<FromScript>,
}

impl Runner {
    /// Without flows.
    pub fn new(config: Config, clock: Clock) -> Runner {
        let library = Rc::new(RefCell::new(Library::new(config.folder.clone())));
        let (books, time) = (Rc::clone(&library), Rc::clone(&clock));
        let modules: Modules =
            Rc::new(move |name| books.borrow_mut().get(time(), name).map_err(|error| error.to_string()));
        Runner {
            config,
            clock,
            library,
            modules,
            pool: Vec::new(),
            flows: HashMap::new(),
            runnable: VecDeque::new(),
            backlog: VecDeque::new(),
        }
    }

    async fn run(mut self, mut inbox: Receiver<ToFlow>, outbox: Outbox) {
        loop {
            loop {
                match inbox.try_recv() {
                    Ok(message) => self.handle(message),
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => return,
                }
            }
            while let Some(message) = self.backlog.pop_front() {
                match outbox.try_send(message) {
                    Some(Ok(())) => {}
                    Some(Err(message)) => {
                        self.backlog.push_front(message);
                        break;
                    }
                    None => return,
                }
            }
            if self.backlog.is_empty() && (self.turn() || self.fill_pool()) {
                continue;
            }
            tokio::select! {
                message = inbox.recv() => match message {
                    Some(message) => self.handle(message),
                    None => return,
                },
                () = room(&outbox, self.backlog.front()), if !self.backlog.is_empty() => {}
            }
        }
    }

    /// A message came.
    pub fn handle(&mut self, message: ToFlow) {
        match message {
            ToFlow::Start(start) => self.start(&start),
            ToFlow::Reply { flow, request, reply } => {
                if let Some(running) = self.flows.get_mut(&flow)
                    && running.waiting.take_if(|waiting| *waiting == request).is_some()
                {
                    self.schedule(flow, Turn::Resume(reply));
                }
            }
            ToFlow::Stop { flow } => {
                if let Some(running) = self.flows.get_mut(&flow)
                    && !running.vm.is_ending()
                {
                    running.waiting = None;
                    self.schedule(flow, Turn::HangUp);
                }
            }
        }
    }

    /// The next word that a flow says.
    pub fn poll(&mut self) -> Option<FromScript> {
        self.backlog.pop_front()
    }

    fn schedule(&mut self, flow: FlowId, turn: Turn) {
        let Some(running) = self.flows.get_mut(&flow) else { return };
        if matches!(running.turn, Turn::Wait) {
            self.runnable.push_back(flow);
        }
        running.turn = turn;
    }

    fn start(&mut self, start: &Start) {
        let now = (self.clock)();
        let program = self.library.borrow_mut().get(now, &start.script);
        for complaint in self.library.borrow_mut().take_complaints() {
            tracing::error!("{complaint}");
        }
        let program = match program {
            Ok(program) => program,
            Err(error) => {
                let end = FlowEnd::Error(error.to_string());
                return self.ended(start.flow, &start.script, end, Ran::default());
            }
        };
        let mut vm = self.pool.pop().unwrap_or_else(|| self.new_vm());
        let step = vm.start(&program, start);
        let (call, script) = (start.facts.id.clone(), Arc::clone(&start.script));
        let flow = Flow { vm, call, script, started: now, last: 0, waiting: None, turn: Turn::Wait };
        self.flows.insert(start.flow, flow);
        self.take(start.flow, step);
    }

    fn new_vm(&self) -> Vm {
        Vm::new(self.config.limits, Rc::clone(&self.clock), Rc::clone(&self.modules))
    }

    /// Make one VM in advance. False: there are enough.
    pub fn fill_pool(&mut self) -> bool {
        let more = self.pool.len() < self.config.pool;
        if more {
            self.pool.push(self.new_vm());
        }
        more
    }

    /// Let the next flow run for a slice. False: all wait.
    pub fn turn(&mut self) -> bool {
        let Some(id) = self.runnable.pop_front() else { return false };
        let now = (self.clock)();
        let Some(flow) = self.flows.get_mut(&id) else { return true };
        let elapsed = now - flow.started;
        let step = match std::mem::replace(&mut flow.turn, Turn::Wait) {
            Turn::Wait => return true,
            Turn::GoOn => flow.vm.go_on(),
            Turn::Resume(reply) => flow.vm.resume(elapsed, reply),
            Turn::HangUp => flow.vm.hang_up(elapsed),
        };
        self.take(id, step);
        true
    }

    /// Do what a flow's steps say until it waits or its slice is over.
    fn take(&mut self, id: FlowId, mut step: Step) {
        loop {
            let Some(flow) = self.flows.get_mut(&id) else { return };
            match step {
                Step::Request(call, verb) => {
                    let request = flow.next();
                    flow.waiting = Some(request);
                    return self.request(id, request, call, verb);
                }
                Step::Keep(op) => {
                    let request = flow.next();
                    flow.waiting = Some(request);
                    return self.backlog.push_back(FromScript::Keep(Keep { flow: id, id: request, op }));
                }
                Step::Slice => return self.schedule(id, Turn::GoOn),
                Step::Ended(end) => {
                    let flow = self.flows.remove(&id).expect("it was just found");
                    self.ended(id, &flow.script, end, flow.vm.ran());
                    // Freeing it runs no code of the script, but a bug there shall not end the others either.
                    let _ = catch_unwind(AssertUnwindSafe(|| drop(flow)));
                    return;
                }
                Step::Tell(call, verb) => {
                    let request = flow.next();
                    step = flow.vm.go_on();
                    self.request(id, request, call, verb);
                }
                Step::Log(level, text) => {
                    log(&flow.call, &flow.script, level, &text);
                    step = flow.vm.go_on();
                }
            }
        }
    }

    fn request(&mut self, flow: FlowId, id: RequestId, call: CallId, verb: Verb) {
        self.backlog.push_back(FromScript::Request(Request { origin: Origin::Flow(flow), id, call, verb }));
    }

    fn ended(&mut self, flow: FlowId, script: &str, end: FlowEnd, ran: Ran) {
        if let FlowEnd::Error(text) = &end {
            tracing::error!(%flow, script, "script failed: {text}");
        }
        self.backlog.push_back(FromScript::Ended { flow, end, ran: Box::new(ran) });
    }
}

impl Flow {
    fn next(&mut self) -> RequestId {
        self.last += 1;
        RequestId(self.last)
    }
}

fn log(call: &str, script: &str, level: Level, text: &str) {
    match level {
        Level::Debug => tracing::debug!(call, script, "{text}"),
        Level::Info => tracing::info!(call, script, "{text}"),
        Level::Warn => tracing::warn!(call, script, "{text}"),
        Level::Error => tracing::error!(call, script, "{text}"),
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, fs, time::Duration};

    use super::*;
    use crate::{facts::Facts, script::Limits};

    #[test]
    fn a_machine_that_stood_ready_for_an_hour_has_all_its_time() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.lua"), "for i = 1, 1000 do end").unwrap();
        let now = Rc::new(Cell::new(Time::START));
        let clock = Rc::clone(&now);
        let config = Config { folder: folder.path().to_owned(), pool: 1, limits: Limits::default() };
        let mut runner = Runner::new(config, Rc::new(move || clock.get()));
        assert!(runner.fill_pool());
        now.set(Time::START + Duration::from_secs(3600));
        runner.handle(ToFlow::Start(Box::new(Start {
            flow: FlowId(1),
            call: CallId(1),
            script: "a.lua".into(),
            facts: Facts::default(),
            vars: Vec::new(),
            unix: Duration::ZERO,
            seed: 1,
        })));
        while runner.turn() {}
        let said = runner.poll();
        assert!(matches!(said, Some(FromScript::Ended { end: FlowEnd::Finished, .. })), "{said:?}");
    }
}
