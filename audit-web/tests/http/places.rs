//! A search without a result leaves the reader on the page, with a sentence, and the form as it was filled in.

use soonshop_domain::product::{Command, Product};

use crate::shop::*;

/// The page has the sentence in each language, and a field with this value that is marked as wrong.
async fn stays(shop: &Shop, path: &str, status: u16, field: &str, says: [&str; 2]) -> String {
    let mut pages = Vec::new();
    for (lang, says) in ["en", "zh-CN"].into_iter().zip(says) {
        let got = shop.see(&format!("{path}&lang={lang}")).await;
        assert_eq!(got.status, status, "{path}: {}", got.text);
        let alert = got.text.split("id=\"missed\"").nth(1).unwrap_or_default();
        assert!(alert.split("</p>").next().unwrap_or_default().contains(says), "{path}: {alert}");
        assert!(got.text.contains(field), "{path}: {}", got.text);
        pages.push(got.text);
    }
    pages.swap_remove(0)
}

#[tokio::test]
async fn a_version_that_is_not_found_leaves_the_reader_at_his() {
    let shop = Shop::open().await;
    let id = shop.product("Mug", &["mug"], None).await;
    for amount in [700, 900] {
        let price = Command::SetPrice { sku: sku("mug"), price: pounds(amount) };
        shop.command::<Product>(id, price).await;
    }
    let page = format!("/audit/a/product/{id}?here=2");
    let never = ["No version has this value.", "没有任何版本具有该值。"];
    let unread = ["This condition cannot be read", "无法识别该条件"];
    let not_yet = ["It did not exist yet at that moment.", "当时尚不存在。"];
    let no_moment = ["This moment cannot be read", "无法识别该时间"];
    for (asked, value, status, says) in [
        ("where=/status%3Dnowhere", "value=\"/status=nowhere\"", 404, never),
        ("where=status", "value=\"status\"", 400, unread),
        ("asof=2001-01-01", "value=\"2001-01-01\"", 404, not_yet),
        ("asof=soon", "value=\"soon\"", 400, no_moment),
    ] {
        let text = stays(&shop, &format!("{page}&{asked}"), status, value, says).await;
        assert!(text.contains("Version 2 / 3") && text.contains("This is still version 2."), "{text}");
        assert!(text.contains("aria-invalid=\"true\"") && text.contains("aria-describedby=\"missed\""));
        assert!(text.contains("name=\"here\" value=\"2\""), "the next search begins there, too");
    }
    // A version that was never shown is the last one.
    let last = shop.see(&format!("/audit/a/product/{id}?here=99&where=/a%3Db&lang=en")).await;
    assert!(last.status == 404 && last.text.contains("Version 3 / 3"), "{}", last.text);
    let ahead = shop.see(&format!("/audit/a/product/{id}?v=9&lang=en")).await;
    assert!(ahead.status == 404 && ahead.text.contains("There is no such version yet."), "{}", ahead.text);
    // A result is shown; a moment may be as a browser sends it.
    let found = shop.see(&format!("{page}&where=/name%3DMug")).await;
    assert!(found.status == 200 && !found.text.contains("id=\"missed\""), "{}", found.text);
    assert_eq!(shop.see(&format!("{page}&asof=2999-01-01T10:45")).await.status, 200);
    // Programs are refused as before, and nobody is there is still said so.
    assert_eq!(shop.see(&format!("/api/audit/a/product/{id}?asof=soon")).await.status, 400);
    assert_eq!(shop.see(&format!("/api/audit/a/product/{id}?here=2")).await.status, 400);
    assert_eq!(shop.see(&format!("{page}&v=1&where=/a%3Db")).await.status, 400, "two ways at once");
    assert_eq!(
        shop.see(&format!("/audit/a/product/{}?asof=2001-01-01", uuid::Uuid::nil())).await.status,
        404
    );
}

/// What an address says about the look of a page and the page does not know is passed over, on every page alike.
#[tokio::test]
async fn an_unknown_or_old_parameter_of_the_look_leaves_the_page_as_it_is_and_says_so() {
    let shop = Shop::open().await;
    let id = shop.product("Mug", &["mug"], None).await;
    let price = Command::SetPrice { sku: sku("mug"), price: pounds(700) };
    shop.command::<Product>(id, price).await;
    shop.see("/api/audit/timeline").await.ok();
    let correlation = uuid::Uuid::nil();
    let aggregate = format!("/audit/a/product/{id}");
    let unknown_name = ["The address has a parameter", "不适用于此页面，已忽略。"];
    let unknown_value = ["a value that this page does not know", "此页面不认识，已按默认显示。"];
    let told = async |address: &str, status: u16, says: [&str; 2]| {
        for (lang, says) in ["en", "zh-CN"].into_iter().zip(says) {
            let got = shop.see(&format!("{address}&lang={lang}")).await;
            assert_eq!(got.status, status, "{address}: {}", got.text);
            let line = got.text.split("class=\"missed\"").nth(1).unwrap_or_default();
            assert!(line.split("</p>").next().unwrap().contains(says), "{address}: {}", got.text);
            let passed_over = address.split('?').nth(1).unwrap();
            assert!(!got.text.contains(&format!("{passed_over}&")), "no link repeats it: {}", got.text);
        }
    };
    for page in [
        "/audit",
        &aggregate,
        "/audit/projections",
        "/audit/projections/users",
        "/audit/parked",
        "/audit/integrity",
        "/audit/views",
        "/audit/keys",
        "/audit/sign-in",
    ] {
        told(&format!("{page}?tab=state"), 200, unknown_name).await;
        for value in ["theme=blue", "density=huge", "tz=Mars"] {
            told(&format!("{page}?{value}"), 200, unknown_value).await;
        }
    }
    for value in ["theme=blue", "order=up", "group=yes", "limit=many", "limit=0"] {
        told(&format!("/audit/timeline?{value}"), 200, unknown_value).await;
    }
    for value in ["theme=blue", "limit=many"] {
        told(&format!("/audit/operations?{value}"), 200, unknown_value).await;
        told(&format!("/audit/processes?{value}"), 200, unknown_value).await;
    }
    for value in ["before=x", "parts_after=&before=0"] {
        told(&format!("{aggregate}?{value}"), 200, unknown_value).await;
    }
    for value in ["v=x", "v=0", "cmp=-1"] {
        told(&format!("{aggregate}?{value}"), 400, unknown_value).await;
    }
    // A page that filters shows nothing rather than something else, and programs are told.
    for address in [
        "/audit/timeline?tab=state",
        "/audit/timeline?before=x",
        "/audit/timeline?sort=email",
        "/audit/operations?tab=state",
        "/audit/operations?before=x",
        "/audit/processes?state=new",
        "/api/audit/timeline?order=up",
        "/api/audit/timeline?limit=many",
        &format!("/api/audit/a/product/{id}?tab=state"),
        &format!("/api/audit/a/product/{id}?v=x"),
        &format!("/api/audit/c/{correlation}?view=list"),
    ] {
        let got = shop.see(address).await;
        assert_eq!(got.status, 400, "{address}: {}", got.text);
    }
    // What is revealed is what was asked for.
    let reveal = [("reason", "ticket 4711")];
    let path = format!("{aggregate}?v=x");
    assert_eq!(
        shop.post_as(Some(soonshop_service_kit::access::Role::Auditor), &path, &reveal).await.status,
        400
    );
}

#[tokio::test]
async fn a_moment_without_events_leaves_the_list_as_it_was() {
    let shop = Shop::open().await;
    for name in ["a", "b", "c"] {
        shop.user(name, "UK").await;
    }
    let page = "/audit/timeline?limit=1&before=3";
    let early = ["Nothing was recorded by then.", "当时及之前没有记录。"];
    let text =
        stays(&shop, &format!("{page}&at=2001-01-01T09:41"), 404, "value=\"2001-01-01T09:41\"", early).await;
    assert!(text.contains("data-position=\"2\"") && !text.contains("data-position=\"3\""), "{text}");
    assert!(text.contains("name=\"before\" value=\"3\""), "the next try begins on this page, too");
    let wrong = ["This moment cannot be read", "无法识别该时间"];
    stays(&shop, &format!("{page}&at=soon"), 400, "value=\"soon\"", wrong).await;
    let late = ["Nothing was recorded after that.", "此后没有记录。"];
    stays(&shop, "/audit/timeline?order=asc&at=2999-01-01T09:41", 404, "value=\"2999-01-01T09:41\"", late)
        .await;
}

#[tokio::test]
async fn a_jump_to_nothing_keeps_what_was_typed_and_leads_back() {
    let shop = Shop::open().await;
    let user = shop.user("Ada", "UK").await;
    shop.see("/api/audit/timeline").await;
    let nobody = uuid::Uuid::nil().to_string();
    for typed in ["99", "99999999999999999999", nobody.as_str(), "weathercock", "a: b"] {
        let query: String = url::form_urlencoded::byte_serialize(typed.as_bytes()).collect();
        let says = ["Nothing has this id, number or text.", "没有任何内容具有该编号、单号或文字。"];
        stays(
            &shop,
            &format!("/audit/jump?id={query}"),
            404,
            &format!("name=\"id\" value=\"{typed}\""),
            says,
        )
        .await;
    }
    for (from, back) in [
        (format!("http://localhost/audit/a/user/{user}?v=1"), true),
        ("http://localhost/audit/look-up".to_owned(), false),
        ("http://localhost/orders".to_owned(), false),
        ("nowhere".to_owned(), false),
    ] {
        let page = shop.get_with("/audit/jump?id=99&lang=en", &[("referer", &from)]).await.text;
        assert_eq!(page.contains("Back to the page before"), back, "{from}");
        assert_eq!(page.contains(&format!("href=\"/audit/a/user/{user}?v=1\"")), back, "{from}");
    }
}
