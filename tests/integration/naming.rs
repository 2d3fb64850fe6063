//! Names at the command line: an order is asked for by its number, and shown by it.

use serde_json::Value;
use soonshop::processes::{self, Verb};

use crate::replay::{code, lines, ran};
use crate::support::{Set, TestShop};
use crate::trail::{lived, ok};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_aggregate_is_shown_by_its_name_and_can_be_asked_for_by_it() {
    let shop = TestShop::start(Set::Embedded).await;
    let all = lived(&shop).await;
    let id_of = |kind: &str| all.iter().find(|(known, _)| *known == kind).unwrap().1.clone();
    let order = id_of("order");
    let number = shop.client.look(&format!("/orders/{order}")).await.expect(200).json()["number"].clone();
    let number = number.as_str().unwrap().to_owned();
    for given in [&order, &number, &number.to_lowercase()] {
        let shown = ran(&shop.place, &["show", "order", given, "--as-of", "v1"]).await;
        assert_eq!(code(&shown), 0, "{given}: {}", String::from_utf8_lossy(&shown.stderr));
        let text = String::from_utf8(shown.stdout).unwrap();
        let first = text.lines().next().unwrap();
        assert!(first.starts_with(&format!("order {number}, version 1 of ")), "{first}");
        assert!(first.contains(": Order placed, position "), "{first}");
        let json = ran(&shop.place, &["show", "order", given, "--json"]).await;
        let value = &lines(&json)[0];
        assert_eq!(
            (&value["id"], &value["name"]),
            (&Value::from(order.as_str()), &Value::from(number.as_str()))
        );
    }
    // A stock is asked for by what it is called: its SKU and location.
    let stock = id_of("stock");
    let name = lines(&ran(&shop.place, &["show", "stock", &stock, "--json"]).await)[0]["name"].clone();
    let name = name.as_str().unwrap();
    assert!(name.contains(" · "), "{name}");
    let json = ran(&shop.place, &["show", "stock", name, "--json"]).await;
    assert_eq!(lines(&json)[0]["id"], Value::from(stock.as_str()), "{json:?}");
    let chinese = ran(&shop.place, &["show", "order", &number, "--lang", "zh-CN"]).await;
    assert!(String::from_utf8(chinese.stdout).unwrap().starts_with(&format!("订单 {number}，版本 ")));
    // So are rows of read models, and the instances of process managers.
    for (projection, id, name) in [("orders", &order, number.as_str()), ("stock", &stock, name)] {
        let by = async |key: &str| {
            let stepped = ran(&shop.place, &["step", projection, "--key", key, "--json"]).await;
            assert_eq!(code(&stepped), 0, "{key}: {}", String::from_utf8_lossy(&stepped.stderr));
            lines(&stepped).into_iter().filter(|line| line["message_type"] == "diff").collect::<Vec<_>>()
        };
        let by_name = by(name).await;
        assert!(!by_name.is_empty() && by_name == by(id).await, "{projection} {name}");
    }
    for given in [&order, &number, &number.to_lowercase()] {
        let verb = Verb::Show {
            process: "fulfilment".to_owned(),
            instance: given.clone(),
            format: processes::Format::Text,
        };
        let shown = processes::run(&shop.shop, &verb).await.unwrap();
        assert_eq!(shown.exit_code, 0, "{given}: {}", shown.text);
        assert!(shown.text.contains(&format!("about      order {number} ({order})")), "{}", shown.text);
    }
    let unknown = ran(&shop.place, &["show", "order", "no such order"]).await;
    assert_eq!(code(&unknown), 2);
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("neither an id"), "{unknown:?}");
    // A user has no name here: it is a personal value.
    let user = ran(&shop.place, &["show", "user", &id_of("user")]).await;
    let text = String::from_utf8(user.stdout).unwrap();
    assert!(text.starts_with("user …") && !text.contains("Zebedee"), "{text}");
    let tail = ran(&shop.place, &["tail", "--q", "agg:order", "--after", "0"]).await;
    let text = String::from_utf8(tail.stdout).unwrap();
    assert!(text.lines().filter(|line| line.contains(&order)).all(|line| line.contains(&number)), "{text}");
    let file = shop.place.folder.path().join("orders.csv");
    ok(ran(&shop.place, &["export", "--format", "csv", "--q", "agg:order", "--out", file.to_str().unwrap()])
        .await);
    let rows = std::fs::read_to_string(&file).unwrap();
    assert!(rows.lines().next().unwrap().contains("aggregate_type,name,"), "{rows}");
    assert!(rows.contains(&format!(",order,{number},{order},")), "{rows}");
    shop.stop().await;
}
