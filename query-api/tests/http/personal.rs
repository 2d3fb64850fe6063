//! The roles that see a personal value in an answer, and the record of each look.

use serde_json::{Value, json};
use soonshop_domain::ids;
use soonshop_domain::order::{self, Contact, Order, Placement};
use soonshop_domain::user::{self, User};
use soonshop_projections::operations::{self, Recorded};
use soonshop_query_api::http;
use soonshop_service_kit::access::Role;
use uuid::Uuid;

use crate::shop::*;

const NAME: &str = "Zebedee Quux";
const EMAIL: &str = "zebedee@quux.example";
const PHONE: &str = "+44 7700 900123";
const ADDRESS: &str = "7 Hidden Mews";

/// The marker of a hidden value.
fn masked() -> Value {
    json!({ "personal": "masked" })
}

/// A user with an order.
async fn filled(shop: &Shop) -> (Uuid, Uuid) {
    let (person, order) = (ids::new(), ids::new());
    let details = user::Details::try_new(person, Some(NAME), Some(EMAIL), Some(PHONE), Some("UK")).unwrap();
    shop.command::<User>(person, user::Command::Register { details }).await;
    let contact = Contact::try_new(person, Some(NAME), Some(EMAIL), Some(PHONE), Some(ADDRESS)).unwrap();
    let placement = Placement {
        number: "A1".to_owned(),
        customer: user_id(person),
        lines: vec![line(1, "mug", 1, 500)],
        country: "UK".to_owned(),
        contact,
    };
    shop.command::<Order>(order, order::Command::Place(placement)).await;
    (person, order)
}

async fn looks(shop: &Shop) -> Vec<Recorded> {
    operations::last_of(shop.registry.operations(), "read-personal", 100).await.unwrap()
}

#[tokio::test]
async fn a_role_sees_of_one_person_what_the_table_says() {
    let shop = Shop::open().await;
    let (person, order) = filled(&shop).await;
    let (of_user, of_order) = (format!("/users/{person}"), format!("/orders/{order}"));
    let why = [("x-reason", "parcel-label")];
    let (mine, other) = (format!("customer:{person}"), format!("customer:{}", ids::new()));
    let (on_behalf, of_another) = ([("x-on-behalf-of", mine.as_str())], [("x-on-behalf-of", other.as_str())]);
    let as_guest = format!("guest:{person}");
    let of_guest = [("x-on-behalf-of", as_guest.as_str())];
    let clear = |text: &str| json!(text);
    for (role, headers, sees) in [
        (Role::Support, &[][..], ""),
        (Role::Ops, &[][..], ""),
        (Role::Service, &[][..], ""),
        (Role::Support, &why[..], "name email phone"),
        (Role::Ops, &why[..], "name phone address"),
        (Role::Warehouse, &[][..], ""),
        (Role::Warehouse, &why[..], "name phone address"),
        (Role::Finance, &why[..], "name address"),
        (Role::Service, &why[..], ""),
        (Role::Service, &of_another[..], ""),
        (Role::Service, &of_guest[..], ""),
        (Role::Support, &on_behalf[..], ""),
        (Role::Service, &on_behalf[..], "name email phone address"),
        (Role::Auditor, &[][..], "name email phone address"),
        (Role::Admin, &[][..], "name email phone address"),
    ] {
        let field = |name: &str, text: &str| {
            if sees.split(' ').any(|field| field == name) { clear(text) } else { masked() }
        };
        let all = json!({ "name": field("name", NAME), "email": field("email", EMAIL),
            "phone": field("phone", PHONE), "address": field("address", ADDRESS) });
        let got = shop.see_as(role, &of_user, headers).await.ok();
        for name in ["name", "email", "phone"] {
            assert_eq!(got[name], all[name], "{role} {headers:?} {name}");
        }
        assert_eq!(shop.see_as(role, &of_order, headers).await.ok()["contact"], all, "{role} {headers:?}");
        for (path, pointer) in [(&of_user, "/state"), (&of_order, "/state/placed/contact")] {
            let then = shop.see_as(role, &format!("{path}?as_of=v:1"), headers).await.ok();
            let state = then.pointer(pointer).unwrap();
            for (name, expected) in all.as_object().unwrap() {
                if let Some(value) = state.get(name) {
                    let hidden = value["personal"] == "masked" && expected == &masked();
                    assert!(hidden || value == expected, "{role} {headers:?} {path} {name}: {value}");
                }
            }
        }
    }
    // Without a key.
    for path in
        [of_user.clone(), of_order.clone(), format!("{of_user}?as_of=v:1"), format!("{of_order}?as_of=v:1")]
    {
        let got = shop.get_with(&path, &[why[0], on_behalf[0]]).await;
        got.ok();
        for value in [NAME, EMAIL, PHONE, ADDRESS] {
            assert!(!got.text.contains(value), "a guest sees {value} in {path}");
        }
    }
    let wrong = shop.see_as(Role::Service, &of_user, &[("x-on-behalf-of", "staff:1")]).await;
    assert_eq!(wrong.refused(), (400, "invalid-header".into()));
}

#[tokio::test]
async fn a_list_shows_nobody_a_personal_value_and_lets_staff_recognize_people() {
    let shop = Shop::open().await;
    filled(&shop).await;
    let hint = |text: &str| json!({ "personal": "masked", "hint": text });
    for (role, recognizes) in [
        (Role::Support, true),
        (Role::Auditor, true),
        (Role::Warehouse, true),
        (Role::Finance, true),
        (Role::Ops, true),
        (Role::Admin, true),
        (Role::Service, false),
    ] {
        let (name, email) = if recognizes {
            (hint("Z•••"), hint("z•••@q•••.example"))
        } else {
            (masked(), masked())
        };
        let headers = [("x-reason", "parcel-label")];
        let users = shop.see_as(role, "/users", &headers).await;
        let user = users.items().remove(0);
        assert_eq!((&user["name"], &user["email"], &user["phone"]), (&name, &email, &masked()), "{role}");
        let orders = shop.see_as(role, "/orders", &headers).await;
        let contact = json!({ "name": name, "email": email, "phone": masked(), "address": masked() });
        assert_eq!(orders.items()[0]["contact"], contact, "{role}");
    }
    assert_eq!(shop.get("/orders").await.items()[0]["contact"]["email"], masked());
    assert!(looks(&shop).await.is_empty(), "nobody saw a value");
}

#[tokio::test]
async fn a_look_is_recorded_once_a_minute_for_the_same_caller_thing_and_reason() {
    let shop = Shop::open().await;
    let (person, order) = filled(&shop).await;
    let (of_user, of_order) = (format!("/users/{person}"), format!("/orders/{order}"));
    let why = [("x-reason", "parcel-label")];
    for _ in 0..3 {
        shop.see_as(Role::Ops, &of_order, &why).await.ok();
    }
    let lines = looks(&shop).await;
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0].subject, format!("order/{order}"));
    assert!(lines[0].actor.starts_with("staff:"), "{}", lines[0].actor);
    let message =
        json!({ "person": person, "fields": ["name", "phone", "address"], "reason": "parcel-label" });
    assert_eq!(lines[0].detail, message);

    // Another reason, another caller, another thing, another point of the past.
    shop.see_as(Role::Ops, &of_order, &[("x-reason", "complaint")]).await.ok();
    shop.see_as(Role::Admin, &of_order, &[]).await.ok();
    shop.see_as(Role::Admin, &of_user, &[]).await.ok();
    shop.see_as(Role::Admin, &format!("{of_user}?as_of=v:1"), &[]).await.ok();
    let mine = format!("customer:{person}");
    shop.see_as(Role::Service, &of_user, &[("x-on-behalf-of", &mine)]).await.ok();
    let lines = looks(&shop).await;
    assert_eq!(lines.len(), 6);
    assert_eq!(lines[0].detail["on_behalf_of"], mine);
    assert_eq!(
        (&lines[1].detail["version"], lines[1].subject.as_str()),
        (&json!(1), &*format!("user/{person}"))
    );
    let message = serde_json::to_string(&lines).unwrap();
    for value in [NAME, EMAIL, PHONE, ADDRESS] {
        assert!(!message.contains(value), "the record holds {value}");
    }

    // An answer without a value is no look.
    let empty = ids::new();
    shop.command::<User>(empty, user::Command::Register { details: user::Details::default() }).await;
    shop.see_as(Role::Admin, &format!("/users/{empty}"), &[]).await.ok();
    shop.see_as(Role::Support, &of_user, &[]).await.ok();
    shop.command::<User>(person, user::Command::Delete).await;
    assert_eq!(shop.see_as(Role::Auditor, &of_user, &[]).await.status, 410);
    assert_eq!(looks(&shop).await.len(), 6);
}

#[tokio::test]
async fn nothing_is_shown_that_cannot_be_recorded() {
    let shop = Shop::open().await;
    let (person, order) = filled(&shop).await;
    shop.see("/orders").await.ok();
    shop.see("/users").await.ok();
    let operations = shop.registry.operations().clone();
    let rename = if operations.backend() == sea_orm::DatabaseBackend::Postgres {
        "ALTER TABLE @entries RENAME TO entries_elsewhere"
    } else {
        "ALTER TABLE entries RENAME TO entries_elsewhere"
    };
    shop.sql(&operations, rename).await;
    for path in [
        format!("/users/{person}"),
        format!("/orders/{order}"),
        format!("/users/{person}?as_of=v:1"),
        format!("/orders/{order}?as_of=v:1"),
    ] {
        let got = shop.get_as(Role::Admin, &path).await;
        assert_eq!(got.refused(), (503, "database-unavailable".into()), "{path}");
        for value in [NAME, EMAIL, PHONE, ADDRESS] {
            assert!(!got.text.contains(value), "{path} shows {value}");
        }
        // A query that needs no record is answered.
        assert_eq!(shop.get_as(Role::Support, &path).await.status, 200, "{path}");
        assert_eq!(shop.get(&path).await.status, 200, "{path}");
    }
}

/// A column that a projection keeps personal is of the type that is masked, in every answer that has it.
#[test]
fn every_personal_column_of_an_answer_is_described_as_one() {
    let description = serde_json::to_value(http::openapi()).unwrap();
    let schemas = &description["components"]["schemas"];
    let mut found = 0;
    for (schema, prefix, table) in
        [("User", "", "users"), ("Contact", "contact_", "orders"), ("Cart", "", "carts")]
    {
        let projectors = soonshop_projections::all();
        let columns = projectors.iter().flat_map(|projector| projector.personal());
        let columns = columns.filter(|columns| columns.table == table).flat_map(|columns| columns.columns);
        for column in columns {
            let name = column.strip_prefix(prefix).unwrap_or(column);
            let property = &schemas[schema]["properties"][name];
            let is_personal = |property: &Value| {
                let text = property.to_string();
                assert!(text.contains("#/components/schemas/PersonalText"), "{schema}.{name}: {text}");
            };
            match property["items"]["$ref"].as_str().and_then(|item| item.rsplit('/').next()) {
                None => is_personal(property),
                Some("CartLine") => is_personal(&schemas["CartLine"]["properties"]["note"]),
                // Of an address book every text of each address, but for the code of its country.
                Some(item) => {
                    let fields = schemas[item]["properties"].as_object().unwrap();
                    let named =
                        |name: &str| ["id", "country"].contains(&name) || name.starts_with("default_");
                    let texts: Vec<_> = fields.iter().filter(|(name, _)| !named(name)).collect();
                    assert!(texts.len() > 5, "{item}");
                    for (_, text) in texts {
                        is_personal(text);
                    }
                }
            }
            found += 1;
        }
    }
    let all: usize = soonshop_projections::all()
        .iter()
        .flat_map(|projector| projector.personal())
        .map(|columns| columns.columns.len())
        .sum();
    assert_eq!(found, all, "name the answer of the other personal columns here");
    for (path, methods) in description["paths"].as_object().unwrap() {
        let parameters = methods["get"]["parameters"].to_string();
        let asks = parameters.contains("X-On-Behalf-Of") && parameters.contains("X-Reason");
        assert_eq!(asks, ["/users/{id}", "/orders/{id}", "/carts/{id}"].contains(&path.as_str()), "{path}");
    }
}
