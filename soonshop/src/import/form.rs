//! The form of a file: its encoding, what separates its columns, how it writes numbers and in which order it writes day
//! and month. Each is given by an option, or proved by the whole file before a single row is used. A file that could be
//! read in two ways is refused with a sentence that names the option.

use std::collections::HashSet;
use std::fmt;

use anyhow::{Context as _, bail};
use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use chrono::{DateTime, FixedOffset, NaiveDate, NaiveTime, Utc};
use encoding_rs::{Encoding, ISO_2022_JP, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

/// The separator of the columns of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Separator {
    Comma,
    Semicolon,
    Tab,
    Pipe,
}

impl Separator {
    pub(super) const ALL: [Self; 4] = [Self::Comma, Self::Semicolon, Self::Tab, Self::Pipe];

    pub(super) fn byte(self) -> u8 {
        match self {
            Self::Comma => b',',
            Self::Semicolon => b';',
            Self::Tab => b'\t',
            Self::Pipe => b'|',
        }
    }
}

/// The sign before the decimals of a number. The other one may group thousands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum DecimalSign {
    Point,
    Comma,
}

impl DecimalSign {
    /// The number as `1234.56`, or nothing where it is not written in this way: thousands are grouped by three, all or
    /// none of them.
    pub(super) fn plain(self, text: &str) -> Option<String> {
        let (sign, group) = match self {
            Self::Point => ('.', ','),
            Self::Comma => (',', '.'),
        };
        let (whole, decimals) = text.split_once(sign).unwrap_or((text, ""));
        if decimals.contains([sign, group]) {
            return None;
        }
        let mut groups = whole.split(group);
        let first = groups.next().unwrap_or_default();
        let rest: Vec<&str> = groups.collect();
        if !rest.is_empty() {
            let digits = first.trim_start_matches(['-', '+']);
            let three = |group: &str| group.len() == 3 && group.bytes().all(|b| b.is_ascii_digit());
            if !(1..=3).contains(&digits.len()) || !rest.iter().all(|group| three(group)) {
                return None;
            }
        }
        let whole = rest.concat();
        Some(if text.contains(sign) {
            format!("{first}{whole}.{decimals}")
        } else {
            format!("{first}{whole}")
        })
    }
}

/// Which of `01/12/2010` is the day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum DateOrder {
    DayFirst,
    MonthFirst,
}

/// The options for every file's form.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct FormOptions {
    /// The encoding of the files, by its name on the web (utf-8, windows-1252, gbk, …); found out where it is left out
    #[arg(long, value_name = "NAME")]
    pub encoding: Option<String>,
    /// The separator of columns; found out where it is left out
    #[arg(long, value_enum)]
    pub separator: Option<Separator>,
    /// The sign before decimals; found out where it is left out
    #[arg(long, value_enum)]
    pub decimal_sign: Option<DecimalSign>,
    /// Whether 01/12/2010 is the first of December or the twelfth of January; found out where a date of the file fits
    /// one order alone
    #[arg(long, value_enum)]
    pub date_order: Option<DateOrder>,
}

/// How numbers and dates of one file are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Form {
    pub(super) decimal_sign: DecimalSign,
    /// `None`: no date of the file needs it.
    pub(super) date_order: Option<DateOrder>,
}

/// The text of a file, and the name of its encoding.
///
/// # Errors
/// The bytes are no text in the encoding that was given, or in none that can be found out with certainty.
pub(super) fn decode(data: &[u8], given: Option<&str>) -> anyhow::Result<(String, &'static str)> {
    let encoding = match given {
        Some(name) => {
            let known = Encoding::for_label(name.trim().as_bytes());
            known.with_context(|| {
                format!("{name} is no encoding that is known: say utf-8, windows-1252 or gbk, for example")
            })?
        }
        None => detected(data)?,
    };
    // In these two, bytes of ASCII stand for other characters.
    let plain = !is_utf_16(encoding) && encoding != ISO_2022_JP;
    let text = if plain && data.is_ascii() {
        String::from_utf8_lossy(data).into_owned()
    } else {
        // A byte order mark is taken off, and says what it says, whatever was given.
        let (text, encoding, broken) = encoding.decode(data);
        if broken {
            bail!("it is not a text in {}: name its encoding with --encoding", encoding.name());
        }
        text.into_owned()
    };
    if text.contains('\u{fffd}') || text.contains('\0') {
        bail!("it holds characters that were lost or are no text: export it again, as UTF-8");
    }
    Ok((text, encoding.name()))
}

fn is_utf_16(encoding: &'static Encoding) -> bool {
    encoding == UTF_16LE || encoding == UTF_16BE
}

fn detected(data: &[u8]) -> anyhow::Result<&'static Encoding> {
    if let Some((encoding, _)) = Encoding::for_bom(data) {
        return Ok(encoding);
    }
    // UTF-16 without a mark: every other byte of the header is 0.
    let head = &data[..data.len().min(64)];
    let zeros = |offset: usize| head.iter().skip(offset).step_by(2).filter(|byte| **byte == 0).count();
    if data.len() >= 4 && data.len().is_multiple_of(2) && zeros(0) + zeros(1) > head.len() / 4 {
        return Ok(if zeros(1) > zeros(0) { UTF_16LE } else { UTF_16BE });
    }
    let Err(error) = std::str::from_utf8(data) else { return Ok(UTF_8) };
    // A file that is UTF-8 in some places and something else in others was put together from two.
    let mixed = std::str::from_utf8(&data[..error.valid_up_to()]).is_ok_and(|before| !before.is_ascii());
    if mixed {
        let line = data[..error.valid_up_to()].split(|byte| *byte == b'\n').count();
        bail!(
            "it is UTF-8 up to line {line}, and something else there: name its encoding with --encoding, or mend that line"
        );
    }
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    detector.feed(data, true);
    let guess = detector.guess(None, Utf8Detection::Deny);
    let utf_8 = |line: &[u8]| !line.is_ascii() && std::str::from_utf8(line).is_ok();
    if guess.is_single_byte()
        && let Some(line) = data.split(|byte| *byte == b'\n').position(utf_8)
    {
        let line = line + 1;
        bail!(
            "it is UTF-8 in line {line}, and something else in others: name its encoding with --encoding, or mend them"
        );
    }
    if guess.is_single_byte() && is_western(data) {
        return Ok(WINDOWS_1252);
    }
    if guess == WINDOWS_1252 || !is_enough(data) {
        bail!(
            "its encoding cannot be found out with certainty: name it with --encoding, such as windows-1252 or gbk"
        );
    }
    Ok(guess)
}

/// Whether these bytes, which are not UTF-8, make sense in windows-1252: letters of western Europe, not many in a row,
/// and signs that do not stand between letters.
fn is_western(data: &[u8]) -> bool {
    let (text, broken) = WINDOWS_1252.decode_without_bom_handling(data);
    let letter = |sign: char| matches!(sign, 'À'..='ÿ' | 'Œ' | 'œ') && !matches!(sign, '×' | '÷');
    let sign = |sign: char| "£€¥¢§©®™°±²³µ·¼½¾«»¿¡ªº×÷‘’“”–—…\u{a0}".contains(sign);
    let mut before = [' '; 2];
    let mut signs = text.chars().peekable();
    while let Some(one) = signs.next() {
        let between = before[1].is_alphabetic() && signs.peek().is_some_and(|next| next.is_alphabetic());
        let sensible = match one {
            _ if one.is_ascii() => true,
            _ if letter(one) => !before.into_iter().all(letter),
            '’' | '·' => true,
            _ => sign(one) && !between,
        };
        if !sensible {
            return false;
        }
        before = [before[1], one];
    }
    !broken
}

/// Whether there are enough different bytes outside ASCII for a guess.
fn is_enough(data: &[u8]) -> bool {
    let outside = data.iter().filter(|byte| !byte.is_ascii());
    outside.clone().count() >= 24 && outside.collect::<HashSet<_>>().len() >= 10
}

/// The form that the numbers and dates of a file prove, gathered row by row.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    point: Option<u64>,
    comma: Option<u64>,
    either: Option<u64>,
    day_first: Option<u64>,
    month_first: Option<u64>,
    either_order: Option<u64>,
}

impl Evidence {
    /// Takes an amount of money into account; `fits` says whether a plain number is one.
    pub(super) fn amount(&mut self, line: u64, text: &str, fits: impl Fn(&str) -> bool) {
        if !text.contains(['.', ',']) {
            return;
        }
        let read = |sign: DecimalSign| sign.plain(text).filter(|plain| fits(plain));
        let seen = match (read(DecimalSign::Point), read(DecimalSign::Comma)) {
            (Some(_), None) => &mut self.point,
            (None, Some(_)) => &mut self.comma,
            (Some(_), Some(_)) => &mut self.either,
            (None, None) => return,
        };
        seen.get_or_insert(line);
    }

    /// Takes a moment into account.
    pub(super) fn moment(&mut self, line: u64, text: &str) {
        // Nobody writes the month first with points.
        let Some((first, second, false)) = day_and_month(text) else { return };
        let seen = match (first > 12, second > 12) {
            (true, false) => &mut self.day_first,
            (false, true) => &mut self.month_first,
            (false, false) if first != second => &mut self.either_order,
            _ => return,
        };
        seen.get_or_insert(line);
    }

    /// The form that options and rows prove.
    ///
    /// # Errors
    /// The rows prove two forms, or none where they need one.
    pub(super) fn form(&self, options: &FormOptions) -> anyhow::Result<Form> {
        let decimal_sign = match (options.decimal_sign, self.point, self.comma, self.either) {
            (Some(given), ..) => given,
            (None, Some(point), Some(comma), _) => bail!(
                "line {point} writes a decimal point and line {comma} a decimal comma: say which it is with --decimal-sign, or mend the other"
            ),
            (None, None, Some(_), _) => DecimalSign::Comma,
            (None, None, None, Some(line)) => bail!(
                "line {line} can be read with a decimal point and with a decimal comma, and no other line says which: use --decimal-sign"
            ),
            (None, _, None, _) => DecimalSign::Point,
        };
        let date_order = match (options.date_order, self.day_first, self.month_first, self.either_order) {
            (Some(given), ..) => Some(given),
            (None, Some(day), Some(month), _) => bail!(
                "line {day} writes the day first and line {month} the month: say which it is with --date-order, or mend the other"
            ),
            (None, Some(_), None, _) => Some(DateOrder::DayFirst),
            (None, None, Some(_), _) => Some(DateOrder::MonthFirst),
            (None, None, None, Some(line)) => bail!(
                "the date of line {line} is one of two days, and no other line says which: use --date-order day-first or month-first"
            ),
            (None, None, None, None) => None,
        };
        Ok(Form { decimal_sign, date_order })
    }
}

/// A date with the year at its end: what stands first, what second, and whether points are between them.
fn day_and_month(text: &str) -> Option<(u32, u32, bool)> {
    let date = text.split([' ', 'T']).next()?;
    let separator = ['/', '.', '-'].into_iter().find(|separator| date.contains(*separator))?;
    let mut parts = date.split(separator);
    let (first, second) = (parts.next()?, parts.next()?);
    let small = |part: &str| (1..=2).contains(&part.len()).then(|| part.parse::<u32>().ok()).flatten();
    Some((small(first)?, small(second)?, separator == '.'))
}

/// Why a moment cannot be read.
pub(super) const NO_MOMENT: &str = "it is not a moment such as 2010-12-01 08:26:00";

/// A moment as the file writes it, in UTC where it names no offset. A date alone is its midnight.
pub(super) fn moment(text: &str, order: Option<DateOrder>) -> Result<DateTime<Utc>, &'static str> {
    let (date, time) = match text.split_once(['T', ' ']) {
        Some((date, time)) => (date, time.trim()),
        None => (text, ""),
    };
    let date = day(date, order).ok_or(NO_MOMENT)?;
    let (time, offset) = time_of_day(time).ok_or(NO_MOMENT)?;
    let local = date.and_time(time);
    match offset {
        None => Ok(local.and_utc()),
        Some(offset) => {
            local.and_local_timezone(offset).single().map(|at| at.with_timezone(&Utc)).ok_or(NO_MOMENT)
        }
    }
}

fn day(text: &str, order: Option<DateOrder>) -> Option<NaiveDate> {
    if let Some((first, second, dotted)) = day_and_month(text) {
        let year = text.rsplit(['/', '.', '-']).next()?;
        if text.split(['/', '.', '-']).count() != 3 || !year.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let year = match year.len() {
            4 => year.parse().ok()?,
            // As spreadsheets write it.
            2 => year.parse::<i32>().ok().map(|year| if year < 70 { 2000 + year } else { 1900 + year })?,
            _ => return None,
        };
        let order = if dotted { Some(DateOrder::DayFirst) } else { order };
        let (day, month) = match order {
            Some(DateOrder::DayFirst) => (first, second),
            Some(DateOrder::MonthFirst) => (second, first),
            None if first == second => (first, second),
            None => return None,
        };
        return NaiveDate::from_ymd_opt(year, month, day);
    }
    ["%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d"]
        .iter()
        .find_map(|format| NaiveDate::parse_from_str(text, format).ok())
        .filter(|_| text.len() >= 8)
}

fn time_of_day(text: &str) -> Option<(NaiveTime, Option<FixedOffset>)> {
    if text.is_empty() {
        return Some((NaiveTime::MIN, None));
    }
    let (text, offset) = match text.strip_suffix(['Z', 'z']) {
        Some(text) => (text, FixedOffset::east_opt(0)),
        None => match text.rfind(['+', '-']) {
            Some(at) => (&text[..at], Some(offset(&text[at..])?)),
            None => (text, None),
        },
    };
    let formats = ["%H:%M:%S%.f", "%H:%M", "%I:%M:%S %p", "%I:%M %p", "%I:%M:%S%p", "%I:%M%p"];
    let time = formats.iter().find_map(|format| NaiveTime::parse_from_str(text.trim(), format).ok())?;
    Some((time, offset))
}

/// `+01:00`, `-0500` or `+01`.
fn offset(text: &str) -> Option<FixedOffset> {
    let digits = text[1..].replace(':', "");
    if !matches!(digits.len(), 2 | 4) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let hours: i32 = digits[..2].parse().ok()?;
    let minutes: i32 = if digits.len() == 4 { digits[2..].parse().ok()? } else { 0 };
    let seconds = (hours * 60 + minutes) * 60;
    FixedOffset::east_opt(if text.starts_with('-') { -seconds } else { seconds }).filter(|_| minutes < 60)
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.decimal_sign {
            DecimalSign::Point => "decimal point",
            DecimalSign::Comma => "decimal comma",
        })?;
        match self.date_order {
            Some(DateOrder::DayFirst) => f.write_str(", the day before the month"),
            Some(DateOrder::MonthFirst) => f.write_str(", the month before the day"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Separator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Comma => "commas",
            Self::Semicolon => "semicolons",
            Self::Tab => "tabs",
            Self::Pipe => "bars",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped_by_three_or_not_at_all() {
        for (text, point, comma) in [
            ("2.55", Some("2.55"), None),
            ("2,55", None, Some("2.55")),
            ("1,234.50", Some("1234.50"), None),
            ("1.234,50", None, Some("1234.50")),
            ("1,234", Some("1234"), Some("1.234")),
            ("1.234", Some("1.234"), Some("1234")),
            ("1,234,567", Some("1234567"), None),
            ("-1.234,5", None, Some("-1234.5")),
            ("12,34.5", None, None),
            ("1.2.3", None, None),
            ("1,2345.6", None, None),
            (",5", None, Some(".5")),
            ("7", Some("7"), Some("7")),
            ("1e-05", Some("1e-05"), Some("1e-05")),
        ] {
            assert_eq!(DecimalSign::Point.plain(text).as_deref(), point, "{text} with a point");
            assert_eq!(DecimalSign::Comma.plain(text).as_deref(), comma, "{text} with a comma");
        }
    }

    fn form(amounts: &[&str], moments: &[&str]) -> Result<Form, String> {
        let mut evidence = Evidence::default();
        for (line, text) in (2..).zip(amounts) {
            evidence.amount(line, text, |plain| plain.parse::<f64>().is_ok());
        }
        for (line, text) in (2..).zip(moments) {
            evidence.moment(line, text);
        }
        evidence.form(&FormOptions::default()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_decimal_sign_is_the_one_that_the_whole_file_proves() {
        let sign = |amounts: &[&str]| form(amounts, &[]).map(|form| form.decimal_sign);
        assert_eq!(sign(&["5", "7"]), Ok(DecimalSign::Point));
        assert_eq!(sign(&["1,234", "2.55"]), Ok(DecimalSign::Point));
        assert_eq!(sign(&["1,234", "2,55"]), Ok(DecimalSign::Comma));
        assert!(sign(&["1,234"]).unwrap_err().contains("--decimal-sign"));
        assert!(sign(&["2.55", "2,55"]).unwrap_err().contains("line 2 writes a decimal point and line 3"));
    }

    #[test]
    fn the_date_order_is_the_one_that_the_whole_file_proves() {
        let order = |moments: &[&str]| form(&[], moments).map(|form| form.date_order);
        assert_eq!(order(&["2010-12-01 08:26:00"]), Ok(None));
        assert_eq!(order(&["01/12/2010 08:26", "13/12/2010 08:26"]), Ok(Some(DateOrder::DayFirst)));
        assert_eq!(order(&["01/12/2010 08:26", "12/13/2010 08:26"]), Ok(Some(DateOrder::MonthFirst)));
        assert_eq!(order(&["12/12/2010 08:26"]), Ok(None));
        assert_eq!(order(&["01.12.2010 08:26", "13.12.2010 08:26"]), Ok(None));
        assert_eq!(order(&["01.12.2010 08:26", "12/31/2010 08:26"]), Ok(Some(DateOrder::MonthFirst)));
        assert!(order(&["01/12/2010 08:26"]).unwrap_err().contains("--date-order"));
        assert!(order(&["13/12/2010", "12/13/2010"]).unwrap_err().contains("line 2 writes the day first"));
    }

    #[test]
    fn a_moment_is_read_in_the_order_of_its_file() {
        let day_first = Some(DateOrder::DayFirst);
        let month_first = Some(DateOrder::MonthFirst);
        for (text, order, expected) in [
            ("2010-12-01 08:26:00", None, "2010-12-01T08:26:00Z"),
            ("2010-12-01T08:26:00", None, "2010-12-01T08:26:00Z"),
            ("2010-12-01T08:26:00.250Z", None, "2010-12-01T08:26:00.250Z"),
            ("2010-12-01T08:26:00+01:00", None, "2010-12-01T07:26:00Z"),
            ("2010-12-01 08:26", None, "2010-12-01T08:26:00Z"),
            ("2010-12-01", None, "2010-12-01T00:00:00Z"),
            ("2010/12/01 08:26", None, "2010-12-01T08:26:00Z"),
            ("01/12/2010 08:26", day_first, "2010-12-01T08:26:00Z"),
            ("12/1/2010 8:26", month_first, "2010-12-01T08:26:00Z"),
            ("12/1/10 8:26 PM", month_first, "2010-12-01T20:26:00Z"),
            ("01.12.2010 08:26:05", None, "2010-12-01T08:26:05Z"),
            ("01.12.2010 08:26:05", month_first, "2010-12-01T08:26:05Z"),
            ("12/12/2010 08:26", None, "2010-12-12T08:26:00Z"),
        ] {
            assert_eq!(moment(text, order), Ok(expected.parse().unwrap()), "{text}");
        }
        for text in [
            "",
            "x",
            "01/12/2010",
            "2010-13-01",
            "01/12/201",
            "1/2/3/2010",
            "2010-12-01 25:00",
            "2010-12-01 08:26+1",
        ] {
            assert_eq!(moment(text, None), Err(NO_MOMENT), "{text:?}");
        }
    }

    #[test]
    fn the_encoding_is_found_out_or_the_file_is_refused() {
        let text = "Description\nCAFÉ £5\n";
        let utf_16 = |big: bool, mark: bool| -> Vec<u8> {
            let units = mark.then_some(0xfeff).into_iter().chain(text.encode_utf16());
            units.flat_map(|unit: u16| if big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
        };
        for (data, name) in [
            (text.as_bytes().to_vec(), "UTF-8"),
            (["\u{feff}", text].concat().into_bytes(), "UTF-8"),
            (utf_16(false, true), "UTF-16LE"),
            (utf_16(true, true), "UTF-16BE"),
            (utf_16(false, false), "UTF-16LE"),
            (utf_16(true, false), "UTF-16BE"),
            (b"Description\nCAF\xc9 \xa35\n".to_vec(), "windows-1252"),
        ] {
            let (read, found) = decode(&data, None).unwrap();
            assert_eq!((read.as_str(), found), (text, name));
        }
        for signs in [&b"MUG \xa35"[..], b"CUP \xd8 5\xb0", b"Gr\xfcn, cr\xe9\xe9", b"d\x92\xe9t\xe9 \x80 5"]
        {
            assert_eq!(decode(signs, None).unwrap().1, "windows-1252", "{signs:?}");
        }
        // GBK, code pages 437 and 850, Macintosh, Hebrew, two lines of two encodings: all too short to tell.
        for unsure in [
            &b"\xb2\xe8\xb1\xad"[..],
            b"Gr\x81n",
            b"Cr\x8ame br\x96l\x82e",
            b"Gr\x9fn",
            b"\xeb\xe5\xf1",
            b"CAF\xe9\nth\xc3\xa9 vert",
        ] {
            let refused = decode(unsure, None).unwrap_err().to_string();
            assert!(refused.contains("--encoding"), "{unsure:?}: {refused}");
        }
        let chinese = "商品名称\n红色咖啡杯，三分之一升\n蓝色茶壶\n";
        let (gbk, ..) = encoding_rs::GBK.encode(chinese);
        let (read, _) = decode(&gbk, None).unwrap();
        assert_eq!(read, chinese);
        assert_eq!(decode(&gbk, Some("gbk")).unwrap().0, chinese);
        // All bytes are ASCII here, and not what they look like.
        let (japanese, ..) = ISO_2022_JP.encode("赤いカップ");
        assert_eq!(decode(&japanese, Some("iso-2022-jp")).unwrap().0, "赤いカップ");
        let mixed = [text.as_bytes(), b"CAF\xc9\n"].concat();
        let refused = decode(&mixed, None).unwrap_err().to_string();
        assert!(refused.contains("line 3") && refused.contains("--encoding"), "{refused}");
        assert!(decode(b"\xff\xff\xff", Some("utf-8")).is_err());
        assert!(decode(b"a", Some("klingon")).unwrap_err().to_string().contains("klingon"));
        assert!(decode("a\0b".as_bytes(), None).is_err());
    }
}
