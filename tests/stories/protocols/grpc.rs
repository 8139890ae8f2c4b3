//! gRPC in its four kinds, by a `grpcio` client, with a service made with `tonic` and one made with `grpcio`.

use anyhow::Context;
use cardea_tests::{Story, grpc::Call};

use super::{
    Seen,
    house::{Cell, House, Outcome, Service},
};

/// The four kinds of calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Unary,
    Server,
    Client,
    Both,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Unary => "Unary",
            Self::Server => "Server",
            Self::Client => "Client",
            Self::Both => "Both",
        }
    }
}

/// A call of a cell.
pub(super) fn call(cell: &Cell<'_>, service: Service, kind: Kind, messages: &[&str]) -> anyhow::Result<Call> {
    let url = cell.url(service, &format!("/cardea.Wire/{}", kind.name()))?;
    Ok(Call {
        port: url.port().context("no port")?,
        host: url.host_str().context("no host")?.to_owned(),
        kind: kind.name(),
        method: url.path().to_owned(),
        cookie: cell.cookie(service),
        messages: messages.iter().map(|&text| text.to_owned()).collect(),
        hold: false,
    })
}

pub(super) async fn speak(cell: &Cell<'_>, service: Service, kind: Kind) -> anyhow::Result<Seen> {
    let both = ["one", "two"];
    let messages = match kind {
        _ if cell.outcome == Outcome::Broken => &[cell.word("")][..],
        Kind::Unary | Kind::Server => &both[..1],
        Kind::Client | Kind::Both => &both,
    };
    let told = cell.house.grpc.lock().await.call(&call(cell, service, kind, messages)?).await?;
    let answer = if told.code == 0 { told.messages.join(", ") } else { first_word(&told.details) };
    Ok(Seen { told: format!("{} {answer}", told.code), entry: told.metadata.get("x-request-id").cloned() })
}

fn first_word(details: &str) -> String {
    details.split(':').next().unwrap_or_default().to_owned()
}

/// What the service itself says comes through: its statuses, its messages, and that it knows no such method.
#[tokio::test]
async fn a_grpc_service_s_own_statuses_come_through() -> Story {
    let house = House::open().await?;
    let cell = house.cell(Outcome::Allowed);
    for service in [Service::Tonic, Service::Grpcio] {
        let failing = call(&cell, service, Kind::Unary, &["fail"])?;
        let told = house.grpc.lock().await.call(&failing).await?;
        assert_eq!((told.code, &*told.details), (9, "as asked"), "{service:?}: {told:?}");
    }
    let unknown =
        Call { method: "/cardea.Wire/Unknown".to_owned(), ..call(&cell, Service::Tonic, Kind::Unary, &["x"])? };
    assert_eq!(house.grpc.lock().await.call(&unknown).await?.code, 12);
    Ok(())
}

/// A refusal says what to do next, in the one text that every gRPC client shows.
#[tokio::test]
async fn a_grpc_client_is_told_where_a_refusal_is_met() -> Story {
    let house = House::open().await?;
    for (outcome, place) in [(Outcome::SignedOut, "/sign-in?to="), (Outcome::StepUp, "/sign-in/step-up?need=2&to=")] {
        let cell = house.cell(outcome);
        let told = house.grpc.lock().await.call(&call(&cell, Service::Tonic, Kind::Unary, &["x"])?).await?;
        let place = house.secured.gateway.at("acme", "/")?.join(place)?;
        assert!(told.details.contains(place.as_str()), "{told:?}");
    }
    Ok(())
}
