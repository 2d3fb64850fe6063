//! Saved views: who renames and deletes them, and what their addresses answer then.

use sea_orm::ConnectionTrait as _;
use serde_json::{Value, json};
use soonshop_projections::operations::{self, Recorded};
use soonshop_service_kit::access::Role;

use crate::shop::*;

async fn save(shop: &Shop, role: Role, title: &str, query: &str) -> String {
    let saved = shop.post_as(Some(role), "/audit/views", &[("title", title), ("query", query)]).await;
    assert_eq!(saved.status, 303, "{}", saved.text);
    saved.header("location").to_owned()
}

async fn recorded(shop: &Shop, action: &str) -> Vec<Recorded> {
    operations::last_of(shop.registry.operations(), action, 10).await.unwrap()
}

fn slugs(views: &Value) -> Vec<&str> {
    views["items"].as_array().unwrap().iter().map(|one| one["slug"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_view_is_renamed_by_its_owner_and_its_old_addresses_lead_to_it() {
    let shop = Shop::open().await;
    save(&shop, Role::Support, "Mugs", "q=mug").await;
    save(&shop, Role::Support, "Cups", "q=cup").await;
    let rename = async |role, slug: &str, title: &str| {
        shop.post_as(Some(role), &format!("/api/audit/views/{slug}/renames"), &[("title", title)]).await
    };
    // Somebody else's, a name that is taken, none at all, and a view that is not there.
    assert_eq!(rename(Role::Auditor, "mugs", "Mine").await.refused(), (403, "not-your-view".into()));
    assert_eq!(rename(Role::Support, "mugs", "CUPS").await.refused(), (409, "view-taken".into()));
    assert_eq!(rename(Role::Support, "mugs", "!").await.refused(), (400, "invalid-query".into()));
    assert_eq!(rename(Role::Support, "none", "x").await.refused(), (404, "not-found".into()));
    assert_eq!(recorded(&shop, "rename-view").await.len(), 0);
    assert_eq!(shop.get("/audit/views/mugs").await.header("location"), "/audit/timeline?q=mug");

    assert_eq!(rename(Role::Support, "mugs", "All mugs").await.ok(), json!({ "slug": "all-mugs" }));
    // A role that may repair may rename the views of others, here on the page.
    let done =
        shop.post_as(Some(Role::Ops), "/audit/views/all-mugs/renames", &[("title", "今天的杯子")]).await;
    assert_eq!((done.status, done.header("location")), (303, "/audit/views?done=renamed"), "{}", done.text);
    for address in ["mugs", "all-mugs", "%E4%BB%8A%E5%A4%A9%E7%9A%84%E6%9D%AF%E5%AD%90"] {
        let got = shop.get(&format!("/audit/views/{address}")).await;
        assert_eq!((got.status, got.header("location")), (303, "/audit/timeline?q=mug"), "{address}");
    }
    let lines = recorded(&shop, "rename-view").await;
    assert_eq!(
        lines.iter().map(|line| (line.subject.as_str(), &line.detail)).collect::<Vec<_>>(),
        [("all-mugs", &json!({ "to": "今天的杯子" })), ("mugs", &json!({ "to": "all-mugs" }))]
    );
    // A new view under an old name has its address; the view that had it keeps its own.
    save(&shop, Role::Auditor, "Mugs", "q=tea").await;
    assert_eq!(shop.get("/audit/views/mugs").await.header("location"), "/audit/timeline?q=tea");
    let all = shop.get("/api/audit/views").await.ok();
    assert_eq!(slugs(&all), ["cups", "mugs", "今天的杯子"]);
    assert_eq!(
        (&all["items"][2]["title"], &all["items"][2]["query"]),
        (&json!("今天的杯子"), &json!("q=mug"))
    );
}

#[tokio::test]
async fn a_deleted_view_says_so_at_its_address_in_a_sentence() {
    let shop = Shop::open().await;
    save(&shop, Role::Support, "Mugs", "q=mug").await;
    let delete = async |role, slug: &str| {
        shop.post_as(Some(role), &format!("/api/audit/views/{slug}/deletions"), &[]).await
    };
    assert_eq!(delete(Role::Auditor, "mugs").await.refused(), (403, "not-your-view".into()));
    assert_eq!(delete(Role::Support, "none").await.refused(), (404, "not-found".into()));
    assert_eq!(shop.get("/audit/views/mugs").await.status, 303, "it is still there");
    shop.post_as(Some(Role::Support), "/audit/views/mugs/renames", &[("title", "Tea mugs")]).await;
    let done = shop.post_as(Some(Role::Support), "/audit/views/tea-mugs/deletions", &[]).await;
    assert_eq!((done.status, done.header("location")), (303, "/audit/views?done=deleted"), "{}", done.text);

    // Also at the name that it had before.
    for slug in ["mugs", "tea-mugs"] {
        for (lang, says, by) in
            [("en", "This view was deleted.", "Deleted by"), ("zh-CN", "该视图已被删除。", "删除者")]
        {
            let got = shop.get(&format!("/audit/views/{slug}?lang={lang}")).await;
            assert!(got.status == 410 && got.text.contains(says) && got.text.contains(by), "{}", got.text);
            assert!(got.text.contains("<time") && got.text.contains("href=\"/audit/views"), "{}", got.text);
        }
    }
    assert_eq!(delete(Role::Support, "tea-mugs").await.refused(), (410, "view-deleted".into()));
    let line = &recorded(&shop, "delete-view").await[0];
    assert_eq!((line.subject.as_str(), line.actor.starts_with("staff:")), ("tea-mugs", true));
    assert_eq!(slugs(&shop.get("/api/audit/views").await.ok()), Vec::<&str>::new());
    // The name is free again.
    save(&shop, Role::Auditor, "Tea mugs", "q=cup").await;
    assert_eq!(shop.get("/audit/views/tea-mugs").await.header("location"), "/audit/timeline?q=cup");
}

#[tokio::test]
async fn the_page_of_views_offers_changes_only_to_those_who_may_make_them() {
    let shop = Shop::open().await;
    assert!(shop.get("/audit/views?lang=en").await.text.contains("No view is saved yet."));
    save(&shop, Role::Support, "<Mugs>", "q=mug").await;
    for (role, may) in [(Role::Support, true), (Role::Auditor, false), (Role::Ops, true)] {
        let page = shop.get_as(role, "/audit/views?lang=en").await.text;
        assert!(page.contains("&lt;Mugs&gt;") && page.contains("href=\"/audit/views/mugs\""), "{page}");
        assert_eq!(page.contains("/audit/views/mugs/renames"), may, "{role}");
        assert_eq!(page.contains("/audit/views/mugs/deletions"), may, "{role}");
    }
    let page = shop.get("/audit/views?lang=zh-CN&done=deleted").await.text;
    assert!(page.contains("视图已删除。") && page.contains("role=\"status\""), "{page}");
    assert!(shop.get("/audit/timeline?lang=en").await.text.contains("Rename or delete views"));
    assert_eq!(shop.get_as(Role::Service, "/audit/views").await.status, 403);
}

#[tokio::test]
async fn every_view_is_listed_page_by_page_however_many_there_are() {
    let shop = Shop::open().await;
    let db = shop.registry.operations();
    let mut expected = Vec::new();
    for number in 0..230 {
        let slug = format!("view-{number:03}");
        let sql =
            "INSERT INTO @views (slug, title, query, actor, saved_at) VALUES ($1, $2, 'q=mug', 'staff:1', 0)";
        // Titles in another order than the names in addresses, and all alike at last.
        let title = if number < 200 { format!("View {}", 999 - number) } else { "View".to_owned() };
        db.connection.execute(db.statement(sql, [slug.as_str().into(), title.into()])).await.unwrap();
        expected.push(slug);
    }
    for (first, pages) in [("/api/audit/views", 2), ("/api/audit/views?limit=50", 5)] {
        let (mut all, mut count, mut path) = (Vec::new(), 0, first.to_owned());
        loop {
            let got = shop.get(&path).await;
            all.extend(slugs(&got.ok()).iter().map(|slug| (*slug).to_owned()));
            count += 1;
            let Some(link) = got.header("link").strip_prefix('<') else { break };
            link.strip_suffix(">; rel=\"next\"").unwrap().clone_into(&mut path);
        }
        assert_eq!((&all, count), (&expected, pages), "{first}");
    }
    // The page leads to the next one.
    let page = shop.get("/audit/views?lang=en").await.text;
    assert!(page.contains("/audit/views/view-199\"") && !page.contains("/audit/views/view-200\""), "{page}");
    let next = page.split("rel=\"next\" href=\"").nth(1).unwrap().split('"').next().unwrap();
    let page = shop.get(&next.replace("&amp;", "&")).await.text;
    assert!(page.contains("/audit/views/view-229\"") && !page.contains("rel=\"next\""), "{page}");
    assert_eq!(shop.get("/api/audit/views?after=%00").await.refused(), (400, "invalid-query".into()));
}
