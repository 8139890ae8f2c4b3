//! A service that tells what it heard: an echo upstream on real sockets.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use futures_util::StreamExt;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::{Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
    sync::mpsc,
};

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Heard {
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Option<HeaderMap>,
}

impl Heard {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

#[derive(Clone, Default)]
pub(crate) struct Service {
    pub(crate) heard: Arc<Mutex<Vec<Heard>>>,
    pub(crate) connections: Arc<Mutex<usize>>,
    /// What `/public/stream` and `/stream` send, piece by piece.
    pub(crate) pieces: Arc<Mutex<Option<mpsc::UnboundedReceiver<Bytes>>>>,
}

type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

impl Service {
    pub(crate) async fn start() -> (Self, String) {
        let service = Self::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = service.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                *serving.connections.lock().unwrap() += 1;
                tokio::spawn(serving.clone().serve(stream));
            }
        });
        (service, format!("http://{address}"))
    }

    pub(crate) async fn serve(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let answer = service_fn(move |request| self.clone().answer(request));
        let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).with_upgrades().await;
    }

    async fn answer(self, mut request: Request<Incoming>) -> Result<Answer, Infallible> {
        let path = request.uri().path().to_owned();
        if path == "/ws" && request.headers().contains_key("upgrade") {
            return Ok(self.open_websocket(&mut request));
        }
        let (head, body) = request.into_parts();
        let (body, trailers) = match body.collect().await {
            Ok(collected) => {
                let trailers = collected.trailers().cloned();
                (collected.to_bytes().to_vec(), trailers)
            }
            Err(_) => (b"broken off".to_vec(), None),
        };
        let says: Vec<_> =
            head.headers.get_all("x-say").iter().map(|value| value.to_str().unwrap().to_owned()).collect();
        let heard = Heard { target: head.uri.to_string(), headers: head.headers, body, trailers };
        self.heard.lock().unwrap().push(heard);
        if path.ends_with("/stream") {
            let pieces = self.pieces.lock().unwrap().take().unwrap();
            let pieces =
                futures_util::stream::unfold(pieces, |mut pieces| async { pieces.recv().await.map(|p| (p, pieces)) });
            let body = StreamBody::new(pieces.map(|piece| Ok(Frame::data(piece)))).boxed_unsync();
            return Ok(Response::builder().header("content-type", "text/event-stream").body(body).unwrap());
        }
        let mut answer = Response::new(Full::new(Bytes::from_static(b"heard")).boxed_unsync());
        if path.ends_with("/cookies") {
            for cookie in ["app=1", "cardea=evil", "__Host-cardea=evil; Path=/; Secure"] {
                answer.headers_mut().append("set-cookie", cookie.parse().unwrap());
            }
            answer.headers_mut().insert("connection", "x-internal".parse().unwrap());
            answer.headers_mut().insert("x-internal", "secret".parse().unwrap());
            answer.headers_mut().insert("alt-svc", "h3=\":443\"".parse().unwrap());
        }
        // What a request asks the service to say: `x-say: location: /x`.
        for (name, value) in says.iter().filter_map(|line| line.split_once(": ")) {
            answer.headers_mut().append(http::HeaderName::try_from(name).unwrap(), value.parse().unwrap());
        }
        Ok(answer)
    }

    /// Answers a WebSocket handshake and echoes bytes.
    fn open_websocket(&self, request: &mut Request<Incoming>) -> Answer {
        let key = request.headers()["sec-websocket-key"].to_str().unwrap().to_owned();
        let upgrade = hyper::upgrade::on(&mut *request);
        self.heard.lock().unwrap().push(Heard {
            target: request.uri().to_string(),
            headers: request.headers().clone(),
            body: vec![],
            trailers: None,
        });
        tokio::spawn(async move {
            let mut stream = TokioIo::new(upgrade.await.unwrap());
            let mut buf = [0; 64];
            while let Ok(read @ 1..) = stream.read(&mut buf).await {
                if stream.write_all(&buf[..read]).await.is_err() {
                    return;
                }
            }
        });
        Response::builder()
            .status(StatusCode::SWITCHING_PROTOCOLS)
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-accept", accept(&key))
            .body(Full::new(Bytes::new()).boxed_unsync())
            .unwrap()
    }

    pub(crate) fn last(&self) -> Heard {
        self.heard.lock().unwrap().last().cloned().expect("nothing arrived")
    }

    pub(crate) fn count(&self) -> usize {
        self.heard.lock().unwrap().len()
    }
}

pub(crate) fn accept(key: &str) -> String {
    use base64::Engine as _;
    let text = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
    base64::engine::general_purpose::STANDARD.encode(hash)
}

/// A service that says exactly these bytes on each connection, once it has heard a head, and then closes.
pub(crate) async fn says(bytes: &'static [u8]) -> (SocketAddr, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.windows(4).any(|w| w == b"\r\n\r\n") {
                    if stream.read_buf(&mut head).await.unwrap_or(0) == 0 {
                        return;
                    }
                }
                let _ = stream.write_all(bytes).await;
            });
        }
    });
    (address, format!("http://{address}"))
}
