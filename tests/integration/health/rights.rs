//! Rights on a broker that were taken away: to write, and to read.

use std::process::Command;
use std::time::Duration;

use super::{Fault, nothing_is_lost, tried};
use crate::faults::Servers;
use crate::support::{Place, Set, TestShop, eventually};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rights_that_rabbitmq_refuses_are_named_and_recover_when_they_are_given_back() {
    let servers = Servers::up(23_820, &["rabbitmq"]);
    let mut place = Place::new(Set::Embedded).await;
    place.config.bus = servers.url("amqp", 4, "%2f");
    let shop = TestShop::serve(place).await;
    nothing_is_lost(&shop, "BEFORE").await;
    // To configure, to write, to read. Who consumes already is not asked again until it connects.
    let permit = |configure: &str, write: &str, read: &str| {
        servers.run(&["rabbitmqctl", "set_permissions", "-p", "/", "soonshop", configure, write, read]);
        servers.run(&["rabbitmqctl", "close_all_connections", "the rights are others"]);
    };
    let name = "soonshop.projector-test";
    for (what, rights) in [
        // Publishing is writing to the exchange.
        ("exchange 'soonshop'", (".*", "^$", ".*")),
        // Consuming is reading from the queue.
        (&format!("queue '{name}'")[..], (".*", ".*", "^soonshop$")),
    ] {
        let fault = Fault { check: "bus", object: what, remedy: "broker-rights" };
        let make = async || {
            permit(rights.0, rights.1, rights.2);
            // Commands go on, and are published once it is permitted.
            shop.client.product(&format!("WITHOUT-{}", what.len()), "Thing", 100, 0).await;
        };
        tried(&shop, fault, make, async || permit(".*", ".*", ".*")).await;
    }
    nothing_is_lost(&shop, "AFTER").await;
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rights_that_nats_refuses_are_named_and_recover_when_they_are_given_back() {
    let servers = Servers::up(23_840, &["nats"]);
    let mut place = Place::new(Set::Embedded).await;
    place.config.bus = format!("{}?stream=SHOP", servers.url("nats", 2, "").trim_end_matches('/'));
    let shop = TestShop::serve(place).await;
    nothing_is_lost(&shop, "BEFORE").await;
    let config = servers.folder().join("nats/nats.conf");
    let open = std::fs::read_to_string(&config).unwrap();
    let line = open.lines().find(|line| line.starts_with("authorization")).unwrap().to_owned();
    let process = std::fs::read_to_string(servers.folder().join("nats/pid")).unwrap().trim().to_owned();
    let port = servers.url("nats", 2, "").trim_end_matches('/').rsplit(':').next().unwrap().to_owned();
    let read_again = async |text: &str, welcome: bool| {
        std::fs::write(&config, text).unwrap();
        assert!(Command::new("kill").args(["-HUP", &process]).status().unwrap().success());
        eventually("the server has read its configuration", Duration::from_secs(60), async || {
            let login =
                async_nats::ConnectOptions::with_user_and_password("soonshop".into(), "soonshop".into());
            login.connect(format!("nats://127.0.0.1:{port}")).await.is_ok() == welcome
        })
        .await;
    };
    // Always a list of users: the server does not read a single one in its place again.
    let listed = |user: &str| open.replace(&line, &format!("authorization {{ users: [ {{ {user} }} ] }}"));
    let put = async |user: &str| {
        // Everybody is turned out once: what was asked for before is still answered otherwise.
        read_again(&listed("user: nobody, password: nobody"), false).await;
        read_again(&listed(user), true).await;
    };
    let login = "user: soonshop, password: soonshop";
    for (denied, what) in [
        // Publishing; and asking for the next messages of the queue.
        ("publish: { deny: [\"shop.>\"] }", "Violation for Publish to"),
        ("publish: { deny: [\"$JS.API.CONSUMER.MSG.NEXT.>\"] }", "CONSUMER.MSG.NEXT"),
        ("subscribe: { deny: [\"_INBOX.>\"] }", "Violation for Subscription to"),
    ] {
        let without = format!("{login}, permissions: {{ {denied} }}");
        let fault = Fault { check: "bus", object: what, remedy: "broker-rights" };
        let make = async || {
            put(&without).await;
            shop.client.product(&format!("WITHOUT-{}", denied.len()), "Thing", 100, 0).await;
        };
        tried(&shop, fault, make, async || put(login).await).await;
        shop.settle().await;
    }
    nothing_is_lost(&shop, "AFTER").await;
    shop.stop().await;
}
