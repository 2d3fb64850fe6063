//! The contract of every cache: the same tests on moka and on a real Redis.
#![expect(clippy::unwrap_used, reason = "a test's helpers")]

#[path = "../../tests/services/encrypted.rs"]
mod encrypted;
#[path = "contract/rates.rs"]
mod rates;

use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use soonshop_cache::{Cache, Entry, Error, connect};
use uuid::Uuid;

fn entry(value: impl Into<Bytes>, position: i64) -> Entry {
    Entry { value: value.into(), position }
}

fn keys(keys: &[&str]) -> Vec<String> {
    keys.iter().map(|key| (*key).to_owned()).collect()
}

/// A space for one test.
fn space() -> String {
    format!("rm_products_{}", Uuid::new_v4().simple())
}

fn redis_url() -> String {
    std::env::var("REDIS_URL").expect(
        "REDIS_URL is not set, and this suite needs a real Redis: run `make test`, or \
         `tests/services/services.sh up redis` and `eval \"$(tests/services/services.sh env)\"`",
    )
}

/// With a prefix for one test.
fn redis() -> Arc<dyn Cache> {
    connect(&format!("{}?prefix=test-{}:", redis_url(), Uuid::new_v4().simple())).unwrap()
}

/// The parameters of an address for the files of TLS.
const TLS: encrypted::Names = ["ca", "cert", "key"];

fn redis_over_tls() -> Arc<dyn Cache> {
    let address = encrypted::right(&encrypted::server("REDIS_TLS_URL"), TLS);
    connect(&format!("{address}&prefix=test-{}:", Uuid::new_v4().simple())).unwrap()
}

#[tokio::test]
async fn a_redis_with_tls_takes_the_right_files_only() {
    let address = encrypted::server("REDIS_TLS_URL");
    encrypted::only_the_right_files_are_taken(&address, TLS, async |url: String| {
        let cache = connect(&url).map_err(|error| error.to_string())?;
        cache.ping().await.map_err(|error| error.to_string())
    })
    .await;
}

/// A certificate that was renewed is shown with the next connection, and the cache is as it was.
#[tokio::test]
async fn files_that_change_are_read_with_the_next_connection() {
    let folder = tempfile::tempdir().unwrap();
    let files = std::path::PathBuf::from(std::env::var("TLS_FILES").unwrap());
    let put = |from: &str, to: &str| std::fs::copy(files.join(from), folder.path().join(to)).unwrap();
    for (from, to) in
        [("authority.pem", "ca.pem"), ("client-expired.pem", "own.pem"), ("client.key", "own.key")]
    {
        put(from, to);
    }
    let place = folder.path().display();
    let address = encrypted::server("REDIS_TLS_URL");
    let cache =
        connect(&format!("{address}?ca={place}/ca.pem&cert={place}/own.pem&key={place}/own.key")).unwrap();
    let message = cache.ping().await.unwrap_err().to_string();
    assert!(message.contains("own.pem ended on 2020-12-31T23:59:59Z"), "{message}");
    put("client.pem", "own.pem");
    is_reachable_again(&*cache).await;
    put("other-authority.pem", "ca.pem");
    // The connection that there is goes on.
    cache.ping().await.unwrap();
}

async fn an_entry_is_returned_until_it_is_invalidated(cache: Arc<dyn Cache>) {
    let s = &space();
    assert_eq!(cache.get(s, "k").await.unwrap(), None);
    assert!(cache.put(s, "k", entry("v", 5)).await.unwrap());
    assert_eq!(cache.get(s, "k").await.unwrap(), Some(entry("v", 5)));
    cache.invalidate(s, &keys(&["k"]), 6).await.unwrap();
    assert_eq!(cache.get(s, "k").await.unwrap(), None);
    cache.ping().await.unwrap();
}

async fn a_value_may_be_empty_large_or_any_bytes(cache: Arc<dyn Cache>) {
    let s = &space();
    for value in [vec![], vec![0xff, 0, b'\r', b'\n'], vec![7; 1 << 20]] {
        assert!(cache.put(s, "k", entry(value.clone(), 5)).await.unwrap());
        assert_eq!(cache.get(s, "k").await.unwrap(), Some(entry(value, 5)));
    }
}

async fn a_newer_entry_is_not_replaced_by_an_older_one(cache: Arc<dyn Cache>) {
    let s = &space();
    assert!(cache.put(s, "k", entry("new", 1 << 53)).await.unwrap());
    assert!(!cache.put(s, "k", entry("old", (1 << 53) - 1)).await.unwrap());
    assert!(cache.put(s, "k", entry("same", 1 << 53)).await.unwrap());
    assert!(cache.put(s, "k", entry("newer", (1 << 53) + 1)).await.unwrap());
    assert!(!cache.put(s, "k", entry("same", 1 << 53)).await.unwrap());
    assert_eq!(cache.get(s, "k").await.unwrap(), Some(entry("newer", (1 << 53) + 1)));
}

async fn entries_below_the_floor_are_refused(cache: Arc<dyn Cache>) {
    let s = &space();
    cache.invalidate(s, &keys(&["k", "l"]), 10).await.unwrap();
    assert!(!cache.put(s, "k", entry("old", 9)).await.unwrap());
    assert_eq!(cache.get(s, "k").await.unwrap(), None);
    assert!(cache.put(s, "k", entry("at", 10)).await.unwrap());
    assert!(cache.put(s, "l", entry("above", 11)).await.unwrap());
    assert!(cache.put(s, "m", entry("another", 1)).await.unwrap());
}

async fn an_entry_that_already_has_the_change_stays(cache: Arc<dyn Cache>) {
    let s = &space();
    cache.put(s, "k", entry("v", 10)).await.unwrap();
    cache.invalidate(s, &keys(&["k"]), 10).await.unwrap();
    assert_eq!(cache.get(s, "k").await.unwrap(), Some(entry("v", 10)));
    cache.invalidate(s, &keys(&["k"]), 11).await.unwrap();
    assert_eq!(cache.get(s, "k").await.unwrap(), None);
}

async fn a_floor_never_sinks(cache: Arc<dyn Cache>) {
    let s = &space();
    cache.invalidate(s, &keys(&["k"]), 10).await.unwrap();
    cache.invalidate(s, &keys(&["k"]), 3).await.unwrap();
    assert!(!cache.put(s, "k", entry("old", 9)).await.unwrap());
    assert!(cache.put(s, "k", entry("new", 10)).await.unwrap());
    // A stored entry also counts as a floor.
    assert!(!cache.put(s, "k", entry("old", 9)).await.unwrap());
}

async fn many_keys_are_invalidated_at_once_and_none_is_no_error(cache: Arc<dyn Cache>) {
    let s = &space();
    let many: Vec<String> = (0..2_500).map(|n| n.to_string()).collect();
    for key in ["0", "499", "500", "2499"] {
        assert!(cache.put(s, key, entry("v", 1)).await.unwrap());
    }
    cache.invalidate(s, &many, 2).await.unwrap();
    for key in ["0", "499", "500", "2499"] {
        assert_eq!(cache.get(s, key).await.unwrap(), None);
    }
    cache.invalidate(s, &[], 3).await.unwrap();
}

async fn spaces_and_keys_of_any_name_are_separate(cache: Arc<dyn Cache>) {
    let s = space();
    let spaces =
        [s.clone(), format!("{s}:a"), format!("{s}*"), format!("{s}?"), format!("{s}%3Aa"), format!("{s}a")];
    let names = ["", ":", "*", "a:b", "價錢", "k[1]"];
    for (n, space) in spaces.iter().enumerate() {
        for name in names {
            assert!(cache.put(space, name, entry(format!("{n}{name}"), 1)).await.unwrap());
        }
        cache.set_checkpoint(space, &n.to_string()).await.unwrap();
    }
    cache.invalidate(&spaces[1], &keys(&["*"]), 2).await.unwrap();
    cache.drop_space(&s).await.unwrap();
    cache.drop_space(&spaces[2]).await.unwrap();
    for (n, space) in spaces.iter().enumerate() {
        let dropped = n == 0 || n == 2;
        assert_eq!(cache.checkpoint(space).await.unwrap(), (!dropped).then(|| n.to_string()));
        for name in names {
            let there = !(dropped || n == 1 && name == "*");
            let expected = there.then(|| entry(format!("{n}{name}"), 1));
            assert_eq!(cache.get(space, name).await.unwrap(), expected, "{space} {name}");
        }
    }
}

async fn a_checkpoint_is_kept_beside_the_entries(cache: Arc<dyn Cache>) {
    let s = &space();
    assert_eq!(cache.checkpoint(s).await.unwrap(), None);
    for checkpoint in ["main:42", "", "main:43"] {
        cache.set_checkpoint(s, checkpoint).await.unwrap();
        assert_eq!(cache.checkpoint(s).await.unwrap().as_deref(), Some(checkpoint));
    }
}

async fn a_dropped_space_forgets_everything_and_takes_nothing_read_before(cache: Arc<dyn Cache>) {
    let s = &space();
    cache.put(s, "k", entry("v", 5)).await.unwrap();
    cache.invalidate(s, &keys(&["l"]), 7).await.unwrap();
    cache.set_checkpoint(s, "7").await.unwrap();
    cache.drop_space(s).await.unwrap();
    assert_eq!(cache.get(s, "k").await.unwrap(), None);
    assert_eq!(cache.checkpoint(s).await.unwrap(), None);
    assert!(!cache.put(s, "l", entry("read before the floor that is gone", 6)).await.unwrap());
    assert_eq!(cache.get(s, "l").await.unwrap(), None);
    cache.drop_space(s).await.unwrap();
    // An unused space can be dropped at the start, and stays open.
    let unused = &space();
    cache.checkpoint(unused).await.unwrap();
    cache.drop_space(unused).await.unwrap();
    cache.set_checkpoint(unused, "9").await.unwrap();
    assert!(cache.put(unused, "k", entry("v", 9)).await.unwrap());
}

/// Readers read the value, wait, and store it, while the value changes and is invalidated.
async fn an_old_value_never_wins(cache: Arc<dyn Cache>) {
    let s: Arc<str> = space().into();
    let truth = Arc::new(AtomicI64::new(1));
    let message = Arc::new(AtomicI64::new(1));
    let hits = Arc::new(AtomicI64::new(0));
    let over = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..32)
        .map(|number: usize| {
            let (cache, s, truth, message) = (cache.clone(), s.clone(), truth.clone(), message.clone());
            let (hits, over) = (hits.clone(), over.clone());
            tokio::spawn(async move {
                while !over.load(Ordering::SeqCst) {
                    let lowest = message.load(Ordering::SeqCst);
                    if let Some(found) = cache.get(&s, "k").await.unwrap() {
                        assert!(found.position >= lowest, "{} after {lowest} was announced", found.position);
                        assert_eq!(found.value, found.position.to_string());
                        hits.fetch_add(1, Ordering::SeqCst);
                    }
                    let read = truth.load(Ordering::SeqCst);
                    for _ in 0..=number {
                        tokio::task::yield_now().await;
                    }
                    cache.put(&s, "k", entry(read.to_string(), read)).await.unwrap();
                }
            })
        })
        .collect();
    let begun = Instant::now();
    let mut changes = 0;
    while changes < 300 || hits.load(Ordering::SeqCst) < 300 {
        assert!(begun.elapsed() < Duration::from_mins(2), "{changes} changes and {hits:?} hits");
        assert!(readers.iter().all(|reader| !reader.is_finished()), "a reader saw an old value");
        let change = truth.fetch_add(1, Ordering::SeqCst) + 1;
        cache.invalidate(&s, &keys(&["k"]), change).await.unwrap();
        message.store(change, Ordering::SeqCst);
        changes += 1;
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }
    over.store(true, Ordering::SeqCst);
    for reader in readers {
        reader.await.unwrap();
    }
}

macro_rules! contract {
    ($($sentence:ident),+ $(,)?) => {
        mod moka {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $sentence() {
                super::$sentence(soonshop_cache::connect("moka:").unwrap()).await;
            })+
        }
        mod redis {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $sentence() {
                super::$sentence(super::redis()).await;
            })+
        }
        mod redis_over_tls {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $sentence() {
                super::$sentence(super::redis_over_tls()).await;
            })+
        }
    };
}

contract![
    an_entry_is_returned_until_it_is_invalidated,
    a_value_may_be_empty_large_or_any_bytes,
    a_newer_entry_is_not_replaced_by_an_older_one,
    entries_below_the_floor_are_refused,
    an_entry_that_already_has_the_change_stays,
    a_floor_never_sinks,
    many_keys_are_invalidated_at_once_and_none_is_no_error,
    spaces_and_keys_of_any_name_are_separate,
    a_checkpoint_is_kept_beside_the_entries,
    a_dropped_space_forgets_everything_and_takes_nothing_read_before,
    an_old_value_never_wins,
];

/// Two processes of the shop.
#[tokio::test]
async fn redis_is_one_cache_for_all_and_nothing_stays_in_it_for_ever() {
    let prefix = format!("test-{}:", Uuid::new_v4().simple());
    let url = format!("{}?prefix={prefix}", redis_url());
    let (one, other) = (connect(&url).unwrap(), connect(&url).unwrap());
    let s = &space();
    assert!(one.put(s, "k", entry("v", 5)).await.unwrap());
    assert_eq!(other.get(s, "k").await.unwrap(), Some(entry("v", 5)));
    one.invalidate(s, &keys(&["k", "l"]), 6).await.unwrap();
    assert!(!other.put(s, "k", entry("v", 5)).await.unwrap());
    assert!(other.put(s, "k", entry("w", 6)).await.unwrap());
    one.set_checkpoint(s, "6").await.unwrap();
    assert_eq!(other.checkpoint(s).await.unwrap().as_deref(), Some("6"));

    let client = ::redis::Client::open(redis_url()).unwrap();
    let mut raw = client.get_multiplexed_async_connection().await.unwrap();
    let lives = async |raw: &mut ::redis::aio::MultiplexedConnection| -> Vec<i64> {
        let mut cursor = 0_u64;
        let mut lives = Vec::new();
        loop {
            let mut scan = ::redis::cmd("SCAN");
            scan.arg(cursor).arg("MATCH").arg(format!("{prefix}*")).arg("COUNT").arg(1_000);
            let (next, names): (u64, Vec<String>) = scan.query_async(raw).await.unwrap();
            for name in names {
                lives.push(::redis::cmd("PTTL").arg(name).query_async(raw).await.unwrap());
            }
            if next == 0 {
                break;
            }
            cursor = next;
        }
        lives.sort_unstable();
        lives
    };
    let (minute, day) = (60_000, 86_400_000);
    let found = lives(&mut raw).await;
    assert_eq!(found.len(), 3, "an epoch, an entry and a floor: {found:?}");
    assert!(
        (1..=minute).contains(&found[0]) && (minute..=day).contains(&found[1]) && found[2] > day,
        "{found:?}"
    );

    one.drop_space(s).await.unwrap();
    assert_eq!(lives(&mut raw).await, Vec::<i64>::new());
    // The other process notices by itself.
    assert!(!other.put(s, "k", entry("w", 6)).await.unwrap());
    assert_eq!(other.get(s, "k").await.unwrap(), None);
}

/// A Redis for one test, stopped at its end.
struct Server {
    dir: tempfile::TempDir,
}

impl Server {
    fn run(&self, verb: &str) -> Output {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/services/services.sh");
        Command::new(script)
            .args([verb, "redis"])
            .env("SERVICES_DIR", self.dir.path())
            .env("SERVICES_PORT_BASE", "23100")
            .output()
            .unwrap()
    }

    fn must(&self, verb: &str) {
        let output = self.run(verb);
        assert!(output.status.success(), "{verb}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.run("resume");
        self.run("down");
    }
}

async fn is_unreachable_soon(cache: &dyn Cache, s: &str) {
    for n in 0..4 {
        let begun = Instant::now();
        let error = match n {
            0 => cache.get(s, "k").await.unwrap_err(),
            1 => cache.put(s, "k", entry("v", 9)).await.unwrap_err(),
            2 => cache.ping().await.unwrap_err(),
            _ => cache.invalidate(s, &keys(&["k"]), 9).await.unwrap_err(),
        };
        assert!(matches!(error, Error::Unreachable { backend: "redis", .. }), "{error}");
        // The time limit is 300 ms; without one it would hang as long as the server does.
        assert!(begun.elapsed() < Duration::from_secs(10), "{n}: {:?}", begun.elapsed());
    }
}

async fn is_reachable_again(cache: &dyn Cache) {
    let begun = Instant::now();
    while let Err(error) = cache.ping().await {
        assert!(begun.elapsed() < Duration::from_mins(1), "{error}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_redis_that_hangs_stops_or_loses_everything_does_no_harm() {
    let server = Server { dir: tempfile::tempdir().unwrap() };
    server.must("up");
    let url = "redis://default:soonshop@127.0.0.1:23101/0";
    let cache = connect(url).unwrap();
    let s = &space();
    assert!(cache.put(s, "k", entry("v", 5)).await.unwrap());
    cache.invalidate(s, &keys(&["l"]), 7).await.unwrap();
    cache.set_checkpoint(s, "7").await.unwrap();

    server.must("pause");
    is_unreachable_soon(&*cache, s).await;
    server.must("resume");
    is_reachable_again(&*cache).await;
    assert_eq!(cache.get(s, "k").await.unwrap(), Some(entry("v", 5)));

    server.must("kill");
    is_unreachable_soon(&*cache, s).await;
    let late = connect(url).unwrap();
    is_unreachable_soon(&*late, s).await;
    std::fs::remove_dir_all(server.dir.path().join("redis")).unwrap();
    server.must("up");
    is_reachable_again(&*cache).await;
    is_reachable_again(&*late).await;

    assert_eq!(cache.checkpoint(s).await.unwrap(), None, "this is how its loss is noticed");
    // The floor is lost with the entries, but these old reads are still refused.
    assert!(!cache.put(s, "l", entry("old", 6)).await.unwrap());
    assert!(!late.put(s, "l", entry("old", 6)).await.unwrap());
    assert_eq!(cache.get(s, "l").await.unwrap(), None);
    // The server has lost the scripts as well.
    cache.invalidate(s, &keys(&["l"]), 8).await.unwrap();
    cache.set_checkpoint(s, "8").await.unwrap();
    let fresh = connect(url).unwrap();
    assert!(!fresh.put(s, "l", entry("old", 7)).await.unwrap());
    assert!(fresh.put(s, "l", entry("new", 8)).await.unwrap());
    assert_eq!(cache.get(s, "l").await.unwrap(), Some(entry("new", 8)));
}
