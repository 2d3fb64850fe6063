//! A shop of the test's own: on the embedded backends, or on real servers with a database, virtual host, stream and
//! prefixes that no other test uses.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use soonshop::serve::{self, Options, Running};
use soonshop::{Config, Role, Shop, migrate, settle};
use sqlx::{ConnectOptions as _, Connection as _};
use tempfile::TempDir;
use uuid::Uuid;

/// The backends of a shop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Set {
    Embedded,
    /// PostgreSQL, and the rest embedded.
    Postgres,
    /// PostgreSQL, RabbitMQ, Redis, Elasticsearch.
    Rabbit,
    /// PostgreSQL, NATS, Redis, OpenSearch.
    Nats,
}

/// A server's address, or a message that says what to do.
pub(crate) fn server(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set: run `make test`, or `eval \"$(tests/services/services.sh env)\"`")
    })
}

/// The external resources of a test, which it removes at its end.
pub(crate) struct Place {
    pub(crate) folder: TempDir,
    pub(crate) config: Config,
    database: Option<String>,
    vhost: Option<String>,
    stream: Option<String>,
}

fn in_path(url: &str, path: &str) -> String {
    let (base, _) = url.rsplit_once('/').unwrap();
    format!("{base}/{path}")
}

async fn administer(sql: &str) {
    let options: sqlx::postgres::PgConnectOptions = server("POSTGRES_URL").parse().unwrap();
    let mut connection = options.connect().await.unwrap();
    sqlx::query(sql).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

fn rabbit(method: &str, path: &str) {
    let url = format!("{}/{path}", server("RABBITMQ_API_URL"));
    let status = Command::new("curl").args(["-fsS", "-o", "/dev/null", "-X", method, &url]).status().unwrap();
    assert!(status.success(), "{method} {path} was refused by RabbitMQ");
}

impl Place {
    pub(crate) async fn new(set: Set) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let id = format!("it{}", Uuid::new_v4().simple());
        let data = folder.path().display();
        let mut config = Config {
            store: format!("sqlite://{data}"),
            read_models: None,
            keys: None,
            erasures: None,
            bus: "in-process:".to_owned(),
            cache: "moka:".to_owned(),
            search: format!("tantivy://{data}/search"),
            master_key_file: folder.path().join("master.key"),
            seal_key_file: folder.path().join("seal.key"),
            operator_token_file: folder.path().join("operator.token"),
            name: "test".to_owned(),
            keep_records_days: soonshop::KEEP_RECORDS_DAYS,
            keep_process_records_days: soonshop::KEEP_PROCESS_RECORDS_DAYS,
            erase_within_days: soonshop::ERASE_WITHIN_DAYS,
            cancel_unshipped_after_days: 0,
            cart_days: 30,
            payments: None,
            mail: soonshop::MailSettings::default(),
            connections: soonshop::ConnectionSettings::default(),
            rates: soonshop::RateOptions::off(),
            factors: soonshop::FactorSettings::default(),
            sign_in: soonshop::ProviderOptions::default(),
            sessions: soonshop::SessionSettings::default(),
            work: soonshop_service_kit::work::Bounds::default(),
        };
        let (mut database, mut vhost, mut stream) = (None, None, None);
        if set != Set::Embedded {
            administer(&format!("CREATE DATABASE {id}")).await;
            config.store = in_path(&server("POSTGRES_URL"), &id);
            if set != Set::Postgres {
                config.cache = format!("{}?prefix={id}:", server("REDIS_URL"));
            }
            database = Some(id.clone());
        }
        match set {
            Set::Embedded | Set::Postgres => {}
            Set::Rabbit => {
                rabbit("PUT", &format!("vhosts/{id}"));
                config.bus = in_path(&server("AMQP_URL"), &id);
                config.search = format!("{}?prefix={id}_", server("ELASTICSEARCH_URL"));
                vhost = Some(id);
            }
            Set::Nats => {
                config.bus = format!("{}?stream={id}", server("NATS_URL"));
                config.search = format!("{}?prefix={id}_", server("OPENSEARCH_URL"));
                stream = Some(id);
            }
        }
        Self { folder, config, database, vhost, stream }
    }

    /// Removes its resources on shared servers.
    pub(crate) async fn remove(self) {
        if let Some(database) = &self.database {
            administer(&format!("DROP DATABASE {database} WITH (FORCE)")).await;
        }
        if let Some(vhost) = &self.vhost {
            rabbit("DELETE", &format!("vhosts/{vhost}"));
        }
        if let Some(stream) = &self.stream {
            // A stream that is left reserves its share of the server's disk: without this the last tests find none.
            let url: url::Url = server("NATS_URL").parse().unwrap();
            let (user, password) = (url.username().to_owned(), url.password().unwrap_or_default().to_owned());
            let login = async_nats::ConnectOptions::with_user_and_password(user, password);
            let client = login.connect(url.as_str()).await.unwrap();
            // Fails where nothing was ever published.
            drop(async_nats::jetstream::new(client).delete_stream(stream).await);
        }
    }
}

/// A shop in this process, with a client.
pub(crate) struct TestShop {
    pub(crate) place: Place,
    pub(crate) shop: Shop,
    pub(crate) client: Client,
    running: Running,
}

impl TestShop {
    pub(crate) async fn start(set: Set) -> Self {
        Self::serve(Place::new(set).await).await
    }

    /// Serves an existing place.
    pub(crate) async fn serve(place: Place) -> Self {
        Self::serve_with(place, |_| {}).await
    }

    /// Serves an existing place, with parts of the shop replaced.
    pub(crate) async fn serve_with(place: Place, replace: impl FnOnce(&mut Shop)) -> Self {
        drop(rustls::crypto::ring::default_provider().install_default());
        let mut shop = Shop::open(&place.config, Role::All).unwrap();
        replace(&mut shop);
        migrate::migrate(&shop).await.unwrap();
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let options = Options { role: Role::All, contexts: soonshop::contexts(None).unwrap(), listen };
        let running = serve::start(shop.clone(), options, soonshop_projections::all()).await.unwrap();
        let token = std::fs::read_to_string(&place.config.operator_token_file).unwrap().trim().to_owned();
        let client = Client::new(&format!("http://{}", running.address), &token);
        Self { place, shop, client, running }
    }

    /// Until every follower is at the head and nothing is left to do.
    pub(crate) async fn settle(&self) {
        settle::settle(&self.shop, Duration::from_secs(60)).await.unwrap();
    }

    pub(crate) async fn stop(self) {
        self.close().await.remove().await;
    }

    /// Stops the shop, and returns its place.
    pub(crate) async fn close(self) -> Place {
        self.running.stop().await.unwrap();
        self.shop.store_database.namespace("log").unwrap().connection.close().await.unwrap();
        self.place
    }
}

/// An answer, read whole.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) bytes: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or(Value::Null)
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn position(&self) -> String {
        self.header("event-position").to_owned()
    }

    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", String::from_utf8_lossy(&self.bytes));
        self
    }
}

/// A caller of the shop.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    pub(crate) base: String,
    pub(crate) token: String,
}

impl Client {
    pub(crate) fn new(base: &str, token: &str) -> Self {
        // Another test of this process may have done it.
        drop(rustls::crypto::ring::default_provider().install_default());
        Self { http: Self::http().build().unwrap(), base: base.to_owned(), token: token.to_owned() }
    }

    /// The shop closes a connection on which nothing was asked for ten seconds (`--head-seconds`), and a client that was
    /// about to use it is left without an answer: this one does not keep them for so long.
    fn http() -> reqwest::ClientBuilder {
        let kept = Duration::from_secs(5);
        reqwest::Client::builder().timeout(Duration::from_secs(40)).pool_idle_timeout(kept).no_proxy()
    }

    /// The same caller, who is shown where an answer leads to instead of what is there.
    pub(crate) fn without_redirects(&self) -> Self {
        let http = Self::http().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { http, ..self.clone() }
    }

    pub(crate) async fn try_send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        headers: &[(&str, &str)],
    ) -> Result<Answer, reqwest::Error> {
        // No guest registers or changes users: whoever does, and says nothing else, is the operator.
        let nobody = headers.iter().all(|(name, _)| *name != "authorization") && !self.token.is_empty();
        let operates = nobody && method != Method::GET && path.starts_with("/users");
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if operates {
            request = request.bearer_auth(&self.token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await?;
        let (status, headers) = (response.status(), response.headers().clone());
        Ok(Answer { status, headers, bytes: response.bytes().await?.to_vec() })
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        headers: &[(&str, &str)],
    ) -> Answer {
        self.try_send(method, path, body, headers).await.unwrap()
    }

    /// Sends a form.
    pub(crate) async fn send_form(&self, path: &str, form: &'static str, headers: &[(&str, &str)]) -> Answer {
        let mut request = self.http.post(format!("{}{path}", self.base)).body(form);
        for (name, value) in [&[("content-type", "application/x-www-form-urlencoded")], headers].concat() {
            request = request.header(name, value);
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        Answer { status, headers, bytes: response.bytes().await.unwrap().to_vec() }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None, &[]).await
    }

    /// Waits for the read model to have seen `position`.
    pub(crate) async fn get_at(&self, path: &str, position: &str) -> Answer {
        self.send(Method::GET, path, None, &[("event-position", position), ("prefer", "wait=20")]).await
    }

    /// Sends it as the operator, for answers that guests do not get.
    pub(crate) async fn look(&self, path: &str) -> Answer {
        let bearer = format!("Bearer {}", self.token);
        self.send(Method::GET, path, None, &[("authorization", &bearer)]).await
    }

    /// With a fresh idempotency key.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        let key = Uuid::new_v4().to_string();
        self.send(Method::POST, path, Some(body), &[("idempotency-key", &key)]).await
    }

    /// Sends it as the operator.
    pub(crate) async fn operate(&self, path: &str, body: &Value) -> Answer {
        self.operate_with(path, body, &[]).await
    }

    /// Like [`operate`](Self::operate), with more headers.
    pub(crate) async fn operate_with(&self, path: &str, body: &Value, more: &[(&str, &str)]) -> Answer {
        let (key, bearer) = (Uuid::new_v4().to_string(), format!("Bearer {}", self.token));
        let own = [("idempotency-key", key.as_str()), ("authorization", bearer.as_str())];
        self.send(Method::POST, path, Some(body), &[&own, more].concat()).await
    }

    /// A product with one variant, and stock of it. Its id, and the position after both.
    pub(crate) async fn product(&self, sku: &str, name: &str, pence: i64, units: u32) -> (String, String) {
        let body = json!({"name": name, "category": "things",
            "variants": [{"sku": sku, "price": {"amount": pence, "currency": "GBP"}}]});
        let made = self.post("/products", &body).await.expect(201);
        let id = made.json()["id"].as_str().unwrap().to_owned();
        let mut position = made.position();
        if units > 0 {
            let path = format!("/inventory/{sku}/receipts");
            position = self.post(&path, &json!({"quantity": units})).await.expect(200).position();
        }
        (id, position)
    }
}

/// A process of the shop, killed when dropped.
pub(crate) struct Process(Option<Child>);

impl Process {
    /// Starts the binary with these arguments on these backends.
    pub(crate) fn start(config: &Config, name: &str, args: &[&str]) -> Self {
        Self::spawn(config, name, args, "warn,lapin=off", Stdio::inherit())
    }

    /// Like [`start`](Self::start), with its log in a file.
    pub(crate) fn start_logging(
        config: &Config,
        name: &str,
        args: &[&str],
        filter: &str,
        file: &Path,
    ) -> Self {
        Self::spawn(config, name, args, filter, std::fs::File::create(file).unwrap().into())
    }

    fn spawn(config: &Config, name: &str, args: &[&str], filter: &str, stderr: Stdio) -> Self {
        // A file that may not grow is an error to it, and not its end.
        let child = Command::new("sh")
            .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
            .arg(binary())
            .args(args)
            .args(["--store", &config.store, "--bus", &config.bus, "--cache", &config.cache])
            .args(["--search", &config.search, "--name", name])
            .args(config.read_models.iter().flat_map(|url| ["--read-models", url]))
            .arg("--master-key-file")
            .arg(&config.master_key_file)
            .arg("--seal-key-file")
            .arg(&config.seal_key_file)
            .arg("--operator-token-file")
            .arg(&config.operator_token_file)
            .args(config.rates.rates.iter().flat_map(|rate| ["--rate".to_owned(), rate.to_string()]))
            .args(["--log", filter])
            .stdin(Stdio::null())
            .stderr(stderr)
            .spawn()
            .unwrap();
        Self(Some(child))
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.0.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Waits until it ends by itself; its exit code.
    pub(crate) fn wait(mut self) -> Option<i32> {
        self.0.take()?.wait().unwrap().code()
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.as_ref().map_or(0, Child::id)
    }

    /// SIGTERM, and its exit code.
    pub(crate) fn stop(mut self) -> Option<i32> {
        let mut child = self.0.take()?;
        let sent = Command::new("kill").arg(child.id().to_string()).status().unwrap();
        assert!(sent.success());
        child.wait().unwrap().code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(child) = self.0.as_mut() {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// The shop's binary, which this build made.
pub(crate) fn binary() -> PathBuf {
    built("soonshop")
}

/// A binary that this build made, beside the folder of this test.
pub(crate) fn built(name: &str) -> PathBuf {
    let me = std::env::current_exe().unwrap();
    let path = me.parent().and_then(Path::parent).unwrap().join(name);
    assert!(path.exists(), "{} is missing: run `cargo build --workspace` first", path.display());
    path
}

/// A free port that nothing else takes before the process under test listens on it.
///
/// A port that the kernel chose (port 0) is one that it gives to the next outgoing connection of anybody, too. These
/// lie below the ports of outgoing connections (32,768 and up) and above those of the servers of the tests, and no two
/// tests of this process are given the same one.
pub(crate) fn free_port() -> u16 {
    const FIRST: u32 = 22_000;
    const MANY: u32 = 10_000;
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    // Processes that test beside each other begin at different ones.
    let begin = std::process::id().wrapping_mul(100);
    (0..MANY)
        .map(|_| FIRST + begin.wrapping_add(GIVEN.fetch_add(1, Ordering::Relaxed)) % MANY)
        .map(|port| u16::try_from(port).unwrap())
        .find(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("no port is free from 22000 to 31999")
}

/// Waits, looking again and again, until the condition holds.
pub(crate) async fn eventually<F: Future<Output = bool>>(
    what: &str,
    limit: Duration,
    mut condition: impl FnMut() -> F,
) {
    let mut ticks = tokio::time::interval(Duration::from_millis(50));
    let deadline = tokio::time::Instant::now() + limit;
    while !condition().await {
        assert!(tokio::time::Instant::now() < deadline, "in {limit:?} it was not so that {what}");
        ticks.tick().await;
    }
}
