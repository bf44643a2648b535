//! The SIP ladder of one call, line by line, as people draw it.

use std::fmt::Write;

use crate::{
    sip::Hop,
    switch::{Trace, TraceEvent},
    time::Time,
};

/// Columns between the two parties.
const WIDTH: usize = 46;

/// Draws what happens on a call. Times count from the first thing drawn.
#[derive(Default)]
pub struct Ladder {
    begin: Option<Time>,
    peer: Option<Hop>,
}

impl Ladder {
    /// The lines for one thing seen; empty where there is nothing to draw.
    pub fn draw(&mut self, trace: &Trace) -> String {
        let begin = *self.begin.get_or_insert(trace.at);
        let at = (trace.at - begin).as_secs_f64();
        let mut lines = String::new();
        match &trace.what {
            TraceEvent::Message { sent, hop, first_line, text: _ } => {
                if self.peer != Some(*hop) {
                    self.peer = Some(*hop);
                    let _ = writeln!(lines, "           us{:>WIDTH$}", hop.remote);
                }
                let _ = writeln!(lines, "{at:9.3}  │{}│", arrow(*sent, &short(first_line)));
            }
            TraceEvent::Sdp(what) | TraceEvent::Media(what) | TraceEvent::Call(what) => {
                let _ = writeln!(lines, "{at:9.3}  · {what}");
            }
        }
        lines
    }
}

/// `INVITE` of `INVITE sip:100@host SIP/2.0`, and `180 Ringing` of `SIP/2.0 180 Ringing`.
fn short(first_line: &str) -> String {
    match first_line.strip_prefix("SIP/2.0 ") {
        Some(answer) => answer.to_owned(),
        None => first_line.strip_suffix(" SIP/2.0").unwrap_or(first_line).to_owned(),
    }
}

fn arrow(sent: bool, label: &str) -> String {
    let label: String = label.chars().take(WIDTH - 6).collect();
    let line = WIDTH - 3 - label.chars().count();
    let (left, right) = (line / 2, line - line / 2);
    if sent {
        format!("{} {label} {}▶", "─".repeat(left), "─".repeat(right))
    } else {
        format!("◀{} {label} {}", "─".repeat(left), "─".repeat(right))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        ids::{CallId, InterfaceId},
        sip::Transport,
    };

    #[test]
    fn a_call_is_drawn_with_times_from_its_beginning() {
        let hop =
            Hop { transport: Transport::Udp, interface: InterfaceId(0), remote: "127.0.0.1:5060".parse().unwrap() };
        let message = |ms, sent, first_line: &str| Trace {
            at: Time::START + Duration::from_millis(ms),
            call: CallId(1),
            what: TraceEvent::Message { sent, hop, first_line: first_line.into(), text: String::new() },
        };
        let mut ladder = Ladder::default();
        let mut drawn = ladder.draw(&message(1000, true, "INVITE sip:100@127.0.0.1 SIP/2.0"));
        drawn += &ladder.draw(&message(1250, false, "SIP/2.0 200 OK"));
        let lines: Vec<&str> = drawn.lines().collect();
        assert!(lines[0].ends_with("127.0.0.1:5060"), "{drawn}");
        assert!(lines[1].starts_with("    0.000  │─") && lines[1].contains(" INVITE sip:100@127.0.0.1 "), "{drawn}");
        assert!(lines[1].ends_with("▶│"), "{drawn}");
        assert!(lines[2].starts_with("    0.250  │◀─") && lines[2].contains(" 200 OK "), "{drawn}");
        let width = |line: &str| line.chars().count();
        assert_eq!(width(lines[1]), width(lines[2]), "{drawn}");
    }
}
