//! Serves requests on a listener: one stack of middleware for every service, and a stop that lets running requests end.
//!
//! Each request has one line in the log, with its route and never its query or body. All other log lines of the request
//! are in its span and so carry its id.

use std::any::Any;
use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRequestParts, MatchedPath, Request};
use axum::http::header::{AUTHORIZATION, CONTENT_LENGTH};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_http::CompressionLevel;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate, SizeAbove};
use tracing::Instrument;
use uuid::Uuid;

use crate::connections::{self, End, Held, Limits, Terms, Tls, only_health};
use crate::cors::Origins;
use crate::extract::{BODY_LIMIT, too_large};
use crate::headers::{self, CORRELATION_ID, REQUEST_ID, TraceParent};
use crate::hosts::{Hosts, only_these};
use crate::metrics::{self, Http};
use crate::problem::{Kind, Problem};
use crate::rates::Proxies;
use crate::refusal_pages::{RefusalPages, as_pages};
use crate::refusals::{as_problems, bounded_head};
use crate::request::CONTEXT;
pub use crate::request::RequestContext;
use crate::security_headers::on_every_answer;

/// How long a handler may take, besides the wait that the client asked for, unless its route allows longer.
pub const REQUEST_LIMIT: Duration = Duration::from_secs(30);

tokio::task_local! {
    /// How long the handler may take, in milliseconds.
    static LIMIT: Arc<AtomicU64>;
}

/// Said by a handler that takes longer than [`REQUEST_LIMIT`]: so long, from when the request came. Nothing outside of
/// [`stack`].
pub fn take_longer(limit: Duration) {
    LIMIT.try_with(|now| now.fetch_max(milliseconds(limit), Ordering::Relaxed)).ok();
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl RequestContext {
    fn of(headers: &HeaderMap) -> (Self, Result<(), Problem>) {
        let request_id = Uuid::new_v4();
        let (correlation_id, sent) = match headers::correlation_id(headers) {
            Ok(sent) => (sent.unwrap_or(request_id), Ok(())),
            Err(problem) => (request_id, Err(problem)),
        };
        (Self { request_id, correlation_id, trace: TraceParent::from_headers(headers) }, sent)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for RequestContext {
    type Rejection = Infallible;

    /// Outside [`stack`] (a handler under test) the ids are made here.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get().copied().unwrap_or_else(|| Self::of(&parts.headers).0))
    }
}

/// How a service ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// Every request was answered.
    Drained,
    /// Some requests were still running at the deadline, and were dropped.
    AtDeadline,
}

/// The callers that are answered, and the share of the process that each may use.
#[derive(Debug, Clone, Default)]
pub struct ServerSettings {
    /// The names that are answered to.
    pub hosts: Hosts,
    /// The origins whose pages may use the API.
    pub origins: Origins,
    /// The bounds of connections.
    pub limits: Limits,
    /// The certificate, where this process ends TLS itself.
    pub tls: Option<Tls>,
    /// The proxies that are trusted to say whether a client speaks TLS.
    pub proxies: Proxies,
    /// The pages of refusals, for people; without them everybody gets problems.
    pub pages: Option<Arc<dyn RefusalPages>>,
}

/// Answers requests through [`stack`] until `shutdown`; then takes no more, and waits for those it has until `deadline`
/// has passed. A stream that never ends listens to `shutdown` itself. All of them are counted in `http`.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    http: Http,
    server_settings: &ServerSettings,
    shutdown: CancellationToken,
    deadline: Duration,
) -> Stopped {
    let router = with_counts(layered(router, Some(server_settings)), http.clone());
    let terms = Terms {
        limits: server_settings.limits,
        tls: server_settings.tls.as_ref(),
        proxies: &server_settings.proxies,
    };
    match connections::serve(listener, router, http, terms, shutdown, deadline).await {
        End::Drained => Stopped::Drained,
        End::AtDeadline => {
            tracing::warn!(
                seconds = deadline.as_secs(),
                "stopped with requests that had not ended by the deadline"
            );
            Stopped::AtDeadline
        }
    }
}

/// Counts every request, also those that the stack itself answers.
pub(crate) fn with_counts(stacked: Router, http: Http) -> Router {
    stacked.layer(from_fn_with_state(http, metrics::counted))
}

/// The router as [`serve`] serves it, under every name: what a door keeps out is not kept out here.
pub fn stack(router: Router) -> Router {
    layered(router, None)
}

/// The same behind a door.
#[cfg(test)]
pub(crate) fn stack_behind(router: Router, server_settings: &ServerSettings) -> Router {
    layered(router, Some(server_settings))
}

/// The last layer here sees a request first.
fn layered(router: Router, server_settings: Option<&ServerSettings>) -> Router {
    let compressed = SizeAbove::new(1024).and(NotForContentType::SSE).and(NotForContentType::IMAGES);
    let mut router = router
        .fallback(no_such_path)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(from_fn(announced_size))
        .layer(from_fn(time_limit))
        .layer(from_fn(to_its_end))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn(as_problems))
        .layer(CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(compressed));
    if let Some(server_settings) = server_settings {
        if let Some(cors) = server_settings.origins.layer() {
            router = router.layer(cors);
        }
        router = router
            .layer(from_fn(only_health))
            .layer(from_fn_with_state(server_settings.hosts.clone(), only_these));
    }
    let mut router = router.layer(from_fn(bounded_head));
    if let Some(pages) = server_settings.and_then(|server_settings| server_settings.pages.clone()) {
        router = router.layer(from_fn_with_state(pages, as_pages));
    }
    router.layer(from_fn(with_context)).layer(from_fn(on_every_answer))
}

async fn no_such_path() -> Problem {
    Problem::not_found("no-such-path", "there is nothing at this path")
}

/// axum adds `Allow`.
async fn method_not_allowed() -> Problem {
    Problem::new(Kind::MethodNotAllowed, "method-not-allowed", "the header Allow says what can be done here")
}

/// Refuses by the announced length, before anything of the body is sent or read.
async fn announced_size(request: Request, next: Next) -> Response {
    let length =
        request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    match length {
        Some(length) if length > BODY_LIMIT as u64 => too_large().into_response(),
        _ => next.run(request).await,
    }
}

async fn time_limit(request: Request, next: Next) -> Response {
    // A malformed header is refused where it is used, not here.
    let wait = headers::prefer_wait(request.headers()).ok().flatten().unwrap_or_default();
    let limit = Arc::new(AtomicU64::new(milliseconds(REQUEST_LIMIT + wait)));
    let begun = tokio::time::Instant::now();
    let mut answering = pin!(LIMIT.scope(Arc::clone(&limit), next.run(request)));
    let mut given = 0;
    while limit.load(Ordering::Relaxed) > given {
        given = limit.load(Ordering::Relaxed);
        tokio::select! {
            response = &mut answering => return response,
            () = tokio::time::sleep_until(begun + Duration::from_millis(given)) => {}
        }
    }
    let detail = "it took too long and was given up; whether it was done is not known: send it again with the \
                  same Idempotency-Key";
    Problem::unavailable("timed-out", detail, Duration::from_secs(1)).into_response()
}

/// Runs the handler in a task of its own, so that it ends even if the client hangs up. A handler that is dropped
/// between `BEGIN` and its answer would give the connection back with the transaction open, and the next user's writes
/// would become part of it.
async fn to_its_end(request: Request, next: Next) -> Response {
    let held = request.extensions().get::<Held>().cloned();
    let answering = next.run(request).in_current_span();
    let answering = async move {
        let _held = held;
        answering.await
    };
    let answering = match RequestContext::current() {
        Some(context) => tokio::spawn(CONTEXT.scope(context, answering)),
        None => tokio::spawn(answering),
    };
    match answering.await {
        Ok(response) => response,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(error) => Problem::internal(error).into_response(),
        },
    }
}

fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let message = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without words".to_owned());
    Problem::internal(format!("the handler panicked: {message}")).into_response()
}

async fn with_context(mut request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let (context, sent) = RequestContext::of(request.headers());
    let method = request.method().clone();
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let route = matched.as_ref().map_or("none", MatchedPath::as_str);
    let span = tracing::info_span!(
        "request",
        request_id = %context.request_id,
        correlation_id = %context.correlation_id,
        trace_id = format!("{:032x}", context.trace.trace_id),
    );
    // Middleware that logs headers must leave this one out.
    if let axum::http::header::Entry::Occupied(mut sent) = request.headers_mut().entry(AUTHORIZATION) {
        sent.iter_mut().for_each(|value| value.set_sensitive(true));
    }
    request.extensions_mut().insert(context);
    let answering = async {
        let mut response = match sent {
            Ok(()) => next.run(request).await,
            Err(problem) => problem.into_response(),
        };
        for (name, id) in [(REQUEST_ID, context.request_id), (CORRELATION_ID, context.correlation_id)] {
            let value = HeaderValue::from_str(&id.to_string()).expect("a UUID is visible ASCII");
            response.headers_mut().insert(name, value);
        }
        let status = response.status().as_u16();
        let milliseconds = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        if status >= 500 {
            tracing::warn!(%method, route, status, milliseconds, "answered");
        } else if route.starts_with("/health/") || route == "/metrics" {
            tracing::debug!(%method, route, status, milliseconds, "answered");
        } else {
            tracing::info!(%method, route, status, milliseconds, "answered");
        }
        response
    };
    CONTEXT.scope(context, answering.instrument(span)).await
}

/// Waits for SIGTERM or SIGINT, and says which it was.
pub async fn shutdown_signal() -> io::Result<&'static str> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => Ok("SIGTERM"),
        _ = interrupt.recv() => Ok("SIGINT"),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use axum::body::Body;
    use axum::http::header::{ACCEPT_ENCODING, ALLOW, CONTENT_ENCODING, CONTENT_TYPE};
    use axum::routing::{get, post};
    use serde_json::Value;
    use tokio::sync::Notify;
    use tower::ServiceExt;

    use super::*;

    fn router() -> Router {
        stack(
            Router::new()
                .route("/items/{id}", get(async |context: RequestContext| context.correlation_id.to_string()))
                .route("/panic", get(async || -> String { panic!("secret") }))
                .route("/slow", get(async || std::future::pending::<String>().await))
                .route(
                    "/longer",
                    get(async || {
                        take_longer(Duration::from_mins(10));
                        tokio::time::sleep(Duration::from_mins(9)).await;
                    }),
                )
                .route("/refused", get(async || Problem::conflict("wrong-state", "not now")))
                .route("/large", get(async || axum::Json("x".repeat(5000))))
                .route(
                    "/stream",
                    get(async || ([(CONTENT_TYPE, "text/event-stream")], "data: x\n\n".repeat(500))),
                )
                .route("/bytes", post(async |body: String| body)),
        )
    }

    async fn answer(request: Request) -> Response {
        router().oneshot(request).await.unwrap()
    }

    async fn got(path: &str) -> Response {
        answer(Request::get(path).header(ACCEPT_ENCODING, "gzip").body(Body::empty()).unwrap()).await
    }

    async fn json(response: Response) -> Value {
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }

    #[tokio::test]
    async fn a_correlation_id_is_echoed_or_made_and_a_problem_names_its_request() {
        let id = Uuid::new_v4().to_string();
        let request = Request::get("/items/1").header(CORRELATION_ID, &id).body(Body::empty()).unwrap();
        let response = answer(request).await;
        assert_eq!(response.headers()[CORRELATION_ID], id.as_str());
        assert_eq!(axum::body::to_bytes(response.into_body(), 100).await.unwrap(), id.as_bytes());

        let response = got("/refused").await;
        let made = response.headers()[CORRELATION_ID].to_str().unwrap().to_owned();
        let request_id = response.headers()[REQUEST_ID].to_str().unwrap().to_owned();
        assert!(Uuid::try_parse(&made).is_ok());
        assert_eq!(json(response).await["instance"], format!("urn:uuid:{request_id}"));

        let request = Request::get("/items/1").header(CORRELATION_ID, "me").body(Body::empty()).unwrap();
        let response = answer(request).await;
        assert_eq!(response.status(), 400);
        assert!(Uuid::try_parse(response.headers()[CORRELATION_ID].to_str().unwrap()).is_ok());
    }

    #[tokio::test]
    async fn a_panic_becomes_a_problem_without_its_message() {
        let response = got("/panic").await;
        assert_eq!(response.status(), 500);
        assert!(response.headers().contains_key(REQUEST_ID));
        let problem = json(response).await;
        assert_eq!(problem["type"], "/problems/internal-error");
        assert!(!problem.to_string().contains("secret"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_handler_that_hangs_times_out() {
        let response = got("/slow").await;
        assert_eq!(response.status(), 503);
        assert_eq!(json(response).await["type"], "/problems/timed-out");
        assert_eq!(got("/longer").await.status(), 200, "it said so");
    }

    #[tokio::test]
    async fn a_handler_goes_on_to_its_end_when_its_client_hangs_up() {
        let (begun, go_on, done) =
            (Arc::new(Notify::new()), Arc::new(Notify::new()), Arc::new(Notify::new()));
        let parts = (Arc::clone(&begun), Arc::clone(&go_on), Arc::clone(&done));
        let handler = async move || {
            parts.0.notify_one();
            parts.1.notified().await;
            assert!(RequestContext::current().is_some());
            parts.2.notify_one();
        };
        let router = stack(Router::new().route("/slow", get(handler)));
        let request = Request::get("/slow").body(Body::empty()).unwrap();
        tokio::select! {
            _ = router.oneshot(request) => panic!("it was not let go"),
            () = begun.notified() => {}
        }
        go_on.notify_one();
        done.notified().await;
    }

    #[tokio::test]
    async fn an_unknown_path_and_a_wrong_method_are_problems() {
        let response = got("/nowhere").await;
        assert_eq!(response.status(), 404);
        assert_eq!(json(response).await["type"], "/problems/no-such-path");

        let response = answer(Request::delete("/bytes").body(Body::empty()).unwrap()).await;
        assert_eq!(response.status(), 405);
        assert_eq!(response.headers()[ALLOW], "POST");
        assert_eq!(json(response).await["type"], "/problems/method-not-allowed");
    }

    #[tokio::test]
    async fn a_body_with_a_too_large_content_length_is_refused() {
        let request =
            Request::post("/bytes").header(CONTENT_LENGTH, BODY_LIMIT + 1).body(Body::empty()).unwrap();
        let response = answer(request).await;
        assert_eq!(response.status(), 413);
        assert_eq!(json(response).await["type"], "/problems/body-too-large");
    }

    #[tokio::test]
    async fn json_is_compressed_and_a_stream_of_events_is_not() {
        assert_eq!(got("/large").await.headers()[CONTENT_ENCODING], "gzip");
        assert!(!got("/stream").await.headers().contains_key(CONTENT_ENCODING));
    }

    /// A server with one running request, and the sender that lets it end.
    async fn busy(
        deadline: Duration,
    ) -> (CancellationToken, Arc<Notify>, tokio::task::JoinHandle<String>, Server) {
        let (entered, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (enters, waits) = (entered.clone(), release.clone());
        let router = Router::new().route(
            "/wait",
            get(async move || {
                enters.notify_one();
                waits.notified().await;
                "done"
            }),
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let stop = shutdown.clone();
        let server = tokio::spawn(async move {
            serve(listener, router, Http::default(), &ServerSettings::default(), stop, deadline).await
        });
        let client = tokio::task::spawn_blocking(move || {
            let mut connection = std::net::TcpStream::connect(address).unwrap();
            connection
                .write_all(b"GET /wait HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
                .unwrap();
            let mut answer = String::new();
            connection.read_to_string(&mut answer).map(|_| answer).unwrap_or_default()
        });
        entered.notified().await;
        (shutdown, release, client, server)
    }

    type Server = tokio::task::JoinHandle<Stopped>;

    #[tokio::test]
    async fn a_stop_lets_the_requests_under_way_end() {
        let (shutdown, release, client, server) = busy(Duration::from_mins(1)).await;
        shutdown.cancel();
        release.notify_one();
        assert!(client.await.unwrap().ends_with("done"));
        assert_eq!(server.await.unwrap(), Stopped::Drained);
    }

    #[tokio::test]
    async fn a_stop_does_not_wait_beyond_its_deadline() {
        let (shutdown, release, client, server) = busy(Duration::from_millis(20)).await;
        shutdown.cancel();
        assert_eq!(server.await.unwrap(), Stopped::AtDeadline);
        release.notify_one();
        client.await.unwrap();
    }
}
