//! The facts about a read model that lists and look-ups need.

use sea_orm::EntityName as _;
use serde::Serialize;
use soonshop_domain::Decider;
use soonshop_projections::Row;
use soonshop_service_kit::Problem;
use soonshop_service_kit::endpoint::params::{Kind, Param, Params, Sort};
use utoipa::ToSchema;
use uuid::Uuid;

use super::personal::PersonalText;
use super::state::Call;

/// Rows that lists and look-ups show.
pub(crate) trait Shown: Row {
    /// The JSON shape of a row.
    type View: Serialize + ToSchema + Send;
    /// The aggregate that is folded for a state of the past.
    type State: Decider;
    const MODEL: ReadModel;

    fn view(self) -> Self::View;
    fn version(&self) -> i64;

    /// Another entity that the path may mean, if there is none as it is understood.
    fn stored_otherwise(_: &Call) -> Option<Uuid> {
        None
    }

    /// The person whose values the row holds, if it can hold any.
    fn person(&self) -> Option<Uuid> {
        None
    }

    /// Every personal value of the answer. One that is not named here is masked for everybody.
    fn personal(_: &mut Self::View) -> Vec<&mut PersonalText> {
        Vec::new()
    }

    /// Whether it was deleted; see [`ReadModel::gone`].
    fn is_gone(&self) -> bool {
        false
    }
}

/// The facts about a read model that lists and look-ups need.
pub(crate) struct ReadModel {
    pub(crate) projection: &'static str,
    /// The stream of the entity in the path.
    pub(crate) stream: fn(&Call) -> Result<Uuid, Problem>,
    /// The condition of the rows that somebody has, with `?` in place of their id: customers and guests see no others.
    /// `None`: they are the shop's.
    pub(crate) own: Option<&'static str>,
    /// Parameters of a look-up.
    pub(crate) params: &'static [Param],
    pub(crate) filters: &'static [Filter],
    /// Parameters that act together, if there are any.
    pub(crate) together: Option<Together>,
    /// The first one is the default order.
    pub(crate) sorts: &'static [Sort],
    /// The columns of `sorts` whose value changes while somebody pages.
    pub(crate) changing: &'static [&'static str],
    /// Columns that a list leaves unread, each with the column whose value it shows there instead.
    pub(crate) shortened: &'static [(&'static str, &'static str)],
    /// Slug and sentence of the refusal for a deleted entity; `not-found` where none is ever deleted.
    pub(crate) gone: (&'static str, &'static str),
    /// Whether look-ups use the cache.
    pub(crate) cached: bool,
}

/// Parameters that act together on the rows of a list, such as a range of prices and its currency.
pub(crate) struct Together {
    pub(crate) params: &'static [Param],
    /// SQL for the rows that are listed instead of the table, for these parameters and an order; adds the values that
    /// it needs. `None`: the table as it is.
    pub(crate) rows: fn(&Params, &Sort, &mut Vec<sea_orm::Value>) -> Option<String>,
}

/// The condition of the only rows that the caller sees, with `?` in place of the id that comes with it. `None`: all.
pub(crate) fn own_rows<M: Shown>(call: &Call) -> Option<(&'static str, &str)> {
    M::MODEL.own.zip(call.caller().sees_only())
}

pub(crate) fn table_of<M: Row>() -> String {
    M::Entity::default().table_name().to_owned()
}

/// A parameter and its condition on rows.
pub(crate) struct Filter {
    pub(crate) param: Param,
    /// With `?` in place of the value.
    pub(crate) sql: &'static str,
    /// The value if the parameter is left out.
    pub(crate) default: Option<&'static str>,
}

impl Filter {
    pub(crate) const fn new(name: &'static str, kind: Kind, sql: &'static str, about: &'static str) -> Self {
        Self { param: Param::new(name, kind, about), sql, default: None }
    }

    pub(crate) const fn or(self, default: &'static str) -> Self {
        Self { default: Some(default), ..self }
    }
}
