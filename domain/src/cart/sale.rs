//! What a cart costs now: a pure function of its lines and of what is sold.

use std::collections::BTreeMap;

use super::line::Line;
use crate::money::MOST_TOTAL;
use crate::text::Sku;
use crate::{Currency, Money};

/// So few units are worth a word.
const FEW: i64 = 5;

/// What a line is sold as now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    pub name: String,
    pub price: Option<Money>,
}

/// What the owner of a cart should know about a line.
#[derive(Debug, Clone, PartialEq, Eq, strum::AsRefStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Notice {
    /// Since they last saw it.
    PriceChanged {
        from: Money,
        to: Money,
    },
    /// Since they last saw it.
    Renamed {
        from: String,
        to: String,
    },
    NotSold,
    WithoutPrice,
    /// It costs another currency than the cart's.
    OtherCurrency {
        price: Money,
    },
    /// More than an order may come to.
    TotalTooLarge,
    FewLeft {
        available: i64,
    },
    /// More units are in the cart than there are.
    NotEnough {
        available: i64,
    },
}

/// A line with what it costs now.
#[derive(Debug, Clone, PartialEq)]
pub struct Priced<'l> {
    pub line: &'l Line,
    /// The present name; of what is no longer sold the one that was seen.
    pub name: &'l str,
    /// Of one unit; `None`: it is not sold.
    pub price: Option<Money>,
    /// Of all its units. `None`: it is not in the total.
    pub amount: Option<Money>,
    pub notices: Vec<Notice>,
}

/// The lines as they are sold now, and what those that are not kept for later cost together.
pub fn price<'l>(
    currency: Currency,
    lines: &'l [Line],
    offer: impl Fn(&Line) -> Option<&'l Offer>,
    available: impl Fn(&Sku) -> i64,
) -> (Vec<Priced<'l>>, Money) {
    let mut wanted: BTreeMap<&Sku, i64> = BTreeMap::new();
    for line in lines.iter().filter(|line| !line.saved) {
        *wanted.entry(&line.sku).or_default() += i64::from(line.quantity);
    }
    let mut total = Money::new(0, currency);
    let priced = lines.iter().map(|line| {
        let Some(Offer { name, price }) = offer(line) else {
            let (name, notices) = (line.seen.name.as_str(), vec![Notice::NotSold]);
            return Priced { line, name, price: None, amount: None, notices };
        };
        let mut notices = changed(line, name, *price);
        let amount =
            price.filter(|_| !line.saved).and_then(|price| count(line, price, &mut total, &mut notices));
        notices.extend(scarce(available(&line.sku), wanted.get(&line.sku).copied().unwrap_or(0)));
        Priced { line, name, price: *price, amount, notices }
    });
    (priced.collect(), total)
}

/// What is not as it was seen.
fn changed(line: &Line, name: &str, price: Option<Money>) -> Vec<Notice> {
    let renamed = (name != line.seen.name)
        .then(|| Notice::Renamed { from: line.seen.name.clone(), to: name.to_owned() });
    let price = match price {
        None => Some(Notice::WithoutPrice),
        Some(to) if to != line.seen.price => Some(Notice::PriceChanged { from: line.seen.price, to }),
        Some(_) => None,
    };
    price.into_iter().chain(renamed).collect()
}

/// Adds a line to the total, if it can be.
fn count(line: &Line, price: Money, total: &mut Money, notices: &mut Vec<Notice>) -> Option<Money> {
    if price.currency != total.currency {
        notices.push(Notice::OtherCurrency { price });
        return None;
    }
    let amount = price.times(line.quantity);
    match amount.and_then(|amount| total.plus(amount)).filter(|sum| sum.amount <= MOST_TOTAL) {
        Some(sum) => {
            *total = sum;
            amount
        }
        None => {
            notices.push(Notice::TotalTooLarge);
            None
        }
    }
}

fn scarce(available: i64, wanted: i64) -> Option<Notice> {
    let available = available.max(0);
    if available < wanted {
        Some(Notice::NotEnough { available })
    } else {
        (available <= FEW).then_some(Notice::FewLeft { available })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cart::Seen;
    use crate::golden::{gbp, product_id, sku};

    fn line(line: u32, name: &str, quantity: u32, price: i64) -> Line {
        let (sku, seen) = (sku(name), Seen { name: name.to_owned(), price: gbp(price) });
        Line { line, sku, product_id: product_id(), quantity, note: None, seen, saved: false }
    }

    fn offer(name: &str, price: i64) -> Offer {
        Offer { name: name.to_owned(), price: Some(gbp(price)) }
    }

    fn priced(lines: &[Line], offers: &[(&str, Offer)], available: i64) -> (Vec<Vec<Notice>>, i64) {
        let find =
            |line: &Line| offers.iter().find(|(sku, _)| *sku == line.sku.as_str()).map(|(_, offer)| offer);
        // The borrow of the offers is as long as that of the lines.
        let (priced, total) = price(Currency::GBP, lines, find, |_| available);
        (priced.into_iter().map(|one| one.notices).collect(), total.amount)
    }

    #[test]
    fn a_line_says_from_which_price_to_which_and_costs_the_new_one() {
        let (lines, offers) = ([line(1, "MUG", 2, 1_000)], [("MUG", offer("MUG", 1_250))]);
        let (notices, total) = priced(&lines, &offers, 100);
        assert_eq!(notices, [[Notice::PriceChanged { from: gbp(1_000), to: gbp(1_250) }]]);
        assert_eq!(total, 2_500);
    }

    #[test]
    fn a_line_says_that_its_product_has_another_name() {
        let (lines, offers) = ([line(1, "MUG", 1, 1_000)], [("MUG", offer("Cup", 1_000))]);
        let renamed = Notice::Renamed { from: "MUG".to_owned(), to: "Cup".to_owned() };
        assert_eq!(priced(&lines, &offers, 100), (vec![vec![renamed]], 1_000));
    }

    #[test]
    fn what_is_no_longer_sold_or_saved_is_not_in_the_total() {
        let saved = Line { saved: true, ..line(2, "CUP", 1, 500) };
        let lines = [line(1, "MUG", 1, 1_000), saved, line(3, "CUP", 1, 500)];
        let (notices, total) = priced(&lines, &[("CUP", offer("CUP", 500))], 100);
        assert_eq!(notices, [vec![Notice::NotSold], vec![], vec![]]);
        assert_eq!(total, 500);
    }

    #[test]
    fn the_units_of_all_lines_of_a_sku_are_compared_with_what_there_is() {
        let lines = [line(1, "MUG", 2, 1), line(2, "MUG", 2, 1)];
        let offers = [("MUG", offer("MUG", 1))];
        for (available, expected) in [
            (3, vec![Notice::NotEnough { available: 3 }]),
            (4, vec![Notice::FewLeft { available: 4 }]),
            (FEW, vec![Notice::FewLeft { available: FEW }]),
            (FEW + 1, vec![]),
            (-2, vec![Notice::NotEnough { available: 0 }]),
        ] {
            assert_eq!(priced(&lines, &offers, available).0, [expected.clone(), expected], "{available}");
        }
    }

    #[test]
    fn what_would_pass_the_most_that_an_order_may_cost_is_not_counted_and_says_so() {
        let lines = [line(1, "MUG", 100_000, 1), line(2, "CUP", 1, 1)];
        let offers = [("MUG", offer("MUG", i64::MAX / 2)), ("CUP", offer("CUP", 7))];
        let (notices, total) = priced(&lines, &offers, 1_000_000);
        assert!(notices[0].contains(&Notice::TotalTooLarge), "{notices:?}");
        assert_eq!(total, 7);
    }
}
