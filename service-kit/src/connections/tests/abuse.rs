//! Frames of HTTP/2 that no client sends in good faith: the connection ends, few handlers run, and others are served.

use tokio::time::timeout;

use super::*;

/// Longer than any bound that is set here, and shorter than those that are not.
const SOON: Duration = Duration::from_secs(40);

const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The head of `GET path` for `localhost`: `:method`, `:scheme`, `:path` and `:authority`.
fn head(path: &str) -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).unwrap()][..], text.as_bytes()].concat();
    [&[0x82, 0x86, 0x04][..], &text(path), &[0x01], &text("localhost")].concat()
}

/// The first frames of every client; its windows are so large.
fn begin(window: u32) -> Vec<u8> {
    let initial_window = [&[0, 4][..], &window.to_be_bytes()].concat();
    [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(SETTINGS, 0, 0, &initial_window)].concat()
}

/// Sends these bytes, and then the others again and again until the connection ends, with somebody served meanwhile.
async fn flood(served: &Served, reads: bool, first: &[u8], again: impl Fn(u32) -> Vec<u8> + Send) {
    let mut connection = served.connect().await;
    connection.write_all(first).await.unwrap();
    let (mut read, mut write) = connection.split();
    let sending = async {
        for round in 0.. {
            if write.write_all(&again(round)).await.is_err() {
                break;
            }
            if round % 64 == 0 {
                assert!(served.tell(SMALL).await.ends_with("small"));
            }
        }
    };
    let reading = async {
        if reads {
            let mut bytes = vec![0; 64 * 1024];
            while read.read(&mut bytes).await.is_ok_and(|count| count > 0) {}
        } else {
            std::future::pending::<()>().await;
        }
    };
    let ended = async {
        tokio::select! {
            () = sending => {}
            () = reading => {}
        }
    };
    timeout(SOON, ended).await.expect("the connection is closed");
    assert!(served.tell(SMALL).await.ends_with("small"));
}

#[tokio::test]
async fn frames_without_a_request_keep_no_connection_open() {
    let short = Duration::from_millis(300);
    let limits = Limits { head: short, idle: short, write: short, ..Limits::default() };
    let ended = frame(HEADERS, END_STREAM | END_HEADERS, 1, &head("/small"));
    for begun in [begin(65_535), [begin(65_535), ended].concat()] {
        for (kind, stream, payload) in [
            (PING, 0, &[0; 8][..]),
            (SETTINGS, 0, &[]),
            (SETTINGS, 0, &[0, 4, 0, 0, 0, 1]),
            (PRIORITY, 7, &[0, 0, 0, 0, 1]),
            (200, 0, b"a frame of no kind"),
        ] {
            for reads in [false, true] {
                let served = served(limits).await;
                let frames = frame(kind, 0, stream, payload).repeat(100);
                flood(&served, reads, &begun, |_| frames.clone()).await;
            }
        }
    }
}

#[tokio::test]
async fn a_head_without_an_end_ends_its_connection_however_it_is_cut() {
    let served = served(Limits { head: Duration::from_mins(5), ..Limits::default() }).await;
    let begun = [begin(65_535), frame(HEADERS, END_STREAM, 1, &head("/small"))].concat();
    // A field that is not indexed: `x: xx…`.
    let field = [&[0, 1, b'x', 100][..], &[b'x'; 100]].concat();
    for payload in [field.repeat(100), field, vec![0x82], Vec::new()] {
        let frames = frame(CONTINUATION, 0, 1, &payload).repeat(10);
        flood(&served, true, &begun, |_| frames.clone()).await;
    }
}

#[tokio::test]
async fn requests_that_are_reset_at_once_have_no_more_handlers_at_work_than_others() {
    let short = Duration::from_millis(500);
    let limits = Limits { streams: 5, head: short, idle: short, write: short, ..Limits::default() };
    let served = served(limits).await;
    for reads in [false, true] {
        flood(&served, reads, &begin(65_535), |round| {
            let streams = (0..200).map(|number| 2 * (200 * round + number) + 1);
            let reset = |stream| {
                let asked = frame(HEADERS, END_STREAM | END_HEADERS, stream, &head("/hangs"));
                [asked, frame(RESET, 0, stream, &[0, 0, 0, 8])].concat()
            };
            streams.flat_map(reset).collect()
        })
        .await;
    }
    // Five of each connection.
    let begun = *served.signals.begun.borrow();
    assert!(begun <= 10, "{begun}");
    served.signals.go_on.notify_waiters();
}

#[tokio::test]
async fn a_window_that_grows_by_single_bytes_keeps_no_answer_waiting() {
    let limits = Limits { write: Duration::from_millis(300), ..Limits::default() };
    let served = served(limits).await;
    let asked = frame(HEADERS, END_STREAM | END_HEADERS, 1, &head("/endless"));
    let mut dropped = served.signals.dropped.subscribe();
    let mut connection = served.connect().await;
    connection.write_all(&[begin(1), asked].concat()).await.unwrap();
    let (mut read, mut write) = connection.split();
    let sipping = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(5));
        while write.write_all(&frame(WINDOW_UPDATE, 0, 1, &1_u32.to_be_bytes())).await.is_ok() {
            ticks.tick().await;
        }
    };
    let reading = async {
        let mut bytes = vec![0; 1024];
        while read.read(&mut bytes).await.is_ok_and(|count| count > 0) {}
    };
    let ended = async {
        tokio::select! {
            () = sipping => {}
            () = reading => {}
        }
    };
    timeout(SOON, ended).await.expect("the connection is closed");
    timeout(SOON, dropped.wait_for(|count| *count == 1)).await.expect("the answer is given up").unwrap();
}
