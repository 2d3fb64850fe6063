//! The judged queries and their scores: read and run by the test and by the benchmark.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use soonshop_search::{Change, Document, Query, Search};

/// How many hits a person looks at.
const LOOKED_AT: usize = 10;

/// A typed text, and the SKUs of what is meant.
pub(crate) struct Judged {
    pub(crate) text: String,
    pub(crate) best: BTreeSet<String>,
    pub(crate) good: BTreeSet<String>,
}

/// The scores of a query.
pub(crate) struct Score {
    pub(crate) ndcg: f64,
    pub(crate) recall: f64,
    pub(crate) hits: Vec<String>,
}

fn data(path: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data")).join(path)
}

pub(crate) fn queries() -> Vec<Judged> {
    let mut rows = csv::Reader::from_path(data("search/queries.csv")).unwrap();
    let skus = |text: &str| text.split_whitespace().map(str::to_owned).collect();
    let judged = rows.records().map(|row| {
        let row = row.unwrap();
        Judged { text: row[0].to_owned(), best: skus(&row[1]), good: skus(&row[2]) }
    });
    judged.collect()
}

/// The real goods: each stock code with its first description, some with a Chinese name behind it.
pub(crate) fn goods() -> Vec<Change> {
    let mut chinese = csv::Reader::from_path(data("search/chinese.csv")).unwrap();
    let chinese: BTreeMap<String, String> =
        chinese.records().map(|row| row.unwrap()).map(|row| (row[0].to_owned(), row[1].to_owned())).collect();
    let file = std::fs::File::open(data("online-retail/2010-12_2011-06.csv.gz")).unwrap();
    let mut rows = csv::Reader::from_reader(flate2::read::GzDecoder::new(file));
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    for row in rows.byte_records() {
        let row = row.unwrap();
        let text = |column: usize| String::from_utf8_lossy(&row[column]).trim().to_owned();
        let name = text(2);
        if !name.is_empty() {
            names.entry(text(1).to_uppercase()).or_insert(name);
        }
    }
    let good = |(sku, name): (String, String)| {
        let name = chinese.get(&sku).map_or(name.clone(), |chinese| format!("{name} {chinese}"));
        Change::Put(Document {
            id: sku.clone(),
            version: 1,
            name,
            skus: vec![sku],
            description: String::new(),
            facets: BTreeMap::new(),
            prices: BTreeSet::new(),
            created_at: 0,
        })
    };
    names.into_iter().map(good).collect()
}

impl Judged {
    fn gain(&self, sku: &str) -> f64 {
        if self.best.contains(sku) {
            3.0
        } else if self.good.contains(sku) {
            1.0
        } else {
            0.0
        }
    }

    /// Runs the query.
    pub(crate) async fn score(&self, search: &dyn Search, index: &str) -> Score {
        let query = Query { text: self.text.clone(), limit: LOOKED_AT, ..Query::default() };
        let page = search.search(index, &query).await.unwrap();
        let hits: Vec<String> = page.hits.into_iter().map(|hit| hit.document.id).collect();
        let gained = discounted(hits.iter().map(|sku| self.gain(sku)));
        let ideal = self.best.iter().chain(&self.good).map(|sku| self.gain(sku)).take(LOOKED_AT);
        let found = hits.iter().filter(|sku| self.best.contains(*sku)).count();
        let findable = self.best.len().min(LOOKED_AT);
        let part = |found: usize, of: usize| {
            f64::from(u32::try_from(found).unwrap()) / f64::from(u32::try_from(of.max(1)).unwrap())
        };
        Score { ndcg: gained / discounted(ideal), recall: part(found, findable), hits }
    }
}

/// The later a hit comes, the less it counts.
fn discounted(gains: impl Iterator<Item = f64>) -> f64 {
    (2_u32..).zip(gains).map(|(place, gain)| gain / f64::from(place).log2()).sum()
}

/// The mean of a figure of all scores.
pub(crate) fn mean(scores: &[Score], figure: impl Fn(&Score) -> f64) -> f64 {
    scores.iter().map(figure).sum::<f64>() / f64::from(u32::try_from(scores.len().max(1)).unwrap())
}
