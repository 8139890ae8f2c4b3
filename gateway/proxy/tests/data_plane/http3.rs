//! HTTP/3: the same question, permit, entry and limits as over the other versions.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use cardea_core::{Assurance, Reason};
use h3::error::{Code, StreamError};
use http::{HeaderMap, HeaderValue, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

mod client;
mod foreign;
mod harm;
mod staying;

use client::{Answer, Client, before, chemist, config, dial, dialling, get, outcome, speaking_http3};

use crate::{
    house::{APP_HOST, House, Plan, SIGN_IN_HOST},
    reply::Reply,
    service::says,
    tls::{Authority, connect},
};

#[tokio::test]
async fn a_body_and_its_trailers_pass_in_both_directions() {
    let answer =
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\nconnection: close\r\n\r\n5\r\nwhole\r\n\
                   0\r\nx-sum: 5\r\n\r\n";
    let (_, url) = says(answer).await;
    let (house, ours) = before(&url, |plan| plan).await;
    let client = Client::connect(&house, &ours).await;
    let answer = client.ask(get("/stream").header("cookie", chemist(&house))).await.unwrap();
    assert_eq!((answer.status(), &answer.body[..]), (200, &b"whole"[..]));
    assert_eq!(answer.trailers.unwrap()["x-sum"], "5");
    assert_eq!(answer.head.headers().get("connection"), None);

    let (house, ours, service) = speaking_http3(|plan| plan).await;
    let client = Client::connect(&house, &ours).await;
    let request = Request::post(format!("https://{APP_HOST}/records")).header("cookie", chemist(&house));
    let mut stream = client.begin(request).await;
    for piece in ["a re", "cord"] {
        stream.send_data(Bytes::from_static(piece.as_bytes())).await.unwrap();
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", HeaderValue::from_static("8"));
    trailers.insert("remote-user", HeaderValue::from_static("root@acme.test"));
    stream.send_trailers(trailers).await.unwrap();
    stream.finish().await.unwrap();
    let answer = Answer::of(&mut stream).await.unwrap();
    assert_eq!((answer.status(), &answer.body[..]), (200, &b"heard"[..]));
    let heard = service.last();
    assert_eq!(heard.body, b"a record");
    assert_eq!(heard.header("x-forwarded-proto"), Some("https"));
    // Over HTTP/1.1 only announced trailers are sent, and none that says who calls.
    assert!(heard.trailers.is_none_or(|trailers| !trailers.contains_key("remote-user")));
    assert_eq!(house.ends(), [(200, None)]);
}

#[tokio::test]
async fn a_large_body_passes_in_pieces_and_one_that_is_not_there_is_not_announced() {
    let (house, ours, service) = speaking_http3(|plan| plan).await;
    let client = Client::connect(&house, &ours).await;
    let cookie = chemist(&house);
    let large = Bytes::from(vec![b'x'; 3_000_000]);
    let request = Request::put(format!("https://{APP_HOST}/records")).header("cookie", &cookie);
    let mut stream = client.begin(request.header("content-length", large.len())).await;
    stream.send_data(large.clone()).await.unwrap();
    stream.finish().await.unwrap();
    assert_eq!(Answer::of(&mut stream).await.unwrap().status(), 200);
    assert_eq!(service.last().body, large);
    for method in ["GET", "DELETE", "HEAD"] {
        let request = get("/records").method(method).header("cookie", &cookie);
        let answer = client.ask(request).await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.body.is_empty(), method == "HEAD");
        let heard = service.last();
        assert_eq!((heard.header("transfer-encoding"), &heard.body[..]), (None, &b""[..]), "{method}");
    }
}

/// What the same request gets over HTTP/1.1.
async fn over_http1(house: &House, ours: &Authority, host: &str, line: &str, more: &str) -> Reply {
    let mut stream = connect(house, ours.client().with_no_client_auth(), host, b"http/1.1").await;
    let request = format!("{line} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{more}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut reply = Vec::new();
    let _ = stream.read_to_end(&mut reply).await;
    Reply(String::from_utf8_lossy(&reply).into_owned())
}

#[tokio::test]
async fn every_outcome_is_the_one_over_http1() {
    let (house, ours, service) = speaking_http3(|plan| plan).await;
    let client = Client::connect(&house, &ours).await;
    let sign_in = |group| house.sign_in(APP_HOST, group, Assurance::One).replace("cardea=", "__Host-cardea=");
    let (chemist, guest) = (sign_in("chemists"), sign_in("guests"));
    for (path, cookie, status, reason) in [
        ("/public", "", 200, None),
        ("/records", &*chemist, 200, None),
        ("/records", "", 401, Some("sign-in-required")),
        ("/records", &*guest, 403, Some("denied")),
        ("/secret", &*chemist, 401, Some("step-up-required")),
        ("/secret%2fplan", &*chemist, 400, Some("ambiguous-path")),
    ] {
        let answer = client.ask(get(path).header("cookie", cookie)).await.unwrap();
        let cookie = format!("cookie: {cookie}\r\n");
        let other = over_http1(&house, &ours, APP_HOST, &format!("GET {path}"), &cookie).await;
        assert_eq!(answer.outcome(), (status, reason.map(str::to_owned)), "{path}");
        assert_eq!(answer.outcome(), outcome(&other), "{path}");
        for name in ["strict-transport-security", "www-authenticate", "cache-control", "content-type"] {
            assert_eq!(answer.header(name), other.header(name), "{path} {name}");
        }
        assert!(answer.header("date").is_some() && answer.header("x-request-id").is_some());
        assert_eq!(answer.header("alt-svc"), None);
    }
    assert_eq!(service.count(), 4);
    let page = client.ask(get("/records").header("accept", "text/html")).await.unwrap();
    assert_eq!(page.status(), 303);
    assert!(page.header("location").unwrap().contains("/sign-in"), "{page:?}");
    // One entry for each.
    assert_eq!(house.ends().len(), 13);
}

#[tokio::test]
async fn nobody_says_who_calls_and_no_address_has_two_names() {
    let (house, ours, service) = speaking_http3(|plan| plan).await;
    let client = Client::connect(&house, &ours).await;
    let mut request = get("/records").header("cookie", chemist(&house));
    for name in ["remote-user", "x-groups", "cardea-assertion", "x-forwarded-for", "forwarded", "x-real-ip"] {
        request = request.header(name, "forged");
    }
    assert_eq!(client.ask(request).await.unwrap().status(), 200);
    let heard = service.last();
    assert_eq!(heard.header("remote-user"), Some("mira@acme.test"));
    assert!(heard.headers.iter().all(|(_, value)| value != "forged"), "{heard:?}");

    let elsewhere = Request::get(format!("https://{SIGN_IN_HOST}/"));
    assert_eq!(client.ask(elsewhere).await.unwrap().outcome(), (421, Some("misdirected".to_owned())));
    let forged = get("/public").header("cardea-refused", "log-unavailable");
    assert_eq!(client.ask(forged).await.unwrap().outcome(), (400, Some("bad-header".to_owned())));
    assert_eq!(service.count(), 1);
}

#[tokio::test]
async fn no_tunnel_is_opened() {
    let (house, ours, service) = speaking_http3(|plan| plan).await;
    let client = Client::connect(&house, &ours).await;
    let request = Request::connect(format!("https://{APP_HOST}/ws"));
    let answer = client.ask(request.header("cookie", chemist(&house))).await.unwrap();
    assert_eq!(answer.outcome(), (405, Some("method-not-allowed".to_owned())));
    let upgrade = get("/ws").header("connection", "upgrade").header("upgrade", "websocket");
    assert_reset(client.ask(upgrade).await, Code::H3_MESSAGE_ERROR);
    assert_eq!(service.count(), 0);
}

/// The gateway broke the stream off, and says so by `code`.
fn assert_reset<T: std::fmt::Debug>(ended: Result<T, StreamError>, expected: Code) {
    match ended {
        Err(StreamError::RemoteTerminate { code, .. }) => assert_eq!(code, expected),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn answers_over_tcp_tell_of_it() {
    let (house, ours, _service) = speaking_http3(|plan| plan).await;
    let told = format!("h3=\":{}\"; ma=86400", house.address.port());
    for (line, status) in [("GET /public", 200), ("GET /records", 401), ("GET /public%2f", 400)] {
        let reply = over_http1(&house, &ours, APP_HOST, line, "").await;
        assert_eq!((reply.status(), reply.header("alt-svc")), (status, Some(&*told)), "{line}");
    }
    // What the service says of itself would lead past us.
    assert_eq!(over_http1(&house, &ours, APP_HOST, "GET /public/cookies", "").await.all("alt-svc"), [&*told]);
    let mut http2 = crate::tls::http2(&house, &ours).await;
    let request = Request::get(format!("https://{APP_HOST}/public")).version(http::Version::HTTP_2);
    let reply = http2.send_request(request.body(http_body_util::Empty::new()).unwrap()).await.unwrap();
    assert_eq!(reply.headers()["alt-svc"], told);
    let (without, ours, _service) = crate::tls::secured(cardea_proxy::Door::Public).await;
    assert_eq!(over_http1(&without, &ours, APP_HOST, "GET /public", "").await.header("alt-svc"), None);
}
