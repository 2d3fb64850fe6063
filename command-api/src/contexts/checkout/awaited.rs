//! `Prefer: wait` at the start of a checkout: the answer is what became of it.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::http::HeaderValue;
use axum::response::{IntoResponse as _, Response};
use soonshop_domain::checkout::{Checkout, Refusal};
use soonshop_domain::order::Order;
use soonshop_domain::payment::Payment;
use soonshop_domain::{Decider, type_of};
use soonshop_event_log::LOG;
use soonshop_event_store::{Answer, OutcomeKind};
use soonshop_service_kit::Problem;
use soonshop_service_kit::headers::{EVENT_POSITION, EventPosition, PREFERENCE_APPLIED};
use tokio::time::Instant;
use uuid::Uuid;

use crate::http::answer::{Done, WaitsFor, refused, render, unreadable};
use crate::http::call::Call;

/// The shortest and the longest pause between two looks: a quarter of the time waited so far, so that an end is seen at most
/// a quarter later than it comes.
const SHORTEST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// Waits as long as the caller wants to, until the checkout has ended or only its buyer can go on with it. Its order if there
/// is one, why it was refused, or where to look. `started` is the answer to its start: for a caller who does not wait, for whom
/// there is no place among those who do, or where the log cannot be read meanwhile. Who sends the start again (`repeats`) is
/// told that it is up to the buyer only once something has changed, or the time is up: they may have confirmed a payment.
pub(super) async fn awaited(
    call: &Call,
    id: Uuid,
    started: Response,
    repeats: bool,
) -> Result<Response, Problem> {
    let Some(wait) = call.wait() else { return Ok(started) };
    let Some(_turn) = call.turn_to_wait().await else { return Ok(started) };
    let begun = Instant::now();
    let mut seen = Seen::default();
    let mut has_changed = false;
    if let Err(problem) = seen.look(call, id).await {
        return Ok(not_seen(started, &problem));
    }
    loop {
        if let Some(refusal) = &seen.checkout.refusal {
            return came_to_nothing(&seen, id, refusal);
        }
        if !seen.checkout.is_running() {
            return ordered(call, id).await;
        }
        if (has_changed || !repeats) && seen.is_up_to_its_buyer() {
            return Ok(running(&seen, id, WaitsFor::Buyer));
        }
        let left = wait.saturating_sub(begun.elapsed());
        let pause = (begun.elapsed() / 4).clamp(SHORTEST_PAUSE, LONGEST_PAUSE).min(left);
        if left.is_zero() || !call.goes_on_for(pause).await {
            let waits_for = if seen.is_up_to_its_buyer() { WaitsFor::Buyer } else { WaitsFor::Shop };
            return Ok(running(&seen, id, waits_for));
        }
        match seen.look(call, id).await {
            Ok(changed) => has_changed |= changed,
            Err(problem) => return Ok(not_seen(started, &problem)),
        }
    }
}

/// The command was done, whatever became of it.
fn not_seen(started: Response, problem: &Problem) -> Response {
    tracing::warn!(problem = problem.slug(), "what became of a checkout could not be read");
    started
}

/// What a caller who waits has seen so far.
#[derive(Default)]
struct Seen {
    checkout: Checkout,
    version: i64,
    payments: BTreeMap<Uuid, (Payment, i64)>,
    /// Of the last event that was seen.
    position: i64,
}

impl Seen {
    /// Looks for events that are new, and reads what they changed. Whether there were any.
    async fn look(&mut self, call: &Call, id: Uuid) -> Result<bool, Problem> {
        let mut has_changed = false;
        if let Some((checkout, version)) = self.changed::<Checkout>(call, id, self.version).await? {
            (self.checkout, self.version, has_changed) = (checkout, version, true);
        }
        let open = self.checkout.payments.iter().filter(|(_, part)| part.is_open());
        for payment in open.map(|(payment, _)| *payment).collect::<Vec<_>>() {
            let version = self.payments.get(&payment).map_or(0, |(_, version)| *version);
            if let Some(found) = self.changed::<Payment>(call, payment, version).await? {
                self.payments.insert(payment, found);
                has_changed = true;
            }
        }
        Ok(has_changed)
    }

    /// The state of a stream, if it has events after this version.
    async fn changed<A: Decider>(
        &mut self,
        call: &Call,
        id: Uuid,
        version: i64,
    ) -> Result<Option<(A, i64)>, Problem> {
        let events_after = async |version| {
            let events = call.store.log().stream(type_of::<A>(), &id.to_string(), version, 1).await;
            events.map(|mut events| events.pop()).map_err(unreadable)
        };
        if events_after(version).await?.is_none() {
            return Ok(None);
        }
        let (state, version) = call.store.load::<A>(id).await.map_err(refused)?;
        // Of the very event that the state ends with: more may have come since.
        let last = events_after(version - 1).await?;
        self.position = last.map_or(self.position, |last| self.position.max(last.position));
        Ok(Some((state, version)))
    }

    /// Whether it goes on only once its buyer pays, or confirms a payment.
    fn is_up_to_its_buyer(&self) -> bool {
        let checkout = &self.checkout;
        if !checkout.stock_held || checkout.given_up.is_some() || checkout.left() == 0 {
            return false;
        }
        let is_opened_for_them = checkout.started.as_ref().is_some_and(|started| !started.pay.is_empty());
        if checkout.payments.is_empty() && is_opened_for_them {
            return false;
        }
        let mut open = checkout.payments.iter().filter(|(_, part)| part.is_open());
        open.all(|(id, _)| {
            let authorization = self.payments.get(id).and_then(|(payment, _)| payment.authorization());
            authorization.is_some_and(|(_, one)| one.progress.awaits_buyer())
        })
    }
}

fn applied(mut answer: Response) -> Response {
    answer.headers_mut().insert(PREFERENCE_APPLIED, HeaderValue::from_static("wait"));
    answer
}

/// Where to look, as it stands now.
fn running(seen: &Seen, id: Uuid, waits_for: WaitsFor) -> Response {
    let (version, position) = (Some(seen.version), Some(seen.position));
    let reference = Some(format!("/checkouts/{id}"));
    let kind = OutcomeKind::Accepted;
    let answer =
        Answer { kind, reference, version, first_position: None, last_position: position, detail: None };
    applied(render(&answer, &Done { id, version, position, waits_for: Some(waits_for) }))
}

/// The order that it has become.
async fn ordered(call: &Call, id: Uuid) -> Result<Response, Problem> {
    let version = call.store.version::<Order>(id).await.map_err(refused)?;
    let last = call.store.log().stream(type_of::<Order>(), &id.to_string(), version - 1, 1).await;
    let position = last.map_err(unreadable)?.first().map(|event| event.position);
    let reference = Some(format!("/orders/{id}"));
    let (kind, version) = (OutcomeKind::Created, Some(version));
    let answer =
        Answer { kind, reference, version, first_position: None, last_position: position, detail: None };
    Ok(applied(render(&answer, &Done { id, version, position, waits_for: None })))
}

/// Why there is no order. The command itself was done.
fn came_to_nothing(seen: &Seen, id: Uuid, refusal: &Refusal) -> Result<Response, Problem> {
    let Refusal { reason, line, sku } = refusal;
    let detail =
        "the checkout came to nothing: its reason says why, nothing was bought, and its cart goes on";
    let mut problem = Problem::conflict("checkout-refused", detail)
        .with("reason", reason.as_str())
        .with("checkout", format!("/checkouts/{id}"));
    if let Some(line) = line {
        problem = problem.with("line", *line);
    }
    if let Some(sku) = sku {
        problem = problem.with("sku", sku.as_str());
    }
    let mut answer = problem.into_response();
    let position = EventPosition { log: Some(LOG.to_owned()), position: seen.position }.to_string();
    let position = HeaderValue::try_from(position).map_err(Problem::internal)?;
    answer.headers_mut().insert(EVENT_POSITION, position);
    Ok(applied(answer))
}
