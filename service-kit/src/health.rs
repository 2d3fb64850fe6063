//! Whether the process lives, whether it can do its work, and what its checks find wrong.
//!
//! Liveness depends on nothing outside: killing a process because its database is away helps nothing. Readiness is the
//! result of the checks that the process cannot work without. [`Health::examine`] runs all checks. They run at once,
//! none for longer than [`LIMIT`] (and what it waits for is looked for a little longer), and an answer is used again for [`FRESH`].
//!
//! The reason of a failure names servers and files: only callers for whom [`Access::sees_details`] holds get it. Others
//! get the verdict.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures::future::{BoxFuture, FutureExt, join_all};
use serde::Serialize;
use tokio::sync::Mutex;

use crate::access::Access;

/// How long one check may take.
pub const LIMIT: Duration = Duration::from_secs(2);

/// How long to look for what a check without an answer waits for.
const EXPLAINED: Duration = Duration::from_millis(700);

/// How long an answer is used again, so that frequent questions do not load the servers.
pub const FRESH: Duration = Duration::from_millis(500);

/// The fault that a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The object of the fault, such as a queue; `None`: the object of the check.
    pub object: Option<String>,
    /// The reason.
    pub reason: String,
    /// The code of the remedy; `None`: the remedy of the check.
    pub remedy: Option<&'static str>,
}

impl Fault {
    /// A fault of this object, with a remedy of its own.
    pub fn of(object: impl Into<String>, reason: impl Into<String>, remedy: &'static str) -> Self {
        Self { object: Some(object.into()), reason: reason.into(), remedy: Some(remedy) }
    }
}

impl From<String> for Fault {
    fn from(reason: String) -> Self {
        Self { object: None, reason, remedy: None }
    }
}

type Ask = Arc<dyn Fn() -> BoxFuture<'static, Result<(), Fault>> + Send + Sync>;

/// Finds what a check without an answer waits for; `None`: that is not known.
type Explain = Arc<dyn Fn() -> BoxFuture<'static, Option<Fault>> + Send + Sync>;

/// A check, and what it found last.
#[derive(Clone)]
struct Check {
    name: String,
    object: Option<String>,
    remedy: Option<&'static str>,
    needed: bool,
    ask: Ask,
    last: Arc<Mutex<Option<(Instant, Outcome)>>>,
}

/// The checks of a process, in the order in which they are shown.
#[derive(Clone, Default)]
pub struct Health {
    checks: Vec<Check>,
    cure: Option<fn(&str) -> Option<&'static str>>,
    explain: Option<Explain>,
}

/// The answer of `/health/ready`.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Readiness {
    pub ready: bool,
    pub checks: Vec<Outcome>,
}

/// How one check ended.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
#[schema(as = CheckOutcome)]
pub struct Outcome {
    pub name: String,
    pub ok: bool,
    /// Its object: a database, a read model, a queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The code of the remedy.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub remedy: Option<&'static str>,
    /// The remedy, in a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub cure: Option<&'static str>,
    pub milliseconds: u64,
}

/// The public part of a check: its name, and whether it works.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CheckVerdict)]
pub struct CheckVerdict {
    pub name: String,
    pub ok: bool,
}

/// The answer of `/health/ready` for those who are not told why.
#[derive(Debug, Serialize)]
struct ReadyVerdict {
    ready: bool,
    checks: Vec<CheckVerdict>,
}

/// The verdicts of these checks.
pub fn verdicts(checks: &[Outcome]) -> Vec<CheckVerdict> {
    checks.iter().map(|one| CheckVerdict { name: one.name.clone(), ok: one.ok }).collect()
}

impl Health {
    pub fn new() -> Self {
        Self::default()
    }

    /// Names the function that finds the sentence for the code of a remedy.
    #[must_use]
    pub fn cured_by(mut self, cure: fn(&str) -> Option<&'static str>) -> Self {
        self.cure = Some(cure);
        self
    }

    /// Names the function that finds what a check without an answer waits for, such as a lock that is kept.
    #[must_use]
    pub fn explained_by(
        mut self,
        explain: impl Fn() -> BoxFuture<'static, Option<Fault>> + Send + Sync + 'static,
    ) -> Self {
        self.explain = Some(Arc::new(explain));
        self
    }

    /// Adds a check that the process cannot work without. It returns nothing if all is well, else the reason.
    #[must_use]
    pub fn check<F>(self, name: impl Into<String>, check: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        let ask = move || check().map(|outcome| outcome.map_err(Fault::from)).boxed();
        self.add(name, None, None, true, ask)
    }

    /// Adds a check of `object`, with its usual `remedy`. Readiness counts it if the process cannot work without it.
    #[must_use]
    pub fn add(
        mut self,
        name: impl Into<String>,
        object: Option<String>,
        remedy: Option<&'static str>,
        needed: bool,
        ask: impl Fn() -> BoxFuture<'static, Result<(), Fault>> + Send + Sync + 'static,
    ) -> Self {
        let (name, ask, last) = (name.into(), Arc::new(ask), Arc::default());
        self.checks.push(Check { name, object, remedy, needed, ask, last });
        self
    }

    /// Runs the checks that the process cannot work without.
    pub async fn readiness(&self) -> Readiness {
        let checks = self.run(|check| check.needed).await;
        Readiness { ready: checks.iter().all(|outcome| outcome.ok), checks }
    }

    /// Runs the check of this name; `None`: there is none.
    pub async fn named(&self, name: &str) -> Option<Outcome> {
        self.run(|check| check.name == name).await.pop()
    }

    /// Runs every check.
    pub async fn examine(&self) -> Vec<Outcome> {
        self.run(|_| true).await
    }

    async fn run(&self, expected: impl Fn(&Check) -> bool) -> Vec<Outcome> {
        join_all(self.checks.iter().filter(|check| expected(check)).map(|check| self.outcome(check))).await
    }

    /// Callers that come at once share one answer.
    async fn outcome(&self, check: &Check) -> Outcome {
        let mut last = check.last.lock().await;
        if let Some((_, outcome)) = last.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
            return outcome.clone();
        }
        let begun = Instant::now();
        let result = match tokio::time::timeout(LIMIT, (check.ask)()).await {
            Ok(result) => result,
            Err(_) => Err(self.no_answer(LIMIT).await),
        };
        let outcome = self.outcome_of(check, result, begun.elapsed());
        *last = Some((Instant::now(), outcome.clone()));
        outcome
    }

    /// The outcome of what gave no answer within `limit` and is none of the checks.
    pub async fn late(&self, name: &str, remedy: &'static str, limit: Duration) -> Outcome {
        let fault = self.no_answer(limit).await;
        let (name, ask, last): (_, Ask, _) =
            (name.to_owned(), Arc::new(|| async { Ok(()) }.boxed()), Arc::default());
        let check = Check { name, object: None, remedy: Some(remedy), needed: false, ask, last };
        self.outcome_of(&check, Err(fault), limit)
    }

    /// The fault of what gave no answer: what it waits for, if that can be found.
    async fn no_answer(&self, limit: Duration) -> Fault {
        let found = match &self.explain {
            Some(explain) => tokio::time::timeout(EXPLAINED, explain()).await.ok().flatten(),
            None => None,
        };
        found.unwrap_or_else(|| format!("no answer within {} seconds", limit.as_secs()).into())
    }

    fn outcome_of(&self, check: &Check, result: Result<(), Fault>, took: Duration) -> Outcome {
        let milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let (name, object) = (check.name.clone(), check.object.clone());
        match result {
            Ok(()) => {
                Outcome { name, ok: true, object, reason: None, remedy: None, cure: None, milliseconds }
            }
            Err(fault) => {
                let remedy = fault.remedy.or(check.remedy);
                let cure = remedy.zip(self.cure).and_then(|(remedy, cure)| cure(remedy));
                let (object, reason) = (fault.object.or(object), Some(fault.reason));
                Outcome { name, ok: false, object, reason, remedy, cure, milliseconds }
            }
        }
    }

    /// `/health/live` and `/health/ready`.
    pub fn router(self, access: Access) -> Router {
        Router::new()
            .route(
                "/health/live",
                get(async || uncached(StatusCode::OK, serde_json::json!({ "live": true }))),
            )
            .route("/health/ready", get(ready))
            .with_state(Arc::new((self, access)))
    }
}

async fn ready(State(state): State<Arc<(Health, Access)>>, headers: HeaderMap) -> Response {
    let (health, access) = &*state;
    let Readiness { ready, checks } = health.readiness().await;
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    if access.sees_details(&headers).await {
        uncached(status, Readiness { ready, checks })
    } else {
        uncached(status, ReadyVerdict { ready, checks: verdicts(&checks) })
    }
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
        answer_of(health, Access::new(None), path).await
    }

    async fn answer_of(health: Health, access: Access, path: &str) -> (StatusCode, Value) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = health.router(access).oneshot(request).await.unwrap();
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

    #[tokio::test(start_paused = true)]
    async fn where_others_reach_the_shop_a_guest_gets_the_verdict_and_the_names_alone() {
        let fault = || async { Err(Fault::of("amqp://10.0.0.5", "/srv/data is full", "disk-full")) }.boxed();
        let health = broken().add("disk", Some("/srv/data".to_owned()), Some("disk"), true, fault);
        let reached = Access::new(Some("token".into())).reached_by_others();
        let (status, body) = answer_of(health, reached, "/health/ready").await;
        assert_eq!(status, 503, "a load balancer sees the same");
        let names = |name: &str, ok: bool| serde_json::json!({ "name": name, "ok": ok });
        let checks = [names("log", true), names("bus", false), names("search", false), names("disk", false)];
        assert_eq!(body, serde_json::json!({ "ready": false, "checks": checks }));
    }

    #[tokio::test]
    async fn ready_when_every_check_is_well() {
        let (status, body) = answer(Health::new().check("log", async || Ok(())), "/health/ready").await;
        assert_eq!((status, &body["ready"]), (StatusCode::OK, &Value::Bool(true)));
    }

    #[tokio::test]
    async fn a_fault_names_its_object_and_what_to_do_and_readiness_leaves_out_what_can_be_done_without() {
        let cure = |code: &str| (code == "queue-settings").then_some("Delete the queue.");
        let fault = || async { Err(Fault::of("queue q", "it is a classic queue", "queue-settings")) }.boxed();
        let health =
            Health::new().cured_by(cure).add("bus", Some("amqp://host".to_owned()), None, false, fault);
        let found = health.examine().await;
        assert_eq!(found[0].object.as_deref(), Some("queue q"));
        assert_eq!(found[0].reason.as_deref(), Some("it is a classic queue"));
        assert_eq!((found[0].remedy, found[0].cure), (Some("queue-settings"), Some("Delete the queue.")));
        let readiness = health.readiness().await;
        assert!(readiness.ready && readiness.checks.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_gives_no_answer_names_what_it_waits_for_if_that_can_be_found() {
        let kept = || async { Some(Fault::of("operations.entries", "it is kept locked", "locked")) }.boxed();
        let found = broken().explained_by(kept).examine().await;
        let of = |one: &Outcome| (one.object.clone(), one.reason.clone(), one.remedy);
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(of(&found[2]), (text("operations.entries"), text("it is kept locked"), Some("locked")));
        assert_eq!(found[1].reason.as_deref(), Some("amqp is away"), "one that answers says why itself");
        for unknown in [broken().explained_by(|| std::future::pending().boxed()), broken()] {
            let late = unknown.late("followers", "late", Duration::from_secs(5)).await;
            assert_eq!(of(&late), (None, text("no answer within 5 seconds"), Some("late")));
        }
    }

    #[tokio::test]
    async fn questions_that_come_at_once_share_one_answer() {
        let asked = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let counts = Arc::clone(&asked);
        let health = Health::new().check("log", move || {
            counts.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            async { Ok(()) }
        });
        tokio::join!(health.examine(), health.readiness());
        assert_eq!(asked.load(std::sync::atomic::Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn live_does_not_depend_on_anything() {
        assert_eq!(answer(broken(), "/health/live").await.0, 200);
    }
}
