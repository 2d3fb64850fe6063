//! One connection, from its first byte to its end.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{Duration, Instant, Sleep, sleep_until, timeout};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::answer;
use super::io::Io;
use super::limits::Limits;
use super::service::Service;
use super::state::{Overdue, State};
use super::table::Admitted;
use super::tls::Tls;
use crate::metrics::Http;
use crate::rates::Proxies;

/// The first bytes of every connection that speaks HTTP/2 from its first byte.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The common parts of all connections of a listener.
pub(super) struct Shared {
    pub(super) router: Router,
    pub(super) http: Http,
    pub(super) limits: Limits,
    /// Where this process ends TLS itself.
    pub(super) tls: Option<Tls>,
    /// The proxies that are believed about a client.
    pub(super) proxies: Proxies,
    /// Take no more requests.
    pub(super) stop: CancellationToken,
}

/// Why a connection is not driven on.
enum Event<T> {
    Ended(T),
    Overdue(Overdue),
    /// Another connection takes its place.
    Replaced,
    /// The process stops.
    Stopping,
}

/// Signals that end a connection from outside.
struct Watch {
    state: Arc<State>,
    limits: Limits,
    timer: Pin<Box<Sleep>>,
    replaced: Pin<Box<WaitForCancellationFutureOwned>>,
    stop: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
}

impl Watch {
    /// Drives a connection until something happens to it.
    async fn over<T>(&mut self, mut drive: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Event<T> {
        poll_fn(|context| {
            self.state.is_driven();
            if let Poll::Ready(ended) = drive(context) {
                return Poll::Ready(Event::Ended(ended));
            }
            if self.replaced.as_mut().poll(context).is_ready() {
                return Poll::Ready(Event::Replaced);
            }
            if let Some(stop) = &mut self.stop
                && stop.as_mut().poll(context).is_ready()
            {
                self.stop = None;
                return Poll::Ready(Event::Stopping);
            }
            // Driving it may have moved the deadline.
            let Some((at, overdue)) = self.state.deadline(&self.limits, context.waker()) else {
                return Poll::Pending;
            };
            if self.timer.deadline() != at {
                self.timer.as_mut().reset(at);
            }
            self.timer.as_mut().poll(context).map(|()| Event::Overdue(overdue))
        })
        .await
    }

    /// The last that is done with a connection, unless another one takes its place meanwhile.
    async fn last(&mut self, ending: impl Future<Output = ()>) {
        tokio::select! {
            () = self.replaced.as_mut() => {}
            () = ending => {}
        }
    }
}

/// Serves a connection to its end. The first byte of a request has the same time with TLS and without.
pub(super) async fn serve(socket: TcpStream, peer: SocketAddr, shared: Arc<Shared>, mut admitted: Admitted) {
    let limits = shared.limits;
    let close = std::mem::take(&mut admitted.close);
    let mut watch = Watch {
        state: Arc::clone(&admitted.state),
        limits,
        timer: Box::pin(sleep_until(Instant::now() + limits.head)),
        replaced: Box::pin(close.cancelled_owned()),
        stop: Some(Box::pin(shared.stop.clone().cancelled_owned())),
    };
    let Some(tls) = &shared.tls else {
        return serve_socket(socket, peer, &shared, admitted, &mut watch, false).await;
    };
    let shaken = {
        let mut handshake = pin!(tls.acceptor().accept(socket));
        watch.over(|context| handshake.as_mut().poll(context)).await
    };
    match shaken {
        Event::Ended(Ok(socket)) => {
            Box::pin(serve_socket(socket, peer, &shared, admitted, &mut watch, true)).await;
        }
        Event::Ended(Err(error)) => tracing::debug!(%peer, %error, "TLS was not agreed on"),
        Event::Overdue(_) | Event::Replaced | Event::Stopping => {}
    }
}

async fn serve_socket<S>(
    mut socket: S,
    peer: SocketAddr,
    shared: &Shared,
    admitted: Admitted,
    watch: &mut Watch,
    over_tls: bool,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Admitted { slot, state, reserved, .. } = admitted;
    let limits = shared.limits;
    let first = {
        let mut reading = pin!(first_bytes(&mut socket, &state));
        watch.over(|context| reading.as_mut().poll(context)).await
    };
    let before = match first {
        Event::Ended(Ok(before)) if !before.is_empty() => before,
        Event::Overdue(Overdue::Head) => return watch.last(too_late(socket, &shared.http, over_tls)).await,
        // Nothing was asked.
        Event::Ended(_) | Event::Overdue(_) | Event::Replaced | Event::Stopping => return,
    };
    // Kept to the end: also while its client is told why it ends.
    let _slot = Arc::clone(&slot);
    let service = Service {
        router: shared.router.clone(),
        peer,
        state: Arc::clone(&state),
        handlers: Arc::new(Semaphore::new(limits.streams)),
        slot,
        limits,
        reserved,
        over_tls,
        proxies: shared.proxies.clone(),
    };
    // Boxed: a connection that waits for its first bytes is smaller than one that speaks HTTP.
    let http2 = before == PREFACE;
    if http2 {
        state.speaks_http2();
    }
    let io = TokioIo::new(Io::new(socket, before, state, shared.http.clone(), over_tls));
    if http2 {
        Box::pin(serve_http2(io, service, watch)).await;
    } else {
        Box::pin(serve_http1(io, service, watch, &shared.http)).await;
    }
}

/// As many bytes as it takes to know whether the client speaks HTTP/2. None: it has gone.
async fn first_bytes<S: AsyncRead + Unpin>(socket: &mut S, state: &State) -> std::io::Result<Vec<u8>> {
    let mut read = Vec::with_capacity(PREFACE.len());
    while PREFACE.starts_with(&read) && read.len() < PREFACE.len() {
        let mut part = [0; PREFACE.len()];
        let count = socket.read(&mut part[..PREFACE.len() - read.len()]).await?;
        if count == 0 {
            break;
        }
        state.received(&part[..count]);
        read.extend_from_slice(&part[..count]);
    }
    Ok(read)
}

async fn serve_http1<S>(io: TokioIo<Io<S>>, service: Service, watch: &mut Watch, http: &Http)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let over_tls = service.over_tls;
    let mut connection = http1::Builder::new()
        // The state of the connection has the time.
        .header_read_timeout(None::<Duration>)
        .max_headers(Limits::HEAD_FIELDS)
        .max_header_size(Limits::HEAD_BYTES)
        .max_buf_size(Limits::BUFFER_BYTES)
        // So that an answer's head and body come in one piece, in which hyper's own answers are known.
        .writev(false)
        .timer(TokioTimer::new())
        .serve_connection(io, service);
    let event = loop {
        match watch.over(|context| Pin::new(&mut connection).poll(context)).await {
            Event::Stopping if watch.state.stop() => return,
            Event::Stopping => Pin::new(&mut connection).graceful_shutdown(),
            event => break event,
        }
    };
    let io = connection.into_parts().io.into_inner();
    match event {
        Event::Ended(ended) => {
            if let Err(error) = &ended {
                tracing::debug!(%error, "a connection ended early");
            }
            let more = io.refused || watch.state.left_body_unread();
            watch.last(finish(io.into_socket(), more)).await;
        }
        Event::Overdue(Overdue::Head) => watch.last(too_late(io.into_socket(), http, over_tls)).await,
        Event::Overdue(overdue) => tracing::debug!(?overdue, "a connection was closed"),
        Event::Replaced | Event::Stopping => {}
    }
}

async fn serve_http2<S>(io: TokioIo<Io<S>>, service: Service, watch: &mut Watch)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let streams = u32::try_from(service.limits.streams).unwrap_or(u32::MAX);
    let mut connection = pin!(
        http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(streams)
            .max_pending_accept_reset_streams(Limits::HTTP2_RESETS)
            .max_local_error_reset_streams(Limits::HTTP2_RESETS)
            .max_header_list_size(Limits::HTTP2_HEAD_BYTES)
            .max_send_buf_size(Limits::HTTP2_PIECE)
            .initial_stream_window_size(Limits::HTTP2_STREAM_WINDOW)
            .initial_connection_window_size(Limits::HTTP2_WINDOW)
            .keep_alive_interval(Limits::HTTP2_PING)
            .keep_alive_timeout(Limits::HTTP2_PONG)
            .serve_connection(io, service)
    );
    loop {
        match watch.over(|context| connection.as_mut().poll(context)).await {
            Event::Stopping => {
                watch.state.stop();
                connection.as_mut().graceful_shutdown();
            }
            Event::Ended(Err(error)) => return tracing::debug!(%error, "a connection ended early"),
            Event::Overdue(overdue) => return tracing::debug!(?overdue, "a connection was closed"),
            Event::Ended(Ok(())) | Event::Replaced => return,
        }
    }
}

/// Tells a client that its head did not come in time.
async fn too_late<S: AsyncRead + AsyncWrite + Unpin>(mut socket: S, http: &Http, over_tls: bool) {
    let answer = answer::of(&answer::head_too_late(), http, over_tls);
    if let Ok(Ok(())) = timeout(Limits::LINGER, socket.write_all(&answer)).await {
        finish(socket, true).await;
    }
}

/// Ends a connection. If its client may still be sending, what comes is thrown away for a while: a socket that is
/// closed with bytes unread resets the connection, and the client loses the answer.
pub(super) async fn finish<S: AsyncRead + AsyncWrite + Unpin>(mut socket: S, more: bool) {
    let ending = async {
        socket.shutdown().await?;
        let mut left = if more { Limits::LINGER_BYTES } else { 0 };
        let mut bytes = vec![0; if more { 16 * 1024 } else { 0 }];
        while left > 0 {
            let count = socket.read(&mut bytes).await?;
            if count == 0 {
                break;
            }
            left = left.saturating_sub(count);
        }
        std::io::Result::Ok(())
    };
    match timeout(Limits::LINGER, ending).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a connection was broken by its client"),
        Err(_) => tracing::debug!("a connection was closed while its client was still sending"),
    }
}
