//! The OpenAPI description, and the pages of problems.

use std::collections::BTreeSet;
use std::path::Path;

use soonshop_query_api::http;
use soonshop_service_kit::serve::stack;
use uuid::Uuid;

use crate::shop::*;

#[tokio::test]
async fn only_served_contexts_have_endpoints() {
    let mut shop = Shop::open().await;
    let cache = shop.cache.clone();
    let mut queries = queries(&shop.database, shop.store.log().clone(), shop.search.clone(), cache);
    queries.contexts = BTreeSet::from(["order".to_owned()]);
    shop.router = stack(http::router(queries));
    assert_eq!(shop.get("/orders").await.status, 200);
    assert_eq!(shop.get("/credit-notes").await.status, 200);
    for path in ["/products", "/users", "/inventory", "/analytics/sales"] {
        assert_eq!(shop.get(path).await.refused(), (404, "no-such-path".into()), "{path}");
    }
}

#[tokio::test]
async fn the_description_has_every_path_and_every_reference() {
    let shop = Shop::open().await;
    let description = serde_json::to_value(http::openapi()).unwrap();
    assert_eq!(description["openapi"], "3.1.0");
    let paths = description["paths"].as_object().unwrap();
    // docs/api.md lists each of them.
    assert!(paths.len() >= 18, "{} paths", paths.len());
    for (path, methods) in paths {
        let concrete = path.replace("{id}", &Uuid::nil().to_string()).replace("{sku}", "NONE");
        let got = shop.get(&concrete).await;
        assert_ne!(got.json()["type"], "/problems/no-such-path", "{path}");
        let operation = methods.get("get").unwrap_or_else(|| &methods["post"]);
        assert!(operation["operationId"].is_string() && operation["responses"]["200"].is_object(), "{path}");
        let known = operation["parameters"].as_array().unwrap();
        assert!(known.iter().any(|parameter| parameter["name"] == "Event-Position"));
    }
    let text = description.to_string();
    for name in text.split("#/components/schemas/").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        assert!(description["components"]["schemas"][name].is_object(), "{name}");
    }
    let orders = description["paths"]["/orders"]["get"]["parameters"].as_array().unwrap();
    let status = orders.iter().find(|parameter| parameter["name"] == "status").unwrap();
    assert_eq!(status["schema"]["enum"][0], "placed");
}

#[test]
fn every_problem_slug_has_a_page() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let known = ["user-deleted", "product-deleted", "invalid-query", "too-many-look-ups", "too-many-notes"];
    let mut slugs = BTreeSet::from(known.map(str::to_owned));
    let sources = [
        "query-api/src",
        "audit/src",
        "audit-web/src",
        "projections/src",
        "event-log/src",
        "service-kit/src/endpoint",
    ];
    let mut places: Vec<_> = sources.iter().map(|source| root.join("..").join(source)).collect();
    while let Some(place) = places.pop() {
        if place.is_dir() {
            places.extend(std::fs::read_dir(place).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let source = std::fs::read_to_string(place).unwrap();
        let calls = ["Problem::", "QueryError::"];
        for call in calls.iter().flat_map(|call| source.split(call).skip(1)) {
            let Some((before, rest)) = call.split_once('"') else { continue };
            if before.chars().all(|c| c.is_ascii_lowercase() || "_(".contains(c) || c.is_whitespace()) {
                slugs.insert(rest.split('"').next().unwrap().to_owned());
            }
        }
    }
    slugs.retain(|slug| slug.contains('-') && !slug.contains(' '));
    assert!(slugs.contains("read-model-behind") && slugs.contains("cursor-expired"), "{slugs:?}");
    for slug in slugs {
        let page = root.join(format!("../docs/problems/{slug}.md"));
        let text = std::fs::read_to_string(&page).unwrap_or_else(|_| panic!("{} is missing", page.display()));
        assert!(text.contains(&format!("`{slug}`")), "{slug}");
    }
}
