//! The trace that a request belongs to: `traceparent` of W3C Trace Context.

use std::fmt;

use axum::http::{HeaderMap, HeaderName};
use uuid::Uuid;

pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// `traceparent` (W3C Trace Context, version 00).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    pub trace_id: u128,
    /// The span of the caller.
    pub parent_id: u64,
    pub flags: u8,
}

impl TraceParent {
    /// A new trace, not sampled.
    pub fn generate() -> Self {
        Self { trace_id: Uuid::new_v4().as_u128(), parent_id: span_id(), flags: 0 }
    }

    /// The caller's trace, or a new one: the standard asks to start a new trace at a malformed header, not to refuse
    /// it.
    pub fn from_headers(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(TRACEPARENT).iter();
        match (values.next(), values.next()) {
            (Some(value), None) => value.to_str().ok().and_then(Self::parse).unwrap_or_else(Self::generate),
            _ => Self::generate(),
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        let mut fields = text.split('-');
        let (version, trace, parent, flags) = (
            hex(fields.next()?, 2)?,
            hex(fields.next()?, 32)?,
            hex(fields.next()?, 16)?,
            hex(fields.next()?, 2)?,
        );
        // A later version may add fields, 00 may not; ff is forbidden.
        let whole = version != 0 || fields.next().is_none();
        let parent_id = u64::try_from(parent).ok()?;
        let flags = u8::try_from(flags).ok()?;
        (whole && version != 0xff && trace != 0 && parent_id != 0).then_some(Self {
            trace_id: trace,
            parent_id,
            flags: flags & 1,
        })
    }

    /// The same trace with a span of our own as the parent, for outgoing calls.
    #[must_use]
    pub fn child(self) -> Self {
        Self { parent_id: span_id(), ..self }
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.parent_id, self.flags)
    }
}

/// The first half of a random UUID holds its version's four bits, so it is never zero.
fn span_id() -> u64 {
    Uuid::new_v4().as_u64_pair().0
}

fn hex(text: &str, digits: usize) -> Option<u128> {
    let lower = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    (text.len() == digits && lower).then(|| u128::from_str_radix(text, 16).ok()).flatten()
}
