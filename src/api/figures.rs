//! `/metrics`: figures for Prometheus, in its text format.

use std::{collections::BTreeMap, fmt::Write, fs};

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use tokio::sync::oneshot;

use super::{Context, Shared, access::Caller, ask::Standings, problem::Problem};
use crate::{
    io::{Figures, Order, WAIT_CLASSES, counts_of},
    store::{Question, Scope, Totals, Unwritten, Waiting},
};

impl Context {
    /// How the control task and the media threads are; costs them next to nothing.
    pub(super) async fn figures(&self) -> Result<Figures, Problem> {
        let (to, figures) = oneshot::channel();
        let orders = self.orders.upgrade().ok_or_else(Problem::gone)?;
        orders.send(Order::Figures(to)).await.map_err(|_| Problem::gone())?;
        figures.await.map_err(|_| Problem::gone())
    }

    /// How far the database is behind.
    pub(super) async fn waiting(&self) -> Result<Waiting, Problem> {
        self.ask_journal(Question::Waiting).await
    }

    /// What the disk has not taken.
    pub(super) async fn unwritten(&self) -> Result<Unwritten, Problem> {
        self.ask_journal(Question::Unwritten).await
    }

    async fn totals(&self) -> Result<Totals, Problem> {
        self.ask_journal(Question::Totals).await
    }
}

/// Figures for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "server", security(("key" = [])), responses(
    (status = 200, description = "Figures, in Prometheus' text format", body = String, content_type = "text/plain")))]
pub(crate) async fn metrics(State(context): State<Shared>, caller: Caller) -> Result<Response, Problem> {
    caller.need_everywhere(Scope::Read)?;
    let (figures, totals, live) = (context.figures().await?, context.totals().await?, context.live().await?);
    let mut text = Text::default();
    let mut states = [("queued", 0), ("initiated", 0), ("ringing", 0), ("in_progress", 0)];
    for (call, _) in live {
        let state = states.iter_mut().find(|(name, _)| *name == call.status.to_string());
        state.into_iter().for_each(|(_, count)| *count += 1);
    }
    text.head("switchhook_calls", "gauge", "Calls that are not over, by state");
    for (state, count) in states {
        text.line("switchhook_calls", &[("state", state)], count);
    }
    of_calls(&mut text, &totals);
    of_answers(&mut text, &totals);
    of_flows(&mut text, &totals);
    of_sound(&mut text, &totals);
    of_threads(&mut text, &figures);
    of_hooks(&mut text, &figures);
    text.head("switchhook_held", "gauge", "What the server holds");
    for (what, count) in counts_of(&figures.counts) {
        text.line("switchhook_held", &[("what", what)], count);
    }
    of_store(&mut text, &context.waiting().await?);
    of_disk(&mut text, &context.unwritten().await?, &figures);
    of_trunks(&mut text, &figures, &context.standings().await?);
    text.head("switchhook_phones", "gauge", "Contacts of registered phones");
    text.line("switchhook_phones", &[], figures.phones);
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text.0).into_response())
}

/// Prometheus' text format.
#[derive(Default)]
struct Text(String);

impl Text {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string cannot fail; so below.
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        self.0.push_str(name);
        for (at, (label, value)) in labels.iter().enumerate() {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.0, "{}{label}=\"{value}\"", if at == 0 { "{" } else { "," });
        }
        let end = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.0, "{end} {value}");
    }

    /// Classes that each count what is in no class before, and all there is.
    fn histogram(
        &mut self,
        name: &str,
        labels: &[(&str, &str)],
        classes: impl Iterator<Item = (&'static str, u64)>,
        (count, sum): (u64, f64),
    ) {
        let (bucket, mut until) = (format!("{name}_bucket"), 0);
        for (limit, more) in classes {
            until += more;
            self.line(&bucket, &[labels, &[("le", limit)]].concat(), until);
        }
        self.line(&bucket, &[labels, &[("le", "+Inf")]].concat(), count);
        self.line(&format!("{name}_sum"), labels, format_args!("{sum:.3}"));
        self.line(&format!("{name}_count"), labels, count);
    }
}

fn of_calls(text: &mut Text, totals: &Totals) {
    text.head("switchhook_calls_ended_total", "counter", "Calls that are over, by status and end reason");
    for ((status, reason), count) in &totals.ended {
        text.line("switchhook_calls_ended_total", &[("status", status), ("reason", reason)], count);
    }
    text.head("switchhook_talk_seconds_total", "counter", "Time from answer to end of all calls");
    text.line("switchhook_talk_seconds_total", &[], format_args!("{:.3}", totals.talk_seconds));
    let name = "switchhook_setup_seconds";
    text.head(name, "histogram", "Time from the beginning of answered calls to their answer");
    text.histogram(name, &[], totals.setup.iter().copied(), (totals.answered, totals.setup_seconds));
}

fn of_answers(text: &mut Text, totals: &Totals) {
    let name = "switchhook_answers_total";
    text.head(name, "counter", "Calls that are over, by direction and trunk, and whether they were answered");
    for ((direction, trunk), [answered, not]) in &totals.answers {
        let labels = [("direction", *direction), ("trunk", trunk.as_str())];
        text.line(name, &[&labels[..], &[("answered", "yes")]].concat(), answered);
        text.line(name, &[&labels[..], &[("answered", "no")]].concat(), not);
    }
}

fn of_flows(text: &mut Text, totals: &Totals) {
    let name = "switchhook_flow_errors_total";
    text.head(name, "counter", "Calls whose script failed, or was stopped by a limit, by script");
    for ((script, reason), count) in &totals.flow_errors {
        text.line(name, &[("script", script), ("reason", reason)], count);
    }
}

fn of_sound(text: &mut Text, totals: &Totals) {
    let name = "switchhook_mos";
    text.head(name, "histogram", "What calls that are over sounded like here: mean opinion score, 1 to 4.5");
    text.histogram(name, &[], totals.mos.iter().copied(), (totals.scored, totals.mos_sum));
    text.head("switchhook_packets_total", "counter", "RTP packets of calls that are over");
    for (what, count) in totals.packets {
        text.line("switchhook_packets_total", &[("what", what)], count);
    }
}

/// How the threads keep up.
fn of_threads(text: &mut Text, figures: &Figures) {
    let ticks = "switchhook_media_ticks_total";
    text.head(ticks, "counter", "Ticks of 20 ms that a media thread came late to (5 ms), or skipped");
    let packets = "switchhook_media_datagrams_total";
    let mut datagrams = Text::default();
    datagrams.head(packets, "counter", "Datagrams of a media thread");
    for (thread, (counters, load)) in figures.workers.iter().enumerate() {
        let thread = thread.to_string();
        for (what, count) in [("late", load.late), ("skipped", load.skipped)] {
            text.line(ticks, &[("thread", &thread), ("what", what)], count);
        }
        let seen = [
            ("received", counters.received),
            ("sent", counters.sent),
            ("not_sent", counters.send_dropped),
            ("too_long", counters.too_long),
            ("failed", counters.receive_errors),
        ];
        for (what, count) in seen {
            datagrams.line(packets, &[("thread", &thread), ("what", what)], count);
        }
    }
    text.0.push_str(&datagrams.0);
    let name = "switchhook_thread_cpu_seconds_total";
    text.head(name, "counter", "Processor time of the threads, by name");
    for (thread, seconds) in processor_times() {
        text.line(name, &[("thread", &thread)], format_args!("{seconds:.2}"));
    }
}

/// Seconds that threads of each name ran, in user and kernel mode (proc(5)); empty where the system does not tell.
fn processor_times() -> BTreeMap<String, f64> {
    // Linux counts in hundredths of a second, whatever the kernel's own tick is.
    const TICKS_A_SECOND: f64 = 100.0;
    let mut times = BTreeMap::new();
    let threads = fs::read_dir("/proc/self/task").into_iter().flatten().filter_map(Result::ok);
    for stat in threads.filter_map(|thread| fs::read_to_string(thread.path().join("stat")).ok()) {
        // The name is in brackets, and may hold any character.
        let (Some(from), Some((head, rest))) = (stat.find('('), stat.rsplit_once(')')) else { continue };
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
        *times.entry(head[from + 1..].to_owned()).or_default() += (ticks(11) + ticks(12)) / TICKS_A_SECOND;
    }
    times
}

/// How long scripts wait for what comes from elsewhere.
fn of_hooks(text: &mut Text, figures: &Figures) {
    let name = "switchhook_hook_seconds";
    text.head(name, "histogram", "How long sounds took to be there: files, those of web servers, speech");
    for (hook, waited) in &figures.hooks {
        let classes = WAIT_CLASSES.iter().zip(waited.classes).map(|((limit, _), count)| (*limit, count));
        text.histogram(name, &[("hook", hook.as_str())], classes, (waited.count, waited.seconds));
    }
    let name = "switchhook_hook_failures_total";
    text.head(name, "counter", "Sounds that could not be had");
    for (hook, waited) in &figures.hooks {
        text.line(name, &[("hook", hook.as_str())], waited.failed);
    }
}

/// What the database does not have yet.
fn of_store(text: &mut Text, waiting: &Waiting) {
    let up = u8::from(!waiting.failing);
    let age = waiting.oldest_ms as f64 / 1000.0;
    for (name, help, value) in [
        ("switchhook_store_up", "1: the database takes what it should have; 0: it takes nothing", up.to_string()),
        ("switchhook_store_waiting_events", "Events that the database does not have yet", waiting.events.to_string()),
        ("switchhook_store_waiting_bytes", "Their bytes in the spool, to the next batch", waiting.bytes.to_string()),
        ("switchhook_store_waiting_seconds", "For how long the oldest of them has waited", format!("{age:.3}")),
    ] {
        text.head(name, "gauge", help);
        text.line(name, &[], value);
    }
}

/// What the disk did not take.
fn of_disk(text: &mut Text, unwritten: &Unwritten, figures: &Figures) {
    let name = "switchhook_spool_up";
    text.head(name, "gauge", "1: the disk takes events; 0: they wait in memory");
    text.line(name, &[], u8::from(!unwritten.failing));
    let name = "switchhook_spool_unwritten_events";
    text.head(name, "gauge", "Events that wait in memory for the disk");
    text.line(name, &[], unwritten.events);
    let name = "switchhook_events_lost_total";
    text.head(name, "counter", "Events that found no room in memory while the disk took none");
    text.line(name, &[], unwritten.lost + figures.facts_lost);
    let name = "switchhook_call_records_lost_total";
    text.head(name, "counter", "Records that calls.jsonl does not have");
    text.line(name, &[], figures.records_lost);
}

fn of_trunks(text: &mut Text, figures: &Figures, standings: &Standings) {
    let name = "switchhook_trunk_up";
    text.head(name, "gauge", "1: some target of the trunk answers, as far as is known; 0: none does");
    for trunk in &figures.trunks {
        let targets = standings.get(trunk).map(|standing| &standing.targets);
        let is_up = targets.is_none_or(|targets| targets.is_empty() || targets.values().any(|up| *up));
        text.line(name, &[("trunk", trunk)], u8::from(is_up));
    }
    let name = "switchhook_trunk_registered";
    text.head(name, "gauge", "1: we are registered there; 0: we are not, and should be");
    for trunk in &figures.trunks {
        if let Some(registered) = standings.get(trunk).and_then(|standing| standing.registered) {
            text.line(name, &[("trunk", trunk)], u8::from(registered));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_from_outside_are_escaped_and_classes_add_up() {
        let mut text = Text::default();
        text.line("x", &[("trunk", "a\"b\\c\nd")], 1);
        text.histogram("y", &[("hook", "web")], [("1", 2), ("2", 3)].into_iter(), (7, 9.5));
        let want = "x{trunk=\"a\\\"b\\\\c\\nd\"} 1\ny_bucket{hook=\"web\",le=\"1\"} 2\ny_bucket{hook=\"web\",le=\"2\"} 5\n\
                    y_bucket{hook=\"web\",le=\"+Inf\"} 7\ny_sum{hook=\"web\"} 9.500\ny_count{hook=\"web\"} 7\n";
        assert_eq!(text.0, want);
    }

    #[test]
    fn the_system_tells_how_long_threads_ran() {
        let thread = std::thread::Builder::new().name("a) b (c".into());
        let times = thread.spawn(processor_times).unwrap().join().unwrap();
        assert!(times.contains_key("a) b (c"), "{times:?}");
    }
}
