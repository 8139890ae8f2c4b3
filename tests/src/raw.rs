//! Bytes on the wire, for what no well-behaved client would send.

use std::{fmt, time::Duration};

use anyhow::Context;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::tls;

/// Longest wait for an answer; a story fails by it, and never passes by it.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What came back, head and all.
#[derive(Debug, Clone)]
pub struct RawReply(pub String);

/// Sends bytes to a port of loopback and reads until the other side closes.
pub async fn send(port: u16, bytes: &[u8]) -> anyhow::Result<RawReply> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    // The other side may close before it has read all: what it answered counts.
    let _ = stream.write_all(bytes).await;
    let mut all = Vec::new();
    let read = timeout(PATIENCE, stream.read_to_end(&mut all)).await.context("the connection stays open")?;
    if all.is_empty() {
        read.context("no answer")?;
    }
    Ok(RawReply(String::from_utf8_lossy(&all).into_owned()))
}

/// One request that asks for the connection to be closed: `line` without the version, `headers` with line ends.
pub async fn ask(port: u16, host: &str, line: &str, headers: &str) -> anyhow::Result<RawReply> {
    let request = format!("{line} HTTP/1.1\r\nhost: {host}\r\n{headers}connection: close\r\n\r\n");
    send(port, request.as_bytes()).await
}

impl RawReply {
    /// The status of the (first) answer; 0 if there is none.
    pub fn status(&self) -> u16 {
        self.0.get(9..12).and_then(|digits| digits.parse().ok()).unwrap_or(0)
    }

    /// The statuses of all answers.
    pub fn statuses(&self) -> Vec<&str> {
        self.0.match_indices("HTTP/1.1 ").filter_map(|(at, _)| self.0.get(at + 9..at + 12)).collect()
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.0, name)
    }

    /// What follows the head, chunks put together; nothing if it is not whole.
    pub fn body(&self) -> Option<String> {
        let (_, rest) = self.0.split_once("\r\n\r\n")?;
        if self.header("transfer-encoding").is_some() {
            return dechunked(rest).map(|(body, _)| body);
        }
        let length = self.header("content-length")?.parse::<usize>().ok()?;
        (rest.len() == length).then(|| rest.to_owned())
    }

    /// The lines of its trailers, joined.
    pub fn trailers(&self) -> String {
        let rest = self.0.split_once("\r\n\r\n").map_or("", |(_, rest)| rest);
        dechunked(rest).map_or_else(String::new, |(_, trailers)| trailers.join(", "))
    }

    /// The reason that a problem document names.
    pub fn reason(&self) -> Option<&str> {
        self.0.split_once("\"reason\":\"")?.1.split('"').next()
    }
}

/// The first header of that name in a head.
pub fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let head = head.split("\r\n\r\n").next()?;
    head.lines().skip(1).find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// A chunked body (RFC 9112 section 7.1): what it holds, and the lines of its trailers. Nothing if it is not whole.
pub fn dechunked(mut rest: &str) -> Option<(String, Vec<&str>)> {
    let mut body = String::new();
    loop {
        let (size, after) = rest.split_once("\r\n")?;
        let size = usize::from_str_radix(size.split(';').next()?.trim(), 16).ok()?;
        if size == 0 {
            let (trailers, _) = if after.starts_with("\r\n") { ("", after) } else { after.split_once("\r\n\r\n")? };
            return Some((body, trailers.lines().collect()));
        }
        body.push_str(after.get(..size)?);
        rest = after.get(size..)?.strip_prefix("\r\n")?;
    }
}

/// A connection that stays open.
pub struct Open {
    stream: Box<dyn Stream>,
    seen: Vec<u8>,
}

/// Whatever bytes go over.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Open").field("seen", &String::from_utf8_lossy(&self.seen)).finish_non_exhaustive()
    }
}

impl Open {
    /// Connects to a port of loopback and sends.
    pub async fn new(port: u16, bytes: &[u8]) -> anyhow::Result<Self> {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.write_all(bytes).await?;
        Ok(Self { stream: Box::new(stream), seen: Vec::new() })
    }

    /// The same over TLS, to speak HTTP/1.1 with `host`.
    pub async fn over_tls(port: u16, host: &str, bytes: &[u8]) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        let mut stream = tls::over(stream, host, "http/1.1").await?;
        stream.write_all(bytes).await?;
        Ok(Self { stream: Box::new(stream), seen: Vec::new() })
    }

    /// Sends more.
    pub async fn send(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        Ok(self.stream.write_all(bytes).await?)
    }

    /// Reads until `text` has come; gives all that came.
    pub async fn until(&mut self, text: &str) -> anyhow::Result<String> {
        let read = async {
            while !String::from_utf8_lossy(&self.seen).contains(text) {
                let count = self.stream.read_buf(&mut self.seen).await?;
                anyhow::ensure!(count > 0, "closed before `{text}`");
            }
            Ok(())
        };
        let read = timeout(PATIENCE, read).await.unwrap_or_else(|_| Err(anyhow::anyhow!("`{text}` does not come")));
        let seen = String::from_utf8_lossy(&self.seen).into_owned();
        read.with_context(|| format!("so far: {seen}"))?;
        Ok(seen)
    }

    /// Reads until the other side closes; gives all that came.
    pub async fn rest(mut self) -> anyhow::Result<RawReply> {
        let read = async { while self.stream.read_buf(&mut self.seen).await.is_ok_and(|count| count > 0) {} };
        timeout(PATIENCE, read).await.context("the connection stays open")?;
        Ok(RawReply(String::from_utf8_lossy(&self.seen).into_owned()))
    }

    /// Waits until the other side closes; gives how long that took.
    pub async fn closed(mut self) -> anyhow::Result<Duration> {
        let begun = std::time::Instant::now();
        let read = async { while self.stream.read_buf(&mut self.seen).await.is_ok_and(|count| count > 0) {} };
        timeout(PATIENCE, read).await.context("the connection stays open")?;
        Ok(begun.elapsed())
    }
}
