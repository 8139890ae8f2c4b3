//! A service of large bodies: it sends as fast as it is read, and reads only once it is let. Whoever sends and finds
//! nobody who takes it says so.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::Context;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinHandle,
    time::timeout,
};

use crate::raw::PATIENCE;

/// When nothing has been taken for this long, nobody takes anything. Too short a time on a slow machine finds less to
/// have been sent, which no story minds.
const SILENCE: Duration = Duration::from_millis(300);

/// Bytes of a piece.
pub const PIECE: usize = 64 * 1024;

/// The service; it ends with the story.
#[derive(Debug)]
pub struct Volume {
    /// Where it listens.
    pub port: u16,
    /// Who waits for whom.
    pub flow: Arc<Flow>,
    task: JoinHandle<()>,
}

/// What flows from a sender to a reader.
#[derive(Debug, Default)]
pub struct Flow {
    sent: AtomicU64,
    stalled: Notify,
    read_on: Notify,
}

impl Flow {
    /// Sends `count` pieces with `send`, and says when it has to wait.
    pub async fn pass<F: Future<Output = anyhow::Result<()>>>(
        &self,
        count: usize,
        mut send: impl FnMut(Vec<u8>) -> F,
    ) -> anyhow::Result<()> {
        for _ in 0..count {
            let mut sending = std::pin::pin!(send(vec![7; PIECE]));
            if let Ok(sent) = timeout(SILENCE, &mut sending).await {
                sent?;
            } else {
                self.stalled.notify_one();
                sending.await?;
            }
            self.sent.fetch_add(PIECE as u64, Ordering::SeqCst);
        }
        Ok(())
    }

    /// Waits until a sender has to wait; gives the bytes sent by then.
    pub async fn stalls(&self) -> anyhow::Result<u64> {
        timeout(PATIENCE, self.stalled.notified()).await.context("nobody has to wait")?;
        Ok(self.sent.load(Ordering::SeqCst))
    }

    /// Lets the service read what is sent to it.
    pub fn read_on(&self) {
        self.read_on.notify_one();
    }
}

impl Volume {
    /// Starts it on a port that the system picks.
    pub async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let flow = Arc::new(Flow::default());
        let serving = Arc::clone(&flow);
        let task = tokio::spawn(async move {
            let mut serves = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let flow = Arc::clone(&serving);
                serves.spawn(async move { serve(stream, &flow).await });
            }
        });
        Ok(Self { port, flow, task })
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// `GET /x/<pieces>` is answered with so many, `POST` with the count of bytes that came.
async fn serve(stream: TcpStream, flow: &Flow) -> anyhow::Result<()> {
    let (mut from, mut to) = stream.into_split();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(from.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    if head.starts_with("POST ") {
        flow.read_on.notified().await;
        let length = crate::raw::header(&head, "content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        let count = tokio::io::copy(&mut from.take(length), &mut tokio::io::sink()).await?.to_string();
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{count}", count.len());
        return Ok(to.write_all(answer.as_bytes()).await?);
    }
    let pieces = head.split(' ').nth(1).and_then(|path| path.rsplit('/').next()?.parse().ok()).unwrap_or(0);
    let length = pieces * PIECE;
    to.write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n").as_bytes())
        .await?;
    let to = tokio::sync::Mutex::new(to);
    flow.pass(pieces, async |piece| Ok(to.lock().await.write_all(&piece).await?)).await
}
