//! A line between the gateway and a service that can be made to fail: it breaks as soon as the service has said
//! [`LAST_WORDS`].

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// What a service says last.
pub const LAST_WORDS: &str = "these are my last words";

/// The line; it ends with the story.
#[derive(Debug)]
pub struct Relay {
    /// Where it begins.
    pub port: u16,
    task: JoinHandle<()>,
}

impl Relay {
    /// A line to the service at `port`.
    pub async fn to(port: u16) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let own = listener.local_addr()?.port();
        let task = tokio::spawn(async move {
            // In a set, so that whoever aborts the listener aborts what it carries.
            let mut carried = tokio::task::JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                carried.spawn(carry(client, port));
            }
        });
        Ok(Self { port: own, task })
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry(client: TcpStream, port: u16) -> std::io::Result<()> {
    let service = TcpStream::connect(("127.0.0.1", port)).await?;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_service, mut to_service) = service.into_split();
    let onwards = tokio::io::copy(&mut from_client, &mut to_service);
    let back = async {
        let (mut bytes, mut said) = (vec![0; 64 * 1024], Vec::new());
        loop {
            let count = from_service.read(&mut bytes).await?;
            if count == 0 {
                return to_client.shutdown().await;
            }
            // The words may come in two pieces: what could be their beginning is kept.
            let before = said.len();
            said.extend_from_slice(&bytes[..count]);
            let ends = said.windows(LAST_WORDS.len()).position(|words| words == LAST_WORDS.as_bytes());
            let passes = ends.map_or(count, |at| at + LAST_WORDS.len() - before);
            to_client.write_all(&bytes[..passes]).await?;
            if ends.is_some() {
                return Ok(());
            }
            said.drain(..said.len().saturating_sub(LAST_WORDS.len() - 1));
        }
    };
    // Either end is the end of both.
    tokio::select! {
        _ = onwards => Ok(()),
        ended = back => ended,
    }
}
