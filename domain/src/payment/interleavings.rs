//! Whatever order the messages about a payment come in, each has one effect: every sequence of up to six of them, on the
//! payment and on its order, as they are appended together.

use super::tests::{facts, failed, opening, says, succeeded, tx};
use super::*;
use crate::golden::{gbp, payment_id, person_id, product_id, sku};
use crate::ids::UserId;
use crate::order::{Contact, Line, Order, Placement};

const AMOUNT: i64 = 4_000;

/// What may happen next: webhooks, repeated or late, and answers to our question are the same reports; a browser that
/// comes back says nothing, and is a question.
fn messages() -> Vec<Command> {
    let authorization = |outcome| says(tx(1), Kind::Authorization, outcome);
    vec![
        authorization(succeeded(AMOUNT)),
        authorization(failed()),
        authorization(Outcome::Declined { code: "insufficient-funds".to_owned() }),
        authorization(Outcome::ActionRequired { reference: None }),
        authorization(Outcome::Unknown),
        Command::Request { kind: Kind::Charge, transaction: tx(2), amount: gbp(AMOUNT) },
        says(tx(2), Kind::Charge, succeeded(AMOUNT)),
        says(tx(2), Kind::Charge, failed()),
        Command::Stop { order_id: crate::golden::order_id() },
    ]
}

/// What may happen beside that: in parts, in the provider's own pages, and to the order.
fn others() -> Vec<Command> {
    let unasked = |number, kind, amount| {
        Command::Report(Report { transaction: tx(number), kind, outcome: succeeded(amount), unasked: true })
    };
    let request =
        |number, kind, amount| Command::Request { kind, transaction: tx(number), amount: gbp(amount) };
    vec![
        says(tx(1), Kind::Authorization, succeeded(AMOUNT)),
        says(tx(1), Kind::Authorization, Outcome::Lapsed { amount: gbp(1_000) }),
        request(2, Kind::Charge, 2_500),
        says(tx(2), Kind::Charge, succeeded(2_500)),
        says(tx(2), Kind::Charge, failed()),
        request(3, Kind::Release, 1_500),
        says(tx(3), Kind::Release, succeeded(1_500)),
        request(4, Kind::Refund, 1_000),
        says(tx(4), Kind::Refund, succeeded(1_000)),
        says(tx(4), Kind::Refund, failed()),
        unasked(7, Kind::Release, 500),
        unasked(8, Kind::Charge, 500),
        unasked(9, Kind::Refund, 2_000),
        Command::Stop { order_id: crate::golden::order_id() },
        Command::Close,
    ]
}

/// A payment and its order, whose events are appended together.
#[derive(Clone)]
struct Both {
    payment: Payment,
    order: Order,
    /// What was reported to be done, each transaction once: counted beside the payment.
    told: Sums,
    told_of: Vec<Uuid>,
    /// A report may say what we would not do.
    is_surprised: bool,
}

impl Both {
    fn new() -> Self {
        let mut both = Self {
            payment: Payment::default(),
            order: placed(),
            told: Sums::default(),
            told_of: Vec::new(),
            is_surprised: false,
        };
        both.take(&Command::Open(opening(AMOUNT)));
        both
    }

    /// Appends what both agree to, or nothing. No report is refused but one of what was never asked for.
    fn take(&mut self, command: &Command) {
        let events = match self.payment.decide(command.clone(), &facts()) {
            Ok(events) => events,
            Err(error) => {
                if let Command::Report(report) = command {
                    assert_eq!(error, Error::UnknownTransaction, "{report:?}");
                    assert!(!self.payment.transactions.contains_key(&report.transaction));
                }
                return;
            }
        };
        let of_order = match self.payment.of_order(payment_id(), &events) {
            Some(of_order) => match self.order.decide(of_order, &facts()) {
                Ok(events) => events,
                Err(error) => {
                    assert!(!matches!(command, Command::Report(_)), "the order refuses a report: {error}");
                    return;
                }
            },
            None => Vec::new(),
        };
        if let Command::Report(report) = command {
            self.hear(report);
        }
        for event in events {
            self.payment.evolve(event);
        }
        for event in of_order {
            self.order.evolve(event);
        }
    }

    fn hear(&mut self, report: &Report) {
        self.is_surprised |= report.unasked;
        match report.outcome {
            Outcome::Succeeded { amount, .. } if !self.told_of.contains(&report.transaction) => {
                self.told_of.push(report.transaction);
                *self.told.of(report.kind) += amount.amount;
                if report.kind == Kind::Charge && self.payment.gives_back() {
                    self.told.late += amount.amount;
                }
            }
            Outcome::Lapsed { amount } if self.told_of.contains(&tx(1)) && self.told.lapsed == 0 => {
                (self.told.lapsed, self.is_surprised) = (amount.amount, true);
            }
            _ => {}
        }
    }

    fn holds(&self) {
        let (sums, payments) = (self.payment.sums, &self.order.payments);
        assert_eq!(sums, self.told, "what was reported counts once");
        assert!(self.is_surprised || sums.open() >= 0, "{sums:?}");
        // Of the order is what was charged while the payment was not stopped; the rest goes back by itself.
        assert_eq!(sums.captured - sums.late, payments.charged);
        assert!(payments.paid() >= 0 && payments.paid() <= sums.captured);
        let part = &payments.all[&payment_id()];
        assert!(part.repaid <= part.charged);
        assert!(self.payment.late_left() <= sums.late);
        assert_eq!(self.payment.stopped, part.stopped);
        if self.payment.stopped && !self.is_surprised {
            assert_eq!(self.payment.left(Kind::Release), 0, "a stopped payment keeps nothing open");
        }
        assert!(self.is_surprised || payments.paid() <= AMOUNT);
    }
}

/// An order of one line that costs all of it.
fn placed() -> Order {
    let (name, price) = ("Mug".to_owned(), gbp(AMOUNT));
    let placement = Placement {
        number: "S-1".to_owned(),
        customer: Customer::User(UserId(person_id())),
        lines: vec![Line { number: 1, sku: sku("MUG"), product_id: product_id(), name, quantity: 1, price }],
        country: "United Kingdom".to_owned(),
        contact: Contact::default(),
    };
    let mut order = Order::default();
    let events = order.decide(order::Command::Place(placement), &facts()).unwrap();
    for event in events {
        order.evolve(event);
    }
    order
}

fn follow(both: &Both, messages: &[Command], left: u32, sequences: &mut u64) {
    both.holds();
    *sequences += 1;
    if left == 0 {
        return;
    }
    for message in messages {
        let mut next = both.clone();
        next.take(message);
        follow(&next, messages, left - 1, sequences);
    }
}

#[test]
fn every_order_of_up_to_six_messages_has_one_effect() {
    let mut sequences = 0;
    follow(&Both::new(), &messages(), 6, &mut sequences);
    assert_eq!(sequences, (0..=6).map(|count| 9_u64.pow(count)).sum::<u64>());
}

/// From an authorized and from a charged payment, of an order that stands and of one that was cancelled.
#[test]
fn every_order_of_parts_surprises_and_ends_has_one_effect() {
    let authorized = [says(tx(1), Kind::Authorization, succeeded(AMOUNT))];
    let charged = [
        Command::Request { kind: Kind::Charge, transaction: tx(2), amount: gbp(2_500) },
        says(tx(2), Kind::Charge, succeeded(2_500)),
    ];
    for begin in [authorized.to_vec(), [authorized.to_vec(), charged.to_vec()].concat()] {
        for cancelled in [false, true] {
            let mut both = Both::new();
            for command in &begin {
                both.take(command);
            }
            if cancelled {
                let cancel = order::Command::Cancel { reason: "changed-my-mind".to_owned() };
                let events = both.order.decide(cancel, &facts()).unwrap();
                for event in events {
                    both.order.evolve(event);
                }
            }
            follow(&both, &others(), 4, &mut 0);
        }
    }
}
