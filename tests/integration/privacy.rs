//! No personal value leaves the read models: not in the log, its neighbours, messages, answers of commands, or log lines.

use std::path::Path;
use std::time::Duration;

use serde_json::json;
use soonshop::{Role, Shop, migrate, settle};

use crate::support::{Client, Place, Process, Set, TestShop, eventually, free_port};

const VALUES: [&str; 6] = [
    "Zebedee Quux",
    "zebedee@quux.example",
    "+44 7700 900123",
    "7 Hidden Mews",
    "Guesty McGuest",
    "guesty@hidden.example",
];

/// The user's id.
async fn fill(client: &Client) -> String {
    let user =
        json!({"name": VALUES[0], "email": VALUES[1], "phone": VALUES[2], "country": "United Kingdom"});
    let made = client.post("/users", &user).await.expect(201);
    assert_clean("an answer", &made.bytes);
    client.product("SECRET", "Nothing secret", 100, 5).await;
    let order = json!({"lines": [{"sku": "SECRET", "quantity": 1}], "country": "France",
        "contact": {"name": VALUES[4], "email": VALUES[5], "address": VALUES[3]}});
    let placed = client.post("/orders", &order).await.expect(201);
    assert_clean("an answer", &placed.bytes);
    // A refusal that speaks of a personal field must not repeat it.
    let taken = client.post("/users", &json!({"email": VALUES[1]})).await.expect(409);
    assert_clean("a problem", &taken.bytes);
    made.json()["id"].as_str().unwrap().to_owned()
}

fn assert_clean(what: &str, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes).to_lowercase();
    for value in VALUES {
        assert!(!text.contains(&value.to_lowercase()), "{what} holds a personal value");
    }
}

/// Every file below the folder, but those of the read models that may hold such values.
fn files(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            files(&path, found);
        } else if !name.starts_with("rm_users_") && !name.starts_with("rm_orders_") {
            found.push(path);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_file_and_no_log_line_holds_a_personal_value() {
    drop(rustls::crypto::ring::default_provider().install_default());
    let place = Place::new(Set::Embedded).await;
    let shop = Shop::open(&place.config, Role::All).unwrap();
    migrate::migrate(&shop).await.unwrap();
    let token = std::fs::read_to_string(&place.config.operator_token_file).unwrap();
    let port = free_port();
    let lines = place.folder.path().join("stderr.txt");
    let listen = format!("127.0.0.1:{port}");
    let args = ["serve", "--listen", &listen, "--log-format", "json"];
    let process = Process::start_logging(&place.config, "private", &args, "trace", &lines);
    let client = Client::new(&format!("http://127.0.0.1:{port}"), token.trim());
    eventually("the process answers", Duration::from_secs(30), async || {
        client
            .try_send(reqwest::Method::GET, "/health/ready", None, &[])
            .await
            .is_ok_and(|a| a.status.is_success())
    })
    .await;
    let user = fill(&client).await;
    settle::settle(&shop, Duration::from_secs(30)).await.unwrap();
    // Read by somebody who may, which is recorded: neither the log nor the record holds it.
    let users = client.look(&format!("/users/{user}")).await.expect(200);
    assert!(
        String::from_utf8_lossy(&users.bytes).contains(VALUES[0]),
        "the read model does not have what it is for"
    );
    assert_eq!(process.stop(), Some(0));
    let mut found = Vec::new();
    files(place.folder.path(), &mut found);
    assert!(found.iter().any(|path| path.ends_with("log.sqlite")) && found.contains(&lines));
    for path in found {
        assert_clean(&path.display().to_string(), &std::fs::read(&path).unwrap());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_message_holds_a_personal_value() {
    let shop = TestShop::start(Set::Nats).await;
    let mut spy = shop.shop.bus.subscribe("spy").await.unwrap();
    fill(&shop.client).await;
    shop.settle().await;
    let head = shop.shop.log().unwrap().head().await.unwrap();
    let mut last = 0;
    while last < head.position {
        for message in spy.next(100).await.unwrap() {
            assert_clean(&message.topic, &message.body);
            last = soonshop_event_log::cloud_event::decode(&message.body).unwrap().position.max(last);
        }
        spy.acknowledge().await.unwrap();
    }
    shop.stop().await;
}
