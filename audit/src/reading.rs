//! An export being read back, NDJSON or CSV, and checked against its manifest.

use std::io::{self, BufRead, Read as _};

use ring::digest::{Context, SHA256};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::export::{
    BYTE_ORDER_MARK, Column, Format, InvalidExport, MARK, Manifest, Separator, as_it_was, names,
};

/// The longest line that is accepted, in bytes; rows are much shorter.
const LONGEST: u64 = 16 << 20;

/// The exports in CSV that can be read back.
#[derive(Debug, Clone)]
pub struct CsvShape {
    /// The columns that a file may have.
    pub columns: Vec<Vec<Column>>,
    /// The names of the columns whose cells hold JSON; those of others hold texts.
    pub json: &'static [&'static str],
}

impl CsvShape {
    /// The columns and the separator of this header row.
    fn of(&self, header: &[u8]) -> Option<(Vec<Column>, Separator)> {
        // Earlier releases wrote no byte order mark.
        let header = header.strip_prefix(BYTE_ORDER_MARK.as_bytes()).unwrap_or(header);
        self.columns.iter().find_map(|columns| {
            let has = |one: &Separator| names(columns, *one).is_ok_and(|names| names == header);
            Some((columns.clone(), Separator::ALL.into_iter().find(has)?))
        })
    }
}

/// How the rows of a file are written.
enum Rows {
    /// The manifest came before them.
    Ndjson(Box<Manifest>),
    Csv(CsvRows),
}

/// Rows of CSV.
struct CsvRows {
    columns: Vec<Column>,
    json: &'static [&'static str],
    separator: Separator,
    /// The line of the manifest, once it was read.
    manifest: Option<Vec<u8>>,
    /// There is something after the manifest.
    goes_on: bool,
    /// The last row that was read, as it is written.
    last: Vec<u8>,
}

impl CsvRows {
    fn cells(&self, row: &[u8]) -> Option<csv::StringRecord> {
        let mut reader = csv::ReaderBuilder::new();
        let reader = reader.has_headers(false).delimiter(self.separator.byte());
        let cells = reader.from_reader(row).into_records().next()?.ok()?;
        (cells.len() == self.columns.len()).then_some(cells)
    }

    /// The object that a row was written from: an empty cell of text is a value that is not there.
    fn object(&self, row: &[u8]) -> Option<Value> {
        let (cells, mut object) = (self.cells(row)?, Value::Null);
        for ((name, pointer), cell) in self.columns.iter().zip(&cells) {
            let value = match (self.json.contains(name), cell) {
                (true, "") => Value::Null,
                (true, json) => serde_json::from_str(json).ok()?,
                (false, "") => continue,
                (false, text) => as_it_was(text).into(),
            };
            let mut place = &mut object;
            for field in pointer.split('/').skip(1) {
                place = &mut place[field];
            }
            *place = value;
        }
        Some(object)
    }
}

/// An export being read back, hashed as it is read. Whether it is intact is known at its end.
pub struct Reading<R> {
    input: R,
    rows: Rows,
    hash: Context,
    count: u64,
    /// The first line that is not a row.
    invalid_line: Option<u64>,
}

impl<R: BufRead> Reading<R> {
    /// Reads the first line.
    pub fn begin(mut input: R, csv: &CsvShape) -> Result<Self, InvalidExport> {
        #[derive(Deserialize)]
        struct First {
            manifest: Value,
        }
        let mut first = line(&mut input)?;
        if let Some((columns, separator)) = csv.of(&first) {
            return Ok(Self::of_csv(input, columns, separator, csv.json));
        }
        let value = serde_json::from_slice(&first).ok().map(|First { manifest }| manifest);
        if value.is_none() {
            let second = line(&mut input)?;
            let last = last_line(&mut input)?;
            if last.as_ref().unwrap_or(&second).starts_with(MARK.as_bytes()) {
                return Err(InvalidExport::Differs(OTHER_COLUMNS.to_owned()));
            }
            // A line break inserted into the manifest would hide what comes after it.
            first.extend(second);
        }
        let manifest = Manifest::read(&first, value, Manifest::line)?;
        if manifest.format != Format::Ndjson {
            return Err(InvalidExport::NoExport("its manifest belongs to another file, in CSV".to_owned()));
        }
        let (rows, hash) = (Rows::Ndjson(Box::new(manifest)), Context::new(&SHA256));
        Ok(Self { input, rows, hash, count: 0, invalid_line: None })
    }

    fn of_csv(input: R, columns: Vec<Column>, separator: Separator, json: &'static [&'static str]) -> Self {
        let (manifest, goes_on, last) = (None, false, Vec::new());
        let rows = Rows::Csv(CsvRows { columns, json, separator, manifest, goes_on, last });
        Self { input, rows, hash: Context::new(&SHA256), count: 0, invalid_line: None }
    }

    /// Its manifest, if that is known before the rows are read.
    pub fn manifest(&self) -> Option<&Manifest> {
        match &self.rows {
            Rows::Ndjson(manifest) => Some(manifest),
            Rows::Csv(_) => None,
        }
    }

    /// Its columns, if it is in CSV.
    pub fn columns(&self) -> Option<&[Column]> {
        match &self.rows {
            Rows::Ndjson(_) => None,
            Rows::Csv(rows) => Some(&rows.columns),
        }
    }

    /// Returns the next row. After a line that is not a row, the rest is only counted and hashed.
    pub fn row<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        while let Some(written) = self.written()? {
            if self.invalid_line.is_none() {
                let row = match &self.rows {
                    Rows::Ndjson(_) => serde_json::from_slice(&written).ok(),
                    Rows::Csv(rows) => rows.object(&written).and_then(|row| serde_json::from_value(row).ok()),
                };
                if row.is_some() {
                    return Ok(row);
                }
                self.invalid_line = Some(self.count + 1);
            }
        }
        Ok(None)
    }

    /// Reads the rows that are left, without looking into them.
    pub fn skip_rows(&mut self) -> io::Result<()> {
        while self.written()?.is_some() {}
        Ok(())
    }

    /// The next row as it is written, counted and hashed.
    fn written(&mut self) -> io::Result<Option<Vec<u8>>> {
        let written = match &mut self.rows {
            Rows::Ndjson(_) => line(&mut self.input)?,
            Rows::Csv(rows) => {
                let mut written = lines_of_row(&mut self.input)?;
                if written.starts_with(MARK.as_bytes()) {
                    rows.goes_on = !self.input.fill_buf()?.is_empty();
                    rows.manifest = (!rows.goes_on).then(|| std::mem::take(&mut written));
                }
                written
            }
        };
        if written.is_empty() {
            return Ok(None);
        }
        self.hash.update(&written);
        self.count += 1;
        if let Rows::Csv(rows) = &mut self.rows {
            rows.last.clone_from(&written);
        }
        Ok(Some(written))
    }

    /// The manifest, once all rows were read, if they match it.
    pub fn finish(self) -> Result<Manifest, InvalidExport> {
        let manifest = match self.rows {
            Rows::Ndjson(manifest) => *manifest,
            Rows::Csv(rows) => rows.end()?,
        };
        let manifest = manifest.fits(self.count, self.hash)?;
        match self.invalid_line {
            Some(line) => Err(InvalidExport::Differs(format!("its line {line} is not an event"))),
            None => Ok(manifest),
        }
    }
}

impl CsvRows {
    /// The manifest in the last line.
    fn end(&self) -> Result<Manifest, InvalidExport> {
        let Some(written) = &self.manifest else {
            // A manifest that was changed may look like a row.
            let has = |mark: &str| self.last.windows(mark.len()).any(|part| part == mark.as_bytes());
            let was_there = self.goes_on || [MARK, "\"signature\"", "\"sha256\""].into_iter().any(has);
            return Err(if was_there {
                InvalidExport::Differs(CHANGED.to_owned())
            } else {
                InvalidExport::NoExport("its last line is not a manifest".to_owned())
            });
        };
        let cells = self.cells(written);
        let value: Option<Value> = cells.and_then(|cells| serde_json::from_str(cells.get(1)?).ok());
        let value = value.ok_or_else(|| InvalidExport::Differs(CHANGED.to_owned()))?;
        let as_written = |one: &Manifest| one.last_line(self.columns.len(), self.separator);
        let manifest = Manifest::read(written, Some(value), as_written)?;
        if manifest.format != Format::Csv {
            return Err(InvalidExport::NoExport("its manifest belongs to another file".to_owned()));
        }
        Ok(manifest)
    }
}

/// The error for CSV whose manifest cannot be read.
const CHANGED: &str = "the manifest in its last line has been changed";

/// The error for CSV whose header row is of no export.
const OTHER_COLUMNS: &str = "its first line has other columns";

/// Checks an export in CSV against the manifest beside it; returns the manifest if it matches. Where the file has a
/// manifest too, that must be the same.
pub fn verify_csv(
    manifest: &[u8],
    csv: &CsvShape,
    mut input: impl BufRead,
) -> Result<Manifest, InvalidExport> {
    let value = serde_json::from_slice(manifest).ok();
    let manifest = Manifest::read(manifest, value, |manifest| Ok((manifest.text()? + "\n").into_bytes()))?;
    if manifest.format != Format::Csv {
        return Err(InvalidExport::NoExport("the manifest beside it belongs to another file".to_owned()));
    }
    let first = line(&mut input)?;
    let (columns, separator) =
        csv.of(&first).ok_or_else(|| InvalidExport::Differs(OTHER_COLUMNS.to_owned()))?;
    let own = manifest.last_line(columns.len(), separator)?;
    let mut reading = Reading::of_csv(input, columns, separator, csv.json);
    reading.skip_rows()?;
    if let Rows::Csv(CsvRows { manifest: Some(written), .. }) = &reading.rows
        && *written != own
    {
        return Err(InvalidExport::Differs("the manifest in its last line is another one".to_owned()));
    }
    manifest.fits(reading.count, reading.hash)
}

/// The last unread line, if there is one.
fn last_line(input: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut last = None;
    loop {
        let next = line(input)?;
        if next.is_empty() {
            return Ok(last);
        }
        last = Some(next);
    }
}

/// The lines of a row of CSV: a cell in quotes may hold line breaks. Empty at the end.
fn lines_of_row(input: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let (mut row, mut open) = (Vec::new(), false);
    loop {
        let next = line(input)?;
        open = next.iter().fold(open, |open, byte| open ^ (*byte == b'"'));
        let ends = next.is_empty() || !open || row.len() as u64 > LONGEST;
        row.extend(next);
        if ends {
            return Ok(row);
        }
    }
}

/// A line with its line break; empty at the end. A line that is too long comes in pieces, none of which is a row.
fn line(input: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    input.take(LONGEST).read_until(b'\n', &mut line)?;
    Ok(line)
}
