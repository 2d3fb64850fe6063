//! Measures how much a hundred live readers of the audit trail slow appends down, and what reaches them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde_json::Value;
use soonshop::Role;
use soonshop_domain::clock;
use soonshop_domain::text::Sku;
use soonshop_event_store::EventStore;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::{percentile, postgres_shop, rate, receive, seconds, support};

const READERS: usize = 100;
const CALLERS: usize = 32;

/// How many rounds long each part is.
const LENGTH: u32 = 5;

/// The events that a reader received.
#[derive(Default)]
struct Seen {
    events: usize,
    /// Positions that it was led past.
    passed: i64,
    /// Milliseconds from the recording of an event until it was here.
    late: Vec<f64>,
}

impl Seen {
    fn take(&mut self, message: &str) {
        let field = |name: &str| message.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        let data: Value = serde_json::from_str(field("data").unwrap_or("null")).unwrap_or_default();
        match field("event") {
            Some("events") => {
                let now = clock::now();
                for item in data["items"].as_array().into_iter().flatten() {
                    let recorded: DateTime<Utc> = item["recorded_at"].as_str().unwrap().parse().unwrap();
                    self.late.push((now - recorded).as_seconds_f64() * 1_000.0);
                    self.events += 1;
                }
            }
            Some("passed") => {
                self.passed += data["to"].as_i64().unwrap() - data["from"].as_i64().unwrap() + 1;
            }
            _ => {}
        }
    }
}

/// Reads until `stop`.
async fn reader(url: String, token: Arc<str>, stop: CancellationToken) -> Seen {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut response = http.get(url).bearer_auth(&token).send().await.unwrap().error_for_status().unwrap();
    let (mut seen, mut held) = (Seen::default(), String::new());
    while let Some(Ok(Some(bytes))) = stop.run_until_cancelled(response.chunk()).await {
        held.push_str(std::str::from_utf8(&bytes).unwrap());
        while let Some(end) = held.find("\n\n") {
            let rest = held.split_off(end + 2);
            seen.take(&std::mem::replace(&mut held, rest));
        }
    }
    seen
}

/// Appends at this rate for a while, however long one append takes; the results per second.
#[expect(clippy::cast_precision_loss, reason = "a rate")]
async fn paced(store: &EventStore, per_second: f64) -> f64 {
    let begun = Instant::now();
    let limit = seconds() * LENGTH;
    let callers = (0..CALLERS).map(|caller| async move {
        let sku = Sku::try_new(&format!("L-{caller}")).unwrap();
        let mut ticks = tokio::time::interval(Duration::from_secs_f64(CALLERS as f64 / per_second));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut done = 0_u64;
        while begun.elapsed() < limit {
            ticks.tick().await;
            receive(store, &sku).await;
            done += 1;
        }
        done
    });
    let done: u64 = futures::future::join_all(callers).await.into_iter().sum();
    done as f64 / begun.elapsed().as_secs_f64()
}

#[expect(clippy::cast_precision_loss, reason = "a count of what was appended")]
pub(crate) async fn readers() {
    let (place, shop) = postgres_shop().await;
    let listen = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let contexts = soonshop::contexts(None).unwrap();
    let options = |role| soonshop::serve::Options { role, contexts: contexts.clone(), listen };
    let trail: Vec<Arc<dyn soonshop_projections::Projector>> =
        vec![Arc::new(soonshop_projections::audit::Audit)];
    let projecting = soonshop::serve::start(shop.clone(), options(Role::Projector), trail).await.unwrap();
    let running = soonshop::serve::start(shop.clone(), options(Role::QueryApi), Vec::new()).await.unwrap();
    let (base, token) = (format!("http://{}", running.address), shop.operator_token().unwrap());
    let client = support::Client::new(&base, &token);
    let store = shop.event_store().unwrap();
    let caught_up = async || {
        let head = store.log().head().await.unwrap().position;
        support::eventually("the trail is at the head", Duration::from_mins(2), async || {
            let got = client.look("/api/audit/timeline?limit=1").await;
            got.status == 200 && got.header("event-position") == format!("main:{head}")
        })
        .await;
    };
    for caller in 0..CALLERS {
        receive(&store, &Sku::try_new(&format!("L-{caller}")).unwrap()).await;
    }
    let full = rate(CALLERS, |caller, _| {
        let (store, sku) = (store.clone(), Sku::try_new(&format!("L-{caller}")).unwrap());
        async move { receive(&store, &sku).await }
    })
    .await;
    caught_up().await;
    let alone = paced(&store, full / 2.0).await;
    caught_up().await;
    let stop = CancellationToken::new();
    let url = format!("{base}/api/audit/stream");
    let tasks: Vec<_> =
        (0..READERS).map(|_| tokio::spawn(reader(url.clone(), token.clone(), stop.clone()))).collect();
    let before = store.log().head().await.unwrap().position;
    let beside = paced(&store, full / 2.0).await;
    let appended = store.log().head().await.unwrap().position - before;
    stop.cancel();
    let (mut events, mut passed, mut late) = (Vec::new(), Vec::new(), Vec::new());
    for task in tasks {
        let seen = task.await.unwrap();
        events.push(seen.events as f64);
        passed.push(seen.passed as f64);
        late.extend(seen.late);
    }
    println!(
        "| append at half of {full:.0} /s, {CALLERS} callers, {READERS} live readers of the trail | {beside:.0} /s | {alone:.0} /s \
         (without readers) | {:.2} |",
        beside / alone
    );
    println!(
        "| what reached a reader of {appended} events, median | {:.0}, led past {:.0} | | |",
        percentile(&mut events, 0.5),
        percentile(&mut passed, 0.5)
    );
    let (middle, high) = (percentile(&mut late, 0.5), percentile(&mut late, 0.99));
    println!(
        "| recorded to received, {READERS} live readers, half load | p50 {middle:.0} ms, p99 {high:.0} ms | | |"
    );
    store.close().await;
    running.stop().await.unwrap();
    projecting.stop().await.unwrap();
    place.remove().await;
}
