//! Handles: small copyable numbers by which the machines speak of things they do not own.

use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $mark:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($mark, "{}"), self.0)
            }
        }
    };
}

id!(
    /// One leg: one INVITE usage. Never used twice in a process.
    CallId, "c"
);
id!(
    /// One RTP endpoint. Never used twice in a process.
    PortId, "p"
);
id!(
    /// Ports that hear each other.
    BridgeId, "b"
);
id!(
    /// One run of a script.
    FlowId, "f"
);
id!(
    /// One request of a flow; its reply carries the same number. Unique within its flow.
    RequestId, "r"
);
id!(
    /// One thing being played to a port.
    PlayId, "y"
);
id!(
    /// One recording.
    RecordingId, "w"
);
id!(
    /// One sound being loaded or spoken into memory.
    LoadId, "l"
);
id!(
    /// One name being resolved.
    QueryId, "q"
);

id!(
    /// One tap of a port.
    TapId, "t"
);
id!(
    /// Audio of a call on its way to a program outside.
    StreamId, "a"
);

impl CallId {
    /// No call: what is asked concerns a room, or a recording wherever it is.
    pub const NONE: CallId = CallId(0);
}

/// A media thread, counted from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(pub u8);

/// A network interface of the configuration, counted from 0 in the order of the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InterfaceId(pub u8);
