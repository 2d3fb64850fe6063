//! Answers that no handler gives: to a head that cannot be read, or does not come, or for which there is no room. They
//! are problems with a request id, as all others are, written as HTTP/1.1, after which the connection ends.

use axum::http::header::{CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, DATE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue};
use soonshop_domain::clock;
use uuid::Uuid;

use super::limits::Limits;
use crate::headers::{CORRELATION_ID, REQUEST_ID};
use crate::metrics::Http;
use crate::problem::{Kind, MEDIA_TYPE, Problem};
use crate::security_headers;

/// The time in which the next attempt is likely to work.
const SOON: HeaderValue = HeaderValue::from_static("1");

/// The bytes of a problem, with its head. It is counted and logged as an answer.
pub(super) fn of(problem: &Problem, http: &Http, over_tls: bool) -> Vec<u8> {
    let id = Uuid::new_v4();
    let status = problem.status();
    tracing::info!(request_id = %id, status = status.as_u16(), slug = problem.slug(), "answered before a request was read");
    http.refused(status.as_u16());
    let body = serde_json::to_vec(&problem.clone().with_instance(id).body()).expect("a problem is JSON");
    let mut headers = HeaderMap::new();
    let value = |text: String| HeaderValue::try_from(text).ok();
    for (name, value) in [
        (CONTENT_TYPE, Some(HeaderValue::from_static(MEDIA_TYPE))),
        (CACHE_CONTROL, Some(HeaderValue::from_static("no-store"))),
        (CONNECTION, Some(HeaderValue::from_static("close"))),
        (CONTENT_LENGTH, Some(HeaderValue::from(body.len()))),
        (REQUEST_ID, value(id.to_string())),
        (CORRELATION_ID, value(id.to_string())),
        (DATE, value(clock::now().format("%a, %d %b %Y %H:%M:%S GMT").to_string())),
        (RETRY_AFTER, problem.retry_after().map(|_| SOON)),
    ] {
        if let Some(value) = value {
            headers.insert(name, value);
        }
    }
    security_headers::add(&mut headers, over_tls);
    let first = format!("HTTP/1.1 {} {}", status.as_u16(), status.canonical_reason().unwrap_or("Refused"));
    let mut bytes = first.into_bytes();
    for (name, value) in &headers {
        for part in [b"\r\n", name.as_str().as_bytes(), b": ", value.as_bytes()] {
            bytes.extend_from_slice(part);
        }
    }
    bytes.extend_from_slice(b"\r\n\r\n");
    bytes.extend(body);
    bytes
}

/// Hyper's own refusal with that status, before a request reaches a handler.
pub(super) fn refusal(status: u16, line_ended: bool) -> Problem {
    match status {
        414 => target_too_long(),
        // The head was too long before its first line ended.
        431 if !line_ended => target_too_long(),
        431 => head_too_large(),
        _ => {
            let detail =
                "this is not a request of HTTP: its first line or one of its header fields is malformed";
            Problem::malformed("malformed-request", detail)
        }
    }
}

pub(super) fn head_too_late() -> Problem {
    let detail = "the head of the request did not come in time: send it whole, at once";
    Problem::new(Kind::RequestTimeout, "request-timeout", detail)
}

/// Also said of HTTP/2, and of targets that hyper would take.
pub(crate) fn target_too_long() -> Problem {
    let detail = format!("path and query may have {} bytes", Limits::TARGET_BYTES);
    Problem::new(Kind::UriTooLong, "uri-too-long", detail).with("limit", Limits::TARGET_BYTES)
}

pub(crate) fn head_too_large() -> Problem {
    let detail = format!(
        "the head of a request may have {} bytes in {} fields",
        Limits::HEAD_BYTES,
        Limits::HEAD_FIELDS
    );
    Problem::new(Kind::HeadTooLarge, "head-too-large", detail).with("limit", Limits::HEAD_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_without_a_request_is_a_whole_problem() {
        let text = String::from_utf8(of(&refusal(400, true), &Http::default(), false)).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{head}");
        let field = |name: &str| {
            let line = head.lines().find_map(|line| line.strip_prefix(&format!("{name}: "))).unwrap();
            line.to_owned()
        };
        assert_eq!(field("content-type"), MEDIA_TYPE);
        assert_eq!(field("connection"), "close");
        assert_eq!(field("content-length"), body.len().to_string());
        assert_eq!(field("x-content-type-options"), "nosniff");
        assert!(field("date").ends_with(" GMT"));
        let problem: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(problem["type"], "/problems/malformed-request");
        assert_eq!(problem["instance"], format!("urn:uuid:{}", field("x-request-id")));
    }

    #[test]
    fn a_first_line_without_an_end_is_a_target_that_is_too_long() {
        assert_eq!(refusal(431, false).slug(), "uri-too-long");
        assert_eq!(refusal(431, true).slug(), "head-too-large");
        assert_eq!(refusal(414, true).status(), 414);
    }
}
