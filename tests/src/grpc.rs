//! gRPC: a service made with `tonic`, the same made with Python's `grpcio`, and a `grpcio` client. Messages are
//! `google.protobuf.StringValue`, so that nobody needs generated code.

use std::{collections::BTreeMap, convert::Infallible, path::Path, process::Stdio, sync::Arc};

use anyhow::Context;
use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response};
use http_body_util::StreamBody;
use hyper::{
    body::{Frame, Incoming},
    server::conn::http2,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    net::TcpListener,
    process::{Child, ChildStdin, ChildStdout},
    sync::Notify,
    task::JoinHandle,
    time::timeout,
};
use tokio_stream::{Stream, StreamExt};
use tonic::{Code, Status, Streaming, body::Body, server::Grpc};
use tonic_prost::ProstCodec;

use crate::{
    Process,
    process::{python, service_file},
    raw::PATIENCE,
    relay::LAST_WORDS,
};

/// The service made with `tonic`, over HTTP/2 without TLS. What is no gRPC it answers
/// with a word.
#[derive(Debug)]
pub struct Tonic {
    /// Where it listens.
    pub port: u16,
    last_words: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Tonic {
    /// Starts it on a port that the system picks.
    pub async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let last_words = Arc::new(Notify::new());
        let awaited = Arc::clone(&last_words);
        let task = tokio::spawn(async move {
            let mut serving = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let awaited = Arc::clone(&awaited);
                let answer = service_fn(move |request| {
                    let awaited = Arc::clone(&awaited);
                    async move { Ok::<_, Infallible>(answer(request, awaited).await) }
                });
                serving.spawn(http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), answer));
            }
        });
        Ok(Self { port, last_words, task })
    }

    /// Lets the answer at `/last-words` go on with them.
    pub fn says_its_last_words(&self) {
        self.last_words.notify_one();
    }
}

impl Drop for Tonic {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(request: Request<Incoming>, last_words: Arc<Notify>) -> Response<Body> {
    let is_grpc =
        request.headers().get("content-type").is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
    if !is_grpc && request.uri().path() == "/last-words" {
        let pieces = stream::once(async { Ok(Frame::data(Bytes::from("hello"))) }).chain(stream::once(async move {
            last_words.notified().await;
            Ok::<_, Status>(Frame::data(Bytes::from(LAST_WORDS)))
        }));
        return Response::new(Body::new(StreamBody::new(pieces.chain(stream::pending()))));
    }
    if !is_grpc {
        return Response::new(Body::new(http_body_util::Full::from("hello")));
    }
    let method = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
    let mut grpc = Grpc::new(ProstCodec::<String, String>::default());
    match method.as_str() {
        "Unary" => grpc.unary(tower::service_fn(unary), request).await,
        "Server" => grpc.server_streaming(tower::service_fn(server), request).await,
        "Client" => grpc.client_streaming(tower::service_fn(client), request).await,
        "Both" => grpc.streaming(tower::service_fn(both), request).await,
        other => Status::unimplemented(other).into_http(),
    }
}

async fn unary(request: tonic::Request<String>) -> Result<tonic::Response<String>, Status> {
    match request.into_inner() {
        text if text == "fail" => Err(Status::new(Code::FailedPrecondition, "as asked")),
        text => Ok(tonic::Response::new(text)),
    }
}

async fn server(
    request: tonic::Request<String>,
) -> Result<tonic::Response<impl Stream<Item = Result<String, Status>>>, Status> {
    let text = request.into_inner();
    Ok(tonic::Response::new(tokio_stream::iter((1..=3).map(move |nth| Ok(format!("{text} {nth}"))))))
}

async fn client(request: tonic::Request<Streaming<String>>) -> Result<tonic::Response<String>, Status> {
    let mut said = request.into_inner();
    let mut all = Vec::new();
    while let Some(text) = said.next().await {
        all.push(text?);
    }
    Ok(tonic::Response::new(all.join("+")))
}

async fn both(request: tonic::Request<Streaming<String>>) -> Result<tonic::Response<Streaming<String>>, Status> {
    Ok(tonic::Response::new(request.into_inner()))
}

/// The same made with `grpcio`; gives the process and where it listens.
pub async fn grpcio(log: &Path) -> anyhow::Result<(Process, u16)> {
    let mut command = python("python");
    command.arg(service_file("grpc_service.py"));
    let mut process = Process::start(command, log)?;
    let port = process.line(|line| line.parse().ok()).await?;
    Ok((process, port))
}

/// A call as the client is told to make it.
#[derive(Debug, Clone, Serialize)]
pub struct Call {
    /// The gateway's port.
    pub port: u16,
    /// The host, without the port.
    pub host: String,
    /// `Unary`, `Server`, `Client` or `Both`.
    pub kind: &'static str,
    /// The whole name: `/cardea.Wire/Unary`.
    pub method: String,
    /// The caller's cookies.
    pub cookie: String,
    /// What is sent; with `Both`, each message after the answer to the last.
    pub messages: Vec<String>,
    /// Whether the client waits for the service to end the stream.
    pub hold: bool,
}

/// What the client heard.
#[derive(Debug, Clone, Deserialize)]
pub struct Told {
    /// The status.
    pub code: u16,
    /// The message that comes with it.
    pub details: String,
    /// The answers.
    pub messages: Vec<String>,
    /// The metadata, both kinds.
    pub metadata: BTreeMap<String, String>,
}

/// A `grpcio` client, which makes one call at a time.
#[derive(Debug)]
pub struct Client {
    _process: Child,
    to: ChildStdin,
    from: Lines<BufReader<ChildStdout>>,
}

impl Client {
    /// Starts it; it trusts the authority in `roots`.
    pub fn start(roots: &Path) -> anyhow::Result<Self> {
        let mut command = tokio::process::Command::from(python("python"));
        command.arg(service_file("grpc_client.py")).arg(roots).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.kill_on_drop(true).spawn()?;
        let to = process.stdin.take().context("no input")?;
        let from = BufReader::new(process.stdout.take().context("no output")?).lines();
        Ok(Self { _process: process, to, from })
    }

    /// Makes a call, and tells how it ended.
    pub async fn call(&mut self, call: &Call) -> anyhow::Result<Told> {
        self.begin(call).await?;
        self.end().await
    }

    /// Makes a call without waiting for its end.
    pub async fn begin(&mut self, call: &Call) -> anyhow::Result<()> {
        self.to.write_all(format!("{}\n", serde_json::to_string(call)?).as_bytes()).await?;
        Ok(self.to.flush().await?)
    }

    /// Waits until a held call has heard its first answer.
    pub async fn hears(&mut self) -> anyhow::Result<String> {
        self.line().await
    }

    /// Waits for a call's end.
    pub async fn end(&mut self) -> anyhow::Result<Told> {
        let line = self.line().await?;
        serde_json::from_str(&line).with_context(|| format!("the client said: {line}"))
    }

    async fn line(&mut self) -> anyhow::Result<String> {
        timeout(PATIENCE, self.from.next_line()).await.context("the client says nothing")??.context("the client ended")
    }
}
