//! Carts over HTTP. A line needs facts first: which product a SKU is of, its name and its price.

pub(in crate::contexts) mod answered;
mod claim;
mod share;

use axum::response::Response;
use serde::{Deserialize, Serialize};
use soonshop_domain::cart::{CHANNEL, Cart, Command, Error, Line, NewLine, NewNote, Seen};
use soonshop_domain::order::{self, Customer};
use soonshop_domain::text::{self, Sku};
use soonshop_domain::{Currency, Money, Personal, Purpose};
use soonshop_service_kit::Problem;
use utoipa::ToSchema;
use uuid::Uuid;

use self::answered::{answered, attempted, not_erased};
use super::order::facts::{SkuFacts, buyer, invalid, look_up, look_up_all};
use crate::http::action::{prepares, removes};
use crate::http::answer::{answer, refused, rejected};
use crate::http::body::Input;
use crate::http::call::Call;
use crate::http::endpoint::{Endpoint, endpoints};
use crate::http::privileged::Privileged;
use crate::http::row::Success::{Created, Done, Removed};
use crate::http::schema;

#[rustfmt::skip]
pub(super) fn endpoints() -> Vec<Endpoint> {
    endpoints! {
        POST   "/carts"                        "cart.start":       Shop, New,    Required, Created("/carts/{id}"), "Start a cart with its first line"  => prepares(start);
        POST   "/carts/{id}/lines"             "cart.add":         Shop, Own,    Optional, Done,                   "Put something into a cart"         => prepares(add);
        PUT    "/carts/{id}/lines/{line}"      "cart.change":      Shop, Own,    Optional, Done,                   "Change quantity and note of a line" => prepares(change);
        DELETE "/carts/{id}/lines/{line}"      "cart.remove":      Shop, Own,    Optional, Removed,                "Take a line out of a cart"         => removes(remove);
        POST   "/carts/{id}/lines/{line}/save" "cart.save":        Shop, Own,    Optional, Done,                   "Keep a line for later"             => prepares(save);
        POST   "/carts/{id}/lines/{line}/want" "cart.want":        Shop, Own,    Optional, Done,                   "Want a saved line again"           => prepares(want);
        POST   "/carts/{id}/claim"             "cart.claim":       Shop, Guests, Optional, Done,                   "Take the cart of a guest over"     => prepares(claim::claim);
        POST   "/carts/{id}/shares"            "cart.share":       Shop, Own,    Optional, Created("/carts/{id}"), "Share the lines of a cart by a link" => share::shares();
        DELETE "/carts/{id}/shares/{share}"    "cart.end-share":   Shop, Own,    Optional, Removed,                "End a share link"                  => removes(share::end);
    }
}

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewCart)]
struct NewCart {
    /// If it is left out: the customer who is signed in, the guest whose token is sent, or a new guest.
    #[schema(value_type = Option<schema::Customer>)]
    customer: Option<Customer>,
    #[schema(value_type = String, min_length = 1, max_length = 64)]
    sku: Sku,
    #[schema(minimum = 1, maximum = 100_000)]
    quantity: u32,
    /// A message to the people who pack the order. It is stored encrypted, and erased when its writer is.
    #[schema(max_length = 500)]
    note: Option<String>,
}

impl Input for NewCart {
    const PRIVILEGED: &'static [Privileged] = &[];
}

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewCartLine)]
struct Addition {
    #[schema(value_type = String, min_length = 1, max_length = 64)]
    sku: Sku,
    /// Without a note it is added to the line of this SKU that has none, if there is one.
    #[schema(minimum = 1, maximum = 100_000)]
    quantity: u32,
    /// A message to the people who pack the order. It is stored encrypted, and erased when its writer is.
    #[schema(max_length = 500)]
    note: Option<String>,
}

impl Input for Addition {
    const PRIVILEGED: &'static [Privileged] = &[];
}

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CartLineChange)]
struct Change {
    #[schema(minimum = 1, maximum = 100_000)]
    quantity: u32,
    /// If it is left out, the note stays as it is. An empty one removes it.
    #[schema(max_length = 500)]
    note: Option<String>,
    /// The price of a unit that the owner of the cart was shown. If it is the present one, the line no longer says what
    /// changed before. It decides nothing else.
    #[schema(value_type = Option<schema::Price>)]
    seen: Option<Money>,
}

impl Input for Change {
    const PRIVILEGED: &'static [Privileged] = &[];
}

/// No fields are needed: `{}`.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CartLineMove)]
struct Nothing {}

impl Input for Nothing {
    const PRIVILEGED: &'static [Privileged] = &[];
}

/// A note, for the owner of its cart.
fn note(sent: Option<&str>, owner: Uuid) -> Result<Option<Personal<String>>, Problem> {
    let text = sent.map(|note| text::prose(note, 500)).transpose();
    let text = text.map_err(|error| invalid("/note", error))?.filter(|text| !text.is_empty());
    Ok(text.map(|text| Personal::new(text, owner, Purpose::Account)))
}

/// The line, with name and price as they are now.
async fn sold(
    call: &Call,
    sku: Sku,
    quantity: u32,
    note: Option<Personal<String>>,
) -> Result<NewLine, Problem> {
    let at = |problem: Problem| problem.with_pointer("/sku");
    let (sku, facts) = look_up(call.store.clone(), sku).await?;
    match facts {
        SkuFacts::Unknown => Err(at(Problem::invalid("unknown-sku", "no product has this SKU"))),
        SkuFacts::NotSold => Err(at(Problem::invalid("sku-not-sold", "the product was deleted"))),
        SkuFacts::Sold { price: None, .. } => {
            Err(at(Problem::invalid("sku-without-price", "it has no price yet")))
        }
        SkuFacts::Sold { product_id, name, price: Some(price) } => {
            Ok(NewLine { sku, product_id, quantity, note, seen: Seen { name, price } })
        }
    }
}

/// The lines of a cart as those of an order, with names and prices as they are now; numbered from 1. What is refused says
/// which line of the cart it is, and its SKU.
pub(in crate::contexts) async fn sold_now(
    call: &Call,
    currency: Currency,
    lines: Vec<Line>,
) -> Result<Vec<order::Line>, Problem> {
    let goods = look_up_all(&call.store, lines.iter().map(|line| line.sku.clone())).await?;
    let mut sold = Vec::with_capacity(lines.len());
    for (number, line) in (1..).zip(lines) {
        let at = |problem: Problem| {
            problem.with_pointer("/cart").with("line", line.line).with("sku", line.sku.as_str())
        };
        let (name, price) = match goods.get(&line.sku).cloned().unwrap_or(SkuFacts::Unknown) {
            SkuFacts::Sold { product_id, price: Some(price), .. }
                if product_id == line.product_id && price.currency != currency =>
            {
                return Err(at(rejected(&Error::OtherCurrency(currency))));
            }
            SkuFacts::Sold { product_id, name, price: Some(price) } if product_id == line.product_id => {
                (name, price)
            }
            SkuFacts::Sold { price: None, .. } => {
                return Err(at(Problem::invalid("sku-without-price", "it has no price yet")));
            }
            SkuFacts::Unknown | SkuFacts::NotSold | SkuFacts::Sold { .. } => {
                return Err(at(Problem::invalid("sku-not-sold", "the product is not sold any more")));
            }
        };
        let Line { sku, product_id, quantity, .. } = line;
        sold.push(order::Line { number, sku, product_id, name, quantity, price });
    }
    Ok(sold)
}

/// The subject of the cart's owner; the nil id where there is no such cart: the command is refused then.
async fn owner(call: &Call, id: Uuid) -> Result<Uuid, Problem> {
    let (cart, _) = call.store.load::<Cart>(id).await.map_err(refused)?;
    Ok(cart.owned.map_or(Uuid::nil(), |owned| owned.customer.subject()))
}

async fn start(call: Call, (): (), body: NewCart) -> Result<Response, Problem> {
    let id = call.new_stream();
    let NewCart { customer, sku, quantity, note: sent } = body;
    let prepared = async {
        let customer = buyer(&call, id, customer).await?;
        let line = sold(&call, sku, quantity, note(sent.as_deref(), customer.subject())?).await?;
        Ok::<_, Problem>((customer, line))
    };
    let (customer, line) = match prepared.await {
        Ok(prepared) => prepared,
        Err(problem) => {
            let done = call.unless_done::<Cart>(id, Command::Stay, problem).await?;
            return answer::<Cart>(id, Command::Stay, done);
        }
    };
    let command = Command::Start { channel: CHANNEL.to_owned(), customer, line };
    let owner = customer.subject();
    let done =
        call.attempt_all::<Cart>((id, command.clone()), || vec![not_erased(owner, Error::Person)]).await;
    answered(id, command, done)
}

async fn add(call: Call, id: Uuid, body: Addition) -> Result<Response, Problem> {
    let note = note(body.note.as_deref(), owner(&call, id).await?)?;
    let command = match sold(&call, body.sku, body.quantity, note).await {
        Ok(line) => Command::Add { line },
        // It is not sold any more; a command that was done before has its answer all the same.
        Err(_) if call.was_done().await? => Command::Stay,
        Err(problem) => return Err(problem),
    };
    attempted(&call, id, command).await
}

async fn change(call: Call, path: (Uuid, u32), body: Change) -> Result<Response, Problem> {
    let (id, line) = path;
    let note = match body.note.as_deref() {
        Some(sent) => note(Some(sent), owner(&call, id).await?)?.map_or(NewNote::Removed, NewNote::Is),
        None => NewNote::Same,
    };
    let seen = match body.seen {
        Some(price) if !price.is_price() => {
            return Err(invalid("/seen/amount", "a price has from 0 to 100,000,000,000 minor units"));
        }
        Some(price) => seen_now(&call, id, line, price).await?,
        None => None,
    };
    let command = Command::Change { line, quantity: body.quantity, note, seen };
    attempted(&call, id, command).await
}

/// The present name and price of a line, if this is the price.
async fn seen_now(call: &Call, id: Uuid, line: u32, shown: Money) -> Result<Option<Seen>, Problem> {
    let (cart, _) = call.store.load::<Cart>(id).await.map_err(refused)?;
    let Some(line) = cart.lines.into_iter().find(|one| one.line == line) else { return Ok(None) };
    match look_up(call.store.clone(), line.sku).await?.1 {
        SkuFacts::Sold { product_id, name, price: Some(price) }
            if product_id == line.product_id && price == shown =>
        {
            Ok(Some(Seen { name, price }))
        }
        _ => Ok(None),
    }
}

async fn remove(call: Call, path: (Uuid, u32)) -> Result<Response, Problem> {
    let (id, line) = path;
    attempted(&call, id, Command::Remove { line }).await
}

async fn save(call: Call, path: (Uuid, u32), Nothing {}: Nothing) -> Result<Response, Problem> {
    let (id, line) = path;
    attempted(&call, id, Command::Save { line }).await
}

async fn want(call: Call, path: (Uuid, u32), Nothing {}: Nothing) -> Result<Response, Problem> {
    let (id, line) = path;
    attempted(&call, id, Command::Want { line }).await
}
