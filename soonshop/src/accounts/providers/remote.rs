//! Calls to a provider: over https, or http on this machine; with an end, a size, and no redirects.

use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};
use reqwest::redirect::Policy;
use serde::de::DeserializeOwned;
use url::{Host, Url};

use super::fault::Fault;

/// How long a call may take.
const WITHIN: Duration = Duration::from_secs(5);
/// How large an answer may be, in bytes.
const LARGEST: usize = 256 * 1024;

/// The HTTP client.
pub(super) struct Remote(reqwest::Client);

/// Whether an address is one to call: encrypted, or of this machine.
pub(super) fn is_safe(url: &Url) -> bool {
    let this_machine = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => return false,
    };
    url.username().is_empty()
        && url.password().is_none()
        && (url.scheme() == "https" || url.scheme() == "http" && this_machine)
}

impl Remote {
    pub(super) fn new() -> anyhow::Result<Self> {
        let builder = reqwest::Client::builder().timeout(WITHIN).redirect(Policy::none()).no_proxy();
        Ok(Self(builder.build()?))
    }

    /// Sends a request, as the library makes them.
    pub(super) async fn send(&self, request: HttpRequest) -> Result<HttpResponse, Fault> {
        let request = reqwest::Request::try_from(request).map_err(Fault::away)?;
        if !is_safe(request.url()) {
            return Err(Fault::away("its address is not encrypted"));
        }
        let mut response = self.0.execute(request).await.map_err(|error| Fault::away(error.without_url()))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let mut body = Vec::new();
        while let Some(part) = response.chunk().await.map_err(|error| Fault::away(error.without_url()))? {
            if body.len() + part.len() > LARGEST {
                return Err(Fault::away("its answer is too large"));
            }
            body.extend_from_slice(&part);
        }
        let mut answer = HttpResponse::new(body);
        *answer.status_mut() = status;
        *answer.headers_mut() = headers;
        Ok(answer)
    }

    /// Reads a document.
    pub(super) async fn read<T: DeserializeOwned>(&self, url: &str, token: Option<&str>) -> Result<T, Fault> {
        let mut request = HttpRequest::new(Vec::new());
        *request.uri_mut() = url.parse().map_err(Fault::away)?;
        let headers = request.headers_mut();
        headers.insert("accept", "application/json".parse().map_err(Fault::away)?);
        if let Some(token) = token {
            headers.insert("authorization", format!("Bearer {token}").parse().map_err(Fault::away)?);
        }
        let answer = self.send(request).await?;
        if answer.status() != 200 {
            return Err(Fault::away(format!("it answered {}", answer.status())));
        }
        serde_json::from_slice(answer.body()).map_err(Fault::away)
    }
}

impl<'c> AsyncHttpClient<'c> for Remote {
    type Error = Fault;
    type Future = BoxFuture<'c, Result<HttpResponse, Fault>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        self.send(request).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_encrypted_or_of_this_machine_is_called() {
        for (url, safe) in [
            ("https://accounts.example/keys", true),
            ("http://127.0.0.1:9000/keys", true),
            ("http://localhost/keys", true),
            ("http://accounts.example/keys", false),
            ("http://169.254.169.254/latest", false),
            ("http://localhost.evil.example/", false),
            ("https://me@accounts.example/", false),
            ("file:///etc/passwd", false),
        ] {
            assert_eq!(is_safe(&Url::parse(url).unwrap()), safe, "{url}");
        }
    }
}
