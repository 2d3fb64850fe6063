//! Carts over HTTP. A cart is priced at each read, from the products and the stock as they are now; a read changes
//! nothing.

mod pricing;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use sea_orm::FromQueryResult as _;
use serde::Serialize;
use soonshop_domain::cart::{self, Cart as State};
use soonshop_domain::{clock, type_of};
use soonshop_projections::cart::{Listed, Model, share};
use soonshop_projections::source::query_failed;
use soonshop_service_kit::Problem;
use soonshop_service_kit::access::personal_access::Field;
use soonshop_service_kit::endpoint::Described;
use soonshop_service_kit::endpoint::params::{Kind, Param};
use soonshop_service_kit::rates::Class::Reads;
use utoipa::ToSchema;
use uuid::Uuid;

use self::pricing::Prices;
use crate::driver::as_of::{self, PARAM, Past};
use crate::driver::personal::{self, DescribedText, HEADERS, PersonalText, ViewedObject};
use crate::driver::shapes::{Customer, Money};
use crate::driver::state::{Action, Call, Endpoint, at_least};

/// The endpoints.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new("/carts/{id}", "cart.read", Reads, "A cart, with today's prices", by_id()),
        Endpoint::new(
            "/carts",
            "cart.list-open",
            Reads,
            "The open carts of who asks, with today's prices",
            open(),
        ),
        Endpoint::new(
            "/shared-carts/{secret}",
            "cart.read-shared",
            Reads,
            "The lines of a cart that somebody shared",
            shared(),
        ),
    ]
}

#[derive(Serialize, ToSchema)]
struct Cart {
    id: String,
    /// `open`, `merged`, `expired` or `checked_out`.
    status: String,
    customer: Customer,
    channel: String,
    /// ISO 4217.
    #[schema(example = "GBP", min_length = 3, max_length = 3)]
    currency: String,
    lines: Vec<Item>,
    /// Of the lines with an `amount`.
    total: Money,
    /// Its links that hold, earliest end first. A link itself is told once, when it is made.
    shares: Vec<Link>,
    /// The cart that has its lines now.
    into: Option<String>,
    /// The checkout of its lines that runs, or that became an order: the order has its id.
    checkout: Option<String>,
    started_at: DateTime<Utc>,
    changed_at: DateTime<Utc>,
    version: i64,
    /// The position of the event that last changed it.
    position: i64,
}

/// A link that shows the lines of a cart to anyone who has its secret.
#[derive(Serialize, ToSchema)]
#[schema(as = CartLink)]
struct Link {
    /// Its id, by which it is ended.
    share: Uuid,
    until: DateTime<Utc>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = CartLine)]
struct Item {
    /// Its number.
    line: u32,
    sku: String,
    product_id: Uuid,
    /// The product's name now.
    name: String,
    quantity: u32,
    /// What the owner of the cart wrote about it.
    #[schema(value_type = Option<DescribedText>)]
    note: Option<PersonalText>,
    /// Of one unit, now; null where it is not sold.
    price: Option<Money>,
    /// Of all its units; null where it is not in the total.
    amount: Option<Money>,
    /// Kept for later: not in the total.
    saved: bool,
    /// What its owner should know: what changed since they last saw it, and how many there are.
    notices: Vec<Notice>,
}

/// What the owner of a cart should know about a line.
#[derive(Serialize, ToSchema)]
#[schema(as = CartNotice)]
struct Notice {
    /// `price-changed` (`from`, `to`), `renamed` (`name_before`), `not-sold`, `without-price`, `other-currency`,
    /// `total-too-large`, `few-left` or `not-enough` (`available`).
    code: String,
    /// The price that was seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    from: Option<Money>,
    /// The price now.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    to: Option<Money>,
    /// The name that was seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    name_before: Option<String>,
    /// How many units there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    available: Option<i64>,
}

impl Notice {
    fn of(notice: &cart::Notice) -> Self {
        let code = notice.as_ref().to_owned();
        let plain = Self { code, from: None, to: None, name_before: None, available: None };
        match notice {
            cart::Notice::PriceChanged { from, to } => {
                Self { from: Some(money(*from)), to: Some(money(*to)), ..plain }
            }
            cart::Notice::Renamed { from, .. } => Self { name_before: Some(from.clone()), ..plain },
            cart::Notice::OtherCurrency { .. }
            | cart::Notice::NotSold
            | cart::Notice::WithoutPrice
            | cart::Notice::TotalTooLarge => plain,
            cart::Notice::FewLeft { available } | cart::Notice::NotEnough { available } => {
                Self { available: Some(*available), ..plain }
            }
        }
    }
}

fn money(money: soonshop_domain::Money) -> Money {
    Money { amount: money.amount, currency: money.currency.to_string() }
}

#[derive(Serialize, ToSchema)]
struct OpenCarts {
    /// One for each channel.
    items: Vec<Cart>,
}

const CUSTOMER: Param =
    Param::new("customer", Kind::Id, "A user's or guest's id: whose carts the shop's staff ask for.");

/// The lines of a cart, and nothing of its owner.
#[derive(Serialize, ToSchema)]
#[schema(as = SharedCart)]
struct Shared {
    lines: Vec<SharedLine>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = SharedCartLine)]
struct SharedLine {
    sku: String,
    product_id: Uuid,
    /// The product's name now.
    name: String,
    quantity: u32,
    /// Of one unit, now; null where it is not sold.
    price: Option<Money>,
}

fn missing() -> Problem {
    Problem::not_found("not-found", "there is nothing of this name")
}

fn by_id() -> Action {
    let answers = Described::either::<Cart, Past>();
    let action = Action::new(vec![PARAM], answers, |call: Call| async move {
        let id = call.id()?;
        let own = call.caller().sees_only().map(str::to_owned);
        let sql = "SELECT * FROM @carts WHERE id = $1 AND lines IS NOT NULL AND ($2 IS NULL OR owner = $2)";
        let values = [id.to_string().into(), own.clone().into()];
        if let Some(point) = call.params.as_of() {
            // What is not theirs is not there, whenever it was.
            if own.is_some() {
                found(&call, Some(id), sql, &values).await?;
            }
            return as_of::answer::<State>(&call, id, point, own.is_some()).await;
        }
        let (position, cart) = found(&call, Some(id), sql, &values).await?;
        let view = view(&call, cart, true).await?;
        let body = serde_json::to_vec(&view).map_err(Problem::internal)?;
        // Prices change without the version of the cart: no copy is ever the present answer.
        Ok(call.entity(position, view.version, true, Bytes::from(body)))
    });
    action.reads(HEADERS)
}

fn open() -> Action {
    let answers = Described::one::<OpenCarts>();
    Action::new(vec![CUSTOMER], answers, |call: Call| async move {
        let owner = match call.caller().sees_only() {
            Some(own) => Some(own.to_owned()),
            None => call.params.text(CUSTOMER.name).map(str::to_owned),
        };
        let source = call.shared.source("carts", None).await?;
        let sql = "SELECT * FROM @carts WHERE owner = $1 AND status = 'open' AND lines IS NOT NULL";
        let values = [owner.into()];
        let (position, rows) = source.rows(at_least(&call), None, sql, &values, "started_at, id").await?;
        let own = call.caller().sees_only().is_some();
        let mut items = Vec::with_capacity(rows.len());
        for row in rows {
            let row = Model::from_query_result(&row, "").map_err(query_failed)?;
            items.push(view(&call, row, own).await?);
        }
        call.page(position, &OpenCarts { items }, None)
    })
}

fn shared() -> Action {
    Action::new(Vec::new(), Described::one::<Shared>(), |call: Call| async move {
        let share = cart::share_of(&call.key);
        let sql = "SELECT c.* FROM @carts c JOIN @cart_shares s ON s.cart_id = c.id \
                   WHERE s.id = $1 AND s.until > $2 AND c.status = 'open' AND c.lines IS NOT NULL";
        let values = [share.to_string().into(), clock::now().timestamp_micros().into()];
        let (position, cart) = found(&call, None, sql, &values).await?;
        let currency = cart.currency.parse().map_err(Problem::internal)?;
        let listed = cart.lines().map_err(Problem::internal)?;
        let wanted: Vec<_> = listed.iter().filter(|line| !line.saved).map(Listed::line).collect();
        let prices = Prices::of(&call, &wanted).await?;
        let (priced, _) = prices.price(currency, &wanted);
        let lines = priced.into_iter().map(|one| SharedLine {
            sku: one.line.sku.to_string(),
            product_id: one.line.product_id.0,
            name: one.name.to_owned(),
            quantity: one.line.quantity,
            price: one.price.map(money),
        });
        call.page(position, &Shared { lines: lines.collect() }, None)
    })
}

/// The row of a cart.
async fn found(
    call: &Call,
    id: Option<Uuid>,
    sql: &str,
    values: &[sea_orm::Value],
) -> Result<(i64, Model), Problem> {
    let source = call.shared.source("carts", None).await?;
    let group = id.map(|id| format!("carts/{id}"));
    let (position, rows) = source.rows(at_least(call), group.as_deref(), sql, values, "id").await?;
    let row = rows.first().ok_or_else(missing)?;
    Ok((position, Model::from_query_result(row, "").map_err(query_failed)?))
}

/// The cart as its owner sees it. Notes are masked, unless somebody looks at them (`shows`).
async fn view(call: &Call, cart: Model, shows: bool) -> Result<Cart, Problem> {
    let currency = cart.currency.parse().map_err(Problem::internal)?;
    let id: Uuid = cart.id.parse().map_err(Problem::internal)?;
    let owner: Uuid = cart.owner.parse().map_err(Problem::internal)?;
    let listed = cart.lines().map_err(Problem::internal)?;
    let lines: Vec<_> = listed.iter().map(Listed::line).collect();
    let prices = Prices::of(call, &lines).await?;
    let (priced, total) = prices.price(currency, &lines);
    let noted = priced.into_iter().zip(&listed);
    let mut lines: Vec<Item> = noted.map(|(one, listed)| Item::of(one, listed.note.clone())).collect();
    if shows {
        let own = call.caller().sees_only().is_some();
        let viewed = ViewedObject { kind: type_of::<State>(), id, version: None, own };
        let notes = lines.iter_mut().filter_map(|line| line.note.as_mut()).collect();
        personal::in_look_up(call, &viewed, owner, notes).await?;
    }
    let shares = links(call, &cart).await?;
    Ok(Cart {
        id: cart.id,
        status: cart.status,
        customer: Customer::of(&cart.customer_kind, cart.owner),
        channel: cart.channel,
        currency: cart.currency,
        lines,
        total: money(total),
        shares,
        into: cart.merged_into,
        checkout: cart.checkout_id,
        started_at: clock::from_micros(cart.started_at),
        changed_at: clock::from_micros(cart.changed_at),
        version: cart.version,
        position: cart.position,
    })
}

/// The links of an open cart that hold.
async fn links(call: &Call, cart: &Model) -> Result<Vec<Link>, Problem> {
    if cart.status != "open" {
        return Ok(Vec::new());
    }
    let source = call.shared.source("carts", None).await?;
    let sql = "SELECT * FROM @cart_shares WHERE cart_id = $1 AND until > $2";
    let values = [cart.id.as_str().into(), clock::now().timestamp_micros().into()];
    let (_, rows) = source.rows(at_least(call), None, sql, &values, "until, id").await?;
    let mut links = Vec::with_capacity(rows.len());
    for row in rows {
        let row = share::Model::from_query_result(&row, "").map_err(query_failed)?;
        let share = row.id.parse().map_err(Problem::internal)?;
        links.push(Link { share, until: clock::from_micros(row.until) });
    }
    Ok(links)
}

impl Item {
    fn of(priced: cart::Priced<'_>, note: Option<String>) -> Self {
        let cart::Priced { line, name, price, amount, notices } = priced;
        Self {
            line: line.line,
            sku: line.sku.to_string(),
            product_id: line.product_id.0,
            name: name.to_owned(),
            quantity: line.quantity,
            note: PersonalText::of(Field::Address, note),
            price: price.map(money),
            amount: amount.map(money),
            saved: line.saved,
            notices: notices.iter().map(Notice::of).collect(),
        }
    }
}
