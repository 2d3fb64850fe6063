//! Guests whose orders or carts an account claimed, as the log has them. What a guest wrote in all of them is under one key for
//! each purpose. So a guest is erased for a purpose once everybody is who claimed one of them. While there is an order that
//! nobody claimed, what orders hold stays, and notes in carts go with everybody who took over one of the carts. (A cart that
//! nobody claimed keeps no guest: it expires, and a checkout of it that runs is refused.)

use std::collections::BTreeSet;

use soonshop_domain::cart::{self, CARTS_BY_GUEST, CLAIMS_BY_USER, MERGES_BY_USER};
use soonshop_domain::order::{self, CLAIMS_BY_ACCOUNT, Customer, ORDERS_BY_GUEST};
use soonshop_domain::user::person;
use soonshop_domain::{Event, Purpose};
use soonshop_event_log::{Error, EventLog, RecordedEvent, StoredEvent};
use uuid::Uuid;

/// The purpose of what orders hold.
const OF_ORDERS: Purpose = Purpose::Invoice;

/// A guest, of whose orders or carts an account claimed one at least.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedGuest {
    pub id: Uuid,
    /// All of their orders, each with the account that claimed it.
    pub orders: Vec<(Uuid, Option<Uuid>)>,
    /// Of their carts those that an account claimed, each with the account.
    pub carts: Vec<(Uuid, Uuid)>,
}

impl ClaimedGuest {
    /// What was claimed of them, and their orders that nobody claimed.
    pub fn things(&self) -> impl Iterator<Item = (Uuid, Option<Uuid>)> {
        let carts = self.carts.iter().map(|(cart, account)| (*cart, Some(*account)));
        self.orders.iter().copied().chain(carts)
    }

    /// The purposes for which everybody who claimed one of their orders or carts is to be erased. While nobody claimed one
    /// of the orders, the carts alone count, and what orders hold stays.
    pub async fn purposes(&self, log: &EventLog) -> Result<BTreeSet<Purpose>, Error> {
        let unclaimed = self.orders.iter().any(|(_, account)| account.is_none());
        let accounts: BTreeSet<Uuid> = if unclaimed {
            self.carts.iter().map(|(_, account)| *account).collect()
        } else {
            self.things().filter_map(|(_, account)| account).collect()
        };
        let mut common: Option<BTreeSet<Purpose>> = None;
        for account in accounts {
            let asked = requested(log, account).await?;
            common = Some(match common {
                Some(before) => before.intersection(&asked).copied().collect(),
                None => asked,
            });
        }
        let mut common = common.unwrap_or_default();
        if unclaimed {
            common.remove(&OF_ORDERS);
        }
        Ok(common)
    }
}

/// The guests of whose orders or carts this account claimed one at least.
pub async fn guests_of(log: &EventLog, account: Uuid) -> Result<Vec<ClaimedGuest>, Error> {
    let mut ids = BTreeSet::new();
    for claim in log.with_field(CLAIMS_BY_ACCOUNT, &account.to_string()).await? {
        for row in log.of_type("order", &claim.aggregate_id, "OrderPlaced").await? {
            let event = decoded(log, row)?.event;
            if let Event::Order(order::Event::OrderPlaced { customer: Customer::Guest(guest), .. }) = event {
                ids.insert(guest.0);
            }
        }
    }
    for path in [CLAIMS_BY_USER, MERGES_BY_USER] {
        for claim in log.with_field(path, &account.to_string()).await? {
            ids.extend(guest_of_cart(log, &claim.aggregate_id).await?);
        }
    }
    let mut guests = Vec::with_capacity(ids.len());
    for id in ids {
        let mut orders = Vec::new();
        for order in orders_of(log, id).await? {
            orders.push((order, claimed_by(log, order).await?));
        }
        guests.push(ClaimedGuest { id, orders, carts: claimed_carts(log, id).await? });
    }
    Ok(guests)
}

/// The orders of a guest, in order.
pub async fn orders_of(log: &EventLog, guest: Uuid) -> Result<Vec<Uuid>, Error> {
    let placed = log.with_field(ORDERS_BY_GUEST, &guest.to_string()).await?;
    placed.into_iter().map(|row| Ok(decoded(log, row)?.stream)).collect()
}

/// Which of these people claimed an order or a cart.
pub async fn claimants(log: &EventLog, people: &[Uuid]) -> Result<Vec<Uuid>, Error> {
    let names: Vec<String> = people.iter().map(ToString::to_string).collect();
    let mut found = log.values_of_field(CLAIMS_BY_ACCOUNT, &names).await?;
    for path in [CLAIMS_BY_USER, MERGES_BY_USER] {
        found.extend(log.values_of_field(path, &names).await?);
    }
    Ok(people.iter().copied().filter(|person| found.contains(&person.to_string())).collect())
}

/// The requests to erase somebody, in order.
pub async fn requests(log: &EventLog, subject: Uuid) -> Result<Vec<RecordedEvent>, Error> {
    let rows = log.of_type("person", &subject.to_string(), "ErasureRequested").await?;
    rows.into_iter().map(|row| decoded(log, row)).collect()
}

/// The purposes for which somebody's erasure was requested.
pub async fn requested(log: &EventLog, subject: Uuid) -> Result<BTreeSet<Purpose>, Error> {
    let mut asked = BTreeSet::new();
    for request in requests(log, subject).await? {
        if let Event::Person(person::Event::ErasureRequested { purposes }) = request.event {
            asked.extend(purposes);
        }
    }
    Ok(asked)
}

/// The account that claimed an order.
async fn claimed_by(log: &EventLog, order: Uuid) -> Result<Option<Uuid>, Error> {
    for row in log.of_type("order", &order.to_string(), "OrderClaimed").await? {
        if let Event::Order(order::Event::OrderClaimed { account, .. }) = decoded(log, row)?.event {
            return Ok(Some(account.0));
        }
    }
    Ok(None)
}

/// The guest who began a cart.
async fn guest_of_cart(log: &EventLog, cart: &str) -> Result<Option<Uuid>, Error> {
    for row in log.of_type("cart", cart, "CartStarted").await? {
        if let Event::Cart(cart::Event::CartStarted { customer: Customer::Guest(guest), .. }) =
            decoded(log, row)?.event
        {
            return Ok(Some(guest.0));
        }
    }
    Ok(None)
}

/// The carts of a guest that accounts claimed, by taking them over or by merging them into their own.
async fn claimed_carts(log: &EventLog, guest: Uuid) -> Result<Vec<(Uuid, Uuid)>, Error> {
    let mut carts = Vec::new();
    for started in log.with_field(CARTS_BY_GUEST, &guest.to_string()).await? {
        for kind in ["CartClaimed", "CartMerged"] {
            for row in log.of_type("cart", &started.aggregate_id, kind).await? {
                let RecordedEvent { event, stream, .. } = decoded(log, row)?;
                if let Event::Cart(
                    cart::Event::CartClaimed { user, .. } | cart::Event::CartMerged { owner: user, .. },
                ) = event
                {
                    carts.push((stream, user.0));
                }
            }
        }
    }
    Ok(carts)
}

/// The event, with encrypted values as stored. One that cannot be read is not passed over: who is erased rests on it.
fn decoded(log: &EventLog, row: StoredEvent) -> Result<RecordedEvent, Error> {
    let position = row.position;
    let decoded = log.decode_row(row).unwrap_or_else(|| Err("its type is unknown".to_owned()));
    decoded.map_err(|reason| Error::Undecodable { position, reason })
}
