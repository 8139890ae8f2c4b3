//! A service behind the gateway that writes down every byte it hears, and misbehaves where its path says so.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

use crate::raw;

mod answers;

/// One request as it came in.
#[derive(Debug, Clone, Default)]
pub struct Heard {
    /// Request line and headers, as sent.
    pub head: String,
    /// What followed, as sent: body, chunks, trailers.
    pub rest: String,
}

/// The service; it ends with the story.
#[derive(Debug)]
pub struct Upstream {
    /// Where it listens.
    pub port: u16,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Shared {
    heard: Mutex<Vec<Heard>>,
    /// Streams that are open now.
    open: AtomicUsize,
    /// Answers that may break off, by what the path asks for.
    may_die: watch::Sender<BTreeSet<String>>,
    dying: AtomicUsize,
}

impl Heard {
    /// Method and target.
    pub fn line(&self) -> &str {
        self.head.split(" HTTP/1.1").next().unwrap_or_default()
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        raw::header(&self.head, name)
    }
}

impl Upstream {
    /// Starts it on a port that the system picks.
    pub async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared::default());
        let task = tokio::spawn(listen(listener, Arc::clone(&shared)));
        Ok(Self { port, shared, task })
    }

    /// How many requests came in.
    pub fn count(&self) -> usize {
        self.all().len()
    }

    /// The last request.
    pub fn last(&self) -> Heard {
        self.all().pop().unwrap_or_default()
    }

    /// All requests.
    pub fn all(&self) -> Vec<Heard> {
        self.shared.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many of its streams are open.
    pub fn open_streams(&self) -> usize {
        self.shared.open.load(Ordering::SeqCst)
    }

    /// A path at which it says one event, and breaks off once [`Upstream::die`] is told.
    pub fn dying(&self) -> String {
        format!("/does/die-{}", self.shared.dying.fetch_add(1, Ordering::SeqCst))
    }

    /// Lets the answer at such a path break off.
    pub fn die(&self, path: &str) {
        let what = path.trim_start_matches("/does/").to_owned();
        self.shared.may_die.send_modify(|may_die| {
            may_die.insert(what);
        });
    }

    /// Stops listening: from now on nobody can connect.
    pub async fn stop(self) {
        self.task.abort();
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn listen(listener: TcpListener, shared: Arc<Shared>) {
    // In a set, so that whoever aborts the listener aborts what it serves.
    let mut serving = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        serving.spawn(async move {
            let _ = serve(stream, &shared).await;
        });
    }
}

async fn serve(mut stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let Some(heard) = read(&mut stream).await? else { return Ok(()) };
    let path = heard.line().split(' ').nth(1).unwrap_or_default().to_owned();
    shared.heard.lock().unwrap_or_else(PoisonError::into_inner).push(heard.clone());
    let path = path.rsplit_once("/does/").map_or("", |(_, what)| what);
    match path {
        "answer-never" => wait_for_end(&mut stream).await,
        "break-off" => stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf").await,
        "hang-up" => Ok(()),
        "speak-no-http" => stream.write_all(b"hello\r\n\r\n").await,
        "stream" => {
            stream
                .write_all(
                    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\ndata: 1\n\n",
                )
                .await?;
            shared.open.fetch_add(1, Ordering::SeqCst);
            let ended = wait_for_end(&mut stream).await;
            shared.open.fetch_sub(1, Ordering::SeqCst);
            ended
        }
        "events" => {
            stream.write_all(EVENT).await?;
            shared.open.fetch_add(1, Ordering::SeqCst);
            let ended = wait_for_end(&mut stream).await;
            shared.open.fetch_sub(1, Ordering::SeqCst);
            ended
        }
        what if what.starts_with("die-") => {
            stream.write_all(EVENT).await?;
            // Nobody who could let it is left when this fails, and then it dies, too.
            let _ = shared.may_die.subscribe().wait_for(|may_die| may_die.contains(what)).await;
            Ok(())
        }
        "websocket" => {
            // RFC 6455 section 1.3: the accept of the key that its example uses, and so do the stories.
            stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n").await?;
            shared.open.fetch_add(1, Ordering::SeqCst);
            let ended = echo(&mut stream).await;
            shared.open.fetch_sub(1, Ordering::SeqCst);
            ended
        }
        // It is well from the third request on.
        "fail-twice" => {
            let count = shared.heard.lock().unwrap_or_else(PoisonError::into_inner).len();
            let what = if count > 2 { "ok" } else { "fail" };
            stream.write_all(answers::answer(what, &heard).as_bytes()).await
        }
        what => stream.write_all(answers::answer(what, &heard).as_bytes()).await,
    }
}

/// The first of many server-sent events.
const EVENT: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n";

async fn echo(stream: &mut TcpStream) -> std::io::Result<()> {
    let mut bytes = [0; 1024];
    loop {
        match stream.read(&mut bytes).await? {
            0 => return Ok(()),
            count => stream.write_all(&bytes[..count]).await?,
        }
    }
}

async fn wait_for_end(stream: &mut TcpStream) -> std::io::Result<()> {
    let mut rest = [0; 1024];
    while stream.read(&mut rest).await? > 0 {}
    Ok(())
}

/// Reads a head and the body that it announces; nothing where the client says nothing.
async fn read(stream: &mut TcpStream) -> std::io::Result<Option<Heard>> {
    let mut all = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&all);
        if let Some((head, rest)) = text.split_once("\r\n\r\n") {
            let length = raw::header(head, "content-length").and_then(|text| text.parse::<usize>().ok());
            let chunked = raw::header(head, "transfer-encoding").is_some();
            let whole = if chunked {
                rest.ends_with("\r\n\r\n") && rest.contains("0\r\n")
            } else {
                rest.len() >= length.unwrap_or(0)
            };
            if whole {
                return Ok(Some(Heard { head: head.to_owned(), rest: rest.to_owned() }));
            }
        }
        if stream.read_buf(&mut all).await? == 0 {
            return Ok(None);
        }
    }
}
