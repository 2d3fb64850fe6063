//! From hyper to the router: one request of a connection.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::header::{CONNECTION, CONTENT_LENGTH};
use axum::http::{HeaderValue, Request, Response, StatusCode, Version};
use futures::future::BoxFuture;
use hyper::body::Incoming;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::ServiceExt as _;

use super::body::{AnswerBody, RequestBody};
use super::limits::Limits;
use super::reserve::{Reserved, is_watching};
use super::state::{Handler, State};
use super::table::Slot;
use crate::rates::Proxies;
use crate::security_headers::tell_over_tls;

/// Held by a handler for as long as it runs, also after its client has gone: a client that begins requests and gives
/// them up has no more handlers at work than one that waits.
#[derive(Clone)]
pub(crate) struct Held {
    _one_of_the_connection: Arc<OwnedSemaphorePermit>,
    _one_of_the_address: Arc<Option<OwnedSemaphorePermit>>,
    _at_work: Arc<Handler>,
    _one_of_all: Arc<Slot>,
}

/// Answers the requests of one connection.
pub(super) struct Service {
    pub(super) router: Router,
    pub(super) peer: SocketAddr,
    pub(super) state: Arc<State>,
    pub(super) handlers: Arc<Semaphore>,
    pub(super) slot: Arc<Slot>,
    pub(super) limits: Limits,
    pub(super) reserved: bool,
    /// The client speaks TLS with this process itself.
    pub(super) over_tls: bool,
    /// The proxies that are believed about a client.
    pub(super) proxies: Proxies,
}

impl hyper::service::Service<Request<Incoming>> for Service {
    type Response = Response<AnswerBody>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let answering = self.state.answer();
        let (router, handlers, slot) =
            (self.router.clone(), Arc::clone(&self.handlers), Arc::clone(&self.slot));
        let (peer, reserved) = (self.peer, self.reserved);
        // HTTP/2 ends a stream without ending the connection.
        let over_http2 = request.version() >= Version::HTTP_2;
        let whole = Arc::new(AtomicBool::new(false));
        let (awaited, read) = (answering.body(), Arc::clone(&whole));
        let limit = self.limits.body;
        let mut request = request.map(|body| Body::new(RequestBody::new(body, awaited, limit, read)));
        let over_tls = self.over_tls || self.proxies.over_tls(peer.ip(), request.headers());
        tell_over_tls(request.headers_mut(), over_tls);
        Box::pin(async move {
            let permit = handlers.acquire_owned().await.expect("the semaphore is never closed");
            let of_the_address = if is_watching(request.uri().path()) { None } else { slot.handler().await };
            let held = Held {
                _one_of_the_connection: Arc::new(permit),
                _one_of_the_address: Arc::new(of_the_address),
                _at_work: Arc::new(answering.begins_handler()),
                _one_of_all: slot,
            };
            request.extensions_mut().insert(ConnectInfo(peer));
            request.extensions_mut().insert(held);
            if reserved {
                request.extensions_mut().insert(Reserved);
            }
            let Ok(mut response) = router.oneshot(request).await;
            if response.status() == StatusCode::NOT_MODIFIED {
                // It would be the length of the answer that the client has (RFC 9110, section 8.6), and is that of none.
                response.headers_mut().remove(CONTENT_LENGTH);
            }
            if !over_http2 && (reserved || !whole.load(Ordering::Relaxed)) {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(response.map(|body| AnswerBody::new(body, answering, over_http2)))
        })
    }
}
