//! The plan of a file: the products to sell, the customers, the stock to receive, and the orders, counts and credit
//! notes.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use soonshop_domain::text::Sku;

use super::rows::Row;

/// Something that is sold.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PlannedProduct {
    pub(super) sku: Sku,
    /// The first description with any text, or the code.
    pub(super) name: String,
    /// The price at its first sale; `None` if it was never sold.
    pub(super) pence: Option<i64>,
    pub(super) at: DateTime<Utc>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Buyer {
    pub(super) number: String,
    pub(super) country: String,
    pub(super) at: DateTime<Utc>,
}

/// The stock that must be received so that everything else can leave.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Receipt {
    pub(super) sku: Sku,
    pub(super) quantity: u64,
    pub(super) at: DateTime<Utc>,
}

/// A line without a price.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Adjustment {
    pub(super) invoice: String,
    pub(super) sku: Sku,
    /// Which of that invoice and code it is, from 1.
    pub(super) occurrence: u32,
    pub(super) quantity: i64,
    pub(super) at: DateTime<Utc>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) sku: Sku,
    pub(super) quantity: u32,
    /// Of one unit.
    pub(super) pence: i64,
}

/// An order, or a credit note.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sale {
    pub(super) number: String,
    /// None: a guest.
    pub(super) buyer: Option<String>,
    pub(super) country: String,
    /// The earliest of its lines.
    pub(super) at: DateTime<Utc>,
    pub(super) lines: Vec<Line>,
}

/// The plan of one file, in the order of its rows.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) goods: Vec<PlannedProduct>,
    pub(super) buyers: Vec<Buyer>,
    pub(super) receipts: Vec<Receipt>,
    pub(super) adjustments: Vec<Adjustment>,
    pub(super) orders: Vec<Sale>,
    pub(super) credit_notes: Vec<Sale>,
}

impl Plan {
    /// The rows that it came from.
    pub(super) fn rows(&self) -> u64 {
        let lines = self.orders.iter().chain(&self.credit_notes).map(|sale| sale.lines.len());
        u64::try_from(self.adjustments.len() + lines.sum::<usize>()).unwrap_or(u64::MAX)
    }
}

/// Builds a plan from rows.
#[derive(Default)]
pub(super) struct Planner {
    plan: Plan,
    goods: HashMap<Sku, SkuFacts>,
    buyers: HashMap<String, usize>,
    orders: HashMap<String, usize>,
    credit_notes: HashMap<String, usize>,
    occurrences: HashMap<(String, Sku), u32>,
    began: Option<DateTime<Utc>>,
}

/// The facts gathered about a SKU.
struct SkuFacts {
    index: usize,
    named: bool,
    /// What leaves.
    needed: u64,
}

impl Planner {
    pub(super) fn add(&mut self, row: Row) {
        let Row { invoice, sku, description, quantity, at, pence, customer, country } = row;
        self.began = Some(self.began.map_or(at, |began| began.min(at)));
        let known = self.goods.entry(sku.clone()).or_insert_with(|| {
            let name = sku.to_string();
            self.plan.goods.push(PlannedProduct { sku: sku.clone(), name, pence: None, at });
            SkuFacts { index: self.plan.goods.len() - 1, named: false, needed: 0 }
        });
        let good = &mut self.plan.goods[known.index];
        good.at = good.at.min(at);
        if let (false, Some(name)) = (known.named, description) {
            good.name = name;
            known.named = true;
        }
        if let Some(number) = &customer {
            let index = *self.buyers.entry(number.clone()).or_insert_with(|| {
                self.plan.buyers.push(Buyer { number: number.clone(), country: country.clone(), at });
                self.plan.buyers.len() - 1
            });
            let buyer = &mut self.plan.buyers[index];
            buyer.at = buyer.at.min(at);
        }
        if pence == 0 {
            if quantity < 0 {
                known.needed += quantity.unsigned_abs();
            }
            let occurrence = self.occurrences.entry((invoice.clone(), sku.clone())).or_default();
            *occurrence += 1;
            let occurrence = *occurrence;
            self.plan.adjustments.push(Adjustment { invoice, sku, occurrence, quantity, at });
            return;
        }
        let credit = invoice.starts_with('C');
        let (sales, book) = if credit {
            (&mut self.plan.credit_notes, &mut self.credit_notes)
        } else {
            good.pence.get_or_insert(pence);
            known.needed += quantity.unsigned_abs();
            (&mut self.plan.orders, &mut self.orders)
        };
        let index = *book.entry(invoice).or_insert_with_key(|invoice| {
            sales.push(Sale { number: invoice.clone(), buyer: customer, country, at, lines: Vec::new() });
            sales.len() - 1
        });
        let sale = &mut sales[index];
        sale.at = sale.at.min(at);
        // Rows with other quantities are broken.
        let quantity = u32::try_from(quantity.unsigned_abs()).unwrap_or(u32::MAX);
        sale.lines.push(Line { sku, quantity, pence });
    }

    pub(super) fn finish(self) -> Plan {
        let Self { mut plan, goods, began, .. } = self;
        let Some(at) = began else { return plan };
        let needed = |sku: &Sku| goods.get(sku).map_or(0, |known| known.needed);
        let receipts = plan.goods.iter().map(|good| (good.sku.clone(), needed(&good.sku)));
        let receipts = receipts.filter(|(_, quantity)| *quantity > 0);
        plan.receipts = receipts.map(|(sku, quantity)| Receipt { sku, quantity, at }).collect();
        plan
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: u32) -> DateTime<Utc> {
        format!("2010-12-01T08:{minute:02}:00Z").parse().unwrap()
    }

    fn sku(code: &str) -> Sku {
        Sku::try_new(code).unwrap()
    }

    fn row(invoice: &str, code: &str, quantity: i64, pence: i64, minute: u32) -> Row {
        Row {
            invoice: invoice.to_owned(),
            sku: sku(code),
            description: None,
            quantity,
            at: at(minute),
            pence,
            customer: None,
            country: "UK".to_owned(),
        }
    }

    fn plan(rows: impl IntoIterator<Item = Row>) -> Plan {
        let mut planner = Planner::default();
        rows.into_iter().for_each(|row| planner.add(row));
        planner.finish()
    }

    #[test]
    fn a_product_has_the_name_and_price_of_its_first_sale() {
        let plan = plan([
            row("1", "mug", 5, 0, 3),
            Row { description: Some("A MUG".into()), ..row("C2", "MUG", -1, 999, 2) },
            Row { description: Some("another".into()), ..row("3", "Mug", 1, 250, 1) },
            row("4", "mug", 1, 300, 4),
            row("C5", "cup", -1, 100, 5),
        ]);
        let mug = PlannedProduct { sku: sku("MUG"), name: "A MUG".into(), pence: Some(250), at: at(1) };
        let cup = PlannedProduct { sku: sku("CUP"), name: "CUP".into(), pence: None, at: at(5) };
        assert_eq!(plan.goods, [mug, cup]);
    }

    #[test]
    fn stock_is_received_before_it_leaves() {
        let plan = plan([
            row("1", "mug", 5, 100, 3),
            row("2", "mug", -7, 0, 2),
            row("3", "mug", 50, 0, 4),
            row("C4", "mug", -2, 100, 4),
            row("C4", "cup", -2, 100, 4),
        ]);
        assert_eq!(plan.receipts, [Receipt { sku: sku("MUG"), quantity: 12, at: at(2) }]);
    }

    #[test]
    fn lines_of_one_invoice_are_one_order_placed_when_its_first_line_was() {
        let guest = plan([row("1", "mug", 2, 100, 9), row("2", "mug", 1, 0, 1), row("1", "MUG", 3, 90, 7)]);
        let line = |quantity, pence| Line { sku: sku("MUG"), quantity, pence };
        let order = Sale {
            number: "1".into(),
            buyer: None,
            country: "UK".into(),
            at: at(7),
            lines: vec![line(2, 100), line(3, 90)],
        };
        assert_eq!(guest.orders, [order]);
        let buyer = |number: &str| Some(number.to_owned());
        let known = plan([
            Row { customer: buyer("17"), ..row("1", "mug", 1, 100, 2) },
            Row { customer: buyer("17"), country: "EIRE".into(), ..row("C1", "mug", -1, 100, 1) },
        ]);
        assert_eq!(known.buyers, [Buyer { number: "17".into(), country: "UK".into(), at: at(1) }]);
        assert_eq!(
            (known.orders[0].buyer.as_deref(), known.credit_notes[0].country.as_str()),
            (Some("17"), "EIRE")
        );
    }

    #[test]
    fn adjustments_of_one_invoice_and_code_are_told_apart_by_their_order() {
        let plan = plan([
            row("1", "mug", 1, 0, 1),
            row("1", "cup", 1, 0, 1),
            row("1", "MUG", 1, 0, 1),
            row("2", "mug", 1, 0, 1),
        ]);
        let occurrences: Vec<_> = plan.adjustments.iter().map(|adjustment| adjustment.occurrence).collect();
        assert_eq!(occurrences, [1, 1, 2, 1]);
    }
}
