//! The grammar that headers share, of RFC 9110: lists over several lines, quoted strings, parameters, weights and
//! entity tags.

use axum::http::{HeaderMap, HeaderName};

/// An entity tag, such as `"7"` or `W/"7"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntityTag {
    pub weak: bool,
    /// The text in the quotes. It may hold bytes that are not ASCII.
    pub opaque: Vec<u8>,
}

/// The value of `If-Match` or `If-None-Match`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntityTags {
    /// `*`
    Any,
    /// At least one.
    List(Vec<EntityTag>),
}

/// All lines of a header as one list of entity tags; `None` if there is no line. The error says what is wrong.
pub fn entity_tags(headers: &HeaderMap, name: &HeaderName) -> Result<Option<EntityTags>, &'static str> {
    let (mut tags, mut any, mut sent) = (Vec::new(), false, false);
    for line in headers.get_all(name) {
        sent = true;
        let mut rest = line.as_bytes();
        loop {
            // Empty elements are left out, as section 5.6.1 asks of recipients.
            rest = skip(rest, |byte| is_space(byte) || byte == b',');
            let Some(first) = rest.first() else { break };
            if *first == b'*' {
                any = true;
                rest = &rest[1..];
            } else {
                let (tag, after) = entity_tag(rest)?;
                tags.push(tag);
                rest = after;
            }
            rest = skip(rest, is_space);
            if rest.first().is_some_and(|byte| *byte != b',') {
                return Err("a comma is missing between two of its tags");
            }
        }
    }
    match (any, tags.is_empty()) {
        (true, true) => Ok(Some(EntityTags::Any)),
        (true, false) => Err("* stands alone"),
        (false, false) => Ok(Some(EntityTags::List(tags))),
        (false, true) if sent => Err("it is empty"),
        (false, true) => Ok(None),
    }
}

/// The tag at the beginning, and the bytes after it. A backslash is a character like any other.
fn entity_tag(bytes: &[u8]) -> Result<(EntityTag, &[u8]), &'static str> {
    let (weak, quoted) = match bytes.strip_prefix(b"W/") {
        Some(rest) => (true, rest),
        None => (false, bytes),
    };
    let Some(inner) = quoted.strip_prefix(b"\"") else {
        return Err("a tag stands in quotes, as ETag gave it (\"7\"), or after W/ in quotes (W/\"7\")");
    };
    let Some(end) = inner.iter().position(|byte| *byte == b'"') else {
        return Err("a tag has no quote at its end");
    };
    let (opaque, after) = (&inner[..end], &inner[end + 1..]);
    if !opaque.iter().all(|byte| *byte > b' ' && *byte != 0x7f) {
        return Err("a tag holds a space or a control character");
    }
    Ok((EntityTag { weak, opaque: opaque.to_vec() }, after))
}

fn is_space(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

fn skip(bytes: &[u8], takes: impl Fn(u8) -> bool) -> &[u8] {
    let start = bytes.iter().position(|byte| !takes(*byte)).unwrap_or(bytes.len());
    &bytes[start..]
}

/// The parts between separators that are not inside a quoted string, without white space around them. Empty ones are
/// left out.
pub fn split(text: &str, separator: char) -> Vec<&str> {
    let (mut parts, mut start, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (index, char) in text.char_indices() {
        match char {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if char == separator && !quoted => {
                parts.push(&text[start..index]);
                start = index + char.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts.into_iter().map(trimmed).filter(|part| !part.is_empty()).collect()
}

fn trimmed(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// A token or quoted string as its value; `None` for a quoted string without an end, or with text after it.
pub fn value(text: &str) -> Option<String> {
    let Some(rest) = text.strip_prefix('"') else { return Some(text.to_owned()) };
    let (mut value, mut chars) = (String::new(), rest.chars());
    loop {
        match chars.next()? {
            '"' => return chars.next().is_none().then_some(value),
            '\\' => value.push(chars.next()?),
            char => value.push(char),
        }
    }
}

/// A token of RFC 9110, section 5.6.2.
pub fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// `name=value`, the name in small letters.
fn parameter(text: &str) -> Option<(String, String)> {
    let (name, text) = text.split_once('=')?;
    let value = value(text)?;
    (is_token(name) && (text.starts_with('"') || is_token(text))).then(|| (name.to_ascii_lowercase(), value))
}

/// A media type, such as `application/json; charset=utf-8`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaType {
    /// Type and subtype in small letters.
    pub essence: String,
    /// Names in small letters, and values.
    pub parameters: Vec<(String, String)>,
}

impl MediaType {
    /// The media type of that text, if it is one.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = split(text, ';').into_iter();
        let essence = parts.next()?;
        let (kind, subtype) = essence.split_once('/')?;
        let parameters = parts.map(parameter).collect::<Option<Vec<_>>>()?;
        let fits = is_token(kind) && is_token(subtype) && !text.trim_start().starts_with(';');
        fits.then(|| Self { essence: essence.to_ascii_lowercase(), parameters })
    }

    /// The one media type that the headers name.
    pub fn of(headers: &HeaderMap, name: &HeaderName) -> Option<Self> {
        let mut values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        let first = Self::parse(values.next()?)?;
        values.all(|other| Self::parse(other).as_ref() == Some(&first)).then_some(first)
    }

    /// The value of a parameter.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Whether its text is UTF-8: said, or left to the default.
    pub fn is_utf8(&self) -> bool {
        let utf8 = |name: &str| ["utf-8", "utf8"].iter().any(|known| name.eq_ignore_ascii_case(known));
        self.parameters.iter().filter(|(name, _)| name == "charset").all(|(_, value)| utf8(value))
    }
}

/// The elements of a header with weights, such as `Accept-Language`: each without its parameters, in small letters, and
/// its weight in thousandths. A weight that cannot be read is 0.
pub fn weighted(headers: &HeaderMap, name: &HeaderName) -> Vec<(String, u16)> {
    let lines = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    let read = |element: &str| {
        let mut parts = split(element, ';').into_iter();
        let named = parts.next()?.to_ascii_lowercase();
        let weight = parts.find_map(|part| {
            let (name, weight) = part.split_once('=')?;
            trimmed(name).eq_ignore_ascii_case("q").then(|| thousandths(trimmed(weight)).unwrap_or(0))
        });
        Some((named, weight.unwrap_or(1_000)))
    };
    lines.flat_map(|line| split(line, ',')).filter_map(read).collect()
}

/// `0.8` as 800: at most three digits after the point, and at most 1.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    if !["0", "1"].contains(&whole) || part.len() > 3 || !part.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let part: u16 = format!("{part:0<3}").parse().ok()?;
    let weight = whole.parse::<u16>().ok()? * 1_000 + part;
    (weight <= 1_000).then_some(weight)
}

/// The languages that a client understands, the preferred one first; `*` and those it does not want are left out.
pub fn languages(headers: &HeaderMap) -> Vec<String> {
    let mut all = weighted(headers, &axum::http::header::ACCEPT_LANGUAGE);
    all.retain(|(tag, weight)| *weight > 0 && tag != "*");
    // A stable sort: of equal weight, the first.
    all.sort_by_key(|(_, weight)| std::cmp::Reverse(*weight));
    all.into_iter().map(|(tag, _)| tag).collect()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use axum::http::header::{ACCEPT, ACCEPT_LANGUAGE, CONTENT_TYPE, IF_MATCH};

    use super::*;

    fn with(name: &HeaderName, values: &[&[u8]]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name, HeaderValue::from_bytes(value).unwrap());
        }
        headers
    }

    fn tags(values: &[&str]) -> Result<Option<Vec<String>>, &'static str> {
        let values: Vec<_> = values.iter().map(|value| value.as_bytes()).collect();
        let read = entity_tags(&with(&IF_MATCH, &values), &IF_MATCH)?;
        Ok(read.map(|read| match read {
            EntityTags::Any => vec!["*".to_owned()],
            EntityTags::List(tags) => tags
                .iter()
                .map(|tag| {
                    let weak = if tag.weak { "W/" } else { "" };
                    format!("{weak}{}", String::from_utf8_lossy(&tag.opaque))
                })
                .collect(),
        }))
    }

    #[test]
    fn entity_tags_are_read_as_rfc_9110_writes_them() {
        for (sent, read) in [
            (&["\"7\""][..], &["7"][..]),
            (&["*"], &["*"]),
            (&[" *\t"], &["*"]),
            (&["\"1\", \"2\",W/\"3\"\t , \"\""], &["1", "2", "W/3", ""]),
            (&["\"1\"", "W/\"2\", \"3\""], &["1", "W/2", "3"]),
            (&[",, \"1\" ,,"], &["1"]),
            (&["", "\"1\""], &["1"]),
            (&["\"a,b\", \"c\\\", \"*\""], &["a,b", "c\\", "*"]),
            (&["\"é\""], &["é"]),
        ] {
            let read: Vec<_> = read.iter().map(|&tag| tag.to_owned()).collect();
            assert_eq!(tags(sent), Ok(Some(read)), "{sent:?}");
        }
        assert_eq!(tags(&[]), Ok(None));
    }

    #[test]
    fn a_malformed_list_of_entity_tags_is_refused_with_the_reason() {
        for (sent, says) in [
            (&["7"][..], "in quotes"),
            (&["w/\"7\""], "in quotes"),
            (&["W/ \"7\""], "in quotes"),
            (&["W/7"], "in quotes"),
            (&["'7'"], "in quotes"),
            (&["\"7"], "no quote at its end"),
            (&["\"7 8\""], "a space"),
            (&["\"7\" \"8\""], "a comma is missing"),
            (&["\"7\"8"], "a comma is missing"),
            (&["**"], "a comma is missing"),
            (&["*, \"7\""], "* stands alone"),
            (&["\"7\"", "*"], "* stands alone"),
            (&[""], "empty"),
            (&[" , ,"], "empty"),
        ] {
            let message = tags(sent).unwrap_err();
            assert!(message.contains(says), "{sent:?}: {message}");
        }
    }

    #[test]
    fn a_separator_inside_a_quoted_string_separates_nothing() {
        assert_eq!(split("a, \"b, c\\\", d\" ,, e", ','), ["a", "\"b, c\\\", d\"", "e"]);
        assert_eq!(value("\"b, \\\"c\\\"\"").as_deref(), Some("b, \"c\""));
        assert_eq!(value("plain").as_deref(), Some("plain"));
        for broken in ["\"open", "\"open\\\"", "\"closed\"more"] {
            assert_eq!(value(broken), None, "{broken}");
        }
    }

    #[test]
    fn a_media_type_has_parameters_in_any_order_and_case() {
        let read = |text: &str| MediaType::parse(text);
        for json in [
            "application/json",
            "Application/JSON ; Charset=\"UTF-8\"",
            "application/json;profile=\"a;b\";charset=utf-8",
            "application/json;",
        ] {
            let read = read(json).unwrap();
            assert_eq!((read.essence.as_str(), read.is_utf8()), ("application/json", true), "{json}");
        }
        let latin = read("application/json; charset=utf-8; charset=latin1").unwrap();
        assert!(!latin.is_utf8());
        assert_eq!(latin.parameter("charset"), Some("utf-8"));
        for bad in
            ["", "json", "application/", "application/json; charset", "a b/c", ";a/b", "a/b; =1", "a/b;c=\"d"]
        {
            assert_eq!(read(bad), None, "{bad}");
        }
        let of = |values: &[&[u8]]| MediaType::of(&with(&CONTENT_TYPE, values), &CONTENT_TYPE);
        assert!(of(&[b"a/b", b"A/B"]).is_some());
        assert_eq!(of(&[b"a/b", b"a/c"]), None);
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn languages_come_in_the_order_of_their_weights() {
        let read = |values: &[&[u8]]| languages(&with(&ACCEPT_LANGUAGE, values));
        assert_eq!(read(&[b"en;q=0.1, zh-CN"]), ["zh-cn", "en"]);
        assert_eq!(read(&[b"fr, zh;q=0.9", b"en;q=0.9;x=1, *;q=0.1, de;q=0"]), ["fr", "zh", "en"]);
        assert_eq!(read(&[b"en; Q = 0.5 ,zh;q=0.75"]), ["zh", "en"]);
        assert_eq!(read(&[b"en;q=2, zh;q=0.1234, de;q=much"]), Vec::<String>::new());
        assert_eq!(read(&[b"\xff"]), Vec::<String>::new());
    }

    #[test]
    fn a_weight_is_a_number_from_0_to_1_with_three_digits() {
        let of = |text: &[u8]| weighted(&with(&ACCEPT, &[text]), &ACCEPT);
        for (text, weight) in [
            ("1", 1_000),
            ("1.000", 1_000),
            ("0", 0),
            ("0.", 0),
            ("0.8", 800),
            ("0.125", 125),
            ("1.001", 0),
            ("-1", 0),
        ] {
            assert_eq!(of(format!("a/b;q={text}").as_bytes()), [("a/b".to_owned(), weight)], "{text}");
        }
        assert_eq!(of(b"a/b;x=\"q=0, c/d\", e/f"), [("a/b".to_owned(), 1_000), ("e/f".to_owned(), 1_000)]);
    }
}
