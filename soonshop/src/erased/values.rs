//! The strongest proof: compares every text of every store with the values of a person. A finding names its place,
//! never the value.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
// In any letter case and any composition, as addresses are compared.
use soonshop_domain::text::email_key as normal;
use soonshop_event_log::{DatabaseLocation, Db};
use soonshop_search::Query;

use super::report::{Report, count};
use super::stores::{Table, generations, projector_of, query, tables};
use crate::{Shop, migrate};

/// Shorter values would be found everywhere.
const LEAST: usize = 3;

/// Rows that are read at once.
const PAGE: usize = 1_000;

/// Bytes of a file that are read at once.
const BLOCK: usize = 1 << 20;

/// The values to look for.
pub(super) struct KnownValues {
    /// In normal form, and escaped as in JSON if that differs.
    values: BTreeSet<String>,
    /// The file that they were read from: it is not searched.
    file: PathBuf,
}

impl KnownValues {
    pub(super) fn read(file: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
        let mut values = BTreeSet::new();
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let value = normal(line);
            if value.chars().count() < LEAST {
                let line = number + 1;
                bail!("{}, line {line}: fewer than {LEAST} characters are found everywhere", file.display());
            }
            values.insert(serde_json::to_string(&value)?.trim_matches('"').to_owned());
            values.insert(value);
        }
        if values.is_empty() {
            bail!("{} has no value to look for", file.display());
        }
        Ok(Self { values, file: file.canonicalize()? })
    }

    fn is_in(&self, text: &str) -> bool {
        let text = normal(text);
        self.values.iter().any(|value| text.contains(value))
    }

    fn is_in_file(&self, file: &Path) -> std::io::Result<bool> {
        let longest = self.values.iter().map(String::len).max().unwrap_or(0);
        let mut open = std::fs::File::open(file)?;
        let (mut block, mut kept) = (vec![0; BLOCK], Vec::new());
        loop {
            let read = open.read(&mut block)?;
            if read == 0 {
                return Ok(false);
            }
            kept.extend_from_slice(&block[..read]);
            if self.is_in(&String::from_utf8_lossy(&kept)) {
                return Ok(true);
            }
            // A value may begin in this block and end in the next; other compositions of it are longer.
            kept.drain(..kept.len().saturating_sub(4 * longest));
        }
    }
}

/// Everywhere: tables, index, cache, files.
pub(super) async fn search(shop: &Shop, expected: &KnownValues, report: &mut Report) -> anyhow::Result<()> {
    for (namespace, database) in migrate::homes(shop) {
        search_tables(&database.namespace(namespace.name())?, expected, report).await?;
    }
    for namespace in generations(shop).await? {
        search_tables(&shop.read_database.namespace(&namespace)?, expected, report).await?;
        if projector_of(&namespace).is_some_and(|projector| projector.searchable()) {
            search_index(shop, &namespace, expected, report).await?;
            if shop.cache.shared() {
                search_cache(shop, &namespace, expected, report).await?;
            }
        }
    }
    if !shop.cache.shared() {
        let what = "the cache in the memory of each process that answers: it holds products";
        report.not_looked_at.push(what.to_owned());
    }
    close(shop).await?;
    search_files(shop, expected, report)
}

/// Closes every file of SQLite that was opened here: to read one beside it would take away the locks on it.
async fn close(shop: &Shop) -> anyhow::Result<()> {
    for (namespace, database) in migrate::homes(shop) {
        database.close(namespace.name()).await?;
    }
    for namespace in generations(shop).await? {
        shop.read_database.close(&namespace).await?;
    }
    Ok(())
}

impl Table {
    /// All columns as text, the key first; one page of rows, if the table has a key to page by.
    fn page(&self, db: &Db, first: bool) -> String {
        let texts = self.key.values().map(|(name, _)| name).chain(&self.columns);
        // SQLite casts the bytes of a blob to text; PostgreSQL writes them as hexadecimal. (Text in a blob is found by
        // the search of the files.)
        let text = |name: &String| match db.backend() {
            sea_orm::DatabaseBackend::Sqlite => {
                format!(
                    r#"CASE typeof("{name}") WHEN 'blob' THEN hex("{name}") ELSE CAST("{name}" AS TEXT) END"#
                )
            }
            _ => format!(r#"CAST("{name}" AS TEXT)"#),
        };
        let texts: Vec<String> = texts.map(text).collect();
        let mut sql = format!(r#"SELECT {} FROM @"{}""#, texts.join(", "), self.name);
        if self.key.is_empty() {
            return sql;
        }
        let names: Vec<String> = self.key.values().map(|(name, _)| format!(r#""{name}""#)).collect();
        let names = names.join(", ");
        if !first {
            let kinds = self.key.values().enumerate();
            let bounds: Vec<String> =
                kinds.map(|(index, (_, kind))| format!("CAST(${} AS {kind})", index + 1)).collect();
            sql = format!("{sql} WHERE ({names}) > ({})", bounds.join(", "));
        }
        format!("{sql} ORDER BY {names} LIMIT {PAGE}")
    }
}

async fn search_tables(db: &Db, expected: &KnownValues, report: &mut Report) -> anyhow::Result<()> {
    for table in tables(db).await? {
        let mut found: BTreeMap<&str, (u64, String)> = BTreeMap::new();
        let (mut seen, mut after) = (0, Vec::<String>::new());
        loop {
            let values = after.iter().map(|part| part.as_str().into());
            let rows = query(db, &table.page(db, after.is_empty()), values).await?;
            for row in &rows {
                let text = |index| row.try_get_by_index::<Option<String>>(index);
                after = (0..table.key.len())
                    .map(|index| text(index).map(Option::unwrap_or_default))
                    .collect::<Result<_, _>>()?;
                for (index, column) in table.columns.iter().enumerate() {
                    if text(table.key.len() + index)?.is_some_and(|text| expected.is_in(&text)) {
                        let (times, _) = found.entry(column).or_insert((0, after.join(" ")));
                        *times += 1;
                    }
                }
            }
            seen += rows.len();
            if table.key.is_empty() || rows.len() < PAGE {
                break;
            }
        }
        report.look(db.name(), &table.name, count(seen));
        for (column, (times, first)) in found {
            let place = format!("{}.{column}", table.name);
            report.find(db.name(), place, format!("one of the values, {times} times, first at {first}"));
        }
    }
    Ok(())
}

async fn search_index(
    shop: &Shop,
    index: &str,
    expected: &KnownValues,
    report: &mut Report,
) -> anyhow::Result<()> {
    if shop.search.checkpoint(index).await?.is_none() {
        report.look("search", index, 0);
        return Ok(());
    }
    shop.search.refresh(index).await?;
    let (mut seen, mut query) = (0, Query { limit: 100, ..Query::default() });
    loop {
        let page = shop.search.search(index, &query).await?;
        seen += page.hits.len();
        for hit in page.hits {
            if expected.is_in(&serde_json::to_string(&hit.document)?) {
                report.find("search", format!("{index}, document {}", hit.document.id), "one of the values");
            }
        }
        match page.next {
            Some(next) => query.after = Some(next),
            None => break,
        }
    }
    report.look("search", index, count(seen));
    Ok(())
}

/// An entry has the name of its row.
async fn search_cache(
    shop: &Shop,
    space: &str,
    expected: &KnownValues,
    report: &mut Report,
) -> anyhow::Result<()> {
    let db = shop.read_database.namespace(space)?;
    let mut seen = 0;
    for row in query(&db, "SELECT id FROM @products", []).await? {
        let key: String = row.try_get_by_index(0)?;
        let Some(entry) = shop.cache.get(space, &key).await? else { continue };
        seen += 1;
        if expected.is_in(&String::from_utf8_lossy(&entry.value)) {
            report.find("cache", format!("{space}, entry {key}"), "one of the values");
        }
    }
    report.look("cache", space, seen);
    Ok(())
}

/// The files of SQLite and of the embedded index, byte by byte: deleted values must not be readable either.
fn search_files(shop: &Shop, expected: &KnownValues, report: &mut Report) -> anyhow::Result<()> {
    let mut folders = BTreeSet::new();
    for database in [&shop.store_database, &shop.read_database, &shop.keys_database, &shop.erasures_database]
    {
        if let DatabaseLocation::Sqlite(folder) = database.location() {
            folders.insert(folder.canonicalize().with_context(|| folder.display().to_string())?);
        }
    }
    if let Some(folder) = shop.config.search.strip_prefix("tantivy://").map(Path::new)
        && folder.exists()
    {
        folders.insert(folder.canonicalize()?);
    }
    for folder in &folders {
        if folders.iter().any(|other| other != folder && folder.starts_with(other)) {
            continue;
        }
        let mut seen = 0;
        let mut next = vec![folder.clone()];
        while let Some(path) = next.pop() {
            if path.is_dir() {
                for entry in std::fs::read_dir(&path)? {
                    next.push(entry?.path());
                }
                continue;
            }
            if path == expected.file {
                continue;
            }
            // A file may be deleted during the search: a segment of an index, a write-ahead log.
            match expected.is_in_file(&path) {
                Ok(true) => report.find("files", path.display().to_string(), "one of the values"),
                Ok(false) => {}
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error).with_context(|| path.display().to_string()),
            }
            seen += 1;
        }
        report.look("files", &folder.display().to_string(), seen);
    }
    Ok(())
}
