//! Measures what the server takes for one append on its own: a bare `INSERT` of the same row, and the function that the
//! appender calls, both by `pgbench`. The rest of an append is ours: a hop to the appender, JSON, the driver.

use std::path::PathBuf;
use std::process::Command;

use sqlx::{Executor as _, PgPool};

use crate::seconds;

/// The same row, with a stream of its own, in a table with the keys of the log.
const INSERT: &str = "INSERT INTO bare.events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, \
     metadata, position, event_id, occurred_at, recorded_at) VALUES ('stock', gen_random_uuid()::text, 1, 'StockReceived', \
     '1', '{\"StockReceived\":{\"sku\":\"S-1-1\",\"location\":\"main\",\"quantity\":1}}', '{METADATA}', \
     nextval('bare.positions'), gen_random_uuid(), now(), now());";

const FUNCTION: &str = "SELECT base FROM log.append_one(gen_random_uuid(), '\\x0707070707070707070707070707070707070707070707070707070707070707', \
     200::smallint, NULL, 1, NULL, 'stock', gen_random_uuid()::text, 0, NULL, 1, 'StockReceived', '1', \
     '{\"StockReceived\":{\"sku\":\"S-1-1\",\"location\":\"main\",\"quantity\":1}}', '{METADATA}', gen_random_uuid(), now());";

fn pgbench() -> Option<PathBuf> {
    let found = std::fs::read_dir("/usr/lib/postgresql").ok()?.flatten();
    let mut files: Vec<_> =
        found.map(|version| version.path().join("bin/pgbench")).filter(|file| file.exists()).collect();
    files.sort();
    files.pop()
}

/// Transactions per second.
fn run(program: &PathBuf, url: &str, sql: &str, clients: usize) -> f64 {
    let script = tempfile::NamedTempFile::new().unwrap();
    let metadata = serde_json::to_string(&crate::metadata()).unwrap();
    // A colon before a word would be a variable.
    let sql = sql.replace("{METADATA}", &metadata).replace("\":", "\": ");
    std::fs::write(script.path(), sql).unwrap();
    let output = Command::new(program)
        .args(["--no-vacuum", "--protocol=prepared", "--jobs=1", &format!("--client={clients}")])
        .arg(format!("--time={}", seconds().as_secs().max(1)))
        .arg(format!("--file={}", script.path().display()))
        .arg(url)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let tps = text.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok());
    tps.unwrap_or_else(|| panic!("pgbench said {text} {}", String::from_utf8_lossy(&output.stderr)))
}

pub(crate) async fn floor(url: &str, pool: &PgPool) {
    let Some(program) = pgbench() else {
        println!("| a bare INSERT of the same row | pgbench is not installed | | |");
        return;
    };
    for sql in [
        "CREATE SCHEMA bare",
        "CREATE TABLE bare.events (LIKE log.events INCLUDING CONSTRAINTS INCLUDING INDEXES)",
        "CREATE SEQUENCE bare.positions",
    ] {
        pool.execute(sql).await.unwrap();
    }
    for clients in [1, 8, 32] {
        let bare = run(&program, url, INSERT, clients);
        let function = run(&program, url, FUNCTION, clients);
        println!(
            "| `log.append_one` by pgbench, {clients} clients | {function:.0} /s | {bare:.0} /s (bare INSERT of the same row by \
             pgbench) | {:.2} |",
            function / bare
        );
    }
}
