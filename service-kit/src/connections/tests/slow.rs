//! Clients that take and send too slowly, or nothing, and such as only seem to, with HTTP/1 and HTTP/2.

use futures::StreamExt as _;
use tokio::time::{interval, timeout};

use super::*;

/// Longer than anything takes here that does not wait for a bound of a connection without a request.
const SOON: Duration = Duration::from_secs(40);

/// A client of HTTP/2 with such windows, and a task that ends with its connection.
async fn http2_with(served: &Served, window: u32) -> (Http2, JoinHandle<()>) {
    let io = TokioIo::new(served.connect().await);
    let mut builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    let (sender, connection) = builder.initial_stream_window_size(window).handshake(io).await.unwrap();
    (sender, tokio::spawn(async move { drop(connection.await) }))
}

fn withheld(uri: &'static str) -> Request<Body> {
    let nothing = stream::pending::<Result<Bytes, Infallible>>();
    Request::post(uri).body(Body::from_stream(nothing)).unwrap()
}

#[tokio::test]
async fn the_last_piece_of_an_http2_answer_is_given_up_like_any_other() {
    for window in [0, 1] {
        let served = served(Limits { write: Duration::from_millis(100), ..Limits::default() }).await;
        let (mut http2, ended) = http2_with(&served, window).await;
        let mut unread = Vec::new();
        for _ in 0..10 {
            unread.push(http2.send_request(asks("http://localhost/small")).await.unwrap());
        }
        timeout(SOON, ended).await.expect("the connection is closed").unwrap();
        drop(unread);
        assert_eq!(served.stop().await, Stopped::Drained);
    }
}

#[tokio::test]
async fn http2_keeps_little_of_an_answer_that_its_client_does_not_take() {
    for window in [0, 1, 40_000] {
        let served = served(Limits { write: Duration::from_millis(100), ..Limits::default() }).await;
        let mut dropped = served.signals.dropped.subscribe();
        let (mut http2, _ended) = http2_with(&served, window).await;
        let unread = http2.send_request(asks("http://localhost/endless")).await.unwrap();
        timeout(SOON, dropped.wait_for(|count| *count == 1)).await.expect("it is given up").unwrap();
        let kept = served.signals.given.load(Ordering::Relaxed) - usize::try_from(window).unwrap();
        assert!(kept <= 3 * Limits::HTTP2_PIECE + 32 * 1024, "{window}: {kept}");
        drop(unread);
    }
}

#[tokio::test]
async fn a_client_that_withholds_a_body_or_takes_no_answer_gives_its_place_away() {
    for (protocol, what) in [(1, "/takes"), (2, "/takes"), (2, "/endless")] {
        let (body, write) = (Duration::from_mins(5), Duration::from_mins(5));
        let limits = Limits {
            connections: 1,
            connections_per_address: 1,
            reserve: 8,
            body,
            write,
            ..Limits::default()
        };
        let served = served(limits).await;
        let (mut begun, mut dropped) = (served.signals.begun.subscribe(), served.signals.dropped.subscribe());
        let (connection, ended) = if protocol == 1 {
            let mut connection = served.connect().await;
            let head = b"POST /takes HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n";
            connection.write_all(head).await.unwrap();
            (None, tokio::spawn(async move { drop(rest(connection).await) }))
        } else {
            let (http2, ended) = http2_with(&served, 1).await;
            (Some(http2), ended)
        };
        let asked = connection.map(|mut http2| {
            let request = if what == "/takes" {
                withheld("http://localhost/takes")
            } else {
                asks("http://localhost/endless")
            };
            tokio::spawn(async move { (http2.send_request(request).await, http2) })
        });
        let unread = if what == "/takes" {
            begun.wait_for(|count| *count == 1).await.unwrap();
            None
        } else {
            Some(asked.unwrap().await.unwrap())
        };
        // It keeps its place for a while, in which others are told to come back.
        let mut ticks = interval(Duration::from_millis(50));
        let others = async {
            loop {
                ticks.tick().await;
                let answer = served.tell(SMALL).await;
                if answer.ends_with("small") {
                    break;
                }
                assert_eq!(problem(&answer), (503, "too-many-connections".to_owned()));
            }
        };
        timeout(SOON, others).await.unwrap_or_else(|_| panic!("{protocol} {what}"));
        timeout(SOON, ended).await.expect("the connection is closed").unwrap();
        if unread.is_some() {
            dropped.wait_for(|count| *count == 1).await.unwrap();
        }
    }
}

#[tokio::test]
async fn an_http2_connection_keeps_its_place_while_one_of_its_requests_is_at_work() {
    let limits = Limits { connections: 1, connections_per_address: 1, reserve: 8, ..Limits::default() };
    let served = served(limits).await;
    let mut begun = served.signals.begun.subscribe();
    let (mut http2, _ended) = http2_with(&served, 65_535).await;
    let at_work = tokio::spawn(http2.send_request(asks("http://localhost/hangs")));
    begun.wait_for(|count| *count == 1).await.unwrap();
    let waits = tokio::spawn(http2.send_request(withheld("http://localhost/takes")));
    begun.wait_for(|count| *count == 2).await.unwrap();
    let mut ticks = interval(Limits::WAITED / 4);
    for _ in 0..8 {
        ticks.tick().await;
        assert_eq!(problem(&served.tell(SMALL).await), (503, "too-many-connections".to_owned()));
    }
    served.signals.go_on.notify_one();
    assert_eq!(at_work.await.unwrap().unwrap().status(), 200);
    waits.abort();
}

/// Several times as long as a client may take nothing, and slowly enough that the buffers of the system would hide it.
#[tokio::test]
async fn a_client_that_reads_slowly_and_steadily_is_served_to_the_end() {
    const TICKS: usize = 60;
    let served = served(Limits { write: Duration::from_secs(1), ..Limits::default() }).await;
    let pace = Duration::from_millis(50);
    let http1 = async {
        let mut connection = served.connect().await;
        connection.write_all(b"GET /large HTTP/1.0\r\nHost: localhost\r\n\r\n").await.unwrap();
        let (mut ticks, mut piece, mut got) = (interval(pace), vec![0; 32 * 1024], 0);
        for _ in 0..TICKS {
            ticks.tick().await;
            got += connection.read_exact(&mut piece).await.unwrap();
        }
        let mut others = Vec::new();
        got += connection.read_to_end(&mut others).await.unwrap();
        assert!(got > LARGE, "{got} bytes with the head");
    };
    let http2 = async {
        let (mut http2, _ended) = http2_with(&served, 2 << 20).await;
        let answer = http2.send_request(asks("http://localhost/large")).await.unwrap();
        let (mut ticks, mut got) = (interval(pace), 0);
        let mut body = Body::new(answer.into_body()).into_data_stream();
        for tick in 1..=TICKS {
            ticks.tick().await;
            while got < tick * 32 * 1024 {
                got += body.next().await.unwrap().unwrap().len();
            }
        }
        while let Some(piece) = body.next().await {
            got += piece.unwrap().len();
        }
        assert_eq!(got, LARGE);
    };
    tokio::join!(http1, http2);
}
