//! The credits of an order, by line, over all of its credit notes: never more units and never more money than the
//! line was charged. All functions are of an order's lines and of what was credited before.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::line::Line;
use crate::ids::CreditNoteId;
use crate::text::Sku;
use crate::{Classified, ErrorKind, Money};

/// Some units of one line of an order that are credited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreditedLine {
    /// The number of the order's line.
    pub line: u32,
    pub quantity: u32,
    /// The credit for one unit: at most the order's price.
    pub price: Money,
}

/// A credit that is asked for, before it is known which lines of the order it is taken from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreditRequest {
    /// The number of the order's line; `None`: any line with the SKU.
    pub line: Option<u32>,
    /// `None`: that of the line.
    pub sku: Option<Sku>,
    pub quantity: u32,
    /// Of one unit; `None`: the order's price.
    pub price: Option<Money>,
}

/// A part of a request, taken from one line of the order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allocation {
    /// The index of the request.
    pub request: usize,
    pub credited: CreditedLine,
    /// The price is below what the line was charged.
    pub below_price: bool,
}

/// A credit note that a release issued which did not ask the order: nobody compared it with the order's lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EarlierCredit {
    pub credit_note_id: CreditNoteId,
    pub lines: Vec<Line>,
    pub total: Money,
}

/// The field of a request that is at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::AsRefStr)]
#[strum(serialize_all = "lowercase")]
pub enum Field {
    Line,
    Sku,
    Quantity,
    Price,
}

/// A request that the order cannot grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unfit {
    /// The index of the request.
    pub request: usize,
    pub field: Field,
    pub error: Error,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error, strum::AsRefStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Error {
    #[error("the order has no such line")]
    NotInOrder,
    #[error(
        "the order says something else: a credit has the order's customer, country and currency, and no higher price"
    )]
    DiffersFromOrder,
    #[error("{left} of these units can be credited: the others were not ordered, or were credited before")]
    CreditTooLarge { left: u32 },
}

impl Classified for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotInOrder | Self::DiffersFromOrder => ErrorKind::Invalid,
            Self::CreditTooLarge { .. } => ErrorKind::Conflict,
        }
    }
}

/// The credits of one line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineCredits {
    pub units: u64,
    pub amount: i64,
}

/// The credits of an order. They grow with the order's lines, and not with the number of its credit notes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credits {
    /// In the order's currency.
    pub amount: i64,
    /// By the number of the order's line.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub lines: BTreeMap<u32, LineCredits>,
    /// The credit notes of releases that did not ask the order. No new ones are issued.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub earlier: BTreeSet<CreditNoteId>,
}

impl Credits {
    /// Whether nothing was credited.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Adds the lines of a credit note. `total` is `None` for one in another currency than the order's.
    pub(super) fn add(&mut self, lines: &[CreditedLine], total: Option<Money>) {
        for CreditedLine { line, quantity, price } in lines {
            let line = self.lines.entry(*line).or_default();
            line.units = line.units.saturating_add((*quantity).into());
            let amount = price.times(*quantity).map_or(i64::MAX, |sum| sum.amount);
            line.amount = line.amount.saturating_add(amount);
        }
        self.amount = self.amount.saturating_add(total.map_or(0, |total| total.amount));
    }

    /// How many units of a line can be credited at this price, which the line was charged at least.
    fn left(&self, line: &Line, price: Money, charged: Money) -> u32 {
        let before = self.lines.get(&line.number).copied().unwrap_or_default();
        let units = u64::from(line.quantity).saturating_sub(before.units);
        let of_line =
            line.price.times(line.quantity).map_or(0, |sum| sum.amount).saturating_sub(before.amount);
        let money = of_line.min(charged.amount.saturating_sub(self.amount)).max(0);
        let paid = match price.amount {
            0 => u64::MAX,
            price => u64::try_from(money / price).unwrap_or(0),
        };
        u32::try_from(units.min(paid)).unwrap_or(u32::MAX)
    }

    /// Which units of which lines each request is taken from: lines at the named price first, and in their order.
    pub(super) fn allocate(
        &self,
        lines: &[Line],
        charged: Money,
        requests: &[CreditRequest],
    ) -> Result<Vec<Allocation>, Unfit> {
        let (mut credits, mut all) = (self.clone(), Vec::with_capacity(requests.len()));
        for (request, CreditRequest { line, sku, quantity, price }) in requests.iter().enumerate() {
            let unfit = |field, error| Unfit { request, field, error };
            let numbered = |one: &&Line| line.is_none_or(|number| one.number == number);
            let of_sku = |one: &&Line| sku.as_ref().is_none_or(|sku| one.sku == *sku);
            if !lines.iter().any(|one| numbered(&one)) {
                return Err(unfit(Field::Line, Error::NotInOrder));
            }
            let mut from: Vec<&Line> = lines.iter().filter(numbered).filter(of_sku).collect();
            if from.is_empty() {
                return Err(unfit(Field::Sku, Error::NotInOrder));
            }
            if let Some(price) = price {
                from.retain(|one| {
                    price.currency == one.price.currency && (0..=one.price.amount).contains(&price.amount)
                });
                if from.is_empty() {
                    return Err(unfit(Field::Price, Error::DiffersFromOrder));
                }
                if from.iter().any(|one| one.price == *price) {
                    from.retain(|one| one.price == *price);
                }
            }
            let mut expected = *quantity;
            for one in from {
                let price = price.unwrap_or(one.price);
                let quantity = expected.min(credits.left(one, price, charged));
                if quantity > 0 {
                    let credited = CreditedLine { line: one.number, quantity, price };
                    credits.add(std::slice::from_ref(&credited), price.times(quantity));
                    all.push(Allocation { request, credited, below_price: price.amount < one.price.amount });
                    expected -= quantity;
                }
            }
            if expected > 0 {
                return Err(unfit(Field::Quantity, Error::CreditTooLarge { left: quantity - expected }));
            }
        }
        Ok(all)
    }

    /// Whether these lines can be credited; the sum of them is added to what was credited.
    pub(super) fn take(
        &mut self,
        lines: &[Line],
        charged: Money,
        credited: &[CreditedLine],
    ) -> Result<Money, Error> {
        let mut total = Money::new(0, charged.currency);
        for part in credited {
            let line = lines.iter().find(|line| line.number == part.line).ok_or(Error::NotInOrder)?;
            if part.price.currency != line.price.currency
                || !(0..=line.price.amount).contains(&part.price.amount)
            {
                return Err(Error::DiffersFromOrder);
            }
            let left = self.left(line, part.price, charged);
            let sum = part.price.times(part.quantity).filter(|_| (1..=left).contains(&part.quantity));
            let sum = sum.ok_or(Error::CreditTooLarge { left })?;
            total = total.plus(sum).ok_or(Error::CreditTooLarge { left })?;
            self.add(std::slice::from_ref(part), Some(sum));
        }
        Ok(total)
    }

    /// Finds the order's lines of an earlier credit note by SKU, as far as they reach, and adds all of it.
    pub(super) fn take_earlier(
        &mut self,
        lines: &[Line],
        charged: Money,
        note: &EarlierCredit,
    ) -> Vec<CreditedLine> {
        let mut found = Vec::new();
        let same_currency = note.total.currency == charged.currency;
        for Line { sku, quantity, price, .. } in note.lines.iter().filter(|_| same_currency) {
            let mut expected = *quantity;
            for line in lines.iter().filter(|line| line.sku == *sku) {
                let before = self.lines.get(&line.number).map_or(0, |before| before.units);
                let before = u32::try_from(before).unwrap_or(u32::MAX);
                let quantity = line.quantity.saturating_sub(before).min(expected);
                if quantity > 0 {
                    let part = CreditedLine { line: line.number, quantity, price: *price };
                    self.add(std::slice::from_ref(&part), None);
                    found.push(part);
                    expected -= quantity;
                }
            }
        }
        self.add(&[], Some(note.total).filter(|_| same_currency));
        self.earlier.insert(note.credit_note_id);
        found
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::golden::{gbp, product_id};
    use crate::ids::GuestId;
    use crate::order::{self, Command, Contact, Customer, Event, Order, Placement, Refusal, Status};
    use crate::{Decider, Facts};

    fn sku(name: &str) -> Sku {
        Sku::try_new(name).unwrap()
    }

    /// Mugs at 5.00 and at 4.00, and a cup that was free.
    fn lines() -> Vec<Line> {
        let line = |number, name: &str, quantity, pence| Line {
            number,
            sku: sku(name),
            product_id: product_id(),
            name: name.to_owned(),
            quantity,
            price: gbp(pence),
        };
        vec![line(1, "MUG", 2, 500), line(2, "MUG", 3, 400), line(3, "CUP", 1, 0)]
    }

    fn done(order: &mut Order, command: Command) -> Result<Vec<Event>, order::Error> {
        let events = order.decide(command, &Facts { now: crate::clock::now() })?;
        for event in events.clone() {
            order.evolve(event);
        }
        Ok(events)
    }

    fn placed() -> Order {
        let mut order = Order::default();
        let placement = Placement {
            number: "S-1".to_owned(),
            customer: Customer::Guest(GuestId(Uuid::nil())),
            lines: lines(),
            country: "France".to_owned(),
            contact: Contact::default(),
        };
        done(&mut order, Command::Place(placement)).unwrap();
        order
    }

    fn note(number: u128) -> CreditNoteId {
        CreditNoteId(Uuid::from_u128(number))
    }

    fn part(line: u32, quantity: u32, pence: i64) -> CreditedLine {
        CreditedLine { line, quantity, price: gbp(pence) }
    }

    fn credit(lines: Vec<CreditedLine>) -> Command {
        Command::Credit { credit_note_id: note(1), lines, earlier: vec![] }
    }

    fn request(name: &str, quantity: u32) -> CreditRequest {
        CreditRequest { line: None, sku: Some(sku(name)), quantity, price: None }
    }

    /// The order's lines that fill the request.
    fn allocated(order: &Order, request: CreditRequest) -> Result<Vec<CreditedLine>, (Field, Error)> {
        let found = order.allocate(&[], &[request]);
        found.map(|all| all.into_iter().map(|one| one.credited).collect()).map_err(|at| (at.field, at.error))
    }

    #[test]
    fn a_credit_is_taken_from_the_orders_own_lines_at_the_orders_prices() {
        let order = placed();
        assert_eq!(allocated(&order, request("MUG", 2)), Ok(vec![part(1, 2, 500)]));
        assert_eq!(allocated(&order, request("MUG", 4)), Ok(vec![part(1, 2, 500), part(2, 2, 400)]));
        assert_eq!(allocated(&order, request("CUP", 1)), Ok(vec![part(3, 1, 0)]));
        let second = CreditRequest { line: Some(2), sku: None, ..request("MUG", 1) };
        assert_eq!(allocated(&order, second), Ok(vec![part(2, 1, 400)]));
        let priced = |pence, quantity| CreditRequest { price: Some(gbp(pence)), ..request("MUG", quantity) };
        assert_eq!(allocated(&order, priced(400, 3)), Ok(vec![part(2, 3, 400)]), "lines at that price first");
        assert_eq!(allocated(&order, priced(150, 3)), Ok(vec![part(1, 2, 150), part(2, 1, 150)]));
        let below = |request| {
            order
                .allocate(&[], &[request])
                .unwrap()
                .into_iter()
                .map(|one| one.below_price)
                .collect::<Vec<_>>()
        };
        assert_eq!((below(priced(400, 1)), below(priced(150, 1))), (vec![false], vec![true]));
        // Requests of one credit note share what is left.
        let both = order.allocate(&[], &[request("MUG", 1), request("MUG", 2)]).unwrap();
        let both: Vec<_> = both.into_iter().map(|one| (one.request, one.credited)).collect();
        assert_eq!(both, [(0, part(1, 1, 500)), (1, part(1, 1, 500)), (1, part(2, 1, 400))]);
    }

    #[test]
    fn a_request_that_does_not_fit_the_order_names_its_field() {
        let order = placed();
        let at = |request| allocated(&order, request).unwrap_err();
        assert_eq!(at(request("POT", 1)), (Field::Sku, Error::NotInOrder));
        assert_eq!(
            at(CreditRequest { line: Some(4), ..request("MUG", 1) }),
            (Field::Line, Error::NotInOrder)
        );
        assert_eq!(at(CreditRequest { line: Some(3), ..request("MUG", 1) }), (Field::Sku, Error::NotInOrder));
        let euros = Money::new(100, "EUR".parse().unwrap());
        for price in [gbp(501), gbp(-1), euros] {
            let wrong = CreditRequest { price: Some(price), ..request("MUG", 1) };
            assert_eq!(at(wrong), (Field::Price, Error::DiffersFromOrder), "{price:?}");
        }
        for quantity in [6, u32::MAX] {
            assert_eq!(at(request("MUG", quantity)), (Field::Quantity, Error::CreditTooLarge { left: 5 }));
        }
    }

    #[test]
    fn credits_of_a_line_never_exceed_its_units_or_its_money() {
        let mut order = placed();
        done(&mut order, credit(vec![part(1, 1, 500)])).unwrap();
        assert_eq!(allocated(&order, request("MUG", 2)), Ok(vec![part(1, 1, 500), part(2, 1, 400)]));
        let too_many = done(&mut order, credit(vec![part(1, 2, 500)]));
        assert_eq!(too_many, Err(Error::CreditTooLarge { left: 1 }.into()));
        let twice = done(&mut order, credit(vec![part(1, 1, 500), part(1, 1, 500)]));
        assert_eq!(twice, Err(Error::CreditTooLarge { left: 0 }.into()));
        for (wrong, error) in [
            (part(4, 1, 500), Error::NotInOrder),
            (part(2, 1, 401), Error::DiffersFromOrder),
            (part(2, 0, 400), Error::CreditTooLarge { left: 3 }),
        ] {
            assert_eq!(done(&mut order, credit(vec![wrong])), Err(error.into()));
        }
        assert_eq!(done(&mut order, credit(vec![])), Err(order::Error::BadLines));
        done(&mut order, credit(vec![part(1, 1, 500), part(2, 3, 400), part(3, 1, 0)])).unwrap();
        assert_eq!(order.credits.amount, order.placed.as_ref().unwrap().total.amount);
        for name in ["MUG", "CUP"] {
            let left = allocated(&order, request(name, 1));
            assert_eq!(left, Err((Field::Quantity, Error::CreditTooLarge { left: 0 })), "{name}");
        }
    }

    #[test]
    fn an_order_is_credited_from_when_it_is_placed_until_it_is_refused_or_cancelled() {
        let refusal = Refusal { line: 1, sku: sku("MUG"), reason: "insufficient-stock".to_owned() };
        let cancel = || Command::Cancel { reason: "changed-my-mind".to_owned() };
        for (status, commands) in [
            (Status::Placed, vec![]),
            (Status::Confirmed, vec![Command::Confirm]),
            (Status::Shipped, vec![Command::Confirm, Command::Ship]),
            (Status::Refused, vec![Command::Refuse { refusal: refusal.clone() }]),
            (Status::Cancelled, vec![Command::Confirm, cancel()]),
        ] {
            // Credited before or after: neither prevents the other.
            for before in [false, true] {
                let mut order = placed();
                if before {
                    done(&mut order, credit(vec![part(1, 1, 500)])).unwrap();
                }
                for command in commands.clone() {
                    done(&mut order, command).unwrap();
                }
                assert_eq!(order.status, status);
                let after = done(&mut order, credit(vec![part(1, 1, 500)]));
                let charged = !matches!(status, Status::Refused | Status::Cancelled);
                assert_eq!(order.is_charged(), charged);
                if !charged {
                    assert_eq!(after, Err(order::Error::WrongOrderState(status)));
                    continue;
                }
                let total = gbp(500);
                let (credit_note_id, lines, earlier) = (note(1), vec![part(1, 1, 500)], false);
                assert_eq!(after, Ok(vec![Event::OrderCredited { credit_note_id, lines, total, earlier }]));
            }
        }
        let nothing = done(&mut Order::default(), credit(vec![part(1, 1, 500)]));
        assert_eq!(nothing, Err(order::Error::OrderNotFound));
    }

    #[test]
    fn a_credit_note_that_an_earlier_release_issued_counts_once_whatever_it_says() {
        let old = |number, name: &str, quantity, price: Money| EarlierCredit {
            credit_note_id: note(number),
            total: price.times(quantity).unwrap(),
            lines: vec![Line { sku: sku(name), quantity, price, ..lines()[0].clone() }],
        };
        let with = |order: &mut Order, earlier: Vec<EarlierCredit>| {
            let one = vec![part(2, 1, 400)];
            done(order, Command::Credit { credit_note_id: note(9), lines: one, earlier })
        };
        let mut order = placed();
        let known = old(1, "MUG", 3, gbp(400));
        assert_eq!(
            order.allocate(std::slice::from_ref(&known), &[request("MUG", 9)]).unwrap_err().error,
            Error::CreditTooLarge { left: 2 }
        );
        let events = with(&mut order, vec![known.clone()]).unwrap();
        let earlier = Event::OrderCredited {
            credit_note_id: note(1),
            lines: vec![part(1, 2, 400), part(2, 1, 400)],
            total: gbp(1_200),
            earlier: true,
        };
        assert_eq!((events.len(), &events[0]), (2, &earlier));
        // The same one again adds nothing: one unit of the second line is left.
        assert_eq!(with(&mut order, vec![known.clone()]).unwrap().len(), 1);
        assert_eq!(with(&mut order, vec![known]), Err(Error::CreditTooLarge { left: 0 }.into()));

        // Of a SKU that the order never had: its money is gone all the same.
        let mut order = placed();
        assert_eq!(
            with(&mut order, vec![old(1, "POT", 1, gbp(2_000))]),
            Err(Error::CreditTooLarge { left: 0 }.into())
        );
        // In another currency: nobody knows how much that was, and it is kept beside the order's own.
        let yen = old(1, "MUG", 1, Money::new(100_000, "JPY".parse().unwrap()));
        assert_eq!(with(&mut order, vec![yen]).unwrap().len(), 2);
        assert_eq!((order.credits.amount, order.credits.earlier.len()), (400, 1));

        // For more than the line's price: what is left of the line's money is left, however many units are.
        let dear = || vec![old(1, "MUG", 1, gbp(900))];
        let of_first = |pence| Command::Credit {
            credit_note_id: note(9),
            lines: vec![part(1, 1, pence)],
            earlier: dear(),
        };
        let refused = done(&mut placed(), of_first(101));
        assert_eq!(refused, Err(Error::CreditTooLarge { left: 0 }.into()));
        assert_eq!(done(&mut placed(), of_first(100)).unwrap().len(), 2);

        // It takes no more of a line than is left, and no more than it needs.
        let mut order = placed();
        done(&mut order, credit(vec![part(1, 1, 500)])).unwrap();
        let lines = |events: Vec<Event>| match events.into_iter().next() {
            Some(Event::OrderCredited { lines, .. }) => lines,
            other => panic!("{other:?}"),
        };
        let earlier = vec![old(1, "MUG", 1, gbp(100))];
        let cup = Command::Credit { credit_note_id: note(9), lines: vec![part(3, 1, 0)], earlier };
        assert_eq!(lines(done(&mut order, cup).unwrap()), [part(1, 1, 100)]);
        assert_eq!(lines(with(&mut order, vec![old(2, "MUG", 2, gbp(100))]).unwrap()), [part(2, 2, 100)]);
    }

    #[test]
    fn credits_read_back_as_they_were_stored() {
        let mut order = placed();
        let stored = serde_json::to_string(&order).unwrap();
        assert!(!stored.contains("credits"), "an order without credits is stored as ever: {stored}");
        done(&mut order, credit(vec![part(1, 1, 500), part(2, 2, 100)])).unwrap();
        let stored = serde_json::to_value(&order).unwrap();
        assert_eq!(stored["credits"]["lines"]["2"], serde_json::json!({ "units": 2, "amount": 200 }));
        assert_eq!(serde_json::from_value::<Order>(stored).unwrap(), order);
        let text = serde_json::to_string(&order).unwrap();
        assert_eq!(serde_json::from_str::<Order>(&text).unwrap(), order);
    }
}
