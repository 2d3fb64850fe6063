//! Answers requests about the audit trail: converts their parameters to plain values, and calls `soonshop-audit`.

use std::time::{Duration, Instant};

use axum::http::StatusCode;
use serde::Serialize;
use soonshop_audit::aggregate::{self, Choice};
use soonshop_audit::correlation::{self, Tree};
use soonshop_audit::integrity::{self, SealedLogs};
use soonshop_audit::look_up::{self, LookUpResult};
use soonshop_audit::notes::{self, AddedNote};
use soonshop_audit::parked::{self, Selection};
use soonshop_audit::processes::{self, Retry};
use soonshop_audit::redactor::Visibility;
use soonshop_audit::search::Search;
use soonshop_audit::status::{self, Health};
use soonshop_audit::timeline::{self, Page};
use soonshop_audit::trail::Trail;
use soonshop_audit::views::{self, ViewsPage};
use soonshop_domain::QueryError;
use soonshop_projections::integrity::SealedLog;
use soonshop_projections::processes::{InstanceQuery, Key, Which};
use soonshop_service_kit::Problem;
use soonshop_service_kit::access::Permission;
use soonshop_service_kit::endpoint::params::Params;
use soonshop_service_kit::health::{CheckVerdict, Outcome, verdicts};
use url::form_urlencoded;
use utoipa::ToSchema;

use crate::fields;
use crate::state::{self, Call, at_least};

/// Instances on a page by default.
const INSTANCES: usize = 50;

/// One page of the timeline, and the position at which it was read.
pub(crate) async fn timeline(call: &Call) -> Result<(i64, Page), QueryError> {
    let (filter, listed) = (fields::filter(&call.params), fields::listed(&call.params));
    timeline::find(&call.shared.reader, at_least(call), &filter, listed).await
}

/// How many events match; `None`: more than are counted.
pub(crate) async fn count(call: &Call) -> Result<Option<i64>, QueryError> {
    timeline::count(&call.shared.reader, &fields::filter(&call.params)).await
}

/// The trail of the aggregate in the path, with personal values masked.
pub(crate) async fn trail(call: &Call) -> Result<(i64, Trail), QueryError> {
    trail_at(call, &fields::choice(call)).await
}

/// The same at another version.
pub(crate) async fn trail_at(call: &Call, choice: &Choice) -> Result<(i64, Trail), QueryError> {
    let named = state::aggregate(call);
    aggregate::find(&call.shared.reader, named, choice, &call.caller().actor, Visibility::Masked).await
}

/// The trail with personal values; the access has been recorded before this is called.
pub(crate) async fn reveal(call: &Call) -> Result<(i64, Trail), QueryError> {
    let (named, choice) = (state::aggregate(call), fields::choice(call));
    let reason = call.form.text("reason").unwrap_or_default();
    aggregate::reveal(&call.shared.reader, named, &choice, &call.caller().actor, reason).await
}

/// Leaves the note from the form.
pub(crate) async fn leave_note(call: &Call) -> Result<AddedNote, QueryError> {
    let caller = call.caller();
    let by = (&caller.actor, caller.writer);
    notes::leave(&call.shared.reader, state::aggregate(call), by, &fields::note(&call.form)).await
}

/// Everything that followed from the request in the path.
pub(crate) async fn correlation(call: &Call) -> Result<(i64, Tree), Problem> {
    Ok(correlation::find(&call.shared.reader, at_least(call), call.id()?).await?)
}

/// Every process manager and a page of instances, and the head of the log.
pub(crate) async fn processes(call: &Call) -> Result<(i64, processes::Page), QueryError> {
    let which = match call.params.text("state") {
        Some("stuck") => Which::Stuck,
        Some("all") => Which::All,
        _ => Which::Open,
    };
    let most = u64::try_from(call.params.limit(INSTANCES)).unwrap_or(u64::MAX);
    let process = call.params.text("process").map(str::to_owned);
    let after = call.params.text("after").map(processes::cursor).transpose()?;
    processes::find(&call.shared.reader, &InstanceQuery { process, which, after, most }).await
}

/// The instance of a process manager in the path.
fn instance(call: &Call) -> Key {
    let instance = call.more_keys.first().cloned().unwrap_or_default();
    Key { process: call.key.clone(), instance }
}

/// One instance of a process manager, and the head of the log.
pub(crate) async fn process(call: &Call) -> Result<(i64, processes::InstanceDetail), QueryError> {
    processes::read(&call.shared.reader, &instance(call)).await
}

/// Requests that the waiting command of the instance is retried at once; returns the instance.
pub(crate) async fn retry_command(call: &Call) -> Result<(Key, Retry), QueryError> {
    let key = instance(call);
    let (reader, actor) = (&call.shared.reader, &call.caller().actor);
    let retry = processes::retry(reader, actor, &key, call.form.text("reason")).await?;
    Ok((key, retry))
}

/// Acknowledges the failures of the instance; returns it, and how many they were.
pub(crate) async fn acknowledge_failures(call: &Call) -> Result<(Key, u64), QueryError> {
    let key = instance(call);
    let (reader, actor) = (&call.shared.reader, &call.caller().actor);
    let count = processes::acknowledge(reader, actor, &key, call.form.text("reason")).await?;
    Ok((key, count))
}

/// The person to whom the value in the form belongs.
pub(crate) async fn look_up(call: &Call) -> Result<LookUpResult, QueryError> {
    let value = call.form.text("value").unwrap_or_default();
    look_up::find(&call.shared.reader, &call.caller().actor, value).await
}

/// When to ask for the health of the shop again.
const AGAIN: Duration = Duration::from_secs(1);

/// How long the followers may be looked up, also behind a look-up that began before: a table may be kept locked.
const LIMIT: Duration = Duration::from_secs(5);

/// The health of the whole shop: the checks of this process, and everything that follows the log.
#[derive(Serialize, ToSchema)]
pub(crate) struct ShopHealth {
    /// The checks of this process, with the fault of each that failed.
    pub(crate) checks: Vec<Outcome>,
    #[serde(flatten)]
    pub(crate) followers: Health,
}

/// Whether the shop works, for those who are not told why not.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ShopVerdict)]
pub(crate) struct Verdict {
    /// Nothing has a complaint, and no check fails.
    pub(crate) healthy: bool,
    /// What was asked of the shop, and whether it works.
    pub(crate) checks: Vec<CheckVerdict>,
}

/// The health of the shop, and the head of the log. Where the followers cannot be looked up, the problem has the checks;
/// `details`: with their objects and reasons.
pub(crate) async fn shop_health(call: &Call, details: bool) -> Result<(i64, ShopHealth), Problem> {
    let looked_up = tokio::time::timeout(LIMIT, followers(call));
    let (mut checks, found) = tokio::join!(call.shared.health.examine(), looked_up);
    if found.is_err() {
        checks.push(call.shared.health.late("followers", "read-models", LIMIT).await);
    }
    match found.unwrap_or_else(|_| Err(late())) {
        Ok((head, mut followers)) => {
            followers.healthy &= checks.iter().all(|one| one.ok);
            Ok((head, ShopHealth { checks, followers }))
        }
        Err(error) => {
            let checks =
                if details { serde_json::to_value(&checks) } else { serde_json::to_value(verdicts(&checks)) };
            let checks = checks.map_err(Problem::internal)?;
            let mut problem = Problem::from(error);
            if problem.status() != StatusCode::SERVICE_UNAVAILABLE {
                // Also where tables are damaged or missing: a monitor has one status to look for.
                let detail =
                    "the health of the shop could not be looked up: see `checks`, and `soonshop doctor`";
                problem = Problem::unavailable("database-unavailable", detail, AGAIN);
            }
            Err(problem.with("healthy", false).with("checks", checks))
        }
    }
}

/// The health of all followers, and the head of the log.
pub(crate) async fn health(call: &Call) -> Result<(i64, Health), QueryError> {
    tokio::time::timeout(LIMIT, followers(call)).await.unwrap_or_else(|_| Err(late()))
}

fn late() -> QueryError {
    let detail = format!("the followers could not be looked up within {} seconds", LIMIT.as_secs());
    QueryError::unavailable("database-unavailable", detail, AGAIN)
}

/// Those who ask while it is looked up share the look-up that begins after it.
async fn followers(call: &Call) -> Result<(i64, Health), QueryError> {
    let asked = Instant::now();
    let mut last = call.shared.last_health.lock().await;
    if let Some((_, found)) = last.as_ref().filter(|(begun, _)| *begun >= asked) {
        return Ok(found.clone());
    }
    let begun = Instant::now();
    let found = status::find(&call.shared.status_reader, &call.shared.trends).await?;
    *last = Some((begun, found.clone()));
    Ok(found)
}

/// The findings in both sealed logs.
pub(crate) async fn integrity(call: &Call) -> Result<SealedLogs, QueryError> {
    integrity::find(&call.shared.reader).await
}

/// Acknowledges what the form names.
pub(crate) async fn acknowledge(call: &Call) -> Result<SealedLogs, QueryError> {
    let form = &call.form;
    let from = form.number("from").unwrap_or(1);
    let range = (from, form.number("upto").unwrap_or(from));
    let (reader, actor) = (&call.shared.reader, &call.caller().actor);
    let reason = form.text("reason").unwrap_or_default();
    integrity::acknowledge(reader, actor, SealedLog::named(form.text("of")), range, reason).await
}

/// Retries the parked events that the form names; returns how many they are.
pub(crate) async fn retry(call: &Call) -> Result<usize, QueryError> {
    let form = &call.form;
    let selection = Selection {
        generation: form.text("generation").unwrap_or_default(),
        position: form.number("position"),
        like: form.number("like"),
    };
    parked::retry(&call.shared.reader, &call.caller().actor, selection, form.text("reason")).await
}

/// Saves the view that the form says, and says under which name. `passing` are parameters that only say how a page
/// looks.
pub(crate) async fn save_view(call: &Call, passing: &[&str]) -> Result<String, Problem> {
    let title = call.form.text("title").unwrap_or_default();
    views::name(title)?;
    let query = call.form.text("query").unwrap_or_default();
    let until = call.form.number("until").map(|position| position.saturating_add(1).to_string());
    // The time zone is part of a search that has days.
    let has_days = form_urlencoded::parse(query.as_bytes()).any(|(name, value)| match &*name {
        "from" | "to" | "occurred_from" | "occurred_to" => !value.is_empty(),
        "q" => ["created:", "occurred:"].iter().any(|term| value.contains(term)),
        _ => false,
    });
    // Parameters that only affect the look of the page, or where it begins, are not saved.
    let passing = |name: &str| {
        ["after", "before", fields::PAST].contains(&name)
            || passing.contains(&name) && !(has_days && name == fields::ZONE.name)
    };
    let pairs = form_urlencoded::parse(query.as_bytes())
        .filter(|(name, value)| !passing(name) && !value.is_empty())
        .chain(until.as_deref().map(|before| ("before".into(), before.into())));
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    // A search that the timeline would refuse is not saved.
    let known = fields::zoned(fields::timeline());
    Search::of(&fields::filter(&Params::read(&query, &known)?))?;
    let mends = call.may(Permission::RetryParked);
    Ok(views::save(&call.shared.reader, &call.caller().actor, title, &query, mends).await?)
}

/// A page of the saved views. They do not depend on a position of the log.
pub(crate) async fn views(call: &Call) -> Result<(i64, ViewsPage), QueryError> {
    let position = call.shared.reader.source().await?.position().await?;
    let limit = call.params.limit(views::LISTED);
    Ok((position, views::page(&call.shared.reader, call.params.text("after"), limit).await?))
}

/// Renames the view in the path as the form says; returns its new name in an address.
pub(crate) async fn rename_view(call: &Call) -> Result<String, QueryError> {
    let title = call.form.text("title").unwrap_or_default();
    let mends = call.may(Permission::RetryParked);
    views::rename(&call.shared.reader, &call.caller().actor, &call.key, title, mends).await
}

/// Deletes the view in the path.
pub(crate) async fn delete_view(call: &Call) -> Result<(), QueryError> {
    let mends = call.may(Permission::RetryParked);
    views::delete(&call.shared.reader, &call.caller().actor, &call.key, mends).await
}
