//! The Reason header field (RFC 3326): why a request or a refusal came, in the words of SIP or of ISDN (Q.850).

use std::fmt;

use super::Headers;

/// Longest Reason that is kept, in bytes.
const LONGEST: usize = 256;

/// All values of one message, as they came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason(String);

impl Reason {
    /// What a message says; `None`: nothing, or too much.
    pub fn of(headers: &Headers) -> Option<Reason> {
        let values: Vec<&str> = headers.all("Reason").collect();
        let text = values.join(", ");
        let fit = !text.is_empty() && text.len() <= LONGEST && !text.contains(char::is_control);
        fit.then_some(Reason(text))
    }

    /// The Q.850 cause, 1 to 127, where there is one (RFC 3326 section 2).
    pub fn cause(&self) -> Option<u8> {
        let q850 = self.0.split(',').find(|one| {
            let protocol = one.split(';').next().unwrap_or_default();
            protocol.trim().eq_ignore_ascii_case("Q.850")
        })?;
        let cause = q850.split(';').skip(1).find_map(|param| {
            let (name, value) = param.split_once('=')?;
            name.trim().eq_ignore_ascii_case("cause").then_some(value.trim())
        })?;
        cause.parse().ok().filter(|cause| (1..=127).contains(cause))
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
