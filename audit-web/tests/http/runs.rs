//! The page of a run says its result in words and tables, in both languages.

use serde_json::{Value, json};
use soonshop_projections::runs::{NewRun, Runs, State};

use crate::shop::*;

/// Adds a run that has ended; returns its number.
async fn ended(shop: &Shop, verb: &'static str, state: State, result: &Value) -> i64 {
    let runs = Runs::new(shop.registry.operations().clone());
    let new =
        NewRun { verb, projection: "users", generation: Some(2), actor: "cli:operator", limit_rate: None };
    let run = runs.begin(&new).await.unwrap();
    runs.end(run, state, Some(result)).await.unwrap();
    run
}

/// The page without what is folded.
async fn page(shop: &Shop, run: i64, lang: &str) -> String {
    let text = shop.get(&format!("/audit/runs/{run}?lang={lang}")).await.text;
    let (open, folded) = text.split_once("<details><summary>").unwrap_or((&text, ""));
    let main = open.split_once("<main").map_or(open, |(_, main)| main);
    assert!(folded.contains("<pre"), "the whole result is behind a fold: {text}");
    assert!(!main.contains("&quot;") && !main.contains("{\""), "no JSON is shown: {main}");
    main.to_owned()
}

#[tokio::test]
async fn a_run_shows_its_result_in_words_and_tables() {
    let shop = Shop::open().await;
    let product = shop.product("Mug", &["mug"], None).await;
    shop.see("/api/audit/timeline").await.ok();
    let verified = |result: &str, more: Value| {
        let mut all = json!({
            "run": 1, "projection": "users", "result": result, "left": 1, "right": 2, "position": 4711, "rows": 30,
            "differences": 0, "fields": {}, "keys": [], "different": [], "index_differences": null, "parked": 0,
            "mode": "full", "ignored": [], "counts": { "users": [30, 30] }, "bytes": 1234, "seconds": 0.1,
        });
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    };
    let equal = ended(&shop, "verify", State::Done, &verified("equal", json!({}))).await;
    let text = page(&shop, equal, "en").await;
    for response in [
        "Comparison",
        "Generation 2 is equal to generation 1 at position 4711: 30 rows were compared.",
        "every row, value by value",
        "Rows in v1",
    ] {
        assert!(text.contains(response), "{response}: {text}");
    }
    let text = page(&shop, equal, "zh-CN").await;
    assert!(text.contains("第 2 世代与第 1 世代在位置 4711 相同：比较了 30 行。"), "{text}");

    let more = json!({
        "differences": 3, "fields": { "users/status": 1, "users": 1 }, "keys": [product.to_string(), "u-2"],
        "different": [
            { "table": "users", "key": product.to_string(), "only": null, "fields": ["/status"], "position": 1 },
            { "table": "users", "key": "u-2", "only": "left", "fields": [], "position": 7 },
        ],
        "index_differences": ["p-9"], "mode": "sample", "ignored": ["/updated_at"],
    });
    let different = ended(&shop, "verify", State::Found, &verified("different", more)).await;
    let text = page(&shop, different, "en").await;
    let link = format!(
        "<a href=\"/audit/a/product/{product}?lang=en\" title=\"{product}\">product <span translate=\"no\">Mug"
    );
    for response in [
        "Generation 2 differs from generation 1 at position 4711: 3 rows differ, of 30 rows that were compared.",
        "Only a sample of the rows was compared",
        &link,
        "only in v1",
        "href=\"/audit/e/7?lang=en\"",
        "One more row differs and is not named here.",
        "1 document differs from its row.",
        "/updated_at",
        "rows that only one generation has",
    ] {
        assert!(text.contains(response), "{response}: {text}");
    }
    let text = page(&shop, different, "zh-CN").await;
    for response in ["比较了 30 行，其中 3 行不同。", "仅存在于", "1 个文档与其数据行不同。"]
    {
        assert!(text.contains(response), "{response}: {text}");
    }

    // A result of an earlier release has the keys of the rows alone.
    let old = json!({ "result": "different", "left": 1, "right": 2, "position": 9, "rows": 1, "differences": 1, "keys": ["u-7"] });
    let old = ended(&shop, "verify", State::Found, &old).await;
    let text = page(&shop, old, "en").await;
    assert!(text.contains("1 row differs, of 1 row that was compared") && text.contains("u-7"), "{text}");
}

#[tokio::test]
async fn a_run_says_what_it_built_swapped_or_why_it_failed() {
    let shop = Shop::open().await;
    let rebuilt = json!({
        "result": "caught_up", "generation": 2, "position": 42, "folded": 40, "skipped": 2, "parked": 0, "warnings": 1,
        "seconds": 1.5, "events_per_second": 28, "paced": null, "kept_by": "projector-1",
    });
    let swapped = json!({ "result": "swap", "from": 1, "to": 2, "position": 42, "milliseconds": 12 });
    let back = json!({ "result": "rollback", "from": 2, "to": 1, "position": 43, "milliseconds": 12 });
    let failed = json!({ "code": 4, "retryable": false, "message": "generation 2 was not verified" });
    let away = json!({ "code": 69, "retryable": true, "message": "connection refused" });
    let all = [
        (
            "rebuild",
            State::Done,
            rebuilt,
            ["Generation 2 is built, up to position 42.", "第 2 世代已建成，到位置 42。"],
        ),
        (
            "swap",
            State::Done,
            swapped,
            [
                "Generation 2 is the active one, in place of generation 1, from position 42 on.",
                "自位置 42 起，现用世代由第 1 世代切换为第 2 世代。",
            ],
        ),
        (
            "rollback",
            State::Done,
            back,
            [
                "Generation 1 is the active one again, in place of generation 2, from position 43 on.",
                "自位置 43 起，现用世代由第 2 世代回退为第 1 世代。",
            ],
        ),
        ("swap", State::Refused, failed, ["Refused", "被拒绝"]),
        (
            "rebuild",
            State::Failed,
            away,
            ["The same command may succeed later.", "稍后再执行同一命令可能会成功。"],
        ),
    ];
    for (verb, state, result, response) in all {
        let run = ended(&shop, verb, state, &result).await;
        for (lang, response) in ["en", "zh-CN"].into_iter().zip(response) {
            let text = page(&shop, run, lang).await;
            assert!(text.contains(response), "{response}: {text}");
            if let Some(message) = result["message"].as_str() {
                assert!(text.contains(message), "{text}");
            }
        }
    }
}
