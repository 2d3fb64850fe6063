//! A listing as a file, NDJSON or CSV, with a manifest that describes it: the one encoder of the command line and the
//! endpoints. The rows it gets must be redacted already: nothing is masked here.
//!
//! A manifest has the count and the hash of the rows. In NDJSON it comes before them, so rows are spooled first, in
//! memory while they are few and then to a temporary file, and read back once the last one is known. The hash covers
//! every byte after the first line: `tail -n +2 FILE | sha256sum`. The first line of CSV holds the names of the columns;
//! its manifest is the last line, which the hash does not cover: `sed '1d;$d' FILE | sha256sum`. [`Reading`](crate::reading::Reading) reads both
//! back and checks them against their manifest.
//!
//! A manifest may be signed with the shop's seal key. The signature covers the manifest's own text without the
//! signature, so a signed manifest must be kept as it was written, byte by byte.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Cursor, Read, Seek as _, Write};
use std::iter;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use soonshop_domain::clock;
use soonshop_event_log::seal::{Bytes as Signature, PublicKey, SealKey};
use tempfile::SpooledTempFile;

/// The manifest's schema version.
const SCHEMA: u32 = 1;

/// Bytes kept in memory before they go to a file.
const IN_MEMORY: usize = 4 << 20;

/// Bytes per chunk of an answer's body.
const CHUNK: usize = 64 << 10;

/// Bytes per read when the order of the rows is reversed.
const PIECE: u64 = 1 << 20;

/// The format of a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// One JSON object per line, the manifest first.
    Ndjson,
    /// RFC 4180, with a header row; the manifest is the last row.
    Csv,
}

impl Format {
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Ndjson => "application/x-ndjson",
            Self::Csv => "text/csv; charset=utf-8; header=present",
        }
    }
}

/// The separator of the cells of CSV. A spreadsheet expects the one of its country: a semicolon where a comma is
/// the decimal sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Separator {
    #[default]
    Comma,
    Semicolon,
    Tab,
}

impl Separator {
    /// The names of all separators, the default first.
    pub const NAMES: [&str; 3] = ["comma", "semicolon", "tab"];

    pub(crate) const ALL: [Self; 3] = [Self::Comma, Self::Semicolon, Self::Tab];

    /// The separator of this name; the default for any other.
    pub fn named(name: Option<&str>) -> Self {
        let mut all = Self::NAMES.into_iter().zip(Self::ALL);
        all.find(|(known, _)| Some(*known) == name).map(|(_, separator)| separator).unwrap_or_default()
    }

    pub(crate) fn byte(self) -> u8 {
        match self {
            Self::Comma => b',',
            Self::Semicolon => b';',
            Self::Tab => b'\t',
        }
    }
}

/// A column of CSV: its name, and the JSON pointer to its value in a row.
pub type Column = (&'static str, &'static str);

/// The query of an export, and how its rows are listed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Scope {
    /// Of what it is the list, where it is not the timeline: `operations`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// The filters, by parameter.
    pub filter: BTreeMap<String, String>,
    /// `asc` or `desc`.
    pub order: String,
    /// The time that it is sorted by, if not by position.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sort: Option<String>,
    /// The position of the log at which it was read.
    pub head: i64,
    /// The role that it is masked for.
    pub role: String,
}

/// Describes an exported file, for a reader who has only the file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Manifest {
    schema: u32,
    pub(crate) format: Format,
    #[serde(flatten)]
    listed: Scope,
    count: u64,
    made_at: DateTime<Utc>,
    /// SHA-256 of the rows as they are written, in hexadecimal.
    sha256: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signed_by: Option<Signer>,
    /// Ed25519 signature over the text of all other fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signature: Option<Signature>,
}

/// The key that signed an export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signer {
    pub key: PublicKey,
    pub fingerprint: String,
}

impl Manifest {
    /// The exact text that is signed.
    pub fn text(&self) -> serde_json::Result<String> {
        serde_json::to_string(self)
    }

    /// The manifest's line before the rows in NDJSON.
    pub(crate) fn line(&self) -> io::Result<Vec<u8>> {
        Ok(format!("{{\"manifest\":{}}}\n", self.text()?).into_bytes())
    }

    /// The manifest's line after the rows in CSV, with as many cells as any other. Its mark is what many programs take
    /// for the beginning of a comment.
    pub(crate) fn last_line(&self, columns: usize, separator: Separator) -> io::Result<Vec<u8>> {
        let cells = [MARK.to_owned(), self.text()?].into_iter();
        record(cells.chain(iter::repeat_n(String::new(), columns.saturating_sub(2))), separator)
    }

    /// The key that signed it. When it was read back, the signature has been verified.
    pub fn signed_by(&self) -> Option<&Signer> {
        self.signed_by.as_ref()
    }

    fn sign(&mut self, key: &SealKey) -> serde_json::Result<()> {
        let public = key.public();
        self.signed_by = Some(Signer { key: public, fingerprint: public.fingerprint() });
        self.signature = None;
        self.signature = Some(key.sign_manifest(&self.text()?));
        Ok(())
    }

    /// Whether its signature is valid.
    fn is_proved(&self) -> bool {
        let (Some(signer), Some(signature)) = (&self.signed_by, &self.signature) else { return false };
        let bare = Self { signature: None, ..self.clone() };
        let proved = |text: String| signer.key.signed_manifest(&text, signature);
        signer.fingerprint == signer.key.fingerprint() && bare.text().is_ok_and(proved)
    }

    /// Returns the manifest if the rows match it.
    pub(crate) fn fits(self, count: u64, hash: Context) -> Result<Self, InvalidExport> {
        let sha256 = digits(hash.finish().as_ref());
        let Self { count: message, sha256: hashed, .. } = &self;
        if (count, &sha256) == (*message, hashed) {
            return Ok(self);
        }
        Err(InvalidExport::Differs(format!(
            "it has {count} rows, whose SHA-256 is {sha256}, and says {message} rows, whose SHA-256 is {hashed}"
        )))
    }

    /// Reads a manifest from its text. `whole` renders the manifest as it must be written.
    pub(crate) fn read(
        bytes: &[u8],
        manifest: Option<Value>,
        whole: impl FnOnce(&Self) -> io::Result<Vec<u8>>,
    ) -> Result<Self, InvalidExport> {
        // A signed manifest stays signed: one that names a signer or signature must have a valid one.
        let marks: [&[u8]; 2] = [b"\"signed_by\"", b"\"signature\""];
        let signed = marks.iter().any(|mark| bytes.windows(mark.len()).any(|part| part == *mark));
        let no = |why: &str| {
            if signed {
                InvalidExport::Differs("its manifest was signed, and has been changed since".to_owned())
            } else {
                InvalidExport::NoExport(why.to_owned())
            }
        };
        let manifest = manifest.ok_or_else(|| no(NO_MANIFEST))?;
        // Checked first: the other fields may differ in another schema.
        if manifest["schema"] != SCHEMA {
            return Err(no("its manifest is of a schema that this release does not know"));
        }
        let manifest: Self =
            serde_json::from_value(manifest).map_err(|_| no("its manifest is incomplete"))?;
        let as_written = whole(&manifest).is_ok_and(|text| text == bytes);
        if signed && !(as_written && manifest.is_proved()) {
            return Err(no(NO_MANIFEST));
        }
        Ok(manifest)
    }

    pub fn count(&self) -> u64 {
        self.count
    }

    pub fn listed(&self) -> &Scope {
        &self.listed
    }

    pub fn made_at(&self) -> DateTime<Utc> {
        self.made_at
    }

    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// On one line of visible ASCII, for an HTTP header: JSON leaves the DEL character as it is, a header cannot hold
    /// it.
    pub fn in_ascii(&self) -> serde_json::Result<String> {
        let (text, mut ascii) = (self.text()?, String::new());
        for sign in text.chars() {
            if matches!(sign, ' '..='~') {
                ascii.push(sign);
            } else {
                ascii.extend(sign.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")));
            }
        }
        Ok(ascii)
    }
}

/// Rows on their way to a file, hashed as they are written.
struct HashedSpool {
    file: SpooledTempFile,
    hash: Context,
}

impl HashedSpool {
    fn begin() -> Self {
        Self { file: SpooledTempFile::new(IN_MEMORY), hash: Context::new(&SHA256) }
    }
}

impl Write for HashedSpool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// The order of the rows in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// In the order in which they were added.
    AsAdded,
    LastFirst,
    /// By their numbers in the order in which they were added, from 0.
    Sequence(Vec<usize>),
}

/// Hexadecimal digits.
fn digits(bytes: &[u8]) -> String {
    let halves = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    halves.filter_map(|half| char::from_digit(half.into(), 16)).collect()
}

/// Signs with which a formula of a spreadsheet begins. Some take the wide signs of Chinese and Japanese, too.
const FORMULA: [char; 11] = ['=', '+', '-', '@', '＝', '＋', '－', '＠', '\t', '\r', '\n'];

/// A text that no spreadsheet takes for a formula: an apostrophe is put before it, and before one that would read the
/// same.
fn harmless(mut text: String) -> String {
    if text.trim_start_matches('\'').starts_with(FORMULA) {
        text.insert(0, '\'');
    }
    text
}

/// The text that a harmless one was made from.
pub(crate) fn as_it_was(text: &str) -> &str {
    let inner = text.strip_prefix('\'').filter(|inner| inner.trim_start_matches('\'').starts_with(FORMULA));
    inner.unwrap_or(text)
}

/// A value in one cell: null is empty, and an object or list is JSON.
fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => harmless(text.clone()),
        Some(value) => value.to_string(),
    }
}

/// A listing that is being written.
pub struct Export {
    format: Format,
    columns: Vec<Column>,
    separator: Separator,
    rows: BufWriter<HashedSpool>,
    /// The offset at which each row ends.
    ends: Vec<u64>,
}

impl Export {
    /// An export without rows.
    pub fn begin(format: Format, columns: Vec<Column>) -> Self {
        let separator = Separator::default();
        Self { format, columns, separator, rows: BufWriter::new(HashedSpool::begin()), ends: Vec::new() }
    }

    /// The same with another separator between the cells of CSV.
    #[must_use]
    pub fn separated(self, separator: Separator) -> Self {
        Self { separator, ..self }
    }

    /// Adds the next row.
    pub fn add(&mut self, row: &impl Serialize) -> io::Result<()> {
        let line = match self.format {
            Format::Ndjson => {
                let mut line = serde_json::to_vec(row)?;
                line.push(b'\n');
                line
            }
            Format::Csv => {
                let row = serde_json::to_value(row)?;
                record(self.columns.iter().map(|(_, pointer)| cell(row.pointer(pointer))), self.separator)?
            }
        };
        self.rows.write_all(&line)?;
        self.ends.push(self.ends.last().copied().unwrap_or(0) + line.len() as u64);
        Ok(())
    }

    /// Completes the export, once it has all rows.
    pub fn finish(self, listed: Scope, order: Order) -> io::Result<Written> {
        let Self { format, columns, separator, rows, ends } = self;
        let count = ends.len() as u64;
        let passing = rows.into_inner().map_err(io::IntoInnerError::into_error)?;
        let HashedSpool { file: mut rows, hash } = match order {
            Order::AsAdded => passing,
            Order::LastFirst => last_first(passing.file, &ends)?,
            Order::Sequence(sequence) => in_sequence(passing.file, &ends, &sequence)?,
        };
        rows.rewind()?;
        let sha256 = digits(hash.finish().as_ref());
        let manifest = Manifest {
            schema: SCHEMA,
            format,
            listed,
            count,
            made_at: clock::now(),
            sha256,
            signed_by: None,
            signature: None,
        };
        let first = match format {
            Format::Ndjson => Vec::new(),
            Format::Csv => [BYTE_ORDER_MARK.as_bytes(), &names(&columns, separator)?].concat(),
        };
        let (first, last, columns) = (Cursor::new(first), Cursor::default(), columns.len());
        let mut written = Written { manifest, first, rows, last, columns, separator };
        written.put_manifest()?;
        Ok(written)
    }
}

/// A line of CSV.
fn record(cells: impl Iterator<Item = String>, separator: Separator) -> io::Result<Vec<u8>> {
    let mut line = csv::WriterBuilder::new();
    let line = line.delimiter(separator.byte()).terminator(csv::Terminator::CRLF);
    let mut line = line.from_writer(Vec::new());
    line.write_record(cells)?;
    line.into_inner().map_err(csv::IntoInnerError::into_error)
}

/// The rows of a file in reverse order, read in pieces from its end.
fn last_first(mut file: SpooledTempFile, ends: &[u64]) -> io::Result<HashedSpool> {
    let mut out = BufWriter::new(HashedSpool::begin());
    let (mut piece, mut upto) = (Vec::new(), ends.len());
    let start_of = |row: usize| row.checked_sub(1).map_or(0, |before| ends[before]);
    while upto > 0 {
        let end = ends[upto - 1];
        // At least one row, however long it is.
        let from = if end <= PIECE {
            0
        } else {
            (ends[..upto - 1].partition_point(|at| at + PIECE < end) + 1).min(upto - 1)
        };
        piece.resize(usize::try_from(end - start_of(from)).map_err(io::Error::other)?, 0);
        file.seek(io::SeekFrom::Start(start_of(from)))?;
        file.read_exact(&mut piece)?;
        for row in (from..upto).rev() {
            let inside = |at: u64| usize::try_from(at - start_of(from)).map_err(io::Error::other);
            out.write_all(&piece[inside(start_of(row))?..inside(ends[row])?])?;
        }
        upto = from;
    }
    out.into_inner().map_err(io::IntoInnerError::into_error)
}

/// The rows of a file in another order: rows that stay together are read together.
fn in_sequence(mut file: SpooledTempFile, ends: &[u64], sequence: &[usize]) -> io::Result<HashedSpool> {
    let mut out = BufWriter::new(HashedSpool::begin());
    let start_of = |row: usize| row.checked_sub(1).map_or(0, |before| ends[before]);
    for run in sequence.chunk_by(|row, next| *next == row + 1) {
        let (Some(first), Some(last)) = (run.first(), run.last()) else { continue };
        let (start, end) = (start_of(*first), ends[*last]);
        file.seek(io::SeekFrom::Start(start))?;
        if io::copy(&mut (&mut file).take(end - start), &mut out)? != end - start {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    out.into_inner().map_err(io::IntoInnerError::into_error)
}

/// The first cell of the last line of CSV.
pub(crate) const MARK: &str = "#manifest";

/// At the beginning of a file: without it a spreadsheet takes Chinese for the letters of another encoding.
pub(crate) const BYTE_ORDER_MARK: &str = "\u{feff}";

/// The header row of CSV.
pub(crate) fn names(columns: &[Column], separator: Separator) -> io::Result<Vec<u8>> {
    record(columns.iter().map(|(name, _)| (*name).to_owned()), separator)
}

/// A completed listing, to be read from its first line.
pub struct Written {
    pub manifest: Manifest,
    first: Cursor<Vec<u8>>,
    rows: SpooledTempFile,
    last: Cursor<Vec<u8>>,
    /// How many columns CSV has, and the separator of its cells.
    columns: usize,
    separator: Separator,
}

impl Read for Written {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        for part in [&mut self.first as &mut dyn Read, &mut self.rows, &mut self.last] {
            match part.read(into)? {
                0 => {}
                read => return Ok(read),
            }
        }
        Ok(0)
    }
}

impl Written {
    /// Signs the manifest.
    pub fn sign(&mut self, key: &SealKey) -> io::Result<()> {
        self.manifest.sign(key)?;
        self.put_manifest()
    }

    /// Puts the manifest into its line.
    fn put_manifest(&mut self) -> io::Result<()> {
        match self.manifest.format {
            Format::Ndjson => self.first = Cursor::new(self.manifest.line()?),
            Format::Csv => self.last = Cursor::new(self.manifest.last_line(self.columns, self.separator)?),
        }
        Ok(())
    }

    /// Its bytes in chunks, for the body of an answer.
    pub fn chunks(mut self) -> impl Iterator<Item = io::Result<Bytes>> + Send {
        std::iter::from_fn(move || {
            let mut chunk = vec![0; CHUNK];
            match self.read(&mut chunk) {
                Ok(0) => None,
                Ok(read) => {
                    chunk.truncate(read);
                    Some(Ok(chunk.into()))
                }
                Err(error) => Some(Err(error)),
            }
        })
    }
}

/// The error for a file that does not begin like an export.
const NO_MANIFEST: &str =
    "its first line is neither a manifest nor the names of the columns of an export in CSV";

/// Why a file is not accepted as an export.
#[derive(Debug, thiserror::Error)]
pub enum InvalidExport {
    /// It is no export, or has a schema that only a later release knows.
    #[error("this is not an export that can be shown: {0}")]
    NoExport(String),
    /// It does not match its manifest.
    #[error("it does not match its manifest: {0}")]
    Differs(String),
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use soonshop_event_log::seal::SealKeys;

    use super::*;
    use crate::reading::{CsvShape, Reading, verify_csv};

    const COLUMNS: &[Column] = &[("name", "/name"), ("by", "/actor/id"), ("changes", "/changes")];

    fn shape() -> CsvShape {
        CsvShape { columns: vec![COLUMNS.to_vec()], json: &["changes"] }
    }

    /// Of CSV, what is between the first line and the last, and the last.
    fn parted(rest: &str) -> (&str, &str) {
        let last = rest.trim_end().rfind('\n').map_or(0, |at| at + 1);
        rest.split_at(last)
    }

    fn written(format: Format, rows: &[Value]) -> (Value, String) {
        let mut export = Export::begin(format, COLUMNS.to_vec());
        for row in rows {
            export.add(row).unwrap();
        }
        let filter = [("q".to_owned(), "茶 😀\u{7f}\r\n".to_owned())].into();
        let listed = Scope {
            of: None,
            filter,
            order: "asc".to_owned(),
            sort: None,
            head: 7,
            role: "support".to_owned(),
        };
        let mut written = export.finish(listed, Order::AsAdded).unwrap();
        let ascii = written.manifest.in_ascii().unwrap();
        assert!(ascii.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{ascii}");
        let mut text = String::new();
        written.read_to_string(&mut text).unwrap();
        (serde_json::from_str(&ascii).unwrap(), text)
    }

    fn sha256(bytes: &[u8]) -> String {
        digits(ring::digest::digest(&SHA256, bytes).as_ref())
    }

    #[test]
    fn the_manifest_is_in_the_file_and_hashes_the_rows() {
        let rows = [json!({ "name": "Mug" }), json!({ "name": "Pot" })];
        for format in [Format::Ndjson, Format::Csv] {
            let (manifest, text) = written(format, &rows);
            let (first, rest) = text.split_once('\n').unwrap();
            assert_eq!((&manifest["count"], &manifest["head"]), (&json!(2), &json!(7)));
            assert_eq!(manifest["filter"]["q"], "茶 😀\u{7f}\r\n");
            match format {
                Format::Ndjson => {
                    assert_eq!(manifest["sha256"], sha256(rest.as_bytes()));
                    assert_eq!(serde_json::from_str::<Value>(first).unwrap()["manifest"], manifest);
                }
                Format::Csv => {
                    assert_eq!(first, "\u{feff}name,by,changes\r");
                    let (rows, last) = parted(rest);
                    assert_eq!(manifest["sha256"], sha256(rows.as_bytes()));
                    let mut read = csv::ReaderBuilder::new().has_headers(false).from_reader(last.as_bytes());
                    let cells = read.records().next().unwrap().unwrap();
                    assert_eq!((&cells[0], cells.len()), ("#manifest", COLUMNS.len()));
                    assert_eq!(serde_json::from_str::<Value>(&cells[1]).unwrap(), manifest);
                }
            }
        }
    }

    fn read_back(text: &str) -> Result<Vec<Value>, InvalidExport> {
        let mut reading = Reading::begin(text.as_bytes(), &shape())?;
        let mut rows = Vec::new();
        while let Some(row) = reading.row::<BTreeMap<String, Value>>()? {
            rows.push(json!(row));
        }
        reading.finish().map(|_| rows)
    }

    #[test]
    fn an_export_is_read_back_and_a_changed_one_is_refused() {
        let rows = [json!({ "name": "Mug" }), json!({ "name": "Pot" }), json!({ "name": "茶" })];
        let (_, text) = written(Format::Ndjson, &rows);
        assert_eq!(read_back(&text).unwrap(), rows);
        assert_eq!(read_back(&written(Format::Ndjson, &[]).1).unwrap(), Vec::<Value>::new());
        let first = text.find('\n').unwrap() + 1;
        let lines: Vec<_> = text.split_inclusive('\n').collect();
        for changed in [
            text.replace("Mug", "Jug"),
            text.trim_end().to_owned(),
            text[..first].to_owned(),
            format!("{text}\n"),
            format!("{text}{{\"name\":\"Cup\"}}\n"),
            [lines[0], lines[2], lines[1], lines[3]].concat(),
            [lines[0], lines[1], lines[2]].concat(),
            text.replace("\"count\":3", "\"count\":4"),
        ] {
            assert!(matches!(read_back(&changed), Err(InvalidExport::Differs(_))), "{changed}");
        }
    }

    /// The seed of 32 bytes `07`, whose public key is in `docs/seals.md`.
    fn key() -> SealKeys {
        SealKeys::parse("MC4CAQAwBQYDK2VwBCIEIAcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH").unwrap()
    }

    fn export_of(format: Format, rows: &[Value]) -> Written {
        let mut export = Export::begin(format, COLUMNS.to_vec());
        for row in rows {
            export.add(row).unwrap();
        }
        let filter = [("q".to_owned(), "茶 \"signature\":".to_owned())].into();
        export
            .finish(
                Scope {
                    of: None,
                    filter,
                    order: "asc".to_owned(),
                    sort: None,
                    head: 7,
                    role: "support".to_owned(),
                },
                Order::AsAdded,
            )
            .unwrap()
    }

    fn read(mut written: Written) -> Vec<u8> {
        let mut bytes = Vec::new();
        written.read_to_end(&mut bytes).unwrap();
        bytes
    }

    /// The manifest of a whole export.
    fn held(bytes: &[u8]) -> Result<Manifest, InvalidExport> {
        let mut reading = Reading::begin(bytes, &shape())?;
        reading.skip_rows()?;
        reading.finish()
    }

    /// Of each byte: another value, one more before it, and none.
    fn assert_every_change_is_found(good: &[u8]) {
        for place in 0..good.len() {
            for other in [good[place] ^ 1, b' ', b'"', b'0', b'\n'] {
                let mut bad = good.to_vec();
                bad[place] = other;
                if bad != good {
                    let (found, text) = (held(&bad), String::from_utf8_lossy(&bad));
                    assert!(matches!(found, Err(InvalidExport::Differs(_))), "{place}: {found:?} {text}");
                }
            }
            let mut longer = good.to_vec();
            longer.insert(place, b' ');
            let mut shorter = good.to_vec();
            shorter.remove(place);
            for bad in [longer, shorter] {
                assert!(matches!(held(&bad), Err(InvalidExport::Differs(_))), "{place}");
            }
        }
    }

    #[test]
    fn a_change_of_any_byte_of_a_signed_export_is_found() {
        let rows = [json!({ "name": "Mug" }), json!({ "name": "茶", "changes": { "a": 1 } })];
        let mut written = export_of(Format::Ndjson, &rows);
        written.sign(key().current()).unwrap();
        let good = read(written);
        let manifest = held(&good).unwrap();
        assert_eq!(manifest.signed_by().unwrap().fingerprint, key().current().public().fingerprint());
        assert_every_change_is_found(&good);
        // With the signature and its fields removed, the file counts as unsigned.
        let text = String::from_utf8(good).unwrap();
        let from = text.find(",\"signed_by\"").unwrap();
        let to = text[..text.find('\n').unwrap()].len() - 2;
        let bare = format!("{}{}", &text[..from], &text[to..]);
        assert_eq!(held(bare.as_bytes()).unwrap().signed_by(), None);
    }

    #[test]
    fn a_change_of_any_byte_of_signed_csv_or_of_its_manifest_is_found() {
        let rows = [json!({ "name": "Mug", "changes": [1] }), json!({ "name": "a\"b" })];
        let mut written = export_of(Format::Csv, &rows);
        written.sign(key().current()).unwrap();
        let beside = written.manifest.text().unwrap() + "\n";
        let good = read(written);
        let held = |manifest: &[u8], rows: &[u8]| verify_csv(manifest, &shape(), rows);
        assert!(held(beside.as_bytes(), &good).unwrap().signed_by().is_some());
        for place in 0..good.len() {
            let mut bad = good.clone();
            bad[place] ^= 1;
            let found = held(beside.as_bytes(), &bad);
            assert!(matches!(found, Err(InvalidExport::Differs(_))), "{place}: {found:?}");
        }
        for place in 0..beside.len() {
            let mut bad = beside.clone().into_bytes();
            bad[place] ^= 1;
            let found = held(&bad, &good);
            assert!(matches!(found, Err(InvalidExport::Differs(_))), "{place}: {found:?}");
        }
        assert!(matches!(held(b"{}", &good), Err(InvalidExport::NoExport(_))));
        let text = String::from_utf8(good).unwrap();
        let (earlier, last) = parted(text.strip_prefix(BYTE_ORDER_MARK).unwrap());
        assert!(last.starts_with("#manifest,"));
        let held = held(beside.as_bytes(), earlier.as_bytes());
        assert!(held.is_ok(), "a file of an earlier release, without the mark and its own manifest");
    }

    #[test]
    fn a_change_of_any_byte_of_signed_csv_is_found_by_the_manifest_in_it() {
        let rows = [json!({ "name": "Mug", "changes": [1] }), json!({ "name": "a\"b\n" })];
        for rows in [&rows[..], &[]] {
            let mut written = export_of(Format::Csv, rows);
            written.sign(key().current()).unwrap();
            let good = read(written);
            assert!(held(&good).unwrap().signed_by().is_some());
            assert_every_change_is_found(&good);
            for bad in [[&good[..], b" "].concat(), [&good[..], &good[..]].concat()] {
                assert!(matches!(held(&bad), Err(InvalidExport::Differs(_))), "{}", bad.len());
            }
        }
    }

    #[test]
    fn csv_is_read_back_as_it_was_written() {
        let rows = [
            json!({ "name": "Mug", "actor": { "id": "1" }, "changes": [{ "path": "/a", "before": null }] }),
            json!({ "name": "=1+1", "changes": [] }),
            json!({ "name": "'=1", "changes": null }),
            json!({ "name": "''", "actor": { "id": "'a'" }, "changes": null }),
            json!({ "name": "''-茶", "changes": { "b": 1.5 } }),
            json!({ "name": "two\nlines, \"quoted\"; #manifest\ttab", "changes": null }),
            json!({ "name": "#manifest", "changes": null }),
        ];
        for separator in Separator::ALL {
            let mut export = Export::begin(Format::Csv, COLUMNS.to_vec()).separated(separator);
            for row in &rows {
                export.add(row).unwrap();
            }
            let filter = BTreeMap::new();
            let scope = Scope {
                of: None,
                filter,
                order: "asc".to_owned(),
                sort: None,
                head: 7,
                role: "support".to_owned(),
            };
            let bytes = read(export.finish(scope, Order::AsAdded).unwrap());
            assert_eq!(read_back(&String::from_utf8(bytes).unwrap()).unwrap(), rows);
        }
        let (_, text) = written(Format::Csv, &rows[..1]);
        let (without, _) = parted(&text);
        assert!(matches!(read_back(without), Err(InvalidExport::NoExport(_))), "{without}");
        let (_, none) = written(Format::Csv, &[]);
        assert_eq!(read_back(&none).unwrap(), Vec::<Value>::new());
    }

    #[test]
    fn rows_are_written_in_any_order_that_is_asked_for() {
        let rows: Vec<_> = (0..7).map(|number| json!({ "name": "x".repeat(number), "n": number })).collect();
        for sequence in [vec![0, 1, 2, 3, 4, 5, 6], vec![6, 5, 4, 3, 2, 1, 0], vec![3, 4, 5, 0, 6, 1, 2]] {
            let mut export = Export::begin(Format::Ndjson, Vec::new());
            for row in &rows {
                export.add(row).unwrap();
            }
            let scope = Scope {
                of: None,
                filter: BTreeMap::new(),
                order: "asc".to_owned(),
                sort: Some("occurred".to_owned()),
                head: 7,
                role: "support".to_owned(),
            };
            let text = read(export.finish(scope, Order::Sequence(sequence.clone())).unwrap());
            let expected: Vec<_> = sequence.iter().map(|row| rows[*row].clone()).collect();
            assert_eq!(read_back(&String::from_utf8(text).unwrap()).unwrap(), expected);
        }
    }

    #[test]
    fn csv_has_the_separator_that_was_asked_for_and_its_mark() {
        for (name, separator) in [("comma", ','), ("semicolon", ';'), ("tab", '\t')] {
            let mut export = Export::begin(Format::Csv, COLUMNS.to_vec());
            export = export.separated(Separator::named(Some(name)));
            export.add(&json!({ "name": "a;b,c\td 茶" })).unwrap();
            let listed = Scope {
                of: None,
                filter: BTreeMap::new(),
                order: "asc".to_owned(),
                sort: None,
                head: 0,
                role: "support".to_owned(),
            };
            let written = export.finish(listed, Order::AsAdded).unwrap();
            let manifest = written.manifest.text().unwrap() + "\n";
            let bytes = read(written);
            let text = String::from_utf8(bytes.clone()).unwrap();
            assert!(
                text.starts_with(&format!(
                    "\u{feff}name{separator}by{separator}changes\r\n\"a;b,c\td 茶\"{separator}"
                )),
                "{text}"
            );
            assert_eq!(verify_csv(manifest.as_bytes(), &shape(), &*bytes).unwrap().count(), 1);
        }
        assert_eq!(Separator::NAMES.map(|name| Separator::named(Some(name))), Separator::ALL);
    }

    #[test]
    fn a_line_that_is_not_a_row_is_reported_even_if_the_hash_is_right() {
        let (_, text) = written(Format::Ndjson, &[json!({ "name": "Mug" }), json!(7)]);
        let message = read_back(&text).unwrap_err().to_string();
        assert!(message.contains("its line 3 is not an event"), "{message}");
    }

    #[test]
    fn a_file_that_is_no_export_is_refused_before_its_rows_are_read() {
        let (_, good) = written(Format::Ndjson, &[]);
        for bad in [
            "",
            "\n",
            "{}\n",
            "name,by,changes\r\n",
            "{\"manifest\":{\"schema\":1}}\n",
            &good.replace("\"schema\":1", "\"schema\":2"),
            &good.replace("\"ndjson\"", "\"csv\""),
            &"x".repeat(1 << 20),
        ] {
            assert!(matches!(read_back(bad), Err(InvalidExport::NoExport(_))), "{bad:.40}");
        }
    }

    #[test]
    fn an_export_without_rows_has_a_count_of_zero() {
        let (manifest, text) = written(Format::Ndjson, &[]);
        assert_eq!((&manifest["count"], &manifest["sha256"]), (&json!(0), &json!(sha256(b""))));
        assert_eq!(text.lines().count(), 1);
    }

    #[test]
    fn no_csv_cell_is_a_formula_and_every_cell_keeps_its_value() {
        let names = [
            "=HYPERLINK(\"http://x\")",
            "+1",
            "-1",
            "@a",
            "＝1",
            "＋1",
            "－1",
            "＠a",
            "\tx",
            "\rx",
            "\nx",
            "a\",=b",
            "a=b",
            "茶",
        ];
        let rows: Vec<Value> = names
            .iter()
            .map(|name| json!({ "name": name, "actor": { "id": -5 }, "changes": { "a": ["=b", null] } }))
            .collect();
        let (_, text) = written(Format::Csv, &rows);
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let mut read: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        assert_eq!(&read.pop().unwrap()[0], MARK);
        assert_eq!(read.len(), names.len());
        for (name, row) in names.iter().zip(&read) {
            let harmless = matches!(*name, "a\",=b" | "a=b" | "茶");
            assert_eq!(&row[0], if harmless { (*name).to_owned() } else { format!("'{name}") });
            assert_eq!((&row[1], &row[2]), ("-5", r#"{"a":["=b",null]}"#), "a number is no formula");
        }
    }

    #[test]
    fn rows_of_any_length_are_reversed_and_hashed_in_the_order_sent() {
        let most = usize::try_from(PIECE).unwrap();
        for lengths in [
            vec![],
            vec![3],
            vec![most, 1, 2 * most, 0, 7],
            (0..5_000).map(|row| row % 977).collect(),
            vec![most - 9, 0, most - 8, 1, most - 10],
        ] {
            for format in [Format::Ndjson, Format::Csv] {
                let rows: Vec<String> = lengths.iter().map(|length| "\n".repeat(*length)).collect();
                let sent = |order, rows: &mut dyn Iterator<Item = &String>| {
                    let mut export = Export::begin(format, COLUMNS.to_vec());
                    rows.for_each(|name| export.add(&json!({ "name": name })).unwrap());
                    let filter = BTreeMap::new();
                    let listed = Scope {
                        of: None,
                        filter,
                        order: "desc".to_owned(),
                        sort: None,
                        head: 0,
                        role: "support".to_owned(),
                    };
                    let mut written = export.finish(listed, order).unwrap();
                    let (mut bytes, sha256) = (Vec::new(), written.manifest.sha256.clone());
                    written.read_to_end(&mut bytes).unwrap();
                    let first = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1;
                    let mut rest = bytes.split_off(first);
                    if format == Format::Csv {
                        let marked = rest.windows(MARK.len()).rposition(|part| part == MARK.as_bytes());
                        rest.truncate(marked.unwrap());
                    }
                    (rest, sha256)
                };
                let (turned, hash) = sent(Order::LastFirst, &mut rows.iter());
                assert!(
                    (&turned, &hash) == (&sent(Order::AsAdded, &mut rows.iter().rev()).0, &sha256(&turned))
                );
            }
        }
    }

    #[test]
    fn an_export_larger_than_memory_is_read_back_complete() {
        let mut export = Export::begin(Format::Ndjson, COLUMNS.to_vec());
        let name = "x".repeat(1 << 16);
        for _ in 0..2 * (IN_MEMORY >> 16) {
            export.add(&json!({ "name": name })).unwrap();
        }
        let listed = Scope {
            of: None,
            filter: BTreeMap::new(),
            order: "asc".to_owned(),
            sort: None,
            head: 0,
            role: "support".to_owned(),
        };
        let written = export.finish(listed, Order::AsAdded).unwrap();
        let expected = written.manifest.sha256.clone();
        let bytes: Vec<u8> = written.chunks().flat_map(Result::unwrap).collect();
        assert!(bytes.len() > 2 * IN_MEMORY);
        let rest = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        assert_eq!(sha256(&bytes[rest..]), expected);
    }
}
