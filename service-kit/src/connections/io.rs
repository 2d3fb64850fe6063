//! The socket as hyper sees it. It tells the state of the connection what passes, and puts a problem in the place of an
//! answer that hyper gives by itself to a head that it cannot read.
//!
//! Such an answer is known by three marks: no request is being answered, it ends what is written, and its head has no
//! other fields than the three that hyper writes there. Ours always have a request id.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::answer;
use super::state::State;
use crate::metrics::Http;

/// The longest head that hyper writes by itself, and more.
const LONGEST: usize = 256;

/// A socket, watched.
pub(super) struct Io<S> {
    socket: S,
    /// Bytes that were read before hyper.
    before: Vec<u8>,
    /// Bytes that are written in the place of hyper's own answer.
    instead: Vec<u8>,
    /// hyper has given an answer of its own: the head could not be read.
    pub(super) refused: bool,
    state: Arc<State>,
    http: Http,
    over_tls: bool,
}

impl<S> Io<S> {
    pub(super) fn new(socket: S, before: Vec<u8>, state: Arc<State>, http: Http, over_tls: bool) -> Self {
        Self { socket, before, instead: Vec::new(), refused: false, state, http, over_tls }
    }

    /// The socket, after everything was sent.
    pub(super) fn into_socket(self) -> S {
        self.socket
    }
}

impl<S: AsyncWrite + Unpin> Io<S> {
    fn poll_socket(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.socket).poll_write(context, bytes) {
            Poll::Ready(Ok(taken)) => {
                self.state.took(taken);
                Poll::Ready(Ok(taken))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                self.state.blocks();
                Poll::Pending
            }
        }
    }

    /// Writes what stands in the place of hyper's own answer.
    fn poll_instead(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.instead.is_empty() {
            let bytes = std::mem::take(&mut self.instead);
            match self.poll_socket(context, &bytes) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(taken)) => self.instead = bytes.get(taken..).unwrap_or_default().to_vec(),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    self.instead = bytes;
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Io<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.before.is_empty() {
            let count = this.before.len().min(buffer.remaining());
            buffer.put_slice(&this.before[..count]);
            this.before.drain(..count);
            return Poll::Ready(Ok(()));
        }
        let filled = buffer.filled().len();
        ready!(Pin::new(&mut this.socket).poll_read(context, buffer))?;
        this.state.received(&buffer.filled()[filled..]);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Io<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_instead(context))?;
        if !this.state.is_answering()
            && let Some((start, status)) = own_answer(bytes)
        {
            if start > 0 {
                return this.poll_socket(context, &bytes[..start]);
            }
            this.refused = true;
            this.instead =
                answer::of(&answer::refusal(status, this.state.line_ended()), &this.http, this.over_tls);
            return Poll::Ready(Ok(bytes.len()));
        }
        this.poll_socket(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_instead(context))?;
        let flushed = Pin::new(&mut this.socket).poll_flush(context);
        // TLS has a buffer of its own.
        if flushed.is_pending() {
            this.state.blocks();
        } else {
            this.state.took_all();
        }
        flushed
    }

    /// Sends what there is, and leaves the socket open: its client may still be sending.
    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(context)
    }
}

/// Where hyper's own answer begins, which ends these bytes, and its status.
fn own_answer(bytes: &[u8]) -> Option<(usize, u16)> {
    if !bytes.ends_with(b"\r\n\r\n") {
        return None;
    }
    let from = bytes.len().saturating_sub(LONGEST);
    let end = bytes.get(from..)?;
    let start = end.windows(7).rposition(|window| window == b"HTTP/1.")?;
    let head = std::str::from_utf8(end.get(start..)?).ok()?;
    let mut lines = head.strip_suffix("\r\n\r\n")?.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let own = |line: &str| {
        let name = line.split(':').next().unwrap_or_default();
        ["connection", "content-length", "date"].contains(&name)
    };
    (matches!(status, 400 | 414 | 431) && lines.all(own)).then_some((from + start, status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_hyper_is_known_and_one_of_ours_is_not() {
        let own = "HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\
                   date: Sun, 29 Nov 2026 06:00:00 GMT\r\n\r\n";
        assert_eq!(own_answer(own.as_bytes()), Some((0, 431)));
        let after = format!("the end of another{own}");
        assert_eq!(own_answer(after.as_bytes()), Some((18, 431)));
        for ours in [
            own.replace("date: ", "x-request-id: 1\r\ndate: "),
            own.replace("431", "200"),
            format!("{own}more"),
            "{}\r\n\r\n".to_owned(),
            String::new(),
        ] {
            assert_eq!(own_answer(ours.as_bytes()), None, "{ours}");
        }
    }
}
