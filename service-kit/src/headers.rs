//! The request headers that the shop understands, each read in one place, with a clear refusal of a malformed one.

use std::fmt;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use soonshop_domain::ActorKind;
use soonshop_domain::ids::LOG;
use soonshop_domain::reasons;
use uuid::Uuid;

use crate::grammar::{self, EntityTag, EntityTags, entity_tags};
use crate::problem::{Kind, Problem};
pub use crate::trace::{TRACEPARENT, TraceParent};

pub const CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");
pub const EVENT_POSITION: HeaderName = HeaderName::from_static("event-position");
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
pub const IF_MATCH: HeaderName = axum::http::header::IF_MATCH;
pub const IF_NONE_MATCH: HeaderName = axum::http::header::IF_NONE_MATCH;
pub const ON_BEHALF_OF: HeaderName = HeaderName::from_static("x-on-behalf-of");
pub const PREFER: HeaderName = HeaderName::from_static("prefer");
pub const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
pub const REASON: HeaderName = HeaderName::from_static("x-reason");
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest time that a query waits for its read model, whatever the client asks.
pub const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// For the API's description: what every `If-Match` and `If-None-Match` that can be read looks like.
pub const ENTITY_TAGS_PATTERN: &str = r#"^[ \t,]*(\*|(W/)?"[^"]*"([ \t]*,[ \t,]*(W/)?"[^"]*")*)[ \t,]*$"#;
/// For the API's description: what every `Event-Position` that can be read looks like.
pub const EVENT_POSITION_PATTERN: &str = "^([a-z0-9_-]{1,63}:)?[0-9]+$";
/// For the API's description: what every `Idempotency-Key` that can be read looks like.
pub const IDEMPOTENCY_KEY_PATTERN: &str = "^[!-~]+$";

fn refused(header: &str, detail: String) -> Problem {
    Problem::new(Kind::Malformed, "invalid-header", detail).with("header", header)
}

/// The one value of a header, if it was sent. Two of them contradict each other.
fn single<'h>(headers: &'h HeaderMap, name: &HeaderName, shown: &str) -> Result<Option<&'h str>, Problem> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(refused(shown, format!("{shown} was sent more than once")));
    }
    match value.to_str() {
        Ok(text) => Ok(Some(text.trim())),
        Err(_) => Err(refused(shown, format!("{shown} holds bytes that are not visible ASCII"))),
    }
}

/// A header of 1 to `most` ASCII characters that `takes` allows, if it was sent.
pub fn ascii(
    headers: &HeaderMap,
    name: &HeaderName,
    shown: &'static str,
    most: usize,
    takes: fn(u8) -> bool,
) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    if values.next().is_some() || !(1..=most).contains(&text.len()) || !text.bytes().all(takes) {
        return Err(refused(shown, format!("{shown} is one value of 1 to {most} visible ASCII characters")));
    }
    Ok(Some(text.to_owned()))
}

/// `X-Reason`: the code of a reason, stored in clear beside what is done.
pub fn reason(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let sent = single(headers, &REASON, "X-Reason")?;
    if let Some(sent) = sent {
        reasons::check(sent).map_err(|error| refused("X-Reason", error.to_string()))?;
    }
    Ok(sent.map(str::to_owned))
}

/// A customer or a guest on whose behalf a caller acts.
pub struct Represented {
    kind: ActorKind,
    pub id: Uuid,
}

impl Represented {
    /// Whether it is named as a guest: a buyer without an account.
    pub fn is_guest(&self) -> bool {
        self.kind == ActorKind::Guest
    }
}

impl fmt::Display for Represented {
    /// As it is stored.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind, self.id)
    }
}

/// `X-On-Behalf-Of`: the customer or guest for whom the caller acts.
pub fn on_behalf_of(headers: &HeaderMap) -> Result<Option<Represented>, Problem> {
    let sent = ascii(headers, &ON_BEHALF_OF, "X-On-Behalf-Of", 64, |b| b.is_ascii_graphic())?;
    let read = |text: String| {
        let (kind, id) = text.split_once(':')?;
        let kind = kind.parse().ok().filter(|kind| matches!(kind, ActorKind::Customer | ActorKind::Guest))?;
        Some(Represented { kind, id: Uuid::try_parse(id).ok()? })
    };
    let wrong = || {
        let detail = "X-On-Behalf-Of is customer:<id of a user> or guest:<id>";
        refused("X-On-Behalf-Of", detail.to_owned())
    };
    sent.map(|text| read(text).ok_or_else(wrong)).transpose()
}

/// `If-Match`: which versions the client has seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IfMatch {
    /// `*`: any version of an existing entity.
    Any,
    /// `"7"`, or `"7", "8"`: one of these, the newest first. A weak tag matches none (the comparison is strong, RFC
    /// 9110, section 13.1.1), and neither does a tag that no version has.
    OneOf(Vec<i64>),
}

impl IfMatch {
    pub fn optional(headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        let tags = entity_tags(headers, &IF_MATCH).map_err(|why| malformed_tags("If-Match", why))?;
        Ok(tags.map(|tags| match tags {
            EntityTags::Any => Self::Any,
            EntityTags::List(tags) => {
                let mut versions: Vec<i64> =
                    tags.iter().filter(|tag| !tag.weak).filter_map(version_of).collect();
                versions.sort_unstable_by_key(|version| std::cmp::Reverse(*version));
                versions.dedup();
                Self::OneOf(versions)
            }
        }))
    }

    /// Whether it names this version of an existing entity.
    pub fn names(&self, version: i64) -> bool {
        match self {
            Self::Any => version > 0,
            Self::OneOf(versions) => versions.contains(&version),
        }
    }

    /// 428 where it was not sent.
    pub fn required(headers: &HeaderMap) -> Result<Self, Problem> {
        Self::optional(headers)?.ok_or_else(|| {
            let detail = "send If-Match with the version that you have seen (its ETag), or *";
            Problem::precondition_required("if-match-required", detail).with("header", "If-Match")
        })
    }
}

/// Its meaning: the same for the same versions, in whatever order and on however many lines they were sent.
impl fmt::Display for IfMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::OneOf(versions) => {
                for (index, version) in versions.iter().enumerate() {
                    write!(f, "{}\"{version}\"", if index == 0 { "" } else { ", " })?;
                }
                Ok(())
            }
        }
    }
}

/// `If-None-Match`: which versions the client has a copy of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IfNoneMatch {
    /// `*`: any.
    Any,
    /// The comparison is weak: `W/"7"` is `"7"`.
    OneOf(Vec<i64>),
}

impl IfNoneMatch {
    pub fn optional(headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        let tags =
            entity_tags(headers, &IF_NONE_MATCH).map_err(|why| malformed_tags("If-None-Match", why))?;
        Ok(tags.map(|tags| match tags {
            EntityTags::Any => Self::Any,
            EntityTags::List(tags) => Self::OneOf(tags.iter().filter_map(version_of).collect()),
        }))
    }

    /// Whether the client has this version.
    pub fn has(&self, version: i64) -> bool {
        match self {
            Self::Any => true,
            Self::OneOf(versions) => versions.contains(&version),
        }
    }
}

fn malformed_tags(header: &str, why: &str) -> Problem {
    refused(header, format!("{header} is a list of tags as ETag gave them (\"7\"), or *: {why}"))
}

/// The version that a tag names, if it is one of ours. Ours are written in one way: without leading zeros.
fn version_of(tag: &EntityTag) -> Option<i64> {
    let text = std::str::from_utf8(&tag.opaque).ok().filter(|text| !text.starts_with('0'))?;
    number(text)
}

/// Digits only, so that no sign and no space slips through.
fn number(text: &str) -> Option<i64> {
    (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

/// `Idempotency-Key`: a repeated request with the same one is done once. It is sent bare, or as the quoted string of the
/// IETF draft: `"8e03978e"` and `8e03978e` are one key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IdempotencyKey {
    key: String,
    sent: String,
}

impl IdempotencyKey {
    pub fn optional(headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        let Some(sent) = single(headers, &IDEMPOTENCY_KEY, "Idempotency-Key")? else { return Ok(None) };
        let key = grammar::value(sent).unwrap_or_default();
        if !(1..=255).contains(&key.len()) || !key.bytes().all(|b| b.is_ascii_graphic()) {
            let detail =
                "Idempotency-Key is 1 to 255 visible ASCII characters without spaces, bare or in quotes";
            return Err(refused("Idempotency-Key", detail.to_owned()));
        }
        Ok(Some(Self { key, sent: sent.to_owned() }))
    }

    /// 428 where it was not sent.
    pub fn required(headers: &HeaderMap) -> Result<Self, Problem> {
        Self::optional(headers)?.ok_or_else(|| {
            let detail = "send Idempotency-Key: money or stock moves here, and must not move twice";
            Problem::precondition_required("idempotency-key-required", detail)
                .with("header", "Idempotency-Key")
        })
    }

    pub fn as_str(&self) -> &str {
        &self.key
    }

    /// As it was sent, in quotes or without.
    pub fn as_sent(&self) -> &str {
        &self.sent
    }
}

/// `Prefer: wait=N`, N in seconds from 0 to 60, cut to [`LONGEST_WAIT`]. Other preferences are none of ours.
pub fn prefer_wait(headers: &HeaderMap) -> Result<Option<Duration>, Problem> {
    for value in headers.get_all(PREFER) {
        let Ok(text) = value.to_str() else {
            return Err(refused("Prefer", "Prefer holds bytes that are not visible ASCII".to_owned()));
        };
        for preference in grammar::split(text, ',') {
            // Its parameters, after a semicolon, are none of ours.
            let preference = grammar::split(preference, ';').first().copied().unwrap_or_default();
            let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
            if !name.trim().eq_ignore_ascii_case("wait") {
                continue;
            }
            let value = grammar::value(value.trim()).unwrap_or_default();
            let seconds = number(&value).and_then(|n| u64::try_from(n).ok());
            // The first one counts (RFC 7240, section 2).
            return match seconds.filter(|seconds| *seconds <= 60) {
                Some(seconds) => Ok(Some(Duration::from_secs(seconds).min(LONGEST_WAIT))),
                None => Err(refused("Prefer", "wait is a number of seconds from 0 to 60".to_owned())),
            };
        }
    }
    Ok(None)
}

/// `Event-Position`: the position of a command's events in the log, `[log:]position`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventPosition {
    /// `None`: the only log.
    pub log: Option<String>,
    pub position: i64,
}

impl EventPosition {
    pub fn optional(headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        let Some(text) = single(headers, &EVENT_POSITION, "Event-Position")? else { return Ok(None) };
        let (log, position) = match text.split_once(':') {
            Some((log, position)) => (Some(log), position),
            None => (None, text),
        };
        let named = |log: &str| {
            (1..=63).contains(&log.len())
                && log.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b))
        };
        match number(position) {
            Some(position) if log.is_none_or(named) => {
                Ok(Some(Self { log: log.map(str::to_owned), position }))
            }
            _ => Err(refused(
                "Event-Position",
                "Event-Position is [log:]position, as a command answered it".to_owned(),
            )),
        }
    }
}

impl fmt::Display for EventPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.log {
            Some(log) => write!(f, "{log}:{}", self.position),
            None => write!(f, "{}", self.position),
        }
    }
}

/// `Event-Position` of an answer that was read at that position of the log.
pub fn position_header(position: i64) -> HeaderValue {
    let text = EventPosition { log: Some(LOG.to_owned()), position }.to_string();
    HeaderValue::try_from(text).expect("a log's name and a number are visible ASCII")
}

/// `X-Correlation-Id`: the client's UUID, if it sent one.
pub fn correlation_id(headers: &HeaderMap) -> Result<Option<Uuid>, Problem> {
    let Some(text) = single(headers, &CORRELATION_ID, "X-Correlation-Id")? else { return Ok(None) };
    match Uuid::try_parse(text) {
        Ok(id) if !id.is_nil() => Ok(Some(id)),
        _ => Err(refused("X-Correlation-Id", "X-Correlation-Id is a UUID".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn with(name: &HeaderName, values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn if_match_is_a_list_of_versions_or_a_star_and_compares_strongly() {
        let read =
            |values: &[&str]| IfMatch::optional(&with(&IF_MATCH, values)).map_err(|p| p.status().as_u16());
        let one_of = |versions: &[i64]| Ok(Some(IfMatch::OneOf(versions.to_vec())));
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&["\"7\""]), one_of(&[7]));
        assert_eq!(read(&["*"]), Ok(Some(IfMatch::Any)));
        assert_eq!(read(&["\"1\",\t\"12\"", " , \"2\", \"2\""]), one_of(&[12, 2, 1]));
        assert_eq!(read(&["W/\"7\", \"8\""]), one_of(&[8]), "a weak tag matches nothing");
        for nothing in
            ["W/\"7\"", "\"0\"", "\"07\"", "\"-1\"", "\"+1\"", "\"\"", "\"x\"", "\"99999999999999999999\""]
        {
            assert_eq!(read(&[nothing]), one_of(&[]), "{nothing} is a tag that no version has");
        }
        for bad in ["7", "", "\"1\" \"2\"", "*, \"1\"", "\"1", "w/\"1\"", "\" 1\""] {
            assert_eq!(read(&[bad]), Err(400), "{bad}");
        }
        let (any, two) = (IfMatch::Any, IfMatch::OneOf(vec![3, 2]));
        assert!(any.names(1) && !any.names(0) && two.names(2) && !two.names(1));
        assert_eq!((any.to_string(), two.to_string()), ("*".to_owned(), "\"3\", \"2\"".to_owned()));
    }

    #[test]
    fn if_none_match_compares_weakly() {
        let read =
            |values: &[&str]| IfNoneMatch::optional(&with(&IF_NONE_MATCH, values)).map_err(|p| p.status());
        let has = |values: &[&str], version| read(values).unwrap().unwrap().has(version);
        assert_eq!(read(&[]), Ok(None));
        assert!(has(&["*"], 7) && has(&["W/\"7\""], 7) && has(&["\"6\"", "\"x\", \"7\""], 7));
        assert!(!has(&["\"6\", W/\"8\""], 7) && !has(&["\"gzip-7\""], 7));
        let problem = IfNoneMatch::optional(&with(&IF_NONE_MATCH, &["7"])).unwrap_err();
        assert_eq!(problem.status(), 400);
        assert_eq!(problem.extensions()["header"], "If-None-Match");
        assert!(problem.detail().contains("in quotes"), "{problem}");
    }

    #[test]
    fn a_missing_precondition_is_a_428() {
        let none = HeaderMap::new();
        assert_eq!(IfMatch::required(&none).unwrap_err().slug(), "if-match-required");
        assert_eq!(IdempotencyKey::required(&none).unwrap_err().status(), 428);
    }

    #[test]
    fn an_idempotency_key_is_visible_ascii_of_a_bounded_length() {
        let read = |value: &str| IdempotencyKey::optional(&with(&IDEMPOTENCY_KEY, &[value])).is_ok();
        assert!(read("order-1"));
        assert!(read(&"k".repeat(255)));
        assert!(!read(&"k".repeat(256)));
        assert!(!read("a b"));
        assert!(!read(""));
        for bad in ["\"\"", "\"open", "\"a b\"", "\"a\"b", "\"a\";x=1"] {
            assert!(!read(bad), "{bad}");
        }
        let key = IdempotencyKey::optional(&with(&IDEMPOTENCY_KEY, &["\"order-1\""])).unwrap().unwrap();
        assert_eq!((key.as_str(), key.as_sent()), ("order-1", "\"order-1\""), "in quotes it is the same key");
        let mut headers = HeaderMap::new();
        headers.insert(IDEMPOTENCY_KEY, HeaderValue::from_bytes("schlüssel".as_bytes()).unwrap());
        let problem = IdempotencyKey::optional(&headers).unwrap_err();
        assert_eq!(problem.extensions()["header"], "Idempotency-Key");
        assert!(!problem.detail().contains("schl"));
    }

    #[test]
    fn prefer_wait_is_bounded_and_other_preferences_are_left_alone() {
        let read = |values: &[&str]| prefer_wait(&with(&PREFER, values)).map_err(|p| p.status().as_u16());
        let seconds = |n| Ok(Some(Duration::from_secs(n)));
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&["return=minimal"]), Ok(None));
        assert_eq!(read(&["wait=5"]), seconds(5));
        assert_eq!(read(&["respond-async, Wait = \"10\""]), seconds(10));
        assert_eq!(read(&["return=minimal", "wait=60"]), seconds(30));
        assert_eq!(read(&["wait=0"]), seconds(0));
        assert_eq!(read(&["note=\"a, wait=3\", wait=7; why=\"x;y\""]), seconds(7));
        assert_eq!(read(&["wait=\"1\\0\""]), seconds(10), "a backslash escapes in a quoted string");
        for bad in ["wait", "wait=", "wait=61", "wait=-1", "wait=1.5", "wait=soon"] {
            assert_eq!(read(&[bad]), Err(400), "{bad}");
        }
    }

    #[test]
    fn an_event_position_may_name_its_log_and_reads_back_as_written() {
        let read = |value: &str| EventPosition::optional(&with(&EVENT_POSITION, &[value]));
        for good in ["0", "42", "main:42", "orders-2:7"] {
            assert_eq!(read(good).unwrap().unwrap().to_string(), good);
        }
        for bad in ["", ":1", "main:", "Main:1", "a:b:1", "-1", "+1", "9223372036854775808"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_correlation_id_is_a_uuid() {
        let id = Uuid::new_v4();
        assert_eq!(correlation_id(&with(&CORRELATION_ID, &[&id.to_string()])).unwrap(), Some(id));
        assert_eq!(correlation_id(&HeaderMap::new()).unwrap(), None);
        assert!(correlation_id(&with(&CORRELATION_ID, &["me@example.org"])).is_err());
    }

    #[test]
    fn a_trace_is_continued_or_a_new_one_begins() {
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let trace = TraceParent::parse(text).unwrap();
        assert_eq!(trace.to_string(), text);
        let child = trace.child();
        assert_eq!(child.trace_id, trace.trace_id);
        assert_ne!(child.parent_id, trace.parent_id);
        assert!(TraceParent::parse(&TraceParent::generate().to_string()).is_some());
        assert_eq!(TraceParent::from_headers(&with(&TRACEPARENT, &[text])), trace);
        let bad = [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        ];
        for bad in bad {
            assert_eq!(TraceParent::parse(bad), None, "{bad}");
        }
        assert!(TraceParent::parse("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more").is_some());
    }
}
