//! An address with a display name and parameters: From, To, Contact, Route and their kin (RFC 3261 section 20.10).

use std::{fmt, str::FromStr};

use super::{
    Malformed, Uri,
    text::{self, Params},
};

/// `"Display" <uri>;params`, parsed once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameAddr {
    /// The display name without quotes and backslashes.
    pub display: Option<String>,
    /// The address.
    pub uri: Uri,
    /// The header's own parameters, in order.
    pub params: Params,
}

impl NameAddr {
    /// Without display name and parameters.
    pub fn new(uri: Uri) -> NameAddr {
        NameAddr { display: None, uri, params: Vec::new() }
    }

    /// Reads one value of such a header.
    pub fn parse(text: &str) -> Result<NameAddr, Malformed> {
        Ok(NameAddr::read(text)?)
    }

    pub(super) fn read(text: &str) -> Result<NameAddr, &'static str> {
        let text = text::trim(text);
        let (display, rest) = match text::quoted(text) {
            Some((said, rest)) => (Some(said), text::trim(rest)),
            None if text.starts_with('"') => return Err("a display name with unbalanced quotes"),
            None => match text.bytes().position(|b| b == b'<') {
                Some(0) => (None, text),
                // Characters that would need quotes are let through; what is meant is plain enough.
                Some(at) => (Some(text::trim(&text[..at]).to_owned()), &text[at..]),
                None => return NameAddr::read_bare(text),
            },
        };
        let inside = rest.strip_prefix('<').ok_or("no address behind the display name")?;
        let (uri, params) = text::cut(inside, b'>').ok_or("an address without its closing bracket")?;
        Ok(NameAddr { display, uri: Uri::read(uri)?, params: text::params(params)? })
    }

    /// Without brackets, parameters are the header's, and what could be the address's own must not be there (20.10).
    fn read_bare(text: &str) -> Result<NameAddr, &'static str> {
        let (uri, params) = text::cut_before(text, b';');
        if uri.contains([',', '?']) {
            return Err("an address that needs angle brackets and has none");
        }
        Ok(NameAddr { display: None, uri: Uri::read(text::trim(uri))?, params: text::params(params)? })
    }

    /// The tag, where there is one.
    pub fn tag(&self) -> Option<&str> {
        self.param("tag").flatten().filter(|tag| !tag.is_empty())
    }

    /// Sets the tag, in its place or at the end.
    pub fn set_tag(&mut self, tag: &str) {
        self.set_param("tag", Some(tag));
    }

    /// The value of a header parameter: `Some(None)` where it stands without one.
    pub fn param(&self, name: &str) -> Option<Option<&str>> {
        text::find_param(&self.params, name)
    }

    /// Sets a header parameter, in its place or at the end.
    pub fn set_param(&mut self, name: &str, value: Option<&str>) {
        text::set_param(&mut self.params, name, value.map(str::to_owned));
    }
}

impl FromStr for NameAddr {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<NameAddr, Malformed> {
        NameAddr::parse(text)
    }
}

impl fmt::Display for NameAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(display) = &self.display {
            text::write_quoted(f, display)?;
            f.write_str(" ")?;
        }
        write!(f, "<{}>", self.uri)?;
        text::write_params(f, &self.params)
    }
}
