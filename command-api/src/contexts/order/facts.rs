//! The common part of orders and credit notes over HTTP: their lines, their numbers, and the facts that they, and carts,
//! need first: who buys, and which product a SKU is of, with its name and its price.

use std::collections::BTreeMap;

use futures::{StreamExt as _, TryStreamExt as _};
use serde::{Deserialize, Serialize};
use soonshop_domain::Money;
use soonshop_domain::claim::scope;
use soonshop_domain::ids::{self, GuestId, ProductId, UserId};
use soonshop_domain::order::{Customer, Error, Line, MOST_LINES};
use soonshop_domain::product::Product;
use soonshop_domain::text::{self, Sku};
use soonshop_domain::user::User;
use soonshop_event_store::{EventStore, ExecuteError, Executed};
use soonshop_service_kit::Problem;
use soonshop_service_kit::problem::Kind;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::http::answer::{refused, rejected, unreadable};
use crate::http::call::Call;
use crate::http::schema;

/// How many SKUs are looked up at once.
const LOOK_UPS: usize = 8;

/// How many generated numbers are tried: two taken ones in a row are already very unlikely.
const NUMBERS: u32 = 10;

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewOrderLine)]
pub(super) struct NewLine {
    #[schema(value_type = String, min_length = 1, max_length = 64)]
    pub(super) sku: Sku,
    #[schema(minimum = 1, maximum = 4_294_967_295_i64)]
    pub(super) quantity: u32,
    /// Of one unit: needs the permission `override`; otherwise it is the product's.
    #[schema(value_type = Option<schema::Price>)]
    pub(super) price: Option<Money>,
}

/// A field of the body that cannot be taken.
pub(in crate::contexts) fn invalid(pointer: impl Into<String>, error: impl std::fmt::Display) -> Problem {
    Problem::invalid("invalid-body", error.to_string()).with_pointer(pointer)
}

/// The number that was sent, in its normal form.
pub(super) fn number(sent: Option<&str>) -> Result<Option<String>, Problem> {
    let given = sent.map(|number| text::line(number, 64)).transpose();
    given.map_err(|error| invalid("/number", error))
}

/// A country in its normal form.
pub(in crate::contexts) fn country(sent: &str) -> Result<String, Problem> {
    text::line(sent, 64).map_err(|error| invalid("/country", error))
}

/// Executes with the given number, or with the first generated one that is free.
pub(in crate::contexts) async fn numbered<E, F: Future<Output = Result<Executed, ExecuteError<E>>>>(
    given: Option<&str>,
    scope: &str,
    generated: impl Fn(u32) -> String,
    execute: impl Fn(String) -> F,
) -> Result<Executed, ExecuteError<E>> {
    let mut attempt = 0;
    loop {
        let number = given.map_or_else(|| generated(attempt), str::to_owned);
        match execute(number).await {
            Err(ExecuteError::Taken { scope: taken, .. })
                if taken == scope && given.is_none() && attempt < NUMBERS =>
            {
                attempt += 1;
            }
            done => return done,
        }
    }
}

/// A user must exist; a guest begins to exist by buying. A customer who names nobody buys for themselves.
pub(in crate::contexts) async fn buyer(
    call: &Call,
    id: Uuid,
    named: Option<Customer>,
) -> Result<Customer, Problem> {
    let unknown =
        |detail: &'static str, place| Problem::invalid("unknown-customer", detail).with_pointer(place);
    let own = call.caller().account().map(|account| Customer::User(UserId(account)));
    match named.or(own) {
        None => {
            let guest = call.caller().guest.map(|guest| guest.id);
            Ok(Customer::Guest(GuestId(guest.unwrap_or_else(|| ids::derived(id, &["guest"])))))
        }
        Some(Customer::User(user)) => {
            // First, so that guests and customers are not told who is there.
            call.own("user", user.0).await.map_err(|problem| problem.with_pointer("/customer/user"))?;
            match call.store.load::<User>(user.0).await.map_err(refused)?.0 {
                User::Active { .. } => Ok(Customer::User(user)),
                User::Unknown | User::Deleted => {
                    Err(unknown("there is no user of this id, or none any more", "/customer/user"))
                }
            }
        }
        Some(Customer::Guest(guest)) => {
            if !may_name(call, guest.0).await? {
                let detail = "a guest buys for themselves: leave the customer out, and send the token that came with the \
                              answer to your first command";
                return Err(Problem::forbidden("not-yours", detail).with_pointer("/customer/guest"));
            }
            if call.is_free_for_a_guest(guest.0).await? {
                return Ok(Customer::Guest(guest));
            }
            let detail =
                "a user or the holder of a key has this id: name the user, or take a new id for the guest";
            Err(unknown(detail, "/customer/guest"))
        }
    }
}

/// The guest whose token the body has.
pub(in crate::contexts) async fn guest_of(call: &Call, token: &str) -> Result<GuestId, Problem> {
    let guest = call.access().guest_of(token).await.map_err(|problem| match problem.kind() {
        Kind::Unauthenticated => {
            let detail = "the guest's token is not valid";
            Problem::invalid("bad-guest-token", detail).with_pointer("/guest_token")
        }
        _ => problem,
    })?;
    Ok(GuestId(guest.id))
}

/// Whether the caller may buy in the name of this guest. Guests name nobody but themselves, except on their own machine, where
/// nobody else is one; customers no guest, as the order would not be theirs.
async fn may_name(call: &Call, guest: Uuid) -> Result<bool, Problem> {
    let caller = call.caller();
    match caller.guest {
        Some(own) if own.id == guest => Ok(true),
        Some(_) if caller.reached_by_others || call.begins().is_none() => Ok(false),
        _ if caller.is_customer() => Ok(false),
        _ if caller.is_one_of_many() => Ok(!call.is_known(guest).await?),
        _ => Ok(true),
    }
}

/// The facts about a SKU that an order needs.
#[derive(Clone)]
pub(in crate::contexts) enum SkuFacts {
    Unknown,
    NotSold,
    Sold { product_id: ProductId, name: String, price: Option<Money> },
}

/// The facts about each of the SKUs.
pub(in crate::contexts) async fn look_up_all(
    store: &EventStore,
    skus: impl Iterator<Item = Sku>,
) -> Result<BTreeMap<Sku, SkuFacts>, Problem> {
    let skus: std::collections::BTreeSet<Sku> = skus.collect();
    let look_ups = skus.into_iter().map(|sku| look_up(store.clone(), sku));
    futures::stream::iter(look_ups).buffer_unordered(LOOK_UPS).try_collect().await
}

/// The lines with the current names and prices.
pub(super) async fn sold(store: &EventStore, lines: Vec<NewLine>) -> Result<Vec<Line>, Problem> {
    if lines.len() > MOST_LINES {
        return Err(rejected(&Error::BadLines));
    }
    let goods = look_up_all(store, lines.iter().map(|line| line.sku.clone())).await?;
    let mut sold = Vec::with_capacity(lines.len());
    for (index, NewLine { sku, quantity, price: own }) in lines.into_iter().enumerate() {
        let at = |problem: Problem| problem.with_pointer(format!("/lines/{index}/sku"));
        let (product_id, name, price) = match goods.get(&sku).cloned().unwrap_or(SkuFacts::Unknown) {
            SkuFacts::Unknown => return Err(at(Problem::invalid("unknown-sku", "no product has this SKU"))),
            SkuFacts::NotSold => return Err(at(Problem::invalid("sku-not-sold", "the product was deleted"))),
            SkuFacts::Sold { product_id, name, price } => (product_id, name, own.or(price)),
        };
        let price = price.ok_or_else(|| at(Problem::invalid("sku-without-price", "it has no price yet")))?;
        let number = u32::try_from(index + 1).unwrap_or(u32::MAX);
        sold.push(Line { number, sku, product_id, name, quantity, price });
    }
    Ok(sold)
}

/// The claim of a SKU names the product.
pub(in crate::contexts) async fn look_up(store: EventStore, sku: Sku) -> Result<(Sku, SkuFacts), Problem> {
    let owner = store.owner_of(scope::SKU, sku.as_str()).await.map_err(unreadable)?;
    let product = owner.as_deref().and_then(|owner| owner.strip_prefix("product:")?.parse().ok());
    let Some(id) = product else { return Ok((sku, SkuFacts::Unknown)) };
    let (product, _) = store.load::<Product>(id).await.map_err(refused)?;
    let good = match (product.variant(&sku), &product) {
        (Some(variant), Product::Listed { details, .. }) => {
            SkuFacts::Sold { product_id: ProductId(id), name: details.name.clone(), price: variant.price }
        }
        (_, Product::Deleted { .. }) => SkuFacts::NotSold,
        _ => SkuFacts::Unknown,
    };
    Ok((sku, good))
}
