//! WebSockets, by upgrade and by extended CONNECT, with a service made with Python's `websockets`.

use anyhow::ensure;
use cardea_tests::{WebSocket, Wire, websocket::End, wire::Protocol};
use tokio_tungstenite::tungstenite::Message;

use super::{
    Seen,
    house::{Cell, Outcome, Service},
};

/// A frame that no buffer on the way holds whole.
const LARGE: usize = 1 << 20;

pub(super) async fn speak(cell: &Cell<'_>, protocol: Protocol) -> anyhow::Result<Seen> {
    let url = cell.url(Service::Socket, "/socket")?;
    let mut wire = Wire::open(protocol, &url).await?;
    let id = |headers: &http::HeaderMap| Some(headers.get("x-request-id")?.to_str().ok()?.to_owned());
    let mut socket = match WebSocket::open(&mut wire, &url, &cell.cookie(Service::Socket)).await? {
        Ok(socket) => socket,
        Err(refused) => {
            let told = format!("{} {}", refused.status.as_u16(), refused.reason().unwrap_or_default());
            return Ok(Seen { told, entry: id(&refused.headers) });
        }
    };
    let entry = id(&socket.headers);
    if cell.outcome == Outcome::Broken {
        socket.tell(cell.word("").into()).await?;
        return Ok(Seen { told: told(socket.end().await?), entry });
    }
    ensure!(socket.echo("hello".into()).await? == "hello".into(), "no echo");
    let large = Message::binary(vec![7; LARGE]);
    ensure!(socket.echo(large.clone()).await? == large, "a large message came back otherwise");
    ensure!(socket.echo(Message::Ping("there?".into())).await? == Message::Pong("there?".into()), "no pong");
    socket.tell("close".into()).await?;
    Ok(Seen { told: told(socket.end().await?), entry })
}

fn told(end: End) -> String {
    match end {
        End::Closed(code, why) => format!("closed {code} {why}"),
        End::BrokenOff => "broken off".to_owned(),
    }
}
