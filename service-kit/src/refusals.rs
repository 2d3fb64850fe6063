//! Every refusal is a problem, also one that a library gives by itself as plain text or without a body: a path that is
//! not UTF-8, a file that is not there.

use axum::extract::Request;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::connections::{Limits, head_too_large, target_too_long};
use crate::extract::too_large;
use crate::problem::{Kind, Problem};

/// Puts a problem in the place of a refusal that is none.
pub(crate) async fn as_problems(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let status = response.status();
    let refused = status.is_client_error() || status.is_server_error();
    if !refused || says_why(response.headers()) {
        return response;
    }
    let Some(problem) = problem(status) else { return response };
    let earlier = std::mem::take(response.headers_mut());
    let mut response = problem.into_response();
    let made = response.headers().clone();
    for (name, value) in &earlier {
        if name != CONTENT_LENGTH && !made.contains_key(name) {
            response.headers_mut().append(name, value.clone());
        }
    }
    response
}

/// Whether it has a body that was made for it: a problem, a page, or a report such as that of readiness.
fn says_why(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|kind| !kind.as_bytes().starts_with(b"text/plain"))
}

fn problem(status: StatusCode) -> Option<Problem> {
    let problem = match status.as_u16() {
        400 => {
            Problem::malformed("malformed-request", "the path or a header field of the request is malformed")
        }
        404 => Problem::not_found("no-such-path", "there is nothing at this path"),
        405 => Problem::new(
            Kind::MethodNotAllowed,
            "method-not-allowed",
            "the header Allow says what can be done here",
        ),
        413 => too_large(),
        415 => {
            Problem::unsupported_media_type("unsupported-media-type", "this kind of body is not taken here")
        }
        500 => Problem::internal("a library answered 500"),
        _ => return None,
    };
    Some(problem)
}

/// Refuses a head that is too large, before anything of it is understood. HTTP/1.1 has bounds of its own; this holds
/// for HTTP/2, too.
pub(crate) async fn bounded_head(request: Request, next: Next) -> Response {
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    if target > Limits::TARGET_BYTES {
        return target_too_long().into_response();
    }
    let fields = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
    if fields.sum::<usize>() > Limits::HEAD_BYTES || request.headers().len() > Limits::HEAD_FIELDS {
        return head_too_large().into_response();
    }
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::http::header::{ALLOW, RETRY_AFTER};
    use axum::middleware::from_fn;
    use axum::routing::get;
    use tower::ServiceExt as _;

    use super::*;

    async fn got(request: Request) -> Response {
        let router = Router::new()
            .route("/plain", get(async || (StatusCode::NOT_FOUND, [(RETRY_AFTER, "7")], "nothing here")))
            .route("/empty", get(async || StatusCode::METHOD_NOT_ALLOWED))
            .route("/page", get(async || (StatusCode::NOT_FOUND, axum::response::Html("<p>no"))))
            .route("/fine", get(async || "fine"))
            .layer(from_fn(as_problems))
            .layer(from_fn(bounded_head));
        router.oneshot(request).await.unwrap()
    }

    async fn slug(response: Response) -> String {
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let problem: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        problem["type"].as_str().unwrap().trim_start_matches("/problems/").to_owned()
    }

    fn asked(path: &str) -> Request {
        Request::get(path).body(Body::empty()).unwrap()
    }

    #[tokio::test]
    async fn a_refusal_in_plain_text_becomes_a_problem_and_a_page_stays() {
        let plain = got(asked("/plain")).await;
        assert_eq!((plain.status().as_u16(), &plain.headers()[RETRY_AFTER]), (404, &"7".parse().unwrap()));
        assert_eq!(slug(plain).await, "no-such-path");
        assert_eq!(slug(got(asked("/empty")).await).await, "method-not-allowed");
        assert_eq!(got(asked("/page")).await.headers()[CONTENT_TYPE], "text/html; charset=utf-8");
        let fine = got(asked("/fine")).await;
        assert!(fine.status() == 200 && !fine.headers().contains_key(ALLOW));
    }

    #[tokio::test]
    async fn a_head_beyond_its_bounds_is_a_problem_with_the_bound() {
        let long = got(asked(&format!("/fine?{}", "x".repeat(Limits::TARGET_BYTES)))).await;
        assert_eq!(long.status(), 414);
        assert_eq!(slug(long).await, "uri-too-long");
        let mut many = Request::get("/fine");
        for index in 0..=Limits::HEAD_FIELDS {
            many = many.header(format!("x-{index}"), "1");
        }
        assert_eq!(slug(got(many.body(Body::empty()).unwrap()).await).await, "head-too-large");
        let large = Request::get("/fine").header("x-large", "x".repeat(Limits::HEAD_BYTES));
        assert_eq!(got(large.body(Body::empty()).unwrap()).await.status(), 431);
    }
}
