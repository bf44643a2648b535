//! The name that a request to io_uring has in common with its completions.

/// What a completion is about: a kind (8 bits), and of a receive the generation (24) and the place (32).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    /// A socket's multishot receive.
    Receive {
        /// Of the socket in its place.
        generation: u32,
        /// In the table.
        place: u32,
    },
    /// A send that failed; others are not told.
    Send,
    /// The eventfd.
    Wake,
    /// A cancellation.
    Cancel,
}

impl About {
    /// Generations are counted in these bits.
    pub(super) const GENERATIONS: u32 = 0xff_ffff;

    pub(super) fn number(self) -> u64 {
        match self {
            About::Receive { generation, place } => u64::from(generation & Self::GENERATIONS) << 32 | u64::from(place),
            About::Send => 1 << 56,
            About::Wake => 2 << 56,
            About::Cancel => 3 << 56,
        }
    }

    pub(super) fn of(number: u64) -> About {
        match number >> 56 {
            0 => About::Receive { generation: (number >> 32) as u32, place: number as u32 },
            1 => About::Send,
            2 => About::Wake,
            _ => About::Cancel,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_is_recognised() {
        let receive = About::Receive { generation: About::GENERATIONS, place: u32::MAX };
        for about in [receive, About::Receive { generation: 0, place: 0 }, About::Send, About::Wake, About::Cancel] {
            assert_eq!(About::of(about.number()), about);
        }
    }
}
