//! The record of a finished call: what billing, statistics and the person who looks for a fault read later.

use std::{collections::BTreeMap, fmt, net::SocketAddr, sync::Arc};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::runs::FlowRun;
use crate::{facts::Stir, media, rtp::emodel::Scale};

/// Which way the call was set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// It came to us.
    Inbound,
    /// We made it.
    Outbound,
}

/// How the call stands or went, in one word. It never goes backwards; of the final ones a call gets exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// To be made, and nothing was sent yet; outgoing calls only.
    Queued,
    /// The INVITE is out, or is here.
    Initiated,
    /// It rings.
    Ringing,
    /// It was answered and acknowledged.
    InProgress,
    /// It was answered.
    Completed,
    /// It was refused, could not be delivered, or broke before the answer.
    Failed,
    /// Nobody answered in time.
    NoAnswer,
    /// The party was busy.
    Busy,
    /// Given up before the answer.
    Canceled,
}

impl Status {
    /// Nothing comes after it.
    pub const fn is_final(self) -> bool {
        match self {
            Status::Queued | Status::Initiated | Status::Ringing | Status::InProgress => false,
            Status::Completed | Status::Failed | Status::NoAnswer | Status::Busy | Status::Canceled => true,
        }
    }

    /// How far along it is: 0 to 3, and 4 for all that are final.
    pub const fn rank(self) -> u8 {
        match self {
            Status::Queued => 0,
            Status::Initiated => 1,
            Status::Ringing => 2,
            Status::InProgress => 3,
            Status::Completed | Status::Failed | Status::NoAnswer | Status::Busy | Status::Canceled => 4,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// What ended the call. Kept apart from [`Status`]: calls of one status end for different reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// The party hung up.
    CallerHangup,
    /// The script came to its end or hung up, or somebody else took its place.
    AgentCompleted,
    /// The script failed.
    AgentError,
    /// No script or nobody there to take the call, or the script refused it.
    AgentUnavailable,
    /// Whoever should have taken the call did not come in time.
    AgentTimeout,
    /// A limit stopped the script in the middle of the call.
    AgentCrashed,
    /// Nobody answered in time.
    NoAnswer,
    /// The party was busy.
    Busy,
    /// Given up before the answer.
    Canceled,
    /// The network, the peer's signalling or its media failed, or nobody refreshed the session (RFC 4028).
    TelephonyError,
    /// The credit ran out.
    BalanceDepleted,
    /// Nobody saw its end: the server found it left behind.
    Reconciled,
}

impl EndReason {
    /// The reason that goes with `status`, where `self` is what was known: no call is `busy` for a hang-up.
    pub const fn paired(self, status: Status) -> EndReason {
        match status {
            Status::Canceled => EndReason::Canceled,
            Status::NoAnswer => EndReason::NoAnswer,
            Status::Busy => EndReason::Busy,
            Status::Failed => match self {
                EndReason::AgentError
                | EndReason::AgentUnavailable
                | EndReason::AgentTimeout
                | EndReason::TelephonyError
                | EndReason::BalanceDepleted
                | EndReason::Reconciled => self,
                EndReason::AgentCrashed => EndReason::AgentError,
                EndReason::AgentCompleted => EndReason::AgentUnavailable,
                EndReason::CallerHangup | EndReason::NoAnswer | EndReason::Busy | EndReason::Canceled => {
                    EndReason::TelephonyError
                }
            },
            Status::Completed | Status::Queued | Status::Initiated | Status::Ringing | Status::InProgress => match self
            {
                EndReason::NoAnswer | EndReason::Busy | EndReason::Canceled => EndReason::AgentCompleted,
                EndReason::CallerHangup
                | EndReason::AgentCompleted
                | EndReason::AgentError
                | EndReason::AgentUnavailable
                | EndReason::AgentTimeout
                | EndReason::AgentCrashed
                | EndReason::TelephonyError
                | EndReason::BalanceDepleted
                | EndReason::Reconciled => self,
            },
        }
    }
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// What exactly ended the call, where the reason stands for several things.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EndDetail {
    /// Neither RTP nor RTCP came from this call's party for so long that it is taken for gone.
    RtpTimeout,
    /// Nobody refreshed the session (RFC 4028).
    SessionExpired,
    /// Our 2xx was never acknowledged (RFC 3261 section 13.3.1.4).
    NoAck,
    /// The party's TCP, TLS or WebSocket connection closed, and it neither spoke nor answered after that; or it was a
    /// caller's WebSocket, before the answer.
    TransportLost,
}

/// All that is known of a finished call.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct CallRecord {
    /// The id that logs carry; unique over restarts.
    pub id: String,
    /// The id of the call whose flow dialled this one.
    pub parent: Option<String>,
    /// The ids of the calls that it talked with, in turn, each once; the last 32 of them.
    #[schema(required = false)]
    pub partners: Vec<String>,
    /// Which way it was set up.
    pub direction: Direction,
    /// Who called: user part, `anonymous` where there is none.
    pub from: String,
    /// Who was called: user part of the Request-URI.
    pub to: String,
    /// The trunk that it came from or went over; absent: none.
    pub trunk: Option<String>,
    /// What it cost by the price of its rule; absent: it went over no trunk.
    pub cost: Option<f64>,
    /// SIP Call-ID.
    pub sip_call_id: String,
    /// The peer's signalling address, `address:port`; absent: none was found.
    pub peer: Option<String>,
    /// When it began, in ms since 1970.
    pub start_ms: u64,
    /// When it was answered, in ms since 1970; absent: never.
    pub answer_ms: Option<u64>,
    /// When it ended, in ms since 1970.
    pub end_ms: u64,
    /// Seconds from answer to end.
    pub talk_seconds: f64,
    /// Seconds from start to end.
    pub total_seconds: f64,
    /// How it went.
    pub status: Status,
    /// What ended it.
    pub end_reason: EndReason,
    /// What exactly, where the reason stands for several things; absent: there is no more to be said.
    pub end_detail: Option<EndDetail>,
    /// The final SIP code of the INVITE, 200 where it was answered; absent: there was none.
    pub code: Option<u16>,
    /// The cause that the peer gave for the end (Q.850, RFC 3326); absent: it gave none.
    pub q850: Option<u8>,
    /// Somebody else took its place: its end is no hang-up.
    pub transferred: bool,
    /// The script that ran on it.
    pub script: Option<String>,
    /// Which text of it: the version's number where the API put it into service, else `sha256:` and the first 16 digits
    /// of the text's hash. Absent: none ran.
    #[schema(value_type = Option<String>)]
    pub flow_version: Option<Arc<str>>,
    /// What the script did, step by step, with its line: `menu.lua:12 play`. At most the first 32 and the last 32 steps.
    #[schema(required = false)]
    pub path: Vec<String>,
    /// Steps between these that were left out.
    #[schema(required = false)]
    pub path_left_out: u64,
    /// The scripts that ran on it, one after another, each with its own path; the last 32 of them.
    #[schema(required = false)]
    pub runs: Vec<FlowRun>,
    /// The codec that was agreed on last.
    pub codec: Option<String>,
    /// What its port saw; absent: it had none.
    pub quality: Option<CallQuality>,
    /// Why nothing was heard, where nothing was heard or packets came from elsewhere.
    pub no_audio: Option<String>,
    /// Files, as paths below the recording folder.
    pub recordings: Vec<String>,
    /// Who is on each of these files: the numbers of all legs that were in the conversation while it was recorded, and of
    /// the call that ordered it.
    #[schema(required = false)]
    pub recorded_parties: BTreeMap<String, Vec<String>>,
    /// What went wrong with recordings, one line each: `day/x.wav: No space left on device`. What of such a file was
    /// written before is among [`Self::recordings`].
    #[schema(required = false)]
    pub recording_errors: Vec<String>,
    /// The signature of the caller's number (STIR/SHAKEN); absent: nobody looked for one, or made one.
    pub stir: Option<Stir>,
    /// What the script noted.
    pub vars: BTreeMap<String, String>,
    /// The script's error, or what else went wrong.
    pub error: Option<String>,
}

/// By which model a call is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MosScale {
    /// ITU-T G.107: G.711, G.729.
    Narrowband,
    /// ITU-T G.107.1: G.722, Opus.
    Wideband,
}

impl From<Scale> for MosScale {
    fn from(scale: Scale) -> MosScale {
        match scale {
            Scale::Narrow => MosScale::Narrowband,
            Scale::Wide => MosScale::Wideband,
        }
    }
}

/// What the port of a call saw, as [`media::Quality`] has it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct CallQuality {
    /// RTP packets sent.
    pub sent: u64,
    /// RTP packets received.
    pub received: u64,
    /// Packets that never came.
    pub lost: u64,
    /// Packets that came too late to be played.
    pub late: u64,
    /// Frames made up by concealment.
    pub concealed: u64,
    /// Packets refused.
    pub refused: u64,
    /// Interarrival jitter at the end, in ms.
    pub jitter_ms: f64,
    /// Round trip by RTCP, in ms; absent: never measured.
    pub round_trip_ms: Option<f64>,
    /// Share of our packets that the peer says it lost, 0 to 1.
    pub peer_lost: Option<f64>,
    /// Bursts of losses (RFC 3611 section 4.7.2).
    pub bursts: u64,
    /// Share of a burst's packets that were lost, 0 to 1, and a burst's mean length in ms.
    pub burst_density: f64,
    /// See [`Self::burst_density`].
    pub burst_ms: f64,
    /// Share of the packets between bursts that were lost, 0 to 1.
    pub gap_density: f64,
    /// Mean time that packets waited in the jitter buffer, in ms.
    pub buffer_ms: f64,
    /// Share of the party's frames that were silent, 0 to 1; absent: none was looked at.
    pub silent: Option<f64>,
    /// Samples at full scale.
    pub clipped: Option<u64>,
    /// Mean level of the party's speech, in dBm0.
    pub speech_dbm0: Option<f64>,
    /// R of the E-model (ITU-T G.107), 0 to 93.2; of a wideband call (G.107.1) 0 to 129. Absent: nothing came.
    pub r_factor: Option<f64>,
    /// Mean opinion score by the E-model, 1 to 4.5.
    pub mos: Option<f64>,
    /// Among which calls the score counts: R is one scale for all, the score is not. Absent: nothing came.
    pub mos_scale: Option<MosScale>,
    /// The score that the peer reported for what it heard (RTCP XR).
    pub peer_mos: Option<f64>,
    /// From where audio came, in turn: `address:port after 0.1 s`.
    pub sources: Vec<String>,
    /// What was wrong with the audio meanwhile, one line each.
    pub alarms: Vec<String>,
}

impl From<&media::Quality> for CallQuality {
    fn from(q: &media::Quality) -> CallQuality {
        CallQuality {
            sent: q.sent,
            received: q.received,
            lost: q.lost,
            late: q.late,
            concealed: q.concealed,
            refused: q.refused,
            jitter_ms: f64::from(q.jitter_us) / 1000.0,
            round_trip_ms: q.round_trip_us.map(|us| f64::from(us) / 1000.0),
            peer_lost: q.peer_lost_fraction.map(|f| f64::from(f) / 256.0),
            bursts: q.bursts.count,
            burst_density: rounded(q.bursts.density),
            burst_ms: q.bursts.length.as_secs_f64() * 1000.0,
            gap_density: rounded(q.bursts.gap_density),
            buffer_ms: q.buffer.as_secs_f64() * 1000.0,
            silent: q.level.map(|level| rounded(level.silent)),
            clipped: q.level.map(|level| level.clipped),
            speech_dbm0: q.level.and_then(|level| level.speech).map(rounded),
            r_factor: q.r.map(rounded),
            mos: q.mos.map(rounded),
            mos_scale: q.mos.map(|_| q.scale.into()),
            peer_mos: q.peer_mos.map(rounded),
            sources: Vec::new(),
            alarms: Vec::new(),
        }
    }
}

/// Three places are more than anybody measures.
fn rounded(value: f32) -> f64 {
    (f64::from(value) * 1000.0).round() / 1000.0
}

/// Why nothing was heard, in one line for the person who looks for the fault. `said`: where SDP said that the peer
/// receives, hence should send from.
pub(super) fn no_audio(said: Option<SocketAddr>, quality: &media::Quality) -> Option<String> {
    let place = |at: Option<SocketAddr>| at.map_or("nowhere".to_owned(), |at| at.to_string());
    match quality.source {
        Some(source) if Some(source) == said => None,
        Some(source) => Some(format!("SDP says {}, packets come from {source}", place(said))),
        None if quality.unproved > 0 => {
            let from = place(quality.refused_from);
            Some(format!("SDP says {}, packets come from {from}, and no key opens them", place(said)))
        }
        None => Some(format!("no packet came; SDP says {}", place(said))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_about_missing_audio_names_both_addresses() {
        let said = "192.0.2.1:4000".parse().unwrap();
        let mut quality = media::Quality::default();
        assert_eq!(no_audio(Some(said), &quality).unwrap(), "no packet came; SDP says 192.0.2.1:4000");
        quality.source = Some(said);
        assert_eq!(no_audio(Some(said), &quality), None);
        quality.source = Some("203.0.113.9:4002".parse().unwrap());
        assert_eq!(
            no_audio(Some(said), &quality).unwrap(),
            "SDP says 192.0.2.1:4000, packets come from 203.0.113.9:4002"
        );
    }
}
