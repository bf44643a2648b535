//! Words about what is heard on a call: who answers it, and how well.

/// What is heard of who answers a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// The network rings.
    Ringing,
    /// Busy.
    Busy,
    /// No way through.
    Congestion,
    /// A dial tone.
    Dial,
    /// Special information tone: an announcement follows (ITU-T E.180).
    Sit,
    /// A fax machine.
    Fax,
    /// A person.
    Human,
    /// An answering machine.
    Machine,
    /// A machine's beep.
    Beep,
    /// Nobody says anything.
    Silence,
}

impl Heard {
    /// As scripts see it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Heard::Ringing => "ringing",
            Heard::Busy => "busy",
            Heard::Congestion => "congestion",
            Heard::Dial => "dial",
            Heard::Sit => "sit",
            Heard::Fax => "fax",
            Heard::Human => "human",
            Heard::Machine => "machine",
            Heard::Beep => "beep",
            Heard::Silence => "silence",
        }
    }
}

/// How a call's audio goes. Shares are 0 to 1, times are seconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    /// Mean opinion score of what is heard here (E-model), 1 to 4.5; absent: nothing came.
    pub mos: Option<f64>,
    /// R behind it, 0 to 93.2, of a wideband call to 129.
    pub r_factor: Option<f64>,
    /// The score that the peer reports for what it hears.
    pub peer_mos: Option<f64>,
    /// Packets that never came.
    pub loss: f64,
    /// Packets that came too late.
    pub late: f64,
    /// Packets of ours that the peer lost.
    pub peer_loss: Option<f64>,
    /// Interarrival jitter.
    pub jitter: f64,
    /// Round trip.
    pub round_trip: Option<f64>,
    /// Mean level of the party's speech, in dBm0.
    pub level: Option<f64>,
    /// What was wrong last.
    pub alarm: Option<String>,
}
