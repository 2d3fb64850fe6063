//! All rows of the files of an import, by document, judged against each other before anything is looked up: a document
//! with a row that cannot be read is left out as a whole, one that stands in several files is put together or taken
//! once, and one whose rows contradict each other is left out.

mod copies;

use std::collections::HashMap;
use std::mem;

use chrono::{DateTime, Utc};
use soonshop_domain::text::{Sku, folded};

use super::report::{Difference, Report};
use super::rows::Row;

/// Texts that many rows share, by number. Two that differ in capitals alone are one, as the first row writes it.
#[derive(Debug, Default)]
pub(super) struct Texts {
    texts: Vec<String>,
    numbers: HashMap<String, u32>,
}

impl Texts {
    fn number(&mut self, text: String) -> u32 {
        if let Some(number) = self.numbers.get(&text) {
            return *number;
        }
        let next = u32::try_from(self.texts.len()).unwrap_or(u32::MAX);
        let number = *self.numbers.entry(folded(&text)).or_insert(next);
        if number == next {
            self.texts.push(text.clone());
        }
        self.numbers.insert(text, number);
        number
    }

    fn get(&self, number: u32) -> &str {
        self.texts.get(number as usize).map_or("", String::as_str)
    }
}

/// A row, with its file and line. Its texts are numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    /// Which of the book it is.
    pub(super) index: u32,
    file: u32,
    pub(super) line: u64,
    pub(super) sku: u32,
    pub(super) quantity: i64,
    pub(super) pence: i64,
    pub(super) at: DateTime<Utc>,
    customer: Option<u32>,
    country: u32,
}

/// The fields that make two rows equal.
type RowKey = (u32, i64, i64, DateTime<Utc>, Option<u32>, u32);

impl Entry {
    fn key(&self) -> RowKey {
        (self.sku, self.quantity, self.pence, self.at, self.customer, self.country)
    }

    /// A line without a price adjusts stock.
    pub(super) fn is_adjustment(&self) -> bool {
        self.pence == 0
    }
}

/// The rows of one document that are taken, as indices into the book's entries.
#[derive(Debug, Default)]
struct Document {
    entries: Vec<u32>,
    /// The first row of it that cannot be read: file and line.
    broken: Option<(u32, u64)>,
}

struct File {
    name: String,
    /// Of its rows.
    hash: String,
}

/// All rows of an import.
#[derive(Default)]
pub(super) struct Book {
    files: Vec<File>,
    entries: Vec<Entry>,
    numbers: Texts,
    documents: Vec<Document>,
    skus: Vec<Sku>,
    sku_numbers: HashMap<Sku, u32>,
    /// The first description with any text, by SKU.
    names: Vec<Option<String>>,
    /// Customers and countries.
    words: Texts,
}

impl Book {
    /// Begins the next file.
    pub(super) fn file(&mut self, name: String, hash: String) {
        self.files.push(File { name, hash });
    }

    fn current(&self) -> u32 {
        u32::try_from(self.files.len().saturating_sub(1)).unwrap_or(u32::MAX)
    }

    fn document(&mut self, number: String) -> &mut Document {
        let number = self.numbers.number(number) as usize;
        if self.documents.len() <= number {
            self.documents.resize_with(number + 1, Document::default);
        }
        &mut self.documents[number]
    }

    /// Takes a row of the current file.
    pub(super) fn add(&mut self, row: Row) {
        let Row { line, invoice, sku, description, quantity, at, pence, customer, country } = row;
        let number = match self.sku_numbers.get(&sku) {
            Some(number) => *number,
            None => {
                let number = u32::try_from(self.skus.len()).unwrap_or(u32::MAX);
                self.skus.push(sku.clone());
                self.names.push(None);
                self.sku_numbers.insert(sku, number);
                number
            }
        };
        if let (name @ None, Some(description)) = (&mut self.names[number as usize], description) {
            *name = Some(description);
        }
        let customer = customer.map(|customer| self.words.number(customer));
        let country = self.words.number(country);
        let file = self.current();
        let index = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        self.entries.push(Entry { index, file, line, sku: number, quantity, pence, at, customer, country });
        self.document(invoice).entries.push(index);
    }

    /// Takes note of a row of the current file that cannot be read.
    pub(super) fn broken(&mut self, invoice: String, line: u64) {
        let file = self.current();
        self.document(invoice).broken.get_or_insert((file, line));
    }

    /// The documents with rows that are taken: number and rows, in the order of their first rows.
    pub(super) fn documents(&self) -> impl Iterator<Item = (&str, Vec<&Entry>)> {
        let numbered = self.numbers.texts.iter().zip(&self.documents);
        numbered.filter(|(_, document)| !document.entries.is_empty()).map(|(number, document)| {
            (number.as_str(), document.entries.iter().map(|index| &self.entries[*index as usize]).collect())
        })
    }

    /// The rows that are taken, in order.
    pub(super) fn taken(&self) -> Vec<&Entry> {
        let mut indices: Vec<u32> =
            self.documents.iter().flat_map(|document| document.entries.iter().copied()).collect();
        indices.sort_unstable();
        indices.into_iter().map(|index| &self.entries[index as usize]).collect()
    }

    pub(super) fn sku(&self, entry: &Entry) -> &Sku {
        &self.skus[entry.sku as usize]
    }

    /// The name of the product: its first description, or its code.
    pub(super) fn name(&self, entry: &Entry) -> String {
        self.names[entry.sku as usize].clone().unwrap_or_else(|| self.sku(entry).to_string())
    }

    pub(super) fn customer(&self, entry: &Entry) -> Option<&str> {
        entry.customer.map(|customer| self.words.get(customer))
    }

    pub(super) fn country(&self, entry: &Entry) -> &str {
        self.words.get(entry.country)
    }

    /// A difference, at the file and line of this row.
    pub(super) fn at(&self, document: &str, entry: &Entry, reason: impl Into<String>) -> Difference {
        Difference {
            document: document.to_owned(),
            file: self.files.get(entry.file as usize).map(|file| file.name.clone()),
            line: Some(entry.line),
            reason: reason.into(),
        }
    }

    /// Judges the rows against each other. `parts`: the files are parts of one whole, and every row counts.
    pub(super) fn judge(&mut self, parts: bool, report: &mut Report) {
        if !parts && self.files.len() > 1 {
            self.put_together(report);
        }
        let mut documents = mem::take(&mut self.documents);
        for (number, document) in self.numbers.texts.iter().zip(&mut documents) {
            if let Some((file, line)) = document.broken {
                let file = self.files.get(file as usize).map_or("", |file| file.name.as_str());
                let reason = format!(
                    "it is left out, because line {line} of {file}, of the same document, cannot be read"
                );
                self.leave_out(number, document, report, |_| reason.clone());
            } else {
                self.hold_contradictions(number, document, report);
            }
        }
        self.documents = documents;
    }

    /// Takes no row of the document, and reports each.
    fn leave_out(
        &self,
        number: &str,
        document: &mut Document,
        report: &mut Report,
        reason: impl Fn(&Entry) -> String,
    ) {
        for index in mem::take(&mut document.entries) {
            let entry = &self.entries[index as usize];
            report.left_out(self.at(number, entry, reason(entry)));
        }
    }

    /// The lines of an order or a credit note name one customer and one country.
    fn hold_contradictions(&self, number: &str, document: &mut Document, report: &mut Report) {
        let mut lines = document.entries.iter().map(|index| &self.entries[*index as usize]);
        let Some(first) = lines.find(|entry| !entry.is_adjustment()) else { return };
        let other = |entry: &Entry| {
            !entry.is_adjustment() && (entry.customer, entry.country) != (first.customer, first.country)
        };
        let Some(second) = lines.find(|entry| other(entry)) else { return };
        let (first, second) = (*first, *second);
        let what = if first.customer == second.customer { "country" } else { "customer" };
        self.leave_out(number, document, report, |_| {
            format!(
                "it is left out: lines {} and {} of its document name another {what} each",
                first.line, second.line
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(line: u64, invoice: &str, code: &str, quantity: i64) -> Row {
        Row {
            line,
            invoice: invoice.to_owned(),
            sku: Sku::try_new(code).unwrap(),
            description: None,
            quantity,
            at: "2011-01-05T10:00:00Z".parse().unwrap(),
            pence: 500,
            customer: None,
            country: "France".to_owned(),
        }
    }

    /// Each file is a list of rows: invoice, code and quantity.
    fn judged(parts: bool, files: &[&[(&str, &str, i64)]]) -> (Vec<String>, Report) {
        let (mut book, mut report) = (Book::default(), Report::default());
        for (number, rows) in files.iter().enumerate() {
            book.file(format!("{number}.csv"), format!("{rows:?}"));
            for (line, (invoice, code, quantity)) in (2..).zip(*rows) {
                report.rows += 1;
                book.add(row(line, invoice, code, *quantity));
            }
        }
        book.judge(parts, &mut report);
        let taken = book.documents().map(|(number, entries)| {
            let lines: Vec<_> =
                entries.iter().map(|entry| format!("{} {}", entry.quantity, book.sku(entry))).collect();
            format!("{number}: {}", lines.join(", "))
        });
        (taken.collect(), report)
    }

    /// Document, file and line of each difference.
    fn places(report: &Report) -> Vec<(String, String, u64)> {
        let place = |one: &Difference| (one.document.clone(), one.file.clone().unwrap(), one.line.unwrap());
        report.differences.iter().map(place).collect()
    }

    fn place(document: &str, file: &str, line: u64) -> (String, String, u64) {
        (document.to_owned(), file.to_owned(), line)
    }

    const A: (&str, &str, i64) = ("1", "MUG", 2);
    const B: (&str, &str, i64) = ("1", "CUP", 3);
    const C: (&str, &str, i64) = ("2", "MUG", 1);
    const D: (&str, &str, i64) = ("2", "TEA", 1);

    #[test]
    fn files_that_share_no_row_are_parts_of_one_whole() {
        let (taken, report) = judged(false, &[&[A, C], &[B, D]]);
        assert_eq!(taken, ["1: 2 MUG, 3 CUP", "2: 1 MUG, 1 TEA"]);
        assert_eq!((report.exit_code(), report.rows_repeated), (0, 0));
    }

    #[test]
    fn a_document_that_two_files_have_alike_is_one() {
        for files in [[&[A, B, C][..], &[A, B, C, D]], [&[A, B, C, D], &[C, B, A]]] {
            let (taken, report) = judged(false, &files);
            assert_eq!(taken, ["1: 2 MUG, 3 CUP", "2: 1 MUG, 1 TEA"], "{report:?}");
            assert_eq!(report.rows_repeated, 3);
            // Document 2 is complete in one of them only, which is reported.
            assert_eq!(places(&report).len(), 1, "{report:?}");
            assert_eq!(report.exit_code(), 3);
        }
        let (taken, report) = judged(false, &[&[A, A, B], &[B, A, A]]);
        assert_eq!((taken, report.exit_code()), (vec!["1: 2 MUG, 2 MUG, 3 CUP".to_owned()], 0));
    }

    #[test]
    fn one_row_that_two_files_share_is_taken_once_and_named() {
        let (taken, report) = judged(false, &[&[C, A], &[A, B]]);
        assert_eq!(taken, ["2: 1 MUG", "1: 2 MUG, 3 CUP"]);
        assert_eq!(places(&report), [place("1", "0.csv", 3)]);
        let (taken, report) = judged(false, &[&[C, A], &[A]]);
        assert_eq!(taken, ["2: 1 MUG", "1: 2 MUG"]);
        assert_eq!(places(&report), [place("1", "1.csv", 2)]);
        let (taken, report) = judged(false, &[&[A], &[A]]);
        assert_eq!((taken, report.exit_code()), (vec!["1: 2 MUG".to_owned()], 0), "the same file");
        let (taken, report) = judged(true, &[&[C, A], &[A, B]]);
        assert_eq!(taken, ["2: 1 MUG", "1: 2 MUG, 2 MUG, 3 CUP"]);
        assert_eq!(report.exit_code(), 0);
    }

    #[test]
    fn a_document_that_two_copies_have_differently_is_left_out() {
        let (taken, report) = judged(false, &[&[A, B, C], &[A, ("1", "CUP", 4), C]]);
        assert_eq!(taken, ["2: 1 MUG"]);
        assert_eq!(report.rows_left_out, 4);
        let (taken, report) = judged(false, &[&[A, B, C], &[A, B, ("2", "MUG", 9)]]);
        assert_eq!(taken, ["1: 2 MUG, 3 CUP"]);
        assert_eq!((report.rows_left_out, report.exit_code()), (2, 3));
    }

    #[test]
    fn a_document_with_a_row_that_cannot_be_read_is_left_out_as_a_whole() {
        let (mut book, mut report) = (Book::default(), Report::default());
        book.file("rows.csv".into(), String::new());
        book.add(row(2, "1", "MUG", 2));
        book.broken("1".into(), 3);
        book.add(row(4, "2", "MUG", 2));
        book.judge(false, &mut report);
        assert_eq!(book.documents().map(|(number, _)| number).collect::<Vec<_>>(), ["2"]);
        let left_out = &report.differences[0];
        assert_eq!((left_out.document.as_str(), left_out.line), ("1", Some(2)));
        assert!(left_out.reason.contains("line 3 of rows.csv"), "{left_out:?}");
    }

    #[test]
    fn a_document_of_two_customers_or_countries_is_left_out() {
        let (mut book, mut report) = (Book::default(), Report::default());
        book.file("rows.csv".into(), String::new());
        book.add(row(2, "1", "MUG", 2));
        book.add(Row { country: "EIRE".into(), ..row(3, "1", "CUP", 2) });
        book.add(row(4, "2", "MUG", 2));
        book.add(Row { customer: Some("17".into()), ..row(5, "2", "CUP", 2) });
        // An adjustment belongs to nobody.
        book.add(row(6, "3", "MUG", 2));
        book.add(Row { country: "EIRE".into(), pence: 0, ..row(7, "3", "CUP", 2) });
        book.judge(false, &mut report);
        assert_eq!(book.documents().map(|(number, _)| number).collect::<Vec<_>>(), ["3"]);
        let reasons: Vec<_> = report.differences.iter().map(|one| one.reason.as_str()).collect();
        assert!(
            reasons[0].contains("another country") && reasons[2].contains("another customer"),
            "{reasons:?}"
        );
    }
}
