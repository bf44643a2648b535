//! What queues, agents and AI agents have in common here: those of the configuration are shown, those that are made here
//! can also be changed and removed.

use std::{collections::BTreeMap, sync::Arc};

use axum::response::Response;
use tokio::sync::watch;

use super::{
    Context,
    access::Caller,
    page::{self, Part},
    problem::{self, Problem},
    start,
};
use crate::{
    store::{Filed, Put, Removed, Scope, Store},
    verbs::{Agent, Listed, ResourceKind, Roster},
};

/// Most entries of a kind that can be made.
const MOST: i64 = 5000;

/// What stands in the configuration.
pub type FixedRoster = watch::Receiver<Arc<Roster>>;

/// An entry, and since when there is one; of the configuration that is not known.
pub(super) struct Found<R> {
    pub entry: R,
    /// When it was made, and when it was changed last, in ms since 1970.
    pub made: Option<(i64, i64)>,
}

impl<R> From<Filed<R>> for Found<R> {
    fn from(filed: Filed<R>) -> Found<R> {
        Found { entry: filed.entry, made: Some((filed.created_ms, filed.changed_ms)) }
    }
}

/// How people read the kind.
const fn word(kind: ResourceKind) -> &'static str {
    match kind {
        ResourceKind::Queue => "queue",
        ResourceKind::Agent => "agent",
        ResourceKind::AiAgent => "AI agent",
    }
}

fn action(kind: ResourceKind, what: &str) -> String {
    format!("{}.{what}", kind.as_str())
}

impl Context {
    fn fixed(&self) -> Arc<Roster> {
        self.roster.borrow().clone()
    }

    /// A part of those of a kind, by id. Of two of an id the one of the configuration.
    pub(super) async fn entries<R: Listed, V: serde::Serialize>(
        &self,
        (caller, part): (&Caller, &Part),
        show: impl Fn(Found<R>) -> V,
    ) -> Result<Response, Problem> {
        caller.need_everywhere(Scope::Read)?;
        let store = self.store().await?;
        let made = store.entry_ids(R::KIND).await.map_err(|error| problem::database(&error))?;
        let fixed = self.fixed();
        let fixed = R::of(&fixed);
        let made = made.into_iter().filter(|id| !fixed.contains_key(id));
        let all = fixed.keys().cloned().chain(made).map(|id| (id.clone(), id)).collect();
        let (ids, next) = part.cut(all)?;
        // Only what is shown is read: entries may be large.
        let wanted: Vec<String> = ids.iter().filter(|id| !fixed.contains_key(*id)).cloned().collect();
        let found = store.entries::<R>(&wanted).await.map_err(|error| problem::database(&error))?;
        let mut found: BTreeMap<String, Filed<R>> =
            found.into_iter().map(|filed| (filed.entry.id().to_owned(), filed)).collect();
        let entry = |id: &String| match fixed.get(id) {
            Some(entry) => Some(Found { entry: entry.clone(), made: None }),
            // Somebody may have removed it meanwhile.
            None => found.remove(id).map(Found::from),
        };
        Ok(page::answer(ids.iter().filter_map(entry).map(show).collect::<Vec<V>>(), next))
    }

    /// One of them.
    pub(super) async fn entry<R: Listed>(&self, caller: &Caller, id: &str) -> Result<Found<R>, Problem> {
        caller.need_everywhere(Scope::Read)?;
        if let Some(entry) = R::of(&self.fixed()).get(id) {
            return Ok(Found { entry: entry.clone(), made: None });
        }
        let found = self.store().await?.entry::<R>(id).await.map_err(|error| problem::database(&error))?;
        found.map(Found::from).ok_or_else(|| Problem::no_such(word(R::KIND)))
    }

    /// Keep a new one, under an id of its own where it has none.
    pub(super) async fn make_entry<R: Listed>(&self, caller: &Caller, new: R) -> Result<Found<R>, Problem> {
        caller.need_everywhere(Scope::Admin)?;
        let new = if new.id().is_empty() { new.with_id(Store::fresh_id()) } else { new };
        let needs = self.checked(&new)?;
        let (there, store) = (R::of(&self.fixed()).contains_key(new.id()), self.store().await?);
        let count = store.count_entries(R::KIND).await.map_err(|error| problem::database(&error))?;
        if !there && count >= MOST {
            return Err(Problem::conflict("too_many", format!("there are {MOST} of its kind")));
        }
        let put = match there {
            true => Put::NotSo,
            false => {
                let put = store.add_entry(&new, &needs, self.now_ms()).await;
                put.map_err(|error| problem::database(&error))?
            }
        };
        match put {
            Put::Done => {}
            Put::NotSo => return Err(Problem::conflict("there", format!("there is one named {}", new.id()))),
            Put::Lacks(agent) => return Err(lacks(&agent)),
        }
        caller.note(self, &action(R::KIND, "make"), new.id()).await;
        self.entry(caller, new.id()).await
    }

    /// Put another in the place of the one of this id, which `becomes` that.
    pub(super) async fn change_entry<R: Listed>(
        &self,
        caller: &Caller,
        id: &str,
        becomes: impl FnOnce(R) -> R,
    ) -> Result<Found<R>, Problem> {
        caller.need_everywhere(Scope::Admin)?;
        self.not_fixed::<R>(id)?;
        let store = self.store().await?;
        let is = store.entry::<R>(id).await.map_err(|error| problem::database(&error))?;
        let wish = becomes(is.ok_or_else(|| Problem::no_such(word(R::KIND)))?.entry);
        let wish = if wish.id().is_empty() { wish.with_id(id.to_owned()) } else { wish };
        if wish.id() != id {
            return Err(Problem::unfit("id", "allowed: the id that it has, or none"));
        }
        let needs = self.checked(&wish)?;
        let put = store.change_entry(&wish, &needs, self.now_ms()).await;
        match put.map_err(|error| problem::database(&error))? {
            Put::Done => {}
            Put::NotSo => return Err(Problem::no_such(word(R::KIND))),
            Put::Lacks(agent) => return Err(lacks(&agent)),
        }
        caller.note(self, &action(R::KIND, "change"), id).await;
        self.entry(caller, id).await
    }

    /// Forget the one of this id.
    pub(super) async fn remove_entry<R: Listed>(&self, caller: &Caller, id: &str) -> Result<(), Problem> {
        caller.need_everywhere(Scope::Admin)?;
        self.not_fixed::<R>(id)?;
        let removed = self.store().await?.remove_entry(R::KIND, id).await;
        match removed.map_err(|error| problem::database(&error))? {
            Removed::Done => {}
            Removed::NotThere => return Err(Problem::no_such(word(R::KIND))),
            Removed::Named(queues) => {
                return Err(Problem::conflict("in_use", format!("these queues name it: {}", queues.join(", "))));
            }
        }
        caller.note(self, &action(R::KIND, "remove"), id).await;
        Ok(())
    }

    fn not_fixed<R: Listed>(&self, id: &str) -> Result<(), Problem> {
        match R::of(&self.fixed()).contains_key(id) {
            true => Err(Problem::conflict("fixed", "it stands in the configuration")),
            false => Ok(()),
        }
    }

    /// The agents that it names and that the configuration does not have.
    fn checked<R: Listed>(&self, entry: &R) -> Result<Vec<String>, Problem> {
        if let Some((field, allowed)) = entry.unfit() {
            return Err(Problem::field(field, format!("allowed: {allowed}")));
        }
        let script = entry.script();
        if !script.is_empty() && start::checked_script(script, &self.config.scripts).is_err() {
            return Err(Problem::unfit("wait_script", "allowed: a script below the folder of scripts, or empty"));
        }
        let fixed = self.fixed();
        let needs = entry.agents().iter().filter(|agent| !Agent::of(&fixed).contains_key(*agent));
        Ok(needs.cloned().collect())
    }
}

fn lacks(agent: &str) -> Problem {
    Problem::unfit("agents", format!("there is no agent {agent}"))
}
