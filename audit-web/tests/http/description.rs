//! The OpenAPI description of the audit trail.

use axum::http::Request;
use soonshop_audit_web::http;
use soonshop_service_kit::access::Role;
use uuid::Uuid;

use crate::shop::*;

#[tokio::test]
async fn the_description_has_every_path_and_every_reference() {
    let shop = Shop::open().await;
    let description = serde_json::to_value(http::openapi()).unwrap();
    let paths = description["paths"].as_object().unwrap();
    assert_eq!(paths.len(), 22);
    for (path, methods) in paths {
        let concrete = path
            .replace("{id}", &Uuid::nil().to_string())
            .replace("{type}", "order")
            .replace("{process}", "fulfilment")
            .replace("{instance}", "1")
            .replace("{slug}", "mugs");
        let (method, operation) = methods.as_object().unwrap().iter().next().unwrap();
        // One of them does not end while a client listens.
        if path != "/api/audit/stream" {
            let request = Request::builder().method(method.to_uppercase().as_str()).uri(&concrete);
            let got = shop.send(Some(Role::Support), request, &[], axum::body::Body::empty()).await;
            assert_ne!(got.json()["type"], "/problems/no-such-path", "{path}");
            assert_ne!(got.status, 405, "{path}");
        }
        assert!(operation["operationId"].is_string() && operation["responses"]["200"].is_object(), "{path}");
        assert_eq!(operation["tags"][0], http::CONTEXT, "{path}");
    }
    let text = description.to_string();
    for name in text.split("#/components/schemas/").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        assert!(description["components"]["schemas"][name].is_object(), "{name}");
    }
}

#[test]
fn no_schema_has_the_name_of_another_one_of_the_queries() {
    let of =
        |api: utoipa::openapi::OpenApi| serde_json::to_value(api).unwrap()["components"]["schemas"].clone();
    let (queries, audit) = (of(soonshop_query_api::http::openapi()), of(http::openapi()));
    for (name, schema) in audit.as_object().unwrap() {
        assert!(queries.get(name).is_none_or(|other| other == schema), "{name} is two schemas");
    }
}
