//! A full disk: a command that finds no room is refused and says so, nothing of it is stored, and stored data can be
//! read. With room again, the same key runs it once.
//!
//! The disk is a small one that the test mounts, so the tests have to run as root. For other users the writes fail in
//! another way, at the same place: on SQLite the system refuses them to the process, on PostgreSQL a trigger raises the
//! error of a full disk.

use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use soonshop::{Role, Shop, migrate, settle};
use uuid::Uuid;

use crate::faults::{Servers, ready, sql};
use crate::health::{Fault, doctor_names, green, red};
use crate::support::{Answer, Client, Place, Process, Set, eventually, free_port};

/// A file system in memory.
struct Disk(PathBuf);

impl Disk {
    /// Mounts it at a folder that is made for it; `None` where that is not allowed.
    fn mount(at: PathBuf, megabytes: u32) -> Option<Self> {
        std::fs::create_dir_all(&at).unwrap();
        let size = format!("size={megabytes}m,mode=0755");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&at).output().unwrap();
        mounted.status.success().then(|| Self(at))
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }

    /// Takes every page that is left.
    fn fill(&self) {
        let mut file = std::fs::File::options().create(true).append(true).open(self.filler()).unwrap();
        loop {
            match file.write_all(&[0; 4096]) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => return,
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn make_room(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a process with an open file keeps it until then.
        drop(Command::new("umount").arg("-l").arg(&self.0).status());
    }
}

/// How a test fills the disk, and frees it.
enum Room {
    Disk(Disk),
    /// The id of a process that may write nothing.
    Process(u32),
    /// The address of a server whose log raises the error.
    Server(String),
}

/// The very error that PostgreSQL raises.
const REFUSE: &str = "CREATE OR REPLACE FUNCTION log.full() RETURNS trigger LANGUAGE plpgsql AS \
    $$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$; \
    CREATE OR REPLACE TRIGGER disk_full BEFORE INSERT ON log.events FOR EACH ROW EXECUTE FUNCTION log.full()";

impl Room {
    async fn take(&self) {
        match self {
            Self::Disk(disk) => disk.fill(),
            Self::Process(id) => limit(*id, "0"),
            Self::Server(url) => sql(url, REFUSE).await,
        }
    }

    async fn give_back(&self) {
        match self {
            Self::Disk(disk) => disk.make_room(),
            Self::Process(id) => limit(*id, "unlimited"),
            Self::Server(url) => sql(url, "DROP TRIGGER disk_full ON log.events").await,
        }
    }
}

/// How large a file the process may write.
fn limit(id: u32, bytes: &str) {
    let fsize = format!("--fsize={bytes}:unlimited");
    let status = Command::new("prlimit").args(["--pid", &id.to_string(), &fsize]).status().unwrap();
    assert!(status.success(), "prlimit");
}

/// A product whose description fills pages, and compresses badly.
fn large(sku: &str) -> Value {
    let text: String = (0..250).map(|_| Uuid::new_v4().simple().to_string()).collect();
    json!({"name": sku, "description": text, "variants": [{"sku": sku}]})
}

async fn post(client: &Client, body: &Value, key: &str) -> Answer {
    client.send(Method::POST, "/products", Some(body), &[("idempotency-key", key)]).await
}

/// Positions without a gap, one event and one record for each product.
async fn assert_whole(shop: &Shop, products: i64) {
    let rows = shop.log().unwrap().read(1, 10_000).await.unwrap();
    for (position, row) in (1..).zip(&rows) {
        assert_eq!(row.position, position);
    }
    let listed = rows.iter().filter(|row| row.event_type == "ProductCreated").count();
    assert_eq!(i64::try_from(listed).unwrap(), products);
    let log = shop.store_database.namespace("log").unwrap();
    for sql in
        ["SELECT count(*) FROM @commands WHERE status = 201", "SELECT count(DISTINCT owner) FROM @claims"]
    {
        let row = sea_orm::ConnectionTrait::query_one(&log.connection, log.statement(sql, [])).await;
        assert_eq!(row.unwrap().unwrap().try_get_by_index::<i64>(0).unwrap(), products, "{sql}");
    }
}

async fn a_full_disk_is_a_503(shop: &Shop, client: &Client, room: &Room, logged: Option<&Path>) {
    let first = client.post("/products", &large("FIRST")).await.expect(201);
    let id = first.json()["id"].as_str().unwrap().to_owned();
    client.get_at(&format!("/products/{id}"), &first.position()).await.expect(200);
    settle::settle(shop, Duration::from_secs(60)).await.unwrap();

    // Commands that find room in existing pages are done; the first one that does not is refused.
    let (mut done, mut refused) = (1, None);
    while refused.is_none() {
        room.take().await;
        let (body, key) = (large(&format!("MORE-{done}")), Uuid::new_v4().to_string());
        let answer = post(client, &body, &key).await;
        if answer.status.is_success() {
            done += 1;
            assert!(done < 50, "it does not get full");
        } else {
            refused = Some((body, key, answer.expect(503)));
        }
    }
    let (body, key, answer) = refused.unwrap();
    assert_eq!(answer.json()["type"], "/problems/event-store-unavailable", "{}", answer.json());
    assert!(!answer.header("retry-after").is_empty());
    if let Some(logged) = logged {
        let message = std::fs::read_to_string(logged).unwrap();
        assert!(message.contains("No space left on device"), "{message}");
    }
    post(client, &body, &key).await.expect(503);
    // A disk of this machine is looked at, and what the log could not take is tried again; but a trigger is no disk.
    let seen = !matches!(room, Room::Server(_));
    let fault = Fault { check: "disk", object: "small", remedy: "disk-full" };
    if seen {
        red(client, &fault).await;
    }
    if matches!(room, Room::Disk(_)) {
        doctor_names(shop, &fault).await;
    }
    // Stored data is readable, from the read models and from the log; the refused product is in neither.
    client.get("/products?limit=200").await.expect(200);
    client.get(&format!("/products/{id}?as_of=v:1")).await.expect(200);
    client.get("/health/live").await.expect(200);
    assert_whole(shop, done).await;

    room.give_back().await;
    if seen {
        green(client, "disk").await;
    }
    eventually("it is done", Duration::from_secs(60), async || {
        post(client, &body, &key).await.status.is_success()
    })
    .await;
    let made = post(client, &body, &key).await.expect(201);
    assert_eq!(post(client, &body, &key).await.expect(201).bytes, made.bytes);
    assert_whole(shop, done + 1).await;
    settle::settle(shop, Duration::from_secs(60)).await.unwrap();
    let list = client.get_at("/products?limit=200", &made.position()).await.expect(200).json();
    assert_eq!(list["items"].as_array().unwrap().len(), usize::try_from(done + 1).unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_under_sqlite_is_a_503_and_nothing_is_half_done() {
    let place = Place::new(Set::Embedded).await;
    let disk = Disk::mount(place.folder.path().join("small"), 16);
    under_sqlite(place, disk).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_cannot_be_written_under_sqlite_are_a_503_and_nothing_is_half_done() {
    let place = Place::new(Set::Embedded).await;
    std::fs::create_dir(place.folder.path().join("small")).unwrap();
    under_sqlite(place, None).await;
}

async fn under_sqlite(mut place: Place, disk: Option<Disk>) {
    drop(rustls::crypto::ring::default_provider().install_default());
    let folder = place.folder.path().join("small");
    place.config.store = format!("sqlite://{}", folder.display());
    place.config.search = format!("tantivy://{}", folder.join("search").display());
    let shop = Shop::open(&place.config, Role::All).unwrap();
    migrate::migrate(&shop).await.unwrap();
    let token = std::fs::read_to_string(&place.config.operator_token_file).unwrap();
    // Logs go to the same disk: a failed log line must not fail the command.
    let port = free_port();
    let (logged, listen) = (folder.join("said"), format!("127.0.0.1:{port}"));
    let process =
        Process::start_logging(&place.config, "small", &["serve", "--listen", &listen], "warn", &logged);
    let client = Client::new(&format!("http://{listen}"), token.trim());
    ready(&client, true).await;
    let room = disk.map_or_else(|| Room::Process(process.id()), Room::Disk);
    a_full_disk_is_a_503(&shop, &client, &room, None).await;
    assert_eq!(process.stop(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_under_postgres_is_a_503_and_nothing_is_half_done() {
    drop(rustls::crypto::ring::default_provider().install_default());
    let servers = Servers::up(23_500, &["postgres"]);
    let mut place = Place::new(Set::Embedded).await;
    let url = servers.url("postgres", 0, "postgres");
    let folder = servers.folder().join("small");
    let disk = Disk::mount(folder.clone(), 64);
    if disk.is_some() {
        // Everything but the server's own files exists.
        let owner = format!("--reference={}", servers.folder().join("postgres/data").display());
        assert!(Command::new("chown").arg(owner).arg(&folder).status().unwrap().success());
        sql(&url, &format!("CREATE TABLESPACE small LOCATION '{}'", folder.display())).await;
        sql(&url, "CREATE DATABASE small TEMPLATE template0 TABLESPACE small").await;
        place.config.store = servers.url("postgres", 0, "small");
    } else {
        place.config.store = url;
    }
    let shop = Shop::open(&place.config, Role::All).unwrap();
    migrate::migrate(&shop).await.unwrap();
    let token = std::fs::read_to_string(&place.config.operator_token_file).unwrap();
    let port = free_port();
    let (logged, listen) = (place.folder.path().join("said"), format!("127.0.0.1:{port}"));
    let process =
        Process::start_logging(&place.config, "small", &["serve", "--listen", &listen], "warn", &logged);
    let client = Client::new(&format!("http://{listen}"), token.trim());
    ready(&client, true).await;
    let room = disk.map_or_else(|| Room::Server(place.config.store.clone()), Room::Disk);
    a_full_disk_is_a_503(&shop, &client, &room, Some(&logged)).await;
    assert_eq!(process.stop(), Some(0));
    // The server goes first, then its disk, then the folder of both.
    servers.run(&["down"]);
    drop(room);
}
