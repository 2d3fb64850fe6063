//! Given/when/then tests of payments.

use cqrs_es::test::{AggregateTestExecutor, TestFramework};

use super::*;
use crate::golden::{Sample, gbp, order_id, payment_id, person_id, transaction_id};
use crate::ids::UserId;

impl Sample for Event {
    fn sample(kind: EventKind) -> Self {
        let (order_id, transaction, amount) = (order_id(), transaction_id(), gbp(4_000));
        let code = "insufficient-funds".to_owned();
        let reference = || Some("sb_7K3M9QXA".to_owned());
        match kind {
            EventKind::PaymentOpened => Self::PaymentOpened {
                order_id,
                revision: 1,
                customer: Customer::User(UserId(person_id())),
                amount,
                tender: Tender::Provider,
                provider: Some("sandbox".to_owned()),
                capture: Capture::AtOnce,
                test: true,
            },
            EventKind::PaymentStopRequested => Self::PaymentStopRequested { order_id },
            EventKind::AuthorizationRequested => {
                Self::AuthorizationRequested { order_id, transaction, amount }
            }
            EventKind::AuthorizationActionRequired => {
                Self::AuthorizationActionRequired { order_id, transaction, reference: reference() }
            }
            EventKind::AuthorizationDeclined => Self::AuthorizationDeclined { order_id, transaction, code },
            EventKind::AuthorizationSucceeded => Self::AuthorizationSucceeded {
                order_id,
                transaction,
                reference: "sb_7K3M9QXA".to_owned(),
                amount,
                until: Some("2026-12-07T10:00:00Z".parse().unwrap()),
            },
            EventKind::AuthorizationFailed => Self::AuthorizationFailed { order_id, transaction, code },
            EventKind::AuthorizationUnknown => Self::AuthorizationUnknown { order_id, transaction },
            EventKind::AuthorizationLapsed => Self::AuthorizationLapsed { order_id, transaction, amount },
            EventKind::ChargeRequested => Self::ChargeRequested { order_id, transaction, amount },
            EventKind::ChargeSucceeded => {
                Self::ChargeSucceeded { order_id, transaction, amount, reference: reference(), unasked: true }
            }
            EventKind::ChargeFailed => Self::ChargeFailed { order_id, transaction, code },
            EventKind::ChargeUnknown => Self::ChargeUnknown { order_id, transaction },
            EventKind::ReleaseRequested => {
                Self::ReleaseRequested { order_id, transaction, amount, by_itself: true }
            }
            EventKind::ReleaseSucceeded => Self::ReleaseSucceeded {
                order_id,
                transaction,
                amount,
                reference: reference(),
                unasked: true,
            },
            EventKind::ReleaseFailed => Self::ReleaseFailed { order_id, transaction, code },
            EventKind::ReleaseUnknown => Self::ReleaseUnknown { order_id, transaction },
            EventKind::RefundRequested => {
                Self::RefundRequested { order_id, transaction, amount, by_itself: true }
            }
            EventKind::RefundSucceeded => {
                Self::RefundSucceeded { order_id, transaction, amount, reference: reference(), unasked: true }
            }
            EventKind::RefundFailed => Self::RefundFailed { order_id, transaction, code },
            EventKind::RefundUnknown => Self::RefundUnknown { order_id, transaction },
            EventKind::PaymentNoted => Self::PaymentNoted {
                order_id,
                code: "failed-after-success".to_owned(),
                transaction: Some(transaction),
            },
            EventKind::PaymentClosed => Self::PaymentClosed { order_id },
        }
    }
}

pub(super) fn tx(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

pub(super) fn opening(amount: i64) -> Opening {
    Opening {
        order_id: order_id(),
        revision: 1,
        customer: Customer::User(UserId(person_id())),
        amount: gbp(amount),
        tender: Tender::Provider,
        provider: Some("sandbox".to_owned()),
        capture: Capture::Later,
        test: true,
        transaction: tx(1),
    }
}

pub(super) fn says(transaction: Uuid, kind: Kind, outcome: Outcome) -> Command {
    Command::Report(Report { transaction, kind, outcome, unasked: false })
}

pub(super) fn succeeded(amount: i64) -> Outcome {
    Outcome::Succeeded { amount: gbp(amount), reference: Some("sb_1".to_owned()), until: None }
}

pub(super) fn failed() -> Outcome {
    Outcome::Failed { code: "expired-card".to_owned() }
}

fn ask(kind: Kind, transaction: u128, amount: i64) -> Command {
    Command::Request { kind, transaction: tx(transaction), amount: gbp(amount) }
}

fn stop() -> Command {
    Command::Stop { order_id: order_id() }
}

pub(super) fn facts() -> Facts {
    Facts { now: crate::clock::now() }
}

/// The events of these commands, one after the other.
fn done(commands: impl IntoIterator<Item = Command>) -> Vec<Event> {
    let (mut payment, mut all) = (Payment::default(), Vec::new());
    for command in commands {
        for event in payment.decide(command, &facts()).unwrap() {
            payment.evolve(event.clone());
            all.push(event);
        }
    }
    all
}

fn state(commands: impl IntoIterator<Item = Command>) -> Payment {
    let mut payment = Payment::default();
    for event in done(commands) {
        payment.evolve(event);
    }
    payment
}

fn given(commands: Vec<Command>) -> AggregateTestExecutor<Payment> {
    TestFramework::<Payment>::with(facts()).given(done(commands))
}

fn authorized(amount: i64) -> Vec<Command> {
    vec![Command::Open(opening(amount)), says(tx(1), Kind::Authorization, succeeded(amount))]
}

fn with(mut before: Vec<Command>, then: impl IntoIterator<Item = Command>) -> Vec<Command> {
    before.extend(then);
    before
}

fn charged(transaction: u128, amount: i64) -> [Command; 2] {
    [ask(Kind::Charge, transaction, amount), says(tx(transaction), Kind::Charge, succeeded(amount))]
}

#[test]
fn a_payment_is_opened_once_and_asks_for_its_authorization() {
    let events = done([Command::Open(opening(4_000))]);
    assert!(matches!(events.as_slice(), [Event::PaymentOpened { .. }, Event::AuthorizationRequested { .. }]));
    given(vec![Command::Open(opening(4_000))])
        .when(Command::Open(opening(4_000)))
        .then_expect_error(Error::PaymentExists);
    given(vec![]).when(Command::Open(opening(0))).then_expect_error(Error::BadAmount);
}

#[test]
fn a_stop_before_the_opening_bars_it() {
    given(vec![stop()]).when(Command::Open(opening(4_000))).then_expect_error(Error::PaymentStopped);
    given(vec![stop()]).when(stop()).then_expect_events(vec![]);
}

/// C41: an authorization is captured in parts, never above what is left, and its rest is released.
#[test]
fn captures_in_parts_never_exceed_what_is_authorized_and_the_rest_is_released() {
    let parts = || with(authorized(10_000), charged(2, 6_000).into_iter().chain(charged(3, 3_000)));
    given(parts()).when(ask(Kind::Charge, 4, 1_001)).then_expect_error(Error::AmountTooLarge { left: 1_000 });
    assert_eq!(state(parts()).sums.captured, 9_000);
    let all = with(parts(), [ask(Kind::Release, 5, 1_000), says(tx(5), Kind::Release, succeeded(1_000))]);
    let Sums { authorized, captured, released, lapsed, .. } = state(all.clone()).sums;
    assert_eq!((authorized, captured, released, lapsed), (10_000, 9_000, 1_000, 0));
    given(all).when(ask(Kind::Release, 6, 1)).then_expect_error(Error::AmountTooLarge { left: 0 });
}

#[test]
fn two_captures_at_once_take_from_the_same_money() {
    given(with(authorized(4_000), [ask(Kind::Charge, 2, 3_000)]))
        .when(ask(Kind::Charge, 3, 1_001))
        .then_expect_error(Error::AmountTooLarge { left: 1_000 });
    let failed = says(tx(2), Kind::Charge, failed());
    assert_eq!(
        state(with(authorized(4_000), [ask(Kind::Charge, 2, 3_000), failed])).left(Kind::Charge),
        4_000
    );
}

/// C43: what can be refunded is what was captured, and not what was authorized.
#[test]
fn a_refund_is_limited_by_what_was_captured_and_by_refunds_that_have_begun() {
    let paid = || with(authorized(10_000), charged(2, 6_000));
    given(paid()).when(ask(Kind::Refund, 3, 8_000)).then_expect_error(Error::AmountTooLarge { left: 6_000 });
    given(with(paid(), [ask(Kind::Refund, 3, 4_000)]))
        .when(ask(Kind::Refund, 4, 2_001))
        .then_expect_error(Error::AmountTooLarge { left: 2_000 });
}

#[test]
fn the_same_request_again_changes_nothing_and_another_one_under_its_name_is_refused() {
    let begun = || with(authorized(4_000), [ask(Kind::Charge, 2, 3_000)]);
    given(begun()).when(ask(Kind::Charge, 2, 3_000)).then_expect_events(vec![]);
    given(begun()).when(ask(Kind::Charge, 2, 2_000)).then_expect_error(Error::TransactionExists);
    given(begun()).when(ask(Kind::Release, 2, 3_000)).then_expect_error(Error::TransactionExists);
}

#[test]
fn an_amount_is_positive_and_in_the_currency_of_the_order() {
    let euros = Money::new(100, "EUR".parse().unwrap());
    for amount in [gbp(0), gbp(-1), euros] {
        let request = Command::Request { kind: Kind::Charge, transaction: tx(2), amount };
        given(authorized(4_000)).when(request).then_expect_error(Error::BadAmount);
    }
}

#[test]
fn a_stop_releases_what_is_open_and_takes_nothing_more() {
    let stopped = || with(with(authorized(4_000), charged(2, 1_000)), [stop()]);
    let payment = state(stopped());
    let released = payment.transactions.values().find(|one| one.kind == Kind::Release).unwrap();
    assert_eq!((released.amount, released.by_itself), (3_000, true));
    given(stopped()).when(ask(Kind::Charge, 3, 1)).then_expect_error(Error::PaymentStopped);
    given(stopped()).when(stop()).then_expect_events(vec![]);
    // What was charged before is its order's, which pays it back.
    assert_eq!(payment.left(Kind::Refund), 1_000);
    assert!(payment.transactions.values().all(|one| one.kind != Kind::Refund));
}

/// C37: the buyer's bank answers after the end.
#[test]
fn what_succeeds_after_a_stop_goes_back_in_the_same_append() {
    let late =
        done([Command::Open(opening(4_000)), stop(), says(tx(1), Kind::Authorization, succeeded(4_000))]);
    assert!(matches!(
        late.last_chunk(),
        Some([
            Event::AuthorizationSucceeded { .. },
            Event::ReleaseRequested { amount: Money { amount: 4_000, .. }, by_itself: true, .. }
        ])
    ));
    let charge = [ask(Kind::Charge, 2, 4_000), stop(), says(tx(2), Kind::Charge, succeeded(4_000))];
    let late = done(with(authorized(4_000), charge));
    assert!(matches!(
        late.last_chunk(),
        Some([
            Event::ChargeSucceeded { .. },
            Event::RefundRequested { amount: Money { amount: 4_000, .. }, by_itself: true, .. }
        ])
    ));
}

#[test]
fn what_could_not_be_given_back_is_asked_for_again_ten_times_at_most() {
    let mut all = with(authorized(4_000), [stop()]);
    let mut asked = 1;
    loop {
        let payment = state(all.clone());
        let pending = payment.transactions.iter().find(|(_, one)| one.by_itself && one.progress.is_pending());
        let Some((transaction, _)) = pending else { break };
        let transaction = *transaction;
        all.push(says(transaction, Kind::Release, failed()));
        all.push(Command::TryAgain { transaction });
        all.push(Command::TryAgain { transaction });
        asked += usize::from(state(all.clone()).transactions.len() > payment.transactions.len());
    }
    assert_eq!(asked, MOST_TRIES);
}

#[test]
fn a_release_that_fails_after_the_stop_is_asked_for_again() {
    let fails = || [ask(Kind::Release, 2, 1_500), says(tx(2), Kind::Release, failed())];
    let again = || Command::TryAgain { transaction: tx(2) };
    // The order still wants the rest of it.
    given(with(authorized(4_000), fails())).when(again()).then_expect_events(vec![]);
    let [asked, failed] = fails();
    let stopped = with(authorized(4_000), [asked, stop(), failed]);
    let under_way = |commands| {
        let payment = state(commands);
        let pending = payment.transactions.values().filter(|one| one.progress.is_pending());
        pending.map(|one| one.amount).sum::<i64>()
    };
    assert_eq!((under_way(stopped.clone()), under_way(with(stopped, [again()]))), (2_500, 4_000));
}

#[test]
fn what_is_given_back_again_is_no_more_than_what_came_after_the_stop() {
    let late = with(
        with(authorized(10_000), charged(2, 6_000)),
        [
            ask(Kind::Charge, 3, 4_000),
            says(tx(3), Kind::Charge, failed()),
            stop(),
            says(tx(3), Kind::Charge, succeeded(4_000)),
        ],
    );
    let payment = state(late.clone());
    let (refund, _) = payment.transactions.iter().find(|(_, one)| one.kind == Kind::Refund).unwrap();
    let failed = with(late, [says(*refund, Kind::Refund, failed())]);
    let again = Command::TryAgain { transaction: *refund };
    assert_eq!(state(with(failed.clone(), [again.clone()])).late_left(), 0);
    // Staff give it back in between.
    let amount = gbp(4_000);
    let by_staff = Command::GiveBack { kind: Kind::Refund, transaction: tx(9), amount };
    given(with(failed, [by_staff])).when(again).then_expect_events(vec![]);
}

/// The bank declines, the buyer tries again: the same intent succeeds.
#[test]
fn a_decline_is_no_end_and_what_failed_may_still_succeed() {
    let declined = says(tx(1), Kind::Authorization, Outcome::Declined { code: "Bank says: NO!".to_owned() });
    let events = done([Command::Open(opening(4_000)), declined.clone()]);
    assert!(matches!(events.last(), Some(Event::AuthorizationDeclined { code, .. }) if code == "other"));
    for before in [declined, says(tx(1), Kind::Authorization, failed())] {
        let success = says(tx(1), Kind::Authorization, succeeded(4_000));
        let payment = state([Command::Open(opening(4_000)), before, success]);
        assert_eq!(payment.sums.open(), 4_000);
    }
}

#[test]
fn a_failure_that_is_reported_after_the_success_is_noted_once_and_moves_nothing() {
    let failure = || says(tx(1), Kind::Authorization, failed());
    let noted = with(authorized(4_000), [failure()]);
    assert!(matches!(done(noted.clone()).last(), Some(Event::PaymentNoted { .. })));
    assert_eq!(state(noted.clone()).sums, state(authorized(4_000)).sums);
    given(noted).when(failure()).then_expect_events(vec![]);
}

#[test]
fn what_was_done_in_the_providers_pages_is_booked_once_whatever_it_is() {
    let refund =
        |outcome| Command::Report(Report { transaction: tx(9), kind: Kind::Refund, outcome, unasked: true });
    let paid = with(authorized(4_000), charged(2, 4_000));
    let events = done(with(paid.clone(), [refund(succeeded(4_500))]));
    assert!(matches!(events.last(), Some(Event::RefundSucceeded { unasked: true, .. })));
    // More than there was: it is a fact all the same.
    assert_eq!(state(with(paid.clone(), [refund(succeeded(4_500))])).sums.refunded, 4_500);
    given(with(paid.clone(), [refund(succeeded(4_500))]))
        .when(refund(succeeded(4_500)))
        .then_expect_events(vec![]);
    given(paid.clone()).when(refund(failed())).then_expect_events(vec![]);
    given(paid).when(says(tx(9), Kind::Refund, succeeded(1))).then_expect_error(Error::UnknownTransaction);
}

#[test]
fn a_lapse_takes_what_was_open_once() {
    let lapse = || says(tx(1), Kind::Authorization, Outcome::Lapsed { amount: gbp(3_000) });
    let lapsed = with(with(authorized(4_000), charged(2, 1_000)), [lapse(), lapse()]);
    let payment = state(lapsed);
    assert_eq!((payment.sums.lapsed, payment.sums.open()), (3_000, 0));
}

#[test]
fn a_payment_is_closed_when_it_holds_nothing_and_gives_back_what_still_comes() {
    given(authorized(4_000)).when(Command::Close).then_expect_error(Error::PaymentHoldsMoney);
    given(with(authorized(4_000), charged(2, 4_000)))
        .when(Command::Close)
        .then_expect_error(Error::PaymentHoldsMoney);
    let closed =
        vec![Command::Open(opening(4_000)), says(tx(1), Kind::Authorization, failed()), Command::Close];
    given(closed.clone()).when(Command::Close).then_expect_events(vec![]);
    given(closed.clone()).when(ask(Kind::Charge, 2, 1)).then_expect_error(Error::PaymentClosed);
    let late = done(with(closed, [says(tx(1), Kind::Authorization, succeeded(4_000))]));
    assert!(matches!(late.last(), Some(Event::ReleaseRequested { by_itself: true, .. })));
}

#[test]
fn above_its_most_transactions_a_payment_takes_only_what_gives_all_back() {
    let mut all = authorized(4_000);
    for number in 2..=u128::try_from(MOST_TRANSACTIONS).unwrap() {
        all.extend(charged(number, 10));
    }
    given(all.clone()).when(ask(Kind::Charge, 500, 10)).then_expect_error(Error::TooManyTransactions);
    given(all.clone()).when(ask(Kind::Refund, 500, 10)).then_expect_error(Error::TooManyTransactions);
    let (captured, open) = (990, 4_000 - 990);
    assert!(state(with(all.clone(), [ask(Kind::Refund, 500, captured)])).left(Kind::Refund) == 0);
    assert!(state(with(all, [ask(Kind::Release, 501, open)])).left(Kind::Release) == 0);
}

#[test]
fn every_event_of_a_payment_begins_with_its_order() {
    use strum::VariantArray as _;
    for kind in EventKind::VARIANTS {
        let stored = serde_json::to_string(&Event::sample(*kind)).unwrap();
        let name: &str = (*kind).into();
        assert!(stored.starts_with(&format!(r#"{{"{name}":{{"order_id":"#)), "{stored}");
        assert_eq!(Event::sample(*kind).order_id(), order_id());
    }
    assert_ne!(payment_id(), order_id().0);
}

#[test]
fn staff_give_back_what_came_after_the_stop_and_failed_to_go_back_without_a_limit() {
    let late = [ask(Kind::Charge, 2, 4_000), stop(), says(tx(2), Kind::Charge, succeeded(4_000))];
    let mut all = with(authorized(4_000), late);
    let back = |transaction, amount| Command::GiveBack {
        kind: Kind::Refund,
        transaction: tx(transaction),
        amount: gbp(amount),
    };
    given(all.clone()).when(back(50, 1)).then_expect_error(Error::AmountTooLarge { left: 0 });
    for number in 50..65 {
        let payment = state(all.clone());
        let pending = payment.transactions.iter().find(|(_, one)| one.by_itself && one.progress.is_pending());
        all.push(says(*pending.unwrap().0, Kind::Refund, failed()));
        assert_eq!(state(all.clone()).late_left(), 4_000);
        all.push(back(number, 4_000));
    }
    all.push(says(tx(64), Kind::Refund, succeeded(4_000)));
    let payment = state(all);
    assert_eq!((payment.sums.refunded, payment.late_left()), (4_000, 0));
}

#[test]
fn staff_release_what_a_stopped_payment_could_not() {
    let release = |transaction| Command::GiveBack {
        kind: Kind::Release,
        transaction: tx(transaction),
        amount: gbp(4_000),
    };
    given(authorized(4_000)).when(release(9)).then_expect_error(Error::PaymentNotStopped);
    let stopped = with(authorized(4_000), [stop()]);
    let first = *state(stopped.clone()).transactions.iter().find(|(_, one)| one.by_itself).unwrap().0;
    let failed = with(stopped, [says(first, Kind::Release, failed()), release(9)]);
    assert_eq!(state(failed.clone()).left(Kind::Release), 0);
    given(failed).when(release(9)).then_expect_events(vec![]);
}

/// What was charged before the stop is the order's: it is not given back beside it.
#[test]
fn what_was_charged_before_the_stop_is_no_late_money() {
    let paid = with(with(authorized(4_000), charged(2, 4_000)), [stop()]);
    assert_eq!(state(paid.clone()).late_left(), 0);
    let back = Command::GiveBack { kind: Kind::Refund, transaction: tx(9), amount: gbp(1) };
    given(paid).when(back).then_expect_error(Error::AmountTooLarge { left: 0 });
}

#[test]
fn what_a_provider_calls_a_transaction_is_plain_or_its_report_is_refused() {
    for reference in ["", "4242 4242", "https://pay.example/?secret=1", "ü", &"a".repeat(101)] {
        let outcome =
            Outcome::Succeeded { amount: gbp(4_000), reference: Some(reference.to_owned()), until: None };
        given(vec![Command::Open(opening(4_000))])
            .when(says(tx(1), Kind::Authorization, outcome))
            .then_expect_error(Error::BadReference);
    }
}

#[test]
fn a_payment_with_a_provider_names_it() {
    given(vec![])
        .when(Command::Open(Opening { provider: None, ..opening(4_000) }))
        .then_expect_error(Error::NoProvider);
}

#[test]
fn a_payment_that_can_charge_nothing_more_is_spent() {
    assert!(!state(authorized(4_000)).is_spent());
    assert!(!state(with(authorized(4_000), charged(2, 1_000))).is_spent(), "the rest is charged later");
    let released = [ask(Kind::Release, 3, 3_000), says(tx(3), Kind::Release, succeeded(3_000))];
    assert!(state(with(with(authorized(4_000), charged(2, 1_000)), released)).is_spent());
    let at_once = Command::Open(Opening { capture: Capture::AtOnce, ..opening(4_000) });
    let part = [at_once, says(tx(1), Kind::Authorization, succeeded(4_000))].into_iter();
    assert!(state(part.chain(charged(2, 1_000))).is_spent());
    assert!(!state(with(authorized(4_000), charged(2, 4_000))).is_spent(), "all was charged");
}

#[test]
fn staff_are_told_of_a_transaction_once() {
    let note = || Command::Note { transaction: tx(1), code: "not-given-back".to_owned() };
    given(authorized(4_000)).when(note()).then_expect_events(vec![Event::PaymentNoted {
        order_id: order_id(),
        code: "not-given-back".to_owned(),
        transaction: Some(tx(1)),
    }]);
    given(with(authorized(4_000), [note()])).when(note()).then_expect_events(vec![]);
}

#[test]
fn a_buyer_stops_a_payment_of_an_order_only_as_long_as_nothing_is_authorized() {
    let stop = || Command::StopUnpaid { order_id: order_id() };
    let opened = || vec![Command::Open(opening(4_000))];
    let stopped = done(opened().into_iter().chain([stop()]));
    assert!(matches!(stopped.last(), Some(Event::PaymentStopRequested { .. })), "{stopped:?}");
    given(opened().into_iter().chain([stop()]).collect()).when(stop()).then_expect_events(vec![]);
    given(authorized(4_000)).when(stop()).then_expect_error(Error::PaymentAuthorized);
    given(with(authorized(4_000), charged(2, 4_000)))
        .when(stop())
        .then_expect_error(Error::PaymentAuthorized);
    let lapsed = || says(tx(1), Kind::Authorization, Outcome::Lapsed { amount: gbp(4_000) });
    let events = done(with(authorized(4_000), [lapsed(), stop()]));
    assert!(matches!(events.last(), Some(Event::PaymentStopRequested { .. })), "{events:?}");
}
