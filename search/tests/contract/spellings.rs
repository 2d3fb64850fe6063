//! The contract of spellings, typos and mark-up: functions over any backend, each on an empty index.

use std::collections::BTreeMap;

use soonshop_search::{Change, Document, Price, Query, Search, Sort};

use crate::suite::{INDEX, apply, counts, document, found, ids, put, query};

fn described(id: &str, name: &str, description: &str, skus: &[&str]) -> Change {
    Change::Put(Document {
        description: description.to_owned(),
        skus: skus.iter().map(|sku| (*sku).to_owned()).collect(),
        ..document(id, 1, name)
    })
}

pub(crate) async fn a_word_is_found_with_and_without_separators(search: &dyn Search) {
    apply(
        search,
        &[
            described("a", "Red Bull 250 ml", "An energy drink", &["RB-1"]),
            described("b", "Redbull 250ml", "Another can", &["RB-2"]),
            described("c", "Wi-Fi Router", "Works with WLAN 802.11ac, 1.5 m cable", &["R-1"]),
            described("d", "WiFi-Router 6", "", &["R-2"]),
            described("e", "Access point", "Gives Wi Fi to the whole house", &["R-3"]),
            described("f", "Ladies T-Shirts", "Wash at 30 °C. Red is out", &["T-1"]),
            described("g", "Tee", "A tshirt of cotton; bull print", &["T-2"]),
            described("h", "Teacups", "Set of 6", &["C-1"]),
            described("i", "M & M's", "Sweets", &["S-1"]),
            described("j", "可口·可乐 330ml", "红 牛", &["K-1"]),
            described("k", "Zu\u{ad}cker\u{200b}dose", "", &["Z-1"]),
        ],
    )
    .await;
    for (typed, expected) in [
        ("redbull", &["b", "a"][..]),
        ("red bull", &["a", "b"]),
        ("red-bull", &["a", "b"]),
        ("RedBull", &["b", "a"]),
        ("250ml", &["b", "a"]),
        ("250 ml", &["a", "b"]),
        ("250-ML", &["a", "b"]),
        ("redbull 250ml", &["a", "b"]),
        ("red bull 250 ml", &["a", "b"]),
        ("wifi", &["d", "c", "e"]),
        ("wi-fi", &["c", "d", "e"]),
        ("Wi Fi", &["c", "d", "e"]),
        ("wifi router", &["c", "d"]),
        ("wifirouter", &["c", "d"]),
        ("wifi6", &[]),
        ("router6", &["d"]),
        ("15m", &[]),
        ("5m", &["c"]),
        ("tshirt", &["f", "g"]),
        ("t shirt", &["f", "g"]),
        ("t-shirts", &["f", "g"]),
        ("tea cup", &["h"]),
        ("tea-cups", &["h"]),
        ("mms", &["i"]),
        ("m&m's", &["i"]),
        ("可口可乐", &["j"]),
        ("可口 可乐", &["j"]),
        ("红牛", &["j"]),
        ("330 毫升", &[]),
        ("330 ml", &["j"]),
        ("zuckerdose", &["k"]),
        ("30c", &["f"]),
    ] {
        let mut page = found(search, typed).await;
        let mut expected: Vec<_> = expected.iter().map(|id| (*id).to_owned()).collect();
        // A single word comes first as it was typed; the others are all there.
        assert_eq!(page.first(), expected.first(), "{typed}");
        page.sort();
        expected.sort();
        assert_eq!(page, expected, "{typed}");
    }
    assert_eq!(found(search, "out bull").await, [""; 0], "words of two sentences or texts are not one");
    let page = search.search(INDEX, &query("redbull")).await.unwrap();
    let marked: Vec<_> = page.hits.iter().map(|hit| hit.highlights["name"].as_str()).collect();
    assert_eq!(marked, ["<mark>Redbull</mark> 250ml", "<mark>Red Bull</mark> 250 ml"]);
    for (typed, first) in
        [("redb", "Red Bull 250 ml"), ("red b", "Red Bull 250 ml"), ("wifi", "WiFi-Router 6")]
    {
        let names = search.suggest(INDEX, typed, 10).await.unwrap();
        assert!(names.len() == 2 && names.contains(&first.to_owned()), "{typed}: {names:?}");
    }
}

pub(crate) async fn a_part_number_is_found_without_its_signs_and_by_its_middle(search: &dyn Search) {
    apply(
        search,
        &[
            described("a", "Hinge", "Left", &["HLX-4400-BK", "HLX-4400-WH"]),
            described("b", "Hinge", "Right", &["HLX4401BK"]),
            described("c", "Adapter for HLX4400BK", "", &["AD.77/3"]),
            described("d", "Screw", "Fits HLX 4400 BK and others", &["85123A"]),
            described("e", "Nut", "", &["00 44 88"]),
        ],
    )
    .await;
    for (typed, expected) in [
        ("HLX-4400-BK", &["a", "c", "d"][..]),
        ("HLX4400BK", &["a", "c", "d"]),
        ("hlx 4400 bk", &["a", "c", "d"]),
        ("HLX4400 BK", &["a", "c", "d"]),
        ("HLX/4400.BK", &["a", "c", "d"]),
        ("4400", &["a", "c", "d"]),
        ("4400-WH", &["a"]),
        ("4400wh", &["a"]),
        ("hlx4401", &["b"]),
        ("4401", &["b"]),
        ("ad773", &["c"]),
        ("AD 77-3", &["c"]),
        ("00-44-88", &["e"]),
        ("4488", &["e"]),
        ("85123a", &["d"]),
        ("123A", &[]),
        ("40", &[]),
        ("hinge HLX4400BK", &["a"]),
    ] {
        let mut found = found(search, typed).await;
        assert_eq!(found.first().map(String::as_str), expected.first().copied(), "{typed}");
        found.sort();
        assert_eq!(found, expected, "{typed}");
    }
}

pub(crate) async fn typos_are_forgiven_only_where_nothing_is_found_as_typed(search: &dyn Search) {
    let row = |id: &str, name: &str, price: i64, kind: &str| {
        Change::Put(Document {
            prices: [Price { amount: price, currency: "GBP".to_owned() }].into(),
            facets: BTreeMap::from([("kind".to_owned(), vec![kind.to_owned()])]),
            ..document(id, 1, name)
        })
    };
    apply(
        search,
        &[
            row("a", "Candle", 900, "light"),
            row("b", "Handle", 100, "tool"),
            row("c", "Candles", 500, "light"),
            row("d", "Bundle", 50, "tool"),
            row("e", "Kettle", 700, "pot"),
        ],
    )
    .await;
    let by_price =
        |text: &str| Query { sort: Sort::PriceAscending, facets: vec!["kind".to_owned()], ..query(text) };
    let page = search.search(INDEX, &by_price("candle")).await.unwrap();
    assert!(!page.fuzzy);
    assert_eq!(page.total, 2, "neither a handle nor a bundle");
    assert_eq!(page.facets["kind"], counts(&[("light", 2)]));
    assert_eq!(ids(search, &by_price("candle")).await, ["c", "a"]);
    assert_eq!(ids(search, &query("candle")).await, ["a", "c"]);
    assert_eq!(page.hits[0].highlights["name"], "<mark>Candles</mark>");

    let page = search.search(INDEX, &by_price("candel")).await.unwrap();
    assert!(page.fuzzy, "the answer says so");
    assert_eq!((page.total, page.hits.len()), (2, 2));
    assert_eq!(page.facets["kind"], counts(&[("light", 2)]));
    assert_eq!(page.hits[0].highlights["name"], "<mark>Candles</mark>");

    let filters = BTreeMap::from([("kind".to_owned(), vec!["tool".to_owned()])]);
    let tools = Query { filters, ..by_price("candle") };
    let page = search.search(INDEX, &tools).await.unwrap();
    assert_eq!((page.total, page.fuzzy), (0, false), "a filter makes nothing a typo");
    assert_eq!(page.facets["kind"], counts(&[("light", 2), ("tool", 0)]), "what was chosen is listed");
    let page = search.search(INDEX, &by_price("")).await.unwrap();
    assert_eq!((page.total, page.fuzzy), (5, false));
    let page = search.search(INDEX, &by_price("xyzzyx")).await.unwrap();
    assert_eq!((page.total, page.fuzzy), (0, false));

    // The pages after the first are found like the first, also where the exact word came meanwhile.
    let mut first = Query { limit: 1, ..by_price("candel") };
    let page = search.search(INDEX, &first).await.unwrap();
    assert_eq!(page.hits[0].document.id, "c");
    apply(search, &[put("z", 1, "Candel")]).await;
    first.after = page.next;
    let page = search.search(INDEX, &first).await.unwrap();
    assert_eq!((page.hits[0].document.id.as_str(), page.fuzzy), ("a", true));
    assert_eq!(found(search, "candel").await, ["z"]);
}

pub(crate) async fn mark_up_is_neither_searched_nor_shown(search: &dyn Search) {
    let html = "<div class=\"strong\"><p>Soft &amp; <b>warm</b>:</p><ul><li>Red</li><li>Bull hide</li></ul>\
                <!-- secret --><style>p { color: blue }</style>caf&eacute;&nbsp;&#x676F; Zu<i>cker</i></div>";
    apply(
        search,
        &[
            described("a", "Salt &amp; Pepper", html, &["S-1"]),
            described("b", "Plain", "5 < 6 &lt;em&gt;twice&lt;/em&gt; escaped", &["S-2"]),
        ],
    )
    .await;
    for nothing in
        ["strong", "amp", "nbsp", "secret", "blue", "color", "class", "div", "li", "eacute", "em", "x676f"]
    {
        assert_eq!(found(search, nothing).await, [""; 0], "{nothing}");
    }
    for typed in ["soft warm", "café", "杯", "hide", "zucker", "salt pepper", "salt & pepper"] {
        assert_eq!(found(search, typed).await, ["a"], "{typed}");
    }
    assert_eq!(found(search, "redbull").await, [""; 0], "two lines of a list are not one word");
    assert_eq!(found(search, "twice escaped").await, ["b"]);
    let page = search.search(INDEX, &query("warm pepper")).await.unwrap();
    let hit = &page.hits[0];
    assert_eq!(hit.highlights["name"], "Salt &amp; <mark>Pepper</mark>");
    let shown = &hit.highlights["description"];
    assert!(shown.starts_with("Soft &amp; <mark>warm</mark>:\nRed\nBull hide\ncafé"), "{shown}");
    assert_eq!(hit.document.description, html, "the stored text stays as given");
    assert_eq!(hit.document.name, "Salt &amp; Pepper");
    let page = search.search(INDEX, &query("twice")).await.unwrap();
    assert_eq!(page.hits[0].highlights["description"], "5 &lt; 6 <mark>twice</mark> escaped");
    assert_eq!(search.suggest(INDEX, "salt p", 5).await.unwrap(), ["Salt & Pepper"]);
    assert_eq!(search.suggest(INDEX, "amp", 5).await.unwrap(), [""; 0]);
}
