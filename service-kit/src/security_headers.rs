//! Header fields that tell a browser what it may do with an answer. Every answer has them; one that says more of its
//! own, as the pages do, keeps that.

use axum::extract::Request;
use axum::http::header::{
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;

use crate::rates::X_FORWARDED_PROTO;

/// Of an answer that is no page: nothing is loaded, and nothing shows it in a frame.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// Of a script: one that runs as a worker may fetch from here, and import other scripts.
const POLICY_OF_SCRIPTS: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'",
);

/// Of the pages at `/docs`: their scripts and style sheets are files of the shop; their icons are in the style sheet,
/// and marks of their own set styles.
const POLICY_OF_DOCS: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

const OPENER: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const RESOURCE: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// A year, as browsers ask for at least.
const A_YEAR: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// Says in a request whether its client speaks TLS, with this process or with a trusted proxy before it. What the client
/// said itself is taken away.
pub(crate) fn tell_over_tls(headers: &mut HeaderMap, over_tls: bool) {
    if over_tls {
        headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static("https"));
    } else {
        headers.remove(X_FORWARDED_PROTO);
    }
}

/// Whether the client speaks TLS. Every connection says so of its requests by [`tell_over_tls`], and nothing else is
/// believed.
pub(crate) fn came_over_tls(headers: &HeaderMap) -> bool {
    headers.get(X_FORWARDED_PROTO).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"https"))
}

/// Adds what an answer does not say by itself.
pub(crate) fn add(headers: &mut HeaderMap, over_tls: bool) {
    let script = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(|kind| {
        kind.starts_with("text/javascript") || kind.starts_with("application/javascript")
    });
    let policy = if script { POLICY_OF_SCRIPTS } else { POLICY };
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(policy);
    headers.entry(REFERRER_POLICY).or_insert(HeaderValue::from_static("no-referrer"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(OPENER, HeaderValue::from_static("same-origin"));
    headers.insert(RESOURCE, HeaderValue::from_static("same-origin"));
    if over_tls {
        headers.insert(STRICT_TRANSPORT_SECURITY, A_YEAR);
    }
}

/// [`add`] as a layer.
pub(crate) async fn on_every_answer(request: Request, next: Next) -> Response {
    let over_tls = came_over_tls(request.headers());
    let mut response = next.run(request).await;
    add(response.headers_mut(), over_tls);
    response
}

/// The layer of the pages at `/docs`.
pub async fn of_docs(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, POLICY_OF_DOCS);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn added(sent: &[(HeaderName, &'static str)], over_tls: bool) -> HeaderMap {
        let mut headers: HeaderMap =
            sent.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect();
        add(&mut headers, over_tls);
        headers
    }

    #[test]
    fn an_answer_keeps_what_it_says_and_gets_what_it_lacks() {
        let plain = added(&[(CONTENT_TYPE, "application/json")], false);
        assert!(plain[CONTENT_SECURITY_POLICY].to_str().unwrap().starts_with("default-src 'none'; base-uri"));
        assert_eq!(plain[X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert_eq!(plain[X_FRAME_OPTIONS], "DENY");
        assert_eq!(
            (&plain[OPENER], &plain[RESOURCE]),
            (&"same-origin".parse().unwrap(), &"same-origin".parse().unwrap())
        );
        assert!(!plain.contains_key(STRICT_TRANSPORT_SECURITY));
        let page = [(CONTENT_SECURITY_POLICY, "default-src 'self'"), (REFERRER_POLICY, "same-origin")];
        let page = added(&page, true);
        assert_eq!(page[CONTENT_SECURITY_POLICY], "default-src 'self'");
        assert_eq!(page[REFERRER_POLICY], "same-origin");
        assert_eq!(page[STRICT_TRANSPORT_SECURITY], A_YEAR);
        let script = added(&[(CONTENT_TYPE, "text/javascript; charset=utf-8")], false);
        let policy = script[CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.contains("connect-src 'self'") && policy.contains("script-src 'self'"), "{policy}");
    }
}
