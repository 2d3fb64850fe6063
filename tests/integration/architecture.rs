//! The dependency arrows between the crates, as the design draws them, and between the files of each crate.

mod circles;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Each crate, and the crates of ours that it may name directly.
const ARROWS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("private-files", &[]),
    ("certificates", &["private-files"]),
    ("event-log", &["domain", "private-files", "certificates"]),
    ("event-store", &["domain", "event-log"]),
    ("bus", &["certificates"]),
    ("cache", &["certificates"]),
    ("search", &["private-files", "certificates"]),
    ("texts", &[]),
    ("migrations", &[]),
    ("service-kit", &["domain", "certificates", "cache"]),
    ("projections", &["domain", "event-log", "cache", "search"]),
    ("audit", &["domain", "event-log", "projections"]),
    ("identity", &["domain", "event-log"]),
    ("payments", &["domain", "event-log"]),
    ("workers", &["domain", "event-log", "event-store", "bus", "identity", "payments"]),
    ("command-api", &["domain", "event-log", "event-store", "service-kit"]),
    ("query-api", &["domain", "event-log", "projections", "cache", "search", "service-kit"]),
    (
        "audit-web",
        &["domain", "event-log", "projections", "audit", "cache", "search", "service-kit", "texts"],
    ),
    (
        "replay-tool",
        &[
            "domain",
            "event-log",
            "projections",
            "cache",
            "search",
            "migrations",
            "audit",
            "audit-web",
            "service-kit",
            "texts",
        ],
    ),
];

/// Crates of others that a crate of ours must never reach, directly or not.
const NEVER: &[(&str, &[&str])] = &[
    (
        "domain",
        &["axum", "sqlx", "sea-orm", "lapin", "async-nats", "redis", "elasticsearch", "tantivy", "reqwest"],
    ),
    ("event-log", &["lapin", "async-nats", "axum"]),
    (
        "identity",
        &["lapin", "async-nats", "axum", "soonshop-service-kit", "soonshop-event-store", "soonshop-bus"],
    ),
    ("payments", &["lapin", "async-nats", "axum", "soonshop-event-store", "soonshop-bus"]),
    ("projections", &["lapin", "async-nats", "axum", "soonshop-event-store", "soonshop-bus"]),
    ("workers", &["axum", "soonshop-service-kit", "soonshop-command-api"]),
    // It must not depend on HTTP.
    (
        "audit",
        &["axum", "lapin", "async-nats", "soonshop-service-kit", "soonshop-event-store", "soonshop-bus"],
    ),
    ("query-api", &["lapin", "async-nats", "soonshop-event-store", "soonshop-bus", "soonshop-audit"]),
    ("audit-web", &["lapin", "async-nats", "soonshop-event-store", "soonshop-bus", "soonshop-query-api"]),
    // It has nothing to append, publish or command with.
    (
        "replay-tool",
        &[
            "lapin",
            "async-nats",
            "soonshop-event-store",
            "soonshop-bus",
            "soonshop-command-api",
            "soonshop-query-api",
            "soonshop-workers",
        ],
    ),
];

fn packages() -> BTreeMap<String, BTreeSet<String>> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--no-deps", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut packages = BTreeMap::new();
    for package in metadata["packages"].as_array().unwrap() {
        let normal = package["dependencies"].as_array().unwrap().iter().filter(|d| d["kind"].is_null());
        let names = normal.map(|d| d["name"].as_str().unwrap().to_owned()).collect();
        packages.insert(package["name"].as_str().unwrap().to_owned(), names);
    }
    packages
}

fn reached(packages: &BTreeMap<String, BTreeSet<String>>, from: &str) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    let mut next = vec![from.to_owned()];
    while let Some(name) = next.pop() {
        for dependency in packages.get(&name).into_iter().flatten() {
            if seen.insert(dependency.clone()) && dependency.starts_with("soonshop") {
                next.push(dependency.clone());
            }
        }
    }
    seen
}

#[test]
fn every_crate_names_only_allowed_crates() {
    let packages = packages();
    for (name, allowed) in ARROWS {
        let named = &packages[&format!("soonshop-{name}")];
        let ours: BTreeSet<&str> = named.iter().filter_map(|d| d.strip_prefix("soonshop-")).collect();
        let extra: Vec<_> = ours.iter().filter(|d| !allowed.contains(d)).collect();
        assert!(extra.is_empty(), "{name} names {extra:?}, which the design does not let it");
    }
}

#[test]
fn the_read_side_cannot_reach_the_write_side_or_the_relay() {
    let packages = packages();
    for (name, never) in NEVER {
        let reached = reached(&packages, &format!("soonshop-{name}"));
        let found: Vec<_> = never.iter().filter(|d| reached.contains(**d)).collect();
        assert!(found.is_empty(), "{name} reaches {found:?}");
    }
}

/// `make dev` builds so. One crate that names an adapter outside its tests would bring it back for all.
#[test]
fn without_its_features_the_shop_builds_no_client_of_a_server() {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let clients = |arguments: &[&str]| {
        let output = Command::new(&cargo)
            .args(["tree", "--offline", "--package", "soonshop", "--edges", "normal", "--prefix", "none"])
            .args(["--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml")])
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let tree = String::from_utf8(output.stdout).unwrap();
        let names = tree.lines().filter_map(|line| line.split(' ').next());
        let client = |name: &&str| ["lapin", "async-nats", "redis", "elasticsearch"].contains(name);
        names.filter(client).map(str::to_owned).collect::<BTreeSet<_>>()
    };
    assert_eq!(clients(&["--no-default-features"]), BTreeSet::new());
    assert_eq!(clients(&["--no-default-features", "--features", "redis"]), ["redis".to_owned()].into());
    assert_eq!(clients(&[]).len(), 4, "the product has all of them");
}

#[test]
fn nothing_brings_openssl() {
    let lock = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.lock")).unwrap();
    for name in ["openssl-sys", "native-tls", "aws-lc-sys"] {
        assert!(!lock.contains(&format!("name = \"{name}\"")), "{name} is in the lock file");
    }
}

#[test]
fn files_of_a_crate_do_not_import_each_other_in_circles() {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root).unwrap() {
        let folder = entry.unwrap().path();
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        if !folder.join("Cargo.toml").exists() || !folder.join("src").exists() {
            continue;
        }
        let sources = circles::sources(&folder.join("src"));
        assert!(!sources.is_empty(), "{name} has no sources");
        let circles = circles::circles(&sources);
        found.extend(circles.iter().map(|lines| format!("{name}:\n  {}", lines.join("\n  "))));
    }
    assert!(found.is_empty(), "files import each other in circles:\n{}", found.join("\n"));
}
