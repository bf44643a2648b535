//! What the records of the DNS mean for SIP (RFC 3263): which transport a NAPTR record is about, and in which order the
//! hosts of SRV records are tried (RFC 2782). Asking for the records is somebody else's business.

use super::Transport;

/// A NAPTR record, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Naptr {
    /// Low ones first.
    pub order: u16,
    /// Among one order, low ones first.
    pub preference: u16,
    /// `s`: the replacement has SRV records.
    pub flags: String,
    /// `SIP+D2U` and so on.
    pub service: String,
    /// The name to ask next.
    pub replacement: String,
}

/// An SRV record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Srv {
    /// Low ones first.
    pub priority: u16,
    /// Share among those of one priority.
    pub weight: u16,
    /// Where on the host.
    pub port: u16,
    /// Name of the host.
    pub host: String,
}

/// The ways that NAPTR records offer, best first: a transport, and the name that has its SRV records (section 4.1).
/// `secure`: only what is encrypted counts.
pub fn ways(mut records: Vec<Naptr>, secure: bool) -> Vec<(Transport, String)> {
    records.sort_by_key(|record| (record.order, record.preference));
    let way = |record: Naptr| {
        let transport = match record.service.to_ascii_uppercase().as_str() {
            "SIP+D2U" => Transport::Udp,
            "SIP+D2T" => Transport::Tcp,
            "SIPS+D2T" => Transport::Tls,
            _ => return None,
        };
        let usable = record.flags.eq_ignore_ascii_case("s") && (!secure || transport.is_secure());
        usable.then_some((transport, record.replacement))
    };
    records.into_iter().filter_map(way).collect()
}

/// Where the SRV records for `transport` below `host` are.
pub fn srv_name(transport: Transport, host: &str) -> String {
    let service = match transport {
        Transport::Udp => "_sip._udp",
        Transport::Tcp => "_sip._tcp",
        Transport::Tls => "_sips._tcp",
        Transport::Ws => "_sip._ws",
        Transport::Wss => "_sips._ws",
    };
    format!("{service}.{host}")
}

/// The transports that are asked for where the address names none and there is no NAPTR, best first (section 4.1).
pub fn usual(secure: bool) -> &'static [Transport] {
    if secure { &[Transport::Tls] } else { &[Transport::Udp, Transport::Tcp, Transport::Tls] }
}

/// SRV records in the order in which they are to be tried: by priority, then by chance according to weight (RFC 2782).
/// `chance` gives a number from 0 up to its argument, which is included.
pub fn in_order(mut records: Vec<Srv>, mut chance: impl FnMut(u32) -> u32) -> Vec<Srv> {
    // Those of weight 0 come first, so that they have a small chance among others.
    records.sort_by_key(|record| (record.priority, record.weight > 0));
    let mut ordered = Vec::with_capacity(records.len());
    while let Some(priority) = records.first().map(|record| record.priority) {
        let group = records.iter().take_while(|record| record.priority == priority).count();
        let total: u32 = records[..group].iter().map(|record| u32::from(record.weight)).sum();
        let drawn = chance(total);
        let mut sum = 0;
        let at = records[..group].iter().position(|record| {
            sum += u32::from(record.weight);
            sum >= drawn
        });
        ordered.push(records.remove(at.unwrap_or(0)));
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    fn naptr(order: u16, preference: u16, service: &str, replacement: &str) -> Naptr {
        let (flags, service, replacement) = ("s".to_owned(), service.to_owned(), replacement.to_owned());
        Naptr { order, preference, flags, service, replacement }
    }

    fn srv(priority: u16, weight: u16, host: &str) -> Srv {
        Srv { priority, weight, port: 5060, host: host.to_owned() }
    }

    fn hosts(records: Vec<Srv>) -> String {
        records.into_iter().map(|record| record.host).collect()
    }

    #[test]
    fn naptr_records_are_taken_by_order_then_preference_and_unknown_services_are_passed_over() {
        let records = vec![
            naptr(20, 0, "SIP+D2T", "tcp"),
            naptr(10, 9, "sip+d2u", "udp"),
            naptr(10, 1, "SIPS+D2T", "tls"),
            naptr(1, 1, "SIP+D2S", "sctp"),
            naptr(1, 1, "E2U+sip", "enum"),
            Naptr { flags: "u".to_owned(), ..naptr(0, 0, "SIP+D2U", "regexp") },
        ];
        let named = |secure| ways(records.clone(), secure).into_iter().map(|(_, name)| name).collect::<Vec<_>>();
        assert_eq!(named(false), ["tls", "udp", "tcp"]);
        assert_eq!(named(true), ["tls"]);
    }

    #[test]
    fn low_priorities_come_first_whatever_their_weight() {
        let records = vec![srv(20, 100, "c"), srv(10, 0, "a"), srv(15, 65_535, "b")];
        for drawn in [0, 1, 1000, u32::MAX] {
            assert_eq!(hosts(in_order(records.clone(), |most| drawn.min(most))), "abc");
        }
    }

    #[test]
    fn weights_are_shares() {
        let records = vec![srv(1, 10, "a"), srv(1, 30, "b"), srv(1, 60, "c")];
        let mut first = std::collections::BTreeMap::new();
        let mut seed = 1u32;
        for _ in 0..10_000 {
            let order = in_order(records.clone(), |most| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (seed >> 8) % (most + 1)
            });
            assert_eq!(order.len(), 3, "nobody is lost");
            *first.entry(order[0].host.clone()).or_insert(0) += 1;
        }
        let share = |host: &str| first[host];
        assert!((700..1300).contains(&share("a")) && (2600..3400).contains(&share("b")), "{first:?}");
        assert!((5500..6500).contains(&share("c")), "{first:?}");
    }

    #[test]
    fn all_weights_zero_still_gives_all_of_them() {
        assert_eq!(in_order(vec![srv(1, 0, "a"), srv(1, 0, "b")], |_| 0).len(), 2);
        assert_eq!(in_order(vec![], |_| 0), []);
    }
}
