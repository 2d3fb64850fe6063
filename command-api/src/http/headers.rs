//! The headers that only commands take: channel, on whose behalf, reason and idempotency key.

use axum::http::{HeaderMap, HeaderName};
use soonshop_domain::{Channel, Personal, Purpose, text as texts};
use soonshop_service_kit::Problem;
use soonshop_service_kit::access::{Caller, Role};
use soonshop_service_kit::headers::IdempotencyKey;
pub(super) use soonshop_service_kit::headers::{ON_BEHALF_OF, ascii as text, on_behalf_of, reason};
use uuid::{Uuid, Variant, Version};

use super::row;

pub(super) const CHANNEL: HeaderName = HeaderName::from_static("x-channel");
pub(super) const IMPORT_KEY: HeaderName = HeaderName::from_static("x-import-key");
pub(super) const REASON_NOTE: HeaderName = HeaderName::from_static("x-reason-note");

/// The token of a guest, in the answer to their first command.
pub(super) const GUEST_TOKEN: HeaderName = HeaderName::from_static("guest-token");

/// The channels that a caller may name: all but that of process managers.
pub(super) const CHANNELS: [&str; 7] = ["storefront", "admin", "api", "webhook", "import", "job", "cli"];

/// The longest note, in bytes of UTF-8.
const LONGEST_NOTE: usize = 1_000;

pub(crate) fn invalid_header(header: &'static str, detail: impl Into<String>) -> Problem {
    Problem::malformed("invalid-header", detail.into()).with("header", header)
}

/// An idempotency key.
pub(super) struct Key {
    /// In its normal form.
    pub(super) text: String,
    /// As the releases before 0.2 took it.
    pub(super) sent: String,
}

/// Callers without a token share one space of keys, so their keys must not be guessable; nor may that of a guest's first
/// command.
pub(super) fn idempotency_key(
    headers: &HeaderMap,
    role: Role,
    key: row::Key,
) -> Result<Option<Key>, Problem> {
    let Some(sent) = IdempotencyKey::optional(headers)? else {
        return match key {
            row::Key::Optional => Ok(None),
            row::Key::Required => Err(Problem::malformed(
                "idempotency-key-required",
                "send Idempotency-Key: money or stock moves here, and must not move twice",
            )
            .with("header", "Idempotency-Key")),
        };
    };
    if role != Role::Guest {
        return Ok(Some(Key { text: sent.as_str().to_owned(), sent: sent.as_sent().to_owned() }));
    }
    let random = Uuid::try_parse(sent.as_str()).ok().filter(|id| {
        id.get_variant() == Variant::RFC4122
            && matches!(id.get_version(), Some(Version::Random | Version::SortRand))
    });
    let named = |id: Uuid| Key { text: id.to_string(), sent: id.to_string() };
    random.map(|id| Some(named(id))).ok_or_else(|| {
        let detail = "without a token, Idempotency-Key is a random UUID (version 4 or 7)";
        Problem::malformed("idempotency-key-not-random", detail).with("header", "Idempotency-Key")
    })
}

/// The channel that a caller names. `process` is refused: it marks the commands of process managers.
pub(super) fn channel(headers: &HeaderMap) -> Result<Option<Channel>, Problem> {
    let Some(text) = text(headers, &CHANNEL, "X-Channel", 64, |b| b.is_ascii_graphic())? else {
        return Ok(None);
    };
    match text.parse() {
        Ok(Channel::Process) | Err(_) => Err(invalid_header(
            "X-Channel",
            "X-Channel is storefront, admin, api, webhook, import, job or cli, or left out",
        )),
        Ok(channel) => Ok(Some(channel)),
    }
}

/// The reason in free text: personal, and encrypted under the caller's own key.
pub(super) fn note(headers: &HeaderMap, caller: &Caller) -> Result<Option<Personal<String>>, Problem> {
    let mut values = headers.get_all(REASON_NOTE).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let Some(writer) = caller.writer else {
        let detail =
            "this caller has no key that would encrypt a note: name the reason by its code, X-Reason";
        return Err(invalid_header("X-Reason-Note", detail));
    };
    let text = std::str::from_utf8(value.as_bytes()).unwrap_or_default();
    let clean = texts::line(text, LONGEST_NOTE).ok().filter(|_| text.len() <= LONGEST_NOTE);
    let clean = clean.filter(|_| values.next().is_none()).ok_or_else(|| {
        let detail = format!("X-Reason-Note is one line of UTF-8 of 1 to {LONGEST_NOTE} bytes");
        invalid_header("X-Reason-Note", detail)
    })?;
    Ok(Some(Personal::new(clean, writer, Purpose::Account)))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn every_described_channel_is_accepted_and_no_other() {
        let read = |name: &'static str| {
            channel(&HeaderMap::from_iter([(CHANNEL, HeaderValue::from_static(name))]))
                .map_err(|problem| problem.slug().to_owned())
        };
        for name in CHANNELS {
            assert_eq!(read(name).unwrap().map(|channel| channel.to_string()).as_deref(), Some(name));
        }
        for other in ["process", "API", "", "post"] {
            assert_eq!(read(other), Err("invalid-header".to_owned()), "{other:?}");
        }
    }
}
