//! Certificates of servers that have expired: named with their date by every client, and mended by a new one.

use std::io::Write as _;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection};
use soonshop::{Role, Shop, migrate};
use sqlx::{ConnectOptions as _, Connection as _};

use super::{Fault, doctor_names, green, nothing_is_lost, tried};
use crate::faults::{Servers, sql};
use crate::support::{Place, Set, TestShop, eventually};

/// The end of `expired.pem`.
const ENDED: &str = "2020-12-31T23:59:59Z";

/// A file of `tests/data/tls`, where `make.sh` says how they were made.
fn file(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/data/tls")).join(name)
}

/// A setting of the services that run for the tests.
fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name}: run `make test`"))
}

/// A folder of files for TLS, each of which a test can replace.
struct TlsFolder {
    /// Where the services have theirs.
    given: PathBuf,
    folder: tempfile::TempDir,
}

impl TlsFolder {
    fn new() -> Self {
        drop(rustls::crypto::ring::default_provider().install_default());
        Self { given: PathBuf::from(variable("TLS_FILES")), folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> std::path::Display<'_> {
        self.folder.path().display()
    }

    /// Copies a file of the services to this name.
    fn put(&self, from: &str, to: &str) {
        std::fs::copy(self.given.join(from), self.folder.path().join(to)).unwrap();
    }

    fn remove(&self, name: &str) {
        std::fs::remove_file(self.folder.path().join(name)).unwrap();
    }
}

/// A server that says this first, and then has an expired certificate. It ends with the tests.
fn expired_server(greeting: &'static str) -> u16 {
    let certificate = CertificateDer::from_pem_file(file("expired.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(file("server.key")).unwrap();
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key);
    let config = Arc::new(config.unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for caller in listener.incoming() {
            let (mut caller, config) = (caller.unwrap(), Arc::clone(&config));
            std::thread::spawn(move || {
                let mut tls = ServerConnection::new(config).unwrap();
                // The caller ends it, with an alert.
                if caller.write_all(greeting.as_bytes()).is_ok() {
                    while tls.is_handshaking() && tls.complete_io(&mut caller).is_ok() {}
                }
            });
        }
    });
    port
}

/// The first line of a NATS server with TLS.
const NATS: &str = "INFO {\"server_id\":\"T\",\"server_name\":\"T\",\"version\":\"2.10.0\",\"go\":\"go1\",\"host\":\"127.0.0.1\",\
                    \"port\":4222,\"headers\":true,\"max_payload\":1048576,\"proto\":1,\"tls_required\":true}\r\n";

/// Looks until the check has the remedy, and says these words.
async fn names(shop: &Shop, check: &str, remedy: &str, words: &str) {
    let checks = soonshop::checks::of(shop, Role::All, None, None).unwrap();
    let last = std::sync::Mutex::new(String::new());
    let named = async || {
        let found = checks.examine().await.into_iter().find(|one| one.name == check).unwrap();
        *last.lock().unwrap() = format!("{found:?}");
        found.remedy == Some(remedy) && found.reason.is_some_and(|reason| reason.contains(words))
    };
    let ended = tokio::time::timeout(super::NAMED, async {
        let mut ticks = tokio::time::interval(Duration::from_millis(100));
        while !named().await {
            ticks.tick().await;
        }
    });
    assert!(ended.await.is_ok(), "{check}: {}", last.lock().unwrap());
}

/// On real servers, which show a certificate of the tests' authority, and ask for one of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_authority_and_a_missing_certificate_are_named_with_what_to_do() {
    let files = TlsFolder::new();
    let here = files.path();
    files.put("client.key", "own.key");
    let own = format!("cert={here}/own.pem&key={here}/own.key");
    for bus in ["AMQP_TLS_URL", "NATS_TLS_URL"] {
        files.put("other-authority.pem", "ca.pem");
        files.put("client.pem", "own.pem");
        let mut place = Place::new(Set::Embedded).await;
        let with = |name: &str| {
            let address = variable(name);
            let separator = if address.contains('?') { '&' } else { '?' };
            format!("{address}{separator}ca={here}/ca.pem&{own}")
        };
        (place.config.bus, place.config.cache) = (with(bus), with("REDIS_TLS_URL"));
        place.config.search = with("OPENSEARCH_TLS_URL");
        let shop = Shop::open(&place.config, Role::All).unwrap();
        migrate::migrate(&shop).await.unwrap();
        for check in ["bus", "cache", "rates", "search"] {
            names(&shop, check, "server-issuer", "UnknownIssuer").await;
        }
        files.put("authority.pem", "ca.pem");
        files.put("client-of-other.pem", "own.pem");
        // RabbitMQ says why, or cuts the connection.
        for (check, words) in
            [("bus", ""), ("cache", "UnknownCA"), ("rates", "UnknownCA"), ("search", "CertificateUnknown")]
        {
            names(&shop, check, "client-certificate", words).await;
        }
        files.remove("own.pem");
        for check in ["bus", "cache", "rates", "search"] {
            names(&shop, check, "server-files", "own.pem: No such file").await;
        }
        // A mended file is taken up without a restart.
        files.put("client.pem", "own.pem");
        let checks = soonshop::checks::of(&shop, Role::All, None, None).unwrap();
        eventually("every server is reached", Duration::from_mins(1), async || {
            let found = checks.examine().await;
            let reached = |name: &str| found.iter().any(|one| one.name == name && one.ok);
            let listens = !found.iter().any(|one| {
                one.name == "bus"
                    && one.reason.as_deref().is_some_and(|reason| reason.contains("cannot be reached"))
            });
            reached("cache") && reached("rates") && listens
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_of_a_wrong_authority_is_named_with_what_to_do() {
    let files = TlsFolder::new();
    let here = files.path();
    let mut place = Place::new(Set::Embedded).await;
    files.put("other-authority.pem", "ca.pem");
    files.put("client-of-other.pem", "own.pem");
    files.put("client.key", "own.key");
    place.config.store = format!(
        "{}&sslrootcert={here}/ca.pem&sslcert={here}/own.pem&sslkey={here}/own.key",
        variable("POSTGRES_TLS_URL")
    );
    soonshop_event_log::MasterKeys::create(&place.config.master_key_file).unwrap();
    let shop = Shop::open(&place.config, Role::All).unwrap();
    names(&shop, "event-store", "server-issuer", "UnknownIssuer").await;
    files.put("authority.pem", "ca.pem");
    names(&shop, "event-store", "client-certificate", "UnknownCA").await;
    files.put("client-expired.pem", "own.pem");
    names(&shop, "event-store", "server-files", "own.pem ended on 2020-12-31T23:59:59Z").await;
    // `soonshop` and `replay-tool` say the same before they begin.
    files.remove("ca.pem");
    let refused = Shop::open(&place.config, Role::All).err().unwrap().to_string();
    assert!(refused.contains("ca.pem: No such file"), "{refused}");
    let ran = Command::new(crate::support::built("replay-tool"))
        .args(["--store", &place.config.store, "list"])
        .output()
        .unwrap();
    let message = String::from_utf8_lossy(&ran.stderr);
    assert!(!ran.status.success() && message.contains("ca.pem: No such file"), "{message}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_certificate_is_named_with_its_date_by_every_client() {
    drop(rustls::crypto::ring::default_provider().install_default());
    let (plain, nats) = (expired_server(""), expired_server(NATS));
    for bus in [format!("amqps://localhost:{plain}"), format!("nats://localhost:{nats}")] {
        let mut place = Place::new(Set::Embedded).await;
        place.config.bus.clone_from(&bus);
        place.config.cache = format!("rediss://localhost:{plain}/0");
        place.config.search = format!("https://localhost:{plain}");
        let shop = Shop::open(&place.config, Role::All).unwrap();
        migrate::migrate(&shop).await.unwrap();
        for (check, object) in [
            ("bus", bus.as_str()),
            ("cache", &format!("rediss://localhost:{plain}/0")),
            ("search", &place.config.search),
        ] {
            let checks = soonshop::checks::of(&shop, Role::All, None, None).unwrap();
            let last = std::sync::Mutex::new(String::new());
            let named = async || {
                let found = checks.examine().await.into_iter().find(|one| one.name == check).unwrap();
                let reason = found.reason.as_deref().unwrap_or_default();
                let named = found.remedy == Some("certificate") && reason.contains(ENDED);
                *last.lock().unwrap() = format!("{found:?}");
                named && found.object.as_deref() == Some(object)
            };
            let ended = tokio::time::timeout(super::NAMED, async {
                let mut ticks = tokio::time::interval(Duration::from_millis(100));
                while !named().await {
                    ticks.tick().await;
                }
            });
            assert!(ended.await.is_ok(), "{check}: {}", last.lock().unwrap());
            super::doctor_names(&shop, &super::Fault { check, object: ENDED, remedy: "certificate" }).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_certificate_of_the_database_is_named_and_its_renewal_is_taken_up() {
    drop(rustls::crypto::ring::default_provider().install_default());
    let servers = Servers::up(23_800, &["postgres"]);
    let root = servers.url("postgres", 0, "postgres");
    let data = servers.folder().join("postgres/data");
    let put = |certificate: &str| {
        for (from, to) in [(certificate, "server.crt"), ("server.key", "server.key")] {
            let to = data.join(to);
            std::fs::copy(file(from), &to).unwrap();
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
            std::fs::set_permissions(&to, mode).unwrap();
            let owner = format!("--reference={}", data.display());
            assert!(Command::new("chown").arg(owner).arg(&to).status().unwrap().success());
        }
    };
    put("valid.pem");
    sql(&root, "ALTER SYSTEM SET ssl = on").await;
    sql(&root, "CREATE DATABASE shop").await;
    let authority = file("authority.pem");
    let mut place = Place::new(Set::Embedded).await;
    place.config.store = format!(
        "{}?sslmode=verify-full&sslrootcert={}",
        servers.url("postgres", 0, "shop"),
        authority.display()
    );
    let options: sqlx::postgres::PgConnectOptions = place.config.store.parse().unwrap();
    // The server reads its files again, and shows what it read to the next who connects.
    let show = async |certificate: &str, taken: bool| {
        put(certificate);
        sql(&root, "SELECT pg_reload_conf()").await;
        eventually("the server shows its certificate", Duration::from_secs(60), async || {
            match options.connect().await {
                Ok(connection) => {
                    connection.close().await.unwrap();
                    taken
                }
                Err(_) => !taken,
            }
        })
        .await;
        let others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'shop'";
        sql(&root, others).await;
    };
    show("valid.pem", true).await;
    let shop = TestShop::serve(place).await;
    nothing_is_lost(&shop, "BEFORE").await;
    let fault = || Fault { check: "event-store", object: ENDED, remedy: "certificate" };
    let make = async || {
        show("expired.pem", false).await;
        super::red(&shop.client, &fault()).await;
        doctor_names(&shop.shop, &fault()).await;
    };
    tried(&shop, fault(), make, async || show("valid.pem", true).await).await;
    nothing_is_lost(&shop, "AFTER").await;
    for check in ["event-store", "read-models", "keys", "schema", "workers"] {
        green(&shop.client, check).await;
    }
    shop.stop().await;
}
