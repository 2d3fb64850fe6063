//! Reports: facts summed when asked, over a range of business time, by period and by one thing.
//!
//! One function makes the SQL of all of them; a report is a row of figures. Whoever may place an order can make sums
//! that a `bigint` does not hold, so they are taken in two parts, and answered whole.

use axum::response::Response;
use sea_orm::QueryResult;
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use soonshop_service_kit::Problem;
use utoipa::ToSchema;

use super::Action;
use super::call::Call;
use super::list::Filter;
use super::openapi::Described;
use super::params::{Kind, Param, Params, refused};
use super::read::query_failed;

/// The two parts of a sum: how often this goes into it, and what is left.
const PART: i64 = 1_000_000_000;

const DEFAULT_LIMIT: usize = 1_000;
const MOST_ROWS: i64 = 10_000;

const FROM: Param =
    Param::new("from", Kind::Time, "Business time, this moment included. A day begins at 0:00 UTC.");
const TO: Param = Param::new("to", Kind::Time, "Business time, this moment not included.");
const INTERVAL: Param = Param::new(
    "interval",
    Kind::OneOf(&["none", "day", "month", "year"]),
    "Rows for each, in UTC; `none`: one for all.",
);
const LIMIT: Param =
    Param::new("limit", Kind::Number(1, MOST_ROWS), "The most rows, 1,000 where it is left out.");

/// How a figure is made of rows.
enum Figure {
    Count(&'static str),
    Sum(&'static str),
}

/// Rows of one table that are counted.
struct Facts {
    table: &'static str,
    /// Those that count.
    only: &'static str,
    /// What they can be grouped by, and its column.
    groups: &'static [(&'static str, &'static str)],
    figures: &'static [(&'static str, Figure)],
}

pub(super) struct Report {
    projection: &'static str,
    /// The first that knows the group is counted; all have the same figures.
    facts: &'static [Facts],
    /// The groups, the one for where none is asked for first; and the orders, of rows.
    groups: &'static [&'static str],
    orders: &'static [&'static str],
    filters: &'static [Filter],
    /// Rows have a business time.
    timed: bool,
    /// Rows have a currency.
    money: bool,
}

const CURRENCY: Filter = Filter::new("currency", Kind::Currency, "currency = ?", "Only this one.");
const NO_GROUP: (&str, &str) = ("none", "CAST(NULL AS TEXT)");

pub(super) static SALES: Report = Report {
    projection: "analytics",
    facts: &[
        Facts {
            table: "sales",
            only: "counted",
            groups: &[NO_GROUP, ("country", "country"), ("customer_kind", "customer_kind")],
            figures: &[
                ("orders", Figure::Count("*")),
                ("lines", Figure::Sum("lines")),
                ("units", Figure::Sum("units")),
                ("revenue", Figure::Sum("revenue")),
            ],
        },
        Facts {
            table: "sale_lines",
            only: "counted",
            groups: &[("sku", "sku"), ("product", "product_id")],
            figures: &[
                ("orders", Figure::Count("DISTINCT order_id")),
                ("lines", Figure::Count("*")),
                ("units", Figure::Sum("units")),
                ("revenue", Figure::Sum("revenue")),
            ],
        },
    ],
    groups: &["none", "country", "sku", "product", "customer_kind"],
    orders: &["key", "revenue", "units"],
    filters: &[CURRENCY],
    timed: true,
    money: true,
};

pub(super) static CREDITS: Report = Report {
    projection: "analytics",
    facts: &[Facts {
        table: "facts",
        only: "kind = 'credit'",
        groups: &[NO_GROUP, ("country", "country")],
        figures: &[
            ("credit_notes", Figure::Count("*")),
            ("lines", Figure::Sum("lines")),
            ("units", Figure::Sum("units")),
            ("credited", Figure::Sum("amount")),
        ],
    }],
    groups: &["none", "country"],
    orders: &["key", "credited", "units"],
    filters: &[CURRENCY],
    timed: true,
    money: true,
};

pub(super) static MOVEMENTS: Report = Report {
    projection: "analytics",
    facts: &[Facts {
        table: "facts",
        only: "kind IN ('receipt', 'adjustment')",
        groups: &[("kind", "kind"), ("sku", "sku"), NO_GROUP],
        figures: &[("movements", Figure::Count("*")), ("units", Figure::Sum("units"))],
    }],
    groups: &["kind", "sku", "none"],
    orders: &["key", "units", "movements"],
    filters: &[Filter::new("kind", Kind::OneOf(&["receipt", "adjustment"]), "kind = ?", "Only these.")],
    timed: true,
    money: false,
};

pub(super) static STOCK: Report = Report {
    projection: "stock",
    facts: &[Facts {
        table: "stock",
        only: "version > 0",
        groups: &[NO_GROUP, ("location", "location"), ("sku", "sku")],
        figures: &[
            ("stocks", Figure::Count("*")),
            ("on_hand", Figure::Sum("on_hand")),
            ("reserved", Figure::Sum("reserved")),
            ("available", Figure::Sum("available")),
        ],
    }],
    groups: &["none", "location", "sku"],
    orders: &["key", "on_hand", "reserved", "available"],
    filters: &[Filter::new("location", Kind::Location, "location = ?", "Only what lies there.")],
    timed: false,
    money: false,
};

/// A row of a report: `period` and `key` (null where there is none), its figures, and `currency` of those that are
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

/// The answer to a report.
#[derive(Serialize)]
struct Answer {
    rows: Vec<Row>,
    /// There are more rows than were asked for.
    more: bool,
}

impl Report {
    fn params(&self) -> Vec<Param> {
        let group = Param::new("group_by", Kind::OneOf(self.groups), "The first one where it is left out.");
        let order = Param::new(
            "order_by",
            Kind::OneOf(self.orders),
            "`key` upwards (first by period), figures downwards.",
        );
        let times: &[Param] = if self.timed { &[FROM, TO, INTERVAL] } else { &[] };
        times
            .iter()
            .copied()
            .chain([group, order, LIMIT])
            .chain(self.filters.iter().map(|f| f.param))
            .collect()
    }

    /// The names of its figures, for the API's description.
    fn figures(&self) -> impl Iterator<Item = &'static str> {
        self.facts[0].figures.iter().map(|(name, _)| *name)
    }
}

/// The answer to `report`.
pub(super) fn reports(report: &'static Report) -> Action {
    let answers = Described::report(report.figures(), report.money);
    Action::with(report.params(), answers, Box::new(move |call| Box::pin(answer(report, call))))
}

/// A figure's column or, for a sum, its two.
fn figure(figure: &Figure, name: &str) -> String {
    match figure {
        Figure::Count(what) => format!("0 AS {name}_parts, CAST(count({what}) AS BIGINT) AS {name}_rest"),
        Figure::Sum(column) => sum(column, name),
    }
}

fn sum(column: &str, name: &str) -> String {
    format!(
        "CAST(coalesce(sum({column} / {PART}), 0) AS BIGINT) AS {name}_parts, \
         CAST(coalesce(sum({column} % {PART}), 0) AS BIGINT) AS {name}_rest"
    )
}

fn whole(row: &QueryResult, name: &str) -> Result<i128, Problem> {
    let part = |suffix| row.try_get::<i64>("", &format!("{name}_{suffix}")).map_err(query_failed);
    // A column of nothing but zeros is smaller on one backend.
    let parts = part("parts")
        .or_else(|_| row.try_get::<i32>("", &format!("{name}_parts")).map(i64::from).map_err(query_failed));
    Ok(i128::from(parts?) * i128::from(PART) + i128::from(part("rest")?))
}

/// The range asked for, as conditions.
fn range(params: &Params, wheres: &mut Vec<String>, values: &mut Vec<sea_orm::Value>) -> Result<(), Problem> {
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
        let (_, column) = facts.groups.iter().find(|(name, _)| *name == group)?;
        Some((facts, *column))
    });
    let (facts, key) = found.ok_or_else(|| Problem::internal("a group that no facts know"))?;
    let mut values = Vec::new();
    let mut wheres = vec![facts.only.to_owned()];
    range(params, &mut wheres, &mut values)?;
    for filter in report.filters {
        if let Some(value) = params.value(filter.param.name) {
            values.push(value.clone().into());
            wheres.push(filter.sql.replace('?', &format!("${}", values.len())));
        }
    }
    let period = match params.text("interval") {
        Some("day") => "day",
        Some("month") => "substr(day, 1, 7)",
        Some("year") => "substr(day, 1, 4)",
        _ => "CAST(NULL AS TEXT)",
    };
    let currency = if report.money { "currency" } else { "CAST(NULL AS TEXT)" };
    let figures: Vec<String> = facts.figures.iter().map(|(name, what)| figure(what, name)).collect();
    let limit = params.limit(DEFAULT_LIMIT);

    let source = call.shared.source(report.projection, None).await?;
    let by_name = format!("period, key_{}, currency", source.bytewise());
    let order = match params.text("order_by") {
        None | Some("key") => by_name,
        Some(figure) => format!(
            "({figure}_parts + {figure}_rest / {PART}) DESC, ({figure}_rest % {PART}) DESC, {by_name}"
        ),
    };
    let sql = format!(
        "SELECT * FROM (SELECT {period} AS period, {key} AS key_, {currency} AS currency, {} FROM @{} WHERE {} \
         GROUP BY 1, 2, 3) f ORDER BY {order} LIMIT {}",
        figures.join(", "),
        facts.table,
        wheres.join(" AND "),
        limit + 1
    );
    let (position, found) = source.rows(&call, None, &sql, &values, &order).await?;
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

/// An amount in minor units, of any size.
#[derive(Serialize, ToSchema)]
struct Amount {
    #[schema(value_type = i64)]
    amount: i128,
    currency: String,
}

/// All figures of a range. Amounts are one for each currency.
#[derive(Default, Serialize, ToSchema)]
struct Summary {
    #[schema(value_type = i64)]
    orders: i128,
    #[schema(value_type = i64)]
    guest_orders: i128,
    #[schema(value_type = i64)]
    order_lines: i128,
    #[schema(value_type = i64)]
    units: i128,
    revenue: Vec<Amount>,
    #[schema(value_type = i64)]
    credit_notes: i128,
    #[schema(value_type = i64)]
    credit_lines: i128,
    credited: Vec<Amount>,
    /// Listed in the range.
    #[schema(value_type = i64)]
    products: i128,
    /// Registered in the range.
    #[schema(value_type = i64)]
    customers: i128,
    #[schema(value_type = i64)]
    adjustments: i128,
    #[schema(value_type = i64)]
    adjusted_units: i128,
    #[schema(value_type = i64)]
    receipts: i128,
    #[schema(value_type = i64)]
    received_units: i128,
}

impl Summary {
    fn add(&mut self, row: &QueryResult) -> Result<(), Problem> {
        let text = |column| row.try_get::<String>("", column).map_err(query_failed);
        let (kind, guest, currency) = (text("kind_")?, text("customer")? == "guest", text("currency_")?);
        let [many, lines, units, amount] =
            [whole(row, "many")?, whole(row, "lines_")?, whole(row, "units_")?, whole(row, "amount_")?];
        match kind.as_str() {
            "sale" => {
                self.orders += many;
                self.guest_orders += if guest { many } else { 0 };
                self.order_lines += lines;
                self.units += units;
                add(&mut self.revenue, amount, currency);
            }
            "credit" => {
                self.credit_notes += many;
                self.credit_lines += lines;
                add(&mut self.credited, amount, currency);
            }
            "product" => self.products += many,
            "user" => self.customers += many,
            "adjustment" => {
                self.adjustments += many;
                self.adjusted_units += units;
            }
            "receipt" => {
                self.receipts += many;
                self.received_units += units;
            }
            _ => {}
        }
        Ok(())
    }
}

fn add(amounts: &mut Vec<Amount>, amount: i128, currency: String) {
    match amounts.iter_mut().find(|known| known.currency == currency) {
        Some(known) => known.amount += amount,
        None => amounts.push(Amount { amount, currency }),
    }
}

/// Every figure of a range.
pub(super) fn summarizes() -> Action {
    Action::new(vec![FROM, TO], Described::one::<Summary>(), |call: Call| async move {
        let (mut wheres, mut values) = (vec!["1 = 1".to_owned()], Vec::new());
        range(&call.params, &mut wheres, &mut values)?;
        let range = wheres.join(" AND ");
        let figures = |amount| {
            let many = figure(&Figure::Count("*"), "many");
            format!(
                "{many}, {}, {}, {}",
                sum("lines", "lines_"),
                sum("units", "units_"),
                sum(amount, "amount_")
            )
        };
        let sql = format!(
            "SELECT 'sale' AS kind_, customer_kind AS customer, currency AS currency_, {} FROM @sales \
             WHERE counted AND {range} GROUP BY 1, 2, 3 UNION ALL \
             SELECT kind, '', coalesce(currency, ''), {} FROM @facts WHERE {range} GROUP BY 1, 2, 3",
            figures("revenue"),
            figures("amount")
        );
        let source = call.shared.source("analytics", None).await?;
        let (position, rows) = source.rows(&call, None, &sql, &values, "kind_, customer, currency_").await?;
        let mut summary = Summary::default();
        for row in &rows {
            summary.add(row)?;
        }
        call.page(position, &summary, None)
    })
}
