//! Reading what stands behind `Digest` in the four headers of authentication.

use crate::sip::text;

/// The parameters of a Digest header, names in lower case; none where it is another scheme or no proper list. Of a name
/// that stands twice, the first counts.
pub(super) fn params(header: &str) -> Option<Vec<(String, String)>> {
    let header = header.trim_ascii();
    let (scheme, rest) = header.split_once([' ', '\t'])?;
    if !scheme.eq_ignore_ascii_case("Digest") {
        return None;
    }
    text::list(rest, true).filter(|one| !one.is_empty()).map(param).collect()
}

fn param(one: &str) -> Option<(String, String)> {
    let (name, value) = text::cut(one, b'=')?;
    let (name, value) = (text::trim(name), text::trim(value));
    let value = if value.starts_with('"') {
        let (said, rest) = text::quoted(value)?;
        rest.is_empty().then_some(said)?
    } else {
        value.to_owned()
    };
    text::is_token(name).then(|| (name.to_ascii_lowercase(), value))
}

/// The value of the parameter `name`.
pub(super) fn find<'a>(params: &'a [(String, String)], name: &str) -> Option<&'a str> {
    params.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
}

/// Who an Authorization or Proxy-Authorization header says to be, before anything is checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The username.
    pub user: String,
    /// For which realm.
    pub realm: String,
}

/// Reads who `header` says to be; none where it is no Digest answer.
pub fn claim(header: &str) -> Option<Claim> {
    let params = params(header)?;
    let take = |name| find(&params, name).map(str::to_owned);
    Some(Claim { user: take("username")?, realm: take("realm")? })
}
