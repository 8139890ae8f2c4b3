//! That a client calls its request a gRPC call, and says for how long it would wait, moves no limit but of a call that is one
//! on both sides: the connection to the service decides, not a header.

use std::{convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use cardea_core::Reason;
use cardea_proxy::{Transport, upstream::tls};
use futures_util::future::join_all;
use http::Request;
use http_body_util::StreamBody;
use hyper::{body::Frame, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::Instant,
};
use tokio_rustls::TlsAcceptor;

use crate::{
    house::{APP_HOST, House, Plan},
    limits,
    tls::Authority,
    upstream_fleet::plan,
};

/// A service that speaks HTTP/2 and answers nothing.
async fn silent_http2() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut connection, mut held) = (h2::server::handshake(stream).await.unwrap(), Vec::new());
                while let Some(Ok(request)) = connection.accept().await {
                    held.push(request);
                }
            });
        }
    });
    url
}

/// A service over TLS that speaks HTTP/1.1 only, and answers nothing.
async fn silent_http1_over_tls() -> Plan {
    let theirs = Authority::new();
    let mut config = theirs.server(theirs.issue(&["localhost"], &[]), None);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let (acceptor, listener) = (TlsAcceptor::from(Arc::new(config)), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let mut plan = Plan::at(&format!("https://localhost:{}", listener.local_addr().unwrap().port()));
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            held.extend(acceptor.accept(stream).await);
        }
    });
    plan.transport = Transport::Tls(tls::public(Some(std::slice::from_ref(&theirs.certificate))).unwrap());
    plan
}

/// What a request is told of, and after how long.
type Outcome = (u16, Option<Reason>, Duration);

/// Where it goes, its headers, and whether its body ends.
type Row<'a> = (Plan, &'a [(&'a str, &'a str)], bool);

/// What comes of a request whose body ends, or says one thing, and then nothing.
async fn outcome(house: &House, headers: &[(&str, &str)], ends: bool) -> Outcome {
    let stream = TcpStream::connect(house.address).await.unwrap();
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let (frames, pieces) = mpsc::unbounded_channel::<Result<Frame<Bytes>, Infallible>>();
    let pieces = futures_util::stream::unfold(pieces, |mut pieces| async { pieces.recv().await.map(|p| (p, pieces)) });
    frames.send(Ok(Frame::data(Bytes::from_static(b"x")))).unwrap();
    let frames = Some(frames).filter(|_| !ends);
    let mut request = Request::post(format!("http://{APP_HOST}/x.Echo/Call")).header("cookie", house.chemist());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (began, before) = (Instant::now(), house.ends().len());
    let sent = sender.send_request(request.body(StreamBody::new(Box::pin(pieces))).unwrap());
    let _ = tokio::time::timeout(Duration::from_secs(8), sent).await.expect("it is waited for without an end");
    house.wait_for_entries(before + 1).await;
    drop(frames);
    let (status, reason) = house.ends()[before];
    (status, reason, began.elapsed())
}

/// The same, each in a house of its own, at the same time: `answer_seconds` is 2, and a body may be slow for a second.
async fn outcomes(rows: Vec<Row<'_>>) -> Vec<Outcome> {
    join_all(rows.into_iter().map(async |(mut plan, headers, ends)| {
        plan.limits.body_grace = Duration::from_secs(1);
        outcome(&plan.open().await, headers, ends).await
    }))
    .await
}

const GRPC: (&str, &str) = ("content-type", "application/grpc");
const AN_HOUR: (&str, &str) = ("grpc-timeout", "1H");
const TOO_SLOW: (u16, Option<Reason>) = (408, Some(Reason::TooSlow));
const NO_ANSWER: (u16, Option<Reason>) = (504, Some(Reason::UpstreamTimeout));

#[tokio::test]
async fn a_service_that_speaks_http1_gets_no_calls() {
    let rows = vec![
        (Plan::at(&limits::silent().await), &[GRPC, AN_HOUR][..], false),
        (silent_http1_over_tls().await, &[GRPC, AN_HOUR][..], false),
        (Plan::at(&limits::silent().await), &[GRPC, AN_HOUR][..], true),
        (silent_http1_over_tls().await, &[GRPC, AN_HOUR][..], true),
    ];
    let found = outcomes(rows).await;
    for ((status, reason, after), expected) in found.into_iter().zip([TOO_SLOW, TOO_SLOW, NO_ANSWER, NO_ANSWER]) {
        assert_eq!((status, reason), expected);
        assert!(after < Duration::from_secs(5), "{after:?}");
    }
}

#[tokio::test]
async fn a_service_of_http2_that_never_answers_is_waited_for_no_longer_than_another() {
    let silent = async || plan(&[&silent_http2().await], "protocol = 'http2'\n");
    let rows = vec![
        // No call: nothing is another's to say.
        (silent().await, &[("content-type", "application/json"), AN_HOUR][..], true),
        (silent().await, &[("content-type", "application/json"), AN_HOUR][..], false),
        (silent().await, &[("content-type", "application/grpc-web"), AN_HOUR][..], false),
        // A call may be silent, and its service may not.
        (silent().await, &[GRPC][..], true),
        (silent().await, &[GRPC][..], false),
        // What says nothing clear of how long is no word.
        (silent().await, &[GRPC, ("grpc-timeout", "1h")][..], true),
        (silent().await, &[GRPC, AN_HOUR, AN_HOUR][..], true),
        (silent().await, &[GRPC, ("grpc-timeout", "100m")][..], true),
    ];
    let found = outcomes(rows).await;
    let expected = [NO_ANSWER, TOO_SLOW, TOO_SLOW, NO_ANSWER, NO_ANSWER, NO_ANSWER, NO_ANSWER, NO_ANSWER];
    for (nth, ((status, reason, after), expected)) in found.iter().zip(expected).enumerate() {
        assert_eq!((*status, *reason), expected, "{nth}");
        assert!(*after < Duration::from_secs(5), "{nth}: {after:?}");
    }
    assert!(found[7].2 < Duration::from_millis(1_500), "a call's own time is shorter: {:?}", found[7].2);
    let house = silent().await.open().await;
    let longer = tokio::time::timeout(Duration::from_millis(2_500), outcome(&house, &[GRPC, AN_HOUR], true)).await;
    assert!(longer.is_err(), "what a call may ask for: {longer:?}");
}

#[tokio::test]
async fn over_http1_nothing_is_a_call() {
    let house = plan(&[&silent_http2().await], "protocol = 'http2'\n").open().await;
    let headers = format!(
        "cookie: {}\r\ncontent-type: application/grpc\r\ngrpc-timeout: 1H\r\ncontent-length: 0\r\n",
        house.chemist()
    );
    let reply = house.ask("POST /x.Echo/Call", &headers).await;
    assert_eq!((reply.status(), reply.reason().as_deref()), (504, Some("upstream-timeout")));
}
