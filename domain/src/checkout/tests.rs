use cqrs_es::test::{AggregateTestExecutor, TestFramework};

use super::*;
use crate::golden::{Sample, encrypted, gbp, person_id, product_id, sku};
use crate::ids::GuestId;
use crate::{Purpose, clock};

const CART: CartId = CartId(Uuid::from_u128(3));
const FIRST: Uuid = Uuid::from_u128(11);
const SECOND: Uuid = Uuid::from_u128(12);
const TRANSACTION: Uuid = Uuid::from_u128(21);

fn moment() -> DateTime<Utc> {
    clock::from_micros(1_700_000_000_000_000)
}

fn facts() -> Facts {
    Facts { now: moment() }
}

fn line(number: u32, quantity: u32) -> Line {
    let name = "Mug".to_owned();
    Line { number, sku: sku("MUG-RED"), product_id: product_id(), name, quantity, price: gbp(1_000) }
}

fn contact() -> Contact {
    Contact { name: Some(encrypted(Purpose::Account, "bmFtZQ")), ..Contact::default() }
}

fn opening(lines: Vec<Line>) -> Opening {
    Opening {
        cart: CART,
        cart_changes: 1,
        channel: "main".to_owned(),
        customer: Customer::Guest(GuestId(person_id())),
        number: "S-1".to_owned(),
        country: "France".to_owned(),
        contact: contact(),
        lines,
        capture: Capture::AtOnce,
        test: true,
        pay: vec![PayWith { provider: "sandbox".to_owned() }],
    }
}

fn started() -> Event {
    Event::CheckoutStarted(Box::new(Started {
        cart: CART,
        channel: "main".to_owned(),
        customer: Customer::Guest(GuestId(person_id())),
        number: "S-1".to_owned(),
        country: "France".to_owned(),
        contact: contact(),
        lines: vec![line(1, 2)],
        total: gbp(2_000),
        capture: Capture::AtOnce,
        test: true,
        hold_until: moment() + chrono::TimeDelta::minutes(15),
        pay: vec![PayWith { provider: "sandbox".to_owned() }],
    }))
}

fn added(payment: Uuid, amount: i64) -> Event {
    Event::CheckoutPaymentAdded { payment, tender: Tender::Provider, amount: gbp(amount) }
}

fn settled(payment: Uuid, amount: i64) -> Event {
    Event::CheckoutPaymentSettled { payment, transaction: TRANSACTION, amount: gbp(amount) }
}

fn stopped(payment: Uuid) -> Event {
    Event::CheckoutPaymentStopped { payment }
}

fn refusal() -> Refusal {
    Refusal { reason: "insufficient-stock".to_owned(), line: Some(1), sku: Some(sku("MUG-RED")) }
}

fn refused() -> Event {
    Event::CheckoutRefused { refusal: refusal() }
}

fn given_up() -> Event {
    Event::CheckoutGivenUp { reason: "given-up".to_owned() }
}

impl Sample for Event {
    fn sample(kind: EventKind) -> Self {
        match kind {
            EventKind::CheckoutStarted => started(),
            EventKind::CheckoutHeld => Self::CheckoutHeld {},
            EventKind::CheckoutPaymentAdded => added(FIRST, 2_000),
            EventKind::CheckoutPaymentStopped => stopped(FIRST),
            EventKind::CheckoutPaymentSettled => settled(FIRST, 2_000),
            EventKind::CheckoutPaymentUnsettled => {
                Self::CheckoutPaymentUnsettled { payment: FIRST, transaction: TRANSACTION }
            }
            EventKind::CheckoutGivenUp => given_up(),
            EventKind::CheckoutCompleted => Self::CheckoutCompleted {},
            EventKind::CheckoutRefused => refused(),
        }
    }
}

fn given(events: Vec<Event>) -> AggregateTestExecutor<Checkout> {
    TestFramework::<Checkout>::with(facts()).given(events)
}

fn add(payment: Uuid, amount: i64) -> Command {
    Command::AddPayment { payment, tender: Tender::Provider, amount: gbp(amount) }
}

fn settle(payment: Uuid, amount: i64) -> Command {
    Command::Settle { payment, transaction: TRANSACTION, amount: gbp(amount) }
}

#[test]
fn a_checkout_starts_once_and_freezes_what_is_bought() {
    let start = || Command::Start(Box::new(opening(vec![line(1, 2)])));
    given(vec![]).when(start()).then_expect_events(vec![started()]);
    given(vec![started()]).when(start()).then_expect_error(Error::CheckoutExists);
    let many = (1..=501).map(|number| line(number, 1)).collect();
    given(vec![]).when(Command::Start(Box::new(opening(many)))).then_expect_error(Error::BadLines);
    let none = Command::Start(Box::new(opening(vec![])));
    given(vec![]).when(none).then_expect_error(Error::Order(order::Error::BadLines));
}

#[test]
fn it_becomes_an_order_once_its_stock_is_held_and_its_total_is_paid() {
    let held = Event::CheckoutHeld {};
    let completed = vec![Event::CheckoutCompleted {}];
    given(vec![started()]).when(Command::Complete).then_expect_error(Error::NotHeld);
    let paid = [started(), added(FIRST, 2_000), settled(FIRST, 2_000)];
    given(paid.to_vec()).when(Command::Complete).then_expect_error(Error::NotHeld);
    given(vec![started(), held.clone()])
        .when(Command::Complete)
        .then_expect_error(Error::NotPaid { left: 2_000 });
    let all = [&paid[..], std::slice::from_ref(&held)].concat();
    given(all.clone()).when(Command::Complete).then_expect_events(completed.clone());
    given([&all[..], &completed].concat()).when(Command::Complete).then_expect_events(vec![]);
    given([&all[..], &[given_up()]].concat()).when(Command::Complete).then_expect_error(Error::GivenUp);
}

#[test]
fn what_is_stopped_lapsed_or_only_opened_pays_nothing() {
    let lapsed = Event::CheckoutPaymentUnsettled { payment: FIRST, transaction: TRANSACTION };
    let held = Event::CheckoutHeld {};
    for last in [stopped(FIRST), lapsed] {
        let events = vec![started(), held.clone(), added(FIRST, 2_000), settled(FIRST, 2_000), last];
        given(events).when(Command::Complete).then_expect_error(Error::NotPaid { left: 2_000 });
    }
    given(vec![started(), held.clone(), added(FIRST, 2_000)])
        .when(Command::Complete)
        .then_expect_error(Error::NotPaid { left: 2_000 });
    // Two payments pay together.
    let second =
        Event::CheckoutPaymentSettled { payment: SECOND, transaction: Uuid::from_u128(22), amount: gbp(500) };
    let both = vec![started(), held, added(FIRST, 1_500), added(SECOND, 500), settled(FIRST, 1_500), second];
    given(both).when(Command::Complete).then_expect_events(vec![Event::CheckoutCompleted {}]);
}

#[test]
fn payments_never_promise_more_than_the_total() {
    use order::payments::Error as Unfit;
    given(vec![started()]).when(add(FIRST, 2_000)).then_expect_events(vec![added(FIRST, 2_000)]);
    given(vec![started()])
        .when(add(FIRST, 2_001))
        .then_expect_error(Error::Payment(Unfit::AmountTooLarge { left: 2_000 }));
    given(vec![started()]).when(add(FIRST, 0)).then_expect_error(Error::Payment(Unfit::BadAmount));
    let one = || vec![started(), added(FIRST, 2_000)];
    given(one()).when(add(SECOND, 1)).then_expect_error(Error::Payment(Unfit::PaymentPending));
    given(one()).when(add(FIRST, 2_000)).then_expect_events(vec![]);
    given(one()).when(add(FIRST, 1_999)).then_expect_error(Error::Payment(Unfit::PaymentExists));
    // Another card, once the first is stopped.
    given([one(), vec![stopped(FIRST)]].concat())
        .when(add(SECOND, 2_000))
        .then_expect_events(vec![added(SECOND, 2_000)]);
    given(vec![started(), given_up()]).when(add(FIRST, 2_000)).then_expect_error(Error::GivenUp);
    let ended = vec![started(), refused()];
    given(ended).when(add(FIRST, 2_000)).then_expect_error(Error::Ended(Status::Refused));
}

#[test]
fn what_a_provider_reports_is_taken_once_and_of_a_stopped_payment_not_at_all() {
    let one = || vec![started(), added(FIRST, 2_000)];
    given(one()).when(settle(FIRST, 2_000)).then_expect_events(vec![settled(FIRST, 2_000)]);
    let twice = [one(), vec![settled(FIRST, 2_000)]].concat();
    given(twice.clone()).when(settle(FIRST, 2_000)).then_expect_events(vec![]);
    given([one(), vec![stopped(FIRST)]].concat()).when(settle(FIRST, 2_000)).then_expect_events(vec![]);
    let unknown = Error::Payment(order::payments::Error::UnknownPayment);
    given(one()).when(settle(SECOND, 1)).then_expect_error(unknown);
    let lapsed = Event::CheckoutPaymentUnsettled { payment: FIRST, transaction: TRANSACTION };
    let unsettle = || Command::Unsettle { payment: FIRST, transaction: TRANSACTION };
    given(twice.clone()).when(unsettle()).then_expect_events(vec![lapsed]);
    given(one()).when(unsettle()).then_expect_events(vec![]);
    // Also long after it came to nothing: what is reported is never refused.
    let ended = [twice, vec![stopped(FIRST), refused()]].concat();
    given(ended.clone()).when(unsettle()).then_expect_events(vec![]);
    given(ended).when(settle(FIRST, 2_000)).then_expect_events(vec![]);
}

#[test]
fn nothing_of_a_payment_that_it_counts_is_released_while_it_runs() {
    let release = || Command::ReleasePayment { payment: FIRST };
    let paid = || vec![started(), added(FIRST, 2_000), settled(FIRST, 2_000)];
    given(paid()).when(release()).then_expect_error(Error::PaymentCounted);
    given([paid(), vec![stopped(FIRST)]].concat()).when(release()).then_expect_events(vec![]);
    given([paid(), vec![stopped(FIRST), refused()]].concat()).when(release()).then_expect_events(vec![]);
}

#[test]
fn it_is_refused_once_nothing_can_be_paid_for_it_any_more_and_never_after_it_became_an_order() {
    let refuse = || Command::Refuse { refusal: refusal() };
    given(vec![started()]).when(refuse()).then_expect_events(vec![refused()]);
    given(vec![started(), refused()]).when(refuse()).then_expect_events(vec![]);
    given(vec![started(), added(FIRST, 1)]).when(refuse()).then_expect_error(Error::PaymentsLiving);
    given(vec![started(), added(FIRST, 1), stopped(FIRST)])
        .when(refuse())
        .then_expect_events(vec![refused()]);
    let completed = || {
        let paid = vec![started(), Event::CheckoutHeld {}, added(FIRST, 2_000), settled(FIRST, 2_000)];
        [paid, vec![Event::CheckoutCompleted {}]].concat()
    };
    given(completed()).when(refuse()).then_expect_error(Error::Ended(Status::Completed));
    let stop = Command::StopPayment { payment: FIRST };
    given(completed()).when(stop).then_expect_error(Error::Ended(Status::Completed));
    let give_up = Command::GiveUp { reason: "given-up".to_owned() };
    given(completed()).when(give_up).then_expect_error(Error::Ended(Status::Completed));
}

#[test]
fn its_number_is_the_orders_until_it_is_refused() {
    let number = |value: &str| vec![Hold::number(scope::ORDER_NUMBER, value)];
    assert_eq!(Checkout::default().holds(&started()), number("S-1"));
    let none = vec![Hold { scope: scope::ORDER_NUMBER, values: vec![] }];
    assert_eq!(Checkout::default().holds(&refused()), none);
    assert_eq!(Checkout::default().holds(&Event::CheckoutCompleted {}), vec![]);
}
