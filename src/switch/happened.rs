//! What happens beside the steps of a call: it is held, bridged, recorded, a key is pressed; a phone registers, a carrier
//! goes down. Each is told once, in its order, between the first step of its call and its record.

use std::net::SocketAddr;

use serde::Serialize;

use super::{
    Output,
    call::Call,
    core::Core,
    registrar::{Binding, Gone, News},
    switch::Switch,
};
use crate::{
    ids::CallId,
    verbs::{RecordMode, Sound},
};

/// Most of these in one call: a party that presses keys for hours fills no disk.
const MOST: u32 = 5000;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Happening {
    /// The id of the call that it is about, as logs and records carry it; absent: it is about none.
    #[serde(skip)]
    pub call: Option<String>,
    /// Who calls; of a phone its user; of a carrier nothing.
    pub from: String,
    /// Who is called; where it is about no call: nothing.
    pub to: String,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// Who did it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// A script, or the operator.
    Us,
    /// The party.
    Party,
}

/// What happened. Its fields are those of the event's `data`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum What {
    /// One of both waits for the other.
    Held {
        /// Who holds.
        by: By,
    },
    /// Nobody waits any more.
    Resumed {
        /// Who held.
        by: By,
    },
    /// The party is not heard by others any more.
    Muted {},
    /// It is heard again.
    Unmuted {},
    /// The party pressed a key.
    Key {
        /// Which; absent: what it presses is secret now.
        key: Option<char>,
    },
    /// We pressed keys for the party to hear.
    KeysSent {
        /// How many; which ones is nobody's business.
        count: usize,
    },
    /// It talks with another call.
    Bridged {
        /// The other call's id.
        partner: String,
    },
    /// It does not any more, and goes on.
    Parted {
        /// The other call's id.
        partner: String,
    },
    /// It is in a room.
    Entered {
        /// The room's name.
        room: String,
    },
    /// It is not any more.
    Left {
        /// The room's name.
        room: String,
    },
    /// It is to go on with somebody else.
    Transferring {
        /// Who asked for it.
        by: By,
        /// The address or number; of an attended transfer that of the call that it is joined with.
        target: String,
    },
    /// It did, or somebody took its place.
    Transferred {
        /// Who asked for it.
        by: By,
    },
    /// It did not.
    NotTransferred {
        /// Who asked for it.
        by: By,
        /// Why: a word, or a SIP code.
        reason: String,
    },
    /// It hears something that its script or the operator plays.
    Playing {
        /// What, one after another.
        sounds: Vec<String>,
    },
    /// It heard it.
    Played {
        /// How much of it; absent: something else took its place.
        seconds: Option<f64>,
    },
    /// It cannot.
    NotPlayed {
        /// Why, in a word.
        reason: String,
    },
    /// It is recorded.
    Recording {
        /// The recording's number.
        recording: u64,
        /// Path below the recording folder.
        file: String,
        /// All its files, where each side of the call has one of its own; else the same one.
        files: Vec<String>,
        /// The room that is recorded in its place.
        room: Option<String>,
    },
    /// What becomes of the sound from now on.
    RecordingMode {
        /// The recording's number.
        recording: u64,
        /// `keep`, `pause` or `mask`.
        mode: &'static str,
    },
    /// A recording is over.
    Recorded {
        /// Its number.
        recording: u64,
        /// Its files, as paths below the recording folder; none where it is lost.
        files: Vec<String>,
        /// How long it is.
        seconds: f64,
        /// `stopped`, `key`, `max`, `silence` or `disk`.
        reason: &'static str,
        /// Why it is lost.
        error: Option<String>,
    },
    /// One side does not hear the other.
    OneWay(OneWay),
    /// Somebody else speaks loudest in a conference room now: this call.
    Speaker {
        /// The room's name.
        room: String,
    },
    /// Its audio goes to a program outside.
    Streaming {},
    /// It does not any more.
    Streamed {},
    /// It goes to a recorder of somebody else's (SIPREC).
    Siprec {
        /// The id of the call with the recorder.
        recorder: String,
    },
    /// It does not any more.
    SiprecOver {
        /// The id of the call with the recorder.
        recorder: String,
    },
    /// Somebody listens in to it.
    Listened {
        /// The listener's call.
        listener: String,
        /// Its party, and nobody else, hears them.
        whisper: bool,
    },
    /// They do not any more.
    Unlistened {
        /// The listener's call.
        listener: String,
    },
    /// It waits to be fetched.
    Parked {
        /// Where.
        slot: String,
    },
    /// It does not any more, and goes on.
    Unparked {
        /// Where it waited.
        slot: String,
        /// The call that fetched it; absent: nobody did in time.
        by: Option<String>,
    },
    /// A carrier keeps our registration.
    TrunkRegistered {
        /// The carrier.
        trunk: String,
    },
    /// It does not any more, or refused it.
    TrunkUnregistered {
        /// The carrier.
        trunk: String,
        /// Why: `left`, `expired`, or what was refused.
        reason: String,
    },
    /// One of its targets answers again.
    TrunkUp {
        /// The carrier.
        trunk: String,
        /// The target.
        target: String,
    },
    /// One of its targets does not answer.
    TrunkDown {
        /// The carrier.
        trunk: String,
        /// The target.
        target: String,
    },
    /// A phone registered at a place where it was not.
    PhoneRegistered {
        /// Its address.
        contact: String,
        /// What it says it is.
        agent: String,
    },
    /// It is there no more.
    PhoneGone {
        /// Its address.
        contact: String,
        /// Why.
        reason: Gone,
    },
}

/// One-way audio, told once for each reason.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OneWay {
    /// Why.
    pub reason: OneWayReason,
    /// The same in one line for people, with the addresses.
    pub text: String,
    /// Where SDP says that the party is; absent: nowhere.
    pub sdp: Option<SocketAddr>,
    /// Where packets come from, or came from; absent: none came.
    pub source: Option<SocketAddr>,
}

/// Why one side does not hear the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OneWayReason {
    /// No packet ever came.
    Nothing,
    /// Packets come, but none that may be heard: from a stranger, or of a format that was not agreed on.
    Refused,
    /// There are no keys to hear them with: the handshake failed, or packets are not proved with the keys agreed on.
    Keys,
    /// They came, and then no more.
    Stopped,
    /// They come with nothing but silence in them.
    Silence,
    /// The party reports that next to nothing of ours arrives.
    Unheard,
}

impl What {
    /// Its word.
    pub const fn kind(&self) -> &'static str {
        match self {
            What::Held { .. } => "call.held",
            What::Resumed { .. } => "call.resumed",
            What::Muted {} => "call.muted",
            What::Unmuted {} => "call.unmuted",
            What::Key { .. } => "call.key",
            What::KeysSent { .. } => "call.keys_sent",
            What::Bridged { .. } => "call.bridged",
            What::Parted { .. } => "call.parted",
            What::Entered { .. } => "room.entered",
            What::Left { .. } => "room.left",
            What::Transferring { .. } => "call.transferring",
            What::Transferred { .. } => "call.transferred",
            What::NotTransferred { .. } => "call.transfer_failed",
            What::Playing { .. } => "play.started",
            What::Played { .. } => "play.stopped",
            What::NotPlayed { .. } => "play.failed",
            What::Recording { .. } => "recording.started",
            What::RecordingMode { .. } => "recording.mode",
            What::Recorded { .. } => "recording.stopped",
            What::OneWay(_) => "media.one_way",
            What::Speaker { .. } => "room.speaker",
            What::Streaming {} => "stream.started",
            What::Streamed {} => "stream.stopped",
            What::Siprec { .. } => "siprec.started",
            What::SiprecOver { .. } => "siprec.stopped",
            What::Listened { .. } => "call.listened",
            What::Unlistened { .. } => "call.unlistened",
            What::Parked { .. } => "call.parked",
            What::Unparked { .. } => "call.unparked",
            What::TrunkRegistered { .. } => "trunk.registered",
            What::TrunkUnregistered { .. } => "trunk.unregistered",
            What::TrunkUp { .. } => "trunk.up",
            What::TrunkDown { .. } => "trunk.down",
            What::PhoneRegistered { .. } => "phone.registered",
            What::PhoneGone { .. } => "phone.unregistered",
        }
    }

    /// It is news also of a call whose end is decided; all else ends with the call without a word.
    const fn outlives_the_call(&self) -> bool {
        matches!(self, What::Left { .. } | What::Recorded { .. })
    }
}

impl Call {
    /// Tell that this happened, after the step of the call that it belongs to. A call of which nothing was told yet, or
    /// whose record is written, tells nothing.
    pub fn happened(&mut self, core: &mut Core, what: What) {
        let late = self.recorded || (self.over.is_some() && !what.outlives_the_call());
        self.tell_progress(core);
        if late || !self.told.is_anything() || self.told.happenings >= MOST {
            return;
        }
        self.told.happenings += 1;
        let (from, to) = (self.about.from.clone(), self.about.to.clone());
        let happening = Happening { call: Some(self.name.clone()), from, to, what };
        core.out.push_back(Output::Happened(Box::new(happening)));
    }

    /// It talks with this call now, for as long as both are in the same bridge.
    pub fn meets(&mut self, core: &mut Core, partner: String) {
        if self.voice.partner.as_ref() == Some(&partner) {
            return;
        }
        self.about.note_partner(&partner);
        self.voice.partner = Some(partner.clone());
        self.happened(core, What::Bridged { partner });
    }
}

impl Switch {
    /// Tell that the party pressed a key: which one only where that is no secret.
    pub(super) fn tell_key(&mut self, id: CallId, key: char) {
        let secret = self.is_secret(id);
        if let Some((call, core)) = self.call(id) {
            call.happened(core, What::Key { key: (!secret).then_some(key) });
        }
    }

    /// What this call's party presses now is not to be written down: a recording leaves it out, or its script asks for
    /// secret digits.
    fn is_secret(&self, id: CallId) -> bool {
        let Some(call) = self.calls.get(&id) else { return false };
        let asked = call.task.as_ref().is_some_and(|task| task.doing.is_secret());
        asked || call.is_hidden() || self.siprec_is_masked(call)
    }

    /// Tell where phones came and went.
    pub(super) fn poll_phones(&mut self) -> Option<Output> {
        let (user, news) = self.core.desk.registrar.take_news()?;
        let place = |binding: Binding| (binding.contact.uri.to_string(), binding.agent);
        let what = match news {
            News::Came(binding) => {
                let (contact, agent) = place(*binding);
                What::PhoneRegistered { contact, agent }
            }
            News::Went(binding, reason) => What::PhoneGone { contact: place(*binding).0, reason },
        };
        Some(Output::Happened(Box::new(Happening { call: None, from: user, to: String::new(), what })))
    }
}

impl Core {
    /// Tell what became of a carrier.
    pub fn trunk_happened(&mut self, what: What) {
        let (from, to) = (String::new(), String::new());
        self.out.push_back(Output::Happened(Box::new(Happening { call: None, from, to, what })));
    }
}

/// How events name what is played: what was said is in transcripts only, and addresses may carry secrets.
pub(super) fn named(sounds: &[Sound]) -> Vec<String> {
    let name = |sound: &Sound| match sound {
        Sound::File(path) => path.clone(),
        Sound::Web(url) => plain_address(url),
        Sound::Speech(speech) => format!("speech of {} characters", speech.text.chars().count()),
        Sound::Tone { .. } => "tone".to_owned(),
        Sound::Silence(length) => format!("silence of {} s", length.as_secs_f64()),
    };
    sounds.iter().map(name).collect()
}

/// An address without what may be a secret in it: the name and password, the query, the fragment.
fn plain_address(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (host, path) = rest.split_once('/').map_or((rest, None), |(host, path)| (host, Some(path)));
    let host = host.rsplit('@').next().unwrap_or_default();
    path.map_or(format!("{scheme}://{host}"), |path| format!("{scheme}://{host}/{path}"))
}

/// The word for it.
pub(super) const fn mode(mode: RecordMode) -> &'static str {
    match mode {
        RecordMode::Keep => "keep",
        RecordMode::Pause => "pause",
        RecordMode::Mask => "mask",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_name_sounds_without_what_may_be_a_secret() {
        let speech = crate::verbs::Speech { text: "Your code is 4711".into(), language: None, voice: None };
        let sounds = [
            Sound::File("menu/welcome.wav".into()),
            Sound::Web("https://anna:secret@media.example:8443/a/b.wav?token=secret#secret".into()),
            Sound::Web("http://media.example".into()),
            Sound::Speech(speech),
            Sound::Silence(std::time::Duration::from_millis(1500)),
        ];
        let want = [
            "menu/welcome.wav",
            "https://media.example:8443/a/b.wav",
            "http://media.example",
            "speech of 17 characters",
            "silence of 1.5 s",
        ];
        assert_eq!(named(&sounds), want);
    }

    #[test]
    fn an_event_has_its_own_fields_beside_those_of_all() {
        let happening = |what| Happening { call: Some("c-1".into()), from: "1".into(), to: "2".into(), what };
        let line = |what| serde_json::to_string(&happening(what)).unwrap();
        assert_eq!(line(What::Muted {}), r#"{"from":"1","to":"2"}"#);
        assert_eq!(line(What::Key { key: None }), r#"{"from":"1","to":"2","key":null}"#);
        assert_eq!(line(What::Held { by: By::Party }), r#"{"from":"1","to":"2","by":"party"}"#);
    }
}
