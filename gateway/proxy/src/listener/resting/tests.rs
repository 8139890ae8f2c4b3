use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use futures_util::{FutureExt as _, poll};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::service::service_fn;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

use super::*;
use crate::framing::Bounds;

/// Answers with the path and the body.
async fn echo(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    Ok(Response::new(Full::new([path.as_bytes(), &body].concat().into())))
}

/// A client and the connection that serves it.
type Both<S> = (DuplexStream, Resting<DuplexStream, S>, Arc<Watch>);

fn both(capacity: usize) -> Both<impl HttpService<Incoming, ResBody = Full<Bytes>, Error = Infallible>> {
    let (client, ours) = duplex(capacity);
    let watch = Arc::<Watch>::default();
    let bounds = Bounds { head: 1_000, fields: 20, time: Duration::from_secs(20) };
    let guard = Guard::new(ours, Arc::clone(&watch), bounds);
    (client, Resting::new(guard, service_fn(echo), 20, Arc::clone(&watch), Gauge::default()), watch)
}

fn head(method: &str, path: &str, more: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nhost: a\r\n{more}\r\n")
}

async fn said(client: &mut DuplexStream) -> String {
    let mut all = vec![0; 65_536];
    let read = client.read(&mut all).now_or_never().and_then(Result::ok).unwrap_or_default();
    String::from_utf8_lossy(&all[..read]).into_owned()
}

macro_rules! rest {
    ($serving:expr) => {
        Pin::new(&mut $serving).rest();
        assert!(poll!(&mut $serving).is_pending() && matches!($serving.state, State::Asleep(..)));
    };
}

#[tokio::test]
async fn whoever_rested_is_served_as_before() {
    let (mut client, mut serving, _) = both(1 << 16);
    // Also one that has not asked for anything yet.
    rest!(serving);
    let post = head("POST", "/post", "content-length: 4\r\n") + "body";
    let chunks = head("POST", "/chunks", "transfer-encoding: chunked\r\n") + "4\r\nbody\r\n0\r\n\r\n";
    let pipelined = head("GET", "/first", "") + &post + &head("GET", "/last", "");
    for (asked, answered) in [
        (head("GET", "/get", ""), vec!["/get"]),
        (post, vec!["/postbody"]),
        (chunks, vec!["/chunksbody"]),
        (pipelined, vec!["/first", "/postbody", "/last"]),
        ("\r\n".to_owned() + &head("GET", "/line", ""), vec!["/line"]),
    ] {
        for size in [1, 7, asked.len()] {
            for piece in asked.as_bytes().chunks(size) {
                // A task that has read often enough has to wait its turn, though there is more.
                tokio::task::yield_now().await;
                client.write_all(piece).await.unwrap();
                assert!(poll!(&mut serving).is_pending());
            }
            // Each piece of a body is asked for anew.
            for _ in 0..4 {
                tokio::task::yield_now().await;
                assert!(poll!(&mut serving).is_pending());
            }
            let said = said(&mut client).await;
            let bodies: Vec<_> = answered.iter().filter(|body| said.contains(&format!("\r\n\r\n{body}"))).collect();
            assert_eq!(bodies.len(), answered.len(), "{asked:?} in pieces of {size}: {said}");
            assert!(!said.contains("connection: close"), "{said}");
            rest!(serving);
        }
    }
    drop(client);
    assert!(matches!(poll!(&mut serving), Poll::Ready(Ok(()))));
}

#[tokio::test]
async fn a_head_that_has_begun_is_waited_for_awake() {
    let (mut client, mut serving, _) = both(1 << 16);
    client.write_all(b"GET /half HTTP/1.1\r\n").await.unwrap();
    assert!(poll!(&mut serving).is_pending());
    Pin::new(&mut serving).rest();
    assert!(poll!(&mut serving).is_pending() && matches!(serving.state, State::Awake(_)));
    client.write_all(b"host: a\r\n\r\n").await.unwrap();
    assert!(poll!(&mut serving).is_pending());
    assert!(said(&mut client).await.ends_with("/half"));
}

#[tokio::test]
async fn what_is_refused_is_refused_after_a_rest() {
    let (mut client, mut serving, watch) = both(1 << 16);
    rest!(serving);
    client.write_all(b"\x16\x03\x01").await.unwrap();
    let _ = poll!(&mut serving);
    assert_eq!(watch.refused(), Some(cardea_core::Reason::AmbiguousFraming));
}

#[tokio::test]
async fn whoever_is_told_to_end_ends_asleep_or_about_to_be() {
    for about_to_be in [false, true] {
        let (mut client, mut serving, _) = both(1 << 16);
        assert!(poll!(&mut serving).is_pending());
        Pin::new(&mut serving).rest();
        if !about_to_be {
            assert!(poll!(&mut serving).is_pending());
        }
        Pin::new(&mut serving).end();
        assert!(matches!(poll!(&mut serving), Poll::Ready(Ok(()))));
        assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0);
    }
}

/// It is called only where nothing is under way; where it is called all the same, nothing is kept that is not whole.
#[tokio::test]
async fn whatever_is_under_way_ends_the_connection_at_its_own_end() {
    // Room for the head, and for less than the answer.
    let (mut client, mut serving, watch) = both(64);
    client.write_all(head("GET", "/slow", "").as_bytes()).await.unwrap();
    assert!(poll!(&mut serving).is_pending() && watch.owes(), "the client has yet to take its answer");
    Pin::new(&mut serving).rest();
    assert!(poll!(&mut serving).is_pending() && !watch.rests());
    let mut all = Vec::new();
    let (ended, read) = tokio::join!(serving, client.read_to_end(&mut all));
    ended.unwrap();
    read.unwrap();
    assert!(String::from_utf8_lossy(&all).ends_with("/slow") && !watch.owes());
}
