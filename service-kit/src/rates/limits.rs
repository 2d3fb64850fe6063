//! Counts requests, refuses those above a rate, and says in every answer what is left.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use soonshop_cache::{InProcess, Rate, Rates, Taken};

use super::address::{CallersAddress, Proxies, UNKNOWN, counted_name};
use super::class::{Class, RateTable, Setting};
use crate::problem::Problem;

/// The rates that apply.
pub const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// The requests that are left.
pub const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// How many times as much as others a program may do: it acts for many people.
pub const PROGRAMS: u32 = 100;

tokio::task_local! {
    /// The request that is being answered.
    static COUNTING: Arc<Counting>;
}

/// The caller that is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who<'a> {
    /// A caller without a key, by the address.
    Guest,
    /// The holder of this key.
    Holder(&'a str),
    /// A program with this key: [`PROGRAMS`] times as much.
    Program(&'a str),
    /// Not counted: the operator must always get through, and imports as fast as the shop can.
    Operator,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfClass {
    class: &'static str,
}

/// The rates of a process, and what its callers have taken of them.
pub struct Limits {
    rates: RateTable,
    proxies: Proxies,
    /// For all processes.
    shared: Arc<dyn Rates>,
    /// For this process.
    own: InProcess,
    /// `shared` did not answer the last time.
    away: AtomicBool,
    /// A log line has said that a peer reports addresses and is not trusted.
    warned: AtomicBool,
    refused: Family<OfClass, Counter>,
}

/// A request: where it came from, and what was counted for it.
struct Counting {
    limits: Arc<Limits>,
    from: IpAddr,
    /// The name under which that address is counted.
    address: String,
    counted: Mutex<Vec<(Class, Rate, Taken)>>,
}

impl Limits {
    /// The default rates with these settings over them, counted in `shared`.
    pub fn new(settings: &[Setting], proxies: Proxies, shared: Arc<dyn Rates>) -> Self {
        let refused = Family::<OfClass, Counter>::default();
        for class in Class::ALL {
            drop(refused.get_or_create(&OfClass { class: class.into() }));
        }
        let (own, away, warned) = (InProcess::default(), AtomicBool::new(false), AtomicBool::new(false));
        Self { rates: RateTable::of(settings), proxies, shared, own, away, warned, refused }
    }

    /// Adds the counters.
    pub fn register(&self, registry: &mut Registry) {
        let help = "Requests refused because their caller was too fast, by the class of endpoints";
        registry.register("rate_refused", help, self.refused.clone());
    }

    async fn take(&self, class: Class, caller: &str, rate: Rate) -> Taken {
        if class.is_shared() {
            match self.shared.take(caller, rate).await {
                Ok(taken) => {
                    if self.away.swap(false, Ordering::Relaxed) {
                        tracing::info!("rates are counted for all processes together again");
                    }
                    return taken;
                }
                Err(error) => {
                    if !self.away.swap(true, Ordering::Relaxed) {
                        tracing::warn!(%error, "this process counts rates for itself until the server answers");
                    }
                }
            }
        }
        self.own.take_now(caller, rate)
    }
}

/// Counts the requests to this router by these limits, wherever [`count`] is called for them.
pub fn counted(router: Router, limits: &Arc<Limits>) -> Router {
    router.layer(from_fn_with_state(Arc::clone(limits), limited))
}

/// Counts every request to this router as of this class, by its address: for routes that ask for no caller.
pub fn counted_as(router: Router, class: Class) -> Router {
    router.layer(from_fn_with_state(class, as_class))
}

async fn limited(State(limits): State<Arc<Limits>>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map_or(UNKNOWN, |peer| peer.0.ip());
    if limits.proxies.ignores(peer, request.headers()) && !limits.warned.swap(true, Ordering::Relaxed) {
        tracing::warn!(
            "a peer reports the addresses of callers and is not trusted to, so all of them share its rates, and none of \
             them counts as speaking TLS: if it is a proxy of yours, name it with --behind-proxy"
        );
    }
    let from = limits.proxies.caller(peer, request.headers());
    let address = counted_name(from);
    request.extensions_mut().insert(CallersAddress(address.as_str().into()));
    let counting = Arc::new(Counting { limits, from, address, counted: Mutex::default() });
    let mut response = COUNTING.scope(Arc::clone(&counting), next.run(request)).await;
    counting.tell(response.headers_mut());
    response
}

async fn as_class(State(class): State<Class>, request: Request, next: Next) -> Response {
    match count(class, Who::Guest).await {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

/// Where the request comes from that this task answers, behind trusted proxies. Unknown outside of [`counted`].
pub(crate) fn callers_address() -> Option<IpAddr> {
    COUNTING.try_with(|counting| counting.from).ok().filter(|address| *address != UNKNOWN)
}

/// Counts the request that this task answers; 429 if the caller has none left. Nothing outside of [`counted`].
pub async fn count(class: Class, who: Who<'_>) -> Result<(), Problem> {
    let Ok(counting) = COUNTING.try_with(Arc::clone) else { return Ok(()) };
    let Some(rate) = counting.limits.rates.rate(class) else { return Ok(()) };
    let (rate, caller) = match who {
        Who::Operator => return Ok(()),
        Who::Guest => (rate, format!("{class}:address:{}", counting.address)),
        Who::Holder(key) => (rate, format!("{class}:key:{key}")),
        Who::Program(key) => (rate.times(PROGRAMS), format!("{class}:key:{key}")),
    };
    let taken = counting.limits.take(class, &caller, rate).await;
    counting.counted.lock().unwrap_or_else(PoisonError::into_inner).push((class, rate, taken));
    if taken.allowed {
        return Ok(());
    }
    counting.limits.refused.get_or_create(&OfClass { class: class.into() }).inc();
    let (count, seconds) = (rate.count(), rate.window().as_secs());
    let detail = format!("at most {count} {} in {seconds} seconds: wait", class.noun());
    Err(Problem::too_many("too-many-requests", detail)
        .with("violated-policies", vec![<&str>::from(class)])
        .with_retry_after(taken.retry_after))
}

impl Counting {
    /// Writes both headers, each a list with an item for every class that was counted: of a class that was counted by
    /// address and by guest, what has less left.
    fn tell(&self, headers: &mut HeaderMap) {
        let all = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let mut counted: Vec<&(Class, Rate, Taken)> = Vec::new();
        for one in all.iter() {
            match counted.iter_mut().find(|(class, rate, _)| (class, rate) == (&one.0, &one.1)) {
                Some(before) if one.2.left < before.2.left => *before = one,
                Some(_) => {}
                None => counted.push(one),
            }
        }
        if counted.is_empty() {
            return;
        }
        // Of two that count for one class, the guest and their address, the one with less left decides.
        let mut least: Vec<&(Class, Rate, Taken)> = Vec::new();
        for one in &*counted {
            match least.iter_mut().find(|known| known.0 == one.0) {
                Some(known) if one.2.left < known.2.left || !one.2.allowed => *known = one,
                Some(_) => {}
                None => least.push(one),
            }
        }
        let policies = least
            .iter()
            .map(|(class, rate, _)| format!("\"{class}\";q={};w={}", rate.count(), rate.window().as_secs()));
        let left = least.iter().map(|(class, _, taken)| {
            format!("\"{class}\";r={};t={}", taken.left, whole_seconds(taken.full_after))
        });
        for (name, items) in [(RATE_LIMIT_POLICY, policies.collect::<Vec<_>>()), (RATE_LIMIT, left.collect())]
        {
            let value = HeaderValue::try_from(items.join(", "));
            headers.insert(name, value.expect("names and numbers are visible ASCII"));
        }
    }
}

/// Rounded up.
fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use axum::body::Body;
    use axum::http::StatusCode;
    use axum::http::header::RETRY_AFTER;
    use axum::routing::get;
    use serde_json::{Value, json};
    use soonshop_cache::Error;
    use tower::ServiceExt as _;

    use super::*;

    /// A server that counts, unless it is away.
    #[derive(Default)]
    struct Server {
        rates: InProcess,
        away: AtomicBool,
    }

    #[async_trait]
    impl Rates for Server {
        fn backend(&self) -> &'static str {
            "test"
        }

        async fn take(&self, caller: &str, rate: Rate) -> Result<Taken, Error> {
            if self.away.load(Ordering::Relaxed) {
                return Err(Error::Unreachable { backend: "test", reason: "it is away".to_owned() });
            }
            self.rates.take(caller, rate).await
        }

        async fn examine(&self) -> Result<(), Error> {
            Ok(())
        }
    }

    fn limits(settings: &str, proxies: &str) -> (Arc<Server>, Arc<Limits>) {
        let settings: Vec<Setting> = settings.split(',').map(|setting| setting.parse().unwrap()).collect();
        let proxies: Vec<_> = proxies.split_whitespace().map(|proxy| proxy.parse().unwrap()).collect();
        let server = Arc::new(Server::default());
        (Arc::clone(&server), Arc::new(Limits::new(&settings, Proxies::from(proxies), server)))
    }

    /// Routes that count a guest, callers with a key, and nobody.
    fn router(limits: &Arc<Limits>) -> Router {
        let of = |who: Who<'static>| get(async move || count(Class::Writes, who).await.map(|()| "done"));
        let both = get(async || {
            count(Class::SignIns, Who::Guest).await?;
            count(Class::Reads, Who::Holder("a")).await
        });
        let router = Router::new()
            .route("/guest", of(Who::Guest))
            .route("/a", of(Who::Holder("a")))
            .route("/b", of(Who::Holder("b")))
            .route("/program", of(Who::Program("p")))
            .route("/operator", of(Who::Operator))
            .route("/both", both)
            .route("/health", get(async || "well"))
            .merge(counted_as(Router::new().route("/file", get(async || "a file")), Class::Writes));
        counted(router, limits)
    }

    async fn asked(router: &Router, path: &str, peer: &str, forwarded: &str) -> Response {
        let mut request =
            Request::get(path).header("x-forwarded-for", forwarded).body(Body::empty()).unwrap();
        let peer = SocketAddr::new(peer.parse().unwrap(), 4711);
        request.extensions_mut().insert(ConnectInfo(peer));
        router.clone().oneshot(request).await.unwrap()
    }

    async fn status(router: &Router, path: &str, peer: &str) -> u16 {
        asked(router, path, peer, "").await.status().as_u16()
    }

    fn rate_headers(response: &Response) -> (&str, &str) {
        let header = |name| response.headers().get(name).map_or("", |value| value.to_str().unwrap());
        (header(RATE_LIMIT_POLICY), header(RATE_LIMIT))
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_above_a_rate_is_refused_and_every_answer_says_what_is_left() {
        let router = router(&limits("writes=2/60s,sign-ins=5/10s,reads=9/1h", "").1);
        let here = "192.0.2.1";
        let first = asked(&router, "/guest", here, "").await;
        assert_eq!(rate_headers(&first), (r#""writes";q=2;w=60"#, r#""writes";r=1;t=30"#));
        assert_eq!(rate_headers(&asked(&router, "/guest", here, "").await).1, r#""writes";r=0;t=60"#);
        tokio::time::advance(Duration::from_millis(500)).await;
        let refused = asked(&router, "/guest", here, "").await;
        assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(rate_headers(&refused), (r#""writes";q=2;w=60"#, r#""writes";r=0;t=60"#));
        assert_eq!(refused.headers()[RETRY_AFTER], "30");
        let body = axum::body::to_bytes(refused.into_body(), usize::MAX).await.unwrap();
        let problem: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(problem["type"], "/problems/too-many-requests");
        assert_eq!(problem["violated-policies"], json!(["writes"]));
        assert_eq!(status(&router, "/file", here).await, 429, "it is of the same class");

        tokio::time::advance(Duration::from_secs(30)).await;
        assert_eq!(status(&router, "/guest", here).await, 200);
        assert_eq!(status(&router, "/guest", here).await, 429);

        let both = asked(&router, "/both", here, "").await;
        let policies = r#""sign-ins";q=5;w=10, "reads";q=9;w=3600"#;
        assert_eq!(rate_headers(&both), (policies, r#""sign-ins";r=4;t=2, "reads";r=8;t=400"#));
    }

    #[tokio::test(start_paused = true)]
    async fn guests_are_counted_by_address_and_holders_by_key_and_the_operator_never() {
        let router = router(&limits("writes=2/60s", "").1);
        let (one, other) = ("192.0.2.1", "192.0.2.2");
        for (path, first, second) in [("/guest", one, one), ("/a", one, other)] {
            assert_eq!(status(&router, path, first).await, 200, "{path}");
            assert_eq!(status(&router, path, second).await, 200, "{path}");
            assert_eq!(status(&router, path, first).await, 429, "{path}");
        }
        assert_eq!(status(&router, "/a", other).await, 429, "a key has one rate everywhere");
        assert_eq!(status(&router, "/guest", other).await, 200);
        assert_eq!(status(&router, "/b", one).await, 200);
        // One network of IPv6 is one address.
        assert_eq!(status(&router, "/guest", "2001:db8::1").await, 200);
        assert_eq!(status(&router, "/guest", "2001:db8::2").await, 200);
        assert_eq!(status(&router, "/guest", "2001:db8::3").await, 429);
        for n in 0..200 {
            assert_eq!(status(&router, "/program", one).await, 200, "{n}");
        }
        assert_eq!(status(&router, "/program", one).await, 429);
        for _ in 0..1_000 {
            let response = asked(&router, "/operator", one, "").await;
            assert_eq!((response.status().as_u16(), rate_headers(&response)), (200, ("", "")));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_uncounted_class_is_never_refused_and_a_rate_that_is_off_counts_nobody() {
        let router_on = router(&limits("writes=1/60s", "").1);
        let here = "192.0.2.1";
        while status(&router_on, "/guest", here).await == 200 {}
        for _ in 0..1_000 {
            let response = asked(&router_on, "/health", here, "").await;
            assert_eq!((response.status().as_u16(), rate_headers(&response)), (200, ("", "")));
        }
        for settings in ["off", "writes=1/60s,writes=off"] {
            let router_off = router(&limits(settings, "").1);
            for _ in 0..1_000 {
                assert_eq!(status(&router_off, "/guest", here).await, 200, "{settings}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn callers_behind_a_trusted_proxy_are_counted_apart_and_no_other_report_is_believed() {
        let router = router(&limits("writes=1/60s", "10.0.0.0/8").1);
        for caller in ["198.51.100.1", "198.51.100.2"] {
            let made_up = format!("203.0.113.9, {caller}");
            assert_eq!(asked(&router, "/guest", "10.0.0.1", caller).await.status(), 200, "{caller}");
            assert_eq!(asked(&router, "/guest", "10.0.0.2", &made_up).await.status(), 429, "{caller}");
        }
        assert_eq!(asked(&router, "/guest", "192.0.2.1", "198.51.100.7").await.status(), 200);
        assert_eq!(asked(&router, "/guest", "192.0.2.1", "198.51.100.8").await.status(), 429);
    }

    #[tokio::test(start_paused = true)]
    async fn while_the_server_is_away_each_process_counts_for_itself() {
        let (server, limits) = limits("writes=2/60s,reads=1/60s", "");
        let router = router(&limits);
        let here = "192.0.2.1";
        while status(&router, "/guest", here).await == 200 {}
        server.away.store(true, Ordering::Relaxed);
        // Nobody is locked out, and nobody gets through without a count.
        assert_eq!(status(&router, "/guest", here).await, 200);
        assert_eq!(status(&router, "/guest", here).await, 200);
        assert_eq!(status(&router, "/guest", here).await, 429);
        server.away.store(false, Ordering::Relaxed);
        assert_eq!(status(&router, "/guest", here).await, 429, "the server has not forgotten");
        assert_eq!(status(&router, "/guest", "192.0.2.2").await, 200);
    }

    #[tokio::test(start_paused = true)]
    async fn refusals_are_in_the_metrics_by_class_also_before_there_are_any() {
        let (_, limits) = limits("writes=1/60s", "");
        let (mut registry, router) = (Registry::default(), router(&limits));
        limits.register(&mut registry);
        for _ in 0..4 {
            status(&router, "/guest", "192.0.2.1").await;
        }
        let mut text = String::new();
        prometheus_client::encoding::prometheus_text::encode(&mut text, &registry).unwrap();
        assert!(text.contains("rate_refused_total{class=\"writes\"} 3"), "{text}");
        for class in Class::ALL {
            assert!(text.contains(&format!("class=\"{class}\"")), "{class}: {text}");
        }
    }

    #[tokio::test]
    async fn nothing_is_counted_outside_of_a_server() {
        for _ in 0..10_000 {
            count(Class::SignIns, Who::Guest).await.unwrap();
        }
    }
}
