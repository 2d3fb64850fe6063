//! Exports that are signed with the key of the log's seals: anyone with the file and the public key can verify it, and
//! the export is recorded.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use soonshop_event_log::seal::SealKeys;
use soonshop_projections::operations;

use crate::replay::{code, command, lines, ran, signal, sold};
use crate::support::{Set, TestShop, eventually};

struct Signing {
    shop: TestShop,
    folder: PathBuf,
    fingerprint: String,
}

impl Signing {
    async fn new(set: Set) -> Self {
        let shop = sold(set, 6).await;
        let seals = shop.shop.seals().unwrap();
        eventually("something is sealed", Duration::from_secs(20), async || {
            seals.last().await.unwrap().is_some()
        })
        .await;
        let keys = SealKeys::read(&shop.place.config.seal_key_file).unwrap();
        let fingerprint = keys.current().public().fingerprint();
        Self { folder: shop.place.folder.path().to_owned(), fingerprint, shop }
    }

    fn file(&self, name: &str) -> String {
        self.folder.join(name).to_str().unwrap().to_owned()
    }

    async fn export(&self, keys: &Path, out: &str, args: &[&str]) -> (i32, Value) {
        let words = ["export", "--json", "--out", out, "--seal-key-file", keys.to_str().unwrap()];
        let ran = ran(&self.shop.place, &[&words, args].concat()).await;
        (code(&ran), lines(&ran).pop().unwrap())
    }

    /// The result of checking a file: its exit code, and the last line.
    async fn check(&self, file: &str, key: &str) -> (i32, Value) {
        let words = ["check", "--offline", file, "--pubkey", key, "--json"];
        let ran = ran(&self.shop.place, &words).await;
        (code(&ran), lines(&ran).pop().unwrap())
    }
}

/// A signed export passes the check with its key and no other; any change to it is found.
async fn signed(set: Set) {
    let all = Signing::new(set).await;
    let config = &all.shop.place.config;
    let (ndjson, csv) = (all.file("orders.ndjson"), all.file("orders.csv"));
    let query = ["--sign", "--q", "agg:order \"Ada Lovelace\" -type:None*"];
    let (done, summary) = all.export(&config.seal_key_file, &ndjson, &["--sign", "--order", "asc"]).await;
    assert_eq!((done, summary["signed_by"]["fingerprint"].as_str()), (0, Some(all.fingerprint.as_str())));
    assert_eq!(all.export(&config.seal_key_file, &csv, &["--sign", "--format", "csv"]).await.0, 0);
    for file in [&ndjson, &csv] {
        let (found, last) = all.check(file, &all.fingerprint).await;
        assert_eq!((found, &last["verdict"]), (0, &json!("intact")), "{last}");
        assert_eq!((&last["count"], &last["head"]), (&summary["count"], &summary["head"]), "{last}");
        let public = SealKeys::read(&config.seal_key_file).unwrap().current().public().to_string();
        assert_eq!(all.check(file, &public).await.0, 0, "by the key itself");
        let other = "9c:41:00:00:00:00:00:00:00:00:00:00:00:00:00:00";
        let (found, last) = all.check(file, other).await;
        assert_eq!((found, &last["verdict"]), (3, &json!("broken")), "{last}");
    }
    // Any byte of rows, of the manifest or of the signature. (Each byte: the tests of the format.)
    let good = std::fs::read(&ndjson).unwrap();
    let manifest = good.iter().position(|byte| *byte == b'\n').unwrap();
    let signature = manifest - 20;
    let bad = all.file("bad.ndjson");
    for place in [0, 20, manifest / 2, signature, manifest, manifest + 30, good.len() - 2] {
        let mut changed = good.clone();
        changed[place] ^= 1;
        std::fs::write(&bad, &changed).unwrap();
        let (found, last) = all.check(&bad, &all.fingerprint).await;
        assert_eq!((found, &last["verdict"]), (3, &json!("broken")), "byte {place}: {last}");
        let viewed = ran(&all.shop.place, &["view", &bad, "--timeout", "120s"]).await;
        assert_eq!(code(&viewed), 3, "byte {place}: {}", String::from_utf8_lossy(&viewed.stderr));
    }
    // A file in CSV proves itself, also without the manifest beside it.
    let (good, alone) = (std::fs::read(&csv).unwrap(), all.file("alone.csv"));
    std::fs::write(&alone, &good).unwrap();
    let (found, last) = all.check(&alone, &all.fingerprint).await;
    assert_eq!((found, &last["count"]), (0, &summary["count"]), "{last}");
    for place in [0, 20, good.len() / 2, good.len() - 400, good.len() - 100, good.len() - 1] {
        let mut changed = good.clone();
        changed[place] ^= 1;
        std::fs::write(&alone, &changed).unwrap();
        let (found, last) = all.check(&alone, &all.fingerprint).await;
        assert_eq!((found, &last["verdict"]), (3, &json!("broken")), "byte {place}: {last}");
    }
    let beside = format!("{csv}.manifest.json");
    let text = std::fs::read_to_string(&beside).unwrap();
    std::fs::write(&beside, text.replace("\"role\":\"support\"", "\"role\":\"auditor\"")).unwrap();
    assert_eq!(all.check(&csv, &all.fingerprint).await.0, 3, "a manifest that was changed");
    // The pages name the signer, too.
    let mut viewer = command(&all.shop.place, &["view", &ndjson]).spawn().unwrap();
    let message = tokio::task::spawn_blocking(move || {
        // It prints its address after the signer of the file.
        let mut address = String::new();
        BufReader::new(viewer.stdout.as_mut().unwrap()).read_line(&mut address).unwrap();
        signal(&viewer, "-INT");
        String::from_utf8(viewer.wait_with_output().unwrap().stderr).unwrap()
    });
    let message = message.await.unwrap();
    assert!(message.contains(&format!("signed by {}", all.fingerprint)), "{message}");
    // An unsigned export matches its manifest, and proves nothing.
    let bare = all.file("bare.ndjson");
    assert_eq!(all.export(&config.seal_key_file, &bare, &[]).await.0, 0);
    let (found, last) = all.check(&bare, &all.fingerprint).await;
    assert_eq!((found, &last["verdict"]), (3, &json!("unproven")), "{last}");

    // It is recorded like an export from the pages, without the search text, which may be a name.
    let searched = all.file("searched.ndjson");
    assert_eq!(all.export(&config.seal_key_file, &searched, &query).await.0, 0);
    let registry = all.shop.shop.registry().unwrap();
    let record = operations::last_of(registry.operations(), "export", 10).await.unwrap();
    assert_eq!(record.len(), 4, "{record:?}");
    let line = &record[0];
    assert_eq!((line.actor.as_str(), line.subject.as_str()), (soonshop_replay_tool::ACTOR, "timeline"));
    assert_eq!(line.detail["signed_by"], all.fingerprint);
    assert_eq!((&line.detail["format"], &line.detail["count"]), (&json!("ndjson"), &json!(0)));
    let search = &line.detail["search"];
    assert_eq!((&search["terms"], &search["texts"]), (&json!(["agg:order", "-type:None*"]), &json!(1)));
    assert!(!serde_json::to_string(&record).unwrap().contains("Lovelace"), "{record:?}");
    assert!(record[1].detail["signed_by"].is_null(), "{record:?}");
    all.shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signed_export_is_verified_and_any_change_is_found_embedded() {
    Box::pin(signed(Set::Embedded)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signed_export_is_verified_and_any_change_is_found_on_real_servers() {
    Box::pin(signed(Set::Rabbit)).await;
}

/// Without the shop's key nothing is signed and nothing is written.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_key_of_the_seals_nothing_is_signed() {
    let all = Signing::new(Set::Embedded).await;
    let out = all.file("none.ndjson");
    let (refused, last) = all.export(&all.folder.join("nowhere.key"), &out, &["--sign"]).await;
    assert!(refused == 2 && last["message"].as_str().unwrap().contains("back from its backup"), "{last}");
    let other = all.folder.join("other.key");
    SealKeys::create(&other).unwrap();
    let (refused, last) = all.export(&other, &out, &["--sign"]).await;
    assert!(refused == 4 && last["message"].as_str().unwrap().contains(&all.fingerprint), "{last}");
    assert!(!Path::new(&out).exists());
    let registry = all.shop.shop.registry().unwrap();
    assert!(operations::last_of(registry.operations(), "export", 10).await.unwrap().is_empty());
    // With a key that is newer than all seals, the key of the last seal signs: it is the known one.
    let keys = SealKeys::renew(&all.shop.place.config.seal_key_file).unwrap();
    assert_ne!(keys.current().public().fingerprint(), all.fingerprint);
    let (done, summary) = all.export(&all.shop.place.config.seal_key_file, &out, &["--sign"]).await;
    assert_eq!((done, summary["signed_by"]["fingerprint"].as_str()), (0, Some(all.fingerprint.as_str())));
    all.shop.stop().await;
}
