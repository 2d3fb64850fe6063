//! Sales, credits and stock in figures, over HTTP.

use sea_orm::QueryResult;
use serde::Serialize;
use soonshop_projections::source::query_failed;
use soonshop_service_kit::Problem;
use soonshop_service_kit::access::Permission::Figures;
use soonshop_service_kit::endpoint::Described;
use soonshop_service_kit::endpoint::params::Kind;
use soonshop_service_kit::rates::Class::Searches;
use utoipa::ToSchema;
use utoipa::openapi::{Object, ObjectBuilder, Type};

use crate::driver::report::{
    FROM, Facts, Figure, Group, NO_GROUP, Report, TO, ZONE, figure, range, reports, sum, whole,
};
use crate::driver::shown::Filter;
use crate::driver::state::{Action, Call, Endpoint, at_least};

/// The endpoints.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(
            "/analytics/sales",
            "analytics.sales",
            Searches,
            "What was sold",
            reports(&SALES).needs(Figures),
        ),
        Endpoint::new(
            "/analytics/credits",
            "analytics.credits",
            Searches,
            "Credits",
            reports(&CREDITS).needs(Figures),
        ),
        Endpoint::new(
            "/analytics/stock-movements",
            "analytics.stock-movements",
            Searches,
            "Stock movements",
            reports(&MOVEMENTS).needs(Figures),
        ),
        Endpoint::new(
            "/analytics/stock",
            "analytics.stock",
            Searches,
            "The current stock",
            reports(&STOCK).needs(Figures),
        ),
        Endpoint::new(
            "/analytics/summary",
            "analytics.summary",
            Searches,
            "All figures in one answer",
            summarizes().needs(Figures),
        ),
    ]
}

/// Countries that differ in capitals alone are one.
const COUNTRY: Group = Group::shown_as("country", "country_key", "min(country)");

const CURRENCY: Filter = Filter::new("currency", Kind::Currency, "currency = ?", "Only this one.");
static SALES: Report = Report {
    projection: "analytics",
    facts: &[
        Facts {
            table: "sales",
            only: "counted",
            groups: &[NO_GROUP, COUNTRY, Group::of("customer_kind", "customer_kind")],
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
            groups: &[Group::of("sku", "sku"), Group::of("product", "product_id")],
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

/// The condition for facts that count: the credit notes of a refused or cancelled order do not, as little as the order
/// itself.
macro_rules! counted {
    () => {
        "NOT EXISTS (SELECT 1 FROM @sales s WHERE s.id = facts.order_id AND NOT s.counted)"
    };
}

static CREDITS: Report = Report {
    projection: "analytics",
    facts: &[Facts {
        table: "facts",
        only: concat!("kind = 'credit' AND ", counted!()),
        groups: &[NO_GROUP, COUNTRY],
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

static MOVEMENTS: Report = Report {
    projection: "analytics",
    facts: &[Facts {
        table: "facts",
        only: "kind IN ('receipt', 'adjustment')",
        groups: &[Group::of("kind", "kind"), Group::of("sku", "sku"), NO_GROUP],
        figures: &[("movements", Figure::Count("*")), ("units", Figure::Sum("units"))],
    }],
    groups: &["kind", "sku", "none"],
    orders: &["key", "units", "movements"],
    filters: &[Filter::new("kind", Kind::OneOf(&["receipt", "adjustment"]), "kind = ?", "Only these.")],
    timed: true,
    money: false,
};

static STOCK: Report = Report {
    projection: "stock",
    facts: &[Facts {
        table: "stock",
        only: "version > 0",
        groups: &[NO_GROUP, Group::of("location", "location"), Group::of("sku", "sku")],
        figures: &[
            ("stocks", Figure::Count("*")),
            ("on_hand", Figure::Sum("on_hand")),
            ("reserved", Figure::Sum("reserved")),
            ("available", Figure::Sum("available")),
        ],
    }],
    groups: &["none", "location", "sku"],
    orders: &["key", "on_hand", "reserved", "available"],
    filters: &[Filter::new("location", Kind::Location, "location = ?", "Only stock at this location.")],
    timed: false,
    money: false,
};

/// A sum can be larger than 64 bits hold.
fn whole_number() -> Object {
    ObjectBuilder::new().schema_type(Type::Integer).build()
}

/// An amount in minor units, of any size.
#[derive(Serialize, ToSchema)]
struct Amount {
    #[schema(schema_with = whole_number)]
    amount: i128,
    currency: String,
}

/// All figures of a range, with one amount for each currency.
#[derive(Default, Serialize, ToSchema)]
struct Summary {
    #[schema(schema_with = whole_number)]
    orders: i128,
    #[schema(schema_with = whole_number)]
    guest_orders: i128,
    #[schema(schema_with = whole_number)]
    order_lines: i128,
    #[schema(schema_with = whole_number)]
    units: i128,
    revenue: Vec<Amount>,
    #[schema(schema_with = whole_number)]
    credit_notes: i128,
    #[schema(schema_with = whole_number)]
    credit_lines: i128,
    credited: Vec<Amount>,
    /// Listed in the range.
    #[schema(schema_with = whole_number)]
    products: i128,
    /// Registered in the range.
    #[schema(schema_with = whole_number)]
    customers: i128,
    #[schema(schema_with = whole_number)]
    adjustments: i128,
    #[schema(schema_with = whole_number)]
    adjusted_units: i128,
    #[schema(schema_with = whole_number)]
    receipts: i128,
    #[schema(schema_with = whole_number)]
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
fn summarizes() -> Action {
    Action::new(vec![FROM, TO, ZONE], Described::one::<Summary>(), |call: Call| async move {
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
             SELECT kind, '', coalesce(currency, ''), {} FROM @facts WHERE {range} AND {} GROUP BY 1, 2, 3",
            figures("revenue"),
            figures("amount"),
            counted!()
        );
        let source = call.shared.source("analytics", None).await?;
        let (position, rows) =
            source.rows(at_least(&call), None, &sql, &values, "kind_, customer, currency_").await?;
        let mut summary = Summary::default();
        for row in &rows {
            summary.add(row)?;
        }
        call.page(position, &summary, None)
    })
}
