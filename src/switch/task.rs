//! What a flow or the operator asks for: each request is checked, begun, and answered exactly once. A call does one
//! lasting thing at a time, its *task*; recordings run beside it.

use std::time::Duration;

use super::{
    call::{Call, End, State},
    core::Core,
    happened::What,
    info::Dictated,
    switch::Switch,
};
use crate::{
    ids::CallId,
    media::Command,
    verbs::{Failure, LeaveReason, Origin, Record, Reply, Request, Sound, Tone, Verb},
};

mod digits;
mod doing;

pub(super) use digits::{DIGITS, check_digits};
pub(super) use doing::{Ask, Doing, Task};

/// A request is answered now, or by its task.
pub(super) type Begun = Result<Option<Reply>, Failure>;

impl Switch {
    pub(super) fn on_request(&mut self, request: Request) {
        let ask = Ask { origin: request.origin, id: request.id };
        match self.begin(ask, request.call, request.verb) {
            Ok(Some(reply)) => self.reply(ask, reply),
            Ok(None) => {}
            Err(failure) => self.reply(ask, Reply::Failed(failure)),
        }
    }

    pub(super) fn reply(&mut self, ask: Ask, reply: Reply) {
        match ask.origin {
            Origin::Flow(flow) if self.is_put_through(flow) => self.through.push_back((flow, reply)),
            Origin::Flow(_) | Origin::Console => self.core.reply(ask, reply),
        }
    }

    /// True where `origin` may command `call`.
    pub(super) fn may(&self, origin: Origin, call: &Call) -> bool {
        match origin {
            Origin::Flow(flow) => call.flow == Some(flow) && self.flows.contains_key(&flow),
            Origin::Console => true,
        }
    }

    fn begin(&mut self, ask: Ask, id: CallId, verb: Verb) -> Begun {
        if let Verb::Messaging(wish) = verb {
            return self.begin_messaging(ask, id, wish);
        }
        if let Verb::Registrations { phone } = verb {
            return self.core.registrations_of(&phone).map(Some);
        }
        match (ask.origin, id) {
            (Origin::Console, CallId::NONE) => self.begin_without_call(ask, verb),
            (Origin::Console | Origin::Flow(_), _) => self.begin_in_call(ask, id, verb),
        }
    }

    #[expect(clippy::too_many_lines, reason = "a line for each verb")]
    pub(super) fn begin_in_call(&mut self, ask: Ask, id: CallId, verb: Verb) -> Begun {
        let call = self.calls.get(&id).ok_or(Failure::NoSuchCall)?;
        if !self.may(ask.origin, call) {
            return Err(Failure::NoSuchCall);
        }
        let own = self.is_own_call(ask.origin, id);
        let (call, core) = self.call(id).ok_or(Failure::NoSuchCall)?;
        if let Verb::SetVar { name, value } = verb {
            return call.set_var(core, name, value);
        }
        if let Verb::Mailbox { phone, new, old } = verb {
            return core.set_mailbox(&phone, new, old).map(|()| Some(Reply::Done));
        }
        if call.over.is_some() {
            return Err(Failure::HungUp);
        }
        match verb {
            Verb::Ring => call.ring(core).map(|()| Some(Reply::Done)),
            Verb::Reject { code, reason } => {
                call.reject(core, code, reason.as_deref()).map(|()| (!own).then_some(Reply::Done))
            }
            Verb::Hangup => {
                call.hang_up(core, End::HUNG_UP);
                Ok((!own).then_some(Reply::Done))
            }
            Verb::RecordStop { recording } => call.stop_recording(core, recording, ask).map(|()| None),
            Verb::Steer { play, steer } => call.steer(core, Some(ask), (play, steer)).map(|()| None),
            Verb::StopPlay { play } => call.stop_play(core, play).map(Some),
            Verb::Record(record) if record.room.is_some() => self.begin_room_record(ask, id, &record),
            Verb::RecordAs { recording, mode } => {
                call.record_as(core, recording, mode)?;
                self.tend_mask(id);
                Ok(Some(Reply::Done))
            }
            Verb::SendDigits { digits, length, gap } if ask.origin == Origin::Console && call.is_hearable() => {
                call.dictate_beside(core, ask, (&digits, length, gap)).map(|()| None)
            }
            Verb::Answer => self.begin_answer(ask, id),
            Verb::Sleep(length) => self.begin_sleep(ask, id, length),
            Verb::Hold { music } => self.begin_hold(ask, id, music),
            Verb::Resume => self.begin_resume(ask, id),
            Verb::Transfer(wish) => self.begin_transfer(ask, id, &wish),
            Verb::Figures => call.figures().map(Some),
            Verb::Mute { on } => call.mute(core, on).map(|()| Some(Reply::Done)),
            Verb::Announce { sounds, manner } => call.announce(core, ask, sounds, manner).map(|()| None),
            Verb::Run { script, vars } => self.run_another(id, script, vars).map(|()| (!own).then_some(Reply::Done)),
            Verb::Siprec { recorder } => self.begin_siprec(Some(ask), id, recorder.as_deref()),
            Verb::SiprecStop => self.end_siprec(id),
            Verb::SiprecMask { on } => self.mask_siprec(id, on),
            Verb::Stream(wish) => self.begin_stream(ask, id, wish),
            Verb::StreamStop => self.end_stream(id),
            Verb::Room(order) => self.order_in_room(order).map(Some),
            Verb::SetVar { .. } | Verb::Mailbox { .. } | Verb::Messaging(_) | Verb::Registrations { .. } => Ok(None),
            Verb::Pickup { phone } => self.begin_pickup(id, &phone),
            Verb::Retrieve { slot } => self.begin_retrieve(id, &slot),
            verb @ (Verb::Progress
            | Verb::Play(_)
            | Verb::Gather(_)
            | Verb::Record(_)
            | Verb::Dial(_)
            | Verb::Bridge { .. }
            | Verb::Join { .. }
            | Verb::Listen { .. }
            | Verb::Detect { .. }
            | Verb::Echo { .. }
            | Verb::Park { .. }
            | Verb::SendDigits { .. }) => self.begin_with_media(ask, id, verb),
        }
    }

    /// Open early media first where the call has none yet and needs it.
    fn begin_with_media(&mut self, ask: Ask, id: CallId, verb: Verb) -> Begun {
        let (call, core) = self.call(id).ok_or(Failure::NoSuchCall)?;
        let aside = matches!(&verb, Verb::Record(record) if !record.wait && !record.beep);
        if call.is_hearable() && aside {
            return self.begin_media_verb(ask, id, verb);
        }
        call.is_idle()?;
        let silent = matches!(&verb, Verb::Dial(dial) if !dial.early_media && dial.ringback.is_none());
        if call.is_hearable() || silent {
            return self.begin_media_verb(ask, id, verb);
        }
        match call.progress(core) {
            Ok(()) => {}
            // A dialling call may do without: it is told 180 instead.
            Err(Failure::Media(_)) if matches!(verb, Verb::Dial(_)) => return self.begin_media_verb(ask, id, verb),
            // The media path is there as soon as the ACK brings its answer.
            Err(_) if matches!(call.state, State::Accepting(_)) => {}
            Err(failure) => return Err(failure),
        }
        call.task = Some(Task { ask, doing: Doing::Media(Box::new(verb)) });
        Ok(None)
    }

    /// The party can be played to, and the call is idle.
    #[expect(clippy::too_many_lines, reason = "a line for each verb")]
    fn begin_media_verb(&mut self, ask: Ask, id: CallId, verb: Verb) -> Begun {
        match verb {
            Verb::Dial(dial) => self.begin_dial(ask, id, dial).map(|()| None),
            Verb::Bridge { other, stop_on } => self.begin_bridge(ask, id, other, stop_on),
            Verb::Gather(gather) => self.begin_gather(ask, id, gather).map(|()| None),
            Verb::Listen { call, whisper, stop_on } => {
                self.begin_listen(ask, id, &call, (whisper, stop_on)).map(|()| None)
            }
            Verb::Join { room, stop_on, muted, entry } => {
                self.enter_room(id, room, muted, entry)?;
                self.begin_task(ask, id, |_, _| Ok(Doing::Room { stop_on }))
            }
            Verb::Park { slot, timeout } => self.begin_park(ask, id, slot, timeout).map(|()| None),
            Verb::Play(play) => self.begin_task(ask, id, |call, core| {
                call.play_as(core, &play)?;
                Ok(Doing::Play { key: None, wait: play.wait })
            }),
            Verb::Record(record) => self.begin_record(ask, id, record),
            Verb::Detect { beep, timeout } => {
                self.begin_task(ask, id, |call, core| Ok(Doing::Detect(call.detect(core, beep, timeout))))
            }
            Verb::Echo { stop_on, limit } => self.begin_task(ask, id, |call, core| {
                call.echo(core, true);
                Ok(Doing::Echo { stop_on, until: limit.map(|limit| core.now + limit) })
            }),
            Verb::SendDigits { digits, length, gap } => self.begin_task(ask, id, |call, core| {
                let count = digits.chars().filter(|digit| *digit != ',').count();
                let doing = if call.takes_info(core) {
                    check_digits(&digits)?;
                    Doing::SendInfo(Dictated::new(core.now, &digits, length, gap))
                } else {
                    call.send_digits(core, None, (&digits, length, gap))?;
                    Doing::SendDigits
                };
                call.happened(core, What::KeysSent { count });
                Ok(doing)
            }),
            // Early media was all that was asked for; the others never wait for media.
            Verb::Progress
            | Verb::Ring
            | Verb::Answer
            | Verb::Reject { .. }
            | Verb::Hangup
            | Verb::RecordStop { .. }
            | Verb::RecordAs { .. }
            | Verb::Steer { .. }
            | Verb::StopPlay { .. }
            | Verb::Hold { .. }
            | Verb::Resume
            | Verb::Transfer(_)
            | Verb::Sleep(_)
            | Verb::Room(_)
            | Verb::Figures
            | Verb::Mute { .. }
            | Verb::Announce { .. }
            | Verb::Run { .. }
            | Verb::Siprec { .. }
            | Verb::SiprecStop
            | Verb::SiprecMask { .. }
            | Verb::Stream(_)
            | Verb::StreamStop
            | Verb::Mailbox { .. }
            | Verb::Messaging(_)
            | Verb::Registrations { .. }
            | Verb::Pickup { .. }
            | Verb::Retrieve { .. }
            | Verb::SetVar { .. } => Ok(Some(Reply::Done)),
        }
    }

    fn begin_answer(&mut self, ask: Ask, id: CallId) -> Begun {
        self.begin_task(ask, id, |call, core| {
            call.is_idle()?;
            call.answer(core)?;
            Ok(Doing::Answer)
        })
    }

    fn begin_sleep(&mut self, ask: Ask, id: CallId, length: Duration) -> Begun {
        self.begin_task(ask, id, |call, core| {
            call.is_idle()?;
            Ok(Doing::Sleep { until: core.now + length })
        })
    }

    fn begin_record(&mut self, ask: Ask, id: CallId, record: Record) -> Begun {
        if !record.beep {
            let (call, core) = self.call(id).ok_or(Failure::NoSuchCall)?;
            return call.begin_record(core, ask, &record);
        }
        self.begin_task(ask, id, |call, core| {
            let beep = Sound::Tone { tone: Tone::Beep, length: None };
            call.play(core, &[beep])?;
            Ok(Doing::Beep(Box::new(record)))
        })
    }

    fn begin_task(
        &mut self,
        ask: Ask,
        id: CallId,
        begin: impl FnOnce(&mut Call, &mut Core) -> Result<Doing, Failure>,
    ) -> Begun {
        let (call, core) = self.call(id).ok_or(Failure::NoSuchCall)?;
        let doing = begin(call, core)?;
        call.task = Some(Task { ask, doing });
        Ok(None)
    }

    /// The media path of an incoming call is there, or cannot be had.
    pub(super) fn on_media(&mut self, id: CallId, result: Result<(), String>) {
        let Some((call, _)) = self.call(id) else { return };
        match (call.task.take(), result) {
            (Some(Task { ask, doing: Doing::Media(verb) }), Ok(())) => match self.begin_media_verb(ask, id, *verb) {
                Ok(Some(reply)) => self.reply(ask, reply),
                Ok(None) => {}
                Err(failure) => self.reply(ask, Reply::Failed(failure)),
            },
            (None, Err(why)) => self.replacement_without_media(id, &why),
            (Some(Task { ask, doing: Doing::Answer | Doing::Media(_) }), Err(why)) => {
                self.reply(ask, Reply::Failed(Failure::Media(why)));
            }
            (Some(task @ Task { doing: Doing::Dial(_), .. }), Err(why)) => {
                call.task = Some(task);
                self.dial_without_caller(id, why);
            }
            (Some(task @ Task { doing: Doing::Dial(_), .. }), Ok(())) => {
                call.task = Some(task);
                self.early_opened(id);
            }
            (task, _) => call.task = task,
        }
    }

    /// What is due in the call's task.
    pub(super) fn task_timeout(&mut self, id: CallId) {
        self.dictation_timeout(id);
        let Some((call, core)) = self.call(id) else { return };
        let now = core.now;
        let Some(task) = call.task.as_mut().filter(|task| task.timeout().is_some_and(|at| at <= now)) else { return };
        match &mut task.doing {
            Doing::Gather(collector) => {
                let step = collector.handle_timeout(now);
                self.gathered(id, step);
            }
            Doing::Sleep { .. } => self.finish_task(id, Reply::Done),
            Doing::Transfer(_) => self.transfer_over(id, Reply::Failed(Failure::NoAnswer)),
            Doing::Message { .. } => self.finish_task(id, Reply::Failed(Failure::NoAnswer)),
            Doing::Park { slot, .. } => {
                let slot = std::mem::take(slot);
                self.park_is_over(id, slot);
            }
            Doing::Echo { .. } => self.end_echo(id, LeaveReason::Limit),
            Doing::SendInfo(_) => self.dictate(id),
            Doing::Detect(detecting) => {
                let reply = detecting.give_up();
                self.end_detect(id, reply);
            }
            Doing::Answer
            | Doing::Media(_)
            | Doing::Play { .. }
            | Doing::Record(_)
            | Doing::Beep(_)
            | Doing::Dial(_)
            | Doing::Bridge { .. }
            | Doing::Room { .. }
            | Doing::SendDigits => {}
        }
    }

    pub(super) fn end_echo(&mut self, id: CallId, why: LeaveReason) {
        let Some((call, core)) = self.call(id) else { return };
        call.echo(core, false);
        self.finish_task(id, Reply::Left(why));
    }

    /// The task is done.
    pub(super) fn finish_task(&mut self, id: CallId, reply: Reply) {
        if let Some(task) = self.call(id).and_then(|(call, _)| call.task.take()) {
            self.reply(task.ask, reply);
        }
    }

    /// The beep is over: what it announced begins.
    pub(super) fn record_after_beep(&mut self, id: CallId) {
        let Some((call, core)) = self.call(id) else { return };
        match call.task.take() {
            Some(Task { ask, doing: Doing::Beep(record) }) => match call.begin_record(core, ask, &record) {
                Ok(Some(reply)) => self.reply(ask, reply),
                Ok(None) => {}
                Err(failure) => self.reply(ask, Reply::Failed(failure)),
            },
            task => call.task = task,
        }
    }

    /// Drop the task where it is this one; its reply goes another way.
    pub(super) fn end_task_if(&mut self, id: CallId, is: impl Fn(&Doing) -> bool) {
        if let Some((call, _)) = self.call(id)
            && call.task.as_ref().is_some_and(|task| is(&task.doing))
        {
            call.task = None;
        }
    }
}

impl Call {
    fn is_idle(&self) -> Result<(), Failure> {
        if self.task.is_none() { Ok(()) } else { Err(Failure::WrongState) }
    }

    fn set_var(&mut self, core: &Core, name: String, value: Option<String>) -> Begun {
        if self.recorded {
            return Err(Failure::HungUp);
        }
        let vars = &mut self.about.vars;
        match value {
            None => {
                vars.remove(&name);
            }
            Some(value) => {
                if vars.len() >= core.config.limits.vars && !vars.contains_key(&name) {
                    return Err(Failure::Limit("variables of a call"));
                }
                vars.insert(name, value);
            }
        }
        Ok(Some(Reply::Done))
    }

    pub(super) fn echo(&mut self, core: &mut Core, on: bool) {
        if let Some(port) = self.port.open().map(|open| open.id) {
            self.command(core, Command::Echo { port, on });
        }
    }

    fn begin_record(&mut self, core: &mut Core, ask: Ask, how: &Record) -> Begun {
        let recording = self.record(core, how)?;
        if !how.wait {
            return Ok(Some(Reply::Recording(recording)));
        }
        self.await_recording(recording, ask);
        self.task = Some(Task { ask, doing: Doing::Record(recording) });
        Ok(None)
    }
}
