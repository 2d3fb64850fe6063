//! Over real sockets: what a client can do to connections, and what everybody else sees of it.

mod abuse;
pub(super) mod certificates;
mod proxied;
mod slow;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Request, Response, StatusCode};
use axum::routing::{get, post};
use futures::stream;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{Limits, may_speak_plainly};
use crate::cors::Origins;
use crate::extract::{BODY_LIMIT, Json};
use crate::metrics::Http;
use crate::problem::Problem;
use crate::rates::Proxies;
use crate::security_headers::came_over_tls;
use crate::serve::{ServerSettings, Stopped, serve};

const SMALL: &[u8] = b"GET /small HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
/// The bytes of `/large`: more than the buffers between the two sides hold.
const LARGE: usize = 12 << 20;
const LIVE: &[u8] = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// The wait and the answer of a handler under test.
#[derive(Clone)]
struct Signals {
    go_on: Arc<Notify>,
    begun: watch::Sender<usize>,
    dropped: watch::Sender<usize>,
    /// The bytes of `/endless` that were asked for.
    given: Arc<AtomicUsize>,
}

/// Says that it was dropped.
struct Dropped(watch::Sender<usize>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count += 1);
    }
}

struct Served {
    address: SocketAddr,
    signals: Signals,
    stop: CancellationToken,
    server: JoinHandle<Stopped>,
}

fn router(signals: &Signals) -> Router {
    let (hangs, endless, takes) = (signals.clone(), signals.clone(), signals.clone());
    Router::new()
        .route("/health/live", get(async || "alive"))
        .route("/small", get(async || "small"))
        .route("/known", get(async || StatusCode::NOT_MODIFIED))
        .route("/bytes", post(async |body: Bytes| body.len().to_string()))
        .route("/json", post(async |body: Result<Json<Value>, Problem>| body.map(|_| "read")))
        .route(
            "/hangs",
            get(async move || {
                hangs.begun.send_modify(|count| *count += 1);
                hangs.go_on.notified().await;
                "went on"
            }),
        )
        .route(
            "/endless",
            get(async move || {
                let (dropped, given) = (Dropped(endless.dropped.clone()), Arc::clone(&endless.given));
                let chunk = Bytes::from(vec![b'x'; 32 * 1024]);
                Body::from_stream(stream::repeat_with(move || {
                    let _kept = &dropped;
                    given.fetch_add(chunk.len(), Ordering::Relaxed);
                    Ok::<_, Infallible>(chunk.clone())
                }))
            }),
        )
        .route(
            "/large",
            get(async || {
                let chunk = Bytes::from(vec![b'x'; 32 * 1024]);
                let chunks = std::iter::repeat_n(chunk, LARGE / (32 * 1024));
                Body::from_stream(stream::iter(chunks.map(Ok::<_, Infallible>)))
            }),
        )
        .route(
            "/takes",
            post(async move |request: Request<Body>| {
                takes.begun.send_modify(|count| *count += 1);
                let body = axum::body::to_bytes(request.into_body(), BODY_LIMIT).await;
                body.map_or_else(|error| error.to_string(), |body| body.len().to_string())
            }),
        )
        .route("/tls", get(async |headers: HeaderMap| came_over_tls(&headers).to_string()))
}

async fn behind(server_settings: ServerSettings) -> Served {
    let (begun, dropped) = (watch::Sender::new(0), watch::Sender::new(0));
    let signals = Signals { go_on: Arc::default(), begun, dropped, given: Arc::default() };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, router, stop) =
        (listener.local_addr().unwrap(), router(&signals), CancellationToken::new());
    let stopped = stop.clone();
    let server = tokio::spawn(async move {
        serve(listener, router, Http::default(), &server_settings, stopped, Duration::from_secs(10)).await
    });
    Served { address, signals, stop, server }
}

async fn served(limits: Limits) -> Served {
    behind(ServerSettings { limits, ..ServerSettings::default() }).await
}

impl Served {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// All that is answered to those bytes until the connection ends.
    async fn tell(&self, bytes: &[u8]) -> String {
        let mut connection = self.connect().await;
        connection.write_all(bytes).await.unwrap();
        rest(connection).await
    }

    async fn http2(&self) -> Http2 {
        let io = TokioIo::new(self.connect().await);
        let (sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        sender
    }

    async fn stop(self) -> Stopped {
        self.stop.cancel();
        self.server.await.unwrap()
    }
}

type Http2 = hyper::client::conn::http2::SendRequest<Body>;

fn asks(uri: &str) -> Request<Body> {
    Request::get(uri).body(Body::empty()).unwrap()
}

async fn rest(mut connection: TcpStream) -> String {
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

/// The status and the slug of an answer that is a problem, whose request it names and which a browser shows as nothing
/// else.
fn problem(answer: &str) -> (u16, String) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {answer:?}"));
    let field = |name: &str| {
        let line = head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
        line.unwrap_or_else(|| panic!("no {name}: {answer}"))
    };
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let body: Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"));
    assert_eq!(field("content-type"), "application/problem+json");
    assert_eq!(field("x-content-type-options"), "nosniff");
    assert_eq!(body["instance"], format!("urn:uuid:{}", field("x-request-id")));
    assert_eq!(body["status"], status);
    (status, body["type"].as_str().unwrap().trim_start_matches("/problems/").to_owned())
}

async fn problem_of(response: Response<Incoming>) -> (u16, String) {
    let status = response.status().as_u16();
    let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
    let bytes = axum::body::to_bytes(Body::new(response.into_body()), usize::MAX).await.unwrap();
    let body: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(body["instance"], format!("urn:uuid:{id}"));
    (status, body["type"].as_str().unwrap().trim_start_matches("/problems/").to_owned())
}

#[tokio::test]
async fn more_half_sent_heads_than_connections_leave_room_for_health_and_for_requests() {
    let limits = Limits { connections: 40, connections_per_address: 40, reserve: 4, ..Limits::default() };
    let served = served(limits).await;
    let mut held = Vec::new();
    for index in 0..130 {
        let mut connection = served.connect().await;
        connection.write_all(b"GET /small HTTP/1.1\r\nHost: local").await.unwrap();
        held.push(connection);
        if index % 10 == 0 {
            assert!(served.tell(SMALL).await.ends_with("small"), "with {index} half-sent heads");
            assert!(served.tell(LIVE).await.ends_with("alive"), "with {index} half-sent heads");
        }
    }
    assert!(served.tell(SMALL).await.ends_with("small"));
    // The first were closed for the last, which is still there and can go on.
    let mut last = held.pop().unwrap();
    let first = rest(held.swap_remove(0)).await;
    assert_eq!(first, "", "it was closed");
    last.write_all(b"host\r\nConnection: close\r\n\r\n").await.unwrap();
    assert!(rest(last).await.ends_with("small"));
    assert_eq!(served.stop().await, Stopped::Drained, "half-sent heads delay no stop");
}

#[tokio::test]
async fn a_late_head_is_refused_with_a_problem_and_a_silent_connection_is_closed() {
    let served = served(Limits { head: Duration::from_millis(50), ..Limits::default() }).await;
    let late = served.tell(b"GET /small HTTP/1.1\r\nHost: localhost\r\nX-Slow: ").await;
    assert_eq!(problem(&late), (408, "request-timeout".to_owned()));
    let late = served.tell(b"G").await;
    assert_eq!(problem(&late), (408, "request-timeout".to_owned()));
    assert_eq!(served.tell(b"").await, "");
}

#[tokio::test]
async fn a_connection_is_used_again_and_closed_when_it_is_idle_for_too_long() {
    let served = served(Limits { idle: Duration::from_millis(50), ..Limits::default() }).await;
    let both = [&b"GET /small HTTP/1.1\r\nHost: localhost\r\n\r\n"[..]; 2].concat();
    let answers = served.tell(&both).await;
    assert_eq!(answers.matches("\r\n\r\nsmall").count(), 2, "{answers}");
    assert_eq!(served.stop().await, Stopped::Drained);
}

#[tokio::test]
async fn a_late_body_is_refused_with_a_problem() {
    let served = served(Limits { body: Duration::from_millis(50), ..Limits::default() }).await;
    let head = "POST /json HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    for slow in [
        format!("{head}Content-Length: 10\r\n\r\n[1,"),
        format!("{head}Transfer-Encoding: chunked\r\n\r\n3\r\n[1,"),
    ] {
        let answer = served.tell(slow.as_bytes()).await;
        assert_eq!(problem(&answer), (408, "request-timeout".to_owned()));
        assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    }
}

#[tokio::test]
async fn what_http_itself_refuses_is_a_problem_too() {
    let served = served(Limits::default()).await;
    let with = |fields: &str| {
        format!("GET /small HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{fields}\r\n\r\n")
    };
    let many = (0..200).map(|index| format!("x-{index}: 1")).collect::<Vec<_>>().join("\r\n");
    for (sent, status, slug) in [
        ("NONSENSE\r\n\r\n".to_owned(), 400, "malformed-request"),
        ("\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}".to_owned() + "\r\n\r\n", 400, "malformed-request"),
        ("GET /small HTTP/9.9\r\n\r\n".to_owned(), 400, "malformed-request"),
        ("GET /sm all HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), 400, "malformed-request"),
        (with("no colon"), 400, "malformed-request"),
        (with("Content-Length: x"), 400, "malformed-request"),
        (with("Content-Length: 1\r\nContent-Length: 2"), 400, "malformed-request"),
        (with("Transfer-Encoding: gzip"), 400, "malformed-request"),
        (with(&format!("X-Large: {}", "x".repeat(40_000))), 431, "head-too-large"),
        (with(&format!("X-Large: {}", "x".repeat(200_000))), 431, "head-too-large"),
        (with(&many), 431, "head-too-large"),
        (with("x: y").replace("/small", &format!("/{}", "x".repeat(20_000))), 414, "uri-too-long"),
        (with("x: y").replace("/small", &format!("/{}", "x".repeat(200_000))), 414, "uri-too-long"),
        (with("Host: localhost"), 400, "invalid-host"),
        ("GET /small HTTP/1.1\r\nConnection: close\r\n\r\n".to_owned(), 400, "invalid-host"),
        ("GET /small HTTP/1.0\r\n\r\n".to_owned(), 400, "invalid-host"),
        (with("x: y").replace("localhost", "evil.example"), 421, "misdirected-request"),
        (with("x: y").replace("/small", "http://evil.example/small"), 421, "misdirected-request"),
        (with("x: y").replace("/small", "/nowhere"), 404, "no-such-path"),
        (with("x: y").replace("GET", "DELETE"), 405, "method-not-allowed"),
        (with("x: y").replace("GET /small", "OPTIONS *"), 404, "no-such-path"),
        (with("X-Correlation-Id: x"), 400, "invalid-header"),
    ] {
        let shown = &sent[..sent.len().min(80)];
        let answer = served.tell(sent.as_bytes()).await;
        assert_eq!(problem(&answer), (status, slug.to_owned()), "{shown:?}");
    }
    let after = served
        .tell(&[&b"GET /small HTTP/1.1\r\nHost: localhost\r\n\r\n"[..], b"NONSENSE\r\n\r\n"].concat())
        .await;
    let (first, second) = after.split_once("small").unwrap();
    assert!(first.starts_with("HTTP/1.1 200 "), "{after}");
    assert_eq!(problem(second), (400, "malformed-request".to_owned()));
}

#[tokio::test]
async fn a_body_that_is_too_large_gets_its_413_and_not_a_reset() {
    let served = served(Limits::default()).await;
    let large = vec![b'x'; 20 * BODY_LIMIT];
    let head = "POST /bytes HTTP/1.1\r\nHost: localhost\r\n";
    let announced = [format!("{head}Content-Length: {}\r\n\r\n", large.len()).as_bytes(), &large].concat();
    let chunked =
        [format!("{head}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n", large.len()).as_bytes(), &large]
            .concat();
    let unread = [
        format!("GET /small HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", large.len())
            .as_bytes(),
        &large,
    ]
    .concat();
    for sent in [announced, chunked, unread] {
        let answer = served.tell(&sent).await;
        assert_eq!(problem(&answer), (413, "body-too-large".to_owned()));
        assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    }
}

#[tokio::test]
async fn a_304_says_nothing_of_a_length() {
    let served = served(Limits::default()).await;
    for method in ["GET", "HEAD"] {
        let answer = served
            .tell(
                format!("{method} /known HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                    .as_bytes(),
            )
            .await;
        assert!(
            answer.starts_with("HTTP/1.1 304 ") && !answer.contains("content-length"),
            "{method}: {answer}"
        );
    }
}

#[tokio::test]
async fn an_answer_that_its_client_does_not_read_is_given_up() {
    let served = served(Limits { write: Duration::from_millis(100), ..Limits::default() }).await;
    let mut dropped = served.signals.dropped.subscribe();
    let mut silent = served.connect().await;
    silent.write_all(b"GET /endless HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    dropped.wait_for(|count| *count == 1).await.unwrap();

    let mut http2 = served.http2().await;
    let unread = http2.send_request(asks("http://localhost/endless")).await.unwrap();
    dropped.wait_for(|count| *count == 2).await.unwrap();
    drop((silent, unread));
}

#[tokio::test]
async fn requests_that_are_given_up_hold_their_place_until_their_handlers_end() {
    let served = served(Limits { streams: 3, ..Limits::default() }).await;
    let mut begun = served.signals.begun.subscribe();
    let mut http2 = served.http2().await;
    for count in 1..=3 {
        let asked = http2.send_request(asks("http://localhost/hangs"));
        tokio::select! {
            answered = asked => panic!("{answered:?}"),
            begun = begun.wait_for(|begun| *begun == count) => drop(begun.unwrap()),
        }
    }
    let fourth = tokio::spawn(http2.send_request(asks("http://localhost/hangs")));
    for _ in 0..3 {
        assert!(served.tell(SMALL).await.ends_with("small"));
    }
    assert_eq!(*begun.borrow_and_update(), 3, "three handlers are at work for requests that were given up");
    served.signals.go_on.notify_one();
    begun.wait_for(|begun| *begun == 4).await.unwrap();
    served.signals.go_on.notify_waiters();
    fourth.abort();
}

#[tokio::test]
async fn when_all_connections_are_at_work_health_is_answered_and_others_get_a_503() {
    let limits = Limits { connections: 2, connections_per_address: 2, reserve: 1, ..Limits::default() };
    let served = served(limits).await;
    let mut begun = served.signals.begun.subscribe();
    let mut busy = Vec::new();
    for _ in 0..2 {
        let mut connection = served.connect().await;
        connection
            .write_all(b"GET /hangs HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .await
            .unwrap();
        busy.push(connection);
    }
    begun.wait_for(|begun| *begun == 2).await.unwrap();
    assert!(served.tell(LIVE).await.ends_with("alive"));
    let answer = served.tell(SMALL).await;
    assert_eq!(problem(&answer), (503, "too-many-connections".to_owned()));
    assert!(
        answer.contains("\r\nretry-after: 1\r\n") && answer.contains("\r\nconnection: close\r\n"),
        "{answer}"
    );
    served.signals.go_on.notify_waiters();
    for connection in busy {
        assert!(rest(connection).await.ends_with("went on"));
    }
    assert!(served.tell(SMALL).await.ends_with("small"));
}

#[tokio::test]
async fn http2_has_the_same_refusals() {
    let served = served(Limits::default()).await;
    let mut http2 = served.http2().await;
    let good = http2.send_request(asks("http://localhost/small")).await.unwrap();
    assert_eq!((good.status().as_u16(), good.headers()["x-frame-options"].to_str().unwrap()), (200, "DENY"));
    let long = format!("http://localhost/{}", "x".repeat(20_000));
    let mut large = asks("http://localhost/small");
    large.headers_mut().insert("x-large", "x".repeat(40_000).parse().unwrap());
    let mut posted = asks("http://localhost/bytes");
    *posted.method_mut() = axum::http::Method::POST;
    *posted.body_mut() = Body::from(vec![b'x'; 2 * BODY_LIMIT]);
    for (asked, status, slug) in [
        (asks("http://evil.example/small"), 421, "misdirected-request"),
        (asks(&long), 414, "uri-too-long"),
        (large, 431, "head-too-large"),
        (posted, 413, "body-too-large"),
        (asks("http://localhost/nowhere"), 404, "no-such-path"),
    ] {
        let refused = http2.send_request(asked).await.unwrap();
        assert_eq!(problem_of(refused).await, (status, slug.to_owned()));
    }
    drop(http2);
    assert_eq!(served.stop().await, Stopped::Drained);
}

/// What h2 refuses itself never becomes a request, so there is nothing that could give it an id or a body.
#[tokio::test]
async fn a_head_of_http2_beyond_its_bound_is_refused_by_the_protocol_itself_and_without_a_body() {
    let served = served(Limits::default()).await;
    let bound = usize::try_from(Limits::HTTP2_HEAD_BYTES).unwrap();
    let with_head_of = |bytes: usize| {
        let mut asked = asks("http://localhost/small");
        for number in 0..4 {
            let name = axum::http::HeaderName::try_from(format!("x-large-{number}")).unwrap();
            asked.headers_mut().insert(name, "x".repeat(bytes / 4).parse().unwrap());
        }
        asked
    };
    let mut http2 = served.http2().await;
    let refused = http2.send_request(with_head_of(bound - 1024)).await.unwrap();
    assert_eq!(
        problem_of(refused).await,
        (431, "head-too-large".to_owned()),
        "up to the bound it is a problem"
    );
    let refused = http2.send_request(with_head_of(bound + 1024)).await.unwrap();
    assert_eq!((refused.status().as_u16(), refused.headers().len()), (431, 0), "{refused:?}");
    let body = axum::body::to_bytes(Body::new(refused.into_body()), 1024).await.unwrap();
    assert!(body.is_empty());
    let good = http2.send_request(asks("http://localhost/small")).await.unwrap();
    assert_eq!(good.status(), 200, "the connection goes on");
    // Many times as much ends the connection, and no other one.
    http2.send_request(with_head_of(8 * bound)).await.unwrap_err();
    assert!(served.tell(SMALL).await.ends_with("small"));
}

#[tokio::test]
async fn pages_of_the_origins_that_are_named_may_use_the_api_and_no_others() {
    let preflight = |origin: &str| {
        format!(
            "OPTIONS /bytes HTTP/1.1\r\nHost: localhost\r\nOrigin: {origin}\r\nConnection: close\r\n\
             Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: idempotency-key\r\n\r\n"
        )
    };
    let asked = |origin: &str, path: &str| {
        format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nOrigin: {origin}\r\nConnection: close\r\n\r\n")
    };
    let origins = Origins::new(["https://shop.example"]).unwrap();
    let named = behind(ServerSettings { origins, ..ServerSettings::default() }).await;
    let yes = named.tell(preflight("https://shop.example").as_bytes()).await;
    assert!(yes.contains("\r\naccess-control-allow-origin: https://shop.example\r\n"), "{yes}");
    assert!(yes.contains("idempotency-key") && !yes.contains("allow-credentials"), "{yes}");
    for path in ["/small", "/nowhere"] {
        let yes = named.tell(asked("https://shop.example", path).as_bytes()).await;
        assert!(yes.contains("\r\naccess-control-allow-origin: https://shop.example\r\n"), "{yes}");
        assert!(yes.to_lowercase().contains("\r\nvary: ") && yes.contains("x-request-id"), "{yes}");
    }
    for other in ["https://evil.example", "null", "http://shop.example", "https://shop.example.evil.example"]
    {
        for sent in [preflight(other), asked(other, "/small")] {
            let no = named.tell(sent.as_bytes()).await;
            assert!(!no.contains("access-control-allow-origin"), "{other}: {no}");
        }
    }
    let unnamed = served(Limits::default()).await;
    let no = unnamed.tell(preflight("https://shop.example").as_bytes()).await;
    assert!(no.starts_with("HTTP/1.1 405 ") && !no.contains("access-control-"), "{no}");
}

#[tokio::test]
async fn tls_has_the_same_bounds_and_tells_browsers_to_stay_with_it() {
    use std::io::Write as _;
    use std::os::unix::fs::PermissionsExt as _;

    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, ServerName};

    const CERTIFICATE: &str = include_str!("../../tests/fixture/tls/localhost.certificate.pem");
    const KEY: &str = include_str!("../../tests/fixture/tls/localhost.key.pem");
    let file = |text: &str| {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    };
    let (certificate, key, empty) = (file(CERTIFICATE), file(KEY), file(""));
    let tls = super::Tls::read(certificate.path(), key.path()).unwrap();
    let refused = |certificate: &std::path::Path, key: &std::path::Path| {
        super::Tls::read(certificate, key).unwrap_err().to_string()
    };
    assert!(refused(empty.path(), key.path()).contains("holds no certificate"));
    assert!(refused(certificate.path(), empty.path()).contains("private key as PEM"));
    std::fs::set_permissions(key.path(), std::fs::Permissions::from_mode(0o640)).unwrap();
    assert!(refused(certificate.path(), key.path()).contains("chmod 600"));

    let limits = Limits { head: Duration::from_millis(500), ..Limits::default() };
    let served = behind(ServerSettings { tls: Some(tls), limits, ..ServerSettings::default() }).await;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(CERTIFICATE.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.unwrap().with_root_certificates(roots).with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    for (sent, status) in [(SMALL, "200"), (&b"NONSENSE\r\n\r\n"[..], "400"), (&b"GET /small"[..], "408")] {
        let name = ServerName::try_from("localhost").unwrap();
        let mut connection = connector.connect(name, served.connect().await).await.unwrap();
        connection.write_all(sent).await.unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert!(answer.contains("strict-transport-security: max-age="), "{answer}");
    }
    // A handshake that does not come, and one that is none.
    assert_eq!(served.tell(b"").await, "");
    let mut plain = served.connect().await;
    plain.write_all(SMALL).await.unwrap();
    let mut message = Vec::new();
    drop(plain.read_to_end(&mut message).await);
    assert!(!String::from_utf8_lossy(&message).contains("HTTP/1.1"));
}

#[test]
fn without_tls_other_machines_are_served_only_if_they_are_named_proxies() {
    let proxies = Proxies::from(vec!["10.0.0.0/8".parse().unwrap()]);
    for (peer, served) in [
        ("127.0.0.1:4711", true),
        ("[::1]:4711", true),
        ("10.3.3.3:4711", true),
        ("[::ffff:10.3.3.3]:4711", true),
        ("192.168.1.2:4711", false),
        ("[2001:db8::17]:4711", false),
    ] {
        assert_eq!(may_speak_plainly(peer.parse().unwrap(), &proxies), served, "{peer}");
    }
}
