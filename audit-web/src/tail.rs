//! New events as server-sent events, whose ids are positions of the log.
//!
//! A follower is notified that there is more, and reads it from the read model from its own position on: so it misses
//! nothing, and continues after a disconnect with its last id. The checkpoint is polled once, and new events are read
//! once, for all followers of the same search. A follower that is too far behind to catch up skips events, and is sent
//! what it skipped.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::http::header::CACHE_CONTROL;
use axum::http::{Extensions, HeaderName, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures::stream;
use serde::Serialize;
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};
use soonshop_audit::search::Search;
use soonshop_audit::timeline::{self, Item};
use soonshop_audit::{changes, filter::Filter, groups, names};
use soonshop_service_kit::Problem;
use soonshop_service_kit::access::Permission;
use soonshop_service_kit::endpoint::Described;
use soonshop_service_kit::endpoint::params::{Kind, Param, refused};
use soonshop_service_kit::work::{Price, caller_of};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::fields;
use crate::head::{Batch, Rows};
use crate::pages::frame::{COMMON, View, look as look_of};
use crate::pages::timeline::{recorded, row};
use crate::state::{Action, Call, at_least};

/// The least time between two messages to a follower: followers must not slow down writers, however many they are.
const PACE: Duration = Duration::from_millis(400);

/// Events in one message.
const AT_ONCE: usize = 100;

/// A follower that is this many positions behind, and has a full message to read, skips ahead: the skipped events are
/// in the timeline.
const TOO_FAR: i64 = 5_000;

/// After this long without a message, a keep-alive is sent: a client that gets none has lost the connection.
const ALIVE: Duration = Duration::from_secs(15);

/// How often a follower's permission is checked again when nothing else triggers the check.
const CHECK_EVERY: Duration = Duration::from_secs(3);

/// The timeline as a stream.
pub(crate) fn follows() -> Action {
    let about = "Server-sent events: `begin`, then `events` with the rows of the timeline, `caught-up` once all there were \
                 at the beginning are sent, `passed` where some were left out, `resync`, `signed-out`; `alive` in between.";
    Action::new(params(), Described::file("text/event-stream", about), follow)
}

fn params() -> Vec<Param> {
    let dropped = ["order", "sort", fields::PAST, "before", "limit"];
    let mut params = fields::timeline();
    params.retain(|param| !dropped.contains(&param.name));
    params.push(Param::new(
        "html",
        Kind::OneOf(&["1"]),
        "With each event as HTML, as on the timeline's page.",
    ));
    params.extend(COMMON);
    params
}

struct Reader {
    call: Call,
    search: Search,
    /// Equal for followers that get the same messages.
    alike: String,
    last: i64,
    /// The position up to which messages were sent: the next one says that it begins there.
    sent_to: i64,
    /// The head when it was connected, until a message says that it has caught up.
    behind: Option<i64>,
    /// The position up to which it skipped, while it was not sent.
    passed: Option<i64>,
    head: watch::Receiver<i64>,
    /// The earliest time of the next message.
    next: Instant,
    ends: Option<Instant>,
    /// When to check the permission again.
    next_check: Instant,
    over: bool,
}

async fn follow(call: Call) -> Result<Response, Problem> {
    let search = Search::of(&Filter { ascends: true, ..fields::filter(&call.params) })?;
    let sent = call.headers_in.get("last-event-id").map(|value| {
        let position = value.to_str().ok().and_then(|text| text.parse::<i64>().ok());
        position
            .filter(|position| *position >= 0)
            .ok_or_else(|| refused("after", "Last-Event-ID is not a position"))
    });
    let head = call.shared.head.listen();
    let now = call.shared.reader.source().await?.position().await?;
    let from = sent.transpose()?.or_else(|| call.params.number("after")).unwrap_or(now);
    let ends = call
        .visitor
        .expires_at
        .map(|at| Instant::now() + (at - soonshop_domain::clock::now()).to_std().unwrap_or_default());
    let (next, next_check) = (Instant::now(), Instant::now() + CHECK_EVERY);
    let html = call.params.text("html").is_some();
    let grouped = call.params.text("group").is_some();
    let alike = format!("{search:?} {html} {grouped} {}", look_of(&View::of(&call)));
    let (behind, passed, over) = ((from <= now).then_some(now), None, false);
    let reader = Reader {
        call,
        search,
        alike,
        last: from,
        sent_to: from,
        behind,
        passed,
        head,
        next,
        ends,
        next_check,
        over,
    };
    // The position is of another log, or of one that was restored: start again.
    let first = if from > now {
        Event::default().event("resync")
    } else {
        Event::default().event("begin").id(from.to_string())
    };
    let begun = stream::once(std::future::ready(Ok::<_, Infallible>(first.data(now.to_string()))));
    let events = futures::StreamExt::chain(begun, stream::unfold(reader, step));
    let alive = KeepAlive::new().interval(ALIVE).event(Event::default().event("alive").data(""));
    let headers = [(CACHE_CONTROL, "no-store"), (HeaderName::from_static("x-accel-buffering"), "no")];
    Ok((headers, Sse::new(events).keep_alive(alive)).into_response())
}

async fn step(mut reader: Reader) -> Option<(Result<Event, Infallible>, Reader)> {
    if reader.over {
        return None;
    }
    loop {
        let stop = reader.call.shared.stop.clone();
        let end = async {
            match reader.ends {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let (next, next_check, last) = (reader.next, reader.next_check, reader.last);
        let waits = reader.passed.is_none() && !reader.has_caught_up();
        let more = async {
            tokio::time::sleep_until(next).await;
            reader.head.wait_for(|position| !waits || *position > last).await.is_ok()
        };
        let there_is = tokio::select! {
            () = stop.cancelled() => return None,
            () = end => return Some(reader.signed_out()),
            () = tokio::time::sleep_until(next_check) => false,
            there_is = more => if there_is { true } else { return None },
        };
        match reader.is_still_allowed().await {
            Ok(true) => reader.next_check = Instant::now() + CHECK_EVERY,
            Ok(false) => return Some(reader.signed_out()),
            Err(problem) => {
                // The permission cannot be checked right now: the browser reconnects, and is authenticated again.
                tracing::warn!(%problem, "a follower of the audit trail was disconnected");
                return None;
            }
        }
        if !there_is {
            continue;
        }
        reader.next = Instant::now() + PACE;
        match reader.read().await {
            Ok(None) => {}
            Ok(Some(event)) => return Some((Ok(event), reader)),
            Err(problem) => {
                // The browser reconnects with its last id.
                tracing::warn!(%problem, "a follower of the audit trail was disconnected");
                return None;
            }
        }
    }
}

/// The rows of a message: everything that matches with a position above `after` and up to `position`.
#[derive(Serialize)]
struct Message<'a> {
    after: i64,
    position: i64,
    items: &'a RawValue,
    html: Option<&'a [String]>,
}

impl Reader {
    /// When a session or a key ends, from whatever process, its followers end, too.
    async fn is_still_allowed(&self) -> Result<bool, Problem> {
        match self.call.shared.access.visitor(&self.call.headers_in).await {
            Ok(visitor) => Ok(visitor.caller.may(Permission::Audit)),
            Err(problem) if problem.status() == StatusCode::UNAUTHORIZED => Ok(false),
            Err(problem) => Err(problem),
        }
    }

    fn signed_out(mut self) -> (Result<Event, Infallible>, Self) {
        self.over = true;
        (Ok(Event::default().event("signed-out").data("")), self)
    }

    /// Whether it has read everything that there was when it was connected, and was not told so yet.
    fn has_caught_up(&self) -> bool {
        self.behind.is_some_and(|head| self.last >= head)
    }

    /// A message up to the last position.
    fn message(&self, event: &str, data: impl AsRef<str>) -> Event {
        Event::default().event(event).id(self.last.to_string()).data(data)
    }

    /// The message that it has caught up, once.
    fn caught_up(&mut self) -> Option<Event> {
        self.has_caught_up().then(|| {
            self.behind = None;
            self.message("caught-up", self.last.to_string())
        })
    }

    /// The message after the last position; `None`: there is no matching event.
    async fn read(&mut self) -> Result<Option<Event>, Problem> {
        if let Some(from) = self.passed.take() {
            let data = json!({ "from": from, "to": self.last });
            self.sent_to = self.last;
            return Ok(Some(self.message("passed", data.to_string())));
        }
        if let Some(event) = self.caught_up() {
            return Ok(Some(event));
        }
        let key = format!("{} {}", self.alike, self.last);
        let batch = self.call.shared.head.batches.try_get_with(key, self.batch()).await;
        let batch = batch.map_err(|problem: Arc<Problem>| Problem::internal(problem.to_string()))?;
        self.last = batch.last;
        let Some(rows) = &batch.rows else { return Ok(self.caught_up()) };
        let (items, html) = (&*rows.items, rows.html.as_deref());
        let message = Message { after: self.sent_to, position: self.last, items, html };
        let data = serde_json::to_string(&message).map_err(Problem::internal)?;
        self.sent_to = self.last;
        let event = self.message("events", data);
        let head = *self.head.borrow();
        if batch.full && head - self.last > TOO_FAR {
            self.passed = Some(self.last + 1);
            self.last = head;
        }
        Ok(Some(event))
    }

    async fn batch(&self) -> Result<Arc<Batch>, Problem> {
        let taker = caller_of(self.call.caller(), &Extensions::new());
        let _turn = self.call.shared.work.turn(Price::Query, taker).await?;
        // Events may have been parked a moment ago.
        let reader = &self.call.shared.reader;
        let mut search = self.search.clone();
        search.load_parked(&reader.registry).await?;
        search.everywhere();
        let beyond = search.beyond(Some(self.last));
        let (position, mut items) = timeline::read(reader, at_least(&self.call), &beyond, AT_ONCE).await?;
        let full = items.len() == AT_ONCE;
        let newest = items.last().map(|entry| entry.position);
        let last = newest.filter(|_| full).unwrap_or_else(|| position.max(self.last));
        if items.is_empty() {
            return Ok(Arc::new(Batch { rows: None, last, full }));
        }
        let items: Vec<Item> = if self.call.params.text("group").is_some() {
            groups::rows_of(reader, &search, &items).await?.into_iter().map(Item::Command).collect()
        } else {
            changes::add_to(reader, &mut items, changes::FOR_MESSAGE).await?;
            names::add_to(reader, &mut items).await?;
            items.into_iter().map(|entry| Item::Event(Box::new(entry))).collect()
        };
        let view = View::of(&self.call);
        let shown = |at: usize| {
            let before = at.checked_sub(1).and_then(|before| recorded(&items[before]));
            row(&view, &items[at], before)
        };
        let html = self.call.params.text("html").map(|_| (0..items.len()).map(shown).collect());
        let rows = Some(Rows { items: to_raw_value(&items).map_err(Problem::internal)?, html });
        Ok(Arc::new(Batch { rows, last, full }))
    }
}
