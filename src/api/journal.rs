//! Questions to the journal, which answers from memory.

use std::time::Duration;

use axum::http::StatusCode;
use tokio::{sync::oneshot, time::timeout};

use super::{Context, problem::Problem};
use crate::store::Question;

/// Longest wait for an answer: a disk that hangs holds the journal up.
const PATIENCE: Duration = Duration::from_secs(5);

impl Context {
    /// What the journal says to this.
    pub(super) async fn ask_journal<T>(
        &self,
        question: impl FnOnce(oneshot::Sender<T>) -> Question,
    ) -> Result<T, Problem> {
        let (to, answer) = oneshot::channel();
        let asked = async {
            self.questions.send(question(to)).await.map_err(|_| Problem::gone())?;
            answer.await.map_err(|_| Problem::gone())
        };
        timeout(PATIENCE, asked).await.unwrap_or_else(|_| {
            let (kind, title) = ("journal_stuck", "The journal does not answer");
            let detail = "the disk of its spool may hang; calls go on";
            Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, kind, title, detail))
        })
    }
}
