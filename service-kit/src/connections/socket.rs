//! The options and the addresses of a socket.

use std::net::SocketAddr;

use tokio::net::TcpStream;

use super::limits::Limits;

/// Whether only this machine reaches the address.
pub fn is_of_this_machine(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

/// Sends answers at once, and lets the system keep little of them. A client that reads slowly then makes room every few
/// seconds; with the megabytes that the system keeps otherwise it would make none for minutes, and seem to be gone.
pub(super) fn prepare(socket: &TcpStream) {
    // Answers are small and sent whole: waiting for more data only delays them.
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%error, "the connection keeps its delay");
    }
    if let Err(error) = keep_little(socket) {
        tracing::debug!(%error, "the connection keeps its buffer");
    }
}

/// Bounds what is not sent yet. What is sent and not confirmed stays unbounded, so that a long way costs no speed.
#[cfg(target_os = "linux")]
fn keep_little(socket: &TcpStream) -> std::io::Result<()> {
    socket2::SockRef::from(socket).set_tcp_notsent_lowat(Limits::UNSENT_BYTES)
}

/// Elsewhere the whole buffer is bounded.
#[cfg(not(target_os = "linux"))]
fn keep_little(socket: &TcpStream) -> std::io::Result<()> {
    socket2::SockRef::from(socket).set_send_buffer_size(4 * Limits::UNSENT_BYTES as usize)
}
