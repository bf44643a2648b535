//! Descriptions of a recording session (RFC 7866 section 7.1): two lines, each with what one side of a call says, which
//! only we send. Labels (RFC 4574) tie them to the recording's metadata.

use super::{Agreed, Local, Refusal, Session, accept, answer, negotiate::refused, offer};

/// Our offer: a line for each of the two, labelled 1 and 2.
pub fn offer_both(locals: &[Local; 2]) -> Session {
    let lines = locals.iter().zip(1..).flat_map(|(local, label)| {
        let mut lines = offer(local).media;
        lines.iter_mut().for_each(|line| line.label = Some(label));
        lines
    });
    locals[0].session(lines.collect())
}

/// What the recorder's answer makes of our `offer`, line by line: a recorder may well want only one.
pub fn accept_both(offer: &Session, theirs: &Session, locals: &[Local; 2]) -> [Result<Agreed, Refusal>; 2] {
    [0, 1].map(|at| accept(&line(offer, at), &line(theirs, at), &locals[at]))
}

/// Our answer to a description of the recorder's own, with the same two lines, and what each comes to.
pub fn answer_both(theirs: &Session, locals: &[Local; 2]) -> (Session, [Result<Agreed, Refusal>; 2]) {
    let mut lines: Vec<_> = theirs.media.iter().map(refused).collect();
    let taken = [(0, 1), (1, 2)].map(|(at, label)| {
        let (ours, agreed) = answer(&line(theirs, at), &locals[at])?;
        for (place, mut line) in lines.iter_mut().skip(at).zip(ours.media) {
            line.label = Some(label);
            *place = line;
        }
        Ok(agreed)
    });
    (locals[0].session(lines), taken)
}

/// As if there were only this line.
fn line(session: &Session, at: usize) -> Session {
    Session { media: session.media.iter().skip(at).take(1).cloned().collect(), ..session.clone() }
}
