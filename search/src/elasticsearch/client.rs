//! Additions to the client: time limits, and retries when a server was busy or down for a moment.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use elasticsearch::auth::{ClientCertificate, Credentials};
use elasticsearch::cert::{Certificate, CertificateValidation};
use elasticsearch::http::Method;
use elasticsearch::http::headers::HeaderMap;
use elasticsearch::http::transport::{SingleNodeConnectionPool, Transport, TransportBuilder};
use serde_json::Value;
use soonshop_certificates::ServerTls;
use url::Url;

use crate::Error;

/// The name of this backend in messages.
pub(super) const BACKEND: &str = "elasticsearch";

pub(super) fn refused(reason: impl Into<String>) -> Error {
    Error::Refused { backend: BACKEND, reason: reason.into() }
}

/// How long a look may take.
pub(super) const PING: Duration = Duration::from_millis(1800);
/// How long a change may take.
pub(super) const WRITE: Duration = Duration::from_mins(1);

const WAITS: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(400)];

pub(super) struct Client {
    url: Url,
    tls: ServerTls,
    /// `None`: the files of TLS are read again for the next request.
    transport: Mutex<Option<Transport>>,
}

pub(super) struct Answer {
    pub(super) status: u16,
    /// Null if there is no body.
    pub(super) body: Value,
}

/// Converts an answer with an error.
pub(super) fn failed(index: &str, answer: &Answer) -> Error {
    let error = &answer.body["error"];
    if answer.status == 404 || error["type"] == "index_not_found_exception" {
        return Error::NoIndex(index.to_owned());
    }
    // The innermost reason says most; an answer of a proxy has none.
    let deepest = [&error["failed_shards"][0]["reason"], &error["root_cause"][0], &error["caused_by"], error];
    let reason = deepest.into_iter().find(|reason| reason["reason"].is_string()).unwrap_or(error);
    refused(format!("index {index}: status {}, {} {}", answer.status, reason["type"], reason["reason"]))
}

/// The attempts that are left.
pub(super) struct Tries(std::slice::Iter<'static, Duration>);

impl Tries {
    pub(super) fn new() -> Self {
        Self(WAITS.iter())
    }

    /// Waits, if another attempt is allowed.
    pub(super) async fn again(&mut self) -> bool {
        match self.0.next() {
            Some(wait) => {
                tokio::time::sleep(*wait).await;
                true
            }
            None => false,
        }
    }
}

enum Failure {
    /// The connection failed: worth another try at once.
    Away(String),
    /// It used the whole time limit.
    Slow,
    Nonsense(String),
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Away(reason) => Self::Unreachable { backend: BACKEND, reason },
            Failure::Slow => Self::Unreachable { backend: BACKEND, reason: "no answer in time".to_owned() },
            Failure::Nonsense(reason) => refused(reason),
        }
    }
}

impl Client {
    /// User and password stay in the address: the HTTP client decodes and uses them.
    pub(super) fn new(url: Url, tls: ServerTls) -> Result<Self, String> {
        tls.check().map_err(|error| error.to_string())?;
        let client = Self { url, tls, transport: Mutex::default() };
        if !client.tls.is_given() {
            client.transport()?;
        }
        Ok(client)
    }

    /// The one that there is, or another with the files of TLS as they are now.
    fn transport(&self) -> Result<Transport, String> {
        let mut kept = self.transport.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(transport) = kept.as_ref() {
            return Ok(transport.clone());
        }
        let mut builder = TransportBuilder::new(SingleNodeConnectionPool::new(self.url.clone()));
        let pem = self.tls.read().map_err(|error| error.of_server())?;
        if let Some(ca) = pem.ca {
            let ca = Certificate::from_pem(&ca).map_err(|error| error.to_string())?;
            builder = builder.cert_validation(CertificateValidation::Full(ca));
        }
        if let Some((certificate, key)) = pem.own {
            let own = ClientCertificate::Pem([key, b"\n".to_vec(), certificate].concat());
            builder = builder.auth(Credentials::Certificate(own));
        }
        let transport = builder.build().map_err(|error| error.to_string())?;
        *kept = Some(transport.clone());
        Ok(transport)
    }

    /// The files of TLS may have changed: they are read again.
    fn read_again(&self) {
        if self.tls.is_given() {
            *self.transport.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }

    /// Every request may be sent twice: writes carry their versions.
    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<String>,
        limit: Duration,
    ) -> Result<Answer, Error> {
        let mut tries = Tries::new();
        loop {
            match self.attempt(method, path, body.clone(), limit).await {
                Ok(answer) if !matches!(answer.status, 429 | 502..=504) => return Ok(answer),
                Ok(answer) => {
                    if !tries.again().await {
                        return Err(
                            Failure::Away(format!("it is busy, with status {}", answer.status)).into()
                        );
                    }
                }
                Err(Failure::Away(reason)) => {
                    if !tries.again().await {
                        return Err(Failure::Away(reason).into());
                    }
                }
                // No retry: a server that hangs would block the caller several times as long.
                Err(failure) => return Err(failure.into()),
            }
        }
    }

    pub(super) async fn call_once(
        &self,
        method: Method,
        path: &str,
        body: Option<String>,
        limit: Duration,
    ) -> Result<Answer, Error> {
        Ok(self.attempt(method, path, body, limit).await?)
    }

    pub(super) async fn ping(&self) -> Result<(), Error> {
        let answer = self.call_once(Method::Get, "", None, PING).await?;
        if answer.status == 200 {
            Ok(())
        } else {
            Err(refused(format!("a ping with status {}", answer.status)))
        }
    }

    async fn attempt(
        &self,
        method: Method,
        path: &str,
        body: Option<String>,
        limit: Duration,
    ) -> Result<Answer, Failure> {
        let transport = self.transport().map_err(Failure::Away)?;
        let request = async {
            let none = None::<&()>;
            let response = transport.send(method, path, HeaderMap::new(), none, body, Some(limit)).await?;
            let status = response.status_code().as_u16();
            Ok((status, response.text().await?))
        };
        let (status, text) = match tokio::time::timeout(limit, request).await {
            Ok(answer) => answer.map_err(|error: elasticsearch::Error| {
                if error.is_timeout() {
                    return Failure::Slow;
                }
                self.read_again();
                Failure::Away(chain(&error))
            })?,
            Err(_) => return Err(Failure::Slow),
        };
        match serde_json::from_str(&text) {
            Ok(body) => Ok(Answer { status, body }),
            // Proxies answer errors with their own pages.
            Err(_) if text.is_empty() || status >= 400 => Ok(Answer { status, body: Value::Null }),
            Err(error) => Err(Failure::Nonsense(format!("an answer that is not JSON: {error}"))),
        }
    }
}

/// An error and its causes, which contain the reason.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text = format!("{text}: {error}");
        next = error.source();
    }
    text
}
