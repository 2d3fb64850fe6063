//! The certificate of a listener: which versions of TLS it is shown in, and what becomes of it when its files change.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use chrono::{DateTime, Utc};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion, version};
use tempfile::TempDir;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;
use crate::connections::Tls;

/// A certificate of another key, which is its own authority.
const OTHER: &str = include_str!("../../../tests/fixture/tls/localhost.certificate.pem");
const OTHER_KEY: &str = include_str!("../../../tests/fixture/tls/localhost.key.pem");

/// Copies of the tests' certificates and keys, whose modes are right wherever they come from.
pub(crate) fn folder_of_tests() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/tls")).unwrap() {
        let entry = entry.unwrap();
        put(&folder.path().join(entry.file_name()), &std::fs::read_to_string(entry.path()).unwrap());
    }
    folder
}

fn put(file: &Path, text: &str) {
    std::fs::write(file, text).unwrap();
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).unwrap();
}

fn connector(folder: &TempDir, versions: &[&'static SupportedProtocolVersion]) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(folder.path().join("authority.pem")).unwrap()).unwrap();
    roots.add(CertificateDer::from_pem_slice(OTHER.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

async fn connected(served: &Served, connector: &TlsConnector) -> TlsStream<TcpStream> {
    let name = ServerName::try_from("localhost").unwrap();
    connector.connect(name, served.connect().await).await.unwrap()
}

/// Those of a session that is resumed are the ones that it was begun with.
fn shown(connection: &TlsStream<TcpStream>) -> Vec<u8> {
    connection.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

async fn answered(connection: &mut TlsStream<TcpStream>) {
    connection.write_all(b"GET /small HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\nsmall") {
        assert!(connection.read_buf(&mut answer).await.unwrap() > 0, "{}", String::from_utf8_lossy(&answer));
    }
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

#[tokio::test]
async fn tls_1_2_and_1_3_are_spoken_and_no_earlier_version() {
    let folder = folder_of_tests();
    let file = |name: &str| folder.path().join(name);
    let tls = Tls::read(&file("valid.pem"), &file("server.key")).unwrap();
    let served = behind(ServerSettings { tls: Some(tls), ..ServerSettings::default() }).await;
    for version in [&version::TLS12, &version::TLS13] {
        let mut connection = connected(&served, &connector(&folder, &[version])).await;
        assert_eq!(connection.get_ref().1.protocol_version(), Some(version.version));
        answered(&mut connection).await;
    }
    // A hello of TLS 1.1, and of 1.0.
    for minor in [2, 1] {
        let mut body = vec![3, minor];
        body.extend([7; 32]);
        body.extend([0, 0, 4, 0xc0, 0x13, 0xc0, 0x09, 1, 0]);
        let length = u8::try_from(body.len()).unwrap();
        let mut hello = vec![22, 3, 1, 0, length + 4, 1, 0, 0, length];
        hello.extend(body);
        let mut plain = served.connect().await;
        plain.write_all(&hello).await.unwrap();
        let mut message = Vec::new();
        plain.read_to_end(&mut message).await.unwrap();
        // Nothing but a fatal alert: handshake_failure or protocol_version.
        assert!(matches!(message[..], [21, 3, _, 0, 2, 2, 40 | 70]), "{message:?}");
    }
}

#[tokio::test]
async fn a_new_certificate_is_shown_to_those_who_connect_later_and_nobody_is_cut_off() {
    let folder = folder_of_tests();
    let file = |name: &str| folder.path().join(name);
    // As cert-manager and certbot do it: the names lead to a folder that is exchanged as a whole.
    for (version, certificate, key) in [("1", "valid.pem", "server.key"), ("2", "other.pem", "other.key")] {
        put(&file("other.pem"), OTHER);
        put(&file("other.key"), OTHER_KEY);
        std::fs::create_dir(file(version)).unwrap();
        std::fs::copy(file(certificate), file(version).join("tls.pem")).unwrap();
        std::fs::copy(file(key), file(version).join("tls.key")).unwrap();
    }
    std::os::unix::fs::symlink(file("1"), file("now")).unwrap();
    let tls = Tls::read(&file("now/tls.pem"), &file("now/tls.key")).unwrap();
    let served = behind(ServerSettings { tls: Some(tls.clone()), ..ServerSettings::default() }).await;
    let connector = connector(&folder, rustls::DEFAULT_VERSIONS);
    let mut early = connected(&served, &connector).await;
    answered(&mut early).await;
    let before = shown(&early);
    std::os::unix::fs::symlink(file("2"), file("next")).unwrap();
    std::fs::rename(file("next"), file("now")).unwrap();
    let mut late = tokio::time::timeout(Duration::from_mins(1), async {
        loop {
            let late = connected(&served, &connector).await;
            if shown(&late) != before {
                return late;
            }
        }
    })
    .await
    .expect("the new certificate is shown");
    assert_eq!(shown(&late), CertificateDer::from_pem_slice(OTHER.as_bytes()).unwrap().to_vec());
    answered(&mut late).await;
    answered(&mut early).await;
    assert_eq!(shown(&early), before);
}

#[test]
fn a_pair_that_does_not_fit_is_not_taken_and_is_complained_of_until_one_does() {
    let folder = folder_of_tests();
    let file = |name: &str| folder.path().join(name);
    let (certificate, key) = (file("tls.pem"), file("tls.key"));
    let text = |name: &str| std::fs::read_to_string(file(name)).unwrap();
    let good = || {
        put(&certificate, &text("valid.pem"));
        put(&key, &text("server.key"));
    };
    good();
    let tls = Tls::read(&certificate, &key).unwrap();
    let now = at("2026-12-01T00:00:00Z");
    let ends = tls.ends();
    assert_eq!(tls.complaint(now), None);
    let cut = |name: &str| text(name)[..200].to_owned();
    for (new, new_key, words) in [
        (cut("client.pem"), text("client.key"), "tls.pem"),
        (text("client.pem"), cut("client.key"), "private key as PEM"),
        (text("client.pem"), text("server.key"), "do not belong together"),
        (text("expired.pem"), text("server.key"), "ended on 2020-12-31T23:59:59Z"),
        (String::new(), text("server.key"), "holds no certificate"),
    ] {
        put(&certificate, &new);
        put(&key, &new_key);
        tls.read_again(now);
        let message = tls.complaint(now).unwrap();
        assert!(message.contains("the new one is not taken") && message.contains(words), "{message}");
        assert_eq!(tls.ends(), ends);
        good();
        tls.read_again(now);
        assert_eq!(tls.complaint(now), None);
    }
    std::fs::remove_file(&key).unwrap();
    tls.read_again(now);
    assert!(tls.complaint(now).unwrap().contains("No such file"));
    // A pair that could not be taken is taken as soon as it can.
    put(&certificate, OTHER);
    put(&key, OTHER_KEY);
    let long_ago = at("1999-01-01T00:00:00Z");
    tls.read_again(long_ago);
    assert!(tls.complaint(now).unwrap().contains("use it from then on"));
    tls.read_again(now);
    assert_eq!((tls.complaint(now), tls.ends() == ends), (None, false));
}

#[test]
fn a_certificate_that_ends_soon_or_has_ended_is_complained_of() {
    let folder = folder_of_tests();
    let file = |name: &str| folder.path().join(name);
    let tls = Tls::read(&file("expired.pem"), &file("server.key")).unwrap();
    for (now, words) in [
        ("2026-12-01T00:00:00Z", Some("in use ended on 2020-12-31T23:59:59Z")),
        ("2020-12-24T00:00:00Z", Some("in use ends on 2020-12-31T23:59:59Z, soon")),
        ("2020-06-01T00:00:00Z", None),
        ("2018-06-01T00:00:00Z", Some("valid from 2019-01-01T00:00:00Z on")),
    ] {
        let message = tls.complaint(at(now));
        assert_eq!(message.is_some(), words.is_some(), "{message:?}");
        assert!(message.unwrap_or_default().contains(words.unwrap_or_default()), "{now}");
        // The files are as they were: they are not refused as a new pair.
        tls.read_again(at(now));
    }
    assert!(!tls.complaint(at("2026-12-01T00:00:00Z")).unwrap().contains("not taken"));
}

#[tokio::test]
async fn over_tls_a_client_without_a_place_is_told_so_and_no_more_than_a_few_at_once() {
    let folder = folder_of_tests();
    let file = |name: &str| folder.path().join(name);
    let tls = Tls::read(&file("valid.pem"), &file("server.key")).unwrap();
    let limits = Limits { connections: 1, connections_per_address: 1, reserve: 0, ..Limits::default() };
    let served = behind(ServerSettings { tls: Some(tls), limits, ..ServerSettings::default() }).await;
    let connector = connector(&folder, &[&version::TLS12, &version::TLS13]);
    let mut begun = served.signals.begun.subscribe();
    let mut busy = connected(&served, &connector).await;
    busy.write_all(b"GET /hangs HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.unwrap();
    begun.wait_for(|begun| *begun == 1).await.unwrap();

    let mut refused = connected(&served, &connector).await;
    refused.write_all(SMALL).await.unwrap();
    let mut answer = String::new();
    refused.read_to_string(&mut answer).await.unwrap();
    assert_eq!(problem(&answer), (503, "too-many-connections".to_owned()));
    for field in ["retry-after: 1", "connection: close", "x-request-id: ", "strict-transport-security: "] {
        assert!(answer.contains(&format!("\r\n{field}")), "{field}: {answer}");
    }
    drop(refused);

    // Clients that say nothing take every turn; who comes then is closed at once, before these are given up.
    let mut silent = Vec::new();
    let closed = loop {
        let connection = served.connect().await;
        let mut byte = [0];
        match tokio::time::timeout(Duration::from_millis(500), connection.peek(&mut byte)).await {
            Ok(closed) => break closed,
            Err(_) => silent.push(connection),
        }
        assert!(silent.len() <= Limits::REFUSED_OVER_TLS, "handshakes at once are bounded");
    };
    assert!(closed.map_or(true, |count| count == 0), "it is closed without a word");
    served.signals.go_on.notify_waiters();
    let mut answer = String::new();
    busy.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("went on"), "{answer}");
}
