//! Files that are the same for everybody: compressed once, at the first request for them, and not sent again to a
//! client that has them.

use std::io::Write as _;
use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use ring::digest::{SHA256, digest};
use tokio::sync::OnceCell;

use crate::answers::Uncounted;
use crate::grammar::{self, EntityTags};

/// A shorter file is not compressed.
const SHORTEST: usize = 1024;

/// A file in memory.
#[derive(Debug, Clone)]
pub struct StaticFile(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    media_type: HeaderValue,
    bytes: Bytes,
    /// The start of the hash of its bytes.
    hash: String,
    /// With gzip, where that makes it smaller.
    compressed: OnceCell<Option<Bytes>>,
}

impl StaticFile {
    /// A file of this media type.
    pub fn new(media_type: &str, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let hash = URL_SAFE_NO_PAD.encode(&digest(&SHA256, &bytes).as_ref()[..12]);
        let media_type = HeaderValue::from_str(media_type)
            .unwrap_or_else(|_| HeaderValue::from_static("application/octet-stream"));
        Self(Arc::new(Inner { media_type, bytes, hash, compressed: OnceCell::new() }))
    }

    /// The answer to a request with these headers.
    pub async fn answer(&self, headers: &HeaderMap) -> Response {
        let compressed = if takes_gzip(headers) { self.compressed().await } else { None };
        let tag = |coding: &str| format!("\"{}{coding}\"", self.0.hash);
        let coding = compressed.is_some();
        let own = tag(if coding { "-gzip" } else { "" });
        let has = match grammar::entity_tags(headers, &IF_NONE_MATCH) {
            Ok(Some(EntityTags::Any)) => true,
            Ok(Some(EntityTags::List(tags))) => {
                tags.iter().any(|tag| own.trim_matches('"').as_bytes() == tag.opaque.as_slice())
            }
            // One that cannot be read names no file: it is sent whole.
            Ok(None) | Err(_) => false,
        };
        let body = match (has, compressed) {
            (true, _) => Body::empty(),
            (false, Some(bytes)) => Body::from(bytes),
            (false, None) => Body::from(self.0.bytes.clone()),
        };
        let mut response = body.into_response();
        if has {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        }
        response.extensions_mut().insert(Uncounted);
        let sent = response.headers_mut();
        sent.insert(CONTENT_TYPE, self.0.media_type.clone());
        sent.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        sent.insert(VARY, HeaderValue::from_static("accept-encoding"));
        if let Ok(tag) = HeaderValue::from_str(&own) {
            sent.insert(ETAG, tag);
        }
        if coding && !has {
            sent.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        response
    }

    async fn compressed(&self) -> Option<Bytes> {
        let compress = || async {
            let bytes = self.0.bytes.clone();
            let packed = tokio::task::spawn_blocking(move || gzip(&bytes)).await;
            packed.ok().flatten().filter(|packed| packed.len() < self.0.bytes.len())
        };
        self.0.compressed.get_or_init(compress).await.clone()
    }
}

fn gzip(bytes: &[u8]) -> Option<Bytes> {
    if bytes.len() < SHORTEST {
        return None;
    }
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    packed.write_all(bytes).ok()?;
    packed.finish().ok().map(Bytes::from)
}

fn takes_gzip(headers: &HeaderMap) -> bool {
    let accepted = grammar::weighted(headers, &ACCEPT_ENCODING);
    let weight = |name: &str| accepted.iter().find(|(coding, _)| coding == name).map(|(_, weight)| *weight);
    weight("gzip").or_else(|| weight("*")).is_some_and(|weight| weight > 0)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn headers(named: &[(axum::http::HeaderName, &str)]) -> HeaderMap {
        named.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap())).collect()
    }

    async fn bytes(response: Response) -> Bytes {
        axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap()
    }

    #[tokio::test]
    async fn a_file_is_compressed_once_and_sent_to_those_who_take_it() {
        let text = "some words ".repeat(1_000);
        let file = StaticFile::new("text/plain; charset=utf-8", text.clone());
        for (accepted, coding) in [
            ("gzip", Some("gzip")),
            ("br, gzip;q=0.5", Some("gzip")),
            ("*", Some("gzip")),
            ("gzip;q=0", None),
            ("gzip;q=0, *", None),
            ("identity", None),
        ] {
            let response = file.answer(&headers(&[(ACCEPT_ENCODING, accepted)])).await;
            let message =
                response.headers().get(CONTENT_ENCODING).map(|value| value.to_str().unwrap().to_owned());
            assert_eq!(message.as_deref(), coding, "{accepted}");
            assert_eq!(response.headers()[VARY], "accept-encoding");
            let sent = bytes(response).await;
            if coding.is_some() {
                let mut unpacked = String::new();
                flate2::read::GzDecoder::new(&*sent).read_to_string(&mut unpacked).unwrap();
                assert_eq!(unpacked, text);
                let again = bytes(file.answer(&headers(&[(ACCEPT_ENCODING, accepted)])).await).await;
                assert_eq!(again.as_ptr(), sent.as_ptr(), "the same bytes are sent again");
            } else {
                assert_eq!(sent, text.as_bytes());
            }
        }
    }

    #[tokio::test]
    async fn a_client_that_has_a_file_gets_a_304_and_one_with_another_coding_does_not() {
        let file = StaticFile::new("text/css", "a { color: red } ".repeat(200));
        let gzip = (ACCEPT_ENCODING, "gzip");
        let first = file.answer(&headers(std::slice::from_ref(&gzip))).await;
        let tag = first.headers()[ETAG].to_str().unwrap().to_owned();
        let with = |sent: &str| headers(&[gzip.clone(), (IF_NONE_MATCH, sent)]);
        for has in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".to_owned()] {
            let response = file.answer(&with(&has)).await;
            assert_eq!(response.status(), StatusCode::NOT_MODIFIED, "{has}");
            assert_eq!(response.headers()[ETAG], tag.as_str());
            assert!(bytes(response).await.is_empty());
        }
        assert_eq!(file.answer(&with("\"other\"")).await.status(), StatusCode::OK);
        let plain = file.answer(&headers(&[(IF_NONE_MATCH, &tag)])).await;
        assert_eq!(plain.status(), StatusCode::OK, "its tag is that of the compressed file");
        assert_ne!(plain.headers()[ETAG], tag.as_str());
    }

    #[tokio::test]
    async fn a_short_file_is_sent_as_it_is() {
        let file = StaticFile::new("image/svg+xml", "<svg/>");
        let response = file.answer(&headers(&[(ACCEPT_ENCODING, "gzip")])).await;
        assert!(!response.headers().contains_key(CONTENT_ENCODING));
        assert_eq!(bytes(response).await, "<svg/>");
    }
}
