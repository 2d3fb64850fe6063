//! The scores of the judged queries on every backend; then search over 10,000 products with typos, facets and filters:
//! `cargo bench -p soonshop-search`, embedded; with `SEARCH_URL` on a server.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on should say where")]
#![expect(clippy::print_stdout, reason = "its table is for a person")]

#[path = "../tests/judged/scores.rs"]
mod scores;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use soonshop_search::{Change, Document, Price, Query, Search, Sort, connect};

const PRODUCTS: usize = 10_000;
const QUERIES: usize = 4_000;
const CALLERS: usize = 2;
const INDEX: &str = "bench_products";

/// The same numbers in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end
    }

    /// Low numbers are more frequent, like the words of a language.
    fn often_low(&mut self, end: usize) -> usize {
        let first = self.below(end);
        self.below(first + 1)
    }
}

fn vocabulary() -> Vec<String> {
    const PARTS: [&str; 24] = [
        "can", "dle", "lam", "mir", "ror", "cush", "ion", "bot", "tle", "gar", "den", "vel", "vet", "por",
        "cel", "ain", "bra", "cket", "sil", "ver", "wood", "en", "lant", "ern",
    ];
    let mut dice = Dice(1);
    (0..3_000).map(|_| (0..2 + dice.below(2)).map(|_| PARTS[dice.below(PARTS.len())]).collect()).collect()
}

fn product(n: usize, words: &[String], dice: &mut Dice) -> Change {
    let mut text = |many: usize| {
        (0..many).map(|_| words[dice.often_low(words.len())].as_str()).collect::<Vec<_>>().join(" ")
    };
    let (name, description) = (text(4), text(25));
    let mut value = |name: &str, many| (name.to_owned(), vec![format!("{name} {}", dice.often_low(many))]);
    let facets = BTreeMap::from([value("colour", 12), value("category", 40), value("brand", 300)]);
    Change::Put(Document {
        id: format!("0190{n:08}"),
        version: i64::try_from(n).unwrap() + 1,
        name,
        skus: vec![format!("SKU-{n}-A"), format!("SKU-{n}-B")],
        description,
        facets,
        prices: [Price { amount: i64::try_from(dice.below(10_000)).unwrap(), currency: "GBP".to_owned() }]
            .into(),
        created_at: i64::try_from(n).unwrap(),
    })
}

fn queries(words: &[String]) -> Vec<Query> {
    let mut dice = Dice(2);
    let mut one = |n: usize| {
        let mut text = words[dice.often_low(words.len())].clone();
        // Two letters swapped.
        let at = dice.below(text.len() - 2) + 1;
        let swapped: String = text[at - 1..=at].chars().rev().collect();
        text.replace_range(at - 1..=at, &swapped);
        if n.is_multiple_of(2) {
            text = format!("{text} {}", words[dice.often_low(words.len())]);
        }
        let mut filters = BTreeMap::new();
        if n.is_multiple_of(3) {
            filters.insert("colour".to_owned(), vec!["colour 0".to_owned(), "colour 1".to_owned()]);
        }
        let sort = if n.is_multiple_of(5) { Sort::PriceAscending } else { Sort::Relevance };
        let facets = ["colour", "category", "brand"].map(str::to_owned).to_vec();
        Query { text, filters, facets, sort, limit: 20, ..Query::default() }
    };
    (0..QUERIES).map(&mut one).collect()
}

async fn measure(name: &str, search: &Arc<dyn Search>, queries: &[Query]) {
    let (started, spent) = (Instant::now(), processor_time());
    let callers = (0..CALLERS).map(|caller| {
        let (search, queries) = (search.clone(), queries.iter().skip(caller).step_by(CALLERS).cloned());
        let queries: Vec<_> = queries.collect();
        tokio::spawn(async move {
            let (mut times, mut found) = (Vec::with_capacity(queries.len()), 0);
            for query in &queries {
                let started = Instant::now();
                found += search.search(INDEX, query).await.unwrap().total;
                times.push(started.elapsed());
            }
            (times, found)
        })
    });
    let (mut times, mut found) = (Vec::new(), 0);
    for caller in futures::future::join_all(callers).await {
        let (more, many) = caller.unwrap();
        times.extend(more);
        found += many;
    }
    let elapsed = started.elapsed();
    let spent = processor_time() - spent;
    times.sort();
    let at = |hundredth: usize| milliseconds(times[(times.len() - 1) * hundredth / 100]);
    println!(
        "{name:<32} {:>8.0} {:>8.2} {:>8.2} {:>8.2} {:>8.2} {:>12}",
        f64::from(u32::try_from(queries.len()).unwrap()) / elapsed.as_secs_f64(),
        at(50),
        at(99),
        at(100),
        spent * 1000.0 / f64::from(u32::try_from(queries.len()).unwrap()),
        found / queries.len() as u64,
    );
}

/// Processor seconds of this process, which say more than rates while other programs use the machine.
fn processor_time() -> f64 {
    let Ok(stat) = std::fs::read_to_string("/proc/self/stat") else { return 0.0 };
    // The fields after the name in brackets; in hundredths of a second.
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    fields[11..13].iter().map(|field| field.parse::<f64>().unwrap() / 100.0).sum()
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// The scores of the judged queries on this backend.
async fn judge(name: &str, url: &str) {
    let search = connect(url).unwrap();
    search.remove(INDEX).await.unwrap();
    search.create(INDEX).await.unwrap();
    search.apply(INDEX, &scores::goods(), "bench").await.unwrap();
    search.refresh(INDEX).await.unwrap();
    let mut all = Vec::new();
    for query in scores::queries() {
        all.push(query.score(&*search, INDEX).await);
    }
    search.remove(INDEX).await.unwrap();
    println!(
        "{name:<32} {:>8} {:>8.3} {:>9.3} {:>13.1} %",
        all.len(),
        scores::mean(&all, |score| score.ndcg),
        scores::mean(&all, |score| score.recall),
        100.0 * scores::mean(&all, |score| if score.hits.is_empty() { 1.0 } else { 0.0 }),
    );
}

/// Of every backend that is there.
async fn judge_all() {
    let folder = tempfile::tempdir().unwrap();
    println!(
        "{:<32} {:>8} {:>8} {:>9} {:>15}",
        "judged queries", "queries", "nDCG@10", "recall@10", "found nothing"
    );
    judge("tantivy", &format!("tantivy://{}", folder.path().display())).await;
    for (name, variable) in [("elasticsearch", "ELASTICSEARCH_URL"), ("opensearch", "OPENSEARCH_URL")] {
        match std::env::var(variable) {
            Ok(url) => judge(name, &format!("{url}?prefix=bench_{}_", std::process::id())).await,
            Err(_) => println!("{name:<32} not measured: {variable} is not set"),
        }
    }
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    judge_all().await;
    let folder = tempfile::tempdir().unwrap();
    let url = std::env::var("SEARCH_URL").unwrap_or(format!("tantivy://{}", folder.path().display()));
    let search = connect(&url).unwrap();
    search.remove(INDEX).await.unwrap();
    search.create(INDEX).await.unwrap();

    let words = vocabulary();
    let mut dice = Dice(3);
    let changes: Vec<_> = (0..PRODUCTS).map(|n| product(n, &words, &mut dice)).collect();
    let started = Instant::now();
    for batch in changes.chunks(1_000) {
        search.apply(INDEX, batch, "bench").await.unwrap();
    }
    search.refresh(INDEX).await.unwrap();
    let elapsed = started.elapsed();
    println!("backend {}, {PRODUCTS} products, {CALLERS} callers", search.backend());
    let rate = f64::from(u32::try_from(PRODUCTS).unwrap()) / elapsed.as_secs_f64();
    println!("indexed in batches of 1,000: {rate:.0} products/s");
    let live = &changes[..100];
    let started = Instant::now();
    for change in live {
        search.apply(INDEX, std::slice::from_ref(change), "bench").await.unwrap();
    }
    println!("one change, committed: {:.2} ms", milliseconds(started.elapsed()) / 100.0);
    search.refresh(INDEX).await.unwrap();

    let typed = queries(&words);
    println!(
        "{:<32} {:>8} {:>8} {:>8} {:>8} {:>12}",
        "", "per s", "p50 ms", "p99 ms", "max ms", "found each"
    );
    measure("(warm up)", &search, &typed[..200]).await;
    measure("a typo, 3 facets, filters, sorts", &search, &typed).await;
    let plain: Vec<_> = typed.iter().map(|query| Query { text: String::new(), ..query.clone() }).collect();
    measure("everything, 3 facets", &search, &plain).await;
    let words: Vec<_> =
        words.iter().map(|word| Query { text: word.clone(), limit: 20, ..Query::default() }).collect();
    measure("one word, no facets", &search, &words).await;
    search.remove(INDEX).await.unwrap();
}
