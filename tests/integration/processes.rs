//! Processes of the shop, alone and several of the same role at once, killed and started again.

use std::time::Duration;

use futures::future::join_all;
use reqwest::Method;
use serde_json::json;
use soonshop::{Role, Shop, migrate, settle};
use uuid::Uuid;

use crate::support::{Client, Place, Process, Set, binary, built, eventually, free_port};

async fn prepared(set: Set) -> (Place, Shop, String) {
    drop(rustls::crypto::ring::default_provider().install_default());
    let place = Place::new(set).await;
    let shop = Shop::open(&place.config, Role::All).unwrap();
    migrate::migrate(&shop).await.unwrap();
    let token = std::fs::read_to_string(&place.config.operator_token_file).unwrap().trim().to_owned();
    (place, shop, token)
}

async fn ready(client: &Client) {
    eventually("the process answers", Duration::from_secs(30), async || {
        client
            .try_send(Method::GET, "/health/ready", None, &[])
            .await
            .is_ok_and(|answer| answer.status.is_success())
    })
    .await;
}

fn serve(place: &Place, name: &str, role: &str, port: u16) -> Process {
    let listen = format!("127.0.0.1:{port}");
    Process::start(&place.config, name, &["serve", "--role", role, "--listen", &listen])
}

/// Two whole shops on the same servers; 200 buyers for 20 units; both are killed at random and started again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_that_are_killed_sell_twenty_units_twenty_times() {
    let (place, shop, token) = prepared(Set::Rabbit).await;
    let ports = [free_port(), free_port()];
    let mut processes = [serve(&place, "one", "all", ports[0]), serve(&place, "two", "all", ports[1])];
    let clients = ports.map(|port| Client::new(&format!("http://127.0.0.1:{port}"), &token));
    for client in &clients {
        ready(client).await;
    }
    clients[0].product("HOT", "The one thing", 100, 20).await;
    let body = json!({"lines": [{"sku": "HOT", "quantity": 1}], "country": "France"});
    let buyers = (0..200).map(|number| {
        let (clients, body) = (&clients, &body);
        async move {
            let key = Uuid::new_v4().to_string();
            for attempt in 0_usize.. {
                let client = &clients[(number + attempt) % 2];
                let sent =
                    client.try_send(Method::POST, "/orders", Some(body), &[("idempotency-key", &key)]).await;
                if let Ok(answer) = sent
                    && answer.status == 201
                {
                    return;
                }
                assert!(attempt < 600, "an order could not be placed");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    });
    let chaos = async {
        for round in 0..4 {
            tokio::time::sleep(Duration::from_millis(700)).await;
            let victim = round % 2;
            processes[victim].kill();
            processes[victim] = serve(&place, ["one", "two"][victim], "all", ports[victim]);
        }
    };
    futures::future::join(join_all(buyers), chaos).await;
    for client in &clients {
        ready(client).await;
    }
    settle::settle(&shop, Duration::from_secs(90)).await.unwrap();
    let confirmed = clients[0].get("/orders?status=confirmed&limit=200").await.expect(200).json();
    let refused = clients[1].get("/orders?status=refused&limit=200").await.expect(200).json();
    assert_eq!(confirmed["items"].as_array().unwrap().len(), 20);
    assert_eq!(refused["items"].as_array().unwrap().len(), 180);
    let stock = clients[0].get("/inventory?sku=HOT").await.expect(200).json();
    assert_eq!(
        (&stock["items"][0]["on_hand"], &stock["items"][0]["reserved"]),
        (&json!(20), &json!(20)),
        "{stock}"
    );
    for process in processes {
        assert_eq!(process.stop(), Some(0), "a stop was not graceful");
    }
    place.remove().await;
}

/// One process per role, and two of some.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_role_runs_alone_and_twice() {
    let (place, shop, token) = prepared(Set::Nats).await;
    let ports: Vec<u16> = (0..8).map(|_| free_port()).collect();
    let roles = [
        "command-api",
        "command-api",
        "query-api",
        "query-api",
        "projector",
        "projector",
        "relay",
        "reactor",
    ];
    let processes: Vec<Process> = roles
        .iter()
        .zip(&ports)
        .enumerate()
        .map(|(number, (role, port))| serve(&place, &format!("p{number}"), role, *port))
        .collect();
    let clients: Vec<Client> =
        ports.iter().map(|port| Client::new(&format!("http://127.0.0.1:{port}"), &token)).collect();
    for client in &clients {
        ready(client).await;
    }
    let (id, position) = clients[0].product("CUP", "Cup", 300, 3).await;
    let seen = clients[3].get_at(&format!("/products/{id}"), &position).await.expect(200);
    assert_eq!(seen.json()["name"], "Cup");
    let body = json!({"lines": [{"sku": "CUP", "quantity": 2}], "country": "Spain"});
    let order = clients[1].post("/orders", &body).await.expect(201).json()["id"].as_str().unwrap().to_owned();
    settle::settle(&shop, Duration::from_secs(60)).await.unwrap();
    for client in &clients[2..4] {
        let order = client.get(&format!("/orders/{order}")).await.expect(200).json();
        assert_eq!(order["status"], "confirmed", "{order}");
    }
    for process in processes {
        assert_eq!(process.stop(), Some(0), "a stop was not graceful");
    }
    place.remove().await;
}

fn refusal(args: &[&str]) -> (Option<i32>, String) {
    let output = std::process::Command::new(binary()).args(args).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_wrong_address_is_one_clear_error_before_anything_connects() {
    for (args, words) in [
        (&["serve", "--store", "mysql://x"][..], "begins with postgres:// or sqlite://"),
        (&["serve", "--bus", "kafka://x"], "kafka"),
        (&["serve", "--cache", "memcached://x"], "memcached"),
        (&["serve", "--search", "solr://x"], "solr"),
        (&["serve", "--role", "relay"], "works within one process only"),
        (&["serve", "--contexts", "shoes"], "there is no context"),
    ] {
        let (code, message) = refusal(args);
        assert_ne!(code, Some(0), "{args:?}");
        assert!(message.contains(words), "{args:?}: {message}");
        assert!(!message.contains("panicked"), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_listens_where_other_machines_reach_it_only_with_tls_or_behind_a_proxy() {
    let (place, shop, token) = prepared(Set::Embedded).await;
    drop(shop);
    let store = place.config.store.clone();
    let key = place.config.master_key_file.display().to_string();
    let token_file = place.config.operator_token_file.display().to_string();
    let files = ["--store", &store, "--master-key-file", &key, "--operator-token-file", &token_file];
    let (code, message) = refusal(&[&["serve", "--listen", "0.0.0.0:0"], &files[..]].concat());
    assert_ne!(code, Some(0));
    for words in ["0.0.0.0:0", "--tls-cert", "--behind-proxy", "loopback"] {
        assert!(message.contains(words), "{message}");
    }
    let port = free_port();
    let listen = format!("0.0.0.0:{port}");
    let behind = ["serve", "--listen", &listen, "--behind-proxy", "127.0.0.0/8"];
    let serving = Process::start(&place.config, "open", &behind);
    let address = format!("http://127.0.0.1:{port}");
    ready(&Client::new(&address, &token)).await;
    // There every guest is somebody from anywhere.
    let guest = reqwest::Client::builder().timeout(Duration::from_secs(30)).build().unwrap();
    let post = guest.post(format!("{address}/products"));
    let answer = post.header("content-type", "application/json").body("{}").send().await.unwrap();
    assert_eq!(answer.status(), 403, "{}", answer.text().await.unwrap());
    // Nor is a guest one who began something: another guest did, or nobody.
    let operator = Client::new(&address, &token);
    let price = json!({ "amount": 100, "currency": "GBP" });
    let mug = json!({ "name": "Mug", "variants": [{ "sku": "MUG", "price": price }] });
    operator.operate("/products", &mug).await.expect(201);
    let order = json!({ "lines": [{ "sku": "MUG", "quantity": 1 }], "country": "Spain" });
    let placed = Client::new(&address, "").post("/orders", &order).await.expect(201).json();
    let order = placed["id"].as_str().unwrap();
    for order in [order, "0199aabb-0000-7000-8000-000000000001"] {
        let cancel = guest.post(format!("{address}/orders/{order}/cancellation"));
        let cancel = cancel.header("idempotency-key", Uuid::new_v4().to_string());
        let answer = cancel.json(&json!({ "reason": "changed-mind" })).send().await.unwrap();
        let status = answer.status();
        let message = answer.text().await.unwrap();
        assert!(status == 403 && message.contains("not-yours"), "{status} {message}");
    }
    assert_eq!(serving.stop(), Some(0), "a stop was not graceful");
}

#[test]
fn no_help_shows_the_password_of_an_address() {
    for program in ["soonshop", "replay-tool"] {
        let mut help = std::process::Command::new(built(program));
        for name in ["STORE", "READ_MODELS", "KEYS", "ERASURES", "BUS", "CACHE", "SEARCH"] {
            help.env(format!("SOONSHOP_{name}"), "postgres://shop:hush@db.example/shop");
        }
        let printed = help.args(["migrate", "--help"]).output().unwrap();
        let other = help.args(["list", "--help"]).output().unwrap();
        for output in [printed, other] {
            let message = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
            assert!(!message.contains("hush"), "{program}: {message}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_with_tls_takes_a_renewed_certificate_and_says_why_it_takes_none() {
    let (place, shop, token) = prepared(Set::Embedded).await;
    drop(shop);
    let folder = tempfile::tempdir().unwrap();
    let put = |from: &str, to: &str| {
        let file = folder.path().join(to);
        std::fs::copy(format!("{}/data/tls/{from}", env!("CARGO_MANIFEST_DIR")), &file).unwrap();
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        file.display().to_string()
    };
    let (certificate, key) = (put("valid.pem", "tls.pem"), put("server.key", "tls.key"));
    let port = free_port();
    let listen = format!("0.0.0.0:{port}");
    let served = ["serve", "--listen", &listen, "--tls-cert", &certificate, "--tls-key", &key];
    let serving = Process::start(&place.config, "encrypted", &served);
    let authority = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/data/tls/authority.pem")).unwrap();
    let client = reqwest::Client::builder()
        .timeout(Duration::from_secs(30))
        .tls_certs_only([reqwest::Certificate::from_pem(&authority).unwrap()])
        // Each request is a connection of its own.
        .pool_max_idle_per_host(0)
        .build()
        .unwrap();
    let get = async |path: &str| {
        let request = client.get(format!("https://localhost:{port}{path}")).bearer_auth(&token);
        let answer = request.send().await.ok()?;
        let secure = answer.headers().contains_key("strict-transport-security");
        Some((answer.status().as_u16(), secure, answer.text().await.ok()?))
    };
    let minute = Duration::from_mins(1);
    eventually("the process answers over TLS", minute, async || {
        get("/health/ready").await.is_some_and(|(status, secure, _)| status == 200 && secure)
    })
    .await;
    let plain = client.get(format!("http://localhost:{port}/health/ready")).send().await;
    plain.expect_err("nothing is answered without TLS");
    let metrics = get("/metrics").await.unwrap().2;
    assert!(metrics.contains("\nsoonshop_certificate_end_seconds 4102444800\n"), "{metrics}");
    assert!(metrics.contains("soonshop_check_ok{check=\"certificate\"} 1"), "{metrics}");
    // The key of another certificate, and then its own again.
    put("client.key", "tls.key");
    eventually("the check says why it is not taken", minute, async || {
        let (_, _, message) = get("/health/audit").await.unwrap_or_default();
        message.contains("do not belong together") && message.contains("own-certificate")
    })
    .await;
    put("server.key", "tls.key");
    eventually("the check is green again", minute, async || {
        get("/metrics")
            .await
            .is_some_and(|(_, _, message)| message.contains("soonshop_check_ok{check=\"certificate\"} 1"))
    })
    .await;
    // One that nobody connects to any more: of another host.
    put("other-host.pem", "tls.pem");
    eventually("the new one is shown", minute, async || get("/health/ready").await.is_none()).await;
    put("valid.pem", "tls.pem");
    eventually("the one before is shown", minute, async || get("/health/ready").await.is_some()).await;
    assert_eq!(serving.stop(), Some(0), "a stop was not graceful");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_process_on_a_sqlite_log_says_so_and_stops() {
    let (place, shop, token) = prepared(Set::Embedded).await;
    drop(shop);
    let port = free_port();
    let first = serve(&place, "first", "all", port);
    ready(&Client::new(&format!("http://127.0.0.1:{port}"), &token)).await;
    let config = &place.config;
    for command in [&["serve", "--listen", "127.0.0.1:0"][..], &["seed"], &["migrate"]] {
        let output = std::process::Command::new(binary())
            .args(command)
            .args(["--store", &config.store, "--search", &config.search])
            .arg("--master-key-file")
            .arg(&config.master_key_file)
            .arg("--operator-token-file")
            .arg(&config.operator_token_file)
            .output()
            .unwrap();
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{command:?}: {message}");
        assert!(message.contains("is served by another process"), "{command:?}: {message}");
    }
    assert_eq!(first.stop(), Some(0));
}
