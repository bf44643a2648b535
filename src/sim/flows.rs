//! The scripts of a simulated host: the real runner, with the world's clock.

use std::{
    cell::Cell,
    collections::BTreeMap,
    fs,
    path::PathBuf,
    rc::Rc,
    sync::atomic::{AtomicU64, Ordering},
};

use crate::{
    script::{Config, FromScript, Limits, Runner},
    switch::Input,
    time::Time,
    verbs::{Failure, Keep, KeepOp, Reply, ToFlow},
};

/// Runs scripts in virtual time: a script takes no time at all.
pub(super) struct Flows {
    runner: Runner,
    now: Rc<Cell<Time>>,
    kept: BTreeMap<String, String>,
    folder: PathBuf,
}

impl Flows {
    pub(super) fn new(scripts: &[(&str, &str)]) -> Flows {
        static SERIAL: AtomicU64 = AtomicU64::new(0);
        let folder = format!("switchhook-sim-{}-{}", std::process::id(), SERIAL.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(folder);
        fs::create_dir_all(&folder).expect("a temporary folder can be made");
        for (name, text) in scripts {
            fs::write(folder.join(name), text).expect("a file can be written there");
        }
        let now = Rc::new(Cell::new(Time::START));
        let clock = Rc::clone(&now);
        let config = Config { folder: folder.clone(), pool: 0, limits: Limits::default() };
        Flows { runner: Runner::new(config, Rc::new(move || clock.get())), now, kept: BTreeMap::new(), folder }
    }

    pub(super) fn handle(&mut self, now: Time, word: ToFlow) {
        self.now.set(now);
        self.runner.handle(word);
    }

    /// The next thing that a script says, after all of them ran as far as they can.
    pub(super) fn poll(&mut self, now: Time) -> Option<Input> {
        self.now.set(now);
        loop {
            match self.runner.poll() {
                Some(FromScript::Request(request)) => return Some(Input::Request(request)),
                Some(FromScript::Ended { flow, end, ran }) => return Some(Input::FlowEnded { flow, end, ran }),
                Some(FromScript::Keep(Keep { flow, id, op })) => {
                    let reply = self.keep(op);
                    self.runner.handle(ToFlow::Reply { flow, request: id, reply });
                }
                None if self.runner.turn() => {}
                None => return None,
            }
        }
    }

    fn keep(&mut self, op: KeepOp) -> Reply {
        match op {
            KeepOp::Get { key } => Reply::Value(self.kept.get(&key).cloned()),
            KeepOp::Set { key, value: Some(value) } => {
                self.kept.insert(key, value);
                Reply::Done
            }
            KeepOp::Set { key, value: None } => {
                self.kept.remove(&key);
                Reply::Done
            }
            // Nobody keeps contacts here.
            KeepOp::Contact { .. } => Reply::Contact(None),
            // Nor queues and agents.
            KeepOp::Resource { .. } => Reply::Resource(None),
            KeepOp::Add { key, by } => {
                let old = self.kept.get(&key).map_or(Ok(0), |value| value.parse::<i64>());
                match old {
                    Ok(old) => {
                        let sum = (old + by).to_string();
                        self.kept.insert(key, sum.clone());
                        Reply::Value(Some(sum))
                    }
                    Err(_) => Reply::Failed(Failure::Store("not a whole number".into())),
                }
            }
        }
    }
}

impl Drop for Flows {
    fn drop(&mut self) {
        // What cannot be removed stays in the system's temporary folder.
        let _ = fs::remove_dir_all(&self.folder);
    }
}
