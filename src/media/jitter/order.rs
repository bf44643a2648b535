//! Which packets were here before, and where the stream began anew. Packet numbers are 64 bits wide already
//! ([`crate::rtp::sequence`]), and jump ahead by a cycle where another source or line of numbers begins.

/// A number further ahead than this is no loss but a restart (`MAX_DROPOUT` of RFC 3550 A.1).
const MAX_DROPOUT: i64 = 3000;

/// What a packet turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// One of the stream.
    New,
    /// It was here before, or is too old to tell.
    Duplicate,
    /// The first of another stream.
    Restart,
}

#[derive(Debug, Default)]
pub(super) struct Order {
    newest: Option<i64>,
    /// Bit `n`: `newest - n` was here.
    seen: u128,
}

impl Order {
    pub(super) fn place(&mut self, number: i64) -> Place {
        let Some(newest) = self.newest else {
            (self.newest, self.seen) = (Some(number), 1);
            return Place::New;
        };
        let ahead = number - newest;
        if ahead >= MAX_DROPOUT {
            (self.newest, self.seen) = (Some(number), 1);
            return Place::Restart;
        }
        if ahead > 0 {
            self.newest = Some(number);
            self.seen = self.seen.checked_shl(ahead as u32).unwrap_or(0);
        }
        let bit = u32::try_from(-ahead).map_or(Some(1), |behind| 1_u128.checked_shl(behind));
        match bit {
            Some(bit) if self.seen & bit == 0 => {
                self.seen |= bit;
                Place::New
            }
            Some(_) | None => Place::Duplicate,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_packet_is_new_once_in_whatever_order_it_comes() {
        let mut order = Order::default();
        for number in [1000, 1003, 1001, 1002, 1200, 1100, 999 + 128] {
            assert_eq!(order.place(number), Place::New, "{number}");
            assert_eq!(order.place(number), Place::Duplicate, "{number}");
        }
        assert_eq!(order.place(1003), Place::Duplicate, "long forgotten");
        assert_eq!(order.place(i64::MIN / 2), Place::Duplicate);
    }

    #[test]
    fn a_jump_ahead_is_a_restart_once() {
        let mut order = Order::default();
        assert_eq!(order.place(70_000), Place::New);
        assert_eq!(order.place(72_999), Place::New);
        assert_eq!(order.place(140_000), Place::Restart);
        assert_eq!(order.place(140_001), Place::New);
        assert_eq!(order.place(73_000), Place::Duplicate, "a straggler of the stream before");
    }
}
