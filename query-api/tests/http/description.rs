//! The OpenAPI description, and the pages of problems.

use std::collections::BTreeSet;
use std::path::Path;

use soonshop_query_api::http;
use soonshop_service_kit::serve::stack;
use url::form_urlencoded;
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

#[tokio::test]
async fn a_parameter_at_a_described_limit_is_accepted_and_one_beyond_it_refused() {
    let shop = Shop::open().await;
    let description = serde_json::to_value(http::openapi()).unwrap();
    let mut tried = 0;
    for (path, methods) in
        description["paths"].as_object().unwrap().iter().filter(|(path, _)| !path.contains('{'))
    {
        for parameter in methods["get"]["parameters"].as_array().unwrap() {
            if parameter["in"] != "query" {
                continue;
            }
            let (name, schema) = (parameter["name"].as_str().unwrap(), &parameter["schema"]);
            let (mut at, mut beyond) = (Vec::new(), Vec::new());
            if let Some(most) = schema["maxLength"].as_u64().map(|most| usize::try_from(most).unwrap()) {
                // Characters are counted, not bytes.
                let text = |length: usize| {
                    if most == 3 { "GBPX"[..length].to_owned() } else { "茶".repeat(length) }
                };
                at.push(text(most));
                beyond.extend([text(most + 1), String::new()]);
            }
            if let Some(least) = schema["minimum"].as_i64() {
                at.push(least.to_string());
                beyond.push((least - 1).to_string());
            }
            if let Some(most) = schema["maximum"].as_i64() {
                at.push(most.to_string());
                beyond.push((most + 1).to_string());
            }
            if schema["pattern"] == "^[a-z0-9-]{1,64}$" {
                at.push("a-1".repeat(21));
                beyond.extend(["a".repeat(65), "A".to_owned(), String::new()]);
            }
            tried += at.len();
            let sent = async |value: &str| {
                let value: String = form_urlencoded::byte_serialize(value.as_bytes()).collect();
                // A search completes what was typed.
                let typed = if path.ends_with("suggestions") && name != "q" { "&q=x" } else { "" };
                shop.get(&format!("{path}?{name}={value}{typed}")).await
            };
            for value in at {
                let got = sent(&value).await;
                assert_eq!(got.status, 200, "{path} {name}={value}: {}", got.text);
            }
            for value in beyond {
                assert_eq!(
                    sent(&value).await.refused(),
                    (400, "invalid-query".into()),
                    "{path} {name}={value}"
                );
            }
        }
    }
    assert!(tried > 40, "{tried}");
}

#[test]
fn every_problem_slug_has_a_page() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let known = ["user-deleted", "product-deleted", "invalid-query"];
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
