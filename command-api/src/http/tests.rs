//! The driver over a table of its own: kinds of rows that no context uses yet.
#![expect(clippy::unnecessary_wraps, reason = "all functions of the table have one signature")]

use std::path::Path;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use soonshop_domain::ids;
use soonshop_domain::product::{self, Product, Variant};
use soonshop_domain::text::Sku;
use soonshop_event_log::{Database, DatabaseLocation, KeyStore, MasterKeys};
use soonshop_event_store::{EventStore, KeyMaker};
use soonshop_migrations::Namespace;
use soonshop_service_kit::Problem;
use soonshop_service_kit::serve::stack;
use tower::ServiceExt as _;
use utoipa::ToSchema;
use uuid::Uuid;

use super::action::{Addressed, answers, begins, prepares, removes};
use super::body::Input;
use super::call::Call;
use super::endpoint::{Endpoint, endpoints};
use super::privileged::Privileged;
use super::row::Success::{Accepted, Answer, Created, Done, Removed};
use super::state::Commands;
use super::{driver, openapi};

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Named {
    name: String,
}

impl Input for Named {
    const PRIVILEGED: &'static [Privileged] = &[];
}

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Nothing {}

impl Input for Nothing {
    const PRIVILEGED: &'static [Privileged] = &[];
}

/// An answer of a shape of its own.
#[derive(Serialize, ToSchema)]
struct Shelf {
    id: Uuid,
    skus: Vec<String>,
}

/// Products as shelves: a second table over the aggregates that there are.
#[rustfmt::skip]
fn table() -> Vec<Endpoint> {
    endpoints! {
        POST   "/shelves"                         "product.create":      Shop, TheShop, Optional, Created("/shelves/{id}"),              "Put up"  => begins::<Product, _>(create);
        POST   "/shelves/{id}/goods/{sku}"        "product.add-variant": Shop, TheShop, Optional, Done,                                  "Add"     => prepares(add);
        POST   "/shelves/{id}/orders/{sku}"       "product.add-variant": Shop, TheShop, Optional, Accepted("/shelves/{id}/goods/{sku}"), "Order"   => prepares(add);
        POST   "/shelves/{id}/views/{sku}"        "product.add-variant": Shop, TheShop, Optional, Answer,                                "Show"    => answers::<Product, (Uuid, Sku), Nothing, Shelf>(|(id, sku), _| Ok(Addressed { id, command: added(sku) }), shelf);
        DELETE "/shelves/{id}/goods/{sku}/{line}" "product.delete":      Shop, TheShop, Optional, Removed,                               "Remove"  => removes(remove);
    }
}

fn create(_: Uuid, Named { name }: Named) -> Result<product::Command, Problem> {
    let details = product::Details { name, ..product::Details::default() };
    let first = Variant { sku: sku("FIRST"), price: None };
    Ok(product::Command::Create { details, variants: vec![first] })
}

fn added(sku: Sku) -> product::Command {
    product::Command::AddVariant { variant: Variant { sku, price: None } }
}

async fn add(call: Call, (id, sku): (Uuid, Sku), _: Nothing) -> Result<Response, Problem> {
    call.execute::<Product>(id, added(sku)).await
}

async fn remove(call: Call, (id, _, line): (Uuid, Sku, u32)) -> Result<Response, Problem> {
    if line > 7 {
        return Err(Problem::not_found("not-found", "there are seven lines"));
    }
    call.execute::<Product>(id, product::Command::Delete).await
}

fn shelf(id: Uuid, product: &Product) -> Shelf {
    let Product::Listed { variants, .. } = product else { return Shelf { id, skus: Vec::new() } };
    Shelf { id, skus: variants.iter().map(|variant| variant.sku.as_str().to_owned()).collect() }
}

fn sku(text: &str) -> Sku {
    Sku::try_new(text).unwrap()
}

async fn store(folder: &Path) -> EventStore {
    let database = Database::new(DatabaseLocation::Sqlite(folder.to_owned()));
    for namespace in [Namespace::Log, Namespace::Keys] {
        let connection = database.namespace(namespace.name()).unwrap().connection;
        soonshop_migrations::migrate(namespace, &connection).await.unwrap();
    }
    let file = folder.join("master.key");
    MasterKeys::create(&file).unwrap();
    let keys = KeyStore::new(database.namespace("keys").unwrap(), MasterKeys::read(&file).unwrap());
    let keys = KeyMaker::new(keys);
    keys.prepare(&database.namespace("log").unwrap()).await.unwrap();
    EventStore::open(&database, keys).unwrap()
}

struct Shop {
    _folder: tempfile::TempDir,
    store: EventStore,
    router: Router,
}

/// Status, headers and body.
type Got = (u16, HeaderMap, String);

impl Shop {
    async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path()).await;
        let router = stack(driver::router(Commands::new(store.clone(), None), table()));
        Self { _folder: folder, store, router }
    }

    async fn send(&self, method: &str, path: &str, key: &str, body: &str) -> Got {
        let request = Request::builder().method(method).uri(path).header("idempotency-key", key);
        let request = request.header("content-type", "application/json").header("if-match", "*");
        let response =
            self.router.clone().oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        (parts.status.as_u16(), parts.headers, String::from_utf8(bytes.to_vec()).unwrap())
    }

    async fn post(&self, path: &str) -> Got {
        self.send("POST", path, &key(), "{}").await
    }

    /// A new shelf, made in the store: `If-Match` cannot be sent for a thing that does not exist yet.
    async fn shelf(&self) -> Uuid {
        let id = ids::new();
        let context = soonshop_event_store::CommandContext::new(
            ids::new(),
            vec![7],
            soonshop_domain::Metadata::default(),
        );
        let command = create(id, Named { name: "Shelf".to_owned() }).unwrap();
        self.store.execute::<Product>(id, command, context).await.unwrap();
        id
    }
}

fn key() -> String {
    Uuid::new_v4().to_string()
}

fn header<'a>(got: &'a Got, name: &str) -> &'a str {
    got.1.get(name).map_or("", |value| value.to_str().unwrap())
}

fn problem(got: &Got) -> Value {
    serde_json::from_str(&got.2).unwrap()
}

#[tokio::test]
async fn a_path_may_have_several_parameters_of_different_types() {
    let shop = Shop::open().await;
    let id = shop.shelf().await;
    let got = shop.post(&format!("/shelves/{id}/goods/a%2Fb%20c")).await;
    assert_eq!((got.0, header(&got, "etag"), header(&got, "location")), (200, "\"2\"", ""), "{}", got.2);
    let (state, _) = shop.store.load::<Product>(id).await.unwrap();
    assert!(
        state.variant(&sku("A/B C")).is_some(),
        "both parameters arrived, decoded and in their normal form"
    );
    let got = shop.send("DELETE", &format!("/shelves/{id}/goods/x/7"), &key(), "").await;
    assert_eq!((got.0, header(&got, "etag"), &*got.2), (204, "\"3\"", ""));
}

#[tokio::test]
async fn a_parameter_that_cannot_be_read_is_an_invalid_id_that_names_it() {
    let shop = Shop::open().await;
    let id = shop.shelf().await;
    for (method, path, parameter) in [
        ("POST", "/shelves/7/goods/mug".to_owned(), "id"),
        ("POST", format!("/shelves/{id}/goods/%20"), "sku"),
        ("POST", format!("/shelves/{id}/goods/{}", "x".repeat(65)), "sku"),
        ("POST", "/shelves/secret/goods/%20".to_owned(), "id"),
        ("DELETE", format!("/shelves/{id}/goods/mug/secret"), "line"),
        ("DELETE", format!("/shelves/{id}/goods/mug/-1"), "line"),
        ("DELETE", format!("/shelves/{id}/goods/mug/4294967296"), "line"),
    ] {
        let got = shop.send(method, &path, &key(), if method == "POST" { "{}" } else { "" }).await;
        let message = problem(&got);
        assert_eq!((got.0, &message["type"]), (400, &json!("/problems/invalid-id")), "{path}");
        assert_eq!(message["parameter"], parameter, "{path}");
        assert!(
            message["detail"].as_str().unwrap().starts_with(&format!("the {parameter} in the path ")),
            "{message}"
        );
        assert!(!got.2.contains("secret"), "{}", got.2);
    }
    let got = shop.send("POST", &format!("/shelves/{id}/goods/%ff"), &key(), "{}").await;
    assert_eq!((got.0, &problem(&got)["type"]), (404, &json!("/problems/not-found")), "no text at all");
    assert_eq!(shop.store.load::<Product>(id).await.unwrap().1, 1, "nothing was done");
}

#[tokio::test]
async fn an_accepted_command_answers_with_a_location_also_when_repeated() {
    let shop = Shop::open().await;
    let (id, key) = (shop.shelf().await, key());
    let path = format!("/shelves/{id}/orders/a%2Fb");
    let first = shop.send("POST", &path, &key, "{}").await;
    assert_eq!((first.0, header(&first, "etag")), (202, "\"2\""), "{}", first.2);
    assert_eq!(header(&first, "location"), format!("/shelves/{id}/goods/a%2Fb"));
    assert_eq!(first.2, format!("{{\"id\":\"{id}\",\"version\":2,\"position\":2}}"));
    let again = shop.send("POST", &path, &key, "{}").await;
    assert_eq!((again.0, header(&again, "location"), &again.2), (202, header(&first, "location"), &first.2));
    assert_eq!(shop.store.load::<Product>(id).await.unwrap().1, 2, "it was done once");
}

#[tokio::test]
async fn an_answer_has_a_body_of_its_own_and_is_repeated_as_it_was() {
    let shop = Shop::open().await;
    let (id, key) = (shop.shelf().await, key());
    let path = format!("/shelves/{id}/views/mug");
    let first = shop.send("POST", &path, &key, "{}").await;
    assert_eq!((first.0, header(&first, "etag"), header(&first, "event-position")), (200, "\"2\"", "main:2"));
    assert_eq!(first.2, format!("{{\"id\":\"{id}\",\"skus\":[\"FIRST\",\"MUG\"]}}"));
    assert_eq!(shop.post(&format!("/shelves/{id}/goods/cup")).await.0, 200);
    let again = shop.send("POST", &path, &key, "{}").await;
    assert_eq!((again.0, &again.2, header(&again, "etag")), (200, &first.2, "\"2\""), "not as it is by now");
    // A refusal is a problem, as anywhere.
    let got = shop.post(&format!("/shelves/{}/views/mug", Uuid::new_v4())).await;
    assert_eq!((got.0, &problem(&got)["type"]), (404, &json!("/problems/product-not-found")));
}

#[test]
fn the_description_says_what_each_kind_of_success_answers() {
    let document = serde_json::to_value(openapi::describe(table())).unwrap();
    let operation = |path: &str, method: &str| document["paths"][path][method].clone();
    let schema = |operation: &Value, status: &str| {
        operation["responses"][status]["content"]["application/json"]["schema"]["$ref"].clone()
    };
    let created = operation("/shelves", "post");
    assert_eq!(schema(&created, "201"), "#/components/schemas/Done");
    assert!(created["responses"]["201"]["headers"]["Location"].is_object());
    let accepted = operation("/shelves/{id}/orders/{sku}", "post");
    assert_eq!(schema(&accepted, "202"), "#/components/schemas/Done");
    assert!(accepted["responses"]["202"]["headers"]["Location"].is_object());
    let answered = operation("/shelves/{id}/views/{sku}", "post");
    assert_eq!(schema(&answered, "200"), "#/components/schemas/Shelf");
    assert!(document["components"]["schemas"]["Shelf"]["properties"]["skus"].is_object());
    let removed = operation("/shelves/{id}/goods/{sku}/{line}", "delete");
    assert!(removed["responses"]["204"]["content"].is_null() && removed["requestBody"].is_null());
    let parameters = removed["parameters"].as_array().unwrap();
    let path: Vec<_> = parameters.iter().filter(|parameter| parameter["in"] == "path").collect();
    let message =
        |index: usize| (&path[index]["name"], &path[index]["schema"]["type"], &path[index]["required"]);
    assert_eq!(message(0), (&json!("id"), &json!("string"), &json!(true)));
    assert_eq!(path[0]["schema"]["format"], "uuid");
    assert_eq!(message(1), (&json!("sku"), &json!("string"), &json!(true)));
    assert_eq!(message(2), (&json!("line"), &json!("integer"), &json!(true)));
}
