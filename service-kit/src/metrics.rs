//! The metrics of a process at `/metrics`, in the text format of Prometheus: counters since its start, and values that
//! it looks up in its databases at each scrape.
//!
//! When a database is away the counters stay, and a metric says that the look-up failed. No label holds an id, an
//! address or a path: a route is its template. Where others reach the shop, those who do not see details
//! ([`Access::sees_details`]) get the verdicts alone: how much is sold is told to nobody by its counters.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures::future::{BoxFuture, FutureExt, join_all};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::prometheus_text::{self, encode};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::access::Access;

/// The prefix of every name.
pub const PREFIX: &str = "soonshop";

/// The limit of a look-up: a scraper has a limit of its own, and must get the other metrics before that.
pub const LIMIT: Duration = Duration::from_secs(3);

/// Upper bounds, in seconds.
const SECONDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AnswerLabels {
    method: &'static str,
    route: String,
    status: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    method: &'static str,
    route: String,
}

/// Requests that were answered. Clones count together.
#[derive(Debug, Clone)]
pub struct Http {
    requests: Family<AnswerLabels, Counter>,
    seconds: Family<RouteLabels, Histogram, fn() -> Histogram>,
    connections: Gauge,
    replaced: Counter,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            requests: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(SECONDS)),
            connections: Gauge::default(),
            replaced: Counter::default(),
        }
    }
}

impl Http {
    fn register(&self, registry: &mut Registry) {
        registry.register("http_requests", "Requests answered", self.requests.clone());
        let help = "Seconds from a request to the head of its answer";
        registry.register("http_request_seconds", help, self.seconds.clone());
        registry.register("http_connections", "Connections of clients", self.connections.clone());
        let help =
            "Connections that were closed while they waited for their clients, to make room for new ones";
        registry.register("http_connections_replaced", help, self.replaced.clone());
    }

    /// Says how many connections there are.
    pub(crate) fn connected(&self, count: usize) {
        self.connections.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Counts a connection that was closed for another one.
    pub(crate) fn replaced(&self) {
        self.replaced.inc();
    }

    /// Counts an answer to what never became a request.
    pub(crate) fn refused(&self, status: u16) {
        let labels = AnswerLabels { method: "other", route: "none".to_owned(), status: class(status) };
        self.requests.get_or_create(&labels).inc();
    }
}

/// A client may send any word as a method: all unknown ones share a label.
fn method(method: &Method) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("other")
}

fn class(status: u16) -> &'static str {
    ["1xx", "2xx", "3xx", "4xx"].get(usize::from(status / 100).wrapping_sub(1)).copied().unwrap_or("5xx")
}

/// Counts a request, whether a handler or the stack answers it.
pub(crate) async fn counted(State(http): State<Http>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let method = method(request.method());
    let matched = request.extensions().get::<MatchedPath>();
    let route = matched.map_or("none", MatchedPath::as_str).to_owned();
    let response = next.run(request).await;
    // A method that a path does not have is no operation: a caller must not make labels of them.
    let method = if response.status() == StatusCode::METHOD_NOT_ALLOWED { "other" } else { method };
    let status = class(response.status().as_u16());
    http.seconds
        .get_or_create(&RouteLabels { method, route: route.clone() })
        .observe(begun.elapsed().as_secs_f64());
    http.requests.get_or_create(&AnswerLabels { method, route, status }).inc();
    response
}

type Look = Box<dyn Fn() -> BoxFuture<'static, Result<Registry, String>> + Send + Sync>;

/// The counters of a process, and its look-ups.
pub struct Metrics {
    counted: Registry,
    http: Http,
    looks: Vec<Look>,
    /// Verdicts, which everybody may have.
    open: Vec<Look>,
}

impl Default for Metrics {
    fn default() -> Self {
        let (mut counted, http) = (Registry::with_prefix(PREFIX), Http::default());
        http.register(&mut counted);
        Self { counted, http, looks: Vec::new(), open: Vec::new() }
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").field("http", &self.http).finish_non_exhaustive()
    }
}

impl Metrics {
    /// The registry for counters.
    pub fn counted(&mut self) -> &mut Registry {
        &mut self.counted
    }

    /// The counters of requests.
    pub fn http(&self) -> Http {
        self.http.clone()
    }

    /// Adds a look-up at every scrape, for at most [`LIMIT`], beside the others. Its registry has [`PREFIX`].
    #[must_use]
    pub fn looked_up<F>(mut self, look: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Registry, String>> + Send + 'static,
    {
        self.looks.push(Box::new(move || look().boxed()));
        self
    }

    /// The same with verdicts, which everybody may have.
    #[must_use]
    pub fn looked_up_for_all<F>(mut self, look: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Registry, String>> + Send + 'static,
    {
        self.open.push(Box::new(move || look().boxed()));
        self
    }

    /// All of them, or the verdicts alone.
    async fn text(&self, all: bool) -> Result<String, fmt::Error> {
        let mut text = String::new();
        if all {
            encode(&mut text, &self.counted)?;
        }
        let looks = || self.open.iter().chain(self.looks.iter().filter(|_| all));
        if looks().next().is_none() {
            return Ok(text);
        }
        let results = looks().map(|look| tokio::time::timeout(LIMIT, look()));
        let late = || Err(format!("no answer within {} seconds", LIMIT.as_secs()));
        let results = join_all(results).await.into_iter().map(|one| one.unwrap_or_else(|_| late()));
        let results: Vec<_> = results.collect();
        let mut message = Registry::with_prefix(PREFIX);
        let ok = ConstGauge::new(i64::from(results.iter().all(Result::is_ok)));
        message.register("scrape_ok", "1: every look-up worked; 0: one failed", ok);
        encode(&mut text, &message)?;
        for one in results {
            match one {
                Ok(found) => encode(&mut text, &found)?,
                Err(reason) => {
                    tracing::warn!(reason, "some metrics are missing: they could not be looked up");
                }
            }
        }
        Ok(text)
    }

    /// `/metrics`.
    pub fn router(self, access: Access) -> Router {
        Router::new().route("/metrics", get(scrape)).with_state(Arc::new((self, access)))
    }
}

async fn scrape(State(state): State<Arc<(Metrics, Access)>>, headers: HeaderMap) -> Response {
    let (metrics, access) = &*state;
    match metrics.text(access.sees_details(&headers).await).await {
        Ok(text) => ([(CONTENT_TYPE, prometheus_text::CONTENT_TYPE), (CACHE_CONTROL, "no-store")], text)
            .into_response(),
        // Writing into a string cannot fail.
        Err(error) => crate::Problem::internal(error).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use tower::ServiceExt as _;

    use super::*;
    use crate::serve::{stack, with_counts};

    async fn scraped(router: &Router) -> String {
        let request = Request::get("/metrics").body(Body::empty()).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
        assert!(response.headers()[CONTENT_TYPE].to_str().unwrap().starts_with("text/plain; version=0.0.4"));
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    fn router(metrics: Metrics) -> Router {
        let http = metrics.http();
        let there = Router::new().route("/things/{id}", get(async || "here"));
        with_counts(stack(there.merge(metrics.router(Access::new(None)))), http)
    }

    #[tokio::test]
    async fn where_others_reach_the_shop_a_guest_gets_verdicts_and_no_counters() {
        let of = |name: &'static str| {
            move || async move {
                let mut found = Registry::with_prefix(PREFIX);
                found.register(name, "One", ConstGauge::new(1_i64));
                Ok(found)
            }
        };
        let metrics = || Metrics::default().looked_up_for_all(of("healthy")).looked_up(of("orders"));
        let reached = metrics().router(Access::new(Some("token".into())).reached_by_others());
        let text = scraped(&reached).await;
        assert!(
            text.contains("\nsoonshop_healthy 1\n") && text.contains("\nsoonshop_scrape_ok 1\n"),
            "{text}"
        );
        assert!(!text.contains("orders") && !text.contains("http_"), "{text}");
        let here = scraped(&metrics().router(Access::new(None))).await;
        assert!(here.contains("soonshop_orders 1") && here.contains("soonshop_http_connections"), "{here}");
    }

    #[tokio::test]
    async fn requests_are_counted_by_template_and_class_and_never_by_path() {
        let router = router(Metrics::default());
        for (method, path) in
            [("GET", "/things/7"), ("GET", "/things/8"), ("POST", "/things/9"), ("BREW", "/no/such/7")]
        {
            let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
            router.clone().oneshot(request).await.unwrap();
        }
        let text = scraped(&router).await;
        for line in [
            "soonshop_http_requests_total{method=\"GET\",route=\"/things/{id}\",status=\"2xx\"} 2",
            "soonshop_http_requests_total{method=\"other\",route=\"/things/{id}\",status=\"4xx\"} 1",
            "soonshop_http_requests_total{method=\"other\",route=\"none\",status=\"4xx\"} 1",
            "soonshop_http_request_seconds_count{method=\"GET\",route=\"/things/{id}\"} 2",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
        assert!(
            !text.contains("/things/7") && !text.contains("BREW") && !text.contains("scrape_ok"),
            "{text}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_look_up_leaves_the_other_metrics() {
        let failing = Metrics::default().looked_up(async || Err("the database is away".to_owned()));
        let hanging = Metrics::default().looked_up(std::future::pending);
        for metrics in [failing, hanging] {
            let router = router(metrics);
            scraped(&router).await;
            let text = scraped(&router).await;
            assert!(text.contains("\nsoonshop_scrape_ok 0\n"), "{text}");
            assert!(text.contains("route=\"/metrics\",status=\"2xx\"} 1"), "{text}");
        }
    }

    #[tokio::test]
    async fn looked_up_metrics_stand_beside_counters() {
        let metrics = Metrics::default().looked_up(async || {
            let mut found = Registry::with_prefix(PREFIX);
            found.register("things", "Things there are", ConstGauge::new(3_i64));
            Ok(found)
        });
        let text = scraped(&router(metrics)).await;
        assert!(
            text.contains("\nsoonshop_scrape_ok 1\n") && text.contains("\nsoonshop_things 3\n"),
            "{text}"
        );
    }
}
