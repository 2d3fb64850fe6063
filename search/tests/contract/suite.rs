//! The contract: functions over any backend, each on an empty index.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use soonshop_search::{
    Change, Document, Error, Price, Query, Search, Sort, attribute_facet, requested_facet,
};

pub(crate) const INDEX: &str = "rm_products_1";

pub(crate) fn document(id: &str, version: i64, name: &str) -> Document {
    Document {
        id: id.to_owned(),
        version,
        name: name.to_owned(),
        skus: Vec::new(),
        description: String::new(),
        facets: BTreeMap::new(),
        prices: BTreeSet::new(),
        created_at: 0,
    }
}

fn prices<const N: usize>(prices: [(i64, &str); N]) -> BTreeSet<Price> {
    prices.map(|(amount, currency)| Price { amount, currency: currency.to_owned() }).into()
}

fn pounds(amount: Option<i64>) -> BTreeSet<Price> {
    amount.map(|amount| Price { amount, currency: "GBP".to_owned() }).into_iter().collect()
}

pub(crate) fn put(id: &str, version: i64, name: &str) -> Change {
    Change::Put(document(id, version, name))
}

pub(crate) fn query(text: &str) -> Query {
    Query { text: text.to_owned(), limit: 100, ..Query::default() }
}

pub(crate) async fn apply(search: &dyn Search, changes: &[Change]) {
    assert_eq!(search.apply(INDEX, changes, "main:1").await.unwrap(), []);
    search.refresh(INDEX).await.unwrap();
}

pub(crate) async fn ids(search: &dyn Search, query: &Query) -> Vec<String> {
    let page = search.search(INDEX, query).await.unwrap();
    page.hits.into_iter().map(|hit| hit.document.id).collect()
}

/// The ids of the hits of a text, in order of relevance.
pub(crate) async fn found(search: &dyn Search, text: &str) -> Vec<String> {
    ids(search, &query(text)).await
}

/// The shop that most tests search.
async fn shop(search: &dyn Search) {
    let row =
        |id: &str, name: &str, description: &str, skus: &[&str], price, colour: &[&str], category: &str| {
            Change::Put(Document {
                description: description.to_owned(),
                skus: skus.iter().map(|sku| (*sku).to_owned()).collect(),
                prices: pounds(price),
                facets: BTreeMap::from([
                    ("colour".to_owned(), colour.iter().map(|colour| (*colour).to_owned()).collect()),
                    ("category".to_owned(), vec![category.to_owned()]),
                ]),
                created_at: i64::from(id.as_bytes()[0]),
                ..document(id, 1, name)
            })
        };
    let rows = [
        row(
            "a",
            "Scented Candles",
            "Vanilla, in a glass jar for the café",
            &["85123A"],
            Some(500),
            &["white"],
            "home",
        ),
        row(
            "b",
            "Red Dress",
            "A summer dress with necklace",
            &["DR-RED-1", "DR-RED-2"],
            Some(2999),
            &["red"],
            "clothes",
        ),
        row("c", "红色连衣裙", "夏天穿的长裙 cotton", &["LYQ-01"], Some(3999), &["red", "blue"], "clothes"),
        row("d", "咖啡杯 Coffee Mug", "北京大学纪念品", &["MUG-1"], Some(999), &["blue"], "home"),
        row("e", "Café Box", "Boxes for candle lovers, 5mm thick", &["BOX-9"], None, &["white"], "home"),
        row("f", "Women's Necklace", "Silver", &["NK-7"], Some(2999), &[], "jewellery"),
    ];
    apply(search, &rows).await;
}

pub(crate) async fn words_are_found_in_every_field(search: &dyn Search) {
    shop(search).await;
    assert_eq!(found(search, "").await, ["a", "b", "c", "d", "e", "f"]);
    assert_eq!(found(search, "vanilla").await, ["a"]);
    assert_eq!(found(search, "red summer").await, ["b"], "each word in any field");
    assert_eq!(found(search, "dress mug").await, [""; 0], "all words must be there");
    assert_eq!(found(search, "5mm").await, ["e"]);
    assert_eq!(found(search, "6mm").await, [""; 0]);
    assert_eq!(found(search, "the box for candles").await, ["e"], "words that every text has say nothing");
    assert_eq!(found(search, "coffee 咖啡杯").await, ["d"], "two scripts in one text");
    let page = search.search(INDEX, &Query { limit: 1, ..query("necklace") }).await.unwrap();
    assert_eq!((page.total, page.hits.len()), (2, 1), "the total is of all pages");
    let hit = &page.hits[0].document;
    assert_eq!(
        (hit.name.as_str(), &hit.prices, hit.skus[0].as_str()),
        ("Women's Necklace", &prices([(2999, "GBP")]), "NK-7")
    );
}

pub(crate) async fn typos_are_forgiven_in_words_and_not_in_skus(search: &dyn Search) {
    shop(search).await;
    for typo in ["vanila", "vanillla", "vanolla", "vainlla"] {
        assert_eq!(found(search, typo).await, ["a"], "{typo}");
    }
    assert_eq!(found(search, "vnla").await, [""; 0], "four letters, one typo");
    assert_eq!(found(search, "neckalse").await, ["f", "b"], "eight letters, two typos");
    assert_eq!(found(search, "candel").await, ["a", "e"], "a typo in a stem");
    assert_eq!(found(search, "rec").await, [""; 0], "none in three letters");
    assert_eq!(found(search, "85124A").await, [""; 0]);
    assert_eq!(found(search, "连衣服").await, [""; 0]);
}

pub(crate) async fn accents_case_and_endings_do_not_matter(search: &dyn Search) {
    shop(search).await;
    for text in ["cafe", "CAFÉ", "cafe\u{301}", "ｃａｆｅ"] {
        assert_eq!(found(search, text).await, ["e", "a"], "{text}");
    }
    for text in ["candle", "candles", "CANDLE'S"] {
        assert_eq!(found(search, text).await, ["a", "e"], "{text}");
    }
    assert_eq!(found(search, "box").await, ["e"]);
    assert_eq!(found(search, "boxes").await, ["e"]);
    for text in ["women", "womens", "women's", "women’s"] {
        assert_eq!(found(search, text).await, ["f"], "{text}");
    }
}

pub(crate) async fn chinese_is_found_by_its_words(search: &dyn Search) {
    shop(search).await;
    for (text, id) in [
        ("连衣裙", "c"),
        ("红色连衣裙", "c"),
        ("连衣裙红色", "c"),
        ("红色的连衣裙", "c"),
        ("夏天", "c"),
        ("咖啡杯", "d"),
        ("咖啡", "d"),
        ("北京大学", "d"),
        ("北京", "d"),
        ("杯", "d"),
        ("连衣裙 cotton", "c"),
        ("连衣裙coton", "c"),
    ] {
        assert_eq!(found(search, text).await, [id], "{text}");
    }
    assert_eq!(found(search, "茶杯").await, [""; 0]);
    assert_eq!(found(search, "上海大学").await, [""; 0]);
}

pub(crate) async fn a_sku_is_found_by_all_of_it_and_by_its_beginning(search: &dyn Search) {
    shop(search).await;
    apply(search, &[Change::Put(Document { skus: vec!["ab 77 x".into()], ..document("g", 1, "Odd") })]).await;
    for (text, expected) in [
        ("85123A", &["a"][..]),
        ("85123a", &["a"]),
        ("851", &["a"]),
        (" 85123A ", &["a"]),
        ("DR-RED-2", &["b"]),
        ("dr-red", &["b"]),
        ("ab 77 X", &["g"]),
        ("AB 77", &["g"]),
        ("123A", &[]),
        ("85", &[]),
    ] {
        assert_eq!(found(search, text).await, expected, "{text}");
    }
    assert_eq!(found(search, "dr-red-1 summer").await, ["b"], "a SKU beside a word");
}

pub(crate) async fn better_matches_come_first(search: &dyn Search) {
    apply(
        search,
        &[
            Change::Put(Document { description: "goes with a lamp".into(), ..document("1", 1, "Shade") }),
            put("2", 1, "Lamb"),
            put("3", 1, "Lamps"),
            put("4", 1, "Lamp"),
            Change::Put(Document { skus: vec!["lamp".into()], ..document("5", 1, "Light") }),
        ],
    )
    .await;
    assert_eq!(found(search, "lamp").await, ["5", "4", "3", "1"]);
    assert_eq!(found(search, "lapm").await, ["3", "4", "1"], "a name before a description");
}

fn filter(name: &str, values: &[&str]) -> (String, Vec<String>) {
    (name.to_owned(), values.iter().map(|value| (*value).to_owned()).collect())
}

pub(crate) fn counts(counts: &[(&str, u64)]) -> Vec<(String, u64)> {
    counts.iter().map(|(value, count)| ((*value).to_owned(), *count)).collect()
}

pub(crate) async fn facets_are_counted_without_their_own_filter(search: &dyn Search) {
    shop(search).await;
    let facets = vec!["colour".to_owned(), "category".to_owned(), "size".to_owned(), "colour".to_owned()];
    let all = Query { facets: facets.clone(), limit: 1, ..query("") };
    let page = search.search(INDEX, &all).await.unwrap();
    assert_eq!(page.facets["colour"], counts(&[("blue", 2), ("red", 2), ("white", 2)]));
    assert_eq!(page.facets["category"], counts(&[("home", 3), ("clothes", 2), ("jewellery", 1)]));
    assert_eq!(page.facets["size"], []);

    let red = Query { filters: [filter("colour", &["red"])].into(), ..all.clone() };
    let page = search.search(INDEX, &red).await.unwrap();
    assert_eq!(page.total, 2);
    assert_eq!(page.facets["colour"], counts(&[("blue", 2), ("red", 2), ("white", 2)]));
    assert_eq!(page.facets["category"], counts(&[("clothes", 2)]));

    let both = filter("colour", &["blue", "white"]);
    let both = Query { filters: [both, filter("category", &["home"])].into(), limit: 10, ..all.clone() };
    let page = search.search(INDEX, &both).await.unwrap();
    assert_eq!(ids(search, &both).await, ["a", "d", "e"]);
    assert_eq!(page.facets["colour"], counts(&[("white", 2), ("blue", 1)]));
    assert_eq!(page.facets["category"], counts(&[("home", 3), ("clothes", 1)]));

    let text = Query { text: "candel".into(), facets, price_to: Some(600), ..both.clone() };
    let page = search.search(INDEX, &text).await.unwrap();
    assert_eq!((page.total, page.facets["colour"].clone()), (1, counts(&[("white", 1), ("blue", 0)])));

    let none =
        Query { filters: [filter("colour", &["green"]), filter("size", &["XL"])].into(), ..all.clone() };
    let page = search.search(INDEX, &none).await.unwrap();
    assert_eq!((page.total, page.facets["colour"].clone()), (0, counts(&[("green", 0)])));
    let empty = Query { filters: [filter("colour", &[])].into(), ..all };
    assert_eq!(
        search.search(INDEX, &empty).await.unwrap().total,
        6,
        "a filter without values filters nothing"
    );

    let many: Vec<_> = (0..60)
        .map(|n| {
            let facets =
                BTreeMap::from([("tag".to_owned(), vec![format!("{n:02}"), "x".into(), "x".into()])]);
            Change::Put(Document { facets, ..document(&format!("m{n}"), 1, "Many") })
        })
        .collect();
    apply(search, &many).await;
    let tags = Query { facets: vec!["tag".into()], ..query("many") };
    let page = search.search(INDEX, &tags).await.unwrap();
    let tags = &page.facets["tag"];
    assert_eq!(
        (tags.len(), &tags[0], &tags[1], &tags[49]),
        (50, &("x".to_owned(), 60), &("00".to_owned(), 1), &("48".to_owned(), 1))
    );
    assert_eq!(page.more_values["tag"], 11, "how many are left out is said");
}

pub(crate) async fn the_values_that_a_filter_chose_are_always_listed(search: &dyn Search) {
    let row = |n: i64| {
        let brand = if n < 40 { n % 20 } else { n - 20 };
        let facets = BTreeMap::from([("brand".to_owned(), vec![format!("Brand {brand:02}")])]);
        Change::Put(Document { facets, ..document(&format!("b{n:02}"), 1, "Branded") })
    };
    apply(search, &(0..80).map(row).collect::<Vec<_>>()).await;
    let brands = Query { facets: vec!["brand".into()], ..query("") };
    let page = search.search(INDEX, &brands).await.unwrap();
    assert_eq!((page.facets["brand"].len(), page.more_values["brand"]), (50, 10));
    let chosen =
        Query { filters: [filter("brand", &["BRAND 59", "Brand 00", "none"])].into(), ..brands.clone() };
    let page = search.search(INDEX, &chosen).await.unwrap();
    assert_eq!(page.total, 3);
    assert_eq!((page.facets["brand"].len(), page.more_values["brand"]), (52, 9));
    assert_eq!(page.facets["brand"][0], ("Brand 00".to_owned(), 2));
    assert_eq!(page.facets["brand"][50..], counts(&[("Brand 59", 1), ("none", 0)]));
    for (limit, listed, more) in [(1, 1, 59), (60, 60, 0), (1_000_000, 60, 0), (0, 0, 60)] {
        let page = search.search(INDEX, &Query { facet_limit: Some(limit), ..brands.clone() }).await.unwrap();
        assert_eq!((page.facets["brand"].len(), page.more_values["brand"]), (listed, more), "{limit}");
    }
}

pub(crate) async fn values_that_look_the_same_are_one(search: &dyn Search) {
    let row = |id: &str, created_at, name: &str, value: &str| {
        let facets = BTreeMap::from([(name.to_owned(), vec![value.to_owned()])]);
        Change::Put(Document { facets, created_at, ..document(id, 1, "Thing") })
    };
    let rows = [
        row("a", 3, "colour", "red"),
        row("b", 1, "Colour", "Red"),
        row("c", 2, "colour", "ＲＥＤ"),
        row("d", 4, "colour", "Cafe\u{301}  blue"),
        row("e", 5, "COLOUR", "café Blue"),
        row("f", 6, "colour", "cafe blue"),
    ];
    apply(search, &rows[..3]).await;
    apply(search, &rows[3..]).await;
    let all = Query { facets: vec!["colour".into()], ..query("") };
    let page = search.search(INDEX, &all).await.unwrap();
    assert_eq!(
        page.facets["colour"],
        counts(&[("Red", 3), ("Cafe\u{301}  blue", 2), ("cafe blue", 1)]),
        "as the oldest writes it"
    );
    assert_eq!(page.more_values["colour"], 0);
    let red = Query { filters: [filter("COLOUR", &["rEd"])].into(), ..all.clone() };
    assert_eq!(ids(search, &red).await, ["a", "b", "c"]);
    let page = search.search(INDEX, &red).await.unwrap();
    assert_eq!(page.facets["colour"][0], ("Red".to_owned(), 3), "counted without its own filter");
    assert_eq!(page.facets["colour"].len(), 3);
    let one = Query { facet_limit: Some(1), ..all };
    assert_eq!(search.search(INDEX, &one).await.unwrap().more_values["colour"], 2);
}

pub(crate) async fn any_name_of_an_attribute_can_be_asked_for(search: &dyn Search) {
    let names = ["category", "Category", "attribute.category", "Size, EU", "a=b", "a_b", "s.*", "\"x\""];
    let row = |(n, name): (usize, &&str)| {
        let facets = BTreeMap::from([
            ("category".to_owned(), vec!["Mugs".to_owned()]),
            (attribute_facet(name), vec![format!("v{n}")]),
        ]);
        Change::Put(Document { facets, ..document(&n.to_string(), 1, "Thing") })
    };
    apply(search, &names.iter().enumerate().map(row).collect::<Vec<_>>()).await;
    let category = Query { filters: [filter("category", &["Mugs"])].into(), ..query("") };
    assert_eq!(ids(search, &category).await.len(), names.len(), "no attribute hides the category");
    let category = Query { filters: [filter("category", &["v0"])].into(), ..query("") };
    assert_eq!(ids(search, &category).await, [""; 0], "nor is one taken for it");
    for (n, name) in names.iter().enumerate() {
        let facet = requested_facet(&format!("attribute.{name}"));
        let value = format!("v{n}");
        let page =
            Query { filters: [filter(&facet, &[&value])].into(), facets: vec![facet.clone()], ..query("") };
        assert_eq!(ids(search, &page).await, [n.to_string()], "{name}");
        let page = search.search(INDEX, &page).await.unwrap();
        assert!(page.facets[&facet].contains(&(value, 1)), "{name}: {:?}", page.facets);
    }
}

pub(crate) async fn prices_and_currencies_filter(search: &dyn Search) {
    shop(search).await;
    let price = |from, to| Query { price_from: from, price_to: to, ..query("") };
    assert_eq!(ids(search, &price(Some(999), Some(2999))).await, ["b", "d", "f"], "both ends count");
    assert_eq!(ids(search, &price(None, Some(998))).await, ["a"]);
    assert_eq!(
        ids(search, &price(Some(0), None)).await,
        ["a", "b", "c", "d", "f"],
        "no price is in no range"
    );
    assert_eq!(ids(search, &price(Some(2), Some(1))).await, [""; 0]);
    let currency = |currency: &str| Query { currency: Some(currency.to_owned()), ..query("") };
    assert_eq!(ids(search, &currency("GBP")).await, ["a", "b", "c", "d", "f"]);
    assert_eq!(ids(search, &currency("EUR")).await, [""; 0]);
}

pub(crate) async fn a_product_is_found_and_sorted_by_any_of_its_prices_in_the_asked_currency(
    search: &dyn Search,
) {
    let row = |id: &str, prices| Change::Put(Document { prices, ..document(id, 1, "Zed") });
    let rows = [
        row("shirt", prices([(5000, "GBP"), (1000, "GBP")])),
        row("vase", prices([(1500, "GBP"), (1200, "JPY")])),
        row("fan", prices([(9000, "JPY"), (10, "JPY")])),
        row("free", prices([(0, "GBP")])),
        row("none", prices([])),
    ];
    apply(search, &rows[..2]).await;
    apply(search, &rows[2..]).await;
    let asked = |currency: Option<&str>, from, to, sort| Query {
        currency: currency.map(str::to_owned),
        price_from: from,
        price_to: to,
        sort,
        ..query("zed")
    };
    let (up, down) = (Sort::PriceAscending, Sort::PriceDescending);
    for (currency, from, to, sort, expected) in [
        (Some("GBP"), Some(4000), Some(6000), up, &["shirt"][..]),
        (Some("GBP"), Some(1400), Some(1600), up, &["vase"]),
        (Some("GBP"), Some(1001), Some(1499), up, &[]),
        (Some("JPY"), Some(1500), Some(1500), up, &[]),
        (Some("GBP"), None, Some(0), up, &["free"]),
        (Some("GBP"), None, None, up, &["free", "shirt", "vase"]),
        (Some("GBP"), None, None, down, &["vase", "shirt", "free"]),
        // By the price that was asked for, not by a lower one.
        (Some("GBP"), Some(1001), None, up, &["vase", "shirt"]),
        (Some("GBP"), Some(1001), None, down, &["shirt", "vase"]),
        (Some("JPY"), None, None, up, &["fan", "vase"]),
        (Some("JPY"), Some(11), None, up, &["vase", "fan"]),
        (Some("EUR"), None, None, up, &[]),
        (None, Some(1200), Some(1200), up, &["vase"]),
        (None, None, None, up, &["free", "fan", "shirt", "vase", "none"]),
        (None, None, None, down, &["vase", "shirt", "fan", "free", "none"]),
    ] {
        let query = asked(currency, from, to, sort);
        assert_eq!(ids(search, &query).await, expected, "{query:?}");
        // Page by page the same.
        let (mut seen, mut one) = (Vec::new(), Query { limit: 1, ..query.clone() });
        loop {
            let page = search.search(INDEX, &one).await.unwrap();
            assert_eq!(usize::try_from(page.total).unwrap(), expected.len());
            seen.extend(page.hits.into_iter().map(|hit| hit.document.id));
            one.after = page.next;
            if one.after.is_none() {
                break;
            }
        }
        assert_eq!(seen, expected, "{query:?}");
    }
    let shirt = search.search(INDEX, &asked(Some("GBP"), Some(4000), None, up)).await.unwrap();
    let query = asked(Some("GBP"), Some(4000), None, up);
    assert_eq!(query.lowest_price(&shirt.hits[0].document).map(|price| price.amount), Some(5000));
}

pub(crate) async fn every_sort_has_its_order(search: &dyn Search) {
    shop(search).await;
    for (sort, expected) in [
        (Sort::Relevance, ["a", "b", "c", "d", "e", "f"]),
        (Sort::NameAscending, ["e", "b", "a", "f", "d", "c"]),
        (Sort::NameDescending, ["c", "d", "f", "a", "b", "e"]),
        (Sort::PriceAscending, ["a", "d", "b", "f", "c", "e"]),
        (Sort::PriceDescending, ["c", "b", "f", "d", "a", "e"]),
        (Sort::NewestFirst, ["f", "e", "d", "c", "b", "a"]),
    ] {
        assert_eq!(ids(search, &Query { sort, ..query("") }).await, expected, "{sort:?}");
    }
    let extremes = [("x", i64::MAX), ("y", i64::MIN)].map(|(id, price)| {
        Change::Put(Document { prices: pounds(Some(price)), ..document(id, 1, "Extreme") })
    });
    apply(search, &extremes).await;
    apply(search, &[put("0", 1, "Extreme")]).await;
    let query = |sort| Query { sort, ..query("extreme") };
    assert_eq!(ids(search, &query(Sort::PriceAscending)).await[0], "y");
    assert_eq!(ids(search, &query(Sort::PriceDescending)).await[0], "x");
}

/// Written in several batches and partly twice, so that an index has several segments and deletions.
async fn many(search: &dyn Search) {
    const NAMES: [&str; 4] = ["Thing one", "thing ONE", "Other thing", "Zing"];
    let row = |n: i64| {
        Change::Put(Document {
            description: if n % 3 == 0 { "thing" } else { "a thingy thing" }.into(),
            prices: pounds((n % 7 != 0).then_some(n % 10)),
            facets: BTreeMap::from([("kind".to_owned(), vec![(n % 4).to_string()])]),
            created_at: n % 25,
            ..document(&format!("{:03}", n * 7 % 250), n, NAMES[usize::try_from(n % 4).unwrap()])
        })
    };
    let rows: Vec<_> = (0..250).map(row).collect();
    for batch in rows.chunks(90) {
        apply(search, batch).await;
    }
    apply(search, &rows[40..60]).await;
    apply(search, &[Change::Delete { id: "gone".into(), version: 1 }]).await;
}

/// The order of hits that are equally relevant.
fn order(a: &Document, b: &Document, sort: Sort) -> Ordering {
    let name = |document: &Document| document.name.to_lowercase();
    let price = |document: &Document| document.prices.first().map(|price| price.amount);
    let without_price_last = |a: Option<i64>, b: Option<i64>| a.is_none().cmp(&b.is_none());
    let first = match sort {
        Sort::Relevance => Ordering::Equal,
        Sort::NameAscending => name(a).cmp(&name(b)),
        Sort::NameDescending => name(b).cmp(&name(a)),
        Sort::PriceAscending => without_price_last(price(a), price(b)).then(price(a).cmp(&price(b))),
        Sort::PriceDescending => without_price_last(price(a), price(b)).then(price(b).cmp(&price(a))),
        Sort::NewestFirst => b.created_at.cmp(&a.created_at),
    };
    first.then_with(|| a.id.cmp(&b.id))
}

pub(crate) async fn pages_neither_skip_nor_repeat(search: &dyn Search) {
    many(search).await;
    let sorts = [
        Sort::Relevance,
        Sort::NameAscending,
        Sort::NameDescending,
        Sort::PriceAscending,
        Sort::PriceDescending,
        Sort::NewestFirst,
    ];
    for text in ["", "thing"] {
        for sort in sorts {
            let mut query = Query { sort, limit: 37, facets: vec!["kind".into()], ..query(text) };
            let mut seen = Vec::new();
            let mut facets = None;
            loop {
                let page = search.search(INDEX, &query).await.unwrap();
                assert_eq!(page.total, 250, "{sort:?}");
                assert_eq!(*facets.get_or_insert(page.facets.clone()), page.facets, "every page counts all");
                assert!(page.hits.len() == 37 || page.next.is_none());
                seen.extend(page.hits.into_iter().map(|hit| hit.document));
                query.after = page.next;
                if query.after.is_none() {
                    break;
                }
            }
            let distinct: BTreeSet<_> = seen.iter().map(|document| &document.id).collect();
            assert_eq!((seen.len(), distinct.len()), (250, 250), "{sort:?} of {text:?}");
            // A match in the name is more relevant than one only in the description.
            let groups = seen.chunk_by(|a, b| {
                sort != Sort::Relevance || text.is_empty() || (a.name == "Zing") == (b.name == "Zing")
            });
            let groups: Vec<_> = groups.collect();
            assert!(groups.len() <= 2, "{sort:?} of {text:?}");
            for group in groups {
                assert!(group.is_sorted_by(|a, b| order(a, b, sort).is_lt()), "{sort:?}: {group:?}");
            }
        }
    }
    let exact = Query { limit: 50, ..query("") };
    let mut pages = 0;
    let mut after = None;
    loop {
        let page = search.search(INDEX, &Query { after, ..exact.clone() }).await.unwrap();
        pages += 1;
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(pages, 5, "a last page that is full has no next");
    let foreign = Query { after: Some("bm9uc2Vuc2U".into()), ..exact };
    assert!(matches!(search.search(INDEX, &foreign).await, Err(Error::Cursor)));
}

pub(crate) async fn highlights_are_marked_and_escaped(search: &dyn Search) {
    shop(search).await;
    let description = "Not <b>this</b> & \"that\" candle";
    apply(
        search,
        &[Change::Put(Document { description: description.into(), ..document("x", 1, "<script>") })],
    )
    .await;
    let highlights = async |text: &str, id: &str| {
        let page = search.search(INDEX, &query(text)).await.unwrap();
        page.hits.into_iter().find(|hit| hit.document.id == id).unwrap().highlights
    };
    let found = highlights("candle", "x").await;
    assert_eq!(found["description"], "Not this &amp; &quot;that&quot; <mark>candle</mark>");
    assert!(!found.contains_key("name"));
    assert_eq!(highlights("candel", "a").await["name"], "Scented <mark>Candles</mark>");
    assert_eq!(highlights("cafe", "e").await["name"], "<mark>Café</mark> Box");
    assert_eq!(highlights("连衣裙", "c").await["name"], "红色<mark>连衣裙</mark>");
    assert_eq!(highlights("script", "x").await["name"], "&lt;<mark>script</mark>&gt;");
    assert!(highlights("", "x").await.is_empty());
}

pub(crate) async fn suggestions_begin_with_the_typed_text(search: &dyn Search) {
    shop(search).await;
    apply(
        search,
        &[put("g", 1, "red DRESS"), put("h", 1, "Dress Pin"), put("i", 1, "T-Shirt"), put("j", 1, "🙂")],
    )
    .await;
    let suggest = async |typed: &str| search.suggest(INDEX, typed, 10).await.unwrap();
    assert_eq!(suggest("dr").await, ["Dress Pin", "Red Dress"], "a first word first, equal names once");
    assert_eq!(suggest("RED d").await, ["Red Dress"]);
    assert_eq!(suggest("  cafe").await, ["Café Box"]);
    assert_eq!(suggest("CAFÉ b").await, ["Café Box"]);
    assert_eq!(suggest("t-sh").await, ["T-Shirt"]);
    assert_eq!(suggest("shi").await, ["T-Shirt"]);
    assert_eq!(suggest("连").await, ["红色连衣裙"]);
    assert_eq!(suggest("mu").await, ["咖啡杯 Coffee Mug"]);
    assert_eq!(suggest("ress").await, [""; 0], "not from the middle of a word");
    for nothing in ["", "   ", "\"", "*", "🙂", "\u{0}", &"x".repeat(10_000)] {
        assert_eq!(suggest(nothing).await, [""; 0], "{nothing:?}");
    }
    assert_eq!(search.suggest(INDEX, "dr", 1).await.unwrap(), ["Dress Pin"]);
    assert_eq!(search.suggest(INDEX, "dr", 0).await.unwrap(), [""; 0]);
    assert_eq!(search.suggest(INDEX, "dr", usize::MAX).await.unwrap().len(), 2);
    apply(search, &[Change::Delete { id: "h".into(), version: 2 }]).await;
    assert_eq!(suggest("dr").await, ["Red Dress"]);
}

async fn names(search: &dyn Search) -> Vec<String> {
    let page = search.search(INDEX, &query("")).await.unwrap();
    page.hits.into_iter().map(|hit| hit.document.name).collect()
}

pub(crate) async fn an_older_change_is_skipped(search: &dyn Search) {
    apply(search, &[put("a", 5, "New")]).await;
    apply(search, &[put("a", 4, "Old"), put("b", 4, "Beside it")]).await;
    assert_eq!(names(search).await, ["New", "Beside it"]);
    apply(search, &[put("a", 5, "New")]).await;
    assert_eq!(names(search).await, ["New", "Beside it"], "again is harmless");
    apply(search, &[put("a", 6, "Newer"), put("a", 7, "Newest"), put("a", 6, "Newer")]).await;
    assert_eq!(names(search).await, ["Newest", "Beside it"], "inside a batch too");
    assert_eq!(found(search, "newer").await, [""; 0], "nothing of the old one stays");
}

pub(crate) async fn a_deleted_document_stays_deleted(search: &dyn Search) {
    let delete = |version| Change::Delete { id: "a".into(), version };
    apply(search, &[put("a", 1, "Mug")]).await;
    apply(search, &[delete(3)]).await;
    apply(search, &[put("a", 2, "Mug"), put("b", 1, "Mug")]).await;
    apply(search, &[delete(3)]).await;
    assert_eq!(found(search, "mug").await, ["b"]);
    assert_eq!(found(search, "").await, ["b"]);
    assert_eq!(search.search(INDEX, &query("")).await.unwrap().total, 1);
    apply(search, &[delete(2), put("a", 4, "Mug")]).await;
    assert_eq!(found(search, "mug").await, ["a", "b"], "a newer one lives again");
    apply(search, &[Change::Delete { id: "never there".into(), version: 9 }, delete(3)]).await;
    apply(search, &[put("never there", 8, "Mug")]).await;
    assert_eq!(found(search, "mug").await, ["a", "b"]);
}

pub(crate) async fn the_checkpoint_moves_with_the_changes(search: &dyn Search) {
    assert_eq!(search.checkpoint(INDEX).await.unwrap(), None);
    search.apply(INDEX, &[put("a", 1, "Mug")], "{\"main\":1}").await.unwrap();
    assert_eq!(search.checkpoint(INDEX).await.unwrap().as_deref(), Some("{\"main\":1}"));
    search.apply(INDEX, &[], "main:2").await.unwrap();
    assert_eq!(search.checkpoint(INDEX).await.unwrap().as_deref(), Some("main:2"), "without a change too");
    search.refresh(INDEX).await.unwrap();
    assert_eq!(found(search, "").await, ["a"], "it is not found");
    search.create(INDEX).await.unwrap();
    assert_eq!(
        search.checkpoint(INDEX).await.unwrap().as_deref(),
        Some("main:2"),
        "making it again changes nothing"
    );
    search.ping().await.unwrap();
}

pub(crate) async fn a_missing_index_is_named(search: &dyn Search) {
    let missing = "rm_products_99";
    let is_missing = |error: Option<Error>| matches!(error, Some(Error::NoIndex(name)) if name == missing);
    assert_eq!(search.checkpoint(missing).await.unwrap(), None);
    assert!(is_missing(search.search(missing, &query("")).await.err()));
    assert!(is_missing(search.suggest(missing, "x", 5).await.err()));
    assert!(is_missing(search.refresh(missing).await.err()));
    assert!(is_missing(search.apply(missing, &[put("a", 1, "x")], "1").await.err()));
    assert!(is_missing(search.apply(missing, &[], "1").await.err()));
    assert_eq!(search.checkpoint(missing).await.unwrap(), None, "a refused change makes no index");
    search.remove(missing).await.unwrap();
    for bad in ["", "../up", "A", "a*", "a,b", "_all-", "a/b"] {
        assert!(matches!(search.create(bad).await, Err(Error::Refused { .. })), "{bad}");
    }

    apply(search, &[put("a", 1, "Mug")]).await;
    search.remove(INDEX).await.unwrap();
    assert_eq!(search.checkpoint(INDEX).await.unwrap(), None);
    search.create(INDEX).await.unwrap();
    assert_eq!(found(search, "").await, [""; 0], "a new one is empty");
}

pub(crate) async fn any_typed_text_is_accepted(search: &dyn Search) {
    shop(search).await;
    let long = ["x", "word ", "连衣裙", "\"", "🙂", "a-", "e\u{301}"].map(|part| part.repeat(10_000));
    let short = [
        "\"",
        "'",
        "\\",
        "\\\\\"",
        "red AND",
        "OR",
        "NOT red",
        "(",
        ")",
        "[a TO b]",
        "{",
        "name:red",
        "red~2",
        "red*",
        "?",
        "/",
        "/re.*/",
        "-red",
        "+red",
        "!",
        "^",
        "🙂",
        "👨‍👩‍👧",
        "\u{0}",
        "\u{1b}[0m",
        "\u{feff}",
        "\u{202e}abc",
        "\u{10ffff}",
        "%00",
        "<script>",
        "''; DROP TABLE",
        "\u{301}",
        "=",
        "ß",
        "İ",
        "ﷺ",
        "½",
        "٣",
        "ไทย",
        "한국어",
    ];
    for text in short.into_iter().chain(long.iter().map(String::as_str)) {
        for sort in [Sort::Relevance, Sort::NameAscending] {
            search.search(INDEX, &Query { sort, ..query(text) }).await.unwrap();
        }
        search.suggest(INDEX, text, 5).await.unwrap();
        let everywhere = Query {
            filters: [filter(text, &[text])].into(),
            facets: vec![text.to_owned()],
            currency: Some(text.chars().take(100).collect()),
            limit: usize::MAX,
            ..query("")
        };
        search.search(INDEX, &everywhere).await.unwrap();
    }
    assert_eq!(found(search, "\"red\" + (dress)").await, ["b"], "signs between words are nothing");
    assert_eq!(found(search, "red & dress").await, ["b"]);
    assert_eq!(found(search, "🙂").await, [""; 0]);
    assert_eq!(found(search, " \u{0}\t ").await.len(), 6, "nothing typed finds everything");
    assert_eq!(
        search.search(INDEX, &Query::default()).await.unwrap().hits.len(),
        1,
        "at least one on a page"
    );

    let hostile = Change::Put(Document {
        description: long.concat(),
        skus: short.iter().map(|sku| (*sku).to_owned()).collect(),
        facets: BTreeMap::from([(long[0].clone(), vec![long[1].clone(), "\u{0}".into(), String::new()])]),
        ..document("h", 1, &long.concat())
    });
    apply(search, &[hostile, put("i", 1, ""), put("j", 1, "\u{0}")]).await;
    assert_eq!(found(search, "name:red").await, ["h"], "a SKU of signs");
    assert_eq!(found(search, "连衣裙 word").await, ["h"]);
}

pub(crate) async fn values_may_contain_punctuation(search: &dyn Search) {
    let facets = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), vec![value.to_owned()])]);
    let row = |id: &str, name: &str, value: &str| {
        Change::Put(Document { facets: facets(name, value), ..document(id, 1, "Thing") })
    };
    let rows = [
        row("a", "size", "10\" = 25 cm"),
        row("b", "size", "中号"),
        row("c", "size.x", "1"),
        row("d", "sizes", "2"),
    ];
    apply(search, &rows).await;
    let all = Query { facets: vec!["size".into(), "size.x".into(), "s.*".into()], ..query("") };
    let page = search.search(INDEX, &all).await.unwrap();
    assert_eq!(page.facets["size"], counts(&[("10\" = 25 cm", 1), ("中号", 1)]));
    assert_eq!(page.facets["size.x"], counts(&[("1", 1)]));
    assert_eq!(page.facets["s.*"], []);
    let filtered = Query { filters: [filter("size", &["10\" = 25 cm"])].into(), ..all };
    assert_eq!(ids(search, &filtered).await, ["a"]);
}
