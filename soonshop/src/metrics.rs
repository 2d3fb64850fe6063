//! The metrics of the shop's processes at `/metrics`: the counters of each, what its checks find, and, in those that
//! answer queries, the status of the shop, from the function that `/health/audit` uses.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::Registry;
use soonshop_event_store::EventStore;
use soonshop_projections::status::{FollowerStatus, ShopStatus, StatusReader};
use soonshop_service_kit::connections::Tls;
use soonshop_service_kit::health::{Health, Outcome};
use soonshop_service_kit::metrics::{Metrics, PREFIX};
use soonshop_workers::relay::Published;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::{Role, Shop};

/// Answers are kept this long, so that frequent scrapes do not query the databases each time.
const FRESH: Duration = Duration::from_millis(500);

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfSink {
    projection: String,
    generation: i32,
    sink: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfGeneration {
    projection: String,
    generation: i32,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfCheck {
    check: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfProcess {
    process: String,
}

type Seconds = Gauge<f64, AtomicU64>;

/// The metrics of a process of that role.
pub(crate) fn of(
    shop: &Shop,
    role: Role,
    store: Option<&EventStore>,
    published: &Published,
    health: &Health,
) -> anyhow::Result<Metrics> {
    let mut metrics = Metrics::default();
    if let Some(store) = store {
        store.metrics().register(metrics.counted());
    }
    if role.has(Role::Relay) {
        published.register(metrics.counted());
    }
    if let Some(tls) = shop.server_settings.tls.clone() {
        metrics = metrics.looked_up_for_all(move || {
            let tls = tls.clone();
            async move { Ok(certificate(&tls)) }
        });
    }
    let checks = health.clone();
    let metrics = metrics.looked_up_for_all(move || {
        let checks = checks.clone();
        async move { Ok(checked(&checks.examine().await)) }
    });
    if !role.has(Role::QueryApi) {
        return Ok(metrics);
    }
    let statuses = Arc::new(Statuses { reader: shop.status_reader()?, last: Mutex::default() });
    let (health, of_all) = (health.clone(), Arc::clone(&statuses));
    let metrics = metrics.looked_up_for_all(move || {
        let (health, statuses) = (health.clone(), Arc::clone(&of_all));
        async move {
            let well = health.examine().await.iter().all(|one| one.ok);
            statuses.read(|whole| verdict(whole, well)).await
        }
    });
    Ok(metrics.looked_up(move || {
        let statuses = Arc::clone(&statuses);
        async move { statuses.read(gauges).await }
    }))
}

/// The status of the shop, read at most once in [`FRESH`].
struct Statuses {
    reader: StatusReader,
    last: Mutex<Option<(Instant, ShopStatus)>>,
}

impl Statuses {
    async fn read(&self, metrics: impl FnOnce(&ShopStatus) -> Registry) -> Result<Registry, String> {
        let mut last = self.last.lock().await;
        if let Some((_, whole)) = last.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
            return Ok(metrics(whole));
        }
        let whole =
            self.reader.read(&soonshop_projections::all()).await.map_err(|error| error.to_string())?;
        let registry = metrics(&whole);
        *last = Some((Instant::now(), whole));
        Ok(registry)
    }
}

fn certificate(tls: &Tls) -> Registry {
    let mut registry = Registry::with_prefix(PREFIX);
    let ends = ConstGauge::new(tls.ends().timestamp());
    registry.register(
        "certificate_end_seconds",
        "When the certificate in use ends, in seconds since 1970",
        ends,
    );
    registry
}

fn checked(found: &[Outcome]) -> Registry {
    let mut registry = Registry::with_prefix(PREFIX);
    let ok = Family::<OfCheck, Gauge>::default();
    for one in found {
        ok.get_or_create(&OfCheck { check: one.name.clone() }).set(i64::from(one.ok));
    }
    registry.register("check_ok", "1: what is checked works; 0: /health/audit says why not", ok);
    registry
}

fn verdict(whole: &ShopStatus, well: bool) -> Registry {
    let mut registry = Registry::with_prefix(PREFIX);
    let healthy = ConstGauge::new(i64::from(well && whole.healthy()));
    registry.register("healthy", "1: /health/audit has no complaint; 0: it has", healthy);
    registry
}

fn gauges(whole: &ShopStatus) -> Registry {
    let mut registry = Registry::with_prefix(PREFIX);
    let head = &whole.append;
    registry.register("log_position", "The last position of the log", ConstGauge::new(head.position));
    let age = ConstGauge::new(head.age_seconds.unwrap_or(0.0));
    registry.register("log_age_seconds", "Seconds since the last event was appended", age);
    follows(&mut registry, "relay", "that the bus has not confirmed", &whole.relay);
    processes(&mut registry, whole);
    follows(&mut registry, "seals", "that no seal covers yet", &whole.seals);
    follows(&mut registry, "record_seals", "that no seal covers yet", &whole.record_seals);
    models(&mut registry, whole);
    registry
}

fn follows(registry: &mut Registry, name: &str, waiting: &str, one: &FollowerStatus) {
    let position = ConstGauge::new(one.position.unwrap_or(0));
    registry.register(
        format!("{name}_position"),
        format!("The last position that the {name} reached"),
        position,
    );
    let events = ConstGauge::new(one.lag_events);
    registry.register(format!("{name}_lag_events"), format!("Events {waiting}"), events);
    let help = format!("Seconds that the oldest event waits {waiting}");
    registry.register(format!("{name}_lag_seconds"), help, ConstGauge::new(one.lag_seconds));
    let complaint = ConstGauge::new(i64::from(one.complaint.is_some()));
    registry.register(
        format!("{name}_complaint"),
        format!("1: something is wrong with the {name}"),
        complaint,
    );
}

fn processes(registry: &mut Registry, whole: &ShopStatus) {
    let (position, events) = (Family::<OfProcess, Gauge>::default(), Family::<OfProcess, Gauge>::default());
    let (seconds, unsent) = (Family::<OfProcess, Seconds>::default(), Family::<OfProcess, Gauge>::default());
    let (waiting, complaint) = (Family::<OfProcess, Gauge>::default(), Family::<OfProcess, Gauge>::default());
    let failures = Family::<OfProcess, Gauge>::default();
    for one in &whole.processes {
        let of = OfProcess { process: one.name.clone() };
        position.get_or_create(&of).set(one.progress.position.unwrap_or(0));
        events.get_or_create(&of).set(one.progress.lag_events);
        seconds.get_or_create(&of).set(one.progress.lag_seconds);
        unsent.get_or_create(&of).set(one.unsent);
        waiting.get_or_create(&of).set(one.waiting);
        failures.get_or_create(&of).set(one.failures);
        complaint.get_or_create(&of).set(i64::from(one.progress.complaint.is_some()));
    }
    registry.register("process_position", "The last position that the process manager reached", position);
    registry.register("process_lag_events", "Events that the process manager has not seen", events);
    let help = "Seconds that the oldest event waits that the process manager has not seen";
    registry.register("process_lag_seconds", help, seconds);
    registry.register("process_unsent", "Commands that the process manager has to send", unsent);
    registry.register("process_waiting", "Commands among them that cannot be done just now", waiting);
    let help = "Commands that were refused although they have to be done, and that nobody has acknowledged";
    registry.register("process_failures", help, failures);
    registry.register("process_complaint", "1: something is wrong with the process manager", complaint);
}

fn models(registry: &mut Registry, whole: &ShopStatus) {
    let (position, events) = (Family::<OfSink, Gauge>::default(), Family::<OfSink, Gauge>::default());
    let (seconds, parked) = (Family::<OfSink, Seconds>::default(), Family::<OfGeneration, Gauge>::default());
    for one in &whole.generations {
        let (projection, generation) = (one.projection.clone(), one.generation);
        for sink in &one.sinks {
            let of = OfSink { projection: projection.clone(), generation, sink: sink.name };
            position.get_or_create(&of).set(sink.position.unwrap_or(0));
            events.get_or_create(&of).set(sink.lag_events);
            seconds.get_or_create(&of).set(sink.lag_seconds);
        }
        parked.get_or_create(&OfGeneration { projection, generation }).set(one.parked);
    }
    registry.register("projection_position", "The last position that the sink has seen", position);
    registry.register("projection_lag_events", "Events that the sink has not seen", events);
    let help = "Seconds that the oldest event waits that the sink has not seen";
    registry.register("projection_lag_seconds", help, seconds);
    registry.register("projection_parked", "Events that could not be projected", parked);
}
