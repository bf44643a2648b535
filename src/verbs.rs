//! The words in which call control is asked for and answered: [`Request`] goes in, [`Reply`] comes back.
//!
//! A flow, the command-line phone and (later) queues, campaigns and the API all speak these; [`Origin`] says who asked.
//! Times are [`Duration`]s; digits are the characters `0-9 * # A-D`.

mod contact;
mod dial;
mod flow;
mod heard;
mod message;
mod play;
mod ran;
mod record;
mod reply;
mod rooms;
mod roster;
mod sound;
mod stream;

pub use contact::Contact;
pub use dial::{Dial, Strategy, Transfer};
pub use flow::{FlowEnd, Keep, KeepOp, ToFlow};
pub use heard::{Figures, Heard};
pub use message::{Message, Messaging, Registration, Text};
pub use play::{Manner, Play, PlayKey, Steer, VOLUME};
pub use ran::Ran;
pub use record::{FileFormat, Record, RecordEnd, RecordMode, Torn, Voices, files_of, leg_files};
pub use reply::{Failure, GatherEnd, LeaveReason, Reply};
pub use rooms::{Entry, Member, RoomOrder, RoomView};
pub use roster::{Agent, AiAgent, Listed, Queue, Resource, ResourceKind, Roster, Unfit};
pub use sound::{NoSound, SignalTone, Sound, SoundFault, Speech, Tone};
pub use stream::{NoStream, Sides, Stream, StreamFault};

use std::{sync::Arc, time::Duration};

use crate::ids::{CallId, FlowId, PlayId, RecordingId, RequestId};

/// Who asked, hence who gets the reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// A running script.
    Flow(FlowId),
    /// The operator's own command line.
    Console,
}

/// One thing to do to one call.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Who asked.
    pub origin: Origin,
    /// Unique within the origin.
    pub id: RequestId,
    /// The call it is about; a flow may name its own call and the legs it dialled.
    pub call: CallId,
    /// What to do.
    pub verb: Verb,
}

/// What can be done to a call. Each is answered by exactly one [`Reply`], unless its flow is stopped first.
#[derive(Clone, Debug, PartialEq)]
pub enum Verb {
    /// Send 180 Ringing. Replies [`Reply::Done`] at once.
    Ring,
    /// Send 183 with SDP and open the media path to the caller. Replies when audio can be played.
    Progress,
    /// Send 200 OK. Replies when the ACK is in.
    Answer,
    /// Refuse an unanswered call. `code` is 300 to 699.
    Reject {
        /// SIP status code, 300 to 699.
        code: u16,
        /// Reason phrase; the RFC's own where absent.
        reason: Option<String>,
    },
    /// End the call: BYE, CANCEL or 603, as its state asks for. The flow goes on for its own call's `on_hangup` only.
    Hangup,
    /// Play sounds one after another. Replies [`Reply::Played`] at the end, or [`Reply::Playing`] where nobody waits for
    /// it. Opens early media if the call is unanswered.
    Play(Play),
    /// Do something to what the call is playing. Replies [`Reply::At`].
    Steer {
        /// Which play; absent: whatever it is.
        play: Option<PlayId>,
        /// What.
        steer: Steer,
    },
    /// Stop what the call is playing. Replies [`Reply::Done`] at once; the play is answered for itself.
    StopPlay {
        /// Which play; absent: whatever it is.
        play: Option<PlayId>,
    },
    /// Collect digits. Replies [`Reply::Digits`].
    Gather(Gather),
    /// Record what the party says and hears. Replies [`Reply::Recording`] at once where `wait` is false, else
    /// [`Reply::Recorded`] when it ended.
    Record(Record),
    /// Finish a recording. Replies [`Reply::Recorded`].
    RecordStop {
        /// Which one.
        recording: RecordingId,
    },
    /// What becomes of the sound from now on. Replies [`Reply::Done`].
    RecordAs {
        /// Which one.
        recording: RecordingId,
        /// From now on.
        mode: RecordMode,
    },
    /// Ring other phones; the first to answer is bridged to this call. Replies [`Reply::Dialed`].
    Dial(Dial),
    /// Bridge with another call of this flow (if not bridged yet), and wait till one of them leaves.
    /// Replies [`Reply::Left`].
    Bridge {
        /// The other call.
        other: CallId,
        /// Digits of this call's party that end the wait and the bridge; empty: none.
        stop_on: String,
    },
    /// Enter a conference room, made when first entered and gone when the last party leaves. Replies [`Reply::Left`].
    Join {
        /// The room's name.
        room: String,
        /// Digits of this call's party that make it leave; empty: none.
        stop_on: String,
        /// True: hears, is not heard.
        muted: bool,
        /// What else.
        entry: Entry,
    },
    /// Hear another call of ours, with all that it hears, without being heard. Replies [`Reply::Left`] when that call
    /// leaves its bridge or room, or on a digit.
    Listen {
        /// The other call's id, as records have it; it is bridged or in a room.
        call: String,
        /// True: its party, and nobody else, hears this call's.
        whisper: bool,
        /// Digits of this call's party that end it; empty: none.
        stop_on: String,
    },
    /// Who answers: a person, a machine, or the network? Replies [`Reply::Heard`].
    Detect {
        /// Of a machine wait for its beep, too.
        beep: bool,
        /// How long to listen.
        timeout: Duration,
    },
    /// Have the call recorded by another machine as well (SIPREC, RFC 7866). Replies [`Reply::Done`] when that answered.
    Siprec {
        /// A `sip:` address; absent: the configuration's.
        recorder: Option<String>,
    },
    /// Have it recorded there no longer. Replies [`Reply::Done`] at once.
    SiprecStop,
    /// Let that machine hear silence, or the call again. Replies [`Reply::Done`] at once.
    SiprecMask {
        /// Silence.
        on: bool,
    },
    /// Send the call's audio to a program outside, as it comes. Replies [`Reply::Done`] when that takes it.
    Stream(Stream),
    /// Send it there no longer. Replies [`Reply::Done`] at once.
    StreamStop,
    /// How does the call's audio go? Replies [`Reply::Figures`] at once; [`Failure::WrongState`] in its first seconds.
    Figures,
    /// Order something in a room, from inside or outside. Replies at once.
    Room(RoomOrder),
    /// Send the party's own audio back. Replies [`Reply::Left`] on a `stop_on` digit or after `limit`.
    Echo {
        /// Digits that end it; empty: none.
        stop_on: String,
        /// Longest time, where given.
        limit: Option<Duration>,
    },
    /// Send digits: as RFC 4733 events, or as tones where the party takes none. Replies [`Reply::Done`] after the last one's end.
    SendDigits {
        /// `0-9 * # A-D`, and `,` for a pause of one second.
        digits: String,
        /// Length of each; the RFC's usual 100 ms, 40 to 5000 ms.
        length: Duration,
        /// Silence between them.
        gap: Duration,
    },
    /// Put the party on hold: it hears music, and sends nothing. Replies [`Reply::Done`] when it agreed.
    Hold {
        /// What it hears; absent: the configuration's music.
        music: Option<Sound>,
    },
    /// End the hold. Replies [`Reply::Done`] when the party agreed.
    Resume,
    /// Ask the party to call somebody else instead of us (REFER). Replies [`Reply::Transferred`] when it says that it
    /// did; the call is still there then.
    Transfer(Transfer),
    /// Do nothing for a while. Replies [`Reply::Done`].
    Sleep(Duration),
    /// Answer in the place of a phone that rings. The call becomes a leg of the flow that rings it, and its own flow
    /// ends; a reply comes only where that fails.
    Pickup {
        /// The phone's number or user.
        phone: String,
    },
    /// Wait in a slot until another call fetches this one. Replies [`Reply::Dialed`] with the call that did.
    Park {
        /// The slot's name; one call at a time.
        slot: String,
        /// How long to wait; [`Failure::NoAnswer`] after that.
        timeout: Duration,
    },
    /// Fetch the call that is parked in a slot; as [`Verb::Pickup`].
    Retrieve {
        /// The slot's name.
        slot: String,
    },
    /// Tell how many messages wait for a phone of ours: its lamp shows it. Replies [`Reply::Done`] at once.
    Mailbox {
        /// Its number or user.
        phone: String,
        /// Messages that were not heard yet.
        new: u32,
        /// Messages that were.
        old: u32,
    },
    /// Do something with text messages. What needs no call may be asked in the name of any call.
    Messaging(Messaging),
    /// Tell where a phone of ours is registered. Replies [`Reply::Registrations`] at once; needs no call.
    Registrations {
        /// Its number or user.
        phone: String,
    },
    /// The party is no longer heard in bridges and rooms, or again; it hears as before. Replies [`Reply::Done`] at once.
    Mute {
        /// True: no longer heard.
        on: bool,
    },
    /// Play sounds beside whatever the call does otherwise, where nothing else is played to it. Replies
    /// [`Reply::Played`] at the end; [`Failure::WrongState`] where something else is played or begins to be.
    Announce {
        /// What to play, gapless.
        sounds: Vec<Sound>,
        /// How.
        manner: Manner,
    },
    /// End the call's flow, as if its call had ended, with all calls that it dialled; the call itself goes on with this
    /// script. Replies [`Reply::Done`] at once, where the script's own call asked for it: never.
    Run {
        /// The script.
        script: Arc<str>,
        /// Its variables.
        vars: Vec<(String, String)>,
    },
    /// Set the vars that the call record keeps. Replies [`Reply::Done`] at once.
    SetVar {
        /// Name.
        name: String,
        /// Value; absent: forget it.
        value: Option<String>,
    },
}

/// How to collect digits.
#[derive(Clone, Debug, PartialEq)]
pub struct Gather {
    /// Played first; digits pressed meanwhile count.
    pub prompt: Vec<Sound>,
    /// Stop after this many, 1 to 128.
    pub max: usize,
    /// A digit among these ends it, and is not part of the digits.
    pub terminators: String,
    /// Longest pause before the first digit, from the end of the prompt.
    pub first_timeout: Duration,
    /// Longest pause between digits.
    pub timeout: Duration,
    /// The first digit stops the prompt; false: digits during the prompt wait behind it.
    pub barge_in: bool,
    /// The digits are a secret: events do not name them.
    pub secret: bool,
}
