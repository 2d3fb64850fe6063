//! The bounds of connections, all in one place. `docs/connections.md` has the same table.

use std::time::Duration;

use crate::extract::BODY_LIMIT;

/// The limits of a connection: its memory, and the time that its client may take for each step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections in all. When they are in use, the one that has waited longest for its client is closed for a new
    /// one; if all are at work, the reserve is used.
    pub connections: usize,
    /// Connections of one address; of IPv6, of one network of 64 bits.
    pub connections_per_address: usize,
    /// Connections beyond those, for health and metrics only. Other requests on them get a 503.
    pub reserve: usize,
    /// For the head of a request, from its first byte, and for the first byte of a new connection.
    pub head: Duration,
    /// For the body of a request, from its head.
    pub body: Duration,
    /// Between two requests.
    pub idle: Duration,
    /// For the client to take [`STEP`](Self::STEP) bytes of an answer that waits for it; with HTTP/2 also
    /// [`HTTP2_PIECE`](Self::HTTP2_PIECE) of each answer.
    pub write: Duration,
    /// Requests of one HTTP/2 connection that may be under way at once; also handlers that still run for requests
    /// which the client has given up.
    pub streams: usize,
}

impl Limits {
    /// The defaults.
    pub const DEFAULT: Self = Self {
        connections: 2048,
        connections_per_address: 1024,
        reserve: 32,
        head: Duration::from_secs(10),
        body: Duration::from_secs(20),
        idle: Duration::from_secs(75),
        write: Duration::from_secs(20),
        streams: 32,
    };
    /// The head of a request: its first line and its fields.
    pub const HEAD_BYTES: usize = 32 * 1024;
    /// The path and query of a request.
    pub const TARGET_BYTES: usize = 16 * 1024;
    /// The fields of a head.
    pub const HEAD_FIELDS: usize = 100;
    /// Bytes that are read ahead of a request, and kept of an answer that waits for its client.
    pub const BUFFER_BYTES: usize = 64 * 1024;
    /// Bytes of an answer that the system may keep beside that, before it has sent them.
    pub const UNSENT_BYTES: u32 = 64 * 1024;
    /// The pieces in which HTTP/2 gets an answer: of each answer it keeps two of them, or three where the connection is
    /// what waits for the client. One has to be taken within [`write`](Self::write).
    pub const HTTP2_PIECE: usize = 16 * 1024;
    /// The fields of a head of HTTP/2, unpacked: beyond this the protocol itself refuses, without a body.
    pub const HTTP2_HEAD_BYTES: u32 = 128 * 1024;
    /// Bytes that one stream of HTTP/2 may send ahead.
    pub const HTTP2_STREAM_WINDOW: u32 = 256 * 1024;
    /// Bytes that all streams of a connection may send ahead.
    pub const HTTP2_WINDOW: u32 = 1024 * 1024;
    /// Streams that a client may open and give up again before they are taken; and resets that its errors may cause.
    pub const HTTP2_RESETS: usize = 64;
    /// How often a connection of HTTP/2 is asked whether its client is there, and how long the answer may take.
    pub const HTTP2_PING: Duration = Duration::from_secs(20);
    pub const HTTP2_PONG: Duration = Duration::from_secs(10);
    /// How much an answer's client has to take within [`write`](Self::write).
    pub const STEP: usize = 64 * 1024;
    /// How many times more of that time a client has for an answer of HTTP/2, at most: once more for each
    /// [`STEP`](Self::STEP) that it has taken of it.
    pub const PATIENCE: usize = 2;
    /// How much of a refused body is read and thrown away, and for how long, so that its client can read the refusal.
    pub const LINGER_BYTES: usize = 64 * BODY_LIMIT;
    pub const LINGER: Duration = Duration::from_secs(5);
    /// Clients for whose connection there is no room, and who are told so over TLS at the same time; each of these turns
    /// is taken for a tenth of a second at least. Others are closed without a word.
    pub const REFUSED_OVER_TLS: usize = 8;
    /// How long a connection must have waited for its client in the middle of a request before it may be closed for
    /// another one: for the client to take [`STEP`](Self::STEP) of an answer, or to send
    /// [`BODY_STEP`](Self::BODY_STEP) of a body or the rest of it.
    pub const WAITED: Duration = Duration::from_secs(2);
    /// How many bytes of a body end the wait for it.
    pub const BODY_STEP: usize = 4 * 1024;

    /// The same, with no more connections than `files` files allow, half of which are for other things. Unknown where
    /// it is `None`.
    #[must_use]
    pub fn within(mut self, files: Option<u64>) -> Self {
        let Some(files) = files else { return self };
        let most = usize::try_from(files / 2).unwrap_or(usize::MAX).saturating_sub(self.reserve).max(16);
        self.connections = self.connections.min(most);
        self.connections_per_address = self.connections_per_address.min(self.connections);
        self
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_bound_connections_and_half_of_them_are_left_for_other_things() {
        let limits = Limits::default();
        assert_eq!(limits.within(None), limits);
        assert_eq!(limits.within(Some(1 << 20)), limits);
        let few = limits.within(Some(1024));
        assert_eq!((few.connections, few.connections_per_address), (480, 480));
        assert_eq!(limits.within(Some(3)).connections, 16);
    }
}
