//! Processes of the shop, alone and several of the same role at once, killed and started again.

use std::time::Duration;

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use soonshop::{Role, Shop, migrate, settle};
use uuid::Uuid;

use crate::support::{Answer, Client, Place, Process, Set, binary, built, eventually, free_port};

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

/// How much is sold, by how many processes, and how often one of them is killed.
struct Sale {
    processes: usize,
    buyers: usize,
    units: usize,
    kills: u64,
    seed: u64,
}

impl Sale {
    /// That of `make test`, or what `SALE=PROCESSES/BUYERS/UNITS` and `SEED` say.
    fn asked() -> Self {
        let sale = std::env::var("SALE").unwrap_or_else(|_| "2/200/20".to_owned());
        let parts: Vec<usize> = sale.split('/').map(|part| part.parse().unwrap()).collect();
        let [processes, buyers, units] = parts[..] else { panic!("SALE=PROCESSES/BUYERS/UNITS") };
        let seed = std::env::var("SEED").map_or(1, |seed| seed.parse().unwrap());
        Self { processes, buyers, units, kills: 2 * processes as u64, seed }
    }

    /// The next of a row of numbers below `below`, the same for the same seed (xorshift64).
    fn random(&mut self, below: u64) -> u64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        self.seed % below
    }
}

/// Sends it with one key to one process after the other, until one answers with one of these.
async fn answered(clients: &[Client], first: usize, path: &str, body: &Value, of: &[u16]) -> Answer {
    let key = Uuid::new_v4().to_string();
    let mut ticks = tokio::time::interval(Duration::from_millis(200));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for attempt in 0..3_000 {
        let client = &clients[(first + attempt) % clients.len()];
        let headers = [("idempotency-key", key.as_str()), ("prefer", "wait=20")];
        match client.try_send(Method::POST, path, Some(body), &headers).await {
            Ok(answer) if of.contains(&answer.status.as_u16()) => return answer,
            // It is gone, does not serve yet, or is still at it.
            Err(_) => {}
            Ok(answer) if [202, 500, 503].contains(&answer.status.as_u16()) => {}
            Ok(answer) => panic!("{path}: {} {}", answer.status, answer.json()),
        }
        ticks.tick().await;
    }
    panic!("{path} was not answered")
}

/// Whether the buyer got one.
async fn buys(clients: &[Client], number: usize) -> bool {
    let cart = answered(clients, number, "/carts", &json!({"sku": "HOT", "quantity": 1}), &[201]).await;
    let body = json!({"cart": cart.json()["id"], "country": "France", "payment": {}});
    let answer = answered(clients, number, "/checkouts", &body, &[201, 409]).await;
    if answer.status == 409 {
        let why = answer.json();
        assert_eq!(
            (&why["type"], &why["reason"]),
            (&json!("/problems/checkout-refused"), &json!("insufficient-stock"))
        );
    }
    answer.status == 201
}

/// Whole shops on the same servers, far more buyers than units; processes are killed at any moment and started again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_are_killed_sell_each_unit_once_and_are_paid_for_it() {
    let mut sale = Sale::asked();
    let (place, shop, token) = prepared(Set::Rabbit).await;
    let ports: Vec<u16> = (0..sale.processes).map(|_| free_port()).collect();
    let name = |number: usize| format!("shop-{number}");
    let run = |number: usize| serve(&place, &name(number), "all", ports[number]);
    let mut processes: Vec<Process> = (0..sale.processes).map(run).collect();
    let clients: Vec<Client> =
        ports.iter().map(|port| Client::new(&format!("http://127.0.0.1:{port}"), &token)).collect();
    for client in &clients {
        ready(client).await;
    }
    clients[0].product("HOT", "The one thing", 100, u32::try_from(sale.units).unwrap()).await;
    let log = shop.log().unwrap();
    let buying = join_all((0..sale.buyers).map(|number| buys(&clients, number)));
    let chaos = async {
        // A buyer makes six events at least: the last kill comes before the last buyer is done.
        let share = 6 * sale.buyers as u64 / sale.kills;
        for kill in 0..sale.kills {
            let at = i64::try_from(kill * share + sale.random(share)).unwrap();
            eventually("the log grows", Duration::from_secs(120), async || {
                log.head().await.is_ok_and(|head| head.position >= at)
            })
            .await;
            let victim = usize::try_from(sale.random(sale.processes as u64)).unwrap();
            processes[victim].kill();
            processes[victim] = run(victim);
        }
    };
    let (bought, ()) = futures::future::join(buying, chaos).await;
    assert_eq!(bought.into_iter().filter(|bought| *bought).count(), sale.units);
    for client in &clients {
        ready(client).await;
    }
    settle::settle(&shop, Duration::from_secs(90)).await.unwrap();
    let list = async |path: &str| {
        clients[0].look(path).await.expect(200).json()["items"].as_array().unwrap().clone()
    };
    let orders = list("/orders?limit=200").await;
    assert_eq!(orders.len(), sale.units, "orders, however they stand");
    for order in &orders {
        assert_eq!(
            (&order["status"], &order["paid"]["amount"]),
            (&json!("confirmed"), &json!(100)),
            "{order}"
        );
    }
    assert_eq!(list("/payments?limit=200").await.len(), sale.units, "who got none was never asked for money");
    let stock = &list("/inventory?sku=HOT").await[0];
    assert_eq!((&stock["on_hand"], &stock["reserved"]), (&json!(sale.units), &json!(sale.units)), "{stock}");
    let report = soonshop::stock::verify(&log).await.unwrap();
    assert_eq!((report.exit_code(), report.lines), (0, sale.units as u64), "{report}");
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
