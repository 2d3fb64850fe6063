//! What a request asks of the audit trail: from its parameters to plain values, and on to what answers.

use soonshop_audit::correlation::{self, Tree};
use soonshop_audit::look_up::{self, Found};
use soonshop_audit::notes::{self, Left};
use soonshop_audit::parked::{self, Meant};
use soonshop_audit::processes::{self, Listed};
use soonshop_audit::redactor::Sight;
use soonshop_audit::search::Search;
use soonshop_audit::standing::{self, Health};
use soonshop_audit::timeline::{self, Page};
use soonshop_audit::trail::Trail;
use soonshop_audit::{aggregate, views};
use soonshop_domain::QueryError;
use soonshop_projections::processes::Which;
use soonshop_service_kit::Problem;
use soonshop_service_kit::access::Permission;
use soonshop_service_kit::endpoint::params::Params;
use url::form_urlencoded;

use crate::fields;
use crate::state::{self, Call, at_least};

/// Instances on a page where nothing else is said.
const INSTANCES: usize = 50;

/// One page of the timeline, and the position that it was read at.
pub(crate) async fn timeline(call: &Call) -> Result<(i64, Page), QueryError> {
    let (filter, listed) = (fields::filter(&call.params), fields::listed(&call.params));
    timeline::find(&call.shared.reader, at_least(call), &filter, listed).await
}

/// How many there are in all; `None`: more than are counted.
pub(crate) async fn count(call: &Call) -> Result<Option<i64>, QueryError> {
    timeline::count(&call.shared.reader, &fields::filter(&call.params)).await
}

/// The trail of the aggregate that the path names, personal values masked.
pub(crate) async fn trail(call: &Call) -> Result<(i64, Trail), QueryError> {
    let (named, choice) = (state::aggregate(call), fields::choice(call));
    aggregate::find(&call.shared.reader, named, &choice, &call.caller().actor, Sight::Masked).await
}

/// The same with what is personal; by now it is written down.
pub(crate) async fn reveal(call: &Call) -> Result<(i64, Trail), QueryError> {
    let (named, choice) = (state::aggregate(call), fields::choice(call));
    let reason = call.form.text("reason").unwrap_or_default();
    aggregate::reveal(&call.shared.reader, named, &choice, &call.caller().actor, reason).await
}

/// Leaves the note that the form says.
pub(crate) async fn leave_note(call: &Call) -> Result<Left, QueryError> {
    let caller = call.caller();
    let by = (&caller.actor, caller.writer);
    notes::leave(&call.shared.reader, state::aggregate(call), by, &fields::note(&call.form)).await
}

/// All that followed from the request that the path names.
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
    let (process, after) = (call.params.text("process"), call.params.text("after"));
    processes::find(&call.shared.reader, Listed { process, which, after, most }).await
}

/// The instance that the path names.
pub(crate) async fn process(call: &Call) -> Result<(i64, processes::One), QueryError> {
    let instance = call.more_keys.first().map(String::as_str).unwrap_or_default();
    processes::read(&call.shared.reader, &call.key, instance).await
}

/// Whose the value of the form is.
pub(crate) async fn look_up(call: &Call) -> Result<Found, QueryError> {
    let value = call.form.text("value").unwrap_or_default();
    look_up::find(&call.shared.reader, &call.caller().actor, value).await
}

/// How everything stands, and the head of the log.
pub(crate) async fn health(call: &Call) -> Result<(i64, Health), QueryError> {
    standing::find(&call.shared.status_reader, &call.shared.trends).await
}

/// Has the parked events tried again that the form means; how many they are.
pub(crate) async fn retry(call: &Call) -> Result<usize, QueryError> {
    let form = &call.form;
    let meant = Meant {
        generation: form.text("generation").unwrap_or_default(),
        position: form.number("position"),
        like: form.number("like"),
    };
    parked::retry(&call.shared.reader, &call.caller().actor, meant, form.text("reason")).await
}

/// Saves the view that the form says, and says under which name. `passing` are parameters that only say how a page
/// looks.
pub(crate) async fn save_view(call: &Call, passing: &[&str]) -> Result<String, Problem> {
    let title = call.form.text("title").unwrap_or_default();
    views::name(title)?;
    let query = call.form.text("query").unwrap_or_default();
    let until = call.form.number("until").map(|position| position.saturating_add(1).to_string());
    // Nothing is kept that only says how the page looks or where it begins.
    let passing = |name: &str| ["after", "before"].contains(&name) || passing.contains(&name);
    let pairs = form_urlencoded::parse(query.as_bytes())
        .filter(|(name, value)| !passing(name) && !value.is_empty())
        .chain(until.as_deref().map(|before| ("before".into(), before.into())));
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    // A search that the timeline would refuse leads nowhere.
    Search::of(&fields::filter(&Params::read(&query, &fields::timeline())?))?;
    let mends = call.may(Permission::RetryParked);
    Ok(views::save(&call.shared.reader, &call.caller().actor, title, &query, mends).await?)
}
