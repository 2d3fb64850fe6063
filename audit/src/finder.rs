//! Finds things by a name: an order by its number, a product by its name or a SKU, an event by its position, id or hash,
//! a command, a request, an API key, a stock by its SKU and location. Every kind of name is tried, and everything that has
//! the name is returned.
//!
//! No personal value is a name here: people are found by a [look-up](crate::look_up), which is recorded.

use std::collections::BTreeSet;

use sea_orm::{ConnectionTrait as _, DatabaseBackend, Value};
use soonshop_domain::{ActorKind, QueryError, TYPES};
use soonshop_event_log::seal::Seals;
use soonshop_event_log::{Error, places};
use soonshop_projections::source::{Source, query_failed};
use soonshop_projections::{NameColumn, Projector};
use unicode_normalization::UnicodeNormalization as _;
use uuid::Uuid;

use crate::name::{BETWEEN, Names};
use crate::names::{text, unless_unavailable};
use crate::names_in_file::{self, InFile};
use crate::reader::{ChangesFrom, Reader};

/// The beginning of every API key.
const KEY: &str = "ssk_";

/// The beginnings of tokens: of refreshing, of links, of guests, and the header of a signed one.
const TOKENS: [&str; 4] = ["ssr_", "ssl_", "ssg_", "eyJ"];

/// A text that is not longer is no token.
const SHOWN: usize = 20;

/// The longest name, in characters.
const LONGEST: usize = 200;

/// The most things of one kind that are found by a name.
const MOST: usize = 20;

/// How something was found whose id is only like the one that was typed.
pub const SIMILAR: &str = "similar";

/// How many characters of an id pages show, the fewest that are looked for, and how many it has.
const SHORT: usize = 8;
const FEWEST: usize = 4;
const LENGTH: usize = 36;

/// The bytes of a hash.
const HASH: usize = 32;

/// Something that has a name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Thing {
    Aggregate {
        kind: String,
        id: String,
    },
    /// By its position.
    Event(i64),
    Command(String),
    /// Everything that followed from one request.
    Correlation(String),
    /// The events about a person, by the person's id.
    Person(String),
    /// The holder of an API key, as `kind:id`, and what the key is for.
    Key {
        actor: String,
        name: String,
    },
    /// A seal by its number, and the first and last position that it covers.
    Seal(i64, (i64, i64)),
}

/// Something that was found, and by which kind of name: `number`, `name`, `sku`, `position`, `id`, `hash`, `key` or
/// [`SIMILAR`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedThing {
    pub by: &'static str,
    pub thing: Thing,
}

/// The things that have a name, and the names of the aggregates among them.
#[derive(Debug, Default)]
pub struct Finds {
    pub found: Vec<NamedThing>,
    pub names: Names,
}

impl Finds {
    fn add(&mut self, by: &'static str, thing: Thing) {
        if !self.found.iter().any(|known| known.thing == thing) {
            self.found.push(NamedThing { by, thing });
        }
    }
}

/// A text without the secret of a key or a token in it, which is never searched: `ssk_5c73ca50` of `ssk_5c73ca50_…`,
/// also in quotes or behind `Bearer`, and nothing of a token. Every other text stays as it is.
pub fn without_secret(typed: &str) -> &str {
    let inner = typed.trim_matches(|sign: char| sign.is_whitespace() || "\"'`".contains(sign));
    let bearer = inner.split_at_checked("Bearer ".len());
    let inner = match bearer {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("Bearer ") => token.trim(),
        _ => inner,
    };
    if let Some(end) = inner.strip_prefix(KEY).and_then(|rest| rest.find('_')) {
        return &inner[..KEY.len() + end];
    }
    let is_token = TOKENS.iter().any(|prefix| inner.starts_with(prefix)) && inner.len() > SHOWN;
    if is_token { "" } else { typed }
}

/// The one name in what a page or a line prints: `#5` is the position 5, `order-<id>` and `staff:<id>` are the id, a
/// `traceparent` is its trace, and wide digits and letters are plain ones.
fn as_name(typed: &str) -> String {
    let plain: String = typed.nfkc().collect();
    let plain = plain.trim();
    if let Some(position) = plain.strip_prefix('#')
        && !position.is_empty()
        && position.bytes().all(|byte| byte.is_ascii_digit())
    {
        return position.to_owned();
    }
    let parts: Vec<&str> = plain.split('-').collect();
    if let [version, trace, span, flags] = parts[..]
        && [version.len(), trace.len(), span.len(), flags.len()] == [2, 32, 16, 2]
    {
        return trace.to_owned();
    }
    let id = plain.len().checked_sub(36).and_then(|at| plain.split_at_checked(at));
    match id {
        Some((before, id)) if before.ends_with(['-', ':', '/']) && Uuid::try_parse(id).is_ok() => {
            id.to_owned()
        }
        _ => plain.to_owned(),
    }
}

/// Everything that this text names; business names come first.
pub async fn find(reader: &Reader, typed: &str) -> Result<Finds, QueryError> {
    let typed = as_name(without_secret(typed.trim()));
    let typed = typed.as_str();
    let mut finds = Finds::default();
    if typed.is_empty() || typed.contains('\0') || typed.chars().count() > LONGEST {
        return Ok(finds);
    }
    let of_shop = reader.changes == ChangesFrom::Log;
    if of_shop {
        by_names(reader, typed, &mut finds).await?;
    } else {
        in_file(reader, typed, &mut finds).await?;
    }
    if typed.len() < 19
        && typed.bytes().all(|byte| byte.is_ascii_digit())
        && let Ok(position) = typed.parse()
        && is_position(reader, position).await?
    {
        finds.add("position", Thing::Event(position));
    }
    if let Ok(id) = Uuid::try_parse(typed) {
        by_id(reader, &id.to_string(), &mut finds).await?;
    }
    if let Some(end) = end_of_id(typed, finds.found.is_empty()) {
        by_end(reader, "id", &format!("%{end}"), &mut finds).await?;
        if of_shop {
            keys(reader, end, &mut finds).await?;
        }
        // A number that nothing has is no mistyped id.
        let is_id = typed != end || end.bytes().any(|byte| byte.is_ascii_alphabetic());
        if is_id && finds.found.is_empty() && end.len() == SHORT {
            let (first, last) = end.split_at(SHORT / 2);
            for alike in [format!("%____{last}"), format!("%{first}____")] {
                by_end(reader, SIMILAR, &alike, &mut finds).await?;
            }
        }
    }
    if of_shop {
        keys(reader, typed, &mut finds).await?;
        if let Some(hash) = hash(typed) {
            by_hash(reader, &hash, &mut finds).await?;
        }
    }
    let ids: BTreeSet<String> = finds
        .found
        .iter()
        .filter_map(|one| match &one.thing {
            Thing::Aggregate { id, .. } => Some(id.clone()),
            _ => None,
        })
        .collect();
    finds.names = unless_unavailable(reader.namer().find(&ids).await)?.unwrap_or_default();
    Ok(finds)
}

/// The ids of the aggregates of these types that this text names, for a command line: an id stays as it is, any other
/// text is tried as a name of every kind.
pub async fn aggregates(reader: &Reader, kinds: &[&str], given: &str) -> Result<Vec<Uuid>, QueryError> {
    if let Ok(id) = Uuid::try_parse(given) {
        return Ok(vec![id]);
    }
    let finds = find(reader, given).await?;
    let of_kind = finds.found.iter().filter(|one| one.by != SIMILAR).filter_map(|one| match &one.thing {
        Thing::Aggregate { kind, id } if kinds.contains(&kind.as_str()) => Some(id),
        _ => None,
    });
    of_kind.map(|id| Uuid::try_parse(id).map_err(QueryError::internal)).collect()
}

/// The columns of read models that hold names: each with the name of its projection.
fn columns() -> Vec<(&'static str, NameColumn)> {
    let of = |projector: std::sync::Arc<dyn Projector>| {
        let name = projector.name();
        projector.names().iter().map(move |column| (name, *column))
    };
    let mut all: Vec<_> = soonshop_projections::all().into_iter().flat_map(of).collect();
    // Names that customers and clerks use come first.
    let place = |kind: &str| TYPES.iter().position(|known| *known == kind).unwrap_or(TYPES.len());
    all.sort_by_key(|(_, column)| {
        (["number", "sku", "name"].iter().position(|kind| *kind == column.kind), place(column.aggregate_type))
    });
    all
}

async fn by_names(reader: &Reader, typed: &str, finds: &mut Finds) -> Result<(), QueryError> {
    for id in unless_unavailable(by_place(reader, typed).await)?.unwrap_or_default() {
        finds.add("sku", Thing::Aggregate { kind: "stock".to_owned(), id });
    }
    for (projection, column) in columns() {
        let found = async {
            let source = Source::of(&reader.registry, projection, None).await?;
            by_name(&source, column, typed).await
        };
        for id in unless_unavailable(found.await)?.unwrap_or_default() {
            finds.add(column.kind, Thing::Aggregate { kind: column.aggregate_type.to_owned(), id });
        }
    }
    Ok(())
}

/// The things that rows of an export file call by this name.
async fn in_file(reader: &Reader, typed: &str, finds: &mut Finds) -> Result<(), QueryError> {
    let InFile { aggregates, by_sku, keys } = names_in_file::find(&reader.source().await?, typed).await?;
    let columns = columns();
    // What it is called by comes last: a product has a name beside its SKUs.
    let by = |kind: &str| {
        columns.iter().rfind(|(_, one)| one.aggregate_type == kind).map_or("name", |(_, one)| one.kind)
    };
    for (id, kind) in aggregates {
        finds.add(by(&kind), Thing::Aggregate { kind, id });
    }
    for (id, kind) in by_sku {
        finds.add("sku", Thing::Aggregate { kind, id });
    }
    for (actor, name) in keys {
        finds.add("key", Thing::Key { actor, name });
    }
    Ok(())
}

/// The stock with this name: its SKU and its location.
async fn by_place(reader: &Reader, typed: &str) -> Result<Vec<String>, QueryError> {
    let Some((sku, location)) = typed.split_once(BETWEEN.trim()) else { return Ok(Vec::new()) };
    let (sku, location) = (sku.trim(), location.trim());
    let source = Source::of(&reader.registry, "stock", None).await?;
    let sql =
        format!("SELECT id FROM @stock WHERE sku IN ($1, $2, $3) AND location = $4 ORDER BY id LIMIT {MOST}");
    let values: [String; 4] = [sku.to_owned(), sku.to_uppercase(), sku.to_lowercase(), location.to_owned()];
    let rows = source.plain(&sql, values.into_iter().map(Into::into).collect()).await?;
    rows.iter().map(|row| text(row, 0)).collect()
}

/// The ids of the aggregates with this name in a column.
async fn by_name(source: &Source, of: NameColumn, typed: &str) -> Result<Vec<String>, QueryError> {
    let NameColumn { table, id, column, is_text, .. } = of;
    // `lower` of SQLite only knows ASCII letters: other texts are compared here.
    let here = is_text && source.is_sqlite() && !typed.is_ascii();
    let spellings: BTreeSet<String> = [typed.to_owned(), typed.to_uppercase(), typed.to_lowercase()].into();
    let (what, values): (String, Vec<Value>) = match (is_text, here) {
        (true, true) => ("1 = 1".to_owned(), Vec::new()),
        (true, false) => (format!("lower({column}) = lower($1)"), vec![typed.into()]),
        (false, _) => {
            let what = format!("{column} IN ({})", places(1, spellings.len()));
            (what, spellings.into_iter().map(Into::into).collect())
        }
    };
    let limit = if here { String::new() } else { format!(" LIMIT {MOST}") };
    let sql = format!("SELECT DISTINCT {id}, {column} FROM @{table} WHERE {what} ORDER BY {id}{limit}");
    let mut ids = Vec::new();
    for row in source.plain(&sql, values).await? {
        let (id, name) = (text(&row, 0)?, text(&row, 1)?);
        if !here || name.to_lowercase() == typed.to_lowercase() {
            ids.push(id);
        }
    }
    ids.truncate(MOST);
    Ok(ids)
}

async fn is_position(reader: &Reader, position: i64) -> Result<bool, QueryError> {
    if reader.changes == ChangesFrom::Log {
        let rows = reader.log.read(position, 1).await?;
        return Ok(rows.first().is_some_and(|row| row.position == position));
    }
    let sql = "SELECT id FROM @audit WHERE position = $1";
    Ok(!reader.source().await?.plain(sql, vec![position.into()]).await?.is_empty())
}

async fn by_id(reader: &Reader, id: &str, finds: &mut Finds) -> Result<(), QueryError> {
    let source = reader.source().await?;
    let ask = async |sql: &str| source.plain(sql, vec![id.into()]).await;
    for row in
        ask("SELECT DISTINCT aggregate_type FROM @audit WHERE aggregate_id = $1 ORDER BY aggregate_type DESC")
            .await?
    {
        finds.add("id", Thing::Aggregate { kind: text(&row, 0)?, id: id.to_owned() });
    }
    for row in ask("SELECT position FROM @audit WHERE id = $1").await? {
        finds.add("id", Thing::Event(row.try_get_by_index(0).map_err(query_failed)?));
    }
    let is_known = async |column: &str| {
        let sql = format!("SELECT position FROM @audit WHERE {column} = $1 LIMIT 1");
        Ok::<_, QueryError>(!ask(&sql).await?.is_empty())
    };
    if is_known("command_id").await? {
        finds.add("id", Thing::Command(id.to_owned()));
    }
    if is_known("correlation_id").await? {
        finds.add("id", Thing::Correlation(id.to_owned()));
    }
    // The page of an aggregate leads to those about the same person.
    if finds.found.is_empty() && is_known("subject").await? {
        finds.add("id", Thing::Person(id.to_owned()));
    }
    Ok(())
}

/// The end of an id, as pages show one without a name: `…7fd56d43`. `is_unknown`: nothing else has this name, so that
/// the end may stand alone.
fn end_of_id(typed: &str, is_unknown: bool) -> Option<&str> {
    let end = match typed.strip_prefix("...") {
        Some(end) => end.trim(),
        None if is_unknown && typed.len() == SHORT => typed,
        None => return None,
    };
    let of_id = |byte: u8| byte.is_ascii_hexdigit() || byte == b'-';
    ((FEWEST..LENGTH).contains(&end.len()) && end.bytes().all(of_id)).then_some(end)
}

/// Aggregates and people by an end of their ids, as a pattern.
async fn by_end(
    reader: &Reader,
    by: &'static str,
    pattern: &str,
    finds: &mut Finds,
) -> Result<(), QueryError> {
    let source = reader.source().await?;
    let ask = async |sql: &str| source.plain(sql, vec![pattern.to_lowercase().into()]).await;
    // Ids stand in an index: it is read as a whole, and no row is.
    let ends = format!(
        "SELECT DISTINCT aggregate_id, aggregate_type FROM @audit WHERE aggregate_id LIKE $1 \
         ORDER BY aggregate_type, aggregate_id LIMIT {MOST}"
    );
    let mut ids = BTreeSet::new();
    for row in ask(&ends).await? {
        let (id, kind) = (text(&row, 0)?, text(&row, 1)?);
        ids.insert(id.clone());
        finds.add(by, Thing::Aggregate { kind, id });
    }
    let people =
        format!("SELECT DISTINCT subject FROM @audit WHERE subject LIKE $1 ORDER BY subject LIMIT {MOST}");
    for row in ask(&people).await? {
        let id = text(&row, 0)?;
        if !ids.contains(&id) {
            finds.add(by, Thing::Person(id));
        }
    }
    Ok(())
}

/// API keys by their id, by the part of a key that is shown, with or without `ssk_` before it, and by what they are for.
async fn keys(reader: &Reader, typed: &str, finds: &mut Finds) -> Result<(), QueryError> {
    let shown = typed.strip_prefix(KEY).unwrap_or(typed);
    let db = reader.registry.operations();
    let sql = format!(
        "SELECT id, role, name FROM @api_keys WHERE id = $1 OR prefix = $1 OR lower(name) = lower($2) ORDER BY id LIMIT {MOST}"
    );
    let statement = db.statement(&sql, [shown.to_lowercase().into(), typed.into()]);
    for row in db.connection.query_all(statement).await.map_err(query_failed)? {
        let (id, role, name) = (text(&row, 0)?, text(&row, 1)?, text(&row, 2)?);
        let kind = if role == "service" { ActorKind::Service } else { ActorKind::Staff };
        finds.add("key", Thing::Key { actor: format!("{}:{id}", kind.as_ref()), name });
    }
    Ok(())
}

/// The bytes of a hash in hexadecimal.
fn hash(typed: &str) -> Option<Vec<u8>> {
    let typed = typed.strip_prefix("sha256:").unwrap_or(typed);
    if typed.len() != 2 * HASH || !typed.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    (0..HASH).map(|at| u8::from_str_radix(&typed[2 * at..2 * at + 2], 16).ok()).collect()
}

/// The seal that has it as the hash over its events, or the event that has it in its seal.
async fn by_hash(reader: &Reader, hash: &[u8], finds: &mut Finds) -> Result<(), QueryError> {
    let seals = Seals::new(reader.log.db().beside("seals")?);
    let db = seals.db();
    let place = match db.backend() {
        DatabaseBackend::Postgres => "position($1 IN leaves)",
        _ => "instr(leaves, $1)",
    };
    let sql = format!(
        "SELECT number, first_position, last_position, CAST(CASE WHEN root = $1 THEN 1 ELSE 0 END AS BIGINT), CAST({place} AS BIGINT) FROM @seals \
         WHERE root = $1 OR {place} > 0 ORDER BY number LIMIT {MOST}"
    );
    let rows = db.connection.query_all(db.statement(&sql, [hash.to_vec().into()])).await;
    for row in rows.map_err(|error| QueryError::from(Error::from(error)))? {
        let read = || {
            Ok((
                row.try_get_by_index::<i64>(0)?,
                row.try_get_by_index::<i64>(1)?,
                row.try_get_by_index::<i64>(2)?,
                row.try_get_by_index::<i64>(3)? == 1,
                row.try_get_by_index::<i64>(4)?,
            ))
        };
        let (number, first, last, is_root, place) = read().map_err(query_failed)?;
        if is_root {
            finds.add("hash", Thing::Seal(number, (first, last)));
        }
        let (at, size) = (place - 1, i64::try_from(HASH).unwrap_or(i64::MAX));
        if at >= 0 && at % size == 0 {
            finds.add("hash", Thing::Event(first + at / size));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_as_pages_and_lines_print_it() {
        let id = "0199c05a-7cde-7000-8000-00000badcafe";
        for (typed, name) in [
            ("#5", "5"),
            ("５", "5"),
            (" R-2026/0001 ", "R-2026/0001"),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "4bf92f3577b34da6a3ce929d0e0e4736"),
            (&format!("order-{id}"), id),
            (&format!("订单-{id}"), id),
            (&format!("staff:{id}"), id),
            (id, id),
            ("# 5", "# 5"),
            ("MUG-01 · main", "MUG-01 · main"),
        ] {
            assert_eq!(as_name(typed), name, "{typed}");
        }
    }

    #[test]
    fn a_hash_has_64_digits() {
        let digits = "0f".repeat(32);
        assert_eq!(hash(&digits), Some(vec![15; 32]));
        assert_eq!(hash(&digits.to_uppercase()), Some(vec![15; 32]));
        assert_eq!(hash(&format!("sha256:{digits}")), Some(vec![15; 32]));
        for bad in ["", "0f", &"0g".repeat(32), &"é".repeat(32), &"+f".repeat(32), &format!("{digits}00")] {
            assert_eq!(hash(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_secret_of_a_key_is_cut_off_and_nothing_else() {
        for (typed, kept) in [
            ("ssk_5c73ca50_Zm9v_YmFy", "ssk_5c73ca50"),
            ("ssk_5c73ca50_", "ssk_5c73ca50"),
            ("ssk_5c73ca50", "ssk_5c73ca50"),
            ("5c73ca50", "5c73ca50"),
            ("a_b_c", "a_b_c"),
            ("ssk", "ssk"),
            ("", ""),
        ] {
            assert_eq!(without_secret(typed), kept, "{typed}");
        }
    }

    #[test]
    fn names_are_of_types_that_exist_and_numbers_come_first() {
        let columns = columns();
        for (projection, column) in &columns {
            assert!(TYPES.contains(&column.aggregate_type), "{projection}");
            assert!(["number", "sku", "name"].contains(&column.kind), "{projection}");
        }
        let kinds: Vec<_> = columns.iter().map(|(_, column)| (column.kind, column.aggregate_type)).collect();
        assert_eq!(kinds[..2], [("number", "order"), ("number", "credit_note")]);
    }

    #[test]
    fn no_name_is_a_personal_value() {
        for projector in soonshop_projections::all() {
            let personal = projector.personal();
            for name in projector.names() {
                let is_personal = |one: &soonshop_projections::PersonalColumns| {
                    one.table == name.table && one.columns.contains(&name.column)
                };
                assert!(!personal.iter().any(is_personal), "{}.{}", name.table, name.column);
            }
        }
    }
}
