//! The process manager of checkouts: it holds the stock line by line, waits for the payments, has the checkout become an
//! order, or undoes it. One instance per checkout, named by its id, which is the order's.
//!
//! To undo a checkout, it stops the payments, then refuses the checkout, and only then gives the stock back, so that nothing
//! becomes an order whose stock is not held. A stopped payment gives back by itself what still comes.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};
use strum::VariantNames;
use uuid::Uuid;

use crate::checkout::{self, Checkout, HOLD_SECONDS, Refusal, Started};
use crate::ids::{self, CartId, OrderId};
use crate::inventory::{self, MAIN, StockPlace};
use crate::order::{self, Contact, Customer, FIRST_REVISION};
use crate::payment::Capture;
use crate::process::{self, Input, ProcessManager, Target, Wake};
use crate::tender::Tender;
use crate::user::person;
use crate::{Command, Event, Money, Purpose, cart, payment};

/// The process manager.
#[derive(Debug, Clone, Copy, Default)]
pub struct CheckoutProcess;

/// The first hold: a checkout has no other yet.
pub const FIRST_HOLD: NonZeroU32 = NonZeroU32::MIN;

/// The timeout until which it is to be paid.
const HOLD: &str = "hold";

/// The slugs of refusals that a plan allows for.
const NOT_PAID: &str = "not-paid";
const PAYMENTS_LIVING: &str = "payments-living";
const CHECKOUT_ENDED: &str = "checkout-ended";
const GIVEN_UP: &str = "given-up";
const PERSON_ERASED: &str = "person-erased";

/// Why a checkout takes no payment of the whole total: the buyer opened others meanwhile, or it ended.
const NOT_NEEDED: [&str; 6] =
    ["payment-pending", "amount-too-large", "too-many-payments", GIVEN_UP, CHECKOUT_ENDED, PERSON_ERASED];

/// A command that the process sends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Task {
    Hold {
        place: StockPlace,
        line: u32,
        quantity: u32,
    },
    Held,
    /// Opens a payment of the whole total, with the checkout's agreement in the same append.
    Pay {
        payment: Uuid,
        provider: String,
        customer: Customer,
        amount: Money,
        tender: Tender,
        revision: u32,
        capture: Capture,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        test: bool,
    },
    /// With the order and the cart, in one append: a worker adds what they need.
    Complete,
    StopPayment {
        payment: Uuid,
    },
    Refuse {
        cart: CartId,
        refusal: Refusal,
    },
    GiveBack {
        place: StockPlace,
        line: u32,
    },
}

/// The reaction to an input.
pub type Reaction = process::Reaction<Task>;

#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    strum::IntoStaticStr,
    strum::VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
enum Phase {
    #[default]
    New,
    Holding,
    Paying,
    /// It comes to nothing.
    Undoing,
    Ended,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Held {
    line: u32,
    place: StockPlace,
    quantity: u32,
}

/// One instance: one checkout.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    phase: Phase,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cart: Option<CartId>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    lines: Vec<Held>,
    /// How many of the lines were asked for, and may be held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    asked: Option<usize>,
    /// Those that were not stopped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    payments: Vec<Uuid>,
    /// Why it comes to nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refusal: Option<Refusal>,
}

impl ProcessManager for CheckoutProcess {
    type State = State;
    type Task = Task;

    const NAME: &'static str = "checkout";
    const FOLLOWS: &'static [&'static str] = &["checkout"];
    const STEPS: &'static [&'static str] = <Phase as VariantNames>::VARIANTS;
    const TIMEOUTS: &'static [&'static str] = &[HOLD];
    /// A checkout that it never saw would lock its cart for ever; older logs have none.
    const FROM_THE_BEGINNING: bool = true;

    fn instance(&self, stream: Uuid, event: &Event) -> Option<String> {
        matches!(event, Event::Checkout(_)).then(|| stream.to_string())
    }

    fn react(&self, state: &mut State, input: Input<'_, Task>) -> Reaction {
        match input {
            Input::Event { stream, event: Event::Checkout(event) } => state.on_event(stream, event),
            Input::Event { .. } => Reaction::default(),
            Input::Refused { task, slug } => state.on_refusal(task, slug),
            Input::TimedOut { .. } => state.on_timeout(),
        }
    }

    fn purpose(task: &Task) -> (&'static str, String) {
        match task {
            Task::Hold { line, .. } => ("hold", line.to_string()),
            Task::Held => ("held", String::new()),
            Task::Pay { payment, .. } => ("pay", payment.to_string()),
            Task::Complete => ("complete", String::new()),
            Task::StopPayment { payment } => ("stop-payment", payment.to_string()),
            Task::Refuse { .. } => ("refuse", String::new()),
            Task::GiveBack { line, .. } => ("give-back", line.to_string()),
        }
    }

    fn targets(instance: &str, task: Task) -> Option<Vec<Target>> {
        Some(task.targets(OrderId(instance.parse().ok()?)))
    }

    fn step(state: &State) -> &'static str {
        state.phase.into()
    }

    fn subject(instance: &str) -> Option<(&'static str, Uuid)> {
        Some(("checkout", instance.parse().ok()?))
    }
}

impl Task {
    fn targets(self, order_id: OrderId) -> Vec<Target> {
        let checkout = |command_type, command| Target {
            command_type,
            stream: order_id.0,
            command: Command::Checkout(command),
        };
        let stock = |command_type, place: StockPlace, command| {
            let stream = inventory::stream(&place.sku, &place.location);
            Target { command_type, stream, command: Command::Stock(inventory::At { place, command }) }
        };
        let hold = FIRST_HOLD;
        match self {
            Self::Hold { place, line, quantity } => {
                let command = inventory::Command::Hold { order_id, line, quantity, hold };
                vec![stock("stock.hold", place, command)]
            }
            Self::GiveBack { place, line } => {
                vec![stock("stock.give-back", place, inventory::Command::GiveBack { order_id, line, hold })]
            }
            Self::Held => vec![checkout("checkout.held", checkout::Command::Held)],
            Self::Pay { payment: id, provider, customer, amount, tender, revision, capture, test } => {
                let opening = payment::Opening {
                    order_id,
                    revision,
                    customer,
                    amount,
                    tender,
                    provider: Some(provider),
                    capture,
                    test,
                    transaction: payment::authorization_of(id),
                };
                vec![
                    Target {
                        command_type: "payment.open",
                        stream: id,
                        command: Command::Payment(payment::Command::Open(opening)),
                    },
                    checkout("checkout.pay", checkout::Command::AddPayment { payment: id, tender, amount }),
                    take_over(customer.subject()),
                ]
            }
            Self::Complete => vec![checkout("checkout.complete", checkout::Command::Complete)],
            Self::StopPayment { payment } => vec![
                Target {
                    command_type: "payment.stop",
                    stream: payment,
                    command: Command::Payment(payment::Command::Stop { order_id }),
                },
                checkout("checkout.stop-payment", checkout::Command::StopPayment { payment }),
            ],
            Self::Refuse { cart, refusal } => vec![
                checkout("checkout.refuse", checkout::Command::Refuse { refusal }),
                Target {
                    command_type: "cart.end-checkout",
                    stream: cart.0,
                    command: Command::Cart(cart::Command::EndCheckout { checkout: order_id }),
                },
            ],
        }
    }
}

/// The payment with which a checkout was started, once its stock is held.
fn pay(checkout: Uuid, started: &Started) -> Option<Task> {
    let Started { customer, total, capture, test, .. } = started;
    started.pay.first().map(|with| Task::Pay {
        payment: payment_of(checkout),
        provider: with.provider.clone(),
        customer: *customer,
        amount: *total,
        tender: Tender::Provider,
        revision: FIRST_REVISION,
        capture: *capture,
        test: *test,
    })
}

/// The payment that is opened for a checkout which was started with one.
pub fn payment_of(checkout: Uuid) -> Uuid {
    ids::derived(checkout, &["payment", "1"])
}

/// Refuses what is new about somebody whose data is being erased.
fn take_over(subject: Uuid) -> Target {
    let command = person::Command::TakeOver { purpose: Some(Purpose::Account) };
    Target { command_type: "person.take-over", stream: subject, command: Command::Person(command) }
}

fn complete() -> Reaction {
    Reaction { tasks: vec![Task::Complete], ..Reaction::default() }
}

/// What completes a checkout, in one append: the checkout, the order that it becomes, its cart, and the stream of who buys,
/// which refuses while their data is being erased. `contact` is that of the checkout, under the key of invoices. `None`: the
/// checkout does not run (any more).
pub fn completion(id: OrderId, checkout: &Checkout, contact: Contact) -> Option<Vec<Target>> {
    let started = checkout.running().ok()?.clone();
    let (subject, cart, currency) = (started.customer.subject(), started.cart, started.total.currency);
    let authorized =
        checkout.payments.iter().filter(|(_, part)| !part.stopped).map(|(payment, part)| order::Authorized {
            payment: *payment,
            tender: part.tender,
            amount: Money::new(part.amount, currency),
        });
    let payments = authorized.collect();
    let placement = order::Placement {
        number: started.number,
        customer: started.customer,
        lines: started.lines,
        country: started.country,
        contact,
    };
    let target = |command_type, stream, command| Target { command_type, stream, command };
    let place = order::Command::PlacePaid { placement, payments };
    let check_out = cart::Command::CheckOut { checkout: id };
    Some(vec![
        target("checkout.complete", id.0, Command::Checkout(checkout::Command::Complete)),
        target("order.place", id.0, Command::Order(place)),
        target("cart.check-out", cart.0, Command::Cart(check_out)),
        take_over(subject),
    ])
}

impl State {
    fn on_event(&mut self, checkout: Uuid, event: &checkout::Event) -> Reaction {
        use checkout::Event as E;
        match (self.phase, event) {
            (Phase::New, E::CheckoutStarted(started)) => {
                self.phase = Phase::Holding;
                self.cart = Some(started.cart);
                self.lines = started
                    .lines
                    .iter()
                    .map(|line| Held {
                        line: line.number,
                        place: StockPlace { sku: line.sku.clone(), location: MAIN.to_owned() },
                        quantity: line.quantity,
                    })
                    .collect();
                // Every checkout holds in the order of SKUs, so that two that want the last units of two things do not both fail.
                self.lines
                    .sort_by(|a, b| (a.place.sku.as_str(), a.line).cmp(&(b.place.sku.as_str(), b.line)));
                let hold = |one: &Held| Task::Hold {
                    place: one.place.clone(),
                    line: one.line,
                    quantity: one.quantity,
                };
                let tasks = self.lines.iter().map(hold).chain([Task::Held]).chain(pay(checkout, started));
                let tasks = tasks.collect();
                let wake_after = vec![Wake { name: HOLD, seconds: HOLD_SECONDS }];
                Reaction { tasks, wake_after, ..Reaction::default() }
            }
            (Phase::Holding, E::CheckoutHeld {}) => {
                self.phase = Phase::Paying;
                complete()
            }
            (Phase::Paying, E::CheckoutPaymentSettled { .. }) => complete(),
            (Phase::Holding | Phase::Paying, E::CheckoutPaymentAdded { payment, .. }) => {
                self.payments.push(*payment);
                Reaction::default()
            }
            (Phase::Undoing, E::CheckoutPaymentAdded { payment, .. }) => {
                self.payments.push(*payment);
                Reaction { tasks: self.stop_and_refuse(), drop_unsent: true, ..Reaction::default() }
            }
            (Phase::Holding | Phase::Paying | Phase::Undoing, E::CheckoutPaymentStopped { payment }) => {
                self.payments.retain(|one| one != payment);
                Reaction::default()
            }
            (Phase::Holding | Phase::Paying, E::CheckoutGivenUp { reason }) => {
                self.undo(Refusal { reason: reason.clone(), line: None, sku: None })
            }
            (Phase::Undoing | Phase::Holding | Phase::Paying, E::CheckoutRefused { .. }) => {
                self.phase = Phase::Ended;
                Reaction {
                    drop_unsent: true,
                    tasks: self.give_back(),
                    stop_waiting: vec![HOLD],
                    ..Reaction::default()
                }
            }
            (_, E::CheckoutCompleted {}) => {
                self.phase = Phase::Ended;
                // An instance that ended stays: it keeps nothing that grows.
                (self.lines, self.payments) = (Vec::new(), Vec::new());
                Reaction { drop_unsent: true, stop_waiting: vec![HOLD], ..Reaction::default() }
            }
            _ => Reaction::default(),
        }
    }

    fn on_refusal(&mut self, task: &Task, slug: &str) -> Reaction {
        match (self.phase, task) {
            (Phase::Holding, Task::Hold { line, place, .. }) => {
                self.asked = self.lines.iter().position(|one| one.line == *line).map(|at| at + 1);
                self.undo(Refusal {
                    reason: slug.to_owned(),
                    line: Some(*line),
                    sku: Some(place.sku.clone()),
                })
            }
            (Phase::Holding | Phase::Paying, Task::Pay { .. }) if slug == PERSON_ERASED => {
                self.undo(Refusal { reason: slug.to_owned(), line: None, sku: None })
            }
            // Without it the buyer pays by another, or by none, and it ends with its hold.
            (_, Task::Pay { .. }) => Reaction { failed: !NOT_NEEDED.contains(&slug), ..Reaction::default() },
            // Another payment is to come, or it was given up or completed meanwhile: its next event says so.
            (Phase::Paying, Task::Complete) if [NOT_PAID, CHECKOUT_ENDED, GIVEN_UP].contains(&slug) => {
                Reaction::default()
            }
            (Phase::Paying, Task::Complete) => {
                let undone = self.undo(Refusal { reason: slug.to_owned(), line: None, sku: None });
                Reaction { failed: slug != PERSON_ERASED, ..undone }
            }
            // Its event comes, and it is stopped then.
            (Phase::Undoing, Task::Refuse { .. }) if slug == PAYMENTS_LIVING => Reaction::default(),
            // It became an order meanwhile: its next event says so.
            (Phase::Undoing, Task::Refuse { .. } | Task::StopPayment { .. }) => {
                Reaction { failed: slug != CHECKOUT_ENDED, ..Reaction::default() }
            }
            (_, Task::GiveBack { .. }) => Reaction { failed: true, ..Reaction::default() },
            // Only a late repeat: what is held is asked for while it is holding.
            _ => Reaction::default(),
        }
    }

    fn on_timeout(&mut self) -> Reaction {
        match self.phase {
            Phase::Holding | Phase::Paying => {
                self.undo(Refusal { reason: "not-paid-in-time".to_owned(), line: None, sku: None })
            }
            _ => Reaction::default(),
        }
    }

    fn undo(&mut self, refusal: Refusal) -> Reaction {
        self.phase = Phase::Undoing;
        self.refusal = Some(refusal);
        Reaction {
            drop_unsent: true,
            tasks: self.stop_and_refuse(),
            stop_waiting: vec![HOLD],
            ..Reaction::default()
        }
    }

    fn stop_and_refuse(&self) -> Vec<Task> {
        let stop = self.payments.iter().map(|payment| Task::StopPayment { payment: *payment });
        let refuse = self.cart.zip(self.refusal.clone());
        stop.chain(refuse.map(|(cart, refusal)| Task::Refuse { cart, refusal })).collect()
    }

    /// Gives back what may be held, the last line first: its hold may still be on its way.
    fn give_back(&mut self) -> Vec<Task> {
        let lines = std::mem::take(&mut self.lines);
        let asked = self.asked.unwrap_or(lines.len());
        let back = |one: Held| Task::GiveBack { place: one.place, line: one.line };
        lines.into_iter().take(asked).rev().map(back).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkout::{Event as E, EventKind};
    use crate::golden::Sample as _;
    use crate::text::Sku;

    const CHECKOUT: Uuid = Uuid::from_u128(7);
    const PAYMENT: Uuid = Uuid::from_u128(11);

    fn hear(state: &mut State, event: &E) -> Reaction {
        let event = Event::Checkout(event.clone());
        ProcessManager::react(&CheckoutProcess, state, Input::Event { stream: CHECKOUT, event: &event })
    }

    fn refused(state: &mut State, task: &Task, slug: &str) -> Reaction {
        ProcessManager::react(&CheckoutProcess, state, Input::Refused { task, slug })
    }

    fn place(sku: &str) -> StockPlace {
        StockPlace { sku: Sku::try_new(sku).unwrap(), location: MAIN.to_owned() }
    }

    /// Of cups and mugs, in this order in its cart: mugs first.
    fn started() -> (State, Reaction) {
        let E::CheckoutStarted(mut started) = E::sample(EventKind::CheckoutStarted) else {
            unreachable!("the sample of this kind")
        };
        let first = started.lines.remove(0);
        let line = |number, sku: &str| {
            let sku = Sku::try_new(sku).unwrap();
            crate::order::Line { number, sku, quantity: 2, ..first.clone() }
        };
        started.lines = vec![line(1, "MUG"), line(2, "CUP")];
        started.pay = Vec::new();
        let event = E::CheckoutStarted(started);
        let mut state = State::default();
        let reaction = hear(&mut state, &event);
        (state, reaction)
    }

    fn hold(sku: &str, line: u32) -> Task {
        Task::Hold { place: place(sku), line, quantity: 2 }
    }

    fn back(sku: &str, line: u32) -> Task {
        Task::GiveBack { place: place(sku), line }
    }

    fn refuse(state: &State, reason: &str, line: Option<(u32, &str)>) -> Task {
        let (line, sku) = line.map(|(line, sku)| (line, place(sku).sku)).unzip();
        Task::Refuse { cart: state.cart.unwrap(), refusal: Refusal { reason: reason.to_owned(), line, sku } }
    }

    fn added() -> E {
        E::sample(EventKind::CheckoutPaymentAdded)
    }

    fn ended() -> E {
        E::sample(EventKind::CheckoutRefused)
    }

    /// One that waits for its payment.
    fn paying() -> State {
        let (mut state, _) = started();
        hear(&mut state, &added());
        hear(&mut state, &E::CheckoutHeld {});
        state
    }

    #[test]
    fn the_stock_of_all_lines_is_held_in_the_order_of_their_skus() {
        let (_, reaction) = started();
        let tasks = vec![hold("CUP", 2), hold("MUG", 1), Task::Held];
        let wake_after = vec![Wake { name: HOLD, seconds: HOLD_SECONDS }];
        assert_eq!(reaction, Reaction { tasks, wake_after, ..Reaction::default() });
    }

    #[test]
    fn a_payment_of_all_of_it_is_opened_once_its_stock_is_held_and_it_lives_on_where_that_is_refused() {
        let E::CheckoutStarted(started) = E::sample(EventKind::CheckoutStarted) else {
            unreachable!("the sample of this kind")
        };
        let mut state = State::default();
        let reaction = hear(&mut state, &E::CheckoutStarted(started.clone()));
        let [.., Task::Held, pay @ Task::Pay { payment, amount, .. }] = reaction.tasks.as_slice() else {
            panic!("{reaction:?}")
        };
        assert_eq!((*payment, *amount), (payment_of(CHECKOUT), started.total));
        hear(&mut state, &E::CheckoutHeld {});
        assert_eq!(refused(&mut state, pay, "payment-pending"), Reaction::default());
        let erased = refused(&mut state.clone(), pay, "person-erased");
        assert_eq!(erased.tasks, [refuse(&state, "person-erased", None)]);
        let unforeseen = refused(&mut state, pay, "event-too-large");
        assert_eq!(unforeseen, Reaction { failed: true, ..Reaction::default() });
        assert_eq!(<CheckoutProcess as ProcessManager>::step(&state), "paying");
    }

    #[test]
    fn it_is_completed_once_it_is_held_and_again_with_each_payment_that_settles() {
        let (mut state, _) = started();
        hear(&mut state, &added());
        let settled = E::sample(EventKind::CheckoutPaymentSettled);
        assert_eq!(hear(&mut state, &settled), Reaction::default(), "its stock is not held yet");
        assert_eq!(hear(&mut state, &E::CheckoutHeld {}).tasks, [Task::Complete]);
        assert_eq!(refused(&mut state, &Task::Complete, "not-paid"), Reaction::default());
        assert_eq!(hear(&mut state, &settled).tasks, [Task::Complete]);
        let ends = Reaction { drop_unsent: true, stop_waiting: vec![HOLD], ..Reaction::default() };
        assert_eq!(hear(&mut state, &E::CheckoutCompleted {}), ends);
    }

    #[test]
    fn what_is_out_of_stock_refuses_it_and_gives_back_what_was_asked_for_once_it_is_refused() {
        let (mut state, _) = started();
        let reaction = refused(&mut state, &hold("CUP", 2), "insufficient-stock");
        let tasks = vec![refuse(&state, "insufficient-stock", Some((2, "CUP")))];
        let stop_waiting = vec![HOLD];
        assert_eq!(reaction, Reaction { drop_unsent: true, tasks, stop_waiting, ..Reaction::default() });
        assert_eq!(hear(&mut state, &ended()).tasks, [back("CUP", 2)], "mugs were never asked for");
        assert!(state.lines.is_empty(), "an instance that ended stays, and keeps no lines");
    }

    #[test]
    fn who_pays_too_late_or_gives_up_has_payments_stopped_then_it_is_refused_then_stock_is_given_back() {
        for by_time in [true, false] {
            let mut state = paying();
            let (reaction, reason) = if by_time {
                let input = Input::TimedOut { name: HOLD };
                (ProcessManager::react(&CheckoutProcess, &mut state, input), "not-paid-in-time")
            } else {
                (hear(&mut state, &E::sample(EventKind::CheckoutGivenUp)), "given-up")
            };
            let stop = Task::StopPayment { payment: PAYMENT };
            assert_eq!(reaction.tasks, [stop, refuse(&state, reason, None)]);
            hear(&mut state, &E::CheckoutPaymentStopped { payment: PAYMENT });
            assert_eq!(hear(&mut state, &ended()).tasks, [back("MUG", 1), back("CUP", 2)]);
            assert_eq!(<CheckoutProcess as ProcessManager>::step(&state), "ended");
        }
    }

    #[test]
    fn a_payment_that_comes_while_it_is_undone_is_stopped_as_well() {
        let mut state = paying();
        ProcessManager::react(&CheckoutProcess, &mut state, Input::TimedOut { name: HOLD });
        let task = refuse(&state, "not-paid-in-time", None);
        assert_eq!(refused(&mut state, &task, "payments-living"), Reaction::default());
        let late = Uuid::from_u128(12);
        let E::CheckoutPaymentAdded { tender, amount, .. } = added() else { unreachable!("its sample") };
        let reaction = hear(&mut state, &E::CheckoutPaymentAdded { payment: late, tender, amount });
        let stop = |payment| Task::StopPayment { payment };
        assert_eq!(reaction.tasks, [stop(PAYMENT), stop(late), task]);
    }

    #[test]
    fn one_that_became_an_order_meanwhile_is_not_undone() {
        let mut state = paying();
        ProcessManager::react(&CheckoutProcess, &mut state, Input::TimedOut { name: HOLD });
        let stop = Task::StopPayment { payment: PAYMENT };
        assert_eq!(refused(&mut state, &stop, "checkout-ended"), Reaction::default());
        let reaction = hear(&mut state, &E::CheckoutCompleted {});
        assert!(reaction.drop_unsent && reaction.tasks.is_empty(), "{reaction:?}");
    }

    #[test]
    fn what_cannot_become_an_order_is_undone_and_staff_see_it() {
        let mut state = paying();
        let reaction = refused(&mut state, &Task::Complete, "event-too-large");
        assert!(reaction.failed);
        let stop = Task::StopPayment { payment: PAYMENT };
        assert_eq!(reaction.tasks, [stop, refuse(&state, "event-too-large", None)]);
    }

    #[test]
    fn stored_tasks_and_states_are_for_ever() {
        let json = |task: &Task| serde_json::to_string(task).unwrap();
        assert_eq!(
            json(&hold("MUG", 1)),
            r#"{"do":"hold","place":{"sku":"MUG","location":"main"},"line":1,"quantity":2}"#
        );
        assert_eq!(json(&Task::Complete), r#"{"do":"complete"}"#);
        let pay = Task::Pay {
            payment: PAYMENT,
            provider: "sandbox".to_owned(),
            customer: Customer::Guest(crate::ids::GuestId(PAYMENT)),
            amount: Money::new(5, crate::Currency::GBP),
            tender: Tender::Provider,
            revision: FIRST_REVISION,
            capture: Capture::AtOnce,
            test: true,
        };
        assert_eq!(
            json(&pay),
            r#"{"do":"pay","payment":"00000000-0000-0000-0000-00000000000b","provider":"sandbox","customer":{"guest":"00000000-0000-0000-0000-00000000000b"},"amount":{"amount":5,"currency":"GBP"},"tender":"provider","revision":1,"capture":"at_once","test":true}"#
        );
        assert_eq!(
            json(&back("MUG", 1)),
            r#"{"do":"give_back","place":{"sku":"MUG","location":"main"},"line":1}"#
        );
        assert_eq!(serde_json::to_string(&State::default()).unwrap(), r#"{"phase":"new"}"#);
    }
}
