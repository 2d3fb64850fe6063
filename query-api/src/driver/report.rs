//! Reports: facts summed on request, over a range of business time, by period and by one group.
//!
//! One function makes the SQL of all reports; a report is a row of figures. Customers can place orders whose sums do
//! not fit into a `bigint`, so a sum is computed in two parts, and answered exactly.

use axum::response::Response;
use sea_orm::QueryResult;
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use soonshop_projections::source::query_failed;
use soonshop_service_kit::Problem;
use soonshop_service_kit::endpoint::Described;
use soonshop_service_kit::endpoint::described::{text, text_or_null};
use soonshop_service_kit::endpoint::params::{Kind, Param, Params, refused};
use utoipa::openapi::schema::ArrayBuilder;
use utoipa::openapi::{ObjectBuilder, Type};

use super::list::sql_value;
use super::periods::Interval;
use super::shown::Filter;
use super::state::{Action, Call, at_least};

/// A sum is split by this number into a quotient and a remainder.
const PART: i64 = 1_000_000_000;

const DEFAULT_LIMIT: usize = 1_000;
const MOST_ROWS: i64 = 10_000;

pub(crate) const FROM: Param =
    Param::new("from", Kind::Time, "Business time, this moment included. A day begins at midnight in `tz`.");
pub(crate) const TO: Param = Param::new("to", Kind::Time, "Business time, excluding this moment.");
pub(crate) const ZONE: Param = Param::new(
    "tz",
    Kind::Zone,
    "The time zone of days, months and years: an IANA name such as Europe/London; UTC where it is left out.",
);
const INTERVAL: Param = Param::new(
    "interval",
    Kind::OneOf(&["none", "day", "month", "year"]),
    "One row per period of the time zone; `none`: one for the whole range.",
);
const LIMIT: Param =
    Param::new("limit", Kind::Number(1, MOST_ROWS), "The most rows, 1,000 where it is left out.");

/// Puts all rows into one group.
pub(crate) const NO_GROUP: Group = Group::of("none", "CAST(NULL AS TEXT)");

/// A way to group rows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Group {
    name: &'static str,
    /// The column that is the same in all rows of a group.
    column: &'static str,
    /// The key of the group as it is shown.
    shown: &'static str,
}

impl Group {
    pub(crate) const fn of(name: &'static str, column: &'static str) -> Self {
        Self { name, column, shown: column }
    }

    /// A group whose rows do not all write their key alike: one of them is shown.
    pub(crate) const fn shown_as(name: &'static str, column: &'static str, shown: &'static str) -> Self {
        Self { name, column, shown }
    }
}

/// How a figure is computed from rows.
pub(crate) enum Figure {
    Count(&'static str),
    Sum(&'static str),
}

/// The rows of one table that are counted.
pub(crate) struct Facts {
    pub(crate) table: &'static str,
    /// The condition for rows that count.
    pub(crate) only: &'static str,
    pub(crate) groups: &'static [Group],
    pub(crate) figures: &'static [(&'static str, Figure)],
}

/// A report: figures over rows, by the requested group.
pub(crate) struct Report {
    pub(crate) projection: &'static str,
    /// The first table that has the requested group is used; all have the same figures.
    pub(crate) facts: &'static [Facts],
    /// The groups, the default first; then the orders of rows.
    pub(crate) groups: &'static [&'static str],
    pub(crate) orders: &'static [&'static str],
    pub(crate) filters: &'static [Filter],
    /// Whether rows have a business time.
    pub(crate) timed: bool,
    /// Whether rows have a currency.
    pub(crate) money: bool,
}

/// A row of a report: `period` and `key` (null where there is none), its figures, and `currency` for those that are
/// amounts in minor units.
struct Row {
    period: Option<String>,
    key: Option<String>,
    figures: Vec<(&'static str, i128)>,
    currency: Option<String>,
}

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("period", &self.period)?;
        map.serialize_entry("key", &self.key)?;
        for (name, value) in &self.figures {
            map.serialize_entry(name, value)?;
        }
        if let Some(currency) = &self.currency {
            map.serialize_entry("currency", currency)?;
        }
        map.end()
    }
}

/// The answer of a report.
#[derive(Serialize)]
struct Answer {
    rows: Vec<Row>,
    /// Whether there are more rows than were requested.
    more: bool,
}

impl Report {
    fn params(&self) -> Vec<Param> {
        let group = Param::new("group_by", Kind::OneOf(self.groups), "The first one where it is left out.");
        let order = Param::new(
            "order_by",
            Kind::OneOf(self.orders),
            "`key` ascending (first by period), figures descending.",
        );
        // A report of how things are now has no days: there the zone changes nothing.
        let times: &[Param] = if self.timed { &[FROM, TO, ZONE, INTERVAL] } else { &[ZONE] };
        times
            .iter()
            .copied()
            .chain([group, order, LIMIT])
            .chain(self.filters.iter().map(|f| f.param))
            .collect()
    }

    /// The names of its figures, for the API description.
    fn figures(&self) -> impl Iterator<Item = &'static str> {
        self.facts[0].figures.iter().map(|(name, _)| *name)
    }
}

/// The endpoint of a report.
pub(crate) fn reports(report: &'static Report) -> Action {
    Action::new(report.params(), described(report), move |call| answer(report, call))
}

/// The shape of its answer.
fn described(report: &Report) -> Described {
    let period = text_or_null().description(Some("Null without an interval."));
    let key =
        text_or_null().description(Some("The value of the group; null without one, or where there is none."));
    let mut row = ObjectBuilder::new().property("period", period).required("period");
    row = row.property("key", key).required("key");
    for figure in report.figures() {
        row = row.property(figure, ObjectBuilder::new().schema_type(Type::Integer)).required(figure);
    }
    if report.money {
        row = row.property("currency", text()).required("currency");
    }
    let rows = ArrayBuilder::new().items(row).build();
    let more = ObjectBuilder::new().schema_type(Type::Boolean);
    let answer =
        ObjectBuilder::new().property("rows", rows).property("more", more).required("rows").required("more");
    Described::schema(answer.build())
}

/// The column of a figure; for a sum, its two columns.
pub(crate) fn figure(figure: &Figure, name: &str) -> String {
    match figure {
        Figure::Count(what) => format!("0 AS {name}_parts, CAST(count({what}) AS BIGINT) AS {name}_rest"),
        Figure::Sum(column) => sum(column, name),
    }
}

pub(crate) fn sum(column: &str, name: &str) -> String {
    format!(
        "CAST(coalesce(sum({column} / {PART}), 0) AS BIGINT) AS {name}_parts, \
         CAST(coalesce(sum({column} % {PART}), 0) AS BIGINT) AS {name}_rest"
    )
}

pub(crate) fn whole(row: &QueryResult, name: &str) -> Result<i128, Problem> {
    let part = |suffix| row.try_get::<i64>("", &format!("{name}_{suffix}")).map_err(query_failed);
    // On one backend, a column with only zeros has a smaller type.
    let parts = part("parts")
        .or_else(|_| row.try_get::<i32>("", &format!("{name}_parts")).map(i64::from).map_err(query_failed));
    Ok(i128::from(parts?) * i128::from(PART) + i128::from(part("rest")?))
}

/// The requested range, as conditions.
pub(crate) fn range(
    params: &Params,
    wheres: &mut Vec<String>,
    values: &mut Vec<sea_orm::Value>,
) -> Result<(), Problem> {
    let (from, to) = (params.number("from"), params.number("to"));
    if from.zip(to).is_some_and(|(from, to)| from > to) {
        return Err(refused("to", "it is before `from`"));
    }
    for (moment, condition) in [(from, "at >= "), (to, "at < ")] {
        if let Some(moment) = moment {
            values.push(moment.into());
            wheres.push(format!("{condition}${}", values.len()));
        }
    }
    Ok(())
}

async fn answer(report: &'static Report, call: Call) -> Result<Response, Problem> {
    let params = &call.params;
    let group = params.text("group_by").unwrap_or(report.groups[0]);
    let found = report.facts.iter().find_map(|facts| {
        let group = facts.groups.iter().find(|known| known.name == group)?;
        Some((facts, *group))
    });
    let (facts, Group { column, shown, .. }) =
        found.ok_or_else(|| Problem::internal("a group that no facts know"))?;
    let mut values = Vec::new();
    let mut wheres = vec![facts.only.to_owned()];
    range(params, &mut wheres, &mut values)?;
    for filter in report.filters {
        if let Some(value) = params.value(filter.param.name) {
            values.push(sql_value(value.clone()));
            wheres.push(filter.sql.replace('?', &format!("${}", values.len())));
        }
    }
    let currency = if report.money { "currency" } else { "CAST(NULL AS TEXT)" };
    let figures: Vec<String> = facts.figures.iter().map(|(name, what)| figure(what, name)).collect();
    let limit = params.limit(DEFAULT_LIMIT);

    let source = call.shared.source(report.projection, None).await?;
    let (from, to) = (params.number("from"), params.number("to"));
    let period = match Interval::named(params.text("interval")) {
        Some(interval) => interval.sql(params.zone(), from, to, source.is_sqlite()),
        None => "CAST(NULL AS TEXT)".to_owned(),
    };
    let by_name = format!("period, key_{}, currency", source.bytewise());
    let order = match params.text("order_by") {
        None | Some("key") => by_name,
        Some(figure) => format!(
            "({figure}_parts + {figure}_rest / {PART}) DESC, ({figure}_rest % {PART}) DESC, {by_name}"
        ),
    };
    let sql = format!(
        "SELECT * FROM (SELECT {period} AS period, {currency} AS currency, {column} AS group_, {shown} AS key_, {} \
         FROM @{} WHERE {} GROUP BY 1, 2, 3) f ORDER BY {order} LIMIT {}",
        figures.join(", "),
        facts.table,
        wheres.join(" AND "),
        limit + 1
    );
    let (position, found) = source.rows(at_least(&call), None, &sql, &values, &order).await?;
    let mut rows = Vec::with_capacity(found.len().min(limit));
    for row in found.iter().take(limit) {
        let text = |column| row.try_get::<Option<String>>("", column).map_err(query_failed);
        let figures = facts.figures.iter().map(|(name, _)| Ok((*name, whole(row, name)?)));
        rows.push(Row {
            period: text("period")?,
            key: text("key_")?,
            figures: figures.collect::<Result<_, Problem>>()?,
            currency: text("currency")?,
        });
    }
    call.page(position, &Answer { rows, more: found.len() > limit }, None)
}
