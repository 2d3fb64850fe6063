//! A server, or a proxy before it, that takes only small requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use soonshop_search::{Change, Document, Error, Search, connect};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::suite::{INDEX, document, found, put};

/// A proxy that takes no request with a body of more than so many bytes.
struct Proxy {
    address: String,
    /// How many requests it refused.
    refused: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The answer of the proxy to a request that is too large.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Refusal {
    /// It says so.
    Status,
    /// It closes the connection.
    Close,
}

impl Proxy {
    /// Before the server at this address; without one it answers itself that everything was written.
    async fn new(upstream: Option<String>, most: usize, refusal: Refusal) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let refused = Arc::new(AtomicUsize::new(0));
        let count = refused.clone();
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (upstream, count) = (upstream.clone(), count.clone());
                tokio::spawn(async move { pass(stream, upstream, most, refusal, &count).await });
            }
        });
        Self { address, refused, task }
    }
}

async fn pass(
    mut stream: TcpStream,
    upstream: Option<String>,
    most: usize,
    refusal: Refusal,
    refused: &AtomicUsize,
) {
    let mut request = Vec::new();
    let head = loop {
        if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
            return;
        }
        if let Some(at) = request.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
    };
    let lines = String::from_utf8_lossy(&request[..head]).to_lowercase();
    let length = lines.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
    let length = length.unwrap_or(0);
    while request.len() < head + length {
        assert!(stream.read_buf(&mut request).await.unwrap() > 0);
    }
    let answer = if length > most {
        refused.fetch_add(1, Ordering::Relaxed);
        if refusal == Refusal::Close {
            return;
        }
        b"HTTP/1.1 413 Too Large\r\ncontent-length: 6\r\nconnection: close\r\n\r\n<html>".to_vec()
    } else if let Some(upstream) = upstream {
        let mut server = TcpStream::connect(upstream).await.unwrap();
        let first = request.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        server.write_all(&request[..first]).await.unwrap();
        server.write_all(b"connection: close\r\n").await.unwrap();
        server.write_all(&request[first..]).await.unwrap();
        let mut answer = Vec::new();
        server.read_to_end(&mut answer).await.unwrap();
        answer
    } else {
        let body = r#"{"errors":false,"items":[]}"#;
        let length = body.len();
        format!("HTTP/1.1 200 X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}").into_bytes()
    };
    stream.write_all(&answer).await.unwrap();
    stream.shutdown().await.unwrap();
}

const MOST: usize = 100_000;

/// Products of which each is a few kilobytes, and all are several times what the proxy takes; one is too large alone.
fn products() -> Vec<Change> {
    let described = |id: &str, words: usize| {
        let words: Vec<String> = (0..words).map(|n| format!("word{id}x{n}")).collect();
        Change::Put(Document { description: words.join(" "), ..document(id, 1, "Long") })
    };
    let mut all: Vec<_> = (0..60).map(|n| described(&format!("p{n:03}"), 100)).collect();
    all.push(described("whale", 10_000));
    all.push(put("tiny", 1, "Long"));
    all
}

async fn written(search: &dyn Search) {
    let too_large = search.apply(INDEX, &products(), "main:1").await.unwrap();
    let [whale] = &*too_large else { panic!("{}", too_large.len()) };
    assert_eq!((whale.id.as_str(), whale.version), ("whale", 1));
    for message in ["whale", "bytes", "http.max_content_length", "client_max_body_size"] {
        assert!(whale.reason.contains(message), "{}", whale.reason);
    }
}

#[tokio::test]
async fn a_bulk_that_is_too_large_is_halved_until_it_fits() {
    for refusal in [Refusal::Status, Refusal::Close] {
        let proxy = Proxy::new(None, MOST, refusal).await;
        let search = connect(&format!("http://{}", proxy.address)).unwrap();
        if refusal == Refusal::Status {
            written(&*search).await;
            let first = proxy.refused.swap(0, Ordering::Relaxed);
            written(&*search).await;
            let again = proxy.refused.load(Ordering::Relaxed);
            assert!(again <= first, "{again} after {first}");
        } else {
            // Nobody said that it is too large, so a document alone is no reason to go on without it.
            let small: Vec<_> = products().into_iter().filter(|change| change.id() != "whale").collect();
            assert_eq!(search.apply(INDEX, &small, "main:1").await.unwrap(), []);
            assert!(proxy.refused.load(Ordering::Relaxed) > 0);
            let error = search.apply(INDEX, &products(), "main:2").await.unwrap_err();
            assert!(matches!(error, Error::Unreachable { .. }), "{error}");
        }
    }
}

#[tokio::test]
async fn a_server_that_takes_nothing_is_an_error() {
    let proxy = Proxy::new(None, 10, Refusal::Status).await;
    let search = connect(&format!("http://{}", proxy.address)).unwrap();
    let error = search.apply(INDEX, &[put("a", 1, "Mug")], "main:1").await.unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error}");
}

async fn behind_a_proxy(variable: &str) {
    let url = crate::server(variable);
    let (_, rest) = url.split_once("://").unwrap();
    let (host, prefix) = rest.split_once('?').unwrap();
    let (user, host) =
        host.trim_end_matches('/').rsplit_once('@').map_or(("", host), |(user, host)| (user, host));
    let at = if user.is_empty() { "" } else { "@" };
    let proxy = Proxy::new(Some(host.trim_end_matches('/').to_owned()), MOST, Refusal::Status).await;
    let search = connect(&format!("http://{user}{at}{}?{prefix}", proxy.address)).unwrap();
    search.create(INDEX).await.unwrap();
    search.apply(INDEX, &[put("whale", 0, "Long ago")], "main:0").await.unwrap();
    written(&*search).await;
    assert_eq!(search.checkpoint(INDEX).await.unwrap().as_deref(), Some("main:0"), "it waits for a note");
    assert_eq!(search.apply(INDEX, &[], "main:1").await.unwrap(), []);
    search.refresh(INDEX).await.unwrap();
    let found = found(&*search, "long").await;
    assert_eq!(found.len(), 61, "all but the whale, also in its old version");
    assert!(!found.contains(&"whale".to_owned()));
    search.remove(INDEX).await.unwrap();
}

#[tokio::test]
async fn elasticsearch_behind_a_proxy_takes_everything_that_fits() {
    behind_a_proxy("ELASTICSEARCH_URL").await;
}

#[tokio::test]
async fn opensearch_behind_a_proxy_takes_everything_that_fits() {
    behind_a_proxy("OPENSEARCH_URL").await;
}
