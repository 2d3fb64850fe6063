use super::*;
use crate::golden::gbp;
use crate::ids::CreditNoteId;
use crate::order::credits::{CreditedLine, EarlierCredit};
use crate::order::tests::{line, placement};
use crate::order::{Command, Status};
use crate::{Decider as _, Facts, money};

fn payment(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

/// An order of two lines of 40.00 in all, and its confirmation.
fn order() -> Order {
    let mut order = Order::default();
    done(&mut order, Command::Place(placement(vec![line(1, 1, 2_500), line(2, 1, 1_500)]))).unwrap();
    done(&mut order, Command::Confirm).unwrap();
    order
}

fn done(order: &mut Order, command: Command) -> Result<Vec<Event>, order::Error> {
    let events = order.decide(command, &Facts { now: crate::clock::now() })?;
    for event in &events {
        order.evolve(event.clone());
    }
    Ok(events)
}

fn add(number: u128, amount: i64) -> Command {
    let (payment, tender) = (payment(number), Tender::Provider);
    Command::AddPayment { payment, tender, amount: gbp(amount), revision: 1, earlier: vec![] }
}

fn charge(number: u128, transaction: u128, amount: i64) -> Command {
    let (payment, transaction) = (payment(number), payment(transaction));
    Command::BeginCharge { payment, transaction, amount: gbp(amount) }
}

fn charged(number: u128, transaction: u128, amount: i64) -> Command {
    let (payment, transaction) = (payment(number), payment(transaction));
    Command::EndCharge { payment, transaction, amount: gbp(amount) }
}

fn repay(number: u128, transaction: u128, amount: i64) -> Command {
    let (payment, transaction) = (payment(number), payment(transaction));
    Command::BeginRepayment { payment, transaction, amount: gbp(amount) }
}

fn repaid(number: u128, transaction: u128, amount: i64) -> Command {
    let (payment, transaction) = (payment(number), payment(transaction));
    Command::EndRepayment { payment, transaction, amount: gbp(amount) }
}

fn credit(number: u32, amount: i64) -> Command {
    let lines = vec![CreditedLine { line: number, quantity: 1, price: gbp(amount) }];
    let credit_note_id = CreditNoteId(Uuid::from_u128(u128::from(number)));
    Command::Credit { credit_note_id, lines, earlier: Vec::new() }
}

fn paid() -> Order {
    let mut order = order();
    for command in [add(1, 4_000), charge(1, 11, 4_000), charged(1, 11, 4_000)] {
        done(&mut order, command).unwrap();
    }
    order
}

fn refused(error: Error) -> Result<Vec<Event>, order::Error> {
    Err(error.into())
}

#[test]
fn two_cards_at_once_never_reach_more_than_is_owed() {
    let mut order = order();
    done(&mut order, add(1, 4_000)).unwrap();
    assert_eq!(done(&mut order, add(2, 4_000)), refused(Error::PaymentPending));
    assert_eq!(done(&mut order, add(1, 4_000)), Ok(vec![]), "the same one again");
    // Another card stops the first one.
    done(&mut order, Command::StopPayment { payment: payment(1) }).unwrap();
    done(&mut order, add(2, 4_000)).unwrap();
    assert_eq!(done(&mut order, charge(1, 11, 4_000)), refused(Error::PaymentStopped));
    done(&mut order, charge(2, 12, 4_000)).unwrap();
}

#[test]
fn several_payments_share_an_order_up_to_what_is_owed() {
    let mut order = order();
    done(&mut order, add(1, 1_500)).unwrap();
    assert_eq!(done(&mut order, add(2, 2_501)), refused(Error::AmountTooLarge { left: 2_500 }));
    done(&mut order, add(2, 2_500)).unwrap();
    assert_eq!(done(&mut order, add(3, 1)), refused(Error::PaymentPending));
    done(&mut order, charge(1, 11, 1_500)).unwrap();
    assert_eq!(done(&mut order, charge(2, 12, 2_501)), refused(Error::AmountTooLarge { left: 2_500 }));
    done(&mut order, charged(1, 11, 1_500)).unwrap();
    assert_eq!((order.payments.paid(), order.chargeable()), (1_500, 2_500));
}

/// What was given back was once judged on numbers that lag: 45 for 25.
#[test]
fn a_repayment_counts_those_that_have_begun() {
    let mut order = paid();
    done(&mut order, credit(1, 2_500)).unwrap();
    assert_eq!((order.owed(), order.repayable()), (1_500, 2_500));
    done(&mut order, repay(1, 21, 2_000)).unwrap();
    assert_eq!(done(&mut order, repay(1, 22, 2_500)), refused(Error::AmountTooLarge { left: 500 }));
    assert_eq!(done(&mut order, repay(1, 21, 2_000)), Ok(vec![]), "the same one again");
    done(&mut order, repaid(1, 21, 2_000)).unwrap();
    done(&mut order, repay(1, 22, 500)).unwrap();
    done(&mut order, repaid(1, 22, 500)).unwrap();
    assert_eq!((order.payments.paid(), order.repayable()), (1_500, 0));
}

#[test]
fn nothing_is_paid_back_beyond_what_was_paid_or_while_it_is_owed() {
    let mut order = paid();
    assert_eq!(done(&mut order, repay(1, 21, 1)), refused(Error::AmountTooLarge { left: 0 }));
    done(&mut order, credit(1, 2_500)).unwrap();
    assert_eq!(done(&mut order, repay(1, 21, 2_501)), refused(Error::AmountTooLarge { left: 2_500 }));
    assert_eq!(done(&mut order, repay(9, 21, 1)), refused(Error::UnknownPayment));
}

#[test]
fn a_charge_that_ends_after_the_order_was_cancelled_is_paid_back_whole() {
    let mut order = order();
    done(&mut order, add(1, 4_000)).unwrap();
    done(&mut order, charge(1, 11, 4_000)).unwrap();
    done(&mut order, Command::Cancel { reason: "changed-my-mind".to_owned() }).unwrap();
    assert_eq!((order.owed(), order.repayable()), (0, 0));
    done(&mut order, charged(1, 11, 4_000)).unwrap();
    assert_eq!(order.repayable(), 4_000);
    let wrong = Err(order::Error::WrongOrderState(Status::Cancelled));
    assert_eq!(done(&mut order, charge(1, 12, 1)), wrong);
    assert_eq!(done(&mut order, add(2, 1)), wrong);
    done(&mut order, repay(1, 21, 4_000)).unwrap();
    done(&mut order, repaid(1, 21, 4_000)).unwrap();
    assert_eq!(order.payments.paid(), 0);
}

#[test]
fn what_failed_gives_its_amount_back_and_may_succeed_later() {
    let mut order = order();
    done(&mut order, add(1, 4_000)).unwrap();
    done(&mut order, charge(1, 11, 4_000)).unwrap();
    assert_eq!(
        done(&mut order, Command::StopPayment { payment: payment(1) }),
        refused(Error::ChargeBegun),
        "nobody knows yet whose money it is"
    );
    done(&mut order, charged(1, 11, 0)).unwrap();
    assert_eq!((order.payments.paid(), order.chargeable()), (0, 4_000));
    assert_eq!(done(&mut order, charged(1, 11, 0)), Ok(vec![]));
    done(&mut order, charged(1, 11, 4_000)).unwrap();
    assert_eq!((order.payments.paid(), order.chargeable()), (4_000, 0));
}

#[test]
fn what_the_provider_paid_back_unasked_counts_up_to_what_was_charged_for_the_order() {
    let mut order = paid();
    done(&mut order, repaid(1, 31, 5_000)).unwrap();
    assert_eq!((order.payments.paid(), order.repayable()), (0, 0));
    assert_eq!(done(&mut order, repaid(1, 33, 1)), Ok(vec![]), "nothing of the order's is left");
    done(&mut order, charged(1, 32, 9_000)).unwrap();
    assert_eq!((order.payments.paid(), order.repayable()), (9_000, 5_000));
}

#[test]
fn of_each_payment_no_more_is_paid_back_than_it_charged_for_the_order() {
    let mut order = order();
    let first = [add(1, 1_500), charge(1, 11, 1_500), charged(1, 11, 1_500)];
    for command in first.into_iter().chain([add(2, 2_500), charge(2, 12, 2_500), charged(2, 12, 2_500)]) {
        done(&mut order, command).unwrap();
    }
    done(&mut order, Command::Cancel { reason: "changed-my-mind".to_owned() }).unwrap();
    assert_eq!((order.repayable_of(payment(1)), order.repayable_of(payment(2))), (1_500, 2_500));
    assert_eq!(done(&mut order, repay(1, 21, 1_501)), refused(Error::AmountTooLarge { left: 1_500 }));
    done(&mut order, repay(1, 21, 1_000)).unwrap();
    assert_eq!(order.repayable_of(payment(1)), 500);
    done(&mut order, repaid(1, 21, 1_000)).unwrap();
    assert_eq!(order.repayable_of(payment(1)), 500);
}

#[test]
fn another_payment_or_amount_under_the_same_name_is_refused() {
    let mut order = order();
    done(&mut order, add(1, 1_500)).unwrap();
    done(&mut order, add(2, 2_500)).unwrap();
    assert_eq!(done(&mut order, add(1, 1_400)), refused(Error::PaymentExists));
    done(&mut order, charge(1, 11, 1_000)).unwrap();
    assert_eq!(done(&mut order, charge(1, 11, 999)), refused(Error::TransactionExists));
    assert_eq!(done(&mut order, charge(2, 11, 1_000)), refused(Error::TransactionExists));
    done(&mut order, charged(1, 11, 1_000)).unwrap();
    done(&mut order, Command::Cancel { reason: "changed-my-mind".to_owned() }).unwrap();
    done(&mut order, repay(1, 21, 500)).unwrap();
    assert_eq!(done(&mut order, repay(1, 21, 400)), refused(Error::TransactionExists));
    assert_eq!(done(&mut order, repay(2, 21, 500)), refused(Error::TransactionExists));
}

#[test]
fn amounts_are_positive_and_in_the_currency_of_the_order() {
    let euros = money::Money::new(100, "EUR".parse().unwrap());
    for amount in [gbp(0), gbp(-1), euros] {
        let (payment, tender) = (payment(1), Tender::Provider);
        let add = Command::AddPayment { payment, tender, amount, revision: 1, earlier: vec![] };
        assert_eq!(done(&mut order(), add), refused(Error::BadAmount));
    }
}

#[test]
fn an_order_has_at_most_so_many_payments() {
    let mut order = order();
    for number in 1..=10 {
        done(&mut order, add(number, 1)).unwrap();
    }
    assert_eq!(done(&mut order, add(11, 1)), refused(Error::TooManyPayments));
    for number in 1..=100 {
        done(&mut order, add(number, 1)).unwrap();
        done(&mut order, Command::StopPayment { payment: payment(number) }).unwrap();
    }
    assert_eq!(done(&mut order, add(101, 1)), refused(Error::TooManyPayments));
}

#[test]
fn payments_that_charged_all_of_theirs_make_room_for_others() {
    let mut order = order();
    for number in 1..=10 {
        let all = [add(number, 300), charge(number, 100 + number, 300), charged(number, 100 + number, 300)];
        for command in all {
            done(&mut order, command).unwrap();
        }
    }
    assert!(done(&mut order, add(11, 1_000)).is_ok());
}

#[test]
fn an_order_that_was_shipped_without_a_payment_was_paid_in_another_way() {
    let (mut unpaid, mut paying) = (order(), order());
    done(&mut paying, add(1, 1_000)).unwrap();
    for order in [&mut unpaid, &mut paying] {
        done(order, Command::Ship).unwrap();
    }
    assert_eq!(done(&mut unpaid, add(1, 4_000)), Err(order::Error::WrongOrderState(Status::Shipped)));
    assert!(done(&mut paying, add(2, 3_000)).is_ok());
}

#[test]
fn what_an_earlier_release_credited_is_not_owed() {
    let credit_note_id = CreditNoteId(Uuid::from_u128(9));
    let earlier = vec![EarlierCredit { credit_note_id, lines: vec![line(1, 1, 2_500)], total: gbp(2_500) }];
    let add = |amount| Command::AddPayment {
        payment: payment(1),
        tender: Tender::Provider,
        amount: gbp(amount),
        revision: 1,
        earlier: earlier.clone(),
    };
    let mut order = order();
    assert_eq!(done(&mut order, add(1_501)), refused(Error::AmountTooLarge { left: 1_500 }));
    let events = done(&mut order, add(1_500)).unwrap();
    let [Event::OrderCredited { earlier: true, .. }, Event::OrderPaymentAdded { .. }] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(order.owed(), 1_500);
    assert_eq!(done(&mut order, add(1_500)), Ok(vec![]), "the same one again");
}
