//! Attacks by many clients at once against a process of the shop, beside a bystander who asks for small things.
//!
//! `make test` asserts what does not depend on how busy the machine is: what is answered, how large it is, and what the
//! process holds in memory. `make attack` does more of each, in a release build, and compares the bystander's times, too.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::future::{BoxFuture, join_all};
use reqwest::Method;
use serde_json::json;
use soonshop::{Role, Shop, migrate, settle};
use soonshop_domain::inventory;
use soonshop_domain::text::Sku;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::support::{Answer, Client, Place, Process, Set, eventually, free_port};

/// The memory that an attack may add to twice that of the idle process, in KiB: the answers that are on their way (64 MiB),
/// the rows of the queries that run, and what the allocator keeps.
const BUDGET: u64 = 128 * 1024;
/// How much slower the bystander may get.
const SLOWER: f64 = 10.0;
/// A time at rest that is shorter than this counts as this.
const FLOOR: Duration = Duration::from_millis(5);
/// The lines of an order: as many as it may have.
const LINES: usize = 1_500;

/// How much is done.
struct Size {
    compares_times: bool,
    orders: usize,
    events: usize,
    clients: usize,
    /// The bystander's requests during an attack.
    looks: usize,
}

fn size() -> Size {
    if std::env::var_os("ATTACK").is_some() {
        Size { compares_times: true, orders: 200, events: 15_000, clients: 40, looks: 1_000 }
    } else {
        Size { compares_times: false, orders: 12, events: 400, clients: 40, looks: 60 }
    }
}

/// A process of the shop that is attacked.
struct Attacked {
    process: Process,
    attacker: Client,
    bystander: reqwest::Client,
    port: u16,
    size: Size,
    rest: Duration,
    idle: u64,
}

/// The resident memory of a process, in KiB.
fn memory(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// How often each status was answered, and the longest answer in bytes.
#[derive(Debug, Default)]
struct Answers {
    statuses: BTreeMap<u16, usize>,
    longest: usize,
}

impl Answers {
    fn note(&mut self, answer: &Answer) {
        *self.statuses.entry(answer.status.as_u16()).or_default() += 1;
        self.longest = self.longest.max(answer.bytes.len());
    }
}

impl Attacked {
    /// The times of the bystander's requests, and the most memory of the process meanwhile.
    async fn look(&self, looks: usize) -> (Vec<Duration>, u64) {
        let (mut times, mut most) = (Vec::with_capacity(looks), 0);
        let mut ticks = tokio::time::interval(Duration::from_millis(10));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for number in 0..looks {
            ticks.tick().await;
            let path = if number % 4 == 0 { "/health/live" } else { "/products" };
            let begun = Instant::now();
            let answer =
                self.bystander.get(format!("http://127.0.0.1:{}{path}", self.port)).send().await.unwrap();
            assert_eq!(answer.status(), 200, "{path}");
            answer.bytes().await.unwrap();
            times.push(begun.elapsed());
            most = most.max(memory(self.process.id()));
        }
        (times, most)
    }

    /// Lets every client attack again and again while the bystander looks.
    #[expect(clippy::print_stdout, reason = "the figures are for whoever runs it")]
    async fn attack(
        &self,
        name: &str,
        attack: impl Fn(Client, Arc<Mutex<Answers>>) -> BoxFuture<'static, ()>,
    ) -> Answers {
        let answers = Arc::new(Mutex::new(Answers::default()));
        let mut attackers = JoinSet::new();
        for _ in 0..self.size.clients {
            attackers.spawn(attack(self.attacker.clone(), Arc::clone(&answers)));
        }
        let (times, most) = self.look(self.size.looks).await;
        attackers.shutdown().await;
        let (slow, rest, bound) = (p99(times), self.rest.max(FLOOR), 2 * self.idle + BUDGET);
        let ratio = slow.as_secs_f64() / rest.as_secs_f64();
        println!(
            "{name}: a bystander's p99 is {slow:.1?}, {ratio:.1} × that at rest ({:.1?}); memory {} MiB of {} MiB",
            self.rest,
            most / 1024,
            bound / 1024
        );
        assert!(most <= bound, "{name}: {most} KiB of {bound} KiB");
        if self.size.compares_times {
            assert!(ratio <= SLOWER, "{name}: a bystander waits {ratio:.1} times as long");
        }
        let answers = std::mem::take(&mut *answers.lock().unwrap());
        let known = [200, 429, 503];
        assert!(answers.statuses.keys().all(|status| known.contains(status)), "{name}: {answers:?}");
        answers
    }

    /// The same, with a request that is sent again once it is answered; some of it must have been answered.
    async fn ask(&self, name: &str, path: &'static str, as_operator: bool) -> Answers {
        let attack = move |client: Client, answers: Arc<Mutex<Answers>>| -> BoxFuture<'static, ()> {
            Box::pin(async move {
                let bearer = format!("Bearer {}", client.token);
                let mut headers = vec![("accept-encoding", "gzip")];
                if as_operator {
                    headers.push(("authorization", bearer.as_str()));
                }
                while let Ok(answer) = client.try_send(Method::GET, path, None, &headers).await {
                    answers.lock().unwrap().note(&answer);
                    tokio::task::yield_now().await;
                }
            })
        };
        let answers = self.attack(name, attack).await;
        assert!(answers.statuses.contains_key(&200), "{name}: {answers:?}");
        answers
    }
}

/// The bytes of an HTTP/2 client that asks for this 32 times at once, and takes one byte of each answer.
fn stuck_requests(target: &str, port: u16) -> Vec<u8> {
    let frame = |kind: u8, flags: u8, stream: u32, payload: &[u8]| {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
    };
    let text = |text: &str| [&[u8::try_from(text.len()).unwrap()][..], text.as_bytes()].concat();
    // `:method: GET`, `:scheme: http`, `:path` and `:authority`.
    let host = format!("127.0.0.1:{port}");
    let head = [&[0x82, 0x86, 0x04][..], &text(target), &[0x01], &text(&host)].concat();
    let settings = frame(4, 0, 0, &[0, 4, 0, 0, 0, 1]);
    let streams = (0..32).flat_map(|number| frame(1, 5, 2 * number + 1, &head));
    [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &settings].concat().into_iter().chain(streams).collect()
}

fn p99(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[(times.len() * 99 / 100).min(times.len() - 1)]
}

/// Orders with as many lines as an order may have, none of which can be supplied: each leaves three events, and not one
/// for each line.
async fn place_orders(client: &Client, shop: &Shop, orders: usize) {
    let lines = vec![json!({ "sku": "NONE", "quantity": 1 }); LINES];
    let body = json!({ "lines": lines, "country": "France" });
    settle::settle(shop, Duration::from_secs(60)).await.unwrap();
    let before = head(client).await;
    for _ in 0..orders {
        client.post("/orders", &body).await.expect(201);
    }
    settle::settle(shop, Duration::from_secs(120)).await.unwrap();
    let events = head(client).await - before;
    assert_eq!(
        usize::try_from(events).unwrap(),
        3 * orders,
        "placed, one line refused, and the order refused"
    );
}

async fn head(client: &Client) -> i64 {
    let position = client.get("/orders?limit=1").await.expect(200).position();
    let (_, position) = position.split_once(':').unwrap();
    position.parse().unwrap()
}

async fn prepared() -> (Place, Attacked) {
    drop(rustls::crypto::ring::default_provider().install_default());
    let place = Place::new(Set::Embedded).await;
    let shop = Shop::open(&place.config, Role::All).unwrap();
    migrate::migrate(&shop).await.unwrap();
    let token = std::fs::read_to_string(&place.config.operator_token_file).unwrap().trim().to_owned();
    let port = free_port();
    let process =
        Process::start(&place.config, "attacked", &["serve", "--listen", &format!("127.0.0.1:{port}")]);
    let attacker = Client::new(&format!("http://127.0.0.1:{port}"), &token);
    // Another address than that of the attackers.
    let bystander = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(60));
    let bystander = bystander.local_address(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2))).build().unwrap();
    let (size, rest, idle) = (size(), Duration::ZERO, 0);
    let mut attacked = Attacked { process, attacker, bystander, port, size, rest, idle };
    let client = attacked.attacker.clone();
    eventually("the process answers", Duration::from_secs(60), async || {
        client
            .try_send(Method::GET, "/health/ready", None, &[])
            .await
            .is_ok_and(|got| got.status.is_success())
    })
    .await;
    for number in 0..60 {
        client.product(&format!("SKU-{number}"), &format!("Mug {number}"), 250, 0).await;
    }
    client.product("NONE", "A thing that is not there", 100, 0).await;
    place_orders(&client, &shop, attacked.size.orders).await;
    client.product("LONG", "A thing with a history", 100, 1_000).await;
    let count = json!({ "quantity": 1, "reason": "count" });
    for piece in (0..attacked.size.events).collect::<Vec<_>>().chunks(4) {
        let counts = piece.iter().map(|_| client.operate("/inventory/LONG/adjustments", &count));
        assert!(join_all(counts).await.iter().all(|got| got.status == 200));
    }
    settle::settle(&shop, Duration::from_secs(120)).await.unwrap();
    let (times, idle) = attacked.look(attacked.size.looks).await;
    (attacked.rest, attacked.idle) = (p99(times), idle);
    (place, attacked)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_attack_takes_the_memory_or_the_time_of_everybody_else() {
    let (place, attacked) = prepared().await;
    let client = &attacked.attacker;

    // Lists of long orders: bounded by row, and all are found page by page.
    let answers = attacked.ask("long lists", "/orders?limit=200", false).await;
    assert!(answers.longest <= (1 << 20) + (64 << 10), "{} bytes", answers.longest);
    let (mut found, mut path) = (0, "/orders?limit=200".to_owned());
    loop {
        let page = client.get(&path).await.expect(200).json();
        for order in page["items"].as_array().unwrap() {
            assert_eq!((order["lines"].as_array().unwrap().len(), &order["line_count"]), (10, &json!(LINES)));
        }
        found += page["items"].as_array().unwrap().len();
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/orders?limit=200&after={next}");
    }
    assert_eq!(found, attacked.size.orders);
    let order = client.get("/orders?limit=1").await.expect(200).json();
    let all = order["items"][0]["all_lines"].as_str().unwrap().to_owned();
    assert_eq!(client.get(&all).await.expect(200).json()["lines"].as_array().unwrap().len(), LINES);

    // Whole orders that nobody reads.
    let (port, target) = (attacked.port, all.clone());
    attacked
        .attack("answers that nobody reads", move |_, _| {
            let target = target.clone();
            Box::pin(async move {
                let mut held = Vec::new();
                for _ in 0..5 {
                    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                    // More than what the kernel takes off the process.
                    let request =
                        format!("GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n").repeat(40);
                    // One that was refused and closed holds nothing.
                    if stream.write_all(request.as_bytes()).await.is_ok() {
                        held.push(stream);
                    }
                }
                std::future::pending::<()>().await;
                drop(held);
            })
        })
        .await;

    // The same over HTTP/2, with windows of one byte: the connection takes what comes, and no answer ends.
    let begun = stuck_requests(&all, attacked.port);
    attacked
        .attack("answers over HTTP/2 that nobody takes", move |_, _| {
            let begun = begun.clone();
            Box::pin(async move {
                let mut held = Vec::new();
                for _ in 0..5 {
                    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                    if stream.write_all(&begun).await.is_ok() {
                        held.push(stream);
                    }
                }
                std::future::pending::<()>().await;
                drop(held);
            })
        })
        .await;

    // A field's first value, looked for in a long history.
    let stock = inventory::stream(&Sku::try_new("LONG").unwrap(), inventory::MAIN);
    let path: &'static str = format!("/api/audit/a/stock/{stock}?where=/on_hand=-1").leak();
    let attack = move |client: Client, answers: Arc<Mutex<Answers>>| -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let bearer = format!("Bearer {}", client.token);
            let headers = [("authorization", bearer.as_str())];
            while let Ok(mut answer) = client.try_send(Method::GET, path, None, &headers).await {
                // No version has this value, which is an answer.
                if answer.status == 400 && answer.json()["parameter"] == "where" {
                    answer.status = reqwest::StatusCode::OK;
                }
                answers.lock().unwrap().note(&answer);
                tokio::task::yield_now().await;
            }
        })
    };
    let answers = attacked.attack("where over a long history", attack).await;
    assert!(!answers.statuses.is_empty());

    let script = "/docs/swagger-ui-bundle.js";
    let answers = attacked.ask("the script of the API's page", script, false).await;
    assert_eq!(answers.statuses.keys().collect::<Vec<_>>(), [&200], "it costs nothing to send");
    attacked.ask("searches", "/products/search?q=mug&facets=category&limit=100", false).await;
    attacked.ask("reports", "/analytics/sales?group_by=product&interval=day", false).await;
    let answers = attacked.ask("exports", "/api/audit/export.ndjson", true).await;
    assert!(answers.statuses.contains_key(&429), "more than one caller may have at a time: {answers:?}");

    attacked.ask("how the shop stands", "/health/audit", false).await;

    let Attacked { process, .. } = attacked;
    assert_eq!(process.stop(), Some(0), "a stop was not graceful");
    place.remove().await;
}
