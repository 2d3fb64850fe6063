//! The hashed and signed bytes never change: golden files that no test overwrites, and the example of
//! `docs/seals.md`. `UPDATE_GOLDEN=1` writes only missing files.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use chrono::DateTime;
use uuid::Uuid;

use super::*;
use crate::{Error, StoredEvent};

/// The key of the example: a seed of 32 bytes, in PKCS#8 as other programs write it.
fn keys(byte: u8) -> SealKeys {
    let prefix = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    SealKeys::parse(&BASE64.encode([&prefix[..], &[byte; 32]].concat())).unwrap()
}

fn log_id() -> Uuid {
    "5b0f3a52-7c1e-4d0a-a1b2-c3d4e5f60718".parse().unwrap()
}

/// The two events of the example.
fn rows() -> [StoredEvent; 2] {
    let row = |position, event_type: &str, payload: &str| StoredEvent {
        position,
        event_id: Uuid::from_u128(
            0x0199_aabb_0000_7000_8000_0000_0000_0000 + u128::from(position.unsigned_abs()),
        ),
        aggregate_type: "stock".to_owned(),
        aggregate_id: "0f8f4c9e-52a1-5f7e-9d5b-1a2b3c4d5e6f".to_owned(),
        sequence: position,
        event_type: event_type.to_owned(),
        event_version: "1".to_owned(),
        payload: payload.to_owned(),
        metadata: r#"{"channel":"api"}"#.to_owned(),
        occurred_at: DateTime::from_timestamp_micros(1_795_600_000_000_000).unwrap(),
        recorded_at: DateTime::from_timestamp_micros(1_795_600_000_123_456 + position).unwrap(),
    };
    [
        row(1, "StockReceived", r#"{"StockReceived":{"sku":"MUG","location":"main","quantity":5}}"#),
        row(2, "StockAdjusted", r#"{"StockAdjusted":{"by":-1,"reason":"Größe"}}"#),
    ]
}

/// A seal over both events, and the change of keys after it.
fn chain() -> [Seal; 2] {
    let rows = rows();
    let leaves = rows.each_ref().map(|row| Content::of(row).at(row.position));
    let (old, new) = (keys(7), keys(8));
    let at = 1_795_600_001_000_000;
    let first = Seal::over(None, (crate::LOG, log_id()), &leaves, rows[1].event_id, at, old.current());
    let change = Seal::change_of_keys(&first, new.current().public(), at + 1_000_000, old.current());
    [first, change]
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

fn golden(name: &str, new: impl FnOnce() -> String) -> String {
    let file: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/seals").join(name);
    if !file.exists() && std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::File::create_new(&file).unwrap().write_all(new().as_bytes()).unwrap();
    }
    std::fs::read_to_string(&file).unwrap_or_else(|_| panic!("{name} is missing: UPDATE_GOLDEN=1 writes it"))
}

/// Every value of the example by its name.
fn example() -> Vec<(&'static str, String)> {
    let [one, two] = rows();
    let [first, change] = chain();
    vec![
        ("event 1", hexadecimal(&encode(&one))),
        ("event 2", hexadecimal(&encode(&two))),
        ("leaf 1", Hash::of(&encode(&one)).to_string()),
        ("leaf 2", Hash::of(&encode(&two)).to_string()),
        ("root", first.root.to_string()),
        ("public key", hexadecimal(&first.key.0)),
        ("fingerprint", first.key.fingerprint()),
        ("seal 1", hexadecimal(&first.encode())),
        ("hash 1", first.hash().to_string()),
        ("signature 1", hexadecimal(&first.signature.0)),
        ("seal 2", hexadecimal(&change.encode())),
        ("hash 2", change.hash().to_string()),
        ("signature 2", hexadecimal(&change.signature.0)),
    ]
}

#[test]
fn hashed_and_signed_bytes_never_change() {
    let line = |text: String, (name, value): &(&str, String)| format!("{text}{name}: {value}\n");
    let text = || example().iter().fold(String::new(), line);
    assert_eq!(golden("seals.v1.txt", text), text());
}

#[test]
fn the_example_in_the_documentation_is_right() {
    let page = include_str!("../../../docs/seals.md");
    let page: String = page.chars().filter(|c| !c.is_whitespace() && *c != '|').collect();
    for (name, value) in example() {
        assert!(page.contains(&value), "docs/seals.md does not have {name}: {value}");
    }
}

#[test]
fn an_export_of_this_form_can_be_checked_for_ever() {
    let text = || super::export::sample(&rows(), &chain(), log_id());
    let file = golden("export.v1.ndjson", text);
    assert_eq!(file, text());
    let report = check_offline(file.as_bytes(), Some(&keys(7).current().public().into())).unwrap();
    assert_eq!((report.verdict, report.rows, report.seals), (Verdict::Intact, 2, 2), "{report}");
}

#[test]
fn a_leaf_is_the_hash_of_the_row_with_its_position() {
    let [one, _] = rows();
    let content = Content::of(&one);
    assert_eq!(content.at(1), Hash::of(&encode(&one)));
    assert_eq!(content.at(9), Hash::of(&encode(&StoredEvent { position: 9, ..one })));
}

#[test]
fn a_byte_moved_to_the_next_column_changes_the_hash() {
    let [one, _] = rows();
    let moved = StoredEvent {
        aggregate_type: "stoc".to_owned(),
        aggregate_id: format!("k{}", one.aggregate_id),
        ..one.clone()
    };
    assert_ne!(Hash::of(&encode(&one)), Hash::of(&encode(&moved)));
}

#[test]
fn a_signature_is_of_one_seal_and_one_key() {
    let [first, change] = chain();
    assert!(first.signature_holds() && change.signature_holds());
    let with = |seal: &Seal, of: &Seal| Seal { signature: of.signature.clone(), ..seal.clone() };
    assert!(!with(&first, &change).signature_holds());
    assert!(!Seal { key: keys(8).current().public(), ..first.clone() }.signature_holds());
    assert!(!Seal { signature: Bytes(Vec::new()), ..first }.signature_holds());
}

#[test]
fn a_seal_reads_back_as_it_was_written_down() {
    for seal in chain() {
        let text = serde_json::to_string(&seal).unwrap();
        assert_eq!(serde_json::from_str::<Seal>(&text).unwrap(), seal);
    }
}

#[test]
fn a_trusted_key_is_a_public_key_or_its_fingerprint() {
    let key = keys(7).current().public();
    let trusted = TrustedKey::from(key);
    assert_eq!(key.to_string().parse(), Ok(trusted.clone()));
    assert_eq!(key.fingerprint().to_uppercase().parse(), Ok(trusted));
    let half = &key.fingerprint()[..23];
    for bad in ["", "nonsense", half, "AAAA", &format!("{}:00", key.fingerprint())] {
        assert!(bad.parse::<TrustedKey>().is_err(), "{bad}");
    }
    // Sixteen pairs, of which one has no two hexadecimal digits.
    for pair in ["zz", "0g", "123", ""] {
        let bad = format!("{pair}{}", &key.fingerprint()[2..]);
        assert!(bad.parse::<TrustedKey>().is_err(), "{bad}");
    }
}

#[test]
fn a_hash_has_64_hexadecimal_digits() {
    let hash = Hash::of(b"a row");
    assert_eq!(hash.to_string().parse::<Hash>().unwrap(), hash);
    let (short, long) = ("0".repeat(63), "0".repeat(65));
    // As long in bytes, with characters of two.
    let wide = format!("a{}a", "\u{e9}".repeat(31));
    for bad in ["", &short, &long, &wide, &"g".repeat(64)] {
        assert!(bad.parse::<Hash>().is_err(), "{bad}");
    }
}

#[test]
fn a_file_of_keys_that_cannot_be_read_is_an_error() {
    let public = keys(7).current().public().to_string();
    for bad in ["", "\n\n", "nonsense", &public] {
        assert!(matches!(SealKeys::parse(bad), Err(Error::SealKey(_))), "{bad:?}");
    }
    assert!(!format!("{:?}", keys(7)).contains("070707"), "only fingerprints are shown");
}
