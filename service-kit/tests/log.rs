//! The log lines of a request. In a process of its own: tracing caches for all threads that an event had no subscriber
//! when it was first met.
#![expect(clippy::unwrap_used, reason = "a test's helpers")]

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::routing::get;
use serde_json::Value;
use soonshop_service_kit::serve::stack;
use tower::ServiceExt;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_log_line_has_the_route_and_no_value_of_the_request() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt().json().with_writer(move || writer.clone()).init();
    let router = stack(
        Router::new()
            .route("/items/{id}", get(async || "item"))
            .route("/panic", get(async || -> String { panic!("a slip") }))
            .route("/health/live", get(async || "alive")),
    );
    for path in ["/items/someone@example.org?token=secret", "/health/live", "/panic"] {
        router.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
    }
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert_eq!(lines[0]["fields"]["route"], "/items/{id}");
    assert_eq!(lines[0]["fields"]["method"], "GET");
    assert_eq!(lines[0]["fields"]["status"], 200);
    assert!(lines[0]["fields"]["milliseconds"].is_u64());
    assert!(lines[0]["span"]["request_id"].is_string());
    assert!(!text.contains("example.org") && !text.contains("token") && !text.contains("secret"), "{text}");
    assert_eq!(lines[1]["fields"]["error"], "the handler panicked: a slip");
    assert_eq!(lines[1]["span"]["request_id"], lines[2]["span"]["request_id"]);
    assert_eq!(lines[2]["fields"]["status"], 500);
}
