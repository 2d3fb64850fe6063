//! Connections that break, and servers that stop, hang and come back.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use soonshop_domain::ids;
use soonshop_domain::inventory::Stock;
use soonshop_event_store::{CommandContext, EventStore, ExecuteError, Executed};
use sqlx::Executor as _;
use tokio::time::Instant;
use uuid::Uuid;

use crate::fixture::{Fixture, context, context_of, on_hand, receive};

/// Sends the command again with the same id until it is answered.
async fn surely(store: &EventStore, stream: Uuid, command: Uuid) -> Executed {
    loop {
        match store.execute::<Stock>(stream, receive(1), context_of(command)).await {
            Ok(executed) => return executed,
            Err(ExecuteError::Unavailable(_)) => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn every_command_is_done_once_although_connections_are_cut_all_the_time() {
    let shop = Fixture::postgres().await;
    let store = shop.store();
    let shared = ids::new();
    let mut cutter = shop.raw().await;
    let cutting = tokio::spawn(async move {
        let mut cut = 0_u64;
        for pause in (1..40).cycle() {
            let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() \
                       AND application_name = 'soonshop-appender'";
            cut += cutter.execute(sql).await.unwrap().rows_affected();
            if cut > 40 {
                break;
            }
            // At every moment of a connection's life.
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    });
    let mut writers = tokio::task::JoinSet::new();
    let enough = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    for number in 0..16 {
        let (store, enough) = (store.clone(), std::sync::Arc::clone(&enough));
        writers.spawn(async move {
            let own = ids::new();
            let mut answers = Vec::new();
            while !enough.load(std::sync::atomic::Ordering::Relaxed) || answers.len() < 10 {
                let stream = if (answers.len() + number) % 4 == 0 { shared } else { own };
                let command = ids::new();
                answers.push((command, surely(&store, stream, command).await.answer));
            }
            answers
        });
    }
    cutting.await.unwrap();
    enough.store(true, std::sync::atomic::Ordering::Relaxed);
    let answers: std::collections::HashMap<_, _> = writers.join_all().await.into_iter().flatten().collect();
    let events = shop.events().await;
    assert_eq!(events.len(), answers.len(), "each command has one event");
    for event in events {
        let metadata: soonshop_domain::Metadata = serde_json::from_str(&event.metadata).unwrap();
        let answer = &answers[&metadata.command_id.unwrap()];
        assert_eq!((answer.first_position, answer.version), (Some(event.position), Some(event.sequence)));
    }
    assert_eq!(
        shop.number("log", "SELECT count(*) FROM @commands").await,
        i64::try_from(answers.len()).unwrap()
    );
}

/// A backend was seen to commit three seconds after its client died: a repeat waits for it, and finds the id.
#[tokio::test]
async fn a_late_commit_for_a_dead_client_is_not_done_twice() {
    let shop = Fixture::postgres().await;
    let store = shop.store();
    // Its backend is slow once it has the lock, and goes on after its client is gone.
    shop.run(
        "log",
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(1); RETURN NULL; END $$; \
         CREATE TRIGGER slow AFTER INSERT ON log.events FOR EACH STATEMENT EXECUTE FUNCTION slow()",
    )
    .await;
    let (stream, command) = (ids::new(), ids::new());
    let first = tokio::spawn({
        let shop = shop.store();
        async move { shop.execute::<Stock>(stream, receive(1), context_of(command)).await }
    });
    crate::fixture::until("an append under way", async || {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'";
        shop.number("log", sql).await == 1
    })
    .await;
    first.abort();
    let again = store.execute::<Stock>(stream, receive(1), context_of(command)).await.unwrap();
    assert!(again.repeated);
    assert_eq!(shop.events().await.len(), 1);
}

/// A PostgreSQL server for one test, on its own ports; it stops with the test.
struct Server {
    script: PathBuf,
    folder: tempfile::TempDir,
    port: u16,
}

impl Server {
    fn start() -> Self {
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/services/services.sh");
        // Below the ports of outgoing connections: one of those could take it while the server is down. A run that was
        // killed may have left a server at the first.
        let free = |port: &u16| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok();
        let port = (23_200..23_300).step_by(20).find(free).unwrap();
        let server = Self { script, folder: tempfile::tempdir().unwrap(), port };
        server.call(&["up", "postgres"]);
        server
    }

    fn call(&self, arguments: &[&str]) {
        let status = Command::new(&self.script)
            .args(arguments)
            .env("SERVICES_DIR", self.folder.path().join("services"))
            .env("SERVICES_PORT_BASE", self.port.to_string())
            .output()
            .unwrap();
        assert!(status.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&status.stderr));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for verb in ["resume", "down"] {
            let stopped = Command::new(&self.script)
                .args([verb, "postgres"])
                .env("SERVICES_DIR", self.folder.path().join("services"))
                .env("SERVICES_PORT_BASE", self.port.to_string())
                .output();
            drop(stopped);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_gone_or_hangs_is_unavailable_in_time_and_taken_up_again_by_itself() {
    use std::os::unix::fs::PermissionsExt as _;
    let server = Server::start();
    // PostgreSQL does not run as root, and must be able to enter the folder.
    std::fs::set_permissions(server.folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let url = format!("postgres://soonshop:soonshop@127.0.0.1:{}/postgres", server.port);
    let shop = Fixture::postgres_at(&url).await;
    let store = shop.store();
    let (hot, cold) = (ids::new(), ids::new());
    for stream in [hot, cold] {
        store.execute::<Stock>(stream, receive(1), context()).await.unwrap();
    }
    let mut done = 2_i64;
    for (fault, cure) in [("kill", "up"), ("pause", "resume")] {
        server.call(&[fault, "postgres"]);
        let mut sent = Vec::new();
        // One stream whose state is in memory, one whose state must be read, and a second of patience for each.
        for stream in [hot, ids::new()] {
            let deadline = Instant::now() + Duration::from_secs(1);
            let context = CommandContext { deadline, ..context() };
            sent.push((stream, context.command_id));
            let refused = store.execute::<Stock>(stream, receive(1), context).await;
            assert!(matches!(refused, Err(ExecuteError::Unavailable(_))), "{fault}: {refused:?}");
            let late = Instant::now().duration_since(deadline);
            // A command without a deadline would wait as long as the server is away.
            assert!(late < Duration::from_secs(20), "{fault}: {late:?} too late");
        }
        server.call(&[cure, "postgres"]);
        for (stream, command) in sent {
            surely(&store, stream, command).await;
            done += 1;
        }
        assert_eq!(i64::try_from(shop.events().await.len()).unwrap(), done, "after {cure}");
    }
    assert_eq!(on_hand(&store, hot).await, (3, 3));
    drop(store);
    drop(shop);
    drop(server);
}
