//! Brokers that restart, are killed, hang, lose their data or are full. Each test starts its own server with
//! `tests/services/services.sh`, and stops it in every case.
#![expect(clippy::unwrap_used, reason = "helpers of tests, where a panic is the report")]

mod common;

use std::collections::HashSet;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{LONG, message, publish, receive, receive_count};
use futures::future::join_all;
use soonshop_bus::{Bus, Delivery, Error, Message, Publisher, Settings, Subscription, connect_with};
use tempfile::TempDir;
use tokio::time::{interval, timeout};

/// Allowed on top of a setting's time limit, for a busy machine. Code without a limit would not be late by this much:
/// it would hang as long as its broker does.
const SLACK: Duration = Duration::from_secs(30);

fn impatient() -> Settings {
    Settings {
        connect: Duration::from_secs(2),
        confirm: Duration::from_secs(3),
        heartbeat: Duration::from_secs(1),
        pause_least: Duration::from_millis(50),
        pause_most: Duration::from_millis(500),
        ..common::settings()
    }
}

// ---- faults that both brokers get over -------------------------------------------------------------------

#[tokio::test]
async fn rabbitmq_gets_over_every_fault() {
    let server = Server::new("rabbitmq", "AMQP_URL");
    let bus = connect_with(&server.url, &impatient()).unwrap();
    let mut early = before_the_broker_is_up(&*bus, &server).await;
    a_restart(&*bus, &server).await;
    a_kill_with_messages_in_flight(&*bus, &mut *early, &server).await;
    a_broker_that_hangs(&*bus, &server).await;
    a_broker_that_lost_its_data(&*bus, &server).await;
    a_broker_short_of_memory(&*bus, &server).await;
    early.next(1).await.ok();
    drop((early, bus));
    eventually("no thread of a connection is left", || threads("lapin-io-loop") == 0).await;
}

#[tokio::test]
async fn nats_gets_over_every_fault() {
    let server = Server::new("nats", "NATS_URL");
    let bus = connect_with(&server.url, &impatient()).unwrap();
    let mut early = before_the_broker_is_up(&*bus, &server).await;
    a_restart(&*bus, &server).await;
    a_kill_with_messages_in_flight(&*bus, &mut *early, &server).await;
    a_broker_that_hangs(&*bus, &server).await;
    a_broker_that_lost_its_data(&*bus, &server).await;
    a_stream_at_its_limit(&server).await;
    a_stream_that_takes_no_more(&server).await;
    early.next(1).await.ok();
    drop((early, bus));
    let monitor = format!("http://127.0.0.1:{}/varz", PORTS + 3);
    eventually("no connection is left", || {
        let asked = Command::new("curl").args(["-fsS", &monitor]).output().unwrap();
        String::from_utf8(asked.stdout).unwrap().contains("\"connections\": 0,")
    })
    .await;
}

async fn before_the_broker_is_up(bus: &dyn Bus, server: &Server) -> Box<dyn Subscription> {
    eprintln!("{}: before the broker is up", server.name);
    let mut subscription = bus.subscribe("early").await.unwrap();
    let mut publisher = bus.publisher().await.unwrap();
    assert!(matches!(subscription.next(1).await, Err(Error::Unreachable { .. })));
    assert!(matches!(publisher.send(message(0)).await.err(), Some(Error::Unreachable { .. })));
    assert!(bus.ping().await.is_err());

    server.run("up").await;
    bus.ping().await.unwrap();
    // A queue exists once its subscription has reached the broker; `next` fails or waits, and declares it.
    let declared = async { while timeout(Duration::from_secs(1), subscription.next(1)).await.is_ok() {} };
    timeout(LONG, declared).await.expect("the subscription reaches the broker");
    confirmed(&mut *publisher, 1).await;
    assert_eq!(receive_count(&mut *subscription, 1).await, [message(1)]);
    subscription.acknowledge().await.unwrap();
    subscription
}

/// A subscription whose queue exists, so that it gets every message published from now on. A broker that was down
/// needs a while, and until then messages miss the queue.
async fn reached(bus: &dyn Bus, publisher: &mut dyn Publisher, queue: &str) -> Box<dyn Subscription> {
    let mut subscription = bus.subscribe(queue).await.unwrap();
    let probe = |number: usize| Message { id: format!("{queue}-{number}"), ..message(0) };
    let mut number = 0;
    let first = async {
        loop {
            number += 1;
            taken(publisher, &probe(number)).await;
            if let Ok(Ok(came)) = timeout(Duration::from_millis(500), subscription.next(100)).await {
                return came;
            }
        }
    };
    let came = timeout(LONG, first).await.expect("the subscription reaches the broker");
    if !came.contains(&probe(number)) {
        receive(&mut *subscription, |came| came.contains(&probe(number))).await;
    }
    subscription.acknowledge().await.unwrap();
    subscription
}

async fn a_restart(bus: &dyn Bus, server: &Server) {
    eprintln!("{}: a restart", server.name);
    let mut publisher = bus.publisher().await.unwrap();
    let mut subscription = reached(bus, &mut *publisher, "restart").await;
    publish(&mut *publisher, (10..20).map(message)).await;
    assert_eq!(receive_count(&mut *subscription, 10).await.len(), 10);
    subscription.acknowledge().await.unwrap();
    publish(&mut *publisher, (20..25).map(message)).await;
    assert_eq!(receive_count(&mut *subscription, 5).await.len(), 5);

    server.run("restart").await;
    confirmed(&mut *publisher, 25).await;
    let came = receive(&mut *subscription, |came| came.contains(&message(25))).await;
    assert_eq!(came[..6], (20..26).map(message).collect::<Vec<_>>(), "unacknowledged messages come first");
    assert_eq!(came.len(), 6, "acknowledged messages do not come again");
    bus.remove("restart").await.unwrap();
}

/// `old` has a queue that was made before the last restart. `RabbitMQ` can lose a newer one: it comes back without a
/// leader, and the broker confirms nothing until the subscription has declared it again.
async fn a_kill_with_messages_in_flight(bus: &dyn Bus, old: &mut dyn Subscription, server: &Server) {
    eprintln!("{}: a kill with messages in flight", server.name);
    let mut young = bus.subscribe("killed").await.unwrap();
    let mut publisher = bus.publisher().await.unwrap();
    let mut confirmations = Vec::new();
    let mut number = 100;
    let sending = async {
        // Until it notices the loss.
        while let Ok(confirmation) = publisher.send(message(number)).await {
            confirmations.push(confirmation);
            number += 1;
            tokio::task::yield_now().await;
        }
    };
    tokio::join!(sending, server.run("kill"));
    let before = Instant::now();
    let outcomes =
        timeout(impatient().confirm + SLACK, join_all(confirmations)).await.expect("all are answered for");
    let failed = outcomes.iter().filter(|outcome| outcome.is_err()).count();
    eprintln!("{failed} of {} had no answer, known in {:?}", outcomes.len(), before.elapsed());
    assert!(timeout(impatient().ping + SLACK, bus.ping()).await.unwrap().is_err());

    server.run("up").await;
    bus.ping().await.unwrap();
    let end = number;
    let sending = async {
        loop {
            confirmed(&mut *publisher, number).await;
            number += 1;
        }
    };
    let reading = async { tokio::join!(ids_up_to(old, end), ids_up_to(&mut *young, end)) };
    let (came, _) = tokio::select! {
        came = timeout(2 * LONG, reading) => came.expect("it goes on"),
        () = sending => unreachable!("it ends when all is read"),
    };
    for (outcome, number) in outcomes.iter().zip(100..) {
        assert!(outcome.is_err() || came.contains(&number), "{number} was confirmed, and is lost");
    }
    bus.remove("killed").await.unwrap();
}

/// Reads until it has seen a message of `end` or later.
async fn ids_up_to(subscription: &mut dyn Subscription, end: usize) -> HashSet<usize> {
    let mut came = HashSet::new();
    while came.iter().all(|number| *number < end) {
        if let Ok(more) = subscription.next(100).await {
            // The messages that tested whether the queue exists have other ids.
            came.extend(
                more.iter().filter_map(|message| message.id.strip_prefix("id-")?.parse::<usize>().ok()),
            );
            subscription.acknowledge().await.ok();
        }
    }
    came
}

async fn a_broker_that_hangs(bus: &dyn Bus, server: &Server) {
    eprintln!("{}: a broker that hangs", server.name);
    let mut publisher = bus.publisher().await.unwrap();
    let mut subscription = reached(bus, &mut *publisher, "hangs").await;
    confirmed(&mut *publisher, 1_002_000).await;
    assert_eq!(receive_count(&mut *subscription, 1).await, [message(1_002_000)]);
    subscription.acknowledge().await.unwrap();
    bus.ping().await.unwrap();
    let threads_before = threads("lapin-io-loop");

    let paused = server.paused().await;
    let in_flight = publisher.send(message(1_002_001)).await.unwrap();
    let before = Instant::now();
    let asked = async { tokio::join!(in_flight, subscription.next(1), bus.ping(), bus.subscribe("hangs-2")) };
    let (answer, came, ping, other) = timeout(LONG, asked).await.expect("no call waits for ever");
    assert!(matches!(answer, Err(Error::Unreachable { .. })), "{answer:?}");
    assert!(matches!(came, Err(Error::Unreachable { .. })), "{came:?}");
    assert!(matches!(ping, Err(Error::Unreachable { .. })), "{ping:?}");
    assert!(other.is_ok(), "a subscription does not wait for the broker");
    drop(other);
    assert!(before.elapsed() < impatient().confirm + SLACK, "{:?}", before.elapsed());
    // From here on everything tries to reconnect, and gives up in time.
    let before = Instant::now();
    for _ in 0..4 {
        let before = Instant::now();
        assert!(bus.ping().await.is_err());
        assert!(before.elapsed() < impatient().ping + SLACK, "{:?}", before.elapsed());
        assert!(publisher.send(message(1_002_002)).await.is_err());
    }
    assert!(before.elapsed() < 4 * (impatient().ping + impatient().connect) + SLACK);
    eventually("given up attempts leave no thread", || threads("lapin-io-loop") <= threads_before).await;
    drop(paused);

    confirmed(&mut *publisher, 1_002_003).await;
    receive(&mut *subscription, |came| came.contains(&message(1_002_003))).await;
    let ping = async { while bus.ping().await.is_err() {} };
    timeout(LONG, ping).await.expect("it answers again");
    bus.remove("hangs").await.unwrap();
    bus.remove("hangs-2").await.unwrap();
}

async fn a_broker_that_lost_its_data(bus: &dyn Bus, server: &Server) {
    eprintln!("{}: a broker that lost its data", server.name);
    let mut publisher = bus.publisher().await.unwrap();
    let mut subscription = reached(bus, &mut *publisher, "lost").await;
    // A broker that removes duplicates remembers the message ids of the test with the kill, however many it sent.
    let first = 2_000_000;
    confirmed(&mut *publisher, first).await;
    assert_eq!(receive_count(&mut *subscription, 1).await, [message(first)]);
    server.run("down").await;
    std::fs::remove_dir_all(server.dir.path().join(server.name).join("data")).unwrap();
    server.run("up").await;
    // Until the queue exists again it misses messages: they are in the log.
    let mut number = first + 1;
    let came = async {
        loop {
            confirmed(&mut *publisher, number).await;
            if let Ok(Ok(came)) = timeout(Duration::from_millis(100), subscription.next(10)).await {
                return came;
            }
            number += 1;
        }
    };
    assert!(!timeout(LONG, came).await.expect("all is declared anew").contains(&message(first)));
    bus.remove("lost").await.unwrap();
}

// ---- full -------------------------------------------------------------------------------------------------

async fn a_broker_short_of_memory(bus: &dyn Bus, server: &Server) {
    eprintln!("{}: a broker short of memory", server.name);
    let mut subscription = bus.subscribe("alarm").await.unwrap();
    let mut publisher = bus.publisher().await.unwrap();
    publish(&mut *publisher, (4000..4010).map(message)).await;

    server.rabbitmqctl(&["set_vm_memory_high_watermark", "absolute", "1"]).await;
    let before = Instant::now();
    let mut refused = 0;
    while refused < 5 {
        let sent =
            timeout(impatient().confirm + SLACK, publisher.send(message(4010))).await.expect("send returns");
        let answer = match sent {
            Ok(confirmation) => {
                timeout(impatient().confirm + SLACK, confirmation).await.expect("it resolves")
            }
            Err(error) => Err(error),
        };
        match answer {
            // The alarm takes a moment.
            Ok(_) => assert!(before.elapsed() < LONG),
            Err(Error::Refused { .. }) => refused += 1,
            Err(error) => assert!(matches!(error, Error::Unreachable { .. }), "{error}"),
        }
    }
    bus.ping().await.unwrap();
    let came = receive_count(&mut *subscription, 10).await;
    assert_eq!(came[..10], (4000..4010).map(message).collect::<Vec<_>>(), "readers go on");

    server.rabbitmqctl(&["set_vm_memory_high_watermark", "0.4"]).await;
    confirmed(&mut *publisher, 4011).await;
    receive(&mut *subscription, |came| came.contains(&message(4011))).await;
    bus.remove("alarm").await.unwrap();
}

async fn a_stream_at_its_limit(server: &Server) {
    let small = Settings { stream_bytes: 1024 * 1024, ..impatient() };
    let bus = connect_with(&format!("{}?stream=SMALL", server.url), &small).unwrap();
    drop(bus.subscribe("full").await.unwrap());
    let mut publisher = bus.publisher().await.unwrap();
    let large = |number| Message { body: vec![b'x'; 10_000].into(), ..message(number) };
    for delivery in publish(&mut *publisher, (0..300).map(large)).await {
        assert_eq!(delivery.unwrap(), Delivery::Confirmed);
    }
    let mut subscription = bus.subscribe("full").await.unwrap();
    let came = receive(&mut *subscription, |came| came.contains(&large(299))).await;
    assert!(came.len() < 110, "{}", came.len());
    assert_eq!(came, (300 - came.len()..300).map(large).collect::<Vec<_>>(), "the newest, in order");
}

/// A stream as an operator may have made it: when full it refuses messages, and loses none silently.
async fn a_stream_that_takes_no_more(server: &Server) {
    use async_nats::jetstream::stream::{Config, DiscardPolicy};
    let client = server.nats().await;
    let config = Config {
        name: "STRICT".to_owned(),
        subjects: vec!["strict.>".to_owned()],
        max_messages: 5,
        discard: DiscardPolicy::New,
        ..Config::default()
    };
    async_nats::jetstream::new(client).create_stream(config).await.unwrap();
    let bus = connect_with(&format!("{}?stream=STRICT", server.url), &impatient()).unwrap();
    let mut publisher = bus.publisher().await.unwrap();
    let answers = publish(&mut *publisher, (0..6).map(message)).await;
    assert!(answers[..5].iter().all(Result::is_ok), "{answers:?}");
    assert!(matches!(answers[5], Err(Error::Refused { .. })), "{answers:?}");
}

// ---- the server ------------------------------------------------------------------------------------------

/// The first of twenty ports for these tests; the two servers take different ones. They are below the ports that the
/// kernel gives to outgoing connections.
const PORTS: u16 = 23_000;

struct Server {
    name: &'static str,
    dir: Arc<TempDir>,
    url: String,
}

impl Server {
    /// A server that is not started yet.
    fn new(name: &'static str, variable: &str) -> Self {
        let dir = Arc::new(tempfile::Builder::new().prefix("soonshop-bus-").tempdir().unwrap());
        let printed = script(&dir, &["env"]).output().unwrap();
        let printed = String::from_utf8(succeeded(printed).stdout).unwrap();
        let line =
            printed.lines().find_map(|line| line.strip_prefix(&format!("export {variable}="))).unwrap();
        Self { name, dir, url: line.trim_matches(['\'', '"']).to_owned() }
    }

    async fn run(&self, verb: &'static str) {
        let mut command = script(&self.dir, &[verb, self.name]);
        self.blocking(move || command.output().unwrap()).await;
    }

    /// Runs `work` outside the runtime's thread, where connections go on.
    async fn blocking(&self, work: impl FnOnce() -> Output + Send + 'static) {
        succeeded(timeout(3 * LONG, tokio::task::spawn_blocking(work)).await.unwrap().unwrap());
    }

    async fn paused(&self) -> Paused<'_> {
        let paused = Paused(self);
        self.run("pause").await;
        paused
    }

    async fn rabbitmqctl(&self, arguments: &[&str]) {
        let home = self.dir.path().join("rabbitmq");
        let mut command = Command::new("/usr/lib/rabbitmq/bin/rabbitmqctl");
        command.args(["-n", "soonshop@localhost"]).args(arguments).env("HOME", home).stdin(Stdio::null());
        command.env("ERL_EPMD_ADDRESS", "127.0.0.1").env("ERL_EPMD_PORT", (PORTS + 7).to_string());
        command.env("RABBITMQ_CONF_ENV_FILE", "/dev/null");
        self.blocking(move || command.output().unwrap()).await;
    }

    async fn nats(&self) -> async_nats::Client {
        let url = url::Url::parse(&self.url).unwrap();
        let (user, password) = (url.username().to_owned(), url.password().unwrap().to_owned());
        async_nats::ConnectOptions::with_user_and_password(user, password)
            .connect(url.as_str())
            .await
            .unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let down = script(&self.dir, &["down", self.name]).output();
        if !down.as_ref().is_ok_and(|down| down.status.success()) {
            eprintln!("{} may still be up: {down:?}", self.name);
        }
    }
}

struct Paused<'server>(&'server Server);

impl Drop for Paused<'_> {
    fn drop(&mut self) {
        let resumed = script(&self.0.dir, &["resume", self.0.name]).output();
        if !resumed.as_ref().is_ok_and(|resumed| resumed.status.success()) {
            eprintln!("{} may still be paused: {resumed:?}", self.0.name);
        }
    }
}

fn script(dir: &TempDir, arguments: &[&str]) -> Command {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/services/services.sh");
    let mut command = Command::new(std::env::var_os("SERVICES_SCRIPT").map_or(beside, PathBuf::from));
    command.args(arguments).stdin(Stdio::null());
    command.env("SERVICES_DIR", dir.path()).env("SERVICES_PORT_BASE", PORTS.to_string());
    command
}

fn succeeded(output: Output) -> Output {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

// ---- helpers ---------------------------------------------------------------------------------------------

/// Sends until the broker confirms it.
async fn confirmed(publisher: &mut dyn Publisher, number: usize) {
    taken(publisher, &message(number)).await;
}

async fn taken(publisher: &mut dyn Publisher, message: &Message) {
    let sending = async {
        loop {
            match publisher.send(message.clone()).await {
                Ok(confirmation) => match confirmation.await {
                    Ok(_) => return,
                    Err(error) => eprintln!("not yet: {error}"),
                },
                Err(error) => eprintln!("not yet: {error}"),
            }
        }
    };
    timeout(LONG, sending).await.expect("the broker takes it in the end");
}

async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let waiting = async {
        let mut ticks = interval(Duration::from_millis(50));
        while !holds() {
            ticks.tick().await;
        }
    };
    assert!(timeout(LONG, waiting).await.is_ok(), "never: {what}");
}

fn threads(name: &str) -> usize {
    let named = |task: std::io::Result<std::fs::DirEntry>| {
        let comm = std::fs::read_to_string(task.ok()?.path().join("comm")).ok()?;
        Some(comm.trim() == name)
    };
    std::fs::read_dir("/proc/self/task").unwrap().filter_map(named).filter(|is| *is).count()
}
