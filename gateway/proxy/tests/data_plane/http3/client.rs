//! A client that speaks HTTP/3, and a gateway that answers it.

use std::{future::poll_fn, sync::Arc};

use bytes::{Buf, Bytes};
use cardea_proxy::{
    Security,
    listener::quic::{Opener, Transport},
};
use h3::{
    client::{RequestStream, SendRequest},
    error::StreamError,
    quic::OpenStreams,
};
use http::{HeaderMap, Request, Response, Version, request::Builder};
use quinn::crypto::rustls::QuicClientConfig;
use rustls::ClientConfig;

use crate::{
    house::{APP_HOST, House, Plan, SIGN_IN_HOST},
    reply::Reply,
    service::Service,
    tls::Authority,
};

/// A gateway that speaks HTTP/3 for both of its hosts, changed by `change`.
pub(crate) async fn speaking_http3(change: impl FnOnce(Plan) -> Plan) -> (House, Authority, Service) {
    let (service, url) = Service::start().await;
    let (house, ours) = before(&url, change).await;
    (house, ours, service)
}

/// The same before the service at that address.
pub(crate) async fn before(url: &str, change: impl FnOnce(Plan) -> Plan) -> (House, Authority) {
    let ours = Authority::new();
    let mut plan = change(Plan::at(url));
    plan.security = Security::Tls(Arc::new(ours.server(ours.issue(&[APP_HOST, SIGN_IN_HOST], &[]), None)));
    plan.http3 = true;
    (plan.open().await, ours)
}

/// A configuration of a client that speaks HTTP/3.
pub(crate) fn config(ours: &Authority) -> ClientConfig {
    let mut config = ours.client().with_no_client_auth();
    config.alpn_protocols = vec![b"h3".to_vec()];
    config
}

/// Connects from an address of its own, and keeps what the configuration keeps for the next time.
pub(crate) async fn dial(
    house: &House,
    config: &Arc<ClientConfig>,
    name: &str,
) -> Result<quinn::Connection, quinn::ConnectionError> {
    dialling(house, config, name).await
}

pub(crate) fn dialling(house: &House, config: &Arc<ClientConfig>, name: &str) -> quinn::Connecting {
    let endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    let crypto = QuicClientConfig::try_from(Arc::clone(config)).unwrap();
    endpoint.connect_with(quinn::ClientConfig::new(Arc::new(crypto)), house.address, name).unwrap()
}

pub(crate) struct Client {
    pub(crate) quic: quinn::Connection,
    sender: SendRequest<Opener, Bytes>,
}

type Stream = RequestStream<<Opener as OpenStreams<Bytes>>::BidiStream, Bytes>;

impl Client {
    /// Connects for the app's host.
    pub(crate) async fn connect(house: &House, ours: &Authority) -> Self {
        Self::over(dial(house, &Arc::new(config(ours)), APP_HOST).await.unwrap()).await
    }

    pub(crate) async fn over(quic: quinn::Connection) -> Self {
        let (mut driver, sender) = h3::client::new(Transport::new(quic.clone(), 1 << 20)).await.unwrap();
        tokio::spawn(async move { poll_fn(|cx| driver.poll_close(cx)).await });
        Self { quic, sender }
    }

    /// Sends a request's head.
    pub(crate) async fn begin(&self, request: Builder) -> Stream {
        let request = request.version(Version::HTTP_3).body(()).unwrap();
        self.sender.clone().send_request(request).await.unwrap()
    }

    /// Asks for something without a body.
    pub(crate) async fn ask(&self, request: Builder) -> Result<Answer, StreamError> {
        let mut stream = self.begin(request).await;
        stream.finish().await?;
        Answer::of(&mut stream).await
    }

    /// The same by its path, at the app's host.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask(get(path)).await.unwrap()
    }
}

/// A request for a path at the app's host.
pub(crate) fn get(path: &str) -> Builder {
    Request::get(format!("https://{APP_HOST}{path}"))
}

/// Somebody who may read and write records, as a cookie over TLS.
pub(crate) fn chemist(house: &House) -> String {
    house.chemist().replace("cardea=", "__Host-cardea=")
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) head: Response<()>,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Option<HeaderMap>,
}

impl Answer {
    /// Reads one to its end.
    pub(crate) async fn of(stream: &mut Stream) -> Result<Self, StreamError> {
        let head = stream.recv_response().await?;
        let mut body = Vec::new();
        while let Some(mut piece) = stream.recv_data().await? {
            body.extend_from_slice(&piece.copy_to_bytes(piece.remaining()));
        }
        let trailers = stream.recv_trailers().await?;
        Ok(Self { head, body, trailers })
    }

    pub(crate) fn status(&self) -> u16 {
        self.head.status().as_u16()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.headers().get(name).map(|value| value.to_str().unwrap())
    }

    /// Its status, and the reason in its problem details.
    pub(crate) fn outcome(&self) -> (u16, Option<String>) {
        let problem = serde_json::from_slice::<serde_json::Value>(&self.body).ok();
        (self.status(), problem.and_then(|problem| problem["reason"].as_str().map(str::to_owned)))
    }
}

/// The same of an answer over HTTP/1.1.
pub(crate) fn outcome(reply: &Reply) -> (u16, Option<String>) {
    (reply.status(), reply.reason())
}
