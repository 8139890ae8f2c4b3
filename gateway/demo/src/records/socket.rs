//! `/ws`: changes over a WebSocket (RFC 6455), and back whatever text the client sends. Just enough of the protocol to
//! show that a gateway carries it: whole text frames, ping, close.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};

use super::{
    data::Change,
    routes::{Asserted, Service, problem},
};

/// RFC 6455 section 1.3.
const MAGIC: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// Largest frame taken: nobody sends a long text here.
const MAX_FRAME: usize = 4096;

const TEXT: u8 = 0x1;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;

pub(super) async fn open(State(service): State<Arc<Service>>, Asserted(_): Asserted, mut request: Request) -> Response {
    let Some(key) = websocket_key(request.headers()) else {
        return problem(StatusCode::UPGRADE_REQUIRED, "this address speaks WebSocket only");
    };
    let Some(upgrade) = request.extensions_mut().remove::<OnUpgrade>() else {
        return problem(StatusCode::UPGRADE_REQUIRED, "this connection cannot become a WebSocket");
    };
    let changes = service.store.changes();
    tokio::spawn(async move {
        if let Ok(stream) = upgrade.await {
            // A client that goes away ends its task; there is nobody to tell.
            let _ = converse(stream, changes).await;
        }
    });
    let answer = [
        (header::CONNECTION, "Upgrade".to_owned()),
        (header::UPGRADE, "websocket".to_owned()),
        (header::SEC_WEBSOCKET_ACCEPT, accept(&key)),
    ];
    (StatusCode::SWITCHING_PROTOCOLS, answer, Body::empty()).into_response()
}

fn websocket_key(headers: &HeaderMap) -> Option<String> {
    let upgrade = headers.get(header::UPGRADE)?.to_str().ok()?;
    let version = headers.get(header::SEC_WEBSOCKET_VERSION)?;
    let key = headers.get(header::SEC_WEBSOCKET_KEY)?.to_str().ok()?;
    (upgrade.eq_ignore_ascii_case("websocket") && version == "13").then(|| key.to_owned())
}

fn accept(key: &str) -> String {
    use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
    STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, format!("{key}{MAGIC}").as_bytes()))
}

type Stream = TokioIo<Upgraded>;

async fn converse(stream: Upgraded, mut changes: tokio::sync::broadcast::Receiver<Change>) -> std::io::Result<()> {
    let (mut read, mut write) = tokio::io::split(TokioIo::new(stream));
    // Frames are read by a task of their own: reading half a frame and dropping it would lose the place.
    let (frames, mut incoming) = tokio::sync::mpsc::channel(8);
    let reading = tokio::spawn(async move {
        while let Ok((kind, body)) = read_frame(&mut read).await {
            if frames.send((kind, body)).await.is_err() {
                return;
            }
        }
    });
    let ended = loop {
        tokio::select! {
            frame = incoming.recv() => match frame {
                Some((TEXT, body)) => write_frame(&mut write, TEXT, &body).await?,
                Some((PING, body)) => write_frame(&mut write, PONG, &body).await?,
                Some((CLOSE, body)) => break write_frame(&mut write, CLOSE, &body).await,
                Some(_) => {}
                None => break Ok(()),
            },
            change = changes.recv() => match change {
                Ok(change) => write_frame(&mut write, TEXT, &serde_json::to_vec(&change)?).await?,
                Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => {}
                Err(tokio::sync::broadcast::error::RecvError::Closed) => break Ok(()),
            },
        }
    };
    reading.abort();
    ended
}

/// One whole, masked frame (RFC 6455 section 5.2).
async fn read_frame(read: &mut ReadHalf<Stream>) -> std::io::Result<(u8, Vec<u8>)> {
    let invalid = || std::io::Error::from(std::io::ErrorKind::InvalidData);
    let (first, second) = (read.read_u8().await?, read.read_u8().await?);
    let (whole, masked) = (first & 0x80 != 0, second & 0x80 != 0);
    let length = match second & 0x7f {
        126 => usize::from(read.read_u16().await?),
        127 => return Err(invalid()),
        short => usize::from(short),
    };
    if !whole || !masked || length > MAX_FRAME {
        return Err(invalid());
    }
    let mut mask = [0; 4];
    read.read_exact(&mut mask).await?;
    let mut body = vec![0; length];
    read.read_exact(&mut body).await?;
    body.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
    Ok((first & 0x0f, body))
}

async fn write_frame(write: &mut WriteHalf<Stream>, kind: u8, body: &[u8]) -> std::io::Result<()> {
    let mut frame = vec![0x80 | kind];
    match u8::try_from(body.len()) {
        Ok(short) if short < 126 => frame.push(short),
        _ => {
            frame.push(126);
            let length =
                u16::try_from(body.len()).map_err(|_| std::io::Error::from(std::io::ErrorKind::InvalidData))?;
            frame.extend(length.to_be_bytes());
        }
    }
    frame.extend(body);
    write.write_all(&frame).await?;
    write.flush().await
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_answer_to_a_key_is_the_standard_s() {
        assert_eq!(super::accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
