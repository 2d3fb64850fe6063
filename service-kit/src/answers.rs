//! Bounds the memory of answers that clients have not read.
//!
//! An answer that is made holds its bytes until its client has read them, and a client may read nothing for as long as
//! the connection lives. So the bytes of all longer answers are counted, of each client and in all; where there are too
//! many, the next one is given up and refused. Streams are not counted: they hold a piece at a time.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody as _};
use axum::extract::{Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderValue, Version};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};

use crate::Problem;
use crate::work::{Bounds, Lane, Share, Turn, address_of, full_problem};

/// Answers that are not longer than this do not count, over HTTP/1: as much is in the buffers of any connection.
pub const SHORT: usize = 64 * 1024;

/// In this unit bytes are counted.
const KIB: usize = 1024;

/// The routes, with their answers within these bounds.
pub fn bounded(router: Router, bounds: &Bounds) -> Router {
    let Share { all, each } = bounds.answers;
    let lane = Lane::new(Share { all: all.saturating_mul(1024), each: each.saturating_mul(1024) });
    router.layer(from_fn_with_state(lane, counted))
}

/// An answer whose bytes are in memory anyway, however many clients it is sent to: it does not count.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Uncounted;

/// A client: its address, and the token that it sends. Who makes up a token gets a short answer.
fn client(request: &Request) -> Arc<str> {
    let address = address_of(request.extensions());
    let token = request.headers().get(AUTHORIZATION).map(HeaderValue::as_bytes).map(|sent| {
        // As callers are identified: what can be varied around the token makes no other client.
        let at = sent.iter().position(|byte| *byte == b' ').unwrap_or(sent.len());
        let mut hasher = DefaultHasher::new();
        sent[at..].trim_ascii().hash(&mut hasher);
        hasher.finish()
    });
    token.map_or(Arc::clone(&address), |token| format!("{address} {token:x}").into())
}

async fn counted(State(lane): State<Arc<Lane>>, request: Request, next: Next) -> Response {
    let client = client(&request);
    // A connection of HTTP/2 has many answers at a time.
    let uncounted = if request.version() == Version::HTTP_2 { 0 } else { SHORT };
    let response = next.run(request).await;
    if response.extensions().get::<Uncounted>().is_some() {
        return response;
    }
    let length = response.body().size_hint().exact().and_then(|length| usize::try_from(length).ok());
    let Some(length) = length.filter(|length| *length > uncounted) else { return response };
    let turns = u32::try_from(length.div_ceil(KIB)).unwrap_or(u32::MAX);
    let turn = match lane.enter(client.into(), turns, Duration::ZERO).await {
        Ok(turn) => turn,
        Err(full) => return full_problem(full).into_response(),
    };
    let (parts, body) = response.into_parts();
    match axum::body::to_bytes(body, length).await {
        Ok(bytes) => Response::from_parts(parts, Body::from(held(bytes, turn))),
        Err(error) => Problem::internal(error).into_response(),
    }
}

/// The bytes with their turn, which ends once the last of them is given to the network.
fn held(bytes: Bytes, turn: Turn) -> Bytes {
    Bytes::from_owner(Held { bytes, _turn: turn })
}

struct Held {
    bytes: Bytes,
    _turn: Turn,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;
    use axum::routing::get;
    use tower::ServiceExt as _;

    use super::*;

    fn router() -> Router {
        let bounds = "answers=2/1".parse().unwrap();
        let routes = Router::new()
            .route("/long", get(async || "x".repeat(700 * KIB)))
            .route("/short", get(async || "x".repeat(SHORT)))
            .route(
                "/shared",
                get(async || {
                    let mut response = "x".repeat(1_500 * KIB).into_response();
                    response.extensions_mut().insert(Uncounted);
                    response
                }),
            );
        bounded(routes, &bounds)
    }

    async fn got(router: &Router, path: &str, token: Option<&str>) -> Response {
        let mut request = Request::get(path);
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, token);
        }
        router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn answers_that_nobody_reads_hold_no_more_than_their_bound() {
        let router = router();
        let first = got(&router, "/long", None).await;
        assert_eq!(first.status(), StatusCode::OK);
        let more = got(&router, "/long", None).await;
        assert_eq!(more.status(), StatusCode::TOO_MANY_REQUESTS);
        assert!(more.headers().contains_key("retry-after"));
        let (other, third) = (got(&router, "/long", Some("Bearer b")).await, Some("Bearer c"));
        assert_eq!(other.status(), StatusCode::OK, "another client has its own share");
        assert_eq!(got(&router, "/long", third).await.status(), StatusCode::SERVICE_UNAVAILABLE);
        for path in ["/short", "/shared"] {
            assert_eq!(got(&router, path, None).await.status(), StatusCode::OK, "{path} does not count");
        }
        // It counts until its last byte is gone.
        let bytes = axum::body::to_bytes(first.into_body(), usize::MAX).await.unwrap();
        assert_eq!(bytes.len(), 700 * KIB);
        let piece = bytes.slice(..10);
        drop(bytes);
        assert_eq!(got(&router, "/long", None).await.status(), StatusCode::TOO_MANY_REQUESTS);
        drop(piece);
        assert_eq!(got(&router, "/long", None).await.status(), StatusCode::OK);
    }

    #[tokio::test]
    async fn another_way_to_write_a_token_makes_no_other_client() {
        let router = router();
        let _first = got(&router, "/long", Some("Bearer b")).await;
        for same in ["bearer b", "BEARER   b", "Bearer b  "] {
            assert_eq!(
                got(&router, "/long", Some(same)).await.status(),
                StatusCode::TOO_MANY_REQUESTS,
                "{same}"
            );
        }
    }
}
