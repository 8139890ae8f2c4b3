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
mod websocket;
mod wire;

use grpc::Kind::{Both, Client, Server, Unary};
use house::{Cell, Door, House, Outcome, Service};
use http1::Exchange as H1;
use wire::Exchange as Wired;

/// How a row's cells are tried.
#[derive(Clone, Copy)]
enum Speak {
    Http1(H1),
    Wire(Protocol, Wired),
    Events(Protocol),
    WebSocket(Protocol),
    Grpc(Service, grpc::Kind),
}

/// A protocol, and what its users are told, column by column: allowed, denied, signed out, step-up, a service that does
/// not listen, a service that dies while it answers. Last, the status in the entry of what was allowed.
struct Row(&'static str, Speak, [&'static str; 6], u16);

use Speak::{Events, Grpc, Http1, WebSocket, Wire};

const TLS1: Protocol = Protocol::Http1;
const TLS2: Protocol = Protocol::Http2;
const PRIOR: Protocol = Protocol::PriorKnowledge;

const MATRIX: &[Row] = &[
    http("HTTP/1.1 GET", Http1(H1::Get), "200 hello", "200 broken off"),
    http("HTTP/1.1 GET in absolute form", Http1(H1::Absolute), "200 hello", "200 broken off"),
    head("HTTP/1.1 HEAD", Http1(H1::Head)),
    http("HTTP/1.1 Range", Http1(H1::Range), "206 bytes 2-4/10 234", "200 broken off").ends(206),
    http("HTTP/1.1 POST", Http1(H1::Post), "200 said", "200 broken off"),
    http("HTTP/1.1 POST in chunks, with trailers", Http1(H1::Chunks), "200 said x-sum: 7", "200 broken off"),
    http("HTTP/1.1 Expect", Http1(H1::Expect), "100, 200 said", "100, 200 broken off"),
    http("HTTP/1.1 Early Hints", Http1(H1::Hints), "200 hello", "200 broken off"),
    http("HTTP/1.1 without TLS", Wire(Protocol::Plain, Wired::Get), "200 hello", "200 broken off"),
    http("HTTP/2 GET", Wire(TLS2, Wired::Get), "200 hello", "200 broken off"),
    head("HTTP/2 HEAD", Wire(TLS2, Wired::Head)),
    http("HTTP/2 POST with trailers", Wire(TLS2, Wired::Post), "200 said x-sum: 7", "200 broken off"),
    http("HTTP/2 GET, service by HTTP/2", Wire(TLS2, Wired::ToHttp2), "200 hello", "200 broken off"),
    http("HTTP/2 by prior knowledge GET", Wire(PRIOR, Wired::Get), "200 hello", "200 broken off"),
    http("HTTP/2 by prior knowledge POST", Wire(PRIOR, Wired::Post), "200 said x-sum: 7", "200 broken off"),
    http("events over HTTP/1.1", Events(TLS1), "200 data: 1", "200 data: 1 broken off"),
    http("events over HTTP/2", Events(TLS2), "200 data: 1", "200 data: 1 broken off"),
    http("WebSocket over HTTP/1.1", WebSocket(TLS1), "closed 4000 as asked", "broken off").ends(101),
    http("WebSocket over HTTP/2", WebSocket(TLS2), "closed 4000 as asked", "broken off"),
    grpc("gRPC unary, tonic", Grpc(Service::Tonic, Unary), "0 one"),
    grpc("gRPC server stream, tonic", Grpc(Service::Tonic, Server), "0 one 1, one 2, one 3"),
    grpc("gRPC client stream, tonic", Grpc(Service::Tonic, Client), "0 one+two"),
    grpc("gRPC both ways, tonic", Grpc(Service::Tonic, Both), "0 one, two"),
    grpc("gRPC unary, grpcio", Grpc(Service::Grpcio, Unary), "0 one"),
    grpc("gRPC server stream, grpcio", Grpc(Service::Grpcio, Server), "0 one 1, one 2, one 3"),
    grpc("gRPC client stream, grpcio", Grpc(Service::Grpcio, Client), "0 one+two"),
    grpc("gRPC both ways, grpcio", Grpc(Service::Grpcio, Both), "0 one, two"),
];

const fn http(name: &'static str, speak: Speak, allowed: &'static str, broken: &'static str) -> Row {
    let [denied, signed_out, step_up, unreachable] =
        ["403 denied", "401 sign-in-required", "401 step-up-required", "502 upstream-unreachable"];
    Row(name, speak, [allowed, denied, signed_out, step_up, unreachable, broken], 200)
}

/// Without a body only the status can be told, and nothing can break off in the middle.
const fn head(name: &'static str, speak: Speak) -> Row {
    Row(name, speak, ["200 length 5", "403", "401", "401", "502", "502"], 200)
}

const fn grpc(name: &'static str, speak: Speak, allowed: &'static str) -> Row {
    let [denied, signed_out, step_up] = ["7 denied", "16 sign-in-required", "16 step-up-required"];
    let [unreachable, broken] = ["14 upstream-unreachable", "14 upstream-broken"];
    Row(name, speak, [allowed, denied, signed_out, step_up, unreachable, broken], 200)
}

impl Row {
    const fn ends(mut self, status: u16) -> Self {
        self.3 = status;
        self
    }
}

/// What came of a cell.
struct Seen {
    told: String,
    /// The id of the entry, as the answer names it.
    entry: Option<String>,
}

impl Speak {
    fn door(self, house: &House) -> &Door {
        match self {
            Self::Wire(Protocol::Plain | PRIOR, _) => &house.plain,
            _ => &house.secured,
        }
    }

    async fn try_out(self, cell: &Cell<'_>) -> anyhow::Result<Seen> {
        match self {
            Self::Http1(exchange) => http1::speak(cell, exchange).await,
            Self::Wire(protocol, exchange) => wire::speak(cell, protocol, exchange).await,
            Self::Events(protocol) => wire::listen(cell, protocol).await,
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
