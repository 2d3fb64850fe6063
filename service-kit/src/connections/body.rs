//! Bodies on their way: a request's has a time in which it has to come, and both tell the state of the connection who
//! waits for whom.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use axum::BoxError;
use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, Incoming, SizeHint};
use tokio::time::{Duration, Instant, Sleep, sleep_until};

use super::limits::Limits;
use super::state::{Answering, AwaitedBody};
use crate::extract::BodyTimedOut;

/// The body of a request.
pub(super) struct RequestBody {
    inner: Incoming,
    awaited: AwaitedBody,
    until: Instant,
    timer: Option<Pin<Box<Sleep>>>,
    whole: Arc<AtomicBool>,
}

impl RequestBody {
    /// It has to be there within `limit`. `whole` says whether it was read to its end.
    pub(super) fn new(
        inner: Incoming,
        awaited: AwaitedBody,
        limit: Duration,
        whole: Arc<AtomicBool>,
    ) -> Self {
        whole.store(inner.is_end_stream(), Ordering::Relaxed);
        Self { inner, awaited, until: Instant::now() + limit, timer: None, whole }
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        match Pin::new(&mut this.inner).poll_frame(context) {
            Poll::Ready(frame) => {
                let data = frame.as_ref().and_then(|frame| frame.as_ref().ok()).and_then(Frame::data_ref);
                this.awaited.came(data.map_or(0, Bytes::len));
                if frame.is_none() || this.inner.is_end_stream() {
                    this.awaited.ended();
                    this.whole.store(true, Ordering::Relaxed);
                }
                Poll::Ready(frame.map(|frame| frame.map_err(BoxError::from)))
            }
            Poll::Pending => {
                this.awaited.is_waited_for();
                let until = this.until;
                let timer = this.timer.get_or_insert_with(|| Box::pin(sleep_until(until)));
                match timer.as_mut().poll(context) {
                    Poll::Ready(()) => Poll::Ready(Some(Err(BoxError::from(BodyTimedOut)))),
                    Poll::Pending => Poll::Pending,
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        self.awaited.ended();
        if !self.whole.load(Ordering::Relaxed) {
            self.awaited.is_left_unread();
        }
    }
}

/// The body of an answer. It is handed over in pieces: HTTP/1 copies each, and takes the next one when there is room;
/// HTTP/2 keeps each until its client takes it.
pub(super) struct AnswerBody {
    inner: Body,
    /// Bytes that came and were not handed over yet.
    rest: Bytes,
    answering: Arc<Answering>,
    over_http2: bool,
}

impl AnswerBody {
    pub(super) fn new(inner: Body, answering: Arc<Answering>, over_http2: bool) -> Self {
        Self { inner, rest: Bytes::new(), answering, over_http2 }
    }
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        if this.rest.is_empty() {
            match ready!(Pin::new(&mut this.inner).poll_frame(context)) {
                None => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => this.rest = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
            }
        }
        let most = if this.over_http2 { Limits::HTTP2_PIECE } else { Limits::BUFFER_BYTES };
        let piece = this.rest.split_to(this.rest.len().min(most));
        let piece = if this.over_http2 { this.answering.hand_over(piece) } else { piece };
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, inner) = (self.rest.len() as u64, self.inner.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower() + rest);
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}
