//! What the timeline is searched by, as conditions on the rows of the audit trail.
//!
//! A search is terms: `actor:staff:42 type:Stock* -agg:order "a text"`. The other parameters are terms too, with their
//! names outside. A term that cannot be read is refused by its number, and then nothing is shown: never everything, as
//! if it had been narrowed.

use std::sync::LazyLock;

use sea_orm::{DbErr, IdenStatic as _, Iterable as _, QueryResult, Value};
use serde_json::json;
use soonshop_domain::{ActorKind, Channel, TYPES, catalog};
use soonshop_projections::{Registry, audit, parked, texts};
use soonshop_service_kit::Problem;
use uuid::Uuid;

use super::amounts;
use crate::http::params::{Params, moment_of, refused};
use crate::http::read::{Source, failed, query_failed};

/// Parked events that are looked for, the first of them: where so many are parked, the page that lists them is the place.
const MOST_PARKED: i64 = 1_000;

/// The most terms of one search.
const MOST_TERMS: usize = 20;

/// A condition in SQL, with `?` for each use of its value.
#[derive(Debug, Clone)]
pub(super) struct Condition {
    sql: String,
    values: Vec<Value>,
    /// What stands in a line of one of their texts, in small letters, wherever it holds.
    text: Option<String>,
}

impl Condition {
    fn new(sql: &str, value: impl Into<Value>) -> Self {
        Self::of(sql.to_owned(), vec![value.into()])
    }

    pub(super) fn of(sql: String, values: Vec<Value>) -> Self {
        Self { sql, values, text: None }
    }

    /// Both of them hold.
    pub(super) fn and(self, other: Self) -> Self {
        let sql = format!("({} AND {})", self.sql, other.sql);
        Self::of(sql, self.values.into_iter().chain(other.values).collect())
    }
}

/// A name that a term can begin with, and what it makes of its value. An error says what a value can be.
struct Term {
    name: &'static str,
    about: &'static str,
    read: fn(&str) -> Option<Condition>,
}

const TERMS: &[Term] = &[
    Term { name: "type", about: "an event's type, such as OrderPlaced or Stock*", read: event_type },
    Term {
        name: "agg",
        about: "an aggregate's type, such as order",
        read: |raw| TYPES.contains(&raw).then(|| Condition::new("aggregate_type = ?", raw)),
    },
    Term { name: "id", about: "the UUID of an aggregate", read: |raw| by_id("aggregate_id = ?", raw) },
    Term { name: "actor", about: "a kind of actor, or kind and id, such as staff:42", read: actor },
    Term {
        name: "chan",
        about: "a channel, such as storefront",
        read: |raw| {
            raw.parse::<Channel>().ok().map(|channel| Condition::new("channel = ?", channel.as_ref()))
        },
    },
    Term { name: "correlation", about: "a UUID", read: |raw| by_id("correlation_id = ?", raw) },
    Term { name: "cause", about: "the UUID of an event", read: |raw| by_id("causation_id = ?", raw) },
    Term { name: "subject", about: "the UUID of a data subject", read: |raw| by_id("subject = ?", raw) },
    Term {
        name: "reason",
        about: "the code of a reason",
        read: |raw| plain(raw).then(|| Condition::new("reason_code = ?", raw)),
    },
    Term {
        name: "amount",
        about: "a number such as 12.50, with >, >=, < or <= before it or two with .. between them, and perhaps a currency",
        read: amounts::condition,
    },
    Term {
        name: "created",
        about: "a day or a moment, two with .. between them, or last:24h (m, h, d)",
        read: created,
    },
];

/// A value that may stand in SQL text columns at all.
fn plain(raw: &str) -> bool {
    !raw.is_empty() && !raw.contains('\0')
}

fn by_id(sql: &str, raw: &str) -> Option<Condition> {
    Uuid::try_parse(raw).ok().map(|id| Condition::new(sql, id.to_string()))
}

fn event_type(raw: &str) -> Option<Condition> {
    let name = raw.strip_suffix('*').unwrap_or(raw);
    let fits = name.bytes().all(|b| b.is_ascii_alphanumeric()) && (raw != name || !name.is_empty());
    fits.then(|| {
        if raw == name {
            Condition::new("event_type = ?", raw)
        } else {
            Condition::new("lower(event_type) LIKE ?", format!("{}%", name.to_lowercase()))
        }
    })
}

fn actor(raw: &str) -> Option<Condition> {
    let (kind, id) = raw.split_once(':').map_or((raw, None), |(kind, id)| (kind, Some(id)));
    let kind: ActorKind = kind.parse().ok()?;
    Some(match id {
        None => Condition::new("actor_kind = ?", kind.as_ref()),
        Some(id) if plain(id) => Condition::of(
            "(actor_kind = ? AND actor_id = ?)".to_owned(),
            vec![kind.as_ref().into(), id.into()],
        ),
        Some(_) => return None,
    })
}

/// `24h`, `30m`, `7d`: so long ago.
fn ago(raw: &str) -> Option<i64> {
    let (digits, unit) = raw.split_at_checked(raw.len().checked_sub(1)?)?;
    let number: u32 = digits.parse().ok().filter(|_| digits.bytes().all(|b| b.is_ascii_digit()))?;
    let minutes = match unit {
        "m" => 1,
        "h" => 60,
        "d" => 24 * 60,
        _ => return None,
    };
    let ago = chrono::TimeDelta::try_minutes(i64::from(number) * minutes)?;
    Some(soonshop_domain::clock::now().checked_sub_signed(ago)?.timestamp_micros())
}

fn created(raw: &str) -> Option<Condition> {
    if let Some(ago) = raw.strip_prefix("last:") {
        return self::ago(ago).map(|from| Condition::new("recorded_at >= ?", from));
    }
    let (from, to) = raw.split_once("..").unwrap_or((raw, ""));
    let from = moment_of(from).map(|moment| moment.timestamp_micros())?;
    if to.is_empty() {
        return Some(Condition::new("recorded_at >= ?", from));
    }
    let to = moment_of(to)?.timestamp_micros();
    Some(Condition::of("(recorded_at >= ? AND recorded_at < ?)".to_owned(), vec![from.into(), to.into()]))
}

/// A text that is looked for as it stands, whatever signs are in it.
fn text(raw: &str) -> Option<Condition> {
    let text = raw.to_lowercase();
    let like = text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    let like = format!("%{like}%");
    plain(raw).then(|| Condition {
        // (A text of several lines is in none.)
        text: (!text.contains('\n')).then_some(text),
        sql: "(text LIKE ? ESCAPE '\\' OR lower(coalesce(reason_code, '')) LIKE ? ESCAPE '\\' \
              OR coalesce(command_type, '') LIKE ? ESCAPE '\\')"
            .to_owned(),
        values: vec![like.clone().into(), like.clone().into(), like.into()],
    })
}

/// One piece of what was typed.
#[derive(Debug, PartialEq, Eq)]
struct Token {
    text: String,
    /// It stood in quotes from its beginning on: a text, whatever is in it.
    quoted: bool,
}

/// Splits at spaces outside of quotes; `None`: a quote is not closed.
fn tokens(typed: &str) -> Option<Vec<Token>> {
    let (mut tokens, mut rest) = (Vec::new(), typed.trim_start());
    while !rest.is_empty() {
        let (quoted, after) = match rest.strip_prefix('"') {
            Some(inside) => {
                let (text, after) = inside.split_once('"')?;
                (Token { text: text.to_owned(), quoted: true }, after)
            }
            None => {
                let (text, after) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
                (Token { text: text.to_owned(), quoted: false }, after)
            }
        };
        tokens.push(quoted);
        rest = after.trim_start();
    }
    Some(tokens)
}

/// Why a term cannot be read: by the name of its filter, `text`, `quote` or `unknown`, and in a sentence.
struct Misread {
    filter: &'static str,
    reason: String,
}

/// What was typed, in the pieces that an error counts.
pub(super) fn typed(text: &str) -> Vec<(usize, String)> {
    let pieces = match tokens(text) {
        Some(tokens) => {
            let shown = |token: Token| if token.quoted { format!("\"{}\"", token.text) } else { token.text };
            tokens.into_iter().map(shown).collect()
        }
        None => text.split_whitespace().map(str::to_owned).collect::<Vec<_>>(),
    };
    (1..).zip(pieces).collect()
}

/// A term of a search: its condition, and how it is understood.
fn term(token: &Token) -> Result<(Condition, String), Misread> {
    let shown = |condition: Option<Condition>| {
        let reason = "a text has at least one sign, and no NUL".to_owned();
        let condition = condition.ok_or(Misread { filter: "text", reason })?;
        Ok((condition, format!("\"{}\"", token.text)))
    };
    if token.quoted {
        return shown(text(&token.text));
    }
    let (negated, plain) = match token.text.strip_prefix('-') {
        Some(rest) if rest.contains(':') => (true, rest),
        _ => (false, token.text.as_str()),
    };
    let Some((name, value)) = plain.split_once(':') else { return shown(text(plain)) };
    let Some(known) = TERMS.iter().find(|term| term.name == name) else {
        let names: Vec<_> = TERMS.iter().map(|term| term.name).collect();
        let reason = format!(
            "there is no such filter; known: {}; a text with a colon goes in quotes",
            names.join(", ")
        );
        return Err(Misread { filter: "unknown", reason });
    };
    let mut condition = (known.read)(value).ok_or_else(|| Misread {
        filter: known.name,
        reason: format!("{}: it is {}", known.name, known.about),
    })?;
    if negated {
        // What has no value at all is not that value either.
        condition.sql = format!("({}) IS NOT TRUE", condition.sql);
    }
    Ok((condition, token.text.clone()))
}

/// Everything that a search says, or every token of it that is wrong.
fn search(typed: &str) -> Result<(Vec<Condition>, Vec<String>), Problem> {
    let refuse = |errors: Vec<serde_json::Value>, detail: String| {
        refused("q", &detail).with("tokens", serde_json::Value::Array(errors))
    };
    let Some(tokens) = tokens(typed) else {
        let number = typed.split_whitespace().count();
        let last = json!({ "token": number, "filter": "quote", "reason": "a quote is not closed" });
        return Err(refuse(vec![last], "a quote is not closed".to_owned()));
    };
    if tokens.len() > MOST_TERMS {
        return Err(refuse(Vec::new(), format!("there are more than {MOST_TERMS} terms")));
    }
    let (mut conditions, mut understood, mut errors) = (Vec::new(), Vec::new(), Vec::new());
    for (number, token) in (1..).zip(&tokens) {
        match term(token) {
            Ok((condition, said)) => {
                conditions.push(condition);
                understood.push(said);
            }
            Err(Misread { filter, reason }) => {
                errors.push(json!({ "token": number, "filter": filter, "reason": reason }));
            }
        }
    }
    match errors.first() {
        None => Ok((conditions, understood)),
        Some(first) => {
            let detail =
                format!("token {}: {}", first["token"], first["reason"].as_str().unwrap_or_default());
            Err(refuse(errors, detail))
        }
    }
}

/// Parameters that are terms.
pub(super) const OUTSIDE: [&str; 6] = ["type", "agg", "id", "actor", "chan", "correlation"];

fn conditions(params: &Params) -> Result<(Vec<Condition>, Vec<String>), Problem> {
    let (mut conditions, understood) = search(params.text("q").unwrap_or_default())?;
    for term in TERMS.iter().filter(|term| OUTSIDE.contains(&term.name)) {
        // A form sends what was not chosen as empty.
        if let Some(value) = params.text(term.name).filter(|value| !value.is_empty()) {
            let refuse = || refused(term.name, &format!("it is {}", term.about));
            conditions.push((term.read)(value).ok_or_else(refuse)?);
        }
    }
    let moments = [("from", "recorded_at >= ?"), ("to", "recorded_at < ?")];
    let moment = |(name, sql): (&str, &str)| Some(Condition::new(sql, params.number(name)?));
    conditions.extend(moments.into_iter().filter_map(moment));
    Ok((conditions, understood))
}

/// The columns of what is listed. The text is only there to be looked through, and most of a row.
static SHOWN: LazyLock<String> = LazyLock::new(|| {
    let of = |column: audit::Column| match column {
        audit::Column::Text => "'' AS text".to_owned(),
        shown => shown.as_str().to_owned(),
    };
    audit::Column::iter().map(of).collect::<Vec<_>>().join(", ")
});

const ASCENDING: &str = "position ASC";

/// What parameters come to: conditions on the rows, and their order.
#[derive(Debug, Clone)]
pub(super) struct Search {
    conditions: Vec<Condition>,
    /// Where the page lies: only positions above the one and below the other.
    after: Option<i64>,
    before: Option<i64>,
    /// Where what is looked for can be, once that is known: positions from the one to below the other, in their order.
    places: Option<Vec<(i64, i64)>>,
    /// Only what went wrong: events that say no, and those that are parked, once it is known which.
    failures: Option<Vec<i64>>,
    /// What was understood of `q`, in its normal form.
    pub(super) understood: Vec<String>,
    pub(super) ascends: bool,
}

impl Search {
    pub(super) fn of(params: &Params) -> Result<Self, Problem> {
        let (conditions, understood) = conditions(params)?;
        Ok(Self {
            conditions,
            after: params.number("after"),
            before: params.number("before"),
            places: None,
            failures: params.text("failures").map(|_| Vec::new()),
            understood,
            ascends: params.text("order") == Some("asc"),
        })
    }

    /// Looks up what is parked, where that is looked for.
    pub(super) async fn know_parked(&mut self, registry: &Registry) -> Result<(), Problem> {
        if let Some(failures) = &mut self.failures {
            *failures = parked::positions(registry, MOST_PARKED).await.map_err(failed)?;
        }
        Ok(())
    }

    pub(super) fn order(&self) -> &'static str {
        if self.ascends { ASCENDING } else { "position DESC" }
    }

    /// Of one condition alone, the oldest first.
    pub(super) fn only(sql: &str, value: impl Into<Value>) -> Self {
        let (after, before, places) = (None, None, None);
        let conditions = vec![Condition::new(sql, value)];
        Self { conditions, after, before, places, failures: None, understood: Vec::new(), ascends: true }
    }

    /// The oldest first, whatever the order that was asked for.
    pub(super) fn ascending(self) -> Self {
        Self { ascends: true, ..self }
    }

    /// What is beyond a position that was reached.
    #[must_use]
    pub(super) fn beyond(&self, reached: Option<i64>) -> Self {
        let (after, before) = (self.after.max(reached), lesser(self.before, reached));
        let (after, before) = if self.ascends { (after, self.before) } else { (self.after, before) };
        Self { after, before, ..self.clone() }
    }

    /// Finds out where the texts are that are looked for: rows that are not there need not be read.
    pub(super) async fn locate(&mut self, source: &Source) -> Result<(), Problem> {
        let wanted: Vec<_> = self.conditions.iter().filter_map(|condition| condition.text.clone()).collect();
        if wanted.is_empty() || self.places.is_some() {
            return Ok(());
        }
        let sql = source.blocks_with(wanted.len());
        let blocks = source.plain(&sql, wanted.into_iter().map(Into::into).collect()).await?;
        let read = |row: &QueryResult| Ok((row.try_get_by_index(0)?, row.try_get_by_index::<i32>(1)? == 1));
        let blocks = blocks.iter().map(read).collect::<Result<Vec<(i64, bool)>, DbErr>>();
        self.places = Some(places(&blocks.map_err(query_failed)?));
        Ok(())
    }

    /// For what is looked at with every event that comes: it can be anywhere.
    pub(super) fn everywhere(&mut self) {
        self.places = Some(vec![(0, i64::MAX)]);
    }

    /// The same in pieces, to be gone through in their order until enough is found.
    pub(super) fn pieces(&self) -> Vec<Self> {
        let Some(places) = &self.places else { return vec![self.clone()] };
        let piece = |(from, to): &(i64, i64)| Self {
            after: self.after.max(Some(from - 1)),
            before: lesser(self.before, Some(*to)),
            ..self.clone()
        };
        let is_somewhere =
            |piece: &Self| piece.after.unwrap_or(-1).saturating_add(1) < piece.before.unwrap_or(i64::MAX);
        let mut pieces: Vec<Self> = places.iter().map(piece).filter(is_somewhere).collect();
        if !self.ascends {
            pieces.reverse();
        }
        if pieces.is_empty() {
            // Nothing is there: but up to where, is to be told.
            pieces.push(Self { after: Some(0), before: Some(1), ..self.clone() });
        }
        pieces
    }

    /// The first rows that are found, by a statement for each piece that is told how many more are wanted; and the
    /// position that they were read at.
    pub(super) async fn gather<F: Future<Output = Result<(i64, Vec<QueryResult>), Problem>>>(
        &self,
        source: &Source,
        limit: usize,
        read: impl Fn(Self, usize) -> F,
    ) -> Result<(i64, Vec<QueryResult>), Problem> {
        let mut located = self.clone();
        located.locate(source).await?;
        let (mut at, mut found) = (None, Vec::new());
        for piece in located.pieces() {
            let (position, rows) = read(piece, limit - found.len()).await?;
            at.get_or_insert(position);
            found.extend(rows);
            if found.len() >= limit {
                break;
            }
        }
        Ok((at.unwrap_or(0), found))
    }

    /// SQL and its values for the first rows that are found.
    pub(super) fn sql(&self, limit: usize) -> (String, Vec<Value>) {
        let (filter, values) = self.filter();
        (format!("SELECT {} FROM @audit {filter} ORDER BY {} LIMIT {limit}", *SHOWN, self.order()), values)
    }

    /// Those that are no effects of what is found as well, in a page's bounds: of what was caused by what nothing caused
    /// it is looked, row by row, whether its cause is among what is found.
    pub(super) fn not_caused(&self, limit: usize) -> (String, Vec<Value>) {
        let mut values = Vec::new();
        let found = numbered(&self.narrows(), &mut values);
        let bounds = numbered(&self.bounds(), &mut values);
        let cause = numbered(&self.narrows(), &mut values);
        let sql = format!(
            "SELECT {} FROM @audit e WHERE {found} AND {bounds} AND NOT coalesce((SELECT TRUE FROM @audit c \
             WHERE c.id = e.causation_id AND c.causation_id IS NULL AND {cause} LIMIT 1), FALSE) \
             ORDER BY {} LIMIT {limit}",
            *SHOWN,
            self.order()
        );
        (sql, values)
    }

    /// All that these events caused, of what is found.
    pub(super) fn caused_by(&self, causes: &[&str]) -> (String, Vec<Value>) {
        let places = vec!["?"; causes.len()].join(", ");
        let of_these = Condition::of(
            format!("causation_id IN ({places})"),
            causes.iter().map(|id| (*id).into()).collect(),
        );
        let mut values = Vec::new();
        let found = numbered(&[vec![of_these], self.narrows()].concat(), &mut values);
        (format!("SELECT {} FROM @audit WHERE {found} ORDER BY {ASCENDING}", *SHOWN), values)
    }

    /// What is looked for, wherever a page lies.
    fn narrows(&self) -> Vec<Condition> {
        let mut all = self.conditions.clone();
        if let Some(parked) = &self.failures {
            let list = |count| vec!["?"; count].join(", ");
            let refusals: Vec<_> = catalog::event_types().iter().filter(|event| event.is_refusal).collect();
            let (types, positions) = (list(refusals.len()), list(parked.len()));
            let or = if parked.is_empty() { String::new() } else { format!(" OR position IN ({positions})") };
            let refusals = refusals.into_iter().map(|event| Value::from(event.name));
            all.push(Condition::of(
                format!("(event_type IN ({types}){or})"),
                refusals.chain(parked.iter().map(|position| (*position).into())).collect(),
            ));
        }
        all
    }

    fn bounds(&self) -> Vec<Condition> {
        let bounds = [("position > ?", self.after), ("position < ?", self.before)];
        let bound = |(sql, position): (&str, Option<i64>)| Some(Condition::new(sql, position?));
        bounds.into_iter().filter_map(bound).collect()
    }

    /// `WHERE …` with numbered places, and what goes there.
    pub(super) fn filter(&self) -> (String, Vec<Value>) {
        let mut values = Vec::new();
        let all = [self.narrows(), self.bounds()].concat();
        (format!("WHERE {}", numbered(&all, &mut values)), values)
    }
}

fn lesser(one: Option<i64>, other: Option<i64>) -> Option<i64> {
    one.into_iter().chain(other).min()
}

/// Where something can be, by the blocks that have it or have it not, in their order: also where no block is.
fn places(blocks: &[(i64, bool)]) -> Vec<(i64, i64)> {
    let (mut places, mut from): (Vec<(i64, i64)>, _) = (Vec::new(), 0);
    for (block, _) in blocks.iter().filter(|(_, there)| !there) {
        let begins = block * texts::BLOCK;
        if from < begins {
            places.push((from, begins));
        }
        from = begins + texts::BLOCK;
    }
    places.push((from, i64::MAX));
    places
}

/// Conditions that all hold, with numbered places.
fn numbered(conditions: &[Condition], values: &mut Vec<Value>) -> String {
    let mut wheres = Vec::new();
    for condition in conditions {
        let mut pieces = condition.sql.split('?');
        let mut sql = pieces.next().unwrap_or_default().to_owned();
        for (piece, value) in pieces.zip(&condition.values) {
            values.push(value.clone());
            sql.extend([&format!("${}", values.len()), piece]);
        }
        wheres.push(sql);
    }
    if wheres.is_empty() { "1 = 1".to_owned() } else { wheres.join(" AND ") }
}

#[cfg(test)]
mod tests {
    use super::super::timeline;
    use super::*;

    fn wrong(typed: &str) -> Vec<i64> {
        let problem = search(typed).err().unwrap();
        let tokens = problem.extensions()["tokens"].as_array().unwrap().clone();
        tokens.iter().map(|one| one["token"].as_i64().unwrap()).collect()
    }

    #[test]
    fn failures_are_the_events_that_the_catalog_calls_refusals() {
        let search = Search::of(&Params::read("failures=1", &timeline::params()).unwrap()).unwrap();
        let (_, values) = search.filter();
        let refusals = ["StockReservationBarred", "OrderRefused"].map(Value::from);
        assert_eq!(values, refusals);
    }

    #[test]
    fn places_are_where_a_block_has_it_or_no_block_is() {
        let block = texts::BLOCK;
        assert_eq!(places(&[]), [(0, i64::MAX)]);
        assert_eq!(places(&[(0, false), (1, false)]), [(2 * block, i64::MAX)]);
        assert_eq!(
            places(&[(0, true), (1, false), (3, false)]),
            [(0, block), (2 * block, 3 * block), (4 * block, i64::MAX)]
        );
    }

    #[test]
    fn a_search_goes_through_its_places_in_its_order_and_within_its_page() {
        let of = |text: &str| {
            let mut search = Search::of(&Params::read(text, &timeline::params()).unwrap()).unwrap();
            search.places = Some(vec![(0, 10), (20, 30), (40, i64::MAX)]);
            search.pieces().iter().map(|piece| (piece.after, piece.before)).collect::<Vec<_>>()
        };
        let some = |after, before| (Some(after), Some(before));
        assert_eq!(of("q=mug"), [some(39, i64::MAX), some(19, 30), some(-1, 10)]);
        assert_eq!(of("q=mug&order=asc&after=24"), [some(24, 30), some(39, i64::MAX)]);
        assert_eq!(of("q=mug&before=41"), [some(39, 41), some(19, 30), some(-1, 10)]);
        assert_eq!(of("q=mug&before=20&after=9"), [some(0, 1)], "nothing, and where that is so");
    }

    #[test]
    fn what_is_typed_falls_into_terms_and_texts() {
        let found = tokens(r#" actor:staff:42  "refused by: bank" mug "#).unwrap();
        let texts: Vec<_> = found.iter().map(|token| (token.text.as_str(), token.quoted)).collect();
        assert_eq!(texts, [("actor:staff:42", false), ("refused by: bank", true), ("mug", false)]);
        assert_eq!(
            search(r#"type:Stock* -agg:order "a b" created:2026-11-01..2026-11-22"#).unwrap().0.len(),
            4
        );
    }

    #[test]
    fn every_token_that_is_wrong_is_named_and_its_value_is_not_repeated() {
        assert_eq!(wrong("type:[ mug agg:secret email:secret@x"), [1, 3, 4]);
        assert_eq!(wrong(r#"mug "open"#), [2]);
        for typed in [
            "id:secret",
            "actor:secret",
            "chan:secret",
            "amount:secret",
            "amount:>secretGBP",
            "created:secret",
            "created:2026-11-01..secret",
            "created:last:secret",
            "created:last:9999999999d",
            "created:last:",
            "secret:1",
        ] {
            let problem = search(typed).err().unwrap();
            assert!(!problem.detail().contains("secret"), "{problem}");
        }
    }
}
