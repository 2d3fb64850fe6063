//! Whether the process lives, and whether it can do its work.
//!
//! Liveness depends on nothing outside: killing a process because its database is away helps nothing. Readiness is the
//! result of its checks, all run at once, none for longer than [`LIMIT`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures::future::{BoxFuture, FutureExt, join_all};
use serde::Serialize;

/// How long one check may take.
pub const LIMIT: Duration = Duration::from_secs(2);

type Check = Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// The checks of a process, in the order in which they are shown.
#[derive(Clone, Default)]
pub struct Health {
    checks: Vec<(String, Check)>,
}

/// What `/health/ready` answers.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Readiness {
    pub ready: bool,
    pub checks: Vec<Outcome>,
}

/// How one check ended.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Outcome {
    pub name: String,
    pub ok: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub milliseconds: u64,
}

impl Health {
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a check. It returns nothing if all is well, else the reason.
    #[must_use]
    pub fn check<F>(mut self, name: impl Into<String>, check: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.checks.push((name.into(), Arc::new(move || check().boxed())));
        self
    }

    pub async fn readiness(&self) -> Readiness {
        let checks = join_all(self.checks.iter().map(|(name, check)| outcome(name, check))).await;
        Readiness { ready: checks.iter().all(|outcome| outcome.ok), checks }
    }

    /// `/health/live` and `/health/ready`.
    pub fn router(self) -> Router {
        Router::new()
            .route(
                "/health/live",
                get(async || uncached(StatusCode::OK, serde_json::json!({ "live": true }))),
            )
            .route("/health/ready", get(ready))
            .with_state(Arc::new(self))
    }
}

async fn outcome(name: &str, check: &Check) -> Outcome {
    let begun = Instant::now();
    let result = tokio::time::timeout(LIMIT, check())
        .await
        .unwrap_or_else(|_| Err(format!("no answer within {} seconds", LIMIT.as_secs())));
    Outcome {
        name: name.to_owned(),
        ok: result.is_ok(),
        reason: result.err(),
        milliseconds: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
    }
}

async fn ready(State(health): State<Arc<Health>>) -> Response {
    let readiness = health.readiness().await;
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    uncached(status, readiness)
}

fn uncached(status: StatusCode, body: impl Serialize) -> Response {
    (status, [(CACHE_CONTROL, HeaderValue::from_static("no-store"))], axum::Json(body)).into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use serde_json::Value;
    use tower::ServiceExt;

    use super::*;

    async fn answer(health: Health, path: &str) -> (StatusCode, Value) {
        let response =
            health.router().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
        let status = response.status();
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap())
    }

    fn broken() -> Health {
        Health::new()
            .check("log", async || Ok(()))
            .check("bus", async || Err("amqp is away".to_owned()))
            .check("search", async || std::future::pending().await)
    }

    #[tokio::test(start_paused = true)]
    async fn ready_says_which_check_failed_and_why_and_waits_for_none_of_them() {
        let (status, body) = answer(broken(), "/health/ready").await;
        assert_eq!(status, 503);
        assert_eq!(body["ready"], false);
        assert_eq!(body["checks"][0]["ok"], true);
        assert_eq!(body["checks"][1]["reason"], "amqp is away");
        assert_eq!(body["checks"][2]["reason"], "no answer within 2 seconds");
    }

    #[tokio::test]
    async fn ready_when_every_check_is_well() {
        let (status, body) = answer(Health::new().check("log", async || Ok(())), "/health/ready").await;
        assert_eq!((status, &body["ready"]), (StatusCode::OK, &Value::Bool(true)));
    }

    #[tokio::test]
    async fn live_does_not_depend_on_anything() {
        assert_eq!(answer(broken(), "/health/live").await.0, 200);
    }
}
