//! Checks that this caller may touch the thing that a command is about: each row of the table says how ([`Owner`]).

use std::collections::HashSet;

use serde::Deserialize;
use soonshop_domain::cart::Cart;
use soonshop_domain::checkout::Checkout;
use soonshop_domain::order::{Customer, Order};
use soonshop_domain::payment::Payment;
use soonshop_domain::user::User;
use soonshop_domain::{ActorKind, Purpose, clock, ids, personal, type_of};
use soonshop_event_log::{Key, history};
use soonshop_service_kit::Problem;
use soonshop_service_kit::access::{Employment, Owner, Role};
use uuid::Uuid;

use super::answer::{refused, unreadable};
use super::call::Call;
use super::headers::invalid_header;
use super::represented::HEADER;

/// Who began a stream.
#[derive(Deserialize)]
struct FirstEventMetadata {
    actor_kind: Option<ActorKind>,
    actor_id: Option<String>,
}

impl FirstEventMetadata {
    fn of(kind: ActorKind, id: String) -> Self {
        Self { actor_kind: Some(kind), actor_id: Some(id) }
    }

    fn is_by_the_shop(&self) -> bool {
        self.actor_kind == Some(ActorKind::System)
    }

    fn is(&self, kind: ActorKind, id: &str) -> bool {
        self.actor_kind == Some(kind) && self.actor_id.as_deref() == Some(id)
    }
}

/// What a query answers where nothing is stored under an id: the command refuses with the same sentence.
const NOTHING_OF_THIS_NAME: &str = "there is nothing of this name";

impl Call {
    /// Refuses a guest whom nobody knows: nothing is stored about them, the thing in the path is not theirs, and the
    /// command begins nothing. A guest begins to exist by what they begin first.
    pub(super) async fn may_represent(&self, target: &[String]) -> Result<(), Problem> {
        let Some(guest) = self.represented().filter(|named| named.is_guest()) else { return Ok(()) };
        if self.row().of == Owner::New
            || self.is_known(guest.id).await?
            || self.is_of(guest.id, target).await?
        {
            return Ok(());
        }
        let detail = "X-On-Behalf-Of names a guest whom the shop does not know, and this is not theirs: name the guest of \
                      the order, or leave the header out";
        Err(invalid_header(HEADER, detail))
    }

    /// Whether the thing in the path is about this person: its first event says so.
    async fn is_of(&self, person: Uuid, target: &[String]) -> Result<bool, Problem> {
        let Some(id) = target.first().filter(|id| Uuid::try_parse(id).is_ok()) else { return Ok(false) };
        let log = self.store.log();
        let rows = log.stream(self.row().aggregate_type(), id, 0, 1).await.map_err(unreadable)?;
        let first = history::decode(log, rows).await?.into_iter().next();
        Ok(first.and_then(|first| first.event.subject(first.stream)) == Some(person))
    }

    /// Refuses a target that the caller may not touch, whatever permission they have.
    pub(super) async fn may_touch(&self, target: &[String]) -> Result<(), Problem> {
        self.may_represent(target).await?;
        // The table's tests hold that the paths of such rows begin with an id.
        let id = || {
            let id = target.first().and_then(|id| Uuid::try_parse(id).ok());
            id.ok_or_else(|| Problem::internal("a row without an id says whose thing it touches"))
        };
        match self.row().of {
            Owner::New | Owner::Guests | Owner::TheShop | Owner::Anyone => Ok(()),
            Owner::Own => self.own(self.row().aggregate_type(), id()?).await,
            Owner::Person => self.person(id()?).await,
            Owner::Staff => self.staff(id()?).await,
        }
    }

    /// A guest touches what their token began; one without a token, on this machine alone, what guests began.
    pub(crate) async fn own(&self, aggregate_type: &str, id: Uuid) -> Result<(), Problem> {
        if self.caller().role != Role::Guest {
            return Ok(());
        }
        if self.caller().is_customer() {
            return self.customers_own(aggregate_type, id).await;
        }
        if self.caller().is_one_of_many() {
            let detail = "others reach this shop, and one guest is not told from another: send the token that came with the \
                          answer to your first command, or a key that may do this";
            return Err(Problem::forbidden("not-yours", detail));
        }
        // Who begins with this command on their own machine, where nobody else is a guest, sent no token.
        let has_token = self.caller().reached_by_others || self.begins().is_none();
        let guest = self.caller().guest.filter(|_| has_token);
        if aggregate_type == "user" && guest.is_some() {
            let detail = "a guest has no user: whoever has an account signs in, and changes their own";
            return Err(Problem::forbidden("not-yours", detail));
        }
        let begun = self.begun_by(aggregate_type, id).await?;
        let is_claimed = async || Ok::<_, Problem>(self.claimed_by(aggregate_type, id).await?.is_some());
        if let Some(guest) = guest {
            let mine = begun.is_some_and(|begun| begun.is(ActorKind::Guest, &guest.id.to_string()));
            if mine && !is_claimed().await? {
                return Ok(());
            }
            // The answer for a thing that is not there, so that nobody learns that it is.
            return Err(Problem::not_found("not-found", NOTHING_OF_THIS_NAME));
        }
        // The command itself refuses a thing that does not exist.
        let Some(begun) = begun else { return Ok(()) };
        if begun.actor_kind == Some(ActorKind::Guest) && !is_claimed().await? {
            return Ok(());
        }
        let detail = "it was begun with an API key or by the shop, or an account has claimed it, and a guest may touch only \
                      what guests began: send a key that may do this";
        Err(Problem::forbidden("not-yours", detail))
    }

    /// The account that took a guest's order over, and with it the checkout that it was.
    async fn claimed_by(&self, aggregate_type: &str, id: Uuid) -> Result<Option<Uuid>, Problem> {
        if ![type_of::<Order>(), type_of::<Checkout>()].contains(&aggregate_type) {
            return Ok(None);
        }
        let (order, _) = self.store.load::<Order>(id).await.map_err(refused)?;
        Ok(order.claimed_by.map(|account| account.0))
    }

    /// A payment belongs to the owner of its order or checkout: to the account that took that over, or else to who began it.
    async fn payer_of(&self, id: Uuid) -> Result<Option<FirstEventMetadata>, Problem> {
        let (payment, _) = self.store.load::<Payment>(id).await.map_err(refused)?;
        let Some(order_id) = payment.order_id else { return Ok(None) };
        match self.claimed_by(type_of::<Order>(), order_id.0).await? {
            Some(account) => Ok(Some(FirstEventMetadata::of(ActorKind::Customer, account.to_string()))),
            None => self.order_of(order_id.0).await,
        }
    }

    /// Who began an order. An order that came of a checkout was placed by the shop for its buyer.
    async fn order_of(&self, id: Uuid) -> Result<Option<FirstEventMetadata>, Problem> {
        let placed = self.first_of(type_of::<Order>(), id).await?;
        if placed.as_ref().is_some_and(|placed| !placed.is_by_the_shop()) {
            return Ok(placed);
        }
        Ok(self.buyer_of(id).await?.or(placed))
    }

    /// The owner of the cart has its checkout, also where staff started it: the user, or the guest who began the cart.
    async fn buyer_of(&self, id: Uuid) -> Result<Option<FirstEventMetadata>, Problem> {
        let (checkout, _) = self.store.load::<Checkout>(id).await.map_err(refused)?;
        let Some(started) = checkout.started else { return Ok(None) };
        match started.customer {
            Customer::User(user) => Ok(Some(FirstEventMetadata::of(ActorKind::Customer, user.to_string()))),
            Customer::Guest(_) => self.first_of(type_of::<Cart>(), started.cart.0).await,
        }
    }

    async fn first_of(&self, aggregate_type: &str, id: Uuid) -> Result<Option<FirstEventMetadata>, Problem> {
        let first =
            self.store.log().stream(aggregate_type, &id.to_string(), 0, 1).await.map_err(unreadable)?;
        first
            .first()
            .map(|first| serde_json::from_str(&first.metadata))
            .transpose()
            .map_err(Problem::internal)
    }

    /// Who began a thing; `None`: it is not there. A user's cart counts as begun by the user, also if staff began it.
    async fn begun_by(&self, aggregate_type: &str, id: Uuid) -> Result<Option<FirstEventMetadata>, Problem> {
        if aggregate_type == type_of::<Payment>() {
            return self.payer_of(id).await;
        }
        if aggregate_type == type_of::<Cart>() {
            let (cart, _) = self.store.load::<Cart>(id).await.map_err(refused)?;
            if let Some(Customer::User(user)) = cart.owned.map(|owned| owned.customer) {
                return Ok(Some(FirstEventMetadata::of(ActorKind::Customer, user.to_string())));
            }
        }
        if aggregate_type == type_of::<Order>() {
            return self.order_of(id).await;
        }
        if aggregate_type == type_of::<Checkout>() {
            return self.buyer_of(id).await;
        }
        self.first_of(aggregate_type, id).await
    }

    /// A customer touches their own user, and what they began. A thing of somebody else and an unknown id are refused alike.
    async fn customers_own(&self, aggregate_type: &str, id: Uuid) -> Result<(), Problem> {
        let own = &self.caller().actor.id;
        if *own == id.to_string() && ["user", "person"].contains(&aggregate_type) {
            return Ok(());
        }
        let begun = self.begun_by(aggregate_type, id).await?;
        if begun.is_some_and(|begun| begun.is(ActorKind::Customer, own)) {
            return Ok(());
        }
        let claimed_by = self.claimed_by(aggregate_type, id).await?;
        if claimed_by.is_some_and(|account| *own == account.to_string()) {
            return Ok(());
        }
        Err(Problem::forbidden(
            "not-yours",
            "you have nothing of this id: a customer touches only what is theirs",
        ))
    }

    /// Refuses a client of OAuth: it does nothing that somebody decides for themselves.
    pub(crate) fn by_themselves(&self, what: &str) -> Result<(), Problem> {
        if self.caller().by_client {
            let detail = format!("{what} is for people themselves, and no client that acts for them does it");
            return Err(Problem::forbidden("not-permitted", detail));
        }
        Ok(())
    }

    /// Refuses the user of an account that works for the shop, or once did: it is erased by a command of its own.
    pub(crate) async fn no_staff(&self, id: Uuid) -> Result<(), Problem> {
        if self.access().employment(id).await? == Employment::Never {
            return Ok(());
        }
        let detail = "this is the account of somebody who works for the shop, or did: they are erased by \
                      POST /keys/{id}/erasures";
        Err(Problem::invalid("not-a-data-subject", detail).with("parameter", "id"))
    }

    async fn person(&self, id: Uuid) -> Result<(), Problem> {
        if self.access().works_here(id).await? {
            let detail = "this is the id of an API key, of an account of staff, or the operator's, and not of a customer or \
                          a guest: who works for the shop is erased by POST /keys/{id}/erasures";
            return Err(Problem::invalid("not-a-data-subject", detail).with("parameter", "id"));
        }
        Ok(())
    }

    async fn staff(&self, id: Uuid) -> Result<(), Problem> {
        if id == ids::OPERATOR {
            let detail = "the operator's reasons stay readable: the record of operations needs them";
            return Err(Problem::invalid("not-a-data-subject", detail).with("parameter", "id"));
        }
        match self.access().holder_of(id).await? {
            None => match self.access().employment(id).await? {
                Employment::Never => {
                    let detail = "there is no API key and no account of staff of this id";
                    Err(Problem::not_found("key-not-found", detail))
                }
                Employment::Now => {
                    let detail = "the account works for the shop: disable it first, or take its role";
                    Err(Problem::conflict("key-in-use", detail))
                }
                Employment::Once => Ok(()),
            },
            Some(key) if key.is_valid(clock::now()) => {
                let detail = "the key is still valid, and its holder needs its notes: revoke it first";
                Err(Problem::conflict("key-in-use", detail))
            }
            Some(_) => Ok(()),
        }
    }

    /// Whether something was ever stored about a person of this id.
    pub(crate) async fn is_known(&self, id: Uuid) -> Result<bool, Problem> {
        let kids = personal::kids(id).collect();
        let keys = self.store.keys().store().keys(&kids).await.map_err(unreadable)?;
        Ok(keys.values().any(|key| *key != Key::Missing))
    }

    /// Whether a buyer without an account may have this id: it is no user's, and of nobody who works here. Besides
    /// these only guests with a cart have a key for an account: that of their notes.
    pub(crate) async fn is_free_for_a_guest(&self, id: Uuid) -> Result<bool, Problem> {
        if id == ids::OPERATOR || self.store.version::<User>(id).await.map_err(refused)? > 0 {
            return Ok(false);
        }
        let kid = personal::kid(id, Purpose::Account);
        let keys = self.store.keys().store().keys(&HashSet::from([kid.clone()])).await.map_err(unreadable)?;
        if !matches!(keys.get(&kid), Some(Key::Living(_))) {
            return Ok(true);
        }
        let access = self.access();
        Ok(access.holder_of(id).await?.is_none() && access.employment(id).await? == Employment::Never)
    }
}
