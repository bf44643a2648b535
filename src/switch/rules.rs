//! How calls are kept once they are set up: what the operator may choose about hold, session timers, reliable
//! provisional answers and transfers.

use std::time::Duration;

use super::Recorders;
use crate::{
    codec::Rate,
    sip::{LEAST_SESSION, SessionWish},
};

/// What the operator chose.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// What happens to the other party when one of a bridge holds.
    pub hold: HoldRule,
    /// What a waiting party hears, by its path below the prompt folder or its address in the web; absent: a beep every ten
    /// seconds.
    pub hold_music: Option<String>,
    /// The highest rate of recordings, where a flow does not say.
    pub record_rate: Rate,
    /// The longest recording, whatever a flow says.
    pub record_most: Option<Duration>,
    /// Ask for provisional answers that are sure to arrive, and give them to who knows them (RFC 3262); false: only
    /// to callers who demand it.
    pub reliable: bool,
    /// What a call to a number is refused with that nothing answers.
    pub unknown_number: u16,
    /// Whose REFER is followed.
    pub transfer: TransferRule,
    /// Two parties of a bridge may change to a fax (T.38).
    pub fax: bool,
    /// Session timers.
    pub session: SessionWish,
    /// Of whom nothing was heard for so long is asked whether he is there; zero: nobody is.
    pub watchdog: Duration,
    /// Whose connection closed, and of whom nothing was heard for so long after that, is asked, too. Longer than the time
    /// between two reports of audio.
    pub cut: Duration,
    /// Other people's machines that record calls (SIPREC).
    pub recorders: Recorders,
}

impl Default for Rules {
    fn default() -> Rules {
        let session = SessionWish { expires: Duration::from_secs(1800), min: LEAST_SESSION };
        Rules {
            hold: HoldRule::Music,
            hold_music: None,
            record_rate: Rate::Full,
            record_most: None,
            reliable: true,
            unknown_number: 404,
            transfer: TransferRule::Trusted,
            fax: true,
            session,
            watchdog: Duration::from_secs(600),
            cut: Duration::from_secs(11),
            recorders: Recorders::default(),
        }
    }
}

/// What the other party of a bridge gets when one of them holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldRule {
    /// Our music; it is told nothing.
    Music,
    /// It is put on hold by a re-INVITE of its own, and hears what the holder sends, or else our music.
    Relay,
}

/// Who may have us call somebody else in its place. Whoever may, spends our money.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransferRule {
    /// REFER and Replaces are refused.
    Nobody,
    /// Parties that we called, and phones that proved who they are.
    Trusted,
    /// Every party of a bridge.
    All,
}

/// How long one side waits before it sends a re-INVITE again that met one of the peer's (RFC 3261 section 14.1), in steps
/// of 10 ms: the owner of the Call-ID 2.1 to 4 s, the other one 0 to 2 s. `chance` is any number.
pub(super) fn back_off(owner: bool, chance: u64) -> Duration {
    let (least, steps) = if owner { (2100, 191) } else { (0, 201) };
    Duration::from_millis(least + chance % steps * 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_sides_of_a_glare_never_wait_for_the_same_time() {
        let all = |owner| (0..1000).map(move |chance| back_off(owner, chance).as_millis());
        assert_eq!((all(true).min(), all(true).max()), (Some(2100), Some(4000)));
        assert_eq!((all(false).min(), all(false).max()), (Some(0), Some(2000)));
        assert!(all(true).all(|ms| ms % 10 == 0));
    }
}
