//! Into a shop that is being served, over HTTP, as its operator.

mod stored;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail};
use chrono::SecondsFormat;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use soonshop_certificates::ServerTls;
use soonshop_domain::text::Sku;
use soonshop_service_kit::headers::{CORRELATION_ID, EVENT_POSITION, IDEMPOTENCY_KEY, PREFER};
use tokio::time::Instant;
use url::{Host, Url};
use uuid::Uuid;

use super::natural::natural;
use super::plan::{Line, Sale};
use super::target::{BuyerId, REASON, RefusedOrder, Step, StepContent, StepOutcome, Target, owner};

const CHANNEL: HeaderName = HeaderName::from_static("x-channel");
const IMPORT_KEY: HeaderName = HeaderName::from_static("x-import-key");

/// Requests under way.
const WIDTH: usize = 32;

/// How long the shop may not answer, or make no progress, before the import gives up.
const PATIENCE: Duration = Duration::from_mins(1);

/// Orders that wait for their stock, before others wait for them: a page of the list.
const MOST_WAITING: usize = 200;

/// A query of each read model: all are waited for at the end.
const QUERIES: [&str; 6] = [
    "/users?limit=1",
    "/products?limit=1",
    "/products/search?q=a&limit=1",
    "/inventory?limit=1",
    "/orders?limit=1",
    "/analytics/sales",
];

pub(super) struct Remote {
    client: Client,
    /// The address, without a slash at its end.
    base: String,
    /// The last position that a command was answered with.
    last: AtomicI64,
    /// The position of the log at the first request.
    began: OnceLock<i64>,
}

struct Answer {
    status: StatusCode,
    position: Option<i64>,
    body: Value,
}

impl Answer {
    /// The stable name of the problem, if it is one.
    fn problem(&self) -> &str {
        self.body["type"].as_str().and_then(|kind| kind.strip_prefix("/problems/")).unwrap_or_default()
    }

    /// The read model has not reached the requested position.
    fn is_behind(&self) -> bool {
        self.problem() == "read-model-behind"
    }

    /// Of a list.
    fn items(&self) -> &[Value] {
        self.body["items"].as_array().map_or(&[], Vec::as_slice)
    }

    fn summary(&self) -> String {
        let detail = self.body["detail"].as_str().unwrap_or("nothing more was said");
        match (self.problem(), self.body["pointer"].as_str()) {
            ("", _) => format!("{}: {detail}", self.status),
            (slug, None) => format!("{slug}: {detail}"),
            (slug, Some(pointer)) => format!("{slug}: {detail} ({pointer})"),
        }
    }
}

/// Whether the address is one of this machine.
fn is_here(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.to_canonical().is_loopback(),
        None => false,
    }
}

impl Remote {
    pub(super) fn open(url: &Url, token: &str) -> anyhow::Result<Self> {
        let mut url = url.clone();
        let tls = ServerTls::take(&mut url)?;
        if !["http", "https"].contains(&url.scheme()) || url.query().is_some() || url.fragment().is_some() {
            bail!("--to is the address of a shop, such as http://127.0.0.1:8000");
        }
        if !url.username().is_empty() || url.password().is_some() {
            bail!("--to takes no name and no password: the operator's token says who is calling");
        }
        if url.scheme() == "http" && !is_here(&url) {
            bail!(
                "--to with http:// would send the operator's token over the network as it is: give https://"
            );
        }
        if tls.own().is_some() || (tls.ca().is_some() && url.scheme() != "https") {
            bail!(
                "--to takes ?ca=FILE with https, and no other file: the operator's token says who is calling"
            );
        }
        // TLS uses ring; another caller may have installed it before.
        drop(rustls::crypto::ring::default_provider().install_default());
        let mut authorization = HeaderValue::try_from(format!("Bearer {token}"))
            .context("the operator's token has characters that no token has")?;
        authorization.set_sensitive(true);
        let headers = [(AUTHORIZATION, authorization), (CHANNEL, HeaderValue::from_static("import"))];
        let client = match tls.config()? {
            Some(config) => Client::builder().tls_backend_preconfigured(config),
            None => Client::builder(),
        };
        let client = client
            .default_headers(headers.into_iter().collect())
            .connect_timeout(Duration::from_secs(5))
            .timeout(Duration::from_secs(75))
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        let base = url.as_str().trim_end_matches('/').to_owned();
        Ok(Self { client, base, last: AtomicI64::new(0), began: OnceLock::new() })
    }

    /// Sends a request until it is answered by more than that it cannot be answered just now.
    async fn send(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Option<String>,
    ) -> anyhow::Result<Answer> {
        let (began, mut pause) = (Instant::now(), Duration::from_millis(50));
        let address = format!("{}{path}", self.base);
        loop {
            let mut request = self.client.request(method.clone(), &address).headers(headers.clone());
            if let Some(body) = &body {
                request = request.header(CONTENT_TYPE, "application/json").body(body.clone());
            }
            let (summary, wait) = match answered(request).await {
                Ok((answer, None)) => return self.sane(path, answer),
                Ok((answer, Some(wait))) => (answer.summary(), wait.max(pause)),
                Err(error) => (format!("{:#}", anyhow::Error::from(error.without_url())), pause),
            };
            if began.elapsed() > PATIENCE {
                bail!("{} has not taken {method} {path} for a minute: {summary}", self.base);
            }
            tracing::debug!(path, summary, "sent again");
            tokio::time::sleep(wait.min(Duration::from_secs(5))).await;
            pause = (pause * 2).min(Duration::from_secs(2));
        }
    }

    /// An error after which the import ends.
    fn sane(&self, path: &str, answer: Answer) -> anyhow::Result<Answer> {
        let base = &self.base;
        match answer.status.as_u16() {
            401 | 403 => {
                bail!(
                    "{base} does not take the operator's token: --operator-token-file names the one that its `migrate` wrote"
                )
            }
            404 | 405
                if answer.problem().is_empty()
                    || ["no-such-path", "method-not-allowed"].contains(&answer.problem()) =>
            {
                bail!(
                    "{base} has no {path}: give the address of a server, or of the gateway, that takes commands and answers queries"
                )
            }
            500.. if !answer.is_behind() => bail!("{base} failed at {path}: {}", answer.summary()),
            _ => Ok(answer),
        }
    }

    async fn post(&self, step: &Step<'_>, path: &str, body: &Value) -> anyhow::Result<StepOutcome> {
        let body = body.to_string();
        // The same command in another form is another request; the import key still refuses it.
        let key = natural("request", &[step.kind.name(), &step.key.to_string(), path, &body]);
        let mut headers = HeaderMap::new();
        headers.insert(IDEMPOTENCY_KEY, HeaderValue::try_from(key.to_string())?);
        headers.insert(CORRELATION_ID, HeaderValue::try_from(step.correlation().to_string())?);
        if let Some(key) = step.import_key() {
            headers.insert(IMPORT_KEY, HeaderValue::try_from(key)?);
        }
        let answer = self.send(Method::POST, path, headers, Some(body)).await?;
        if answer.status.is_success() {
            let id = answer.body["id"].as_str().and_then(|id| id.parse().ok());
            let id = id.with_context(|| format!("{} answered {path} without an id", self.base))?;
            let position = answer.position.unwrap_or(0);
            self.last.fetch_max(position, Ordering::Relaxed);
            // A repeated command is answered as it was then.
            let new = self.began.get().is_none_or(|began| position > *began);
            return Ok(if new { StepOutcome::New(id) } else { StepOutcome::There(id) });
        }
        // Or another client created a product with this code.
        let known = ["imported-before", "sku-taken"].contains(&answer.problem());
        let there = answer.body["owner"].as_str().filter(|_| known).and_then(owner);
        Ok(there.map_or_else(|| StepOutcome::Refused(answer.summary()), StepOutcome::There))
    }

    /// Sends a query that must have seen `position`; the answer may say that it is behind.
    async fn get(&self, path: &str, position: i64, wait: u8) -> anyhow::Result<Answer> {
        let mut headers = HeaderMap::new();
        if position > 0 {
            headers.insert(EVENT_POSITION, HeaderValue::try_from(position.to_string())?);
            headers.insert(PREFER, HeaderValue::try_from(format!("wait={wait}"))?);
        }
        let answer = self.send(Method::GET, path, headers, None).await?;
        if !answer.status.is_success() && !answer.is_behind() {
            bail!("{} did not answer {path}: {}", self.base, answer.summary());
        }
        Ok(answer)
    }

    /// Asks until the answer is as it is wanted, as long as anything moves. `what` is still to be done.
    async fn wait(
        &self,
        path: &str,
        position: i64,
        what: &str,
        expected: impl Fn(&Answer) -> bool,
    ) -> anyhow::Result<Answer> {
        let (mut before, mut since) = (None, Instant::now());
        loop {
            let answer = self.get(path, position, 10).await?;
            if !answer.is_behind() && expected(&answer) {
                return Ok(answer);
            }
            if answer.position != before {
                (before, since) = (answer.position, Instant::now());
            } else if since.elapsed() > PATIENCE {
                bail!("{what}, and nothing has moved for a minute: {}", answer.summary());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// The answer; for a temporary failure also how long to wait.
async fn answered(request: reqwest::RequestBuilder) -> reqwest::Result<(Answer, Option<Duration>)> {
    let response = request.send().await?;
    let (status, headers) = (response.status(), response.headers());
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let position = text(EVENT_POSITION).and_then(|text| text.rsplit(':').next()?.parse().ok());
    let after =
        text(RETRY_AFTER).and_then(|text| text.parse().ok()).map_or(Duration::ZERO, Duration::from_secs);
    let body = response.bytes().await?;
    let answer = Answer { status, position, body: serde_json::from_slice(&body).unwrap_or_default() };
    let later = matches!(status.as_u16(), 429 | 502 | 503 | 504) && !answer.is_behind();
    Ok((answer, later.then_some(after)))
}

/// As a part of a path.
fn segment(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    let encoded = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(encoded).collect()
}

fn pounds(pence: i64) -> Value {
    json!({ "amount": pence, "currency": "GBP" })
}

fn sold(sale: &Sale, by: BuyerId) -> Value {
    let line =
        |line: &Line| json!({ "sku": line.sku, "quantity": line.quantity, "price": pounds(line.pence) });
    json!({
        "number": sale.number(),
        "customer": match by {
            BuyerId::User(id) => json!({ "user": id }),
            BuyerId::Guest(id) => json!({ "guest": id }),
        },
        "lines": sale.lines.iter().map(line).collect::<Vec<_>>(),
        "country": sale.country,
    })
}

impl Target for Remote {
    fn width(&self) -> usize {
        WIDTH
    }

    async fn give(&self, step: &Step<'_>) -> anyhow::Result<StepOutcome> {
        let (path, mut body) = match step.what {
            StepContent::Product { sku, name, pence } => {
                let variant = json!({ "sku": sku, "price": pence.map(pounds) });
                ("/products".to_owned(), json!({ "name": name, "variants": [variant] }))
            }
            StepContent::Price { product, sku, pence } => {
                (format!("/products/{product}/prices"), json!({ "sku": sku, "price": pounds(pence) }))
            }
            StepContent::Customer { country } => ("/users".to_owned(), json!({ "country": country })),
            StepContent::Receipt { sku, quantity } => {
                (format!("/inventory/{}/receipts", segment(sku.as_str())), json!({ "quantity": quantity }))
            }
            StepContent::Adjustment { sku, quantity } => {
                let body = json!({ "quantity": quantity, "reason": REASON });
                (format!("/inventory/{}/adjustments", segment(sku.as_str())), body)
            }
            StepContent::Order { sale, by } => ("/orders".to_owned(), sold(sale, by)),
            StepContent::CreditNote { sale, by } => ("/credit-notes".to_owned(), sold(sale, by)),
        };
        body["occurred_at"] = step.at.to_rfc3339_opts(SecondsFormat::AutoSi, true).into();
        self.post(step, &path, &body).await
    }

    async fn lacks_price(&self, product: Uuid, sku: &Sku) -> anyhow::Result<bool> {
        // A moment in the future: folded from the whole log, however far read models are.
        let path = format!("/products/{product}?as_of=9999-01-01T00:00:00Z");
        let answer = self.get(&path, 0, 0).await?;
        let variants = answer.body["state"]["variants"].as_array();
        let variant = variants.and_then(|all| all.iter().find(|one| one["sku"] == sku.as_str()));
        Ok(variant.is_some_and(|variant| variant["price"].is_null()))
    }

    async fn room(&self) -> anyhow::Result<()> {
        let path = format!("/orders?status=placed&limit={MOST_WAITING}");
        // A page may end before its limit, and then has a next one.
        let few = |answer: &Answer| answer.items().len() < MOST_WAITING && answer.body["next"].is_null();
        let last = self.last.load(Ordering::Relaxed);
        self.wait(&path, last, "too many orders wait for their stock", few).await.map(drop)
    }

    async fn finish(&self) -> anyhow::Result<()> {
        let last = self.last.load(Ordering::Relaxed);
        // Those that somebody else places meanwhile are none of ours.
        let ours = |order: &Value| order["position"].as_i64().is_some_and(|position| position <= last);
        let none = |answer: &Answer| !answer.items().iter().any(ours);
        let path = "/orders?status=placed&sort=placed&limit=200";
        let done = self.wait(path, last, "orders wait for their stock", none).await?;
        for path in QUERIES {
            self.wait(path, done.position.unwrap_or(last), "a read model is behind", |_| true).await?;
        }
        Ok(())
    }

    async fn head(&self) -> anyhow::Result<i64> {
        let position = self.get("/orders?limit=1", 0, 0).await?.position.unwrap_or(0);
        self.began.get_or_init(|| position);
        Ok(position)
    }

    async fn refused_since(&self, position: i64) -> anyhow::Result<Vec<RefusedOrder>> {
        let (mut refused, mut path) = (Vec::new(), "/orders?status=refused&limit=200".to_owned());
        loop {
            let page = self.get(&path, 0, 0).await?;
            for order in page.items().iter().filter(|order| order["position"].as_i64() > Some(position)) {
                let text = |name: &str| order[name].as_str().unwrap_or_default();
                let refusal = serde_json::from_value(order["refusal"].clone()).ok();
                refused.push(RefusedOrder::new(text("id"), text("number").to_owned(), refusal.as_ref()));
            }
            let Some(next) = page.body["next"].as_str() else { return Ok(refused) };
            path = format!("/orders?status=refused&limit=200&after={next}");
        }
    }
}
