//! Query parameters: each row of the table lists those it accepts, with the kind of their values. Any other is refused
//! by name, and no value is repeated.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use soonshop_domain::text::{Sku, cleaned};
use soonshop_domain::{Currency, QueryError, clock};
use url::form_urlencoded;
use uuid::Uuid;

use crate::Problem;

/// The longest text to filter by, in characters.
pub(super) const LONGEST_TEXT: usize = 200;
/// The longest free text or cursor, in bytes.
pub const LONGEST_FREE: usize = 2_000;
const MOST_FACET_VALUES: usize = 100;
/// The prefix of parameters that filter by a facet: `facet.colour=red`.
const FACET: &str = "facet.";

/// The values that a parameter accepts.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// One line.
    Text,
    /// Any text that a person typed.
    Free,
    /// A text that stays as it was typed: a password.
    Typed,
    /// A UUID.
    Id,
    /// A stock keeping unit.
    Sku,
    /// A location of stock.
    Location,
    /// An ISO 4217 code.
    Currency,
    /// One of these names.
    OneOf(&'static [&'static str]),
    /// The name of one of these.
    Order(&'static [Sort]),
    /// A day, which begins in the time zone of the request, or a moment; kept as microseconds.
    Time,
    /// The time zone of the request, by its IANA name.
    Zone,
    /// The same; one that a browser keeps in a cookie counts where it is left out.
    KeptZone,
    /// `v:<version>`, `p:<position>`, or a moment.
    AsOf,
    /// A whole number in this range.
    Number(i64, i64),
    /// A text that the function accepts and normalises; the sentence describes it.
    Checked(fn(&str) -> Option<String>, &'static str),
    /// Opaque, from the answer before.
    Cursor,
    /// Any number of `facet.NAME=VALUE`.
    Facets,
}

/// An order of a list: `-` before its name turns it round.
#[derive(Debug)]
pub struct Sort {
    /// As it is asked for.
    pub name: &'static str,
    /// The column to sort by.
    pub column: &'static str,
}

impl Sort {
    /// The largest first.
    pub fn descends(&self) -> bool {
        self.name.starts_with('-')
    }
}

/// A query parameter, or a field of a form.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "each is a property of its own")]
pub struct Param {
    /// As it is sent.
    pub name: &'static str,
    /// The kind of its values.
    pub kind: Kind,
    /// It is required.
    pub required: bool,
    /// An empty text counts as absent: it is a field of a form that a person may leave empty.
    pub may_be_empty: bool,
    /// It only says how a page shows something. See [`display_only`](Self::display_only).
    pub is_display: bool,
    /// A password or a key: a page never shows what was typed there.
    pub is_secret: bool,
    /// A sentence for the API's description.
    pub about: &'static str,
}

impl Param {
    /// An optional parameter.
    pub const fn new(name: &'static str, kind: Kind, about: &'static str) -> Self {
        Self { name, kind, required: false, may_be_empty: false, is_display: false, is_secret: false, about }
    }

    /// A field of a form that may be left empty.
    #[must_use]
    pub const fn or_empty(self) -> Self {
        Self { may_be_empty: true, ..self }
    }

    /// A parameter that says how a page shows something, and not what it finds. A page passes over a value of it that it
    /// does not know, says so, and shows its default: an old link leads on. Programs are refused all the same.
    #[must_use]
    pub const fn display_only(self) -> Self {
        Self { is_display: true, ..self }
    }

    /// A field for a password or a key.
    #[must_use]
    pub const fn secret(self) -> Self {
        Self { is_secret: true, ..self }
    }

    /// Whether it takes this value.
    pub fn takes(&self, raw: &str) -> bool {
        self.kind.parse(raw, Tz::UTC).is_ok()
    }

    /// A required parameter.
    #[must_use]
    pub const fn required(self) -> Self {
        Self { required: true, ..self }
    }
}

/// A value in its normal form.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Of every kind that is not a number.
    Text(String),
    /// A number, or a moment in microseconds since 1970.
    Number(i64),
    /// A point of a history.
    AsOf(AsOf),
}

/// A point of an entity's history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AsOf {
    /// The state as the log recorded it by then.
    Time(DateTime<Utc>),
    /// After the event that made it.
    Version(i64),
    /// After the event at that position of the log.
    Position(i64),
}

/// The parameters of one request.
#[derive(Debug, Clone, Default)]
pub struct Params {
    values: BTreeMap<&'static str, Value>,
    /// The values of each facet.
    pub facets: BTreeMap<String, Vec<String>>,
    zone: Option<Tz>,
    /// What a page passed over.
    passed_over: Vec<PassedOver>,
}

/// A part of an address that a page passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassedOver {
    /// The name of the parameter.
    pub name: String,
    /// The page has such a parameter, but it does not take this value.
    pub is_known: bool,
}

/// A refused parameter.
pub fn refused(parameter: &str, detail: &str) -> Problem {
    QueryError::parameter(parameter, detail).into()
}

impl Params {
    /// Reads a query string with these parameters.
    pub fn read(query: &str, known: &[Param]) -> Result<Self, Problem> {
        Self::read_in(query, known, None)
    }

    /// The same, with the time zone that counts where the request names none.
    pub fn read_in(query: &str, known: &[Param], kept: Option<Tz>) -> Result<Self, Problem> {
        Self::read_with(query, known, kept, false)
    }

    /// The same for a page. It [passes over](Param::display_only) what it does not know of parameters that only say how
    /// it looks; a page that has no other parameters also passes over unknown ones.
    pub fn read_page(query: &str, known: &[Param], kept: Option<Tz>) -> Result<Self, Problem> {
        Self::read_with(query, known, kept, true)
    }

    fn read_with(query: &str, known: &[Param], kept: Option<Tz>, page: bool) -> Result<Self, Problem> {
        let only_display = page && known.iter().all(|param| param.is_display);
        let mut params = Self { zone: requested_zone(query, known).or(kept), ..Self::default() };
        let zone = params.zone();
        for (name, raw) in form_urlencoded::parse(query.as_bytes()) {
            let facet = name.strip_prefix(FACET).filter(|_| known.iter().any(|param| param.kind.is_facets()));
            if let Some(facet) = facet {
                params.facet(facet, &raw)?;
                continue;
            }
            let param = known.iter().find(|param| param.name == name && !param.kind.is_facets());
            let param = match param {
                Some(param) => param,
                None if only_display => {
                    params.pass_over(&name, false);
                    continue;
                }
                None => return Err(unknown(&name, known)),
            };
            if raw.is_empty() && (param.may_be_empty || param.kind.may_be_left_empty()) {
                continue;
            }
            let value = match param.kind.parse(&raw, zone) {
                _ if params.values.contains_key(param.name) => Err(("twice", "it is given twice".to_owned())),
                read => read.map_err(|detail| (param.kind.fault(), detail)),
            };
            match value {
                Ok(value) => drop(params.values.insert(param.name, value)),
                Err(_) if page && param.is_display => params.pass_over(param.name, true),
                Err((fault, detail)) => return Err(refused(param.name, &detail).with("fault", fault)),
            }
        }
        match known.iter().find(|param| param.required && !params.values.contains_key(param.name)) {
            Some(missing) => Err(refused(missing.name, "it is missing").with("fault", "missing")),
            None => Ok(params),
        }
    }

    fn pass_over(&mut self, name: &str, is_known: bool) {
        let one = PassedOver { name: name.to_owned(), is_known };
        if !self.passed_over.contains(&one) {
            self.passed_over.push(one);
        }
    }

    /// What was passed over of the address.
    pub fn passed_over(&self) -> &[PassedOver] {
        &self.passed_over
    }

    /// Whether a value of this parameter was passed over.
    pub fn was_passed_over(&self, name: &str) -> bool {
        self.passed_over.iter().any(|one| one.is_known && one.name == name)
    }

    /// Takes out a value that was read, and that the page does not have.
    pub(super) fn take_out(&mut self, name: &str) {
        self.values.remove(name);
        self.pass_over(name, true);
    }

    /// The part of this query string that was not passed over.
    pub fn read_of(&self, query: &str) -> String {
        let mut left: Vec<&str> = self.values.keys().copied().collect();
        let pairs = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| {
            if self.was_passed_over(name) {
                // Of a parameter that is given twice the first value counts.
                return left.iter().position(|one| **one == **name).map(|at| left.swap_remove(at)).is_some();
            }
            !self.passed_over.iter().any(|one| one.name == *name)
        });
        form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
    }

    fn facet(&mut self, name: &str, raw: &str) -> Result<(), Problem> {
        let refuse = |detail| refused(&format!("{FACET}{name}"), detail);
        let name = line(name).ok_or_else(|| refuse("a facet's name is a text of one line"))?;
        let value = line(raw).ok_or_else(|| refuse("it is a text of one line, of at most 200 characters"))?;
        self.facets.entry(name).or_default().push(value);
        if self.facets.values().map(Vec::len).sum::<usize>() > MOST_FACET_VALUES {
            return Err(refuse("these are too many"));
        }
        Ok(())
    }

    /// The value of that parameter.
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }

    /// Its value, if it is a text.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.values.get(name) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// Its value, if it is a number or a moment.
    pub fn number(&self, name: &str) -> Option<i64> {
        match self.values.get(name) {
            Some(Value::Number(number)) => Some(*number),
            _ => None,
        }
    }

    /// The time zone in which days begin: UTC where the request names none.
    pub fn zone(&self) -> Tz {
        self.zone.unwrap_or(Tz::UTC)
    }

    /// The requested point of a history.
    pub fn as_of(&self) -> Option<AsOf> {
        match self.values.get("as_of") {
            Some(Value::AsOf(moment)) => Some(*moment),
            _ => None,
        }
    }

    /// Whether no other parameters were given than these.
    pub fn only(&self, names: &[&str]) -> bool {
        self.facets.is_empty() && self.values.keys().all(|given| names.contains(given))
    }

    /// The number of a limit, which its kind keeps small.
    pub fn limit(&self, default: usize) -> usize {
        self.number("limit").and_then(|limit| usize::try_from(limit).ok()).unwrap_or(default)
    }
}

/// The time zone that a query names. One that is no zone is refused later, as any other value.
fn requested_zone(query: &str, known: &[Param]) -> Option<Tz> {
    let param = known.iter().find(|param| param.kind.is_zone())?;
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    pairs.find(|(name, _)| name == param.name).and_then(|(_, raw)| raw.parse().ok())
}

fn unknown(name: &str, known: &[Param]) -> Problem {
    let names: Vec<_> =
        known.iter().map(|p| if p.kind.is_facets() { "facet.NAME" } else { p.name }).collect();
    let detail = match names.as_slice() {
        [] => "there are no parameters here".to_owned(),
        names => format!("there is no such parameter here; known: {}", names.join(", ")),
    };
    refused(name, &detail).with("fault", "unknown")
}

/// A text to compare with, as the domain would have stored it.
fn line(raw: &str) -> Option<String> {
    soonshop_domain::text::line(raw, LONGEST_TEXT).ok()
}

impl Kind {
    /// The allowed values.
    pub fn names(self) -> Vec<&'static str> {
        match self {
            Self::OneOf(names) => names.to_vec(),
            Self::Order(sorts) => sorts.iter().map(|sort| sort.name).collect(),
            _ => Vec::new(),
        }
    }

    /// A browser sends an empty form field as an empty text: it counts as absent.
    fn may_be_left_empty(self) -> bool {
        matches!(self, Self::Time)
    }

    fn is_facets(self) -> bool {
        matches!(self, Self::Facets)
    }

    fn is_zone(self) -> bool {
        matches!(self, Self::Zone | Self::KeptZone)
    }

    /// The code of the fault of a value that it does not take.
    fn fault(self) -> &'static str {
        match self {
            Self::Text => "one-line",
            Self::Free | Self::Typed | Self::Cursor => "too-long",
            Self::Id => "id",
            Self::Sku => "sku",
            Self::Location => "location",
            Self::Currency => "currency",
            Self::OneOf(_) | Self::Order(_) => "choice",
            Self::Time | Self::AsOf => "time",
            Self::Zone | Self::KeptZone => "zone",
            Self::Number(..) => "number",
            Self::Checked(..) | Self::Facets => "value",
        }
    }

    fn parse(self, raw: &str, zone: Tz) -> Result<Value, String> {
        let value = match self {
            Self::Text => {
                line(raw).map(Value::Text).ok_or("it is a text of one line, of at most 200 characters")
            }
            Self::Free | Self::Typed | Self::Cursor => {
                let fits = raw.len() <= LONGEST_FREE;
                let text = if matches!(self, Self::Free) { cleaned(raw) } else { raw.into() };
                fits.then(|| Value::Text(text.into_owned())).ok_or("it is longer than 2,000 bytes")
            }
            Self::Id => {
                Uuid::try_parse(raw).map(|id| Value::Text(id.to_string())).map_err(|_| "it is not a UUID")
            }
            Self::Sku => {
                Sku::try_new(raw).map(|sku| Value::Text(sku.to_string())).map_err(|_| "it cannot be a SKU")
            }
            Self::Location => {
                let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
                let fits = (1..=64).contains(&raw.len()) && raw.bytes().all(plain);
                fits.then(|| Value::Text(raw.to_owned()))
                    .ok_or("it is 1 to 64 small letters, digits and hyphens")
            }
            Self::Currency => {
                let code = raw.parse::<Currency>().map(|code| Value::Text(code.to_string()));
                code.map_err(|_| "it is not an ISO 4217 code such as GBP")
            }
            Self::OneOf(_) | Self::Order(_) => {
                let names = self.names();
                let value =
                    names.iter().find(|name| **name == raw).map(|name| Value::Text((*name).to_owned()));
                return value.ok_or_else(|| format!("it is one of {}", names.join(", ")));
            }
            Self::Time => {
                let time = clock::parse_in(raw, &zone).map(|time| Value::Number(time.timestamp_micros()));
                time.ok_or("it is a day such as 2011-06-30, or a moment such as 2011-06-30T12:00:00Z")
            }
            Self::Zone | Self::KeptZone => raw
                .parse::<Tz>()
                .map(|zone| Value::Text(zone.name().to_owned()))
                .map_err(|_| "it is not a time zone: give an IANA name such as Europe/London"),
            Self::AsOf => as_of(raw)
                .map(Value::AsOf)
                .ok_or("it is v:<version>, p:<position>, or a moment such as 2011-06-30T12:00:00Z"),
            Self::Number(least, most) => {
                let number = digits(raw).filter(|number| (least..=most).contains(number));
                return number
                    .map(Value::Number)
                    .ok_or_else(|| format!("it is a number from {least} to {most}"));
            }
            Self::Checked(check, sentence) => check(raw).map(Value::Text).ok_or(sentence),
            Self::Facets => Err("it cannot be given like this"),
        };
        value.map_err(str::to_owned)
    }
}

/// Digits only, so that no sign and no space slips through.
fn digits(raw: &str) -> Option<i64> {
    (!raw.is_empty() && raw.bytes().all(|b| b.is_ascii_digit())).then(|| raw.parse().ok()).flatten()
}

fn as_of(raw: &str) -> Option<AsOf> {
    match raw.split_once(':') {
        Some(("v", version)) => digits(version).filter(|version| *version > 0).map(AsOf::Version),
        Some(("p", position)) => digits(position).map(AsOf::Position),
        _ => clock::parse(raw).map(AsOf::Time),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[Param] = &[
        Param::new("q", Kind::Free, ""),
        Param::new("limit", Kind::Number(1, 200), ""),
        Param::new("from", Kind::Time, ""),
        Param::new("tz", Kind::Zone, ""),
        Param::new("as_of", Kind::AsOf, ""),
        Param::new("facet.NAME", Kind::Facets, ""),
    ];

    fn read(query: &str) -> Result<Params, Problem> {
        Params::read(query, KNOWN)
    }

    #[test]
    fn a_query_is_cleaned_as_the_stored_texts_were() {
        let known = &[
            Param::new("q", Kind::Free, ""),
            Param::new("category", Kind::Text, ""),
            Param::new("sku", Kind::Sku, ""),
            Param::new("after", Kind::Cursor, ""),
            Param::new("facet.NAME", Kind::Facets, ""),
        ];
        let zwsp = "%E2%80%8B";
        let query = format!(
            "q=red{zwsp}+m%C2%ADug&category=%C2%A0Cafe%CC%81{zwsp}&sku=mug%EF%BB%BF-1&facet.colour{zwsp}=red{zwsp}&after=a{zwsp}"
        );
        let read = Params::read(&query, known).unwrap();
        assert_eq!((read.text("q"), read.text("category")), (Some("red mug"), Some("Caf\u{e9}")));
        assert_eq!((read.text("sku"), read.text("after")), (Some("MUG-1"), Some("a\u{200b}")));
        assert_eq!(read.facets, BTreeMap::from([("colour".to_owned(), vec!["red".to_owned()])]));
    }

    #[test]
    fn a_day_begins_at_midnight_and_an_offset_is_taken_off() {
        let micros = |query: &str| read(query).unwrap().number("from");
        let day = micros("from=2011-06-30");
        assert_eq!(day, Some(1_309_392_000_000_000));
        for same in ["2011-06-30T00:00:00Z", "2011-06-30T02:00:00%2B02:00", "2011-06-30T02:00:00+02:00"] {
            assert_eq!(micros(&format!("from={same}")), day, "{same}");
        }
    }

    #[test]
    fn a_day_begins_at_midnight_in_the_zone_of_the_request() {
        let begins = |day: &str, zone: &str| {
            // The zone counts wherever it stands.
            let queries = [format!("from={day}&tz={zone}"), format!("tz={zone}&from={day}")];
            let [one, other] = queries.map(|query| read(&query).unwrap().number("from"));
            assert_eq!(one, other, "{day} {zone}");
            clock::from_micros(one.unwrap()).to_rfc3339()
        };
        for (day, zone, expected) in [
            ("2026-04-01", "Asia/Shanghai", "2026-03-31T16:00:00+00:00"),
            ("2026-04-01", "Asia/Kathmandu", "2026-03-31T18:15:00+00:00"),
            // Days of 23 and 25 hours.
            ("2026-03-29", "Europe/London", "2026-03-29T00:00:00+00:00"),
            ("2026-03-30", "Europe/London", "2026-03-29T23:00:00+00:00"),
            ("2026-10-25", "Europe/London", "2026-10-24T23:00:00+00:00"),
            ("2026-10-26", "Europe/London", "2026-10-26T00:00:00+00:00"),
            ("2026-03-08", "America/New_York", "2026-03-08T05:00:00+00:00"),
            ("2026-03-09", "America/New_York", "2026-03-09T04:00:00+00:00"),
            // Half an hour of summer time.
            ("2026-04-05", "Australia/Lord_Howe", "2026-04-04T13:00:00+00:00"),
            ("2026-04-06", "Australia/Lord_Howe", "2026-04-05T13:30:00+00:00"),
            // No midnight: at midnight it was one o'clock; the first of two midnights; no such day at all.
            ("2018-11-04", "America/Sao_Paulo", "2018-11-04T03:00:00+00:00"),
            ("2026-11-01", "America/Havana", "2026-11-01T04:00:00+00:00"),
            ("2011-12-30", "Pacific/Apia", "2011-12-30T10:00:00+00:00"),
            ("2011-12-31", "Pacific/Apia", "2011-12-30T10:00:00+00:00"),
            // A moment is the same everywhere.
            ("2026-04-01T00:00:00Z", "Asia/Shanghai", "2026-04-01T00:00:00+00:00"),
        ] {
            assert_eq!(begins(day, zone), expected, "{day} {zone}");
        }
        for wrong in ["Mars", "", "Europe/london", "GMT%2B8", "CST"] {
            let problem = read(&format!("tz={wrong}")).unwrap_err();
            assert_eq!(problem.extensions()["parameter"], "tz");
            assert!(problem.detail().contains("such as Europe/London"), "{problem}");
        }
        let kept = Params::read_in("from=2026-04-01", KNOWN, Some(Tz::Asia__Shanghai)).unwrap();
        assert_eq!(kept.number("from"), Some(1_774_972_800_000_000));
    }

    #[test]
    fn a_point_of_a_history_is_a_version_a_position_or_a_moment() {
        assert_eq!(read("as_of=v:3").unwrap().as_of(), Some(AsOf::Version(3)));
        assert_eq!(read("as_of=p:0").unwrap().as_of(), Some(AsOf::Position(0)));
        assert!(matches!(read("as_of=2011-06-30T12:00:00.5Z").unwrap().as_of(), Some(AsOf::Time(_))));
        for bad in ["v:0", "v:-1", "v:", "p:x", "p:99999999999999999999", "now", "", "2011-13-01", "v:+1"] {
            assert!(read(&format!("as_of={bad}")).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_page_passes_over_what_only_says_how_it_looks_and_refuses_the_rest() {
        let looks = Param::new("view", Kind::OneOf(&["tree", "table"]), "").display_only();
        let level = Param::new("depth", Kind::Number(0, 9), "").display_only();
        let filter = Param::new("limit", Kind::Number(1, 200), "");
        let read = |query: &str, known: &[Param]| Params::read_page(query, known, None);
        let page = read("view=list&depth=3&tab=state&depth=4", &[looks, level]).unwrap();
        let over: Vec<_> = page.passed_over().iter().map(|one| (one.name.as_str(), one.is_known)).collect();
        assert_eq!(over, [("view", true), ("tab", false), ("depth", true)]);
        assert_eq!(
            (page.text("view"), page.number("depth")),
            (None, Some(3)),
            "of two values the first counts"
        );
        assert_eq!(page.read_of("view=list&depth=3&tab=state&depth=4"), "depth=3");
        let whole = read("depth=3&view=tree", &[looks, level]).unwrap();
        assert!(whole.passed_over().is_empty() && whole.read_of("depth=3&view=tree") == "depth=3&view=tree");
        // A page that filters shows nothing rather than something else.
        for (query, name) in
            [("limit=x&view=list", "limit"), ("tab=state", "tab"), ("limit=1&limit=2", "limit")]
        {
            let problem = read(query, &[looks, filter]).unwrap_err();
            assert_eq!(problem.extensions()["parameter"], name, "{query}");
        }
        assert_eq!(read("limit=7&view=list", &[looks, filter]).unwrap().number("limit"), Some(7));
        // Programs are told.
        for query in ["view=list", "tab=state", "depth=3&depth=4"] {
            assert!(Params::read(query, &[looks, level]).is_err(), "{query}");
        }
    }

    #[test]
    fn an_invalid_parameter_is_refused_by_name_and_not_repeated() {
        let long = "x".repeat(3_000);
        for (query, name) in [
            ("secret=1".to_owned(), "secret"),
            ("limit=secret".to_owned(), "limit"),
            ("limit=0".to_owned(), "limit"),
            ("limit=+1".to_owned(), "limit"),
            ("limit=1&limit=2".to_owned(), "limit"),
            ("from=secret".to_owned(), "from"),
            (format!("q={long}"), "q"),
            ("facet.=secret".to_owned(), "facet."),
            ("facet.colour=%00secret".to_owned(), "facet.colour"),
            ("facet.f=secret&".repeat(200), "facet.f"),
        ] {
            let problem = read(&query).unwrap_err();
            assert_eq!((problem.slug(), problem.status().as_u16()), ("invalid-query", 400));
            assert_eq!(problem.extensions()["parameter"], name);
            assert!(name == "secret" || !problem.detail().contains("secret"), "{problem}");
        }
        assert!(read("q=%ff%fe").is_ok(), "malformed UTF-8 is searched like any other character");
    }
}
