//! A word of our own to a service, by the same connections, addresses and proofs of who it is as its requests: nobody asked for it, and
//! it carries nobody's identity.

use std::{sync::Arc, time::Duration};

use cardea_core::Reason;
use http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use super::{
    Upstream,
    errand::Errand,
    exchange,
    pool::{Link, Needs, Sender},
};
use crate::Body;

/// What of an answer is read, so that its connection can be kept for the next word. Four kilobytes: the page of a framework that has
/// something to say.
const DRAINED: usize = 4_096;
/// How long that may take, once it is told. A second: what is so short comes with its head, or right behind.
const DRAINS: Duration = Duration::from_secs(1);

/// What a service is told.
#[derive(Debug, Clone, Copy)]
pub struct Telling<'a> {
    /// The authority by which the service is asked for, as browsers name it.
    pub host: &'a str,
    /// The path, with its query if it has one.
    pub path: &'a str,
    /// A form, as `application/x-www-form-urlencoded` has it.
    pub form: &'a str,
}

impl Upstream {
    /// Posts a form to the service; what it answers is told by its status alone, within `limit`. It is sent once, follows no redirect,
    /// and what is answered says nothing of the address, for which requests of people have to do.
    pub async fn tell(self: &Arc<Self>, told: Telling<'_>, limit: Duration) -> Result<StatusCode, Reason> {
        let request = request(told).ok_or(Reason::Internal)?;
        let exchanged = async {
            self.known().await;
            let needs = Needs { grpc: false, once: true };
            let mut errand = Errand::first(Request::default(), self.choose(None, &[]), None, needs);
            let (load, mut link) = errand.linked(self).await?;
            let patience = exchange::Patience { limit, call: false };
            let sent = exchange::send(&mut link, request, self.tls.is_some(), patience, None).await;
            let (head, body) = sent.map_err(|failed| failed.reason)?.into_parts();
            Ok((load, link, head.status, body))
        };
        let exchanged = tokio::time::timeout(limit, exchanged).await.unwrap_or(Err(Reason::UpstreamTimeout));
        let (load, mut link, status, body) = exchanged?;
        // It is told, whatever becomes of the rest.
        if let Ok(true) = tokio::time::timeout(DRAINS, drain(body, &mut link)).await {
            load.endpoint().pool.keep(link);
        }
        Ok(status)
    }
}

/// Whether an answer has passed whole, and its connection can take another request.
async fn drain(mut body: Incoming, link: &mut Link) -> bool {
    let mut read = 0;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return false };
        read += frame.data_ref().map_or(0, bytes::Bytes::len);
        if read > DRAINED {
            return false;
        }
    }
    match &mut link.sender {
        Sender::Http1(sender, _) => sender.ready().await.is_ok(),
        Sender::Http2(_) => true,
    }
}

fn request(told: Telling<'_>) -> Option<Request<Body>> {
    let mut request = Request::new(Body::full(told.form.to_owned()));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = told.path.parse::<Uri>().ok()?;
    let headers = request.headers_mut();
    headers.insert(header::HOST, HeaderValue::try_from(told.host).ok()?);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    headers.insert(header::USER_AGENT, HeaderValue::from_static("cardea"));
    Some(request)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
    };

    use super::*;
    use crate::upstream::Transport;

    const TOLD: Telling<'static> = Telling { host: "records.example", path: "/over?by=us", form: "a=b" };

    /// What comes of it where the service says `answer`, and what it heard.
    async fn told(answer: &str) -> (Result<StatusCode, Reason>, String, Arc<Upstream>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("url = 'http://{}'", listener.local_addr().unwrap());
        let upstream = Arc::new(Upstream::new(&toml::from_str(&url).unwrap(), Transport::Plain).unwrap());
        let hears = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut heard = Vec::new();
            while !heard.ends_with(b"a=b") {
                stream.read_buf(&mut heard).await.unwrap();
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
            // Nobody comes again, wherever it points to.
            let _ = stream.shutdown().await;
            String::from_utf8(heard).unwrap()
        };
        let (came, heard) = tokio::join!(upstream.tell(TOLD, Duration::from_secs(20)), hears);
        (came, heard, upstream)
    }

    #[tokio::test]
    async fn a_service_hears_a_form_once_and_its_status_is_told() {
        for (answer, status) in [
            ("HTTP/1.1 204 No Content\r\n\r\n", 204),
            ("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/elsewhere\r\ncontent-length: 0\r\n\r\n", 302),
            ("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\n\r\nlate", 503),
        ] {
            let (came, heard, upstream) = told(answer).await;
            assert_eq!(came.map(|status| status.as_u16()), Ok(status));
            let heard = heard.to_ascii_lowercase();
            assert!(
                heard.starts_with("post /over?by=us http/1.1\r\n") && heard.contains("\r\nhost: records.example\r\n")
            );
            assert!(heard.contains("\r\ncontent-type: application/x-www-form-urlencoded\r\n"), "{heard}");
            assert!(!heard.contains("cardea-assertion"), "{heard}");
            let endpoint = Arc::clone(&upstream.fleet.load()[0]);
            assert_eq!(endpoint.faults.load(Ordering::Relaxed), 0, "{status} was the address's fault");
        }
        let (came, _, _) = told("").await;
        assert_eq!(came, Err(Reason::UpstreamBroken));
    }

    #[tokio::test]
    async fn a_service_that_says_nothing_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("url = 'http://{}'", listener.local_addr().unwrap());
        let upstream = Arc::new(Upstream::new(&toml::from_str(&url).unwrap(), Transport::Plain).unwrap());
        assert_eq!(upstream.tell(TOLD, Duration::from_millis(1)).await, Err(Reason::UpstreamTimeout));
    }

    /// What a service answers has passed before the connection is another's; what is long, or does not end, closes it.
    #[tokio::test]
    async fn a_connection_is_kept_where_the_answer_was_short() {
        let plain = |length| format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{}", "x".repeat(length));
        for (name, answer, kept) in [
            ("none", plain(0), true),
            ("short", plain(DRAINED), true),
            ("chunked", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n".to_owned(), true),
            ("long", plain(DRAINED + 1), false),
            ("no end", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf".to_owned(), false),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("url = 'http://{}'", listener.local_addr().unwrap());
            let upstream = Arc::new(Upstream::new(&toml::from_str(&url).unwrap(), Transport::Plain).unwrap());
            let opened = AtomicUsize::new(0);
            let serves = async {
                let mut open = tokio::task::JoinSet::new();
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    opened.fetch_add(1, Ordering::Relaxed);
                    open.spawn(answers(stream, answer.clone()));
                }
            };
            let told = async {
                for _ in 0..3 {
                    assert_eq!(upstream.tell(TOLD, Duration::from_secs(20)).await, Ok(StatusCode::OK), "{name}");
                }
                assert_eq!(opened.load(Ordering::Relaxed), if kept { 1 } else { 3 }, "{name}");
            };
            tokio::select! { () = told => {}, () = serves => {} }
        }
    }

    /// Answers whatever it is told on a connection, and never closes that.
    async fn answers(mut stream: TcpStream, answer: String) {
        let mut heard = Vec::new();
        while let Ok(1..) = stream.read_buf(&mut heard).await {
            if heard.ends_with(b"a=b") {
                heard.clear();
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        }
    }
}
