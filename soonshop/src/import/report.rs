//! The report of an import, for people and for programs.

use std::fmt;

use serde::Serialize;

use super::natural::Kind;

/// The exit code where nothing was stored, because the files are not to be had as they are.
pub const REFUSED: u8 = 4;

/// How many broken rows and refused commands are shown to people.
const SHOWN: usize = 20;

/// How many of them are kept.
const KEPT: usize = 1_000;

/// How many existed before, and how many are new.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    pub new: u64,
    pub there: u64,
}

/// A row that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Broken {
    pub file: String,
    /// From 1.
    pub line: u64,
    pub reason: String,
}

/// A row that was not added, or a stored line that the files do not have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Such as `order 536365`; where nothing was looked up yet, the number alone.
    pub document: String,
    /// None: it is stored, and in no file.
    pub file: Option<String>,
    /// From 1.
    pub line: Option<u64>,
    pub reason: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (Some(file), Some(line)) = (&self.file, self.line) {
            write!(f, "{file}, line {line}, ")?;
        }
        write!(f, "{}: {}", self.document, self.reason)
    }
}

/// The commands that the shop refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// Such as `order 536365`.
    pub what: String,
    pub reason: String,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Report {
    pub files: u64,
    /// Each file, and the form in which it was read.
    pub read_as: Vec<String>,
    /// Nothing was written: the counts are of what an import would do.
    pub dry_run: bool,
    /// Without headers.
    pub rows: u64,
    /// Of invoices that are none: their number begins with `A`.
    pub rows_ignored: u64,
    pub rows_broken: u64,
    /// The first of them.
    pub broken: Vec<Broken>,
    /// Of documents that are left out because of another of their rows, or of another file.
    pub rows_left_out: u64,
    /// Of documents that another file has as well: they count once.
    pub rows_repeated: u64,
    /// Rows that are left out or were not added, and lines that are stored and that the files do not have.
    pub differing: u64,
    /// The first of them.
    pub differences: Vec<Difference>,
    pub commands_refused: u64,
    /// The first of them.
    pub refused: Vec<Refused>,
    pub products: Count,
    /// Prices of products that had none, because they were never sold before.
    pub prices: Count,
    pub customers: Count,
    pub receipts: Count,
    pub adjustments: Count,
    pub orders: Count,
    pub credit_notes: Count,
    /// How many events all of it, with its consequences, added to the log.
    pub events: i64,
    pub seconds: f64,
    /// The part until the last command was sent; the rest is followers catching up.
    pub seconds_giving: f64,
    pub rows_per_second: f64,
    pub events_per_second: f64,
}

impl Report {
    pub(super) fn count(&mut self, kind: Kind) -> &mut Count {
        match kind {
            Kind::Product => &mut self.products,
            Kind::Price => &mut self.prices,
            Kind::Customer => &mut self.customers,
            Kind::Receipt => &mut self.receipts,
            Kind::Adjustment => &mut self.adjustments,
            Kind::Order => &mut self.orders,
            Kind::CreditNote => &mut self.credit_notes,
        }
    }

    pub(super) fn broken(&mut self, broken: Broken) {
        self.rows_broken += 1;
        if self.broken.len() < KEPT {
            self.broken.push(broken);
        }
    }

    pub(super) fn refused(&mut self, what: String, reason: String) {
        self.commands_refused += 1;
        if self.refused.len() < KEPT {
            self.refused.push(Refused { what, reason });
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "rates for people")]
    pub(super) fn took(&mut self, giving: f64, all: f64) {
        (self.seconds_giving, self.seconds) = (giving, all);
        self.rows_per_second = self.rows as f64 / all;
        self.events_per_second = self.events as f64 / all;
    }

    /// Takes note of a difference.
    pub(super) fn differs(&mut self, difference: Difference) {
        self.differing += 1;
        if self.differences.len() < KEPT {
            self.differences.push(difference);
        }
    }

    /// Takes note of a row that is left out.
    pub(super) fn left_out(&mut self, difference: Difference) {
        self.rows_left_out += 1;
        self.differs(difference);
    }

    /// There are rows, and none of them can be taken.
    pub(super) fn nothing_taken(&self) -> bool {
        let refused = self.rows_broken + self.rows_left_out;
        refused > 0 && refused + self.rows_ignored + self.rows_repeated >= self.rows
    }

    /// 4 where no row could be taken, so that nothing was stored; 3 where something is missing in the shop, or differs
    /// there; else 0: all that the files say is in the shop.
    pub fn exit_code(&self) -> u8 {
        match self.rows_broken + self.differing + self.commands_refused {
            0 => 0,
            _ if self.nothing_taken() => REFUSED,
            _ => 3,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for form in &self.read_as {
            writeln!(f, "{form}")?;
        }
        writeln!(
            f,
            "{} rows: {} of no invoice ignored, {} broken, {} left out with them, {} in another file as well; {} \
             differences, {} commands refused",
            self.rows,
            self.rows_ignored,
            self.rows_broken,
            self.rows_left_out,
            self.rows_repeated,
            self.differing,
            self.commands_refused
        )?;
        for (name, count) in [
            ("products", self.products),
            ("prices set later", self.prices),
            ("customers", self.customers),
            ("receipts of stock", self.receipts),
            ("adjustments", self.adjustments),
            ("orders", self.orders),
            ("credit notes", self.credit_notes),
        ] {
            writeln!(f, "  {name:<17} {:>8} new {:>8} already there", count.new, count.there)?;
        }
        if self.dry_run {
            writeln!(f, "nothing was written: these are the counts of what an import would do")?;
        } else if self.nothing_taken() {
            writeln!(f, "nothing was written: no row could be taken")?;
        }
        if self.seconds > 0.0 {
            writeln!(
                f,
                "{} events in {:.1} s ({:.1} s of giving commands): {:.0} rows/s, {:.0} events/s",
                self.events, self.seconds, self.seconds_giving, self.rows_per_second, self.events_per_second
            )?;
        }
        for broken in self.broken.iter().take(SHOWN) {
            writeln!(f, "{}, line {}: {}", broken.file, broken.line, broken.reason)?;
        }
        more(f, self.rows_broken, "rows were broken")?;
        for difference in self.differences.iter().take(SHOWN) {
            writeln!(f, "{difference}")?;
        }
        more(f, self.differing, "differences")?;
        for refused in self.refused.iter().take(SHOWN) {
            writeln!(f, "{} was refused: {}", refused.what, refused.reason)?;
        }
        more(f, self.commands_refused, "commands were refused")
    }
}

fn more(f: &mut fmt::Formatter<'_>, all: u64, what: &str) -> fmt::Result {
    match all.checked_sub(SHOWN as u64) {
        Some(rest @ 1..) => writeln!(f, "and {rest} more {what}"),
        _ => Ok(()),
    }
}
