//! The matrix: every protocol, and what whoever speaks it is told in every outcome. Each cell is a real exchange over
//! the wire, and has an entry in the log.

use std::collections::HashMap;

use cardea_tests::{Story, wire::Protocol};
use futures_util::future::join_all;
use serde_json::Value;

mod bodies;
mod ends;
mod grpc;
mod house;
mod http1;
mod http2;
mod websocket;

use grpc::Kind::{Both, Client, Server, Unary};
use house::{Cell, Door, House, Outcome, Service};
use http1::Exchange as H1;
use http2::Exchange as H2;

/// What is told to whoever asks, column by column: allowed, denied, signed out, step-up, a service that does not listen,
/// a service that dies while it answers.
type Told = [&'static str; 6];

const HTTP: [&str; 4] = ["403 denied", "401 sign-in-required", "401 step-up-required", "502 upstream-unreachable"];
const GRPC: [&str; 4] = ["7 denied", "16 sign-in-required", "16 step-up-required", "14 upstream-unreachable"];

const fn told(allowed: &'static str, refused: [&'static str; 4], broken: &'static str) -> Told {
    [allowed, refused[0], refused[1], refused[2], refused[3], broken]
}

/// How a row's cells are tried.
#[derive(Clone, Copy)]
enum Speak {
    Http1(H1),
    Http2(Protocol, H2),
    Events(Protocol),
    WebSocket(Protocol),
    Grpc(Service, grpc::Kind),
}

/// A protocol, what its users are told, and the status in the entry of what was allowed.
struct Row(&'static str, Speak, Told, u16);

const TLS2: Protocol = Protocol::Http2;
const PRIOR: Protocol = Protocol::PriorKnowledge;

const MATRIX: &[Row] = &[
    Row("HTTP/1.1 GET", Speak::Http1(H1::Get), told("200 hello", HTTP, "200 broken off"), 200),
    Row("HTTP/1.1 GET in absolute form", Speak::Http1(H1::Absolute), told("200 hello", HTTP, "200 broken off"), 200),
    Row("HTTP/1.1 HEAD", Speak::Http1(H1::Head), told("200 length 5", NO_BODY, "502"), 200),
    Row("HTTP/1.1 Range", Speak::Http1(H1::Range), told("206 bytes 2-4/10 234", HTTP, "200 broken off"), 206),
    Row("HTTP/1.1 POST", Speak::Http1(H1::Post), told("200 said", HTTP, "200 broken off"), 200),
    Row(
        "HTTP/1.1 POST in chunks with trailers",
        Speak::Http1(H1::Chunks),
        told("200 said x-sum: 7", HTTP, "200 broken off"),
        200,
    ),
    Row("HTTP/1.1 Expect", Speak::Http1(H1::Expect), told("100, 200 said", HTTP, "100, 200 broken off"), 200),
    Row("HTTP/1.1 Early Hints", Speak::Http1(H1::Hints), told("200 hello", HTTP, "200 broken off"), 200),
    Row("HTTP/2 GET", Speak::Http2(TLS2, H2::Get), told("200 hello", HTTP, "200 broken off"), 200),
    Row("HTTP/2 HEAD", Speak::Http2(TLS2, H2::Head), told("200 length 5", NO_BODY, "502"), 200),
    Row(
        "HTTP/2 POST with trailers",
        Speak::Http2(TLS2, H2::Post),
        told("200 said x-sum: 7", HTTP, "200 broken off"),
        200,
    ),
    Row(
        "HTTP/2 GET, service by HTTP/2",
        Speak::Http2(TLS2, H2::ToHttp2),
        told("200 hello", HTTP, "200 broken off"),
        200,
    ),
    Row("HTTP/2 prior knowledge GET", Speak::Http2(PRIOR, H2::Get), told("200 hello", HTTP, "200 broken off"), 200),
    Row(
        "HTTP/2 prior knowledge POST with trailers",
        Speak::Http2(PRIOR, H2::Post),
        told("200 said x-sum: 7", HTTP, "200 broken off"),
        200,
    ),
    Row(
        "events over HTTP/1.1",
        Speak::Events(Protocol::Http1),
        told("200 data: 1", HTTP, "200 data: 1 broken off"),
        200,
    ),
    Row("events over HTTP/2", Speak::Events(TLS2), told("200 data: 1", HTTP, "200 data: 1 broken off"), 200),
    Row(
        "WebSocket over HTTP/1.1",
        Speak::WebSocket(Protocol::Http1),
        told("closed 4000 as asked", HTTP, "broken off"),
        101,
    ),
    Row("WebSocket over HTTP/2", Speak::WebSocket(TLS2), told("closed 4000 as asked", HTTP, "broken off"), 200),
    Row("gRPC unary, tonic", Speak::Grpc(Service::Tonic, Unary), told("0 one", GRPC, "14 upstream-broken"), 200),
    Row(
        "gRPC server stream, tonic",
        Speak::Grpc(Service::Tonic, Server),
        told("0 one 1, one 2, one 3", GRPC, "14 upstream-broken"),
        200,
    ),
    Row(
        "gRPC client stream, tonic",
        Speak::Grpc(Service::Tonic, Client),
        told("0 one+two", GRPC, "14 upstream-broken"),
        200,
    ),
    Row(
        "gRPC both ways, tonic",
        Speak::Grpc(Service::Tonic, Both),
        told("0 one, two", GRPC, "14 upstream-broken"),
        200,
    ),
    Row("gRPC unary, grpcio", Speak::Grpc(Service::Grpcio, Unary), told("0 one", GRPC, "14 upstream-broken"), 200),
    Row(
        "gRPC server stream, grpcio",
        Speak::Grpc(Service::Grpcio, Server),
        told("0 one 1, one 2, one 3", GRPC, "14 upstream-broken"),
        200,
    ),
    Row(
        "gRPC client stream, grpcio",
        Speak::Grpc(Service::Grpcio, Client),
        told("0 one+two", GRPC, "14 upstream-broken"),
        200,
    ),
    Row(
        "gRPC both ways, grpcio",
        Speak::Grpc(Service::Grpcio, Both),
        told("0 one, two", GRPC, "14 upstream-broken"),
        200,
    ),
];

/// To a HEAD only the status can be told.
const NO_BODY: [&str; 4] = ["403", "401", "401", "502"];

/// What came of a cell.
struct Seen {
    told: String,
    /// The id of the entry, as the answer names it.
    entry: Option<String>,
}

impl Speak {
    fn door(self, house: &House) -> &Door {
        match self {
            Self::Http2(PRIOR, _) => &house.plain,
            _ => &house.secured,
        }
    }

    async fn try_out(self, cell: &Cell<'_>) -> anyhow::Result<Seen> {
        match self {
            Self::Http1(exchange) => http1::speak(cell, exchange).await,
            Self::Http2(protocol, exchange) => http2::speak(cell, protocol, exchange).await,
            Self::Events(protocol) => http2::listen(cell, protocol).await,
            Self::WebSocket(protocol) => websocket::speak(cell, protocol).await,
            Self::Grpc(service, kind) => grpc::speak(cell, service, kind).await,
        }
    }
}

#[tokio::test]
async fn whoever_speaks_a_protocol_is_told_every_outcome_in_it() -> Story {
    let house = House::open().await?;
    let rows = MATRIX.iter().map(async |row| {
        let mut seen = Vec::new();
        for outcome in Outcome::ALL {
            seen.push(row.1.try_out(&Cell { house: &house, door: row.1.door(&house), outcome }).await);
        }
        (row, seen)
    });
    let mut wrong = Vec::new();
    let mut entries = Vec::new();
    for (row, seen) in join_all(rows).await {
        for ((outcome, expected), seen) in Outcome::ALL.into_iter().zip(row.2).zip(seen) {
            let cell = format!("{}, {outcome:?}", row.0);
            match seen {
                Ok(Seen { told, entry }) if told == expected => entries.push((cell, entry, ended(row, outcome))),
                Ok(seen) => wrong.push(format!("{cell}: `{}` was told, not `{expected}`", seen.told)),
                Err(error) => wrong.push(format!("{cell}: {error:#}")),
            }
        }
    }
    wrong.extend(unwritten(&house, entries).await?);
    assert!(wrong.is_empty(), "{} of {} cells:\n{}", wrong.len(), MATRIX.len() * 6, wrong.join("\n"));
    Ok(())
}

/// The end that the entry of a cell tells: status and reason.
fn ended(row: &Row, outcome: Outcome) -> (u64, &'static str) {
    match outcome {
        Outcome::Allowed => (row.3.into(), ""),
        Outcome::Denied => (403, "denied"),
        Outcome::SignedOut => (401, "sign-in-required"),
        Outcome::StepUp => (401, "step-up-required"),
        Outcome::Unreachable => (502, "upstream-unreachable"),
        // It died before its head had come, or afterwards: the entry tells how the head was.
        Outcome::Broken if row.2[5].starts_with("502") => (502, "upstream-broken"),
        Outcome::Broken if row.3 == 206 => (200, ""),
        Outcome::Broken => (row.3.into(), ""),
    }
}

/// The cells whose entry is not in the log as it should be.
async fn unwritten(
    house: &House,
    cells: Vec<(String, Option<String>, (u64, &'static str))>,
) -> anyhow::Result<Vec<String>> {
    let log = [house.secured.log().await?, house.plain.log().await?].concat();
    let by_id: HashMap<&str, &Value> = log.iter().filter_map(|entry| Some((entry["id"].as_str()?, entry))).collect();
    let wrong = cells.into_iter().filter_map(|(cell, id, expected)| {
        let Some(entry) = id.as_deref().and_then(|id| by_id.get(id)) else {
            return Some(format!("{cell}: no entry `{}`", id.unwrap_or_default()));
        };
        let event = &entry["event"];
        let found = (event["status"].as_u64().unwrap_or(0), event["reason"].as_str().unwrap_or_default());
        (found != expected).then(|| format!("{cell}: the entry says {found:?}, not {expected:?}"))
    });
    Ok(wrong.collect())
}
