//! Connections of clients: how many there may be, what a client may send and take, and how long each step may last.
//!
//! hyper speaks HTTP; this decides who gets a connection (`table`), watches what each one waits for (`state`), and
//! closes those whose client does not go on. [`Limits`] holds all bounds. Start reading at `serve`.

mod answer;
mod body;
mod io;
mod limits;
mod one;
mod refused;
mod reserve;
mod service;
mod socket;
mod state;
mod table;
mod tls;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::metrics::Http;
use crate::rates::Proxies;

pub(crate) use answer::{head_too_large, target_too_long};
pub use limits::Limits;
use one::Shared;
use refused::Refusing;
pub(crate) use reserve::only_health;
pub(crate) use service::Held;
pub use socket::is_of_this_machine;
use table::Table;
pub use tls::{InvalidTls, Tls, date};

/// How long to wait before the next connection is taken after the operating system refused one.
const AFTER_AN_ERROR: Duration = Duration::from_millis(50);

/// The settings of every connection.
pub(crate) struct Terms<'a> {
    pub(crate) limits: Limits,
    /// Where this process ends TLS itself.
    pub(crate) tls: Option<&'a Tls>,
    /// The proxies that are believed about a client.
    pub(crate) proxies: &'a Proxies,
}

/// Whether every connection had ended by the deadline.
pub(crate) enum End {
    Drained,
    AtDeadline,
}

/// Takes connections until `stop`, and then waits until those that there are have ended, for `deadline` at most.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    http: Http,
    terms: Terms<'_>,
    stop: CancellationToken,
    deadline: Duration,
) -> End {
    let (limits, tls, proxies) = (terms.limits, terms.tls.cloned(), terms.proxies.clone());
    let table = Arc::new(Table::new(limits, http.clone()));
    let refusing = Refusing::new(http.clone());
    // Where other machines reach the address, plain text is for the proxies and for this machine.
    let open = listener.local_addr().map_or(true, |address| !is_of_this_machine(address));
    let only_proxies = open && tls.is_none();
    let shared = Arc::new(Shared { router, http, limits, tls, proxies, stop: stop.clone() });
    let connections = TaskTracker::new();
    let end = CancellationToken::new();
    // Also when this future is dropped.
    let _end = end.clone().drop_guard();
    if let Some(tls) = terms.tls.cloned() {
        tokio::spawn(end.clone().run_until_cancelled_owned(tls.keep_reading()));
    }
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (socket, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) if of_the_client(&error) => continue,
            Err(error) => {
                tracing::warn!(%error, "a connection cannot be taken: one that waits for its client is closed");
                table.close_one();
                tokio::time::sleep(AFTER_AN_ERROR).await;
                continue;
            }
        };
        if only_proxies && !may_speak_plainly(peer, &shared.proxies) {
            tracing::debug!(%peer, "a connection was closed: without TLS only the named proxies are served");
            continue;
        }
        socket::prepare(&socket);
        match table.admit(peer.ip()) {
            Some(admitted) => {
                let serving = one::serve(socket, peer, Arc::clone(&shared), admitted);
                connections.spawn(end.clone().run_until_cancelled_owned(serving));
            }
            None => match &shared.tls {
                None => refusing.plainly(socket, peer),
                Some(tls) => match refusing.turn() {
                    Some(turn) => {
                        let telling = refusing.over_tls(turn, socket, peer, tls);
                        connections.spawn(end.clone().run_until_cancelled_owned(telling));
                    }
                    None => tracing::debug!(%peer, "a connection was refused without a word: all are in use"),
                },
            },
        }
    }
    drop(listener);
    connections.close();
    tokio::select! {
        () = connections.wait() => End::Drained,
        () = tokio::time::sleep(deadline) => End::AtDeadline,
    }
}

fn may_speak_plainly(peer: SocketAddr, proxies: &Proxies) -> bool {
    is_of_this_machine(peer) || proxies.trusts(peer.ip().to_canonical())
}

/// The client went away before its connection was taken.
fn of_the_client(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};

    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::certificates::folder_of_tests;
