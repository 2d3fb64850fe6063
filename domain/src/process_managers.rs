//! The process managers of this release, in one list, and their settings.

use std::sync::Arc;

use crate::cart_expiry::CartExpiry;
use crate::checkout_process::CheckoutProcess;
use crate::fulfilment::Fulfilment;
use crate::process::Process;
use crate::release_unshipped::ReleaseUnshipped;

/// Settings of process managers, as the shop is started with them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Settings {
    /// After how many days a confirmed order that was not shipped is cancelled; 0: never.
    pub cancel_unshipped_after_days: u16,
    /// After how many days without a change a cart expires; 0: never.
    pub cart_days: u16,
}

/// Every process manager there is, those that are switched off among them.
pub fn all(settings: &Settings) -> Vec<Arc<dyn Process>> {
    vec![
        Arc::new(Fulfilment),
        Arc::new(ReleaseUnshipped { after_days: settings.cancel_unshipped_after_days }),
        Arc::new(CartExpiry { after_days: settings.cart_days }),
        Arc::new(CheckoutProcess),
    ]
}

/// The process manager of that name.
pub fn find(name: &str) -> Option<Arc<dyn Process>> {
    all(&Settings::default()).into_iter().find(|process| process.name() == name)
}

/// The names of all process managers.
pub fn names() -> Vec<&'static str> {
    all(&Settings::default()).iter().map(|process| process.name()).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use uuid::Uuid;

    use super::*;
    use crate::process::{Input, Reaction, timeout_id};
    use crate::{Event, order};

    #[test]
    fn names_are_stable_and_each_is_there_once() {
        assert_eq!(names(), ["fulfilment", "release-unshipped", "cart-expiry", "checkout"]);
        assert_eq!(names().iter().collect::<BTreeSet<_>>().len(), names().len());
    }

    #[test]
    fn names_and_ids_of_timeouts_are_for_ever() {
        let input = Uuid::from_u128(2);
        let known = [
            ("fulfilment", "confirmation"),
            ("release-unshipped", "shipment"),
            ("cart-expiry", "expiry"),
            ("checkout", "hold"),
        ];
        assert_eq!(known.map(|(name, _)| name).as_slice(), names());
        for (name, timeout) in known {
            let process = find(name).unwrap();
            assert_eq!(process.timeouts(), [timeout]);
            // As releases made it before timeouts had names.
            let id = timeout_id(&*process, input, timeout);
            assert_eq!(id.to_string(), "ea3bd420-05c0-5a51-92b8-65be3146aef5", "{name}");
            assert_ne!(timeout_id(&*process, input, "another"), id);
        }
    }

    #[test]
    fn a_timeout_that_a_process_does_not_have_is_unreadable() {
        let process = find("fulfilment").unwrap();
        let new = process.initial().unwrap();
        let error = process.react(&new, Input::TimedOut { name: "shipment" }).unwrap_err();
        assert_eq!((error.process, error.what), ("fulfilment", "timeout"));
        assert!(process.react(&new, Input::TimedOut { name: "confirmation" }).is_ok());
    }

    #[test]
    fn every_type_that_is_followed_is_in_the_catalog() {
        for process in all(&Settings::default()) {
            assert!(!process.follows().is_empty(), "{}", process.name());
            for kind in process.follows() {
                assert!(crate::context_of(kind).is_some(), "{} follows {kind}", process.name());
            }
        }
    }

    #[test]
    fn a_new_instance_is_in_a_step_that_is_known() {
        for process in all(&Settings::default()) {
            let step = process.step(&process.initial().unwrap()).unwrap();
            assert!(process.steps().contains(&step), "{} {step}", process.name());
        }
    }

    #[test]
    fn an_instance_is_about_the_order_that_it_is_named_by() {
        let order = Uuid::from_u128(7);
        for name in ["fulfilment", "release-unshipped"] {
            let process = find(name).unwrap();
            assert_eq!(process.name(), name);
            assert_eq!(process.subject(&order.to_string()), Some(("order", order)), "{name}");
            assert_eq!(process.subject("not-an-order"), None, "{name}");
            let confirmed = Event::Order(order::Event::OrderConfirmed {});
            assert_eq!(process.instance(order, &confirmed), Some(order.to_string()), "{name}");
        }
        assert!(find("nothing").is_none());
    }

    #[test]
    fn releasing_unshipped_orders_is_off_until_days_are_given() {
        let on = |days| {
            let all = all(&Settings { cancel_unshipped_after_days: days, ..Settings::default() });
            all.iter().filter(|process| process.is_on()).map(|process| process.name()).collect::<Vec<_>>()
        };
        assert_eq!(on(0), ["fulfilment", "checkout"]);
        assert_eq!(on(3), ["fulfilment", "release-unshipped", "checkout"]);
    }

    #[test]
    fn carts_expire_unless_the_days_are_none() {
        let on = |cart_days| {
            let all = all(&Settings { cart_days, ..Settings::default() });
            all.iter().any(|process| process.name() == "cart-expiry" && process.is_on())
        };
        assert!(on(30) && !on(0));
    }

    #[test]
    fn an_unreadable_row_is_named_with_its_process_and_its_kind() {
        let process = find("fulfilment").unwrap();
        let event = Event::Order(order::Event::OrderConfirmed {});
        let input = || Input::Event { stream: Uuid::nil(), event: &event };
        let error = process.react("{", input()).unwrap_err();
        assert_eq!((error.process, error.what), ("fulfilment", "state"));
        assert!(error.to_string().starts_with("the state of an instance of fulfilment cannot be read: "));
        let refused = Input::Refused { task: "{}", slug: "insufficient-stock" };
        let new = process.initial().unwrap();
        assert_eq!(process.react(&new, refused).unwrap_err().what, "command");
        let error = process.command("not-an-order", Uuid::nil(), r#"{"do":"confirm"}"#).unwrap_err();
        assert!(error.to_string().contains("not-an-order"), "{error}");
        assert_eq!(process.react(&new, input()).unwrap(), (new.clone(), Reaction::default()));
    }
}
