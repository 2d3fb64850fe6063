//! Look-ups by id in any read model: the entity, or that it was deleted, or that it never existed.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use soonshop_domain::{Decider, type_of};
use soonshop_projections::source::{At, query_failed};
use soonshop_service_kit::Problem;
use soonshop_service_kit::access::Permission;
use soonshop_service_kit::endpoint::Described;
use soonshop_service_kit::endpoint::params::refused;
use soonshop_service_kit::headers::{EVENT_POSITION, position_header};
use soonshop_service_kit::problem::Kind;
use soonshop_service_kit::work::Price;
use uuid::Uuid;

use super::as_of::{self, PARAM, PARTS_AFTER, Past};
use super::personal::{self, HEADERS, ViewedObject};
use super::shown::{Shown, own_rows, table_of};
use super::state::{Action, Call, at_least};

/// The result of a look-up, as it is cached.
#[derive(Serialize, Deserialize)]
pub(crate) struct Entity {
    pub(crate) version: i64,
    gone: bool,
    pub(crate) body: Box<RawValue>,
}

/// The look-up endpoint of a read model.
pub(crate) fn reads<M: Shown>() -> Action {
    let has_parts = !<M::State as Decider>::PART_KEY.is_empty();
    let params =
        M::MODEL.params.iter().copied().chain([PARAM]).chain(has_parts.then_some(PARTS_AFTER)).collect();
    let gone = (M::MODEL.gone.0 != "not-found").then_some(Kind::Gone);
    let headers = if is_erasable::<M>() { HEADERS } else { &[] };
    let action = Action::new(params, Described::either::<M::View, Past>(), move |call: Call| async move {
        let id = meant::<M>(&call).await?;
        if let Some(point) = call.params.as_of() {
            // Its parts name the orders of everybody.
            if has_parts && M::MODEL.own.is_none() {
                call.caller().must(Permission::Figures, "a past state with the orders that changed it")?;
            }
            // What is not theirs is not there, whenever it was.
            let own = own_rows::<M>(&call).is_some();
            if own {
                look_up::<M>(&call, id).await?;
            }
            return as_of::answer::<M::State>(&call, id, point, own).await;
        }
        if call.params.text(PARTS_AFTER.name).is_some() {
            return Err(refused(PARTS_AFTER.name, "it goes with as_of: a state of the past has parts"));
        }
        let (position, found) = look_up::<M>(&call, id).await?;
        let body = Bytes::from(String::from(Box::<str>::from(found.body)));
        Ok(call.entity(position, found.version, is_erasable::<M>(), body))
    });
    let action = action.reads(headers).refuses(gone);
    action.costs(|params| if params.as_of().is_some() { Price::Query } else { Price::Low })
}

/// The entity that the path means.
async fn meant<M: Shown>(call: &Call) -> Result<Uuid, Problem> {
    let understood = (M::MODEL.stream)(call);
    let Some(other) = M::stored_otherwise(call) else { return understood };
    let is_there = async |id: &Uuid| find::<M>(call, *id).await.map(|(_, found)| found.is_some());
    match understood {
        Ok(id) if is_there(&id).await? || !is_there(&other).await? => Ok(id),
        Err(problem) if !is_there(&other).await? => Err(problem),
        _ => Ok(other),
    }
}

/// Whether its rows hold personal values.
fn is_erasable<M: Shown>() -> bool {
    let projectors = soonshop_projections::all();
    let projector = projectors.iter().find(|projector| projector.name() == M::MODEL.projection);
    projector.is_some_and(|projector| projector.personal().iter().any(|one| one.table == table_of::<M>()))
}

/// The entity, with the position at which it was read; refuses one that was deleted or never existed.
pub(crate) async fn look_up<M: Shown>(call: &Call, id: Uuid) -> Result<At<Entity>, Problem> {
    let (position, found) = find::<M>(call, id).await?;
    let refusal = match found {
        Some(found) if !found.gone => return Ok((position, found)),
        Some(_) => Problem::gone(M::MODEL.gone.0, M::MODEL.gone.1),
        None => Problem::not_found("not-found", "there is nothing of this name"),
    };
    Err(refusal.with_header(EVENT_POSITION, position_header(position)))
}

async fn find<M: Shown>(call: &Call, id: Uuid) -> Result<At<Option<Entity>>, Problem> {
    let name = id.to_string();
    let source = call.shared.source(M::MODEL.projection, None).await?;
    let space = source.generation.namespace();
    if M::MODEL.cached {
        let entry = call
            .shared
            .kept
            .get(
                source.db(),
                &space,
                &name,
                call.required_position.map(|required_position| required_position.position),
            )
            .await;
        // Another release may have cached another shape; then the row is read.
        if let Some(entry) = entry
            && let Ok(found) = serde_json::from_slice(&entry.value)
        {
            return Ok((entry.position, Some(found)));
        }
    }
    let table = table_of::<M>();
    let group = format!("{table}/{name}");
    let mut sql = format!("SELECT * FROM @{table} WHERE id = $1");
    let mut values = vec![name.as_str().into()];
    let own = own_rows::<M>(call);
    if let Some((own, id)) = own {
        sql = format!("{sql} AND ({})", own.replace('?', "$2"));
        values.push(id.into());
    }
    let (position, rows) = source.rows(at_least(call), Some(&group), &sql, &values, "id").await?;
    let Some(row) = rows.first() else { return Ok((position, None)) };
    // The answer with personal values is made for its caller.
    let keeps = M::MODEL.cached && !is_erasable::<M>() && !source.waits(row, &group).await?;
    let row = M::from_query_result(row, "").map_err(query_failed)?;
    let (version, gone, person) = (row.version(), row.is_gone(), row.person());
    let mut view = row.view();
    if let Some(person) = person.filter(|_| !gone) {
        let viewed = ViewedObject { kind: type_of::<M::State>(), id, version: None, own: own.is_some() };
        personal::in_look_up(call, &viewed, person, M::personal(&mut view)).await?;
    }
    let body = serde_json::value::to_raw_value(&view).map_err(Problem::internal)?;
    let found = Entity { version, gone, body };
    if keeps {
        let value = serde_json::to_vec(&found).map_err(Problem::internal)?;
        call.shared.kept.put(&space, &name, position, value.into()).await;
    }
    Ok((position, Some(found)))
}
