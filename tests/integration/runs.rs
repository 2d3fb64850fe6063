//! The result of a comparison, from the tool to the page of its run.

use serde_json::{Value, json};

use crate::health::run;
use crate::replay::{code, lines, ran};
use crate::support::{Set, TestShop};
use crate::trail::{lived, ok};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_comparison_names_the_rows_that_differ_and_its_page_shows_them_in_words() {
    let shop = TestShop::start(Set::Embedded).await;
    let all = lived(&shop).await;
    let user = &all.iter().find(|(kind, _)| *kind == "user").unwrap().1;
    ok(ran(&shop.place, &["rebuild", "users"]).await);
    shop.settle().await;
    let page = async |run: &Value, lang: &str| {
        let answer = shop.client.look(&format!("/audit/runs/{run}?lang={lang}")).await.expect(200);
        String::from_utf8(answer.bytes).unwrap()
    };
    let verified = async |expected: i32| {
        let ran = ran(&shop.place, &["verify", "users", "--json"]).await;
        assert_eq!(code(&ran), expected, "{}", String::from_utf8_lossy(&ran.stderr));
        lines(&ran).pop().unwrap()
    };
    let equal = verified(0).await;
    assert_eq!(equal["different"], json!([]), "{equal}");
    assert!(page(&equal["run"], "en").await.contains("Generation 2 is equal to generation 1 at position"));

    run(&shop.shop, "rm_users_2", &format!("UPDATE @users SET country = 'Elsewhere' WHERE id = '{user}'"))
        .await;
    let differs = verified(3).await;
    let row = &differs["different"][0];
    assert_eq!(
        (&row["table"], &row["key"], &row["fields"], &row["only"]),
        (&json!("users"), &json!(user), &json!(["/country"]), &Value::Null),
        "{differs}"
    );
    let text = page(&differs["run"], "en").await;
    let event = format!("/audit/e/{}?lang=en", row["position"]);
    for message in ["Generation 2 differs from generation 1 at position", "1 row differs, of ", user, &event]
    {
        assert!(text.contains(message), "{message}: {text}");
    }
    assert!(page(&differs["run"], "zh-CN").await.contains("其中 1 行不同。"));

    run(&shop.shop, "rm_users_2", &format!("DELETE FROM @users WHERE id = '{user}'")).await;
    let differs = verified(3).await;
    assert_eq!(
        (&differs["different"][0]["only"], &differs["different"][0]["fields"]),
        (&json!("left"), &json!([]))
    );
    assert!(page(&differs["run"], "en").await.contains("only in v1"));
    shop.stop().await;
}
