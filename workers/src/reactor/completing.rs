//! A checkout becomes an order: the process manager, which holds no personal values, says only that it is time. Here the
//! order is made of what the checkout was started with, its contact encrypted anew for what the law wants kept.

use soonshop_domain::checkout::{self, Checkout};
use soonshop_domain::checkout_process::completion;
use soonshop_domain::ids::OrderId;
use soonshop_domain::order::Contact;
use soonshop_domain::process::Target;
use soonshop_domain::{Command, Personal, PersonalValue, Purpose, Sensitive};
use soonshop_event_store::EventStore;
use uuid::Uuid;

/// The contact of a checkout, to be decrypted.
struct Sealed(Contact);

impl Sensitive for Sealed {
    fn personal(&mut self) -> Vec<&mut dyn PersonalValue> {
        self.0.values()
    }
}

/// The commands of an append, and the version that the first of its streams has to have.
pub(super) struct Prepared {
    pub(super) targets: Vec<Target>,
    pub(super) expected: Option<i64>,
}

/// Adds to the command that completes a checkout those of its order and its cart. Other commands stay as they are. An error
/// says why they cannot be had at the moment.
pub(super) async fn prepared(store: &EventStore, targets: Vec<Target>) -> Result<Prepared, String> {
    let id = match targets.as_slice() {
        [Target { stream, command: Command::Checkout(checkout::Command::Complete), .. }] => *stream,
        _ => return Ok(Prepared { targets, expected: None }),
    };
    let (checkout, version) = store.load::<Checkout>(id).await.map_err(|error| error.to_string())?;
    // It may have ended meanwhile: the checkout says so.
    let Ok(started) = checkout.running() else { return Ok(Prepared { targets, expected: None }) };
    let contact = for_invoice(store, started.contact.clone(), started.customer.subject()).await?;
    let all = completion(OrderId(id), &checkout, contact);
    Ok(Prepared { targets: all.unwrap_or(targets), expected: Some(version) })
}

/// The contact under the `invoice` key. What was erased is gone.
async fn for_invoice(store: &EventStore, contact: Contact, subject: Uuid) -> Result<Contact, String> {
    let mut sealed = Sealed(contact);
    let damaged =
        store.keys().store().decrypt(&mut [&mut sealed]).await.map_err(|error| error.to_string())?;
    if let Some((_, reason)) = damaged.into_iter().next() {
        // Not passed over: the parcel would have no address.
        return Err(reason);
    }
    let anew = |value: Option<Personal<String>>| {
        let text = value?.get().cloned()?;
        Some(Personal::new(text, subject, Purpose::Invoice))
    };
    let Contact { name, email, phone, address } = sealed.0;
    Ok(Contact { name: anew(name), email: anew(email), phone: anew(phone), address: anew(address) })
}
