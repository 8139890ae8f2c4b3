//! A word of our own to a service, by the same connections, addresses and proofs of who it is as its requests: nobody asked for it, and
//! it carries nobody's identity.

use std::{sync::Arc, time::Duration};

use cardea_core::Reason;
use http::{HeaderValue, Method, Request, StatusCode, Uri, header};

use super::{Upstream, errand::Errand, exchange, pool::Needs};
use crate::Body;

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
            let response = sent.map_err(|failed| failed.reason)?;
            if http_body::Body::is_end_stream(response.body()) {
                load.endpoint().pool.keep(link);
            }
            Ok(response.status())
        };
        tokio::time::timeout(limit, exchanged).await.unwrap_or(Err(Reason::UpstreamTimeout))
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
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
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
            assert_eq!(
                endpoint.faults.load(std::sync::atomic::Ordering::Relaxed),
                0,
                "{status} was the address's fault"
            );
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
}
