//! The rows of a file, one by one, each read into what it says or into why it cannot be.
//!
//! A row that cannot be read never takes its neighbours with it: where a quote was left open, so that the reader of CSV
//! took many lines for one row, each of these lines is read again by itself.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use chrono::{DateTime, Datelike as _, NaiveDateTime, TimeDelta, Utc};
use csv::ByteRecord;
use flate2::read::MultiGzDecoder;
use ring::digest;
use soonshop_domain::text::{self, Sku};

/// What the format calls its columns. A file may have others, and in any order.
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

/// How the public copies of this data write a moment: as in the project's own file, and as spreadsheets export it.
const MOMENTS: [&str; 4] = ["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%m/%d/%Y %H:%M"];

/// The most pence that a unit may cost: what a product takes.
const MOST_PENCE: i64 = 100_000_000_000;

/// A line of an invoice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) invoice: String,
    pub(super) sku: Sku,
    /// None where there is no text in it.
    pub(super) description: Option<String>,
    /// Not 0, and of a size that a command takes.
    pub(super) quantity: i64,
    pub(super) at: DateTime<Utc>,
    /// Of one unit, never below 0.
    pub(super) pence: i64,
    pub(super) customer: Option<String>,
    pub(super) country: String,
}

/// What became of a row.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    Row(Row),
    /// Of an invoice that is none: its number begins with `A`.
    Ignored,
    Broken {
        /// Of the file, from 1.
        line: u64,
        reason: String,
    },
}

/// A file that was read and whose header is right.
pub(super) struct Sheet {
    data: Vec<u8>,
    /// SHA-256 of the rows, packed or not: the same rows are the same file.
    pub(super) hash: String,
    columns: [usize; 8],
    /// How many fields each row has.
    width: usize,
}

impl Sheet {
    /// Reads a file, packed with gzip or not.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let name = path.display();
        let mut data = Vec::new();
        File::open(path)
            .and_then(|mut file| file.read_to_end(&mut data))
            .with_context(|| name.to_string())?;
        if data.starts_with(&[0x1f, 0x8b]) {
            let mut plain = Vec::new();
            let unpacked = MultiGzDecoder::new(data.as_slice()).read_to_end(&mut plain);
            unpacked.with_context(|| format!("{name}: it is packed with gzip, and is not whole"))?;
            data = plain;
        }
        Self::parse(data).with_context(|| name.to_string())
    }

    fn parse(data: Vec<u8>) -> anyhow::Result<Self> {
        let mut header = ByteRecord::new();
        if !reader(&data).read_byte_record(&mut header)? {
            bail!("it is empty: its first line has to name the columns {}", COLUMNS.join(", "));
        }
        let names: Vec<_> = header.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
        let names: Vec<_> = names.iter().map(|name| name.trim_start_matches('\u{feff}').trim()).collect();
        let mut columns = [0; 8];
        for (column, wanted) in columns.iter_mut().zip(COLUMNS) {
            let Some(found) = names.iter().position(|name| *name == wanted) else {
                bail!("the column {wanted} is missing: the first line has to name {}", COLUMNS.join(", "));
            };
            *column = found;
        }
        let digest = digest::digest(&digest::SHA256, &data);
        let mut hash = String::new();
        for byte in digest.as_ref() {
            // Writing to a string does not fail.
            write!(hash, "{byte:02x}").unwrap_or_default();
        }
        Ok(Self { columns, width: header.len(), hash, data })
    }

    /// Every row after the header, in order.
    pub(super) fn rows(&self, mut take: impl FnMut(Found)) {
        let mut reader = reader(&self.data);
        let (mut record, mut header) = (ByteRecord::new(), true);
        loop {
            let (start, line) = (reader.position().byte(), reader.position().line());
            match reader.read_byte_record(&mut record) {
                Ok(true) if header => header = false,
                Ok(true) => {
                    let end = reader.position().byte();
                    match self.row(&record) {
                        Ok(found) => take(found),
                        Err(reason) => self.again(start, end, line, reason, &mut take),
                    }
                }
                Ok(false) => return,
                // Rows of bytes, of any width, out of memory: there is nothing left that could fail.
                Err(error) => return take(Found::Broken { line, reason: error.to_string() }),
            }
        }
    }

    /// A row that is broken: if it has several lines, each of them may be a row.
    fn again(&self, start: u64, end: u64, before: u64, reason: String, take: &mut impl FnMut(Found)) {
        let place = |byte: u64| usize::try_from(byte).unwrap_or(usize::MAX).min(self.data.len());
        let lines = self.data[place(start)..place(end)].split(|byte| *byte == b'\n');
        let mut lines: Vec<_> = lines.map(<[u8]>::trim_ascii_end).collect();
        while lines.last().is_some_and(|line| line.is_empty()) {
            lines.pop();
        }
        // What stands before the row itself: the end of the line before, and empty lines.
        let leading = lines.iter().take_while(|line| line.is_empty()).count();
        lines.drain(..leading);
        let first = before + u64::try_from(leading).unwrap_or(0);
        if lines.len() < 2 {
            return take(Found::Broken { line: first, reason });
        }
        let mut record = ByteRecord::new();
        for (line, text) in (first..).zip(lines) {
            let read = reader(text).read_byte_record(&mut record);
            match read.map_err(|error| error.to_string()).and_then(|_| self.row(&record)) {
                Ok(found) => take(found),
                Err(reason) => take(Found::Broken { line, reason }),
            }
        }
    }

    fn row(&self, record: &ByteRecord) -> Result<Found, String> {
        if record.len() != self.width {
            return Err(format!("it has {} fields, and the header {}", record.len(), self.width));
        }
        let field = |column: usize| -> Result<&str, String> {
            let bytes = record.get(self.columns[column]).unwrap_or_default();
            let text = std::str::from_utf8(bytes).map_err(|_| format!("{} is not UTF-8", COLUMNS[column]))?;
            Ok(text.trim())
        };
        let told = |column: usize, why: &dyn std::fmt::Display| format!("{}: {why}", COLUMNS[column]);
        let line = |column: usize| text::line(field(column)?, 64).map_err(|error| told(column, &error));
        let invoice = line(0)?;
        if invoice.starts_with('A') {
            return Ok(Found::Ignored);
        }
        let quantity: i64 = field(3)?.parse().map_err(|_| told(3, &"it is not a whole number"))?;
        if quantity == 0 || u32::try_from(quantity.unsigned_abs()).is_err() {
            return Err(told(3, &"it is 0, or too large"));
        }
        let pence = pence(field(5)?).ok_or_else(|| told(5, &"it is not an amount of money"))?;
        if !(0..=MOST_PENCE).contains(&pence) {
            return Err(told(5, &"it is below 0, or too large"));
        }
        let customer = field(6)?;
        let customer = customer.strip_suffix(".0").unwrap_or(customer);
        let customer = match customer {
            "" => None,
            number => Some(text::line(number, 64).map_err(|error| told(6, &error))?),
        };
        Ok(Found::Row(Row {
            invoice,
            sku: Sku::try_new(field(1)?).map_err(|error| told(1, &error))?,
            description: described(field(2)?),
            quantity,
            at: moment(field(4)?).map_err(|why| told(4, &why))?,
            pence,
            customer,
            country: line(7)?,
        }))
    }
}

fn reader(data: &[u8]) -> csv::Reader<&[u8]> {
    csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(data)
}

/// As a name: one line, without what does not fit.
fn described(raw: &str) -> Option<String> {
    let plain: String = raw.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect();
    text::line(&plain, 200).ok()
}

fn moment(raw: &str) -> Result<DateTime<Utc>, &'static str> {
    let read = MOMENTS.iter().find_map(|format| NaiveDateTime::parse_from_str(raw, format).ok());
    let at = read.ok_or("it is not a moment such as 2010-12-01 08:26:00")?.and_utc();
    let latest = soonshop_domain::clock::now() + TimeDelta::minutes(5);
    if at.year() < 1900 || at > latest { Err("it is before 1900 or in the future") } else { Ok(at) }
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

    fn found(rows: &[u8]) -> Vec<Found> {
        let sheet = Sheet::parse([HEADER.as_bytes(), rows].concat()).unwrap();
        let mut all = Vec::new();
        sheet.rows(|found| all.push(found));
        all
    }

    fn broken(row: &[u8]) -> String {
        match found(row).remove(0) {
            Found::Broken { line: 2, reason } => reason,
            other => panic!("{:?} is {other:?}", String::from_utf8_lossy(row)),
        }
    }

    /// As `decimal.Decimal(text).quantize(Decimal("0.01"), ROUND_HALF_EVEN) * 100` has them.
    #[test]
    fn a_price_is_rounded_half_even_to_pence() {
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
    fn a_row_is_read_as_it_was_written() {
        let rows = found(
            b"536394,m,\"FANCY \"\"FONT\"\", CARD \",24,2010-12-01 10:39:00,0.42,13408.0,United Kingdom\r\n\
            C536395,22041,,-1,12/1/2010 8:26,2.1,,EIRE",
        );
        let first = Row {
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
            invoice: "C536395".into(),
            sku: Sku::try_new("22041").unwrap(),
            description: None,
            quantity: -1,
            at: "2010-12-01T08:26:00Z".parse().unwrap(),
            pence: 210,
            customer: None,
            country: "EIRE".into(),
        };
        assert_eq!(rows, [Found::Row(first), Found::Row(second)]);
    }

    #[test]
    fn what_cannot_be_read_says_why_and_never_repeats_it() {
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
            (b"1,A,caf\xe9,1,2010-12-01 08:26:00,1,,UK", "Description is not UTF-8"),
        ] {
            assert_eq!(broken(row), reason, "{:?}", String::from_utf8_lossy(row));
        }
    }

    #[test]
    fn an_invoice_that_is_none_is_ignored_whatever_else_it_says() {
        assert_eq!(
            found(b"A563185,B,Adjust bad debt,1,2011-08-12 14:50:00,-11062.06,,United Kingdom"),
            [Found::Ignored]
        );
        assert_eq!(found(b"A1,,,x,y,z,,"), [Found::Ignored]);
    }

    #[test]
    fn a_quote_left_open_takes_no_other_row_with_it() {
        let good = "1,A,a mug,1,2010-12-01 08:26:00,1,,UK";
        let rows =
            format!("{good}\n\n2,A,\"a mug,1,2010-12-01 08:26:00,1,,UK\n{good}\n{good}\n3,B\n{good}\n");
        let all = found(rows.as_bytes());
        let lines: Vec<_> = all
            .iter()
            .filter_map(|found| if let Found::Broken { line, .. } = found { Some(*line) } else { None })
            .collect();
        assert_eq!((all.len(), lines), (6, vec![4, 7]));
        // A row may have several lines.
        let rows = found(b"1,A,\"a\nmug\",1,2010-12-01 08:26:00,1,,UK\n3,B\n");
        assert!(
            matches!(&rows[0], Found::Row(row) if row.description.as_deref() == Some("a mug")),
            "{rows:?}"
        );
        assert!(matches!(rows[1], Found::Broken { line: 4, .. }), "{rows:?}");
    }

    #[test]
    fn a_column_that_is_missing_is_named() {
        let refused =
            |header: &str| Sheet::parse(header.as_bytes().to_vec()).map(|_| ()).unwrap_err().to_string();
        assert!(refused("").starts_with("it is empty"));
        assert!(refused("InvoiceNo,StockCode\n1,2\n").starts_with("the column Description is missing"));
        let renamed = HEADER.replace("UnitPrice", "Price");
        assert!(refused(&renamed).starts_with("the column UnitPrice is missing"));
    }

    #[test]
    fn columns_may_stand_in_any_order_beside_others() {
        let text = "\u{feff}Country, Note,InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID\n\
            UK,x,1,A,a mug,1,2010-12-01 08:26:00,1,\n";
        let mut rows = Vec::new();
        Sheet::parse(text.as_bytes().to_vec()).unwrap().rows(|found| rows.push(found));
        assert!(
            matches!(&rows[..], [Found::Row(row)] if row.invoice == "1" && row.country == "UK"),
            "{rows:?}"
        );
    }
}
