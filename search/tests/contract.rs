//! One contract for every backend: the hits and their order, not their scores. Each test has its own index.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

#[path = "../../tests/services/encrypted.rs"]
mod encrypted;
#[path = "contract/spellings.rs"]
mod spellings;
#[path = "contract/suite.rs"]
mod suite;
#[path = "contract/too_large.rs"]
mod too_large;

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use futures::FutureExt;
use soonshop_search::{Change, Error, Query, Search, connect};
use suite::INDEX;

type Running<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// The address of a server, with a prefix that no other test has.
fn server(variable: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let Ok(url) = std::env::var(variable) else {
        panic!("{variable} is not set: run `make test`, or `eval \"$(tests/services/services.sh env)\"`")
    };
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{url}?prefix=t{}_{count}_", std::process::id())
}

/// Runs a test on an empty index, and removes it in every case.
async fn on(url: &str, test: for<'a> fn(&'a dyn Search) -> Running<'a>) {
    let search = connect(url).unwrap();
    search.create(INDEX).await.unwrap();
    let outcome = AssertUnwindSafe(test(&*search)).catch_unwind().await;
    search.remove(INDEX).await.unwrap();
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

macro_rules! contract {
    ($($module:ident::$test:ident)*) => {
        mod tantivy {
            $(#[tokio::test]
            async fn $test() {
                let folder = tempfile::tempdir().unwrap();
                let url = format!("tantivy://{}", folder.path().display());
                super::on(&url, |search| Box::pin(super::$module::$test(search))).await;
            })*
        }
        mod elasticsearch {
            $(#[tokio::test]
            async fn $test() {
                super::on(&super::server("ELASTICSEARCH_URL"), |search| Box::pin(super::$module::$test(search))).await;
            })*
        }
        mod opensearch {
            $(#[tokio::test]
            async fn $test() {
                super::on(&super::server("OPENSEARCH_URL"), |search| Box::pin(super::$module::$test(search))).await;
            })*
        }
    };
}

contract! {
    suite::words_are_found_in_every_field
    suite::typos_are_forgiven_in_words_and_not_in_skus
    suite::accents_case_and_endings_do_not_matter
    suite::chinese_is_found_by_its_words
    suite::a_sku_is_found_by_all_of_it_and_by_its_beginning
    suite::better_matches_come_first
    suite::facets_are_counted_without_their_own_filter
    suite::the_values_that_a_filter_chose_are_always_listed
    suite::values_that_look_the_same_are_one
    suite::any_name_of_an_attribute_can_be_asked_for
    suite::prices_and_currencies_filter
    suite::a_product_is_found_and_sorted_by_any_of_its_prices_in_the_asked_currency
    suite::every_sort_has_its_order
    suite::pages_neither_skip_nor_repeat
    suite::highlights_are_marked_and_escaped
    suite::suggestions_begin_with_the_typed_text
    suite::an_older_change_is_skipped
    suite::a_deleted_document_stays_deleted
    suite::the_checkpoint_moves_with_the_changes
    suite::a_missing_index_is_named
    suite::any_typed_text_is_accepted
    suite::values_may_contain_punctuation
    spellings::a_word_is_found_with_and_without_separators
    spellings::a_part_number_is_found_without_its_signs_and_by_its_middle
    spellings::typos_are_forgiven_only_where_nothing_is_found_as_typed
    spellings::mark_up_is_neither_searched_nor_shown
}

/// The parameters of an address for the files of TLS.
const TLS: encrypted::Names = ["ca", "cert", "key"];

/// The address of a server that speaks TLS, with a prefix that no other test has.
fn over_tls(variable: &str) -> String {
    encrypted::right(&server(variable), TLS)
}

#[tokio::test]
async fn words_are_found_over_tls() {
    for variable in ["ELASTICSEARCH_TLS_URL", "OPENSEARCH_TLS_URL"] {
        on(&over_tls(variable), |search| Box::pin(suite::words_are_found_in_every_field(search))).await;
        on(&over_tls(variable), |search| Box::pin(suite::the_checkpoint_moves_with_the_changes(search)))
            .await;
    }
}

#[tokio::test]
async fn a_server_with_tls_takes_the_right_files_only() {
    for variable in ["ELASTICSEARCH_TLS_URL", "OPENSEARCH_TLS_URL"] {
        let address = encrypted::server(variable);
        encrypted::only_the_right_files_are_taken(&address, TLS, async |url: String| {
            let search = connect(&url).map_err(|error| error.to_string())?;
            search.ping().await.map_err(|error| error.to_string())
        })
        .await;
    }
}

/// A certificate that was renewed is shown with the next connection.
#[tokio::test]
async fn files_that_change_are_read_after_a_failure() {
    let folder = tempfile::tempdir().unwrap();
    let files = std::path::PathBuf::from(std::env::var("TLS_FILES").unwrap());
    let put = |from: &str, to: &str| std::fs::copy(files.join(from), folder.path().join(to)).unwrap();
    for (from, to) in
        [("authority.pem", "ca.pem"), ("client-of-other.pem", "own.pem"), ("client.key", "own.key")]
    {
        put(from, to);
    }
    let place = folder.path().display();
    let address = encrypted::server("ELASTICSEARCH_TLS_URL");
    let search =
        connect(&format!("{address}?ca={place}/ca.pem&cert={place}/own.pem&key={place}/own.key")).unwrap();
    search.ping().await.unwrap_err();
    put("client.pem", "own.pem");
    search.ping().await.unwrap();
}

#[tokio::test]
async fn an_address_is_checked_before_anything_connects() {
    for url in [
        "",
        "data",
        "ftp://x",
        "tantivy://",
        "tantivy://data?prefix=x",
        "http://",
        "http://x?prefix=A",
        "http://x?a=b",
        "http://x?ca=a.pem",
        "https://x?ca=/no/such/file.pem",
        "https://x?cert=a.pem",
    ] {
        assert!(matches!(connect(url), Err(Error::Address { .. })), "{url}");
    }
    let Err(error) = connect("http://name:secret@x?a=b") else { panic!() };
    assert!(!error.to_string().contains("secret"), "{error}");
}

#[tokio::test]
async fn a_server_that_is_down_is_reported_in_time() {
    // Bound and released: no server listens there.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let search = connect(&format!("http://127.0.0.1:{port}")).unwrap();
    let started = Instant::now();
    assert!(matches!(search.ping().await, Err(Error::Unreachable { .. })));
    assert!(matches!(search.search(INDEX, &Query::default()).await, Err(Error::Unreachable { .. })));
    assert!(matches!(search.suggest(INDEX, "x", 1).await, Err(Error::Unreachable { .. })));
    assert!(matches!(search.checkpoint(INDEX).await, Err(Error::Unreachable { .. })));
    let delete = Change::Delete { id: "x".into(), version: 1 };
    assert!(matches!(search.apply(INDEX, &[delete], "1").await, Err(Error::Unreachable { .. })));
    assert!(started.elapsed() < Duration::from_secs(40), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_server_that_hangs_fails_in_time() {
    // The backlog accepts connections, but there is no answer.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let search = connect(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let started = Instant::now();
    assert!(matches!(search.ping().await, Err(Error::Unreachable { .. })));
    // Within its own time limit (1.8 s), not that of a query (5 s).
    assert!(started.elapsed() < Duration::from_millis(4_900), "{:?}", started.elapsed());
    assert!(matches!(search.search(INDEX, &Query::default()).await, Err(Error::Unreachable { .. })));
    // Without a limit it would never end; with that of a change (a minute) it would take longer.
    assert!(started.elapsed() < Duration::from_secs(40), "{:?}", started.elapsed());
}

/// A server that gives these answers, one connection each; returns the requests.
async fn answering(answers: Vec<(u16, &'static str)>) -> (String, tokio::task::JoinHandle<Vec<String>>) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let task = tokio::spawn(async move {
        let mut asked = Vec::new();
        for (status, body) in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            // Head and body come in one piece or two; the length says when they are complete.
            let whole = |request: &[u8]| {
                let text = String::from_utf8_lossy(request).to_lowercase();
                let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                body.len() >= length.map_or(0, |length| length.parse().unwrap())
            };
            while !whole(&request) {
                stream.read_buf(&mut request).await.unwrap();
            }
            asked.push(String::from_utf8(request).unwrap());
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
        asked
    });
    (address, task)
}

#[tokio::test]
async fn user_and_password_of_the_address_are_sent_decoded() {
    let (address, asked) = answering(vec![(200, "{}")]).await;
    connect(&format!("http://shop:p%40ss@{address}")).unwrap().ping().await.unwrap();
    let asked = asked.await.unwrap();
    assert!(asked[0].contains("Basic c2hvcDpwQHNz"), "{}", asked[0]);
}

#[tokio::test]
async fn a_busy_server_is_asked_again_and_a_failed_item_stops_the_checkpoint() {
    let change = [Change::Delete { id: "x".into(), version: 1 }];
    let done = r#"{"errors":false,"items":[{"index":{"_id":"x","status":200}}]}"#;
    let busy = r#"{"errors":true,"items":[{"index":{"_id":"x","status":429,"error":{"type":"busy"}}}]}"#;
    let (address, asked) = answering(vec![(503, ""), (200, busy), (200, done), (201, "{}")]).await;
    let search = connect(&format!("http://{address}")).unwrap();
    search.apply(INDEX, &change, "main:7").await.unwrap();
    let asked = asked.await.unwrap();
    assert!(asked[3].contains("main:7") && asked[..3].iter().all(|asked| asked.contains("_bulk")));

    let broken = r#"{"errors":true,"items":[{"index":{"_id":"x","status":400,"error":{"type":"strict","reason":"no such field"}}}]}"#;
    let (address, asked) = answering(vec![(200, broken)]).await;
    let error =
        connect(&format!("http://{address}")).unwrap().apply(INDEX, &change, "main:8").await.unwrap_err();
    assert!(
        error.to_string().contains("document x") && error.to_string().contains("no such field"),
        "{error}"
    );
    assert_eq!(asked.await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_folder_is_reopened_at_its_checkpoint_and_the_error_for_a_damaged_one_names_the_cure() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("tantivy://{}", folder.path().display());
    let search = connect(&url).unwrap();
    search.create(INDEX).await.unwrap();
    search.apply(INDEX, &[suite::put("a", 1, "Red mug")], "main:1").await.unwrap();
    drop(search);

    let search = connect(&url).unwrap();
    assert_eq!(search.checkpoint(INDEX).await.unwrap().as_deref(), Some("main:1"));
    assert_eq!(suite::found(&*search, "mug").await, ["a"]);
    drop(search);

    for damage in ["{", "{}", r#"{"segments":[],"schema":[],"opstamp":0}"#] {
        std::fs::write(folder.path().join(INDEX).join("meta.json"), damage).unwrap();
        let search = connect(&url).unwrap();
        let refused = search.search(INDEX, &Query::default()).await.unwrap_err();
        assert!(matches!(refused, Error::Refused { .. }), "{refused}");
        let text = refused.to_string();
        assert!(
            text.contains(&*folder.path().to_string_lossy()) && text.contains("delete that folder"),
            "{text}"
        );
        assert!(matches!(search.create(INDEX).await, Err(Error::Refused { .. })));
    }
    let search = connect(&url).unwrap();
    search.remove(INDEX).await.unwrap();
    search.create(INDEX).await.unwrap();
    assert_eq!(search.checkpoint(INDEX).await.unwrap(), None);
}

#[tokio::test]
async fn damaged_segments_are_refused_without_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("tantivy://{}", folder.path().display());
    let search = connect(&url).unwrap();
    search.create(INDEX).await.unwrap();
    search.apply(INDEX, &[suite::put("a", 1, "Red mug")], "main:1").await.unwrap();
    drop(search);
    for entry in std::fs::read_dir(folder.path().join(INDEX)).unwrap() {
        let path = entry.unwrap().path();
        if !path.to_string_lossy().ends_with(".json") {
            std::fs::write(path, "rubbish").unwrap();
        }
    }
    let error = connect(&url).unwrap().search(INDEX, &Query::default()).await.unwrap_err();
    assert!(error.to_string().contains("delete that folder"), "{error}");
}

const CHILD: &str = "SOONSHOP_SEARCH_TEST_FOLDER";

/// The other half of the test below: writes until it is killed.
#[tokio::test]
async fn a_writer_that_is_killed() {
    use std::io::Write;
    let Ok(url) = std::env::var(CHILD) else { return };
    let search = connect(&url).unwrap();
    search.create(INDEX).await.unwrap();
    for n in 1.. {
        search.apply(INDEX, &[suite::put(&n.to_string(), n, "Mug")], &n.to_string()).await.unwrap();
        let mut out = std::io::stdout().lock();
        writeln!(out, "\napplied {n}").unwrap();
        out.flush().unwrap();
    }
}

#[tokio::test]
async fn after_a_kill_the_index_matches_its_checkpoint() {
    use std::io::BufRead;
    let folder = tempfile::tempdir().unwrap();
    let url = format!("tantivy://{}", folder.path().display());
    for kill_after in ["applied 3", "applied 20", "applied 45"] {
        let _ = std::fs::remove_dir_all(folder.path().join(INDEX));
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_writer_that_is_killed", "--nocapture"])
            .env(CHILD, &url)
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = std::io::BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let message = lines.any(|line| line == kill_after);
        // It keeps writing: SIGKILL may hit any step.
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(message, "the writer ended by itself");

        let search = connect(&url).unwrap();
        let at: i64 = search.checkpoint(INDEX).await.unwrap().unwrap().parse().unwrap();
        let applied: i64 = kill_after.trim_start_matches("applied ").parse().unwrap();
        assert!(at >= applied, "every reported change is in the index");
        let page = search.search(INDEX, &Query { limit: 1, ..Query::default() }).await.unwrap();
        assert_eq!(i64::try_from(page.total).unwrap(), at);
        search.apply(INDEX, &[suite::put("after", 999, "Mug")], "999").await.unwrap();
        assert_eq!(suite::found(&*search, "mug").await.len() as u64, (page.total + 1).min(100));
    }
}
