//! The judged queries, over the real goods of `tests/data`, on the embedded search. `make bench` prints their scores
//! on every backend.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

#[path = "judged/scores.rs"]
mod scores;

use std::collections::BTreeSet;

use soonshop_search::connect;

const INDEX: &str = "judged";

/// Below what the search reaches, so that only a collapse fails: the bench shows smaller changes.
const LEAST_NDCG: f64 = 0.88;
const LEAST_RECALL: f64 = 0.92;

#[tokio::test]
async fn each_judged_query_finds_the_intended_products() {
    let folder = tempfile::tempdir().unwrap();
    let search = connect(&format!("tantivy://{}", folder.path().display())).unwrap();
    search.create(INDEX).await.unwrap();
    let goods = scores::goods();
    assert_eq!(search.apply(INDEX, &goods, "1").await.unwrap(), []);

    let queries = scores::queries();
    let is_chinese = |text: &str| text.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c));
    let chinese = queries.iter().filter(|query| is_chinese(&query.text)).count();
    assert!(queries.len() >= 60 && chinese >= 20, "{} queries, {chinese} of them Chinese", queries.len());
    let skus: BTreeSet<&str> = goods.iter().map(soonshop_search::Change::id).collect();
    for query in &queries {
        for sku in query.best.iter().chain(&query.good) {
            assert!(skus.contains(&**sku), "{:?} means {sku}, which is no good of the shop", query.text);
        }
    }

    let (mut all, mut missed) = (Vec::new(), Vec::new());
    for query in &queries {
        let score = query.score(&*search, INDEX).await;
        if score.recall <= 0.0 {
            missed.push(format!("{:?} finds {:?}", query.text, score.hits));
        }
        all.push(score);
    }
    assert!(missed.is_empty(), "no best hit among the first ten:\n{}", missed.join("\n"));
    let (ndcg, recall) = (scores::mean(&all, |score| score.ndcg), scores::mean(&all, |score| score.recall));
    assert!(ndcg >= LEAST_NDCG && recall >= LEAST_RECALL, "nDCG@10 {ndcg:.3}, recall@10 {recall:.3}");
}
