//! The refusal of a client for whose connection there is no room.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until, timeout};

use super::limits::Limits;
use super::one::finish;
use super::tls::Tls;
use super::{answer, reserve};
use crate::metrics::Http;

/// How long one of the [`Limits::REFUSED_OVER_TLS`] is taken at least: a handshake costs time of the processor, and so
/// many a second are made at most.
const EACH: Duration = Duration::from_millis(100);

/// Tells clients that there is no room for them.
pub(super) struct Refusing {
    http: Http,
    /// Turns for handshakes of TLS.
    turns: Arc<Semaphore>,
}

impl Refusing {
    pub(super) fn new(http: Http) -> Self {
        Self { http, turns: Arc::new(Semaphore::new(Limits::REFUSED_OVER_TLS)) }
    }

    /// Says it without waiting for anything: a new socket has space for so short an answer.
    pub(super) fn plainly(&self, socket: TcpStream, peer: SocketAddr) {
        let answer = answer::of(&reserve::too_many_connections(), &self.http, false);
        match socket.into_std().and_then(|mut socket| socket.write_all(&answer)) {
            Ok(()) => tracing::debug!(%peer, "a connection was refused: all are in use"),
            Err(error) => tracing::debug!(%peer, %error, "a connection was refused and could not be told"),
        }
    }

    /// A turn to say it over TLS. `None`: as many as may be are being told, and the connection is closed without a
    /// word.
    pub(super) fn turn(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.turns).try_acquire_owned().ok()
    }

    /// The refusal over TLS, in HTTP/1.1. It ends when the client has received it, after a few seconds at most.
    pub(super) fn over_tls(
        &self,
        turn: OwnedSemaphorePermit,
        socket: TcpStream,
        peer: SocketAddr,
        tls: &Tls,
    ) -> impl Future<Output = ()> + Send + use<> {
        let (acceptor, http) = (tls.acceptor_of_refusals(), self.http.clone());
        async move {
            let (_turn, over) = (turn, Instant::now() + EACH);
            let telling = async {
                let mut socket = acceptor.accept(socket).await?;
                socket.write_all(&answer::of(&reserve::too_many_connections(), &http, true)).await?;
                finish(socket, true).await;
                std::io::Result::Ok(())
            };
            match timeout(Limits::LINGER, telling).await {
                Ok(Ok(())) => tracing::debug!(%peer, "a connection was refused: all are in use"),
                Ok(Err(error)) => {
                    tracing::debug!(%peer, %error, "a connection was refused and could not be told");
                }
                Err(_) => tracing::debug!(%peer, "a connection was refused and was not told in time"),
            }
            sleep_until(over).await;
        }
    }
}
