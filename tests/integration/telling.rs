//! The output of `replay-tool` for people: in their language, the same for scripts in every language, and always true.

use std::collections::BTreeSet;
use std::process::{Command, Output as Ran, Stdio};
use std::time::Duration;

use sea_orm::ConnectionTrait as _;
use serde_json::Value;

use crate::replay::{code, lines, ran, sold, tool};
use crate::support::{Place, Set, TestShop, built, eventually};

/// The tool without any language setting of the environment.
fn plain(place: &Place, args: &[&str]) -> Command {
    let mut command = Command::new(built("replay-tool"));
    for name in ["LC_ALL", "LC_MESSAGES", "LANG"] {
        command.env_remove(name);
    }
    command
        .args(args)
        .args(["--store", &place.config.store, "--cache", &place.config.cache])
        .args(["--search", &place.config.search])
        .arg("--master-key-file")
        .arg(&place.config.master_key_file)
        .arg("--log-file")
        .arg(place.folder.path().join("tool.log"))
        .stdin(Stdio::null());
    command
}

async fn ran_with(mut command: Command) -> Ran {
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

/// Words that stay as they are in Chinese: verbs and flags that are typed, names of read models, aggregates, programs,
/// channels, signals and permissions, values of flags, units, and names of this shop's goods, of a process manager and of guests.
const MAY_STAY: &[&str] = &[
    "rebuild",
    "verify",
    "swap",
    "status",
    "plan",
    "resume",
    "cancel",
    "throttle",
    "diff",
    "export",
    "check",
    "acknowledge",
    "doctor",
    "completions",
    "man",
    "help",
    "retry",
    "discard",
    "shell",
    "JSON",
    "NDJSON",
    "CSV",
    "TLS",
    "PEM",
    "UTC",
    "rollback",
    "retire",
    "deploy",
    "view",
    "step",
    "list",
    "parked",
    "runs",
    "tail",
    "show",
    "pause",
    "soonshop",
    "migrate",
    "orders",
    "carts",
    "cart",
    "products",
    "stock",
    "users",
    "analytics",
    "audit",
    "order",
    "user",
    "product",
    "person",
    "credit_note",
    "payment",
    "payments",
    "checkout",
    "checkouts",
    "account",
    "session",
    "signing_key",
    "gate",
    "client",
    "role",
    "registration",
    "api",
    "API",
    "cli",
    "process",
    "system",
    "guest",
    "service",
    "support",
    "SIGINT",
    "SIGTERM",
    "INSERT",
    "UUID",
    "SKU",
    "Ctrl",
    "base",
    "kB",
    "MB",
    "GB",
    "FILE",
    "fold",
    "null",
    "true",
    "main",
    "digest",
    "full",
    "sample",
    "FROM",
    "MODE",
    "PUBKEY",
    "PROJECTION",
    "false",
    "POT",
    "TEA",
    "fulfilment",
    "anonymous",
    "Green",
    "tea",
    "Teapot",
    "CHUNK",
    "LISTEN",
];

/// Every verb, and the tool itself, whose help is read.
const VERBS: &[&[&str]] = &[
    &[],
    &["list"],
    &["status"],
    &["plan"],
    &["rebuild"],
    &["verify"],
    &["swap"],
    &["rollback"],
    &["retire"],
    &["deploy"],
    &["pause"],
    &["resume"],
    &["cancel"],
    &["throttle"],
    &["runs"],
    &["show"],
    &["diff"],
    &["step"],
    &["export"],
    &["tail"],
    &["check"],
    &["acknowledge"],
    &["view"],
    &["doctor"],
    &["parked"],
    &["parked", "list"],
    &["parked", "retry"],
    &["parked", "discard"],
    &["completions"],
    &["man"],
];

/// A line of help without the parts that are typed: placeholders, values, defaults and variables of the environment.
fn without_placeholders(line: &str) -> String {
    let mut text = line.trim_start().to_owned();
    if let Some((value, rest)) = text.strip_prefix("- ").and_then(|row| row.split_once('：'))
        && value.is_ascii()
    {
        text = rest.to_owned();
    }
    for (opens, closes) in [('<', '>'), ('[', ']')] {
        while let Some(from) = text.find(opens) {
            let to = text[from..].find(closes).map_or(text.len(), |length| from + length + 1);
            text.replace_range(from..to, " ");
        }
    }
    text
}

/// Words of a line that are neither Chinese nor a name, a code, an id or a value.
fn english(line: &str) -> Vec<String> {
    let mut text = line.to_owned();
    // Documents, quoted values, and commands to copy.
    if let (Some(from), Some(to)) = (text.find('{'), text.rfind('}')) {
        text.replace_range(from..=to, " ");
    }
    for quote in ['"', '`', '\''] {
        text = text.split(quote).step_by(2).collect::<Vec<_>>().join(" ");
    }
    let separates = |sign: char| sign.is_whitespace() || !sign.is_ascii() || "(),;=!<>[]|".contains(sign);
    text.split(separates)
        .map(|word| word.trim_matches(['.', ':']))
        .filter(|word| word.len() > 1 && word.chars().all(|sign| sign.is_ascii_alphabetic()))
        // Types of events.
        .filter(|word| {
            let inside = |is: fn(&char) -> bool| word.chars().skip(1).any(|sign| is(&sign));
            !(inside(char::is_ascii_uppercase) && inside(char::is_ascii_lowercase))
        })
        .filter(|word| !MAY_STAY.contains(word))
        .map(str::to_owned)
        .collect()
}

/// Lines that are not Chinese.
fn not_chinese(args: &[&str], ran: &Ran) -> Vec<String> {
    let mut lines = Vec::new();
    for bytes in [&ran.stdout, &ran.stderr] {
        let text = String::from_utf8(bytes.clone()).unwrap();
        if serde_json::from_str::<Value>(&text).is_ok() {
            continue;
        }
        for line in text.lines() {
            // The record holds the sentence as it was stored.
            let line = line.split("记录：").next().unwrap();
            if !english(line).is_empty() {
                lines.push(format!("{args:?}: {:?} in {line:?}", english(line)));
            }
        }
    }
    lines
}

/// Every verb, also where it refuses, answers in Chinese with `--lang zh-CN`.
async fn in_chinese(set: Set) {
    let shop = sold(set, 6).await;
    let place = &shop.place;
    let page = shop.client.get("/orders?limit=1").await.expect(200).json();
    let order = page["items"][0]["id"].as_str().unwrap().to_owned();
    let file = place.folder.path().join("export.ndjson");
    let file = file.to_str().unwrap();
    let cases: &[(&[&str], i32)] = &[
        (&["list"], 0),
        (&["status", "--wide"], 0),
        (&["status", "orders"], 0),
        (&["plan", "orders"], 0),
        (&["rebuild", "orders", "--dry-run"], 0),
        (&["rebuild", "orders", "--max-rate", "1/s", "--progress", "plain", "--timeout", "1s"], 124),
        (&["plan", "orders"], 0),
        (&["rebuild", "orders", "--progress", "plain", "--reason", "test"], 0),
        (&["swap", "orders"], 4),
        (&["swap", "orders", "--expect-gen", "7"], 4),
        (&["swap", "orders", "--accept-diff", "run:1"], 2),
        (&["verify", "orders", "--progress", "plain"], 0),
        (&["verify", "products"], 4),
        (&["verify", "orders", "--ignore", "/nothing"], 2),
        (&["verify", "orders", "--report", "/nowhere/at/all"], 2),
        (&["verify", "orders"], 0),
        (&["swap", "orders"], 0),
        (&["rollback", "orders"], 0),
        (&["rollback", "orders"], 4),
        (&["retire", "orders"], 2),
        (&["retire", "orders", "--min-age", "72h", "--yes"], 0),
        (&["retire", "orders", "--min-age", "0s", "--dry-run"], 0),
        (&["retire", "orders", "--min-age", "0s", "--yes"], 0),
        (&["retire", "orders", "--gen", "1", "--yes"], 4),
        (&["deploy", "stock", "--bake", "1s"], 0),
        (&["pause", "999"], 4),
        (&["resume", "999"], 4),
        (&["cancel", "999"], 4),
        (&["throttle", "999", "--max-rate", "5/s"], 4),
        (&["status", "--run", "1"], 124),
        (&["status", "--run", "999"], 2),
        (&["runs"], 0),
        (&["show", "order", &order], 0),
        (&["show", "order", &order, "--as-of", "v99"], 2),
        (&["show", "spaceship", &order], 2),
        (&["show", "order", "nothing"], 2),
        (&["show", "order", &order, "--as-of", "p1"], 2),
        (&["diff", "order", &order, "v1", "v2"], 0),
        (&["diff", "order", &order, "v1", "v1"], 0),
        (&["diff", "order", &order, "v1", "--patch"], 0),
        (&["step", "orders", "--key", &order], 0),
        (&["step", "orders", "--key", "nothing"], 2),
        (&["tail", "--after", "0"], 0),
        (&["tail", "--after", "0", "--follow", "--timeout", "1s"], 124),
        (&["export", "--out", file, "--progress", "plain"], 0),
        (&["export", "--json"], 2),
        (&["export", "--out", "/nowhere/at/all"], 2),
        (&["view", "/nowhere/at/all.ndjson"], 2),
        (&["view", file, "--timeout", "1s"], 124),
        (&["check"], 0),
        (&["check", "--from", "1000000"], 3),
        (&["check", "--pubkey", "nonsense"], 2),
        (&["doctor"], 0),
        (&["parked", "list"], 0),
        (&["parked", "retry", "orders", "--dry-run"], 0),
        (&["parked", "retry", "orders"], 0),
        (&["parked", "discard", "orders", "--reason", "none", "--dry-run"], 0),
        (&["parked", "discard", "orders", "--reason", "none"], 2),
        (&["parked", "discard", "orders", "--reason", "none", "--yes"], 0),
        (&["rebuild", "spaceships"], 2),
        (&["rebuild", "orders", "--chunk", "0"], 2),
        (&["rebuild", "orders", "--max-rate", "fast"], 2),
        (&["diff", "order", &order, "yesterday"], 2),
        (&["fly"], 2),
        (&["rebuild"], 2),
        (&["list", "--nothing"], 2),
        (&["verify", "orders", "--mode", "none"], 2),
        (&["rebuild", "orders", "--resume", "--fresh"], 2),
        (&["rebuild", "orders", "--chunk", "many"], 2),
        (&["rebuild", "orders", "--chunk"], 2),
        (&["rebuild", "orders", "products"], 2),
        (&["rebuild", "orders", "--fresh", "--fresh"], 2),
        (&["rebuild", "orders", "--freshly"], 2),
        (&["rebuilds", "orders"], 2),
        (&["acknowledge", "--from", "0", "--reason", "none"], 2),
        (&["view", "x", "--listen", "here"], 2),
        (&[], 2),
    ];
    let mut wrong = Vec::new();
    for (args, expected) in cases {
        let ran = ran_with(plain(place, &[*args, &["--lang", "zh-CN"]].concat())).await;
        let message = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert_eq!(code(&ran), *expected, "{args:?}: {message}");
        if !args.contains(&"--json") {
            wrong.extend(not_chinese(args, &ran));
        }
    }
    wrong.extend(helped(place).await);
    wrong.extend(found(&shop, &order).await);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    shop.stop().await;
}

/// Reads the help of every verb, in short and in full, and the manual.
async fn helped(place: &Place) -> Vec<String> {
    let mut wrong = Vec::new();
    for verb in VERBS {
        for flag in ["-h", "--help"] {
            let mut command = plain(place, &[verb, &[flag, "--lang", "zh-CN"][..]].concat());
            // So wide that no placeholder is wrapped.
            command.env("COLUMNS", "1000");
            let ran = ran_with(command).await;
            let message = String::from_utf8(ran.stdout.clone()).unwrap();
            assert_eq!((code(&ran), ran.stderr.is_empty()), (0, true), "{verb:?}");
            assert!(message.contains("用法: ") && message.contains("选项:"), "{verb:?}: {message}");
            for line in message.lines() {
                let words = english(&without_placeholders(line));
                wrong.extend((!words.is_empty()).then(|| format!("{verb:?} {flag}: {words:?} in {line:?}")));
            }
            let english = ran_with(plain(place, &[verb, &[flag, "--lang", "en"][..]].concat())).await;
            let message = String::from_utf8(english.stdout).unwrap();
            assert!(message.contains("Usage: ") && message.contains("ptions"), "{verb:?}: {message}");
            assert!(message.chars().all(|sign| sign.is_ascii() || sign == '…'), "{verb:?}: {message}");
        }
    }
    // A key file that is missing.
    let mut command = Command::new(built("replay-tool"));
    command.args(["list", "--lang", "zh-CN", "--store", &place.config.store]);
    command.args(["--master-key-file", "/nowhere/master.key"]).stdin(Stdio::null());
    let ran = ran_with(command).await;
    assert_eq!(code(&ran), 2);
    wrong.extend(not_chinese(&["--master-key-file"], &ran));
    let manual = ran_with(plain(place, &["man", "--lang", "zh-CN"])).await;
    let manual = String::from_utf8(manual.stdout).unwrap();
    for heading in ["名称", "概要", "说明", "选项", "命令", "补充", "版本"] {
        assert!(manual.contains(&format!(".SH {heading}\n")), "{heading}: {manual}");
    }
    wrong
}

/// Makes findings to print: rows that differ, and events that are parked.
async fn found(shop: &TestShop, order: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let place = &shop.place;
    assert_eq!(code(&ran(place, &["rebuild", "orders"]).await), 0);
    let tool = tool(place, soonshop_projections::all()).await;
    let generation = tool.candidate("orders", None).await.unwrap().generation;
    let db = generation.db(tool.registry.database()).unwrap();
    let change = async |sql: String| {
        assert_eq!(db.connection.execute_unprepared(&db.sql(&sql)).await.unwrap().rows_affected(), 1);
    };
    change(format!("UPDATE @orders SET total = total + 1 WHERE id = '{order}'")).await;
    change(format!(
        "INSERT INTO @parked (position, event_id, rows, cause) VALUES (1, '{}', '[]', 'E42')",
        uuid::Uuid::nil()
    ))
    .await;
    for (args, expected) in [
        (&["verify", "orders"][..], 3),
        (&["swap", "orders"], 4),
        (&["swap", "orders", "--accept-diff", "run:1"], 2),
        (&["swap", "orders", "--accept-diff", "run:1", "--reason", "none"], 4),
        (&["parked", "list"], 0),
        (&["status", "orders"], 3),
        (&["parked", "discard", "orders", "--reason", "none", "--yes"], 0),
        (&["runs", "orders"], 0),
    ] {
        let ran = ran_with(plain(place, &[args, &["--lang", "zh-CN"]].concat())).await;
        assert_eq!(code(&ran), expected, "{args:?}: {}", String::from_utf8_lossy(&ran.stderr));
        wrong.extend(not_chinese(args, &ran));
    }
    wrong
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_verb_answers_in_chinese_on_request_embedded() {
    Box::pin(in_chinese(Set::Embedded)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_verb_answers_in_chinese_on_request_on_real_servers() {
    Box::pin(in_chinese(Set::Rabbit)).await;
}

/// Scripts read the same in every language; people are asked for theirs by flag, or by their environment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scripts_read_the_same_in_every_language() {
    let shop = sold(Set::Embedded, 4).await;
    let place = &shop.place;
    let page = shop.client.get("/orders?limit=1").await.expect(200).json();
    let order = page["items"][0]["id"].as_str().unwrap().to_owned();
    // So that a refused run is on record, and a warning is not waited for.
    assert_eq!(code(&ran(place, &["rebuild", "orders", "--json"]).await), 0);
    shop.settle().await;
    for args in [
        &["show", "order", &order][..],
        &["diff", "order", &order, "v1"],
        &["step", "orders", "--key", &order],
        &["tail"],
        &["check", "--from", "1000000"],
        &["doctor"],
        &["parked", "list"],
        &["parked", "retry", "--dry-run"],
        &["swap", "orders"],
        &["swap", "orders", "--expect-gen", "7"],
        &["retire", "orders"],
        &["rebuild", "nothing"],
        &["pause", "999"],
        &["tail", "--follow", "--after", "999999", "--timeout", "1s"],
        &["fly"],
        &["rebuild", "orders", "--max-rate", "fast"],
    ] {
        let in_language = async |tag| {
            let ran = ran_with(plain(place, &[args, &["--json", "--lang", tag]].concat())).await;
            lines(&ran);
            (code(&ran), String::from_utf8(ran.stdout).unwrap(), String::from_utf8(ran.stderr).unwrap())
        };
        let (english, chinese) = (in_language("en").await, in_language("zh-CN").await);
        let tagged = |text: &str| text.replace("--lang en", "").replace("--lang zh-CN", "");
        assert_eq!((english.0, tagged(&english.1)), (chinese.0, tagged(&chinese.1)), "{args:?}");
        assert!(english.2.is_empty() || english.2 != chinese.2, "{args:?}: {}", english.2);
    }
    let unknown = ran_with(plain(place, &["list", "--lang", "de"])).await;
    let message = String::from_utf8(unknown.stderr.clone()).unwrap();
    assert!(code(&unknown) == 2 && message.contains("en, zh-CN"), "{message}");
    for (name, value, chinese) in [
        ("LANG", "zh_CN.UTF-8", true),
        ("LC_MESSAGES", "zh_CN.UTF-8", true),
        ("LC_ALL", "zh_CN.UTF-8", true),
        ("LANG", "en_GB.UTF-8", false),
        ("LANG", "", false),
    ] {
        let mut command = plain(place, &["parked", "list"]);
        command.env(name, value);
        let message = String::from_utf8(ran_with(command).await.stderr).unwrap();
        assert_eq!(!message.is_ascii(), chinese, "{name}={value}: {message}");
    }
    let mut command = plain(place, &["parked", "list"]);
    command.env("LC_ALL", "C").env("LANG", "zh_CN.UTF-8");
    assert!(ran_with(command).await.stderr.is_ascii(), "the first that says anything counts");
    shop.stop().await;
}

/// A stopped run says that its work is saved only if it can be continued.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_run_that_can_be_continued_says_that_it_is_saved() {
    let shop = sold(Set::Embedded, 30).await;
    let place = &shop.place;
    let slow = ["rebuild", "orders", "--max-rate", "1/s", "--progress", "none"];
    for (args, saved) in [
        (&[&slow[..], &["--timeout", "1s"]].concat()[..], true),
        (&["tail", "--follow", "--timeout", "1s"], false),
        (&["status", "--run", "1", "--timeout", "1s"], false),
    ] {
        let ran = ran_with(plain(place, &[args, &["--json"]].concat())).await;
        let last = lines(&ran).pop().unwrap();
        // The first run is over, so that a watcher ends as it did.
        assert_eq!(code(&ran), 124, "{args:?}: {last}");
        if args[0] != "status" {
            let message = last["message"].as_str().unwrap();
            let expected = if saved {
                "the time limit was reached; progress is saved"
            } else {
                "the time limit was reached"
            };
            assert_eq!(message, expected, "{args:?}");
        }
    }
    // Stopped twice, the work before the current chunk is saved all the same.
    let tool = tool(place, soonshop_projections::all()).await;
    // A new run: the shop, which has this version, has continued the one before.
    let anew = [&slow[..], &["--fresh"]].concat();
    let child = plain(place, &anew).stderr(Stdio::piped()).spawn().unwrap();
    let position = async || tool.runs.last(Some("orders"), 1).await.unwrap()[0].progress;
    eventually("it is on its way", Duration::from_secs(60), async || {
        let run = tool.runs.last(Some("orders"), 1).await.unwrap().remove(0);
        !run.state.is_over() && run.progress.position > run.progress.from_position
    })
    .await;
    let at = position().await;
    assert!(at.position > 0);
    crate::replay::signal(&child, "-INT");
    let ended = child.wait_with_output().unwrap();
    assert_eq!(code(&ended), 130);
    let message = String::from_utf8(ended.stderr).unwrap();
    assert!(message.ends_with("replay-tool: interrupted by SIGINT; progress is saved\n"), "{message}");
    let words: BTreeSet<_> = message.lines().filter(|line| line.contains("saved at position")).collect();
    assert_eq!(words.len(), 1, "{message}");
    shop.stop().await;
}
