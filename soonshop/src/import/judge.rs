//! Compares the documents of the files with those that imports have stored, and plans what is missing. What differs is
//! reported by document and line, and nothing of such a document is added.

mod compared;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use soonshop_domain::ids::{GuestId, UserId};
use soonshop_domain::money::MOST_TOTAL;
use soonshop_domain::order::{self, Customer, MOST_LINES};
use soonshop_domain::text::{Sku, folded};
use uuid::Uuid;

use compared::{Compared, StoredAt, message, pounds};

use super::book::{Book, Entry};
use super::natural::{Kind, cause, guest, spellings};
use super::plan::{Adjustment, Buyer, Line, Plan, PlannedProduct, Receipt, Sale, number};
use super::report::{Difference, Report};
use super::stored::{EarlierImports, StoredAdjustment, StoredSale};

/// The longest number that a document may have.
const LONGEST_NUMBER: usize = 64;

/// How many numbers of adjustments of one code are looked up beyond those that the file has: an adjustment that was
/// refused leaves a gap.
const GAPS: u32 = 8;

/// The work that is still to be done, and the report of the rest.
pub(super) fn judge(book: &Book, stored: &EarlierImports, parts: bool, report: &mut Report) -> Plan {
    let mut judge = Judge {
        book,
        stored,
        parts,
        report,
        plan: Plan::default(),
        leaving: BTreeMap::new(),
        not_added: HashSet::new(),
        unnamed: stored.unnamed(),
        numbers: book
            .documents()
            .map(|(document, _)| document)
            .filter(|number| number.contains('/'))
            .map(folded)
            .collect(),
    };
    let mut known = HashSet::new();
    let mut adjusted = Vec::new();
    for (document, entries) in book.documents() {
        let (counts, lines): (Vec<_>, Vec<_>) = entries.into_iter().partition(|entry| entry.is_adjustment());
        let counted = judge.was_counted(document, &lines, &counts);
        let lacks_lines = judge.sale(document, &lines, counted);
        if !counts.is_empty() || counted || judge.is_stored(document) {
            let compared = judge.compare_adjustments(document, &counts, &mut known);
            adjusted.push((document, ComparedAdjustments { lacks_lines, ..compared }));
        }
    }
    judge.missing_adjustments(adjusted, &known);
    let rows = book.taken().into_iter().filter(|entry| !judge.not_added.contains(&entry.index));
    let rows: Vec<&Entry> = rows.collect();
    judge.goods_and_buyers(&rows);
    judge.receipts(&rows);
    judge.plan
}

struct Judge<'a> {
    book: &'a Book,
    stored: &'a EarlierImports,
    parts: bool,
    report: &'a mut Report,
    plan: Plan,
    /// The units that leave by what is planned, and the documents that they are for, by code.
    leaving: BTreeMap<Sku, (u64, Uuid)>,
    /// Rows that are taken from the files and are not added, by index.
    not_added: HashSet<u32>,
    /// Stored adjustments whose invoice nothing tells, and that no row was found for yet.
    unnamed: Vec<StoredAdjustment>,
    /// The numbers of the files' documents that look like those of supplements, folded.
    numbers: HashSet<String>,
}

/// The adjustments of one document in the files.
struct ComparedAdjustments<'a> {
    /// Each that is not stored, with what is still free to number it by.
    missing: Vec<(&'a Entry, u32)>,
    /// Those that are stored and that the files do not have.
    surplus: Vec<StoredAdjustment>,
    /// The files lack lines of the order or credit note, or differ from it.
    lacks_lines: bool,
}

fn kind_of(document: &str) -> Kind {
    if document.starts_with(['C', 'c']) { Kind::CreditNote } else { Kind::Order }
}

fn name_of(kind: Kind, number: &str) -> String {
    format!("{} {number}", if kind == Kind::CreditNote { "credit note" } else { kind.name() })
}

impl Judge<'_> {
    /// Every code and every customer of the rows.
    fn goods_and_buyers(&mut self, rows: &[&Entry]) {
        let book = self.book;
        let mut goods: HashMap<u32, usize> = HashMap::new();
        let mut buyers: HashMap<&str, usize> = HashMap::new();
        for entry in rows {
            let (all, at) = (&mut self.plan.goods, entry.at);
            let index = *goods.entry(entry.sku).or_insert_with(|| {
                let (sku, name) = (book.sku(entry).clone(), book.name(entry));
                all.push(PlannedProduct { sku, name, pence: None, at });
                all.len() - 1
            });
            let good = &mut all[index];
            good.at = good.at.min(at);
            if entry.quantity > 0 && !entry.is_adjustment() {
                good.pence.get_or_insert(entry.pence);
            }
            let Some(number) = book.customer(entry) else { continue };
            let all = &mut self.plan.buyers;
            let index = *buyers.entry(number).or_insert_with(|| {
                all.push(Buyer { number: number.to_owned(), country: book.country(entry).to_owned(), at });
                all.len() - 1
            });
            let buyer = &mut all[index];
            buyer.at = buyer.at.min(at);
        }
    }

    /// Whether goods that have a price now were stored without one, as an adjustment of the same document: the row was
    /// mended, and what it says now would count its goods twice.
    fn was_counted(&self, document: &str, lines: &[&Entry], counts: &[&Entry]) -> bool {
        let still_counted: HashSet<u32> = counts.iter().map(|entry| entry.sku).collect();
        let is_stored = |entry: &Entry| self.stored.adjustment(document, self.book.sku(entry), 1).is_some();
        let mut mended = lines.iter().filter(|entry| !still_counted.contains(&entry.sku));
        !self.parts && mended.any(|entry| is_stored(entry))
    }

    /// Whether lines of the document are stored.
    fn is_stored(&self, document: &str) -> bool {
        !self.stored.pieces(kind_of(document), document).is_empty()
    }

    /// The lines of an order or a credit note; `counted`: some of their goods were stored as adjustments. Whether the
    /// files lack lines that are stored, or differ from them.
    fn sale(&mut self, document: &str, lines: &[&Entry], counted: bool) -> bool {
        let kind = kind_of(document);
        let pieces = self.stored.pieces(kind, document);
        if pieces.is_empty() && !counted {
            if !lines.is_empty() {
                self.add(kind, document, 1, lines);
            }
            return false;
        }
        let compared = Compared::of(self.book, lines, pieces);
        let mut same_header = true;
        if !pieces.is_empty() {
            self.report.count(kind).there += 1;
            let first = lines.first();
            same_header = first.is_none_or(|first| self.same_header(kind, document, first, pieces));
            // Both are compared: each difference is reported.
            same_header = self.same_date(kind, document, lines, pieces, &compared) && same_header;
        }
        let Compared { missing, surplus, .. } = compared;
        if !same_header {
            self.not_added.extend(lines.iter().map(|entry| entry.index));
        }
        let lacks_lines = !same_header || !surplus.is_empty();
        let adds = same_header && !counted && (surplus.is_empty() || self.parts);
        if adds {
            if !missing.is_empty() {
                let mut piece = pieces.last().map_or(1, |last| last.piece) + 1;
                // A document may have the number that a supplement would have.
                while self.has_number(kind, &number(document, piece)) {
                    piece += 1;
                }
                self.add(kind, document, piece, &missing);
            }
            return false;
        }
        let mut surplus: Vec<_> = surplus.into_iter().map(Some).collect();
        for entry in missing {
            let line = |line: &StoredAt| line.sku == *self.book.sku(entry);
            let like = surplus.iter_mut().find(|other| other.as_ref().is_some_and(line));
            let message = message(entry.quantity.unsigned_abs(), self.book.sku(entry), pounds(entry.pence));
            let reason = match like.and_then(Option::take) {
                Some(other) => format!("it says {message}, and {other}: nothing was changed"),
                None if same_header => format!(
                    "{message} is not stored, and was not added, because the files lack lines that are stored; say \
                     --parts if they have other parts of the document"
                ),
                None => format!("{message} is not stored, and was not added"),
            };
            self.report.differs(self.book.at(&name_of(kind, document), entry, reason));
            self.not_added.insert(entry.index);
        }
        for other in surplus.into_iter().flatten().filter(|_| !self.parts) {
            let reason = format!("{other}, which the files do not have: nothing was changed");
            self.report.differs(nowhere(name_of(kind, document), reason));
        }
        lacks_lines
    }

    /// Whether customer and country are those that are stored; a difference is reported.
    fn same_header(&mut self, kind: Kind, document: &str, first: &Entry, pieces: &[StoredSale]) -> bool {
        let Some(stored) = pieces.first() else { return true };
        let same_customer = match (self.book.customer(first), stored.customer) {
            (None, Customer::Guest(id)) => {
                spellings(document).any(|document| id == GuestId(guest(&document)))
            }
            // A number that nothing is known of may have been registered over HTTP by an earlier release: then the number
            // of that user is not known either.
            (Some(number), Customer::User(id)) => match self.stored.user_of(number) {
                Some(user) => UserId(user) == id,
                None => !self.stored.is_numbered(id.0),
            },
            _ => false,
        };
        let same_country = folded(self.book.country(first)) == folded(&stored.country);
        for (same, what) in [(same_customer, "customer"), (same_country, "country")] {
            if !same {
                let reason = format!("it has another {what} than is stored: nothing was changed");
                self.report.differs(self.book.at(&name_of(kind, document), first, reason));
            }
        }
        same_customer && same_country
    }

    /// Whether the document was placed when its earliest line was; a difference is reported.
    fn same_date(
        &mut self,
        kind: Kind,
        document: &str,
        lines: &[&Entry],
        pieces: &[StoredSale],
        compared: &Compared<'_>,
    ) -> bool {
        let Some(first) = lines.iter().min_by_key(|entry| entry.at) else { return true };
        let mut stored = pieces.iter().map(|piece| piece.at);
        let same = if !compared.surplus.is_empty() {
            // Of a part only this is known: none of its lines is before all others.
            self.parts || stored.min().is_none_or(|at| at <= first.at)
        } else if let Some(piece) = compared.piece {
            stored.nth(piece) == Some(first.at)
        } else if compared.missing.is_empty() && pieces.len() == 1 {
            stored.all(|at| at == first.at)
        } else {
            stored.all(|at| lines.iter().any(|entry| entry.at == at))
        };
        if !same {
            let reason = "it has another date than is stored: nothing was changed";
            self.report.differs(self.book.at(&name_of(kind, document), first, reason));
        }
        same
    }

    /// Whether a document of the files, or one that is stored, has this number.
    fn has_number(&self, kind: Kind, number: &str) -> bool {
        self.numbers.contains(&folded(number)) || self.stored.has_number(kind, number)
    }

    /// Plans an order or a credit note, unless its rules refuse it.
    fn add(&mut self, kind: Kind, document: &str, piece: u32, lines: &[&Entry]) {
        let Some(first) = lines.first() else { return };
        let book = self.book;
        let number = number(document, piece);
        let total: i128 = lines
            .iter()
            .map(|entry| i128::from(entry.quantity.unsigned_abs()) * i128::from(entry.pence))
            .sum();
        let refused = if lines.len() > MOST_LINES {
            Some(format!("bad-lines: it has more than {MOST_LINES} lines"))
        } else if total > i128::from(MOST_TOTAL) {
            Some(format!("total-too-large: {}", order::Error::TotalTooLarge))
        } else if number.chars().count() > LONGEST_NUMBER {
            Some(format!("its number would have more than {LONGEST_NUMBER} characters"))
        } else if self.stored.is_taken(kind, &number) {
            Some("another one, that no import brought, has this number".to_owned())
        } else if piece == 1 && self.stored.has_number(kind, &number) {
            Some("a supplement to another one has this number".to_owned())
        } else {
            None
        };
        if let Some(reason) = refused {
            self.report.refused(format!("{} {number}", kind.name()), reason);
            self.not_added.extend(lines.iter().map(|entry| entry.index));
            return;
        }
        let planned = lines.iter().map(|entry| Line {
            sku: book.sku(entry).clone(),
            // Rows with other quantities are broken.
            quantity: u32::try_from(entry.quantity.unsigned_abs()).unwrap_or(u32::MAX),
            pence: entry.pence,
        });
        let sale = Sale {
            document: document.to_owned(),
            piece,
            buyer: book.customer(first).map(str::to_owned),
            country: book.country(first).to_owned(),
            at: lines.iter().map(|entry| entry.at).min().unwrap_or(first.at),
            lines: planned.collect(),
        };
        if kind == Kind::CreditNote {
            self.plan.credit_notes.push(sale);
            return;
        }
        for line in &sale.lines {
            self.leaves(&line.sku, u64::from(line.quantity), document, piece);
        }
        self.plan.orders.push(sale);
    }

    /// The lines without a price, which are compared one by one with those of the same invoice and code.
    fn compare_adjustments<'e>(
        &mut self,
        document: &str,
        entries: &[&'e Entry],
        known: &mut HashSet<Uuid>,
    ) -> ComparedAdjustments<'e> {
        let mut by_sku: BTreeMap<&Sku, Vec<&'e Entry>> = BTreeMap::new();
        for entry in entries {
            by_sku.entry(self.book.sku(entry)).or_default().push(entry);
        }
        let mut found = ComparedAdjustments { missing: Vec::new(), surplus: Vec::new(), lacks_lines: false };
        for (sku, entries) in by_sku {
            let (mut stored, mut free) = (Vec::new(), Vec::new());
            let (mut occurrence, mut gaps) = (0, 0);
            let least = u32::try_from(entries.len()).unwrap_or(u32::MAX);
            while gaps < least.saturating_add(GAPS) {
                occurrence += 1;
                if let Some((id, adjustment)) = self.stored.adjustment(document, sku, occurrence) {
                    known.insert(id);
                    stored.push(adjustment.clone());
                } else {
                    free.push(occurrence);
                    gaps += 1;
                }
            }
            let mut free = free.into_iter();
            for entry in entries {
                let same = |other: &StoredAdjustment| {
                    other.quantity == entry.quantity && other.at == entry.at && other.sku == *sku
                };
                let known = [&mut stored, &mut self.unnamed].into_iter().any(|stored| {
                    let found = stored.iter().position(same);
                    found.map(|index| stored.swap_remove(index)).is_some()
                });
                if known {
                    self.report.count(Kind::Adjustment).there += 1;
                } else if let Some(occurrence) = free.next() {
                    found.missing.push((entry, occurrence));
                }
            }
            found.surplus.extend(stored);
        }
        found
    }

    /// Plans the adjustments that are not stored, of each document that lacks none of those that are.
    fn missing_adjustments(
        &mut self,
        documents: Vec<(&str, ComparedAdjustments<'_>)>,
        known: &HashSet<Uuid>,
    ) {
        // An adjustment of a code that the document has no more: it is found by its key.
        let others = self.stored.adjustments.iter().filter(|(id, _)| !known.contains(id));
        let skus: BTreeSet<&Sku> = others.map(|(_, adjustment)| &adjustment.sku).collect();
        for (document, ComparedAdjustments { missing, mut surplus, lacks_lines }) in documents {
            for sku in &skus {
                let stored = self.stored.adjustment(document, sku, 1);
                if let Some((_, other)) = stored.filter(|(id, _)| !known.contains(id)) {
                    surplus.push(other.clone());
                }
            }
            if (surplus.is_empty() && !lacks_lines) || self.parts {
                for (entry, occurrence) in missing {
                    self.adjust(document, entry, occurrence);
                }
                continue;
            }
            for (entry, _) in missing {
                let sku = self.book.sku(entry);
                let like = surplus.iter().position(|other| other.sku == *sku);
                let reason = match like.map(|index| surplus.swap_remove(index)) {
                    Some(other) => format!(
                        "it says {} of {sku} at {}, and {} at {} is stored: nothing was changed; say --parts if \
                         these are two lines",
                        entry.quantity, entry.at, other.quantity, other.at
                    ),
                    None => format!(
                        "{} of {sku} is not stored, and was not added, because the files lack lines that are \
                         stored; say --parts if they have other parts of the document",
                        entry.quantity
                    ),
                };
                self.report.differs(self.book.at(&format!("adjustment {document}"), entry, reason));
                self.not_added.insert(entry.index);
            }
            for other in surplus {
                let reason = format!(
                    "{} of {} is stored, which the files do not have: nothing was changed",
                    other.quantity, other.sku
                );
                self.report.differs(nowhere(format!("adjustment {document}"), reason));
            }
        }
    }

    fn adjust(&mut self, document: &str, entry: &Entry, occurrence: u32) {
        let sku = self.book.sku(entry).clone();
        if entry.quantity < 0 {
            self.leaves(&sku, entry.quantity.unsigned_abs(), document, occurrence);
        }
        let (invoice, quantity, at) = (document.to_owned(), entry.quantity, entry.at);
        self.plan.adjustments.push(Adjustment { invoice, sku, occurrence, quantity, at });
    }

    fn leaves(&mut self, sku: &Sku, units: u64, document: &str, piece: u32) {
        let (all, causes) = self.leaving.entry(sku.clone()).or_default();
        *all += units;
        *causes = cause(*causes, document, piece);
    }

    /// The stock that must be there before what is planned can leave: all that leaves by imports, without what they have
    /// received. Each receipt is known by the sum that it leads to, so that it is never repeated.
    fn receipts(&mut self, rows: &[&Entry]) {
        let Some(at) = rows.iter().map(|entry| entry.at).min() else { return };
        let leaves = |entry: &Entry| entry.is_adjustment() == (entry.quantity < 0);
        let all: HashSet<u32> = rows.iter().filter(|entry| leaves(entry)).map(|entry| entry.sku).collect();
        for (sku, (leaving, cause)) in std::mem::take(&mut self.leaving) {
            let received = self.stored.received_of(&sku);
            let needed = (self.stored.left_of(&sku) + leaving).saturating_sub(received).min(leaving);
            let mut total = received;
            let mut rest = needed;
            while rest > 0 {
                let quantity = u32::try_from(rest).unwrap_or(u32::MAX);
                rest -= u64::from(quantity);
                total += u64::from(quantity);
                self.plan.receipts.push(Receipt { sku: sku.clone(), quantity, total, cause, at });
            }
        }
        let needed: HashSet<&Sku> = self.plan.receipts.iter().map(|receipt| &receipt.sku).collect();
        self.report.receipts.there += all.len().saturating_sub(needed.len()) as u64;
    }
}

fn nowhere(document: String, reason: String) -> Difference {
    Difference { document, file: None, line: None, reason }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::*;
    use crate::import::natural::{adjustment_key, correlation, key, receipt_key, sale_key};
    use crate::import::rows::Row;
    use crate::import::stored::StoredLine;

    fn at(minute: u32) -> DateTime<Utc> {
        format!("2010-12-01T08:{minute:02}:00Z").parse().unwrap()
    }

    fn sku(code: &str) -> Sku {
        Sku::try_new(code).unwrap()
    }

    fn row(invoice: &str, code: &str, quantity: i64, pence: i64, minute: u32) -> Row {
        Row {
            line: 0,
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

    fn judged(stored: &EarlierImports, rows: impl IntoIterator<Item = Row>) -> (Plan, Report) {
        judged_as(false, stored, rows)
    }

    fn judged_as(
        parts: bool,
        stored: &EarlierImports,
        rows: impl IntoIterator<Item = Row>,
    ) -> (Plan, Report) {
        let (mut book, mut report) = (Book::default(), Report::default());
        book.file("rows.csv".into(), String::new());
        for (line, row) in (2..).zip(rows) {
            report.rows += 1;
            book.add(Row { line, ..row });
        }
        book.judge(parts, &mut report);
        let plan = judge(&book, stored, parts, &mut report);
        (plan, report)
    }

    fn plan(rows: impl IntoIterator<Item = Row>) -> Plan {
        judged(&EarlierImports::default(), rows).0
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
        let rows = || {
            [
                row("1", "mug", 5, 100, 3),
                row("2", "mug", -7, 0, 2),
                row("3", "mug", 50, 0, 4),
                row("C4", "mug", -2, 100, 4),
                row("C4", "cup", -2, 100, 4),
            ]
        };
        let received = |stored: &EarlierImports| -> Vec<_> {
            let receipts = judged(stored, rows()).0.receipts.into_iter();
            receipts.map(|one| (one.sku, one.quantity, one.total, one.at)).collect()
        };
        assert_eq!(received(&EarlierImports::default()), [(sku("MUG"), 12, 12, at(2))]);
        // Received before by an import that was killed.
        let mut stored = EarlierImports::default();
        stored.received(sku("MUG"), 12);
        assert_eq!(received(&stored), []);
        // Six left before, and were received; and one more was received than left.
        let mut stored = EarlierImports::default();
        stored.received(sku("MUG"), 7);
        stored.adjusted(None, StoredAdjustment { sku: sku("MUG"), quantity: -6, at: at(1) });
        assert_eq!(received(&stored), [(sku("MUG"), 11, 18, at(2))]);
    }

    #[test]
    fn receipts_for_the_same_documents_are_the_same_and_for_others_are_not() {
        let key = |document: &str| {
            let receipts = plan([row(document, "mug", 5, 100, 3)]).receipts;
            receipt_key(&receipts[0].sku, receipts[0].total, receipts[0].cause)
        };
        assert_eq!(key("1"), key("1"));
        assert_ne!(key("1"), key("2"));
    }

    #[test]
    fn more_than_one_receipt_takes_is_received_by_several() {
        let most = i64::from(u32::MAX);
        let receipts = plan([row("1", "mug", most, 1, 1), row("2", "mug", 2, 1, 1)]).receipts;
        let received: Vec<_> = receipts.iter().map(|receipt| (receipt.quantity, receipt.total)).collect();
        assert_eq!(received, [(u32::MAX, 4_294_967_295), (2, 4_294_967_297)]);
    }

    #[test]
    fn lines_of_one_invoice_are_one_order_placed_when_its_first_line_was() {
        let guest = plan([row("1", "mug", 2, 100, 9), row("2", "mug", 1, 0, 1), row("1", "MUG", 3, 90, 7)]);
        let line = |quantity, pence| Line { sku: sku("MUG"), quantity, pence };
        let order = Sale {
            document: "1".into(),
            piece: 1,
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
    fn a_document_and_its_country_are_the_same_in_capitals() {
        let rows = [
            row("x-1", "mug", 2, 100, 1),
            Row { country: "uk".into(), ..row("X-1", "cup", 1, 100, 1) },
            row("c7", "mug", -1, 100, 2),
        ];
        let plan = plan(rows.clone());
        let [order] = &plan.orders[..] else { panic!("{:?}", plan.orders) };
        assert_eq!((order.number().as_str(), order.lines.len(), order.country.as_str()), ("x-1", 2, "UK"));
        assert_eq!(plan.credit_notes.iter().map(Sale::number).collect::<Vec<_>>(), ["c7"]);

        // The same document was imported before, in other letters.
        let requested = HashSet::from(["x-1".to_owned()]);
        let mut stored = EarlierImports::default();
        let sale = StoredSale { country: "Uk".into(), ..sold("X-1", &[("MUG", 2, 100), ("CUP", 1, 100)]) };
        stored.sale(Kind::Order, "X-1".into(), sale, true, None, &requested);
        let (plan, report) = judged(&stored, rows[..2].to_vec());
        assert_eq!((plan.orders.len(), report.exit_code()), (0, 0), "{report:?}");
    }

    #[test]
    fn an_adjustment_of_an_invoice_in_other_letters_is_known() {
        let mut stored = EarlierImports::default();
        let id = correlation(Kind::Adjustment, adjustment_key("A-1/X", &sku("MUG"), 1));
        stored.adjusted(Some(id), StoredAdjustment { sku: sku("MUG"), quantity: 2, at: at(1) });
        let (plan, report) = judged(&stored, [row("a-1/x", "mug", 2, 0, 1)]);
        assert_eq!((plan.adjustments.len(), report.adjustments.there), (0, 1), "{report:?}");
    }

    #[test]
    fn adjustments_of_one_invoice_and_code_differ_by_their_order() {
        let rows = || [row("1", "cup", 1, 0, 1), row("1", "mug", 1, 0, 1), row("1", "MUG", 1, 0, 1)];
        let occurrences = |plan: &Plan| plan.adjustments.iter().map(|one| one.occurrence).collect::<Vec<_>>();
        assert_eq!(occurrences(&plan(rows())), [1, 1, 2]);
        // The first of the cups and the second of the mugs are stored.
        let mut stored = EarlierImports::default();
        for (code, occurrence) in [("CUP", 1), ("MUG", 2)] {
            let id = correlation(Kind::Adjustment, adjustment_key("1", &sku(code), occurrence));
            stored.adjusted(Some(id), StoredAdjustment { sku: sku(code), quantity: 1, at: at(1) });
        }
        let (plan, report) = judged(&stored, rows());
        assert_eq!((occurrences(&plan), report.adjustments.there, report.exit_code()), (vec![1], 2, 0));
        assert_eq!(plan.adjustments[0].sku, sku("MUG"));
    }

    #[test]
    fn an_adjustment_that_an_earlier_release_imported_over_http_is_known_by_its_contents() {
        let mut stored = EarlierImports::default();
        let made_by_a_server = Some(soonshop_domain::ids::new());
        stored.adjusted(made_by_a_server, StoredAdjustment { sku: sku("MUG"), quantity: -1, at: at(1) });
        stored.received(sku("MUG"), 1);
        let (plan, report) = judged(&stored, [row("1", "mug", -1, 0, 1), row("2", "mug", -1, 0, 2)]);
        let (count, receipt) = (&plan.adjustments[..], &plan.receipts[..]);
        assert!(matches!(count, [Adjustment { invoice, occurrence: 1, .. }] if invoice == "2"), "{count:?}");
        assert!(matches!(receipt, [Receipt { quantity: 1, total: 2, .. }]), "{receipt:?}");
        assert_eq!((report.adjustments.there, report.exit_code()), (1, 0));
    }

    fn sold(document: &str, lines: &[(&str, u32, i64)]) -> StoredSale {
        let line = |(number, (code, quantity, pence)): (u32, &(&str, u32, i64))| StoredLine {
            number,
            sku: sku(code),
            quantity: *quantity,
            price: pounds(*pence),
        };
        StoredSale {
            piece: 1,
            customer: Customer::Guest(GuestId(guest(document))),
            country: "UK".into(),
            at: at(1),
            lines: (1..).zip(lines).map(line).collect(),
        }
    }

    #[test]
    fn a_document_of_another_date_gets_no_lines_and_a_part_may_be_earlier() {
        let requested = HashSet::from(["1".to_owned()]);
        let mut stored = EarlierImports::default();
        stored.sale(Kind::Order, "1".into(), sold("1", &[("MUG", 2, 100)]), true, None, &requested);
        let rows = |minute, other| [row("1", "mug", 2, 100, minute), row("1", "cup", 1, 100, other)];
        for (minute, other, planned, differing) in [(1, 5, 1, 0), (5, 1, 1, 0), (5, 0, 0, 2), (2, 2, 0, 2)] {
            let (plan, report) = judged(&stored, rows(minute, other));
            assert_eq!((plan.orders.len(), report.differing), (planned, differing), "{minute} {other}");
        }
        let (plan, report) = judged_as(true, &stored, [row("1", "cup", 1, 100, 0)]);
        assert_eq!((plan.orders[0].number(), report.exit_code()), ("1/2".to_owned(), 0));
    }

    #[test]
    fn a_number_with_a_slash_is_a_supplement_only_by_its_key() {
        let requested = HashSet::from(["1".to_owned()]);
        let mut stored = EarlierImports::default();
        let other = sold("1/2", &[("MUG", 9, 100)]);
        stored.sale(Kind::Order, "1/2".into(), other, true, Some(soonshop_domain::ids::new()), &requested);
        assert!(stored.pieces(Kind::Order, "1").is_empty());
        let (plan, _) = judged(&stored, [row("1", "mug", 2, 100, 1)]);
        assert_eq!((plan.orders[0].piece, plan.orders[0].number()), (1, "1".to_owned()));
    }

    #[test]
    fn a_document_is_compared_as_a_whole_with_its_lines_and_its_adjustments() {
        let requested = HashSet::from(["1".to_owned()]);
        let adjusted = |stored: &mut EarlierImports, code: &str| {
            let id = correlation(Kind::Adjustment, adjustment_key("1", &sku(code), 1));
            stored.adjusted(Some(id), StoredAdjustment { sku: sku(code), quantity: 2, at: at(1) });
        };
        let ordered = |stored: &mut EarlierImports| {
            stored.sale(Kind::Order, "1".into(), sold("1", &[("MUG", 2, 500)]), true, None, &requested);
        };
        // A row got a price: its goods are counted already.
        let mut stored = EarlierImports::default();
        adjusted(&mut stored, "MUG");
        let (plan, report) = judged(&stored, [row("1", "mug", 2, 500, 1)]);
        assert_eq!((plan.orders.len(), plan.receipts.len(), report.differing), (0, 0, 2));
        let (plan, _) = judged_as(true, &stored, [row("1", "mug", 2, 500, 1)]);
        assert_eq!(plan.orders.len(), 1, "parts are added as they are");
        // A row lost its price.
        let mut stored = EarlierImports::default();
        ordered(&mut stored);
        let (plan, report) = judged(&stored, [row("1", "mug", 2, 0, 1)]);
        assert_eq!((plan.adjustments.len(), report.differing), (0, 2));
        // A row without a price is gone.
        adjusted(&mut stored, "CUP");
        let (_, report) = judged(&stored, [row("1", "mug", 2, 500, 1)]);
        assert_eq!((report.differing, report.exit_code()), (1, 3));
        let (_, report) = judged(&stored, [row("1", "mug", 2, 500, 1), row("1", "cup", 2, 0, 1)]);
        assert_eq!((report.differing, report.exit_code()), (0, 0));
    }

    #[test]
    fn a_supplement_takes_no_number_that_a_document_has() {
        let requested = HashSet::from(["1".to_owned(), "1/2".to_owned()]);
        let mut stored = EarlierImports::default();
        stored.sale(Kind::Order, "1".into(), sold("1", &[("MUG", 2, 100)]), true, None, &requested);
        let rows = || [row("1", "mug", 2, 100, 1), row("1", "tea", 3, 100, 1)];
        // The other document is in the same file, or stored.
        let (plan, report) = judged(&stored, rows().into_iter().chain([row("1/2", "cup", 1, 100, 1)]));
        let mut numbers: Vec<_> = plan.orders.iter().map(Sale::number).collect();
        numbers.sort_unstable();
        assert_eq!((numbers, report.exit_code()), (vec!["1/2".to_owned(), "1/3".to_owned()], 0));
        let other = sold("1/2", &[("CUP", 1, 100)]);
        stored.sale(Kind::Order, "1/2".into(), other, true, Some(soonshop_domain::ids::new()), &requested);
        let (plan, report) = judged(&stored, rows());
        assert_eq!((plan.orders[0].number(), report.exit_code()), ("1/3".to_owned(), 0));
        // A document comes after a supplement that has its number.
        let mut stored = EarlierImports::default();
        stored.sale(Kind::Order, "1".into(), sold("1", &[("MUG", 2, 100)]), true, None, &requested);
        let ours = correlation(Kind::Order, sale_key(Kind::Order, "1", 2));
        stored.sale(Kind::Order, "1/2".into(), sold("1", &[("TEA", 3, 100)]), true, Some(ours), &requested);
        let (plan, report) = judged(&stored, [row("1/2", "cup", 1, 100, 1)]);
        assert_eq!((plan.orders.len(), plan.receipts.len(), report.refused.len()), (0, 0, 1));
    }

    #[test]
    fn a_customer_who_was_never_seen_is_another_than_one_who_is_known() {
        let requested = HashSet::from(["1".to_owned()]);
        let mut stored = EarlierImports::default();
        let id = key(Kind::Customer, "17");
        stored.user(Some(correlation(Kind::Customer, id)), id);
        let mut sale = sold("1", &[("MUG", 2, 100)]);
        sale.customer = Customer::User(UserId(id));
        stored.sale(Kind::Order, "1".into(), sale, true, None, &requested);
        for (number, differing) in [("17", 0), ("18", 1)] {
            let customer = Some(number.to_owned());
            let (_, report) = judged(&stored, [Row { customer, ..row("1", "mug", 2, 100, 1) }]);
            assert_eq!(report.differing, differing, "{number}");
        }
        // Of another customer and another date both are reported.
        let customer = Some("18".to_owned());
        let (_, report) = judged(&stored, [Row { customer, ..row("1", "mug", 2, 100, 5) }]);
        assert_eq!(report.differing, 2);
    }

    #[test]
    fn lines_that_the_rules_always_refuse_are_refused_before_they_are_tried() {
        let long = "N".repeat(63);
        let requested = HashSet::from(["1".to_owned(), folded(&long)]);
        let mut stored = EarlierImports::default();
        stored.sale(Kind::Order, "1".into(), sold("1", &[("MUG", 1, 100)]), false, None, &requested);
        stored.sale(Kind::Order, long.clone(), sold(&long, &[("MUG", 1, 100)]), true, None, &requested);
        let rows = [
            row("1", "mug", 1, 100, 1),
            row("3", "mug", i64::from(u32::MAX), 100_000_000_000, 1),
            row(&long, "mug", 1, 100, 1),
            row(&long, "cup", 1, 100, 1),
        ];
        let many = (0..1_501).map(|_| row("2", "mug", 1, 100, 1));
        let (plan, report) = judged(&stored, rows.into_iter().chain(many));
        assert_eq!((plan.orders.len(), plan.receipts.len()), (0, 0));
        let reasons: Vec<_> = report.refused.iter().map(|one| one.reason.as_str()).collect();
        let expected = ["has this number", "total is too large", "more than 64 characters", "1500 lines"];
        assert_eq!(reasons.len(), 4, "{reasons:?}");
        for (reason, part) in reasons.into_iter().zip(expected) {
            assert!(reason.contains(part), "{reason}");
        }
        assert_eq!(report.exit_code(), 3);
    }
}
