//! Refusals as pages: who opens an address in a browser gets a page, and a program the problem as JSON.
//!
//! Pages of a service render their own refusals. This is for all others: an endpoint of programs that a person opens, a
//! path that is not there, and what is refused before a handler is reached.

use std::fmt;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, VARY};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use futures::future::BoxFuture;

use crate::access::Visitor;
use crate::grammar::weighted;
use crate::problem::{MEDIA_TYPE, Problem};

/// Renders the pages of refusals.
pub trait RefusalPages: fmt::Debug + Send + Sync {
    /// The page of a refusal of the request with this head. It looks nobody up: that would count as no request, and
    /// keys could be guessed. `visitor`: who was known when it was refused.
    fn page<'r>(
        &'r self,
        request: &'r Parts,
        visitor: Option<Visitor>,
        problem: &'r Problem,
    ) -> BoxFuture<'r, Response>;
}

/// Whether the client wants a page: it names HTML, and does not prefer JSON.
pub fn wants_page(headers: &HeaderMap) -> bool {
    let accepted = weighted(headers, &ACCEPT);
    let of = |expected: &str| {
        let all = accepted.iter().filter(|(kind, _)| kind == expected);
        all.map(|(_, weight)| *weight).max().unwrap_or(0)
    };
    of("text/html") > 0 && of("text/html") >= of("application/json")
}

/// Puts a page in the place of a problem, for a client that wants one.
pub(crate) async fn as_pages(
    State(pages): State<Arc<dyn RefusalPages>>,
    request: Request,
    next: Next,
) -> Response {
    if !wants_page(request.headers()) {
        return next.run(request).await;
    }
    let (head, body) = request.into_parts();
    let asked = head.clone();
    let mut response = next.run(Request::from_parts(head, body)).await;
    let is_problem = response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == MEDIA_TYPE);
    let Some(problem) = response.extensions_mut().remove::<Problem>().filter(|_| is_problem) else {
        return response;
    };
    let visitor = response.extensions_mut().remove::<Visitor>();
    let mut page = pages.page(&asked, visitor, &problem).await;
    // `Retry-After`, `Allow` and the like hold for the page, too.
    let made = page.headers().clone();
    for (name, value) in response.headers() {
        let of_the_body = [CONTENT_TYPE, CONTENT_LENGTH, CONTENT_ENCODING].contains(name);
        if !of_the_body && !made.contains_key(name) {
            page.headers_mut().append(name, value.clone());
        }
    }
    page.headers_mut().append(VARY, HeaderValue::from_static("accept"));
    page
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::http::StatusCode;
    use axum::http::header::{CONTENT_SECURITY_POLICY, RETRY_AFTER};
    use axum::response::{Html, IntoResponse as _};
    use axum::routing::get;
    use tower::ServiceExt as _;

    use super::*;
    use crate::connections::Limits;
    use crate::serve::{ServerSettings, stack_behind};

    #[derive(Debug)]
    struct Plain;

    impl RefusalPages for Plain {
        fn page<'r>(
            &'r self,
            request: &'r Parts,
            _: Option<Visitor>,
            problem: &'r Problem,
        ) -> BoxFuture<'r, Response> {
            let text = format!("<p>{} at {}", problem.slug(), request.uri.path());
            Box::pin(async move { (problem.status(), Html(text)).into_response() })
        }
    }

    const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";

    async fn got(path: &str, accept: &str) -> (Response, String) {
        let busy = async || {
            let again = std::time::Duration::from_secs(7);
            Problem::unavailable("too-busy", "x".repeat(2_000), again)
        };
        let router = Router::new()
            .route("/busy", get(busy))
            .route("/broken", get(async || -> String { panic!("it broke") }))
            .route("/report", get(async || (StatusCode::SERVICE_UNAVAILABLE, axum::Json("not ready"))))
            .route("/fine", get(async || "fine"));
        let server_settings = ServerSettings { pages: Some(Arc::new(Plain)), ..ServerSettings::default() };
        let request = Request::get(path).header("host", "localhost").header(ACCEPT, accept);
        let request = request.header("accept-encoding", "gzip").body(Body::empty()).unwrap();
        let response = stack_behind(router, &server_settings).oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        (Response::from_parts(parts, Body::empty()), String::from_utf8_lossy(&bytes).into_owned())
    }

    #[tokio::test]
    async fn a_browser_gets_every_refusal_as_a_page_and_a_program_as_a_problem() {
        let long = format!("/fine?{}", "x".repeat(Limits::TARGET_BYTES));
        for (path, status, slug) in [
            ("/busy", 503, "too-busy"),
            ("/broken", 500, "internal-error"),
            ("/nowhere", 404, "no-such-path"),
            (long.as_str(), 414, "uri-too-long"),
        ] {
            let (page, text) = got(path, BROWSER).await;
            assert_eq!(
                (page.status().as_u16(), &page.headers()[CONTENT_TYPE]),
                (status, &"text/html; charset=utf-8".parse().unwrap())
            );
            assert!(text.starts_with(&format!("<p>{slug} at /")), "{text}");
            assert!(
                !page.headers().contains_key(CONTENT_ENCODING),
                "it is not compressed as the problem was"
            );
            assert!(
                page.headers().contains_key("x-request-id")
                    && page.headers().contains_key(CONTENT_SECURITY_POLICY)
            );
            assert_eq!(page.headers()["cache-control"], "no-store");
            for program in ["application/json", "*/*", "application/json, text/html;q=0.9"] {
                let (problem, _) = got(path, program).await;
                assert_eq!(
                    (problem.status().as_u16(), &problem.headers()[CONTENT_TYPE]),
                    (status, &MEDIA_TYPE.parse().unwrap())
                );
            }
        }
        let (busy, _) = got("/busy", BROWSER).await;
        assert_eq!(busy.headers()[RETRY_AFTER], "7");
    }

    #[tokio::test]
    async fn an_answer_that_is_no_problem_stays_as_it_is() {
        assert_eq!(got("/fine", BROWSER).await.1, "fine");
        let (report, _) = got("/report", BROWSER).await;
        assert_eq!(
            (report.status().as_u16(), &report.headers()[CONTENT_TYPE]),
            (503, &"application/json".parse().unwrap())
        );
    }

    #[test]
    fn a_page_is_for_clients_that_name_html_and_do_not_prefer_json() {
        let wants = |accept: &[&str]| {
            let values = accept.iter().map(|value| (ACCEPT, HeaderValue::from_str(value).unwrap()));
            wants_page(&values.collect())
        };
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";
        for page in
            [&[browser][..], &["Text/HTML"], &["application/json;q=0.5, text/html"], &["*/*", "text/html"]]
        {
            assert!(wants(page), "{page:?}");
        }
        let programs: [&[&str]; 7] = [
            &[],
            &["*/*"],
            &["application/json"],
            &["application/json, text/html;q=0.9"],
            &["text/html;q=0"],
            &["text/html;q=often"],
            &["text/*"],
        ];
        for program in programs {
            assert!(!wants(program), "{program:?}");
        }
    }
}
