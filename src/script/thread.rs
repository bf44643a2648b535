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
    Receiver, Sender, channel,
    error::{TryRecvError, TrySendError},
};

use super::{Clock, Config, Level, Library, Modules, Step, Vm};
use crate::{
    ids::{CallId, FlowId, RequestId},
    time::Time,
    verbs::{FlowEnd, Keep, Origin, Reply, Request, Start, Verb},
};

/// Messages that fit into the inbox.
const INBOX: usize = 4096;

/// What a script thread is told.
#[derive(Debug)]
pub enum ToScript {
    /// Run a flow.
    Start(Box<Start>),
    /// The answer to a request, or to the key-value store's.
    Reply {
        /// Whose.
        flow: FlowId,
        /// Which request.
        request: RequestId,
        /// The answer.
        reply: Reply,
    },
    /// The flow's call is gone. Answered by [`FromScript::Ended`], unless that was on its way.
    Stop {
        /// Which.
        flow: FlowId,
    },
    /// Look at all script files anew.
    Reload,
}

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
    },
}

/// Start script thread number `index`. It ends when the returned sender is dropped, and takes its flows with it.
/// `clock` shows the time.
pub fn spawn(
    index: usize,
    config: Config,
    clock: impl Fn() -> Time + Send + 'static,
    outbox: Sender<FromScript>,
) -> io::Result<Sender<ToScript>> {
    let (sender, inbox) = channel(INBOX);
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let thread = std::thread::Builder::new().name(format!("script-{index}"));
    thread.spawn(move || runtime.block_on(Runner::new(config, Rc::new(clock)).run(inbox, outbox)))?;
    Ok(sender)
}

struct Flow {
    vm: Vm,
    call: CallId,
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
pub(super) struct Runner {
    config: Config,
    clock: Clock,
    library: Rc<RefCell<Library>>,
    modules: Modules,
    pool: Vec<Vm>,
    flows: HashMap<FlowId, Flow>,
    /// Whose turn it is, in order; each at most once.
    runnable: VecDeque<FlowId>,
    /// Said, but not sent.
    pub(super) backlog: VecDeque<FromScript>,
}

impl Runner {
    pub(super) fn new(config: Config, clock: Clock) -> Runner {
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

    async fn run(mut self, mut inbox: Receiver<ToScript>, outbox: Sender<FromScript>) {
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
                    Ok(()) => {}
                    Err(TrySendError::Full(message)) => {
                        self.backlog.push_front(message);
                        break;
                    }
                    Err(TrySendError::Closed(_)) => return,
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
                room = outbox.reserve(), if !self.backlog.is_empty() => match room {
                    Ok(room) => room.send(self.backlog.pop_front().expect("the branch is taken only with a backlog")),
                    Err(_) => return,
                },
            }
        }
    }

    /// A message came.
    pub(super) fn handle(&mut self, message: ToScript) {
        match message {
            ToScript::Start(start) => self.start(&start),
            ToScript::Reply { flow, request, reply } => {
                if let Some(running) = self.flows.get_mut(&flow)
                    && running.waiting.take_if(|waiting| *waiting == request).is_some()
                {
                    self.schedule(flow, Turn::Resume(reply));
                }
            }
            ToScript::Stop { flow } => {
                if let Some(running) = self.flows.get_mut(&flow)
                    && !running.vm.is_ending()
                {
                    running.waiting = None;
                    self.schedule(flow, Turn::HangUp);
                }
            }
            ToScript::Reload => self.library.borrow_mut().recheck(),
        }
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
            Err(error) => return self.ended(start.flow, &start.script, FlowEnd::Error(error.to_string())),
        };
        let mut vm = self.pool.pop().unwrap_or_else(|| self.new_vm());
        let step = vm.start(&program, start);
        let (call, script) = (start.call, Arc::clone(&start.script));
        let flow = Flow { vm, call, script, started: now, last: 0, waiting: None, turn: Turn::Wait };
        self.flows.insert(start.flow, flow);
        self.take(start.flow, step);
    }

    fn new_vm(&self) -> Vm {
        Vm::new(self.config.limits, Rc::clone(&self.clock), Rc::clone(&self.modules))
    }

    /// Make one VM in advance. False: there are enough.
    pub(super) fn fill_pool(&mut self) -> bool {
        let more = self.pool.len() < self.config.pool;
        if more {
            self.pool.push(self.new_vm());
        }
        more
    }

    /// Let the next flow run for a slice. False: all wait.
    pub(super) fn turn(&mut self) -> bool {
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
                    self.ended(id, &flow.script, end);
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
                    log(id, flow.call, &flow.script, level, &text);
                    step = flow.vm.go_on();
                }
            }
        }
    }

    fn request(&mut self, flow: FlowId, id: RequestId, call: CallId, verb: Verb) {
        self.backlog.push_back(FromScript::Request(Request { origin: Origin::Flow(flow), id, call, verb }));
    }

    fn ended(&mut self, flow: FlowId, script: &str, end: FlowEnd) {
        if let FlowEnd::Error(text) = &end {
            tracing::error!(%flow, script, "script failed: {text}");
        }
        self.backlog.push_back(FromScript::Ended { flow, end });
    }
}

impl Flow {
    fn next(&mut self) -> RequestId {
        self.last += 1;
        RequestId(self.last)
    }
}

fn log(flow: FlowId, call: CallId, script: &str, level: Level, text: &str) {
    match level {
        Level::Debug => tracing::debug!(%flow, %call, script, "{text}"),
        Level::Info => tracing::info!(%flow, %call, script, "{text}"),
        Level::Warn => tracing::warn!(%flow, %call, script, "{text}"),
        Level::Error => tracing::error!(%flow, %call, script, "{text}"),
    }
}
