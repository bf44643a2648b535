//! Descriptions of a recording session (RFC 7866 section 7.1): two lines, each with what one side of a call says, which
//! only we send. Labels (RFC 4574) tie them to the recording's metadata.

use super::{Agreed, Local, Refusal, Session, accept, offer};

/// Our offer: a line for each of the two, labelled 1 and 2.
pub fn offer_both(locals: &[Local; 2]) -> Session {
    let lines = locals.iter().zip(1..).flat_map(|(local, label)| {
        let mut lines = offer(local).media;
        lines.iter_mut().for_each(|line| line.label = Some(label));
        lines
    });
    locals[0].session(lines.collect())
}

/// What the recorder's description, be it an answer or an offer of its own, makes of our `offer`, line by line: a
/// recorder may well want only one.
pub fn accept_both(offer: &Session, theirs: &Session, locals: &[Local; 2]) -> [Result<Agreed, Refusal>; 2] {
    [0, 1].map(|at| {
        let line = |session: &Session| Session {
            media: session.media.iter().skip(at).take(1).cloned().collect(),
            ..session.clone()
        };
        accept(&line(offer), &line(theirs), &locals[at])
    })
}
