//! The words SIP is written in (RFC 3261 section 25.1): tokens, quoted strings, parameters, lists.

/// Parameters in order: name, and value where there is one. A quoted value keeps its quotes, so that it prints as it came.
pub type Params = Vec<(String, Option<String>)>;

/// By byte: may it stand in a token?
const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0u8;
    while byte < 0x7f {
        table[byte as usize] = byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~');
        byte += 1;
    }
    table
};

/// True for the bytes of a token.
pub(super) const fn is_token_byte(byte: u8) -> bool {
    TOKEN[byte as usize]
}

/// True for a token, which is never empty.
pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token_byte)
}

/// True for what may stand in a Call-ID: the RFC's `word ["@" word]`. Several `@` are let through; they harm nobody.
pub(super) fn is_call_id(text: &str) -> bool {
    let word = |b| is_token_byte(b) || b"()<>:\\\"/[]?{}@".contains(&b);
    !text.is_empty() && text.bytes().all(word)
}

/// Where `separator` first stands outside quotes and angle brackets.
pub(super) fn find_outside(text: &str, separator: u8) -> Option<usize> {
    let (mut quoted, mut escaped, mut angle) = (false, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' if !angle => quoted = !quoted,
            _ if quoted => {}
            b'<' => angle = true,
            b'>' => angle = false,
            _ if byte == separator && !angle => return Some(at),
            _ => {}
        }
    }
    None
}

/// The elements of a comma list, trimmed; the whole text where it is no list. An empty element among others is yielded
/// as such: who reads it decides.
pub(super) fn list(text: &str, is_list: bool) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let now = rest?;
        let end = if is_list { find_outside(now, b',') } else { None };
        rest = end.map(|at| &now[at + 1..]);
        Some(trim(&now[..end.unwrap_or(now.len())]))
    })
}

/// Without the white space around it.
pub(super) fn trim(text: &str) -> &str {
    text.trim_ascii()
}

/// Cuts at the first `at`, which is ASCII. Half the time of `split_once`, which is made for longer texts.
pub(super) fn cut(text: &str, at: u8) -> Option<(&str, &str)> {
    let end = text.bytes().position(|b| b == at)?;
    Some((&text[..end], &text[end + 1..]))
}

/// Cuts before the first `at`; where there is none, behind everything.
pub(super) fn cut_before(text: &str, at: u8) -> (&str, &str) {
    text.split_at(text.bytes().position(|b| b == at).unwrap_or(text.len()))
}

/// Reads a quoted string at the start of `text`: what it says, and what follows it.
pub(super) fn quoted(text: &str) -> Option<(String, &str)> {
    let inside = text.strip_prefix('"')?;
    let mut said = String::new();
    let mut from = 0;
    let bytes = inside.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => {
                said.push_str(&inside[from..at]);
                return Some((said, &inside[at + 1..]));
            }
            // A backslash quotes one ASCII character (RFC 3261: quoted-pair).
            b'\\' => {
                said.push_str(&inside[from..at]);
                from = at + 1;
                at += 2;
            }
            _ => at += 1,
        }
    }
    None
}

/// Writes `text` as a quoted string.
pub(super) fn write_quoted(out: &mut impl std::fmt::Write, text: &str) -> std::fmt::Result {
    out.write_char('"')?;
    for char in text.chars() {
        match char {
            '\r' | '\n' => out.write_char(' ')?, // cannot be quoted
            '\t' => out.write_char('\t')?,
            '"' | '\\' | '\0'..='\x1f' | '\x7f' => {
                out.write_char('\\')?;
                out.write_char(char)?;
            }
            _ => out.write_char(char)?,
        }
    }
    out.write_char('"')
}

/// Reads `;name=value;name` up to the end of `text`.
pub(super) fn params(text: &str) -> Result<Params, &'static str> {
    match params_read(text) {
        (params, None) => Ok(params),
        (_, Some(fault)) => Err(fault),
    }
}

/// The same, but the parameters before the first fault are kept.
pub(super) fn params_read(text: &str) -> (Params, Option<&'static str>) {
    let mut params = Params::new();
    let mut rest = trim(text);
    while !rest.is_empty() {
        let Some(now) = rest.strip_prefix(';') else {
            return (params, Some("something else where a parameter should be"));
        };
        let end = find_outside(now, b';').unwrap_or(now.len());
        match param(&now[..end]) {
            Ok(param) => params.push(param),
            Err(fault) => return (params, Some(fault)),
        }
        rest = &now[end..];
    }
    (params, None)
}

fn param(text: &str) -> Result<(String, Option<String>), &'static str> {
    let (name, value) = match cut(text, b'=') {
        Some((name, value)) => (trim(name), Some(trim(value))),
        None => (trim(text), None),
    };
    if !is_token(name) {
        return Err("a parameter without a proper name");
    }
    if let Some(value) = value {
        check_value(value)?;
    }
    Ok((name.to_owned(), value.map(str::to_owned)))
}

/// A token, a host or a quoted string; more than that is let through, but nothing that could be taken for something else.
fn check_value(value: &str) -> Result<(), &'static str> {
    if value.starts_with('"') {
        return match quoted(value) {
            Some((_, "")) => Ok(()),
            _ => Err("a parameter with unbalanced quotes"),
        };
    }
    if value.bytes().any(|b| is_improper(b) || b == b',') || has_unreadable(value) {
        return Err("a parameter with an improper value");
    }
    Ok(())
}

/// True for what can stand neither in an address nor in a parameter's value.
pub(super) const fn is_improper(byte: u8) -> bool {
    matches!(byte, 0..=b' ' | 0x7f | b'<' | b'>' | b'"')
}

/// True where bytes came that were no UTF-8.
pub(super) fn has_unreadable(text: &str) -> bool {
    !text.is_ascii() && text.contains('\u{fffd}')
}

/// The value of the parameter `name`: `Some(None)` where it stands without one.
pub(super) fn find_param<'a>(params: &'a Params, name: &str) -> Option<Option<&'a str>> {
    params.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_deref())
}

/// Sets the parameter `name`, in its place or at the end.
pub(super) fn set_param(params: &mut Params, name: &str, value: Option<String>) {
    match params.iter_mut().find(|(n, _)| n.eq_ignore_ascii_case(name)) {
        Some((_, old)) => *old = value,
        None => params.push((name.to_owned(), value)),
    }
}

/// Writes the parameters, each with its semicolon.
pub(super) fn write_params(out: &mut impl std::fmt::Write, params: &Params) -> std::fmt::Result {
    for (name, value) in params {
        out.write_char(';')?;
        out.write_str(name)?;
        if let Some(value) = value {
            out.write_char('=')?;
            out.write_str(value)?;
        }
    }
    Ok(())
}

/// Reads `host` or `host:port`, white space allowed around the colon (RFC 3261: COLON). The host keeps its brackets.
pub(super) fn host_port(text: &str) -> Result<(String, Option<u16>), &'static str> {
    let end = match text.starts_with('[').then(|| text.find(']')).flatten() {
        Some(at) => at + 1,
        None => text.bytes().position(|b| matches!(b, b':' | b' ' | b'\t')).unwrap_or(text.len()),
    };
    let (host, rest) = text.split_at(end);
    let host = read_host(host)?;
    let rest = trim(rest);
    if rest.is_empty() {
        return Ok((host, None));
    }
    let digits = rest.strip_prefix(':').map(trim).ok_or("something else where a port should be")?;
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err("an improper port");
    }
    digits.parse().map(|port| (host, Some(port))).map_err(|_| "a port beyond 65535")
}

/// A name (with the underscores that some use), an IPv4 address, or an IPv6 address in brackets.
fn read_host(host: &str) -> Result<String, &'static str> {
    if let Some(inside) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        // RFC 3261's grammar makes three colons before an IPv4 tail; to be taken as two (RFC 5118 section 4.10).
        let host = if inside.contains('.') { host.replacen(":::", "::", 1) } else { host.to_owned() };
        let address = host[1..host.len() - 1].parse::<std::net::Ipv6Addr>();
        return address.map(|_| host).map_err(|_| "an improper IPv6 address");
    }
    let name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    if !host.is_empty() && host.bytes().all(name) { Ok(host.to_owned()) } else { Err("an improper host") }
}
