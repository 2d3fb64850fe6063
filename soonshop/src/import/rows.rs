//! The rows of a file, one by one, each parsed, or with the reason why it cannot be.
//!
//! A malformed row never takes its neighbours with it: where an open quote made the CSV reader take many lines for one
//! row, each of these lines is parsed again by itself.

use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use chrono::{DateTime, Datelike as _, SubsecRound as _, TimeDelta, Utc};
use csv::ByteRecord;
use flate2::read::MultiGzDecoder;
use ring::digest;
use soonshop_domain::inventory::MOST_QUANTITY;
use soonshop_domain::money::MOST_AMOUNT;
use soonshop_domain::text::{self, Sku};

use super::form::{self, DateOrder, Evidence, Form, FormOptions, Separator};

/// The names of the columns in the format. A file may have others, and in any order.
const COLUMNS: [&str; 8] = [
    "InvoiceNo",
    "StockCode",
    "Description",
    "Quantity",
    "InvoiceDate",
    "UnitPrice",
    "CustomerID",
    "Country",
];

/// The invoice of a record that cannot be read, where that can be told, and the reason.
type Unreadable = (Option<String>, String);

const GOES_ON: &str = "text goes on after the quote that ends a field";

/// A line of an invoice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    /// Of the file, from 1.
    pub(super) line: u64,
    pub(super) invoice: String,
    pub(super) sku: Sku,
    /// `None` if it holds no text.
    pub(super) description: Option<String>,
    /// Not 0, and within the limits of a command.
    pub(super) quantity: i64,
    pub(super) at: DateTime<Utc>,
    /// Of one unit, never below 0.
    pub(super) pence: i64,
    pub(super) customer: Option<String>,
    pub(super) country: String,
}

/// The result of reading a row.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum RowOutcome {
    Row(Row),
    /// Of an invoice that is none: its number begins with `A`.
    Ignored,
    Broken {
        /// Of the file, from 1.
        line: u64,
        /// The invoice that it is of, where that can be read.
        invoice: Option<String>,
        reason: String,
    },
}

/// A file that was read, whose header is right and whose form is known.
#[derive(Debug)]
pub(super) struct Sheet {
    /// In UTF-8, whatever the file is in.
    data: Vec<u8>,
    /// SHA-256 of the rows, packed or not: the same rows are the same file.
    pub(super) hash: String,
    columns: [usize; 8],
    /// How many fields each row has.
    width: usize,
    separator: Separator,
    form: Form,
    /// Its form, for people.
    pub(super) read_as: String,
}

/// A file that is no such file, or that could be read in two ways. Nothing was stored.
#[derive(Debug)]
pub struct FileRefused(anyhow::Error);

impl fmt::Display for FileRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.0)
    }
}

impl std::error::Error for FileRefused {}

impl Sheet {
    /// Reads a file, packed with gzip or not.
    ///
    /// # Errors
    /// It cannot be opened, or it is refused ([`FileRefused`]): its header does not name every column, or its rows do
    /// not prove how to read them.
    pub(super) fn open(path: &Path, options: &FormOptions) -> anyhow::Result<Self> {
        let name = path.display();
        let mut data = Vec::new();
        File::open(path)
            .and_then(|mut file| file.read_to_end(&mut data))
            .with_context(|| name.to_string())?;
        let read = Self::unpacked(data).and_then(|data| Self::parse(&data, options));
        read.with_context(|| name.to_string()).map_err(|refused| FileRefused(refused).into())
    }

    fn unpacked(data: Vec<u8>) -> anyhow::Result<Vec<u8>> {
        if !data.starts_with(&[0x1f, 0x8b]) {
            return Ok(data);
        }
        let mut plain = Vec::new();
        let unpacked = MultiGzDecoder::new(data.as_slice()).read_to_end(&mut plain);
        unpacked.context("it is packed with gzip, and is not whole")?;
        Ok(plain)
    }

    fn parse(raw: &[u8], options: &FormOptions) -> anyhow::Result<Self> {
        let (text, encoding) = form::decode(raw, options.encoding.as_deref())?;
        // Lines that end as on old Macintoshes.
        let text = if text.contains('\n') { text } else { text.replace('\r', "\n") };
        let (separator, columns, width) = header(text.as_bytes(), options.separator)?;
        // Of its rows: the same ones with other line ends or in another encoding are the same file.
        let rows = text.replace("\r\n", "\n");
        let mut hash = String::new();
        for byte in digest::digest(&digest::SHA256, rows.trim_end().as_bytes()).as_ref() {
            // Writing to a string does not fail.
            write!(hash, "{byte:02x}").unwrap_or_default();
        }
        let form = Form { decimal_sign: form::DecimalSign::Point, date_order: None };
        let data = text.into_bytes();
        let mut sheet = Self { columns, width, hash, data, separator, form, read_as: String::new() };
        sheet.form = sheet.evidence().form(options)?;
        sheet.read_as = format!("{encoding}, columns between {separator}, {}", sheet.form);
        Ok(sheet)
    }

    /// The form that its numbers and dates prove.
    fn evidence(&self) -> Evidence {
        let mut evidence = Evidence::default();
        self.records(|line, record| {
            let Ok(record) = record else { return };
            let field = |column: usize| {
                let bytes = record.get(self.columns[column]).unwrap_or_default();
                std::str::from_utf8(bytes).unwrap_or_default().trim_ascii()
            };
            if record.len() == self.width && !field(0).starts_with(['A', 'a']) {
                evidence.amount(line, field(5), |plain| pence(plain).is_some());
                evidence.amount(line, field(3), |plain| whole_number(plain).is_some());
                evidence.moment(line, field(4));
            }
        });
        evidence
    }

    /// Every row after the header, in order.
    pub(super) fn rows(&self, mut take: impl FnMut(RowOutcome)) {
        self.records(|line, record| {
            let row = record.and_then(|record| match self.row(line, record) {
                Ok(found) => Ok(found),
                Err(reason) => Err((self.invoice(record), reason)),
            });
            take(row.unwrap_or_else(|(invoice, reason)| RowOutcome::Broken { line, invoice, reason }));
        });
    }

    /// The records after the header, each with its line, or the invoice and the reason of one that cannot be read. Where
    /// an open quote made one record of several lines, each of these lines is a record.
    fn records(&self, mut take: impl FnMut(u64, Result<&ByteRecord, Unreadable>)) {
        let mut reader = reader(&self.data, self.separator);
        let (mut record, mut header) = (ByteRecord::new(), true);
        loop {
            let (start, line) = (reader.position().byte(), reader.position().line());
            match reader.read_byte_record(&mut record) {
                Ok(true) if header => header = false,
                // A row of nothing but separators, as spreadsheets leave them at the end.
                Ok(true) if record.len() > 1 && record.iter().all(|field| field.trim_ascii().is_empty()) => {}
                Ok(true) => {
                    let line = line + self.ends_of_line(start);
                    let text = &self.data[self.place(start)..self.place(reader.position().byte())];
                    self.record(line, trim_lines(text), &record, &mut take);
                }
                Ok(false) => return,
                // Rows of bytes, of any width, from memory: reading them cannot fail.
                Err(error) => return take(line, Err((None, error.to_string()))),
            }
        }
    }

    /// The record that was read of this text, or its lines where it cannot be one record.
    fn record(
        &self,
        line: u64,
        text: &[u8],
        record: &ByteRecord,
        take: &mut impl FnMut(u64, Result<&ByteRecord, Unreadable>),
    ) {
        let goes_on = goes_on_after_a_quote(text, self.separator.byte());
        let broken = goes_on || record.len() != self.width;
        let lines = || text.split(|byte| *byte == b'\n').map(trim_lines);
        if text.contains(&b'\n') && (broken || lines().any(|text| self.alone(text).len() == self.width)) {
            for (line, text) in (line..).zip(lines()).filter(|(_, text)| !text.is_empty()) {
                self.record(line, text, &self.alone(text), take);
            }
        } else if goes_on {
            take(line, Err((self.invoice(record), GOES_ON.to_owned())));
        } else {
            take(line, Ok(record));
        }
    }

    /// The record of a text that is read by itself.
    fn alone(&self, text: &[u8]) -> ByteRecord {
        let mut record = ByteRecord::new();
        let read = reader(text, self.separator).read_byte_record(&mut record);
        read.map(|_| record).unwrap_or_default()
    }

    fn place(&self, byte: u64) -> usize {
        usize::try_from(byte).unwrap_or(usize::MAX).min(self.data.len())
    }

    /// How many lines end between the row before and the row that begins here: the end of the line before, and empty
    /// lines.
    fn ends_of_line(&self, start: u64) -> u64 {
        let rest = &self.data[self.place(start)..];
        let ends = rest.iter().take_while(|byte| matches!(byte, b'\n' | b'\r'));
        ends.filter(|byte| **byte == b'\n').count().try_into().unwrap_or(0)
    }

    /// The invoice that a broken row is of.
    fn invoice(&self, record: &ByteRecord) -> Option<String> {
        let text = std::str::from_utf8(record.get(self.columns[0])?).ok()?;
        text::line(text, 64).ok()
    }

    fn row(&self, line_number: u64, record: &ByteRecord) -> Result<RowOutcome, String> {
        if record.len() != self.width {
            return Err(format!("it has {} fields, and the header {}", record.len(), self.width));
        }
        let field = |column: usize| -> Result<&str, String> {
            let bytes = record.get(self.columns[column]).unwrap_or_default();
            let text = std::str::from_utf8(bytes).map_err(|_| format!("{} is not UTF-8", COLUMNS[column]))?;
            Ok(text.trim())
        };
        let invalid = |column: usize, why: &dyn std::fmt::Display| format!("{}: {why}", COLUMNS[column]);
        let line = |column: usize| text::line(field(column)?, 64).map_err(|error| invalid(column, &error));
        let invoice = line(0)?;
        if invoice.starts_with(['A', 'a']) {
            return Ok(RowOutcome::Ignored);
        }
        let quantity = whole(field(3)?, self.form).ok_or_else(|| invalid(3, &"it is not a whole number"))?;
        if quantity == 0 || quantity.unsigned_abs() > u64::from(MOST_QUANTITY) {
            return Err(invalid(3, &"it is 0, or too large"));
        }
        let plain = self.form.decimal_sign.plain(field(5)?);
        let pence = plain
            .and_then(|plain| pence(&plain))
            .ok_or_else(|| invalid(5, &"it is not an amount of money"))?;
        if !(0..=MOST_AMOUNT).contains(&pence) {
            return Err(invalid(5, &"it is below 0, or too large"));
        }
        // A line without a price is a correction of stock, and may have either sign.
        if pence != 0 && invoice.starts_with(['C', 'c']) != (quantity < 0) {
            return Err(invalid(3, &"it is above 0 on an invoice, and below 0 on a credit note (C…)"));
        }
        let customer = field(6)?;
        let customer = customer.strip_suffix(".0").unwrap_or(customer);
        let customer = match customer {
            "" => None,
            number => Some(text::line(number, 64).map_err(|error| invalid(6, &error))?),
        };
        Ok(RowOutcome::Row(Row {
            line: line_number,
            invoice,
            sku: Sku::try_new(field(1)?).map_err(|error| invalid(1, &error))?,
            description: described(field(2)?).map_err(|error| invalid(2, &error))?,
            quantity,
            at: moment(field(4)?, self.form.date_order).map_err(|why| invalid(4, &why))?,
            pence,
            customer,
            country: line(7)?,
        }))
    }
}

/// The separator of the columns, the place of each of ours, and their number.
fn header(data: &[u8], given: Option<Separator>) -> anyhow::Result<(Separator, [usize; 8], usize)> {
    let mut missing = None;
    for separator in given.map_or(Separator::ALL.to_vec(), |one| vec![one]) {
        let mut header = ByteRecord::new();
        if !reader(data, separator).read_byte_record(&mut header)? {
            bail!("it is empty: its first line has to name the columns {}", COLUMNS.join(", "));
        }
        let names: Vec<_> =
            header.iter().map(|name| String::from_utf8_lossy(name).trim().to_owned()).collect();
        let mut columns = [0; 8];
        let mut lacks = None;
        for (column, requested) in columns.iter_mut().zip(COLUMNS) {
            let mut found = names.iter().enumerate().filter(|(_, name)| name.eq_ignore_ascii_case(requested));
            match (found.next(), found.next()) {
                (Some((place, _)), None) => *column = place,
                (Some(_), Some(_)) => bail!("the column {requested} is there twice"),
                (None, _) => {
                    lacks = Some(requested);
                    break;
                }
            }
        }
        match lacks {
            None => return Ok((separator, columns, header.len())),
            // Of the separator that splits the header at all.
            Some(column) if missing.is_none() || header.len() > 1 => missing = Some(column),
            Some(_) => {}
        }
    }
    let column = missing.unwrap_or(COLUMNS[0]);
    bail!("the column {column} is missing: the first line has to name {}", COLUMNS.join(", "))
}

/// A text without the ends of lines around it.
fn trim_lines(text: &[u8]) -> &[u8] {
    let ends = |byte: &u8| matches!(byte, b'\n' | b'\r');
    let start = text.iter().take_while(|byte| ends(byte)).count();
    let end = text[start..].iter().rev().take_while(|byte| ends(byte)).count();
    &text[start..text.len() - end]
}

/// Whether a field in quotes has text behind its last quote. The reader would join the two, and lose the quotes.
fn goes_on_after_a_quote(record: &[u8], separator: u8) -> bool {
    let mut rest = record;
    loop {
        if let Some(quoted) = rest.strip_prefix(b"\"") {
            let mut place = 0;
            loop {
                // An open quote has nothing behind it.
                let Some(found) = quoted[place..].iter().position(|byte| *byte == b'"') else { return false };
                place += found + 1;
                if quoted.get(place) != Some(&b'"') {
                    break;
                }
                // Two quotes are one in the text.
                place += 1;
            }
            rest = &quoted[place..];
            if rest.first().is_some_and(|byte| *byte != separator) {
                return true;
            }
        }
        match rest.iter().position(|byte| *byte == separator) {
            Some(end) => rest = &rest[end + 1..],
            None => return false,
        }
    }
}

fn reader(data: &[u8], separator: Separator) -> csv::Reader<&[u8]> {
    csv::ReaderBuilder::new().has_headers(false).flexible(true).delimiter(separator.byte()).from_reader(data)
}

/// As a name: one line. Nothing of it is cut off: what is too long is refused.
fn described(raw: &str) -> Result<Option<String>, text::TextError> {
    let plain = raw.replace(['\n', '\r', '\t'], " ");
    match text::line(&plain, 200) {
        Ok(text) => Ok(Some(text)),
        Err(text::TextError::Empty) => Ok(None),
        Err(error) => Err(error),
    }
}

fn moment(raw: &str, order: Option<DateOrder>) -> Result<DateTime<Utc>, &'static str> {
    // As exact as it can be stored.
    let at = form::moment(raw, order)?.trunc_subsecs(6);
    let latest = soonshop_domain::clock::now() + TimeDelta::minutes(5);
    if at.year() < 1900 || at > latest { Err("it is before 1900 or in the future") } else { Ok(at) }
}

/// A number without a fraction, such as `24`, `1,000` or `24.0`.
fn whole(text: &str, form: Form) -> Option<i64> {
    whole_number(&form.decimal_sign.plain(text)?)
}

/// A number with a decimal point that has nothing behind it.
fn whole_number(plain: &str) -> Option<i64> {
    let (number, fraction) = plain.split_once('.').unwrap_or((plain, "0"));
    fraction.bytes().all(|digit| digit == b'0').then(|| number.parse().ok()).flatten()
}

/// A decimal number of pounds in pence, rounded half-even. None: it is no number, or one out of all proportion.
fn pence(text: &str) -> Option<i64> {
    let (number, exponent) = match text.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (negative, number) = match number.strip_prefix('-') {
        Some(number) => (true, number),
        None => (false, number.strip_prefix('+').unwrap_or(number)),
    };
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let digits = || whole.bytes().chain(part.bytes());
    if !(1..=30).contains(&digits().count()) || !digits().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let number = digits().fold(0_i128, |sum, digit| sum * 10 + i128::from(digit - b'0'));
    // Pounds have this many decimals, pence two fewer.
    let decimals = i32::try_from(part.len()).ok()?.checked_sub(exponent)?.checked_sub(2)?;
    let pence = match u32::try_from(decimals) {
        // Fewer than half of the last place.
        Ok(decimals) if decimals > 31 => 0,
        Ok(decimals) => {
            let unit = 10_i128.pow(decimals);
            let (floor, rest) = (number / unit, number % unit);
            let up = (rest * 2).cmp(&unit).then(if floor % 2 == 0 {
                std::cmp::Ordering::Less
            } else {
                std::cmp::Ordering::Greater
            });
            floor + i128::from(up.is_gt())
        }
        Err(_) if number == 0 => 0,
        Err(_) => number.checked_mul(10_i128.checked_pow(decimals.unsigned_abs())?)?,
    };
    i64::try_from(if negative { -pence } else { pence }).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str =
        "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n";

    const SIGNS: &str = "Quantity: it is above 0 on an invoice, and below 0 on a credit note (C\u{2026})";

    fn found(rows: &[u8]) -> Vec<RowOutcome> {
        let sheet = Sheet::parse(&[HEADER.as_bytes(), rows].concat(), &FormOptions::default()).unwrap();
        let mut all = Vec::new();
        sheet.rows(|found| all.push(found));
        all
    }

    fn broken(row: &[u8]) -> String {
        match found(row).remove(0) {
            RowOutcome::Broken { line: 2, reason, .. } => reason,
            other => panic!("{:?} is {other:?}", String::from_utf8_lossy(row)),
        }
    }

    /// As `decimal.Decimal(text).quantize(Decimal("0.01"), ROUND_HALF_EVEN) * 100` has them.
    #[test]
    fn a_price_is_rounded_half_to_even_pence() {
        for (text, expected) in [
            ("2.55", 255),
            ("2.5", 250),
            ("2", 200),
            ("0", 0),
            ("0.0", 0),
            (".5", 50),
            ("5.", 500),
            ("0.001", 0),
            ("0.005", 0),
            ("0.0050000001", 1),
            ("0.015", 2),
            ("0.025", 2),
            ("0.035", 4),
            ("1.004999999999999999999", 100),
            ("8.285", 828),
            ("-0.004", 0),
            ("-0.015", -2),
            ("+1.50", 150),
            ("1e-05", 0),
            ("1.5E1", 1500),
            ("1e-40", 0),
            ("0e99", 0),
            ("13541.33", 1_354_133),
        ] {
            assert_eq!(pence(text), Some(expected), "{text}");
        }
        for bad in
            ["", ".", "-", "x", "1,5", "1.2.3", "--1", "£1", "NaN", "Infinity", "1e", "1e99", "1 2", "٣"]
        {
            assert_eq!(pence(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_row_is_parsed_without_loss() {
        let rows = found(
            b"536394,m,\"FANCY \"\"FONT\"\", CARD \",24,2010-12-01 10:39:00,0.42,13408.0,United Kingdom\r\n\
            C536395,22041,,-1,12/1/2010 8:26,2.1,,EIRE\r\n,,,,,,,\r\nA1,M,,1,12/31/2010 8:26,2.1,,EIRE\r\n\
            536396,22041,,1,12/31/2010 8:26,2.1,,EIRE",
        );
        let first = Row {
            line: 2,
            invoice: "536394".into(),
            sku: Sku::try_new("M").unwrap(),
            description: Some("FANCY \"FONT\", CARD".into()),
            quantity: 24,
            at: "2010-12-01T10:39:00Z".parse().unwrap(),
            pence: 42,
            customer: Some("13408".into()),
            country: "United Kingdom".into(),
        };
        let second = Row {
            line: 3,
            invoice: "C536395".into(),
            sku: Sku::try_new("22041").unwrap(),
            description: None,
            quantity: -1,
            at: "2010-12-01T08:26:00Z".parse().unwrap(),
            pence: 210,
            customer: None,
            country: "EIRE".into(),
        };
        assert_eq!(rows[..3], [RowOutcome::Row(first), RowOutcome::Row(second), RowOutcome::Ignored]);
        assert_eq!(rows.len(), 4, "a row of nothing but separators says nothing");
    }

    #[test]
    fn the_same_rows_in_another_form_are_the_same_rows() {
        let points = "600001,MUG,mug,2,2011-01-15 10:00:00,1234.50,,France\n600001,CAFE,CAF\u{c9},3,2011-01-02 10:00:00,4.00,,France\n";
        let commas = points.replace(',', ";").replace("1234.50", "1.234,50").replace("4.00", "4,00");
        let days = points.replace("2011-01-15", "15/01/2011").replace("2011-01-02", "02/01/2011");
        let months = points.replace("2011-01-15", "1/15/2011").replace("2011-01-02", "1/2/2011");
        let read = |rows: &str, header: &str| {
            let mut all = Vec::new();
            let text = [header, rows].concat();
            Sheet::parse(text.as_bytes(), &FormOptions::default()).unwrap().rows(|found| all.push(found));
            all
        };
        let expected = read(points, HEADER);
        assert!(expected.iter().all(|found| matches!(found, RowOutcome::Row(_))), "{expected:?}");
        for (rows, header) in [
            (commas, HEADER.replace(',', ";")),
            (points.replace(',', "\t"), HEADER.replace(',', "\t")),
            (points.replace(',', "|"), HEADER.replace(',', "|")),
            (days, HEADER.to_owned()),
            (months, HEADER.to_lowercase()),
        ] {
            assert_eq!(read(&rows, &header), expected, "{rows}");
        }
    }

    #[test]
    fn an_unreadable_row_gives_the_reason_and_never_its_text() {
        for (row, reason) in [
            (&b"secret,A"[..], "it has 2 fields, and the header 8"),
            (b"1,A,,1,2010-12-01 08:26:00,1,,UK,secret", "it has 9 fields, and the header 8"),
            (b"1,A,,secret,2010-12-01 08:26:00,1,,UK", "Quantity: it is not a whole number"),
            (b"1,A,,1.5,2010-12-01 08:26:00,1,,UK", "Quantity: it is not a whole number"),
            (b"1,A,,0,2010-12-01 08:26:00,1,,UK", "Quantity: it is 0, or too large"),
            (b"1,A,,4294967296,2010-12-01 08:26:00,1,,UK", "Quantity: it is 0, or too large"),
            (b"1,A,,1,secret,1,,UK", "InvoiceDate: it is not a moment such as 2010-12-01 08:26:00"),
            (
                b"1,A,,1,2010-13-01 08:26:00,1,,UK",
                "InvoiceDate: it is not a moment such as 2010-12-01 08:26:00",
            ),
            (b"1,A,,1,2999-12-01 08:26:00,1,,UK", "InvoiceDate: it is before 1900 or in the future"),
            (b"1,A,,1,2010-12-01 08:26:00,secret,,UK", "UnitPrice: it is not an amount of money"),
            (b"1,A,,1,2010-12-01 08:26:00,-1,,UK", "UnitPrice: it is below 0, or too large"),
            (b"1,A,,1,2010-12-01 08:26:00,1000000000.01,,UK", "UnitPrice: it is below 0, or too large"),
            (b"1,A,,1,2010-12-01 08:26:00,1,,", "Country: it is empty"),
            (b"1,,,1,2010-12-01 08:26:00,1,,UK", "StockCode: it is empty"),
            (b",A,,1,2010-12-01 08:26:00,1,,UK", "InvoiceNo: it is empty"),
            (b"1,A,,-1,2010-12-01 08:26:00,1,,UK", SIGNS),
            (b"C1,A,,1,2010-12-01 08:26:00,1,,UK", SIGNS),
        ] {
            assert_eq!(broken(row), reason, "{:?}", String::from_utf8_lossy(row));
        }
    }

    #[test]
    fn a_row_of_a_non_invoice_is_ignored() {
        assert_eq!(
            found(b"A563185,B,Adjust bad debt,1,2011-08-12 14:50:00,-11062.06,,United Kingdom"),
            [RowOutcome::Ignored]
        );
        assert_eq!(found(b"A1,,,x,y,z,,"), [RowOutcome::Ignored]);
    }

    #[test]
    fn an_open_quote_spoils_no_other_row() {
        let good = "1,A,a mug,1,2010-12-01 08:26:00,1,,UK";
        let rows =
            format!("{good}\n\n2,A,\"a mug,1,2010-12-01 08:26:00,1,,UK\n{good}\n{good}\n3,B\n{good}\n");
        let all = found(rows.as_bytes());
        let lines: Vec<_> = all
            .iter()
            .filter_map(|found| if let RowOutcome::Broken { line, .. } = found { Some(*line) } else { None })
            .collect();
        assert_eq!((all.len(), lines), (6, vec![4, 7]));
        // A row may have several lines.
        let rows = found(b"1,A,\"a\nmug\",1,2010-12-01 08:26:00,1,,UK\n3,B\n");
        assert!(
            matches!(&rows[0], RowOutcome::Row(row) if row.description.as_deref() == Some("a mug")),
            "{rows:?}"
        );
        assert!(matches!(rows[1], RowOutcome::Broken { line: 4, .. }), "{rows:?}");
    }

    /// The line and the invoice of each row, or the line and the reason.
    fn read(rows: &str) -> Vec<(u64, Result<String, String>)> {
        let outcome = |one| match one {
            RowOutcome::Row(row) => (row.line, Ok(row.invoice)),
            RowOutcome::Broken { line, reason, .. } => (line, Err(reason)),
            RowOutcome::Ignored => panic!("an invoice is ignored"),
        };
        found(rows.as_bytes()).into_iter().map(outcome).collect()
    }

    #[test]
    fn two_stray_quotes_swallow_no_rows_between_them() {
        let (good, stray) = (",A,mug,1,2010-12-01 08:26:00,1,,UK", ",A,\"6 inch,1,2010-12-01 08:26:00,1,,UK");
        for end in ["\n", "\r\n", "\r"] {
            let rows =
                [&*format!("1{good}"), &format!("2{stray}"), &format!("3{good}"), &format!("4{stray}")];
            let rows = [&rows[..], &[&format!("5{good}")]].concat().join(end);
            // A file has lines of one kind.
            let text = [HEADER.trim_end(), &rows].join(end);
            let mut all = Vec::new();
            Sheet::parse(text.as_bytes(), &FormOptions::default()).unwrap().rows(|found| all.push(found));
            let taken: Vec<_> = all
                .iter()
                .map(|one| match one {
                    RowOutcome::Row(row) => (row.line, true),
                    RowOutcome::Broken { line, .. } => (*line, false),
                    RowOutcome::Ignored => panic!("an invoice is ignored"),
                })
                .collect();
            assert_eq!(taken, [(2, true), (3, false), (4, true), (5, false), (6, true)], "{end:?}");
        }
    }

    #[test]
    fn text_behind_a_closing_quote_breaks_its_row() {
        let row = |text: &str| format!("1,A,{text},1,2010-12-01 08:26:00,1,,UK\n");
        assert_eq!(read(&row("\"6\" cup")), [(2, Err(GOES_ON.to_owned()))]);
        for good in ["\"6\"\" cup\"", "\"\"", "6\" cup", "\"a, b\"", "\"\"\"x\"\"\""] {
            assert_eq!(read(&row(good)), [(2, Ok("1".to_owned()))], "{good}");
        }
    }

    #[test]
    fn rows_that_an_open_quote_swallows_prove_the_form_like_all_others() {
        let rows = "1,A,\"open,1,2010-12-01 08:26:00,5,,UK\n2,A,mug,1,2010-12-01 08:26:00,\"2,55\",,UK\n";
        let sheet = Sheet::parse([HEADER, rows].concat().as_bytes(), &FormOptions::default()).unwrap();
        assert_eq!(sheet.form.decimal_sign, form::DecimalSign::Comma);
    }

    #[test]
    fn control_characters_break_a_row_and_are_not_left_out() {
        let row = |text: &str| format!("1,A,{text},1,2010-12-01 08:26:00,1,,UK\n");
        assert!(matches!(read(&row("mu\u{7}g"))[..], [(2, Err(_))]));
        assert!(matches!(read(&row("mu\u{1b}[31m"))[..], [(2, Err(_))]));
        assert!(matches!(read(&row("a\tmug"))[..], [(2, Ok(_))]));
    }

    #[test]
    fn a_row_knows_its_line_and_a_broken_one_its_invoice_where_it_can_be_read() {
        let good = "1,A,a mug,1,2010-12-01 08:26:00,1,,UK";
        for end in ["\n", "\r\n"] {
            let rows = [good, "", good, "2,A,,x,2010-12-01 08:26:00,1,,UK", ",A", good].join(end);
            let places: Vec<_> = found(rows.as_bytes())
                .into_iter()
                .map(|found| match found {
                    RowOutcome::Row(row) => (row.line, Some(row.invoice), true),
                    RowOutcome::Broken { line, invoice, .. } => (line, invoice, false),
                    RowOutcome::Ignored => panic!("an invoice is ignored"),
                })
                .collect();
            let (one, two) = (Some("1".to_owned()), Some("2".to_owned()));
            let expected = [
                (2, one.clone(), true),
                (4, one.clone(), true),
                (5, two, false),
                (6, None, false),
                (7, one, true),
            ];
            assert_eq!(places, expected);
        }
    }

    #[test]
    fn a_column_that_is_missing_is_named() {
        let refused =
            |header: &str| Sheet::parse(header.as_bytes(), &FormOptions::default()).unwrap_err().to_string();
        assert!(refused("").starts_with("it is empty"));
        assert!(refused("InvoiceNo,StockCode\n1,2\n").starts_with("the column Description is missing"));
        let renamed = HEADER.replace("UnitPrice", "Price");
        assert!(refused(&renamed).starts_with("the column UnitPrice is missing"));
        assert!(refused(&renamed.replace(',', ";")).starts_with("the column UnitPrice is missing"));
        let twice = HEADER.replace("Country", "Country,Quantity");
        assert_eq!(refused(&twice), "the column Quantity is there twice");
    }

    #[test]
    fn columns_may_stand_in_any_order_beside_others() {
        let text = "\u{feff}Country, Note,InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID\n\
            UK,x,1,A,a mug,1,2010-12-01 08:26:00,1,\n";
        let mut rows = Vec::new();
        Sheet::parse(text.as_bytes(), &FormOptions::default()).unwrap().rows(|found| rows.push(found));
        assert!(
            matches!(&rows[..], [RowOutcome::Row(row)] if row.invoice == "1" && row.country == "UK"),
            "{rows:?}"
        );
    }
}
