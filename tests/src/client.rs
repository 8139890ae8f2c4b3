//! A plain HTTP client that behaves like a browser where it matters: it keeps cookies by host, resolves `*.localhost`
//! to loopback, and follows redirects when asked to.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
};

use anyhow::{Context, bail};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpSocket,
    task::JoinHandle,
};
use url::Url;

use crate::{form, tls};

/// An answer, read whole.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Where it came from.
    pub url: Url,
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as text.
    pub body: String,
}

impl Reply {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as JSON.
    pub fn json(&self) -> anyhow::Result<serde_json::Value> {
        serde_json::from_str(&self.body)
            .with_context(|| format!("no JSON in the answer of {}: {}", self.url, self.body))
    }

    /// Where it redirects to.
    pub fn location(&self) -> anyhow::Result<Url> {
        let to = self.header("location").with_context(|| format!("{} of {} is no redirect", self.status, self.url))?;
        Ok(self.url.join(to)?)
    }
}

/// A browser's worth of state.
#[derive(Debug, Clone, Default)]
pub struct Client {
    cookies: BTreeMap<String, BTreeMap<String, String>>,
    /// Sent with every request beside what the request brings.
    pub headers: Vec<(String, String)>,
    /// Accepts JSON, as programs do, and no pages.
    pub program: bool,
    /// What is accepted instead, where a story says so.
    pub accept: Option<&'static str>,
    /// What it was given that lets whoever holds it in: cookies, codes, states, the tokens of invitations.
    pub secrets: BTreeSet<String>,
    /// The address in 127.0.0.0/8 that it comes from, where that matters.
    pub from: Option<Ipv4Addr>,
}

/// More redirects than any flow of ours has.
const REDIRECTS: usize = 12;

impl Client {
    /// A browser that has been nowhere.
    pub fn browser() -> Self {
        Self::default()
    }

    /// A program: it accepts JSON and is never redirected to a page.
    pub fn program() -> Self {
        Self { program: true, ..Self::default() }
    }

    /// The value of a cookie at a host.
    pub fn cookie(&self, host: &str, name: &str) -> Option<&str> {
        self.cookies.get(host)?.get(name).map(String::as_str)
    }

    /// All that it would send to a host, as the header has it.
    pub fn jar(&self, host: &str) -> Option<String> {
        let all: Vec<_> = self.cookies.get(host)?.iter().map(|(name, value)| format!("{name}={value}")).collect();
        Some(all.join("; ")).filter(|jar| !jar.is_empty())
    }

    /// Puts a cookie in the jar of a host.
    pub fn set_cookie(&mut self, host: &str, name: &str, value: &str) {
        self.cookies.entry(host.to_owned()).or_default().insert(name.to_owned(), value.to_owned());
    }

    /// Forgets what a host has put into its jar.
    pub fn forget(&mut self, host: &str) {
        self.cookies.remove(host);
    }

    /// One request, nothing followed.
    pub async fn send(&mut self, method: Method, url: &Url, body: Option<(&str, String)>) -> anyhow::Result<Reply> {
        self.learn(url);
        let host = url.host_str().context("no host")?.to_owned();
        let authority = url.port().map_or_else(|| host.clone(), |port| format!("{host}:{port}"));
        let (mut sender, driver) = self.connect(url).await?;
        let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
        let mut request = Request::builder().method(method.clone()).uri(target).header(header::HOST, authority);
        let accept = if self.program { "application/json" } else { "text/html,application/xhtml+xml,*/*;q=0.8" };
        request = request.header(header::ACCEPT, self.accept.unwrap_or(accept));
        if let Some(jar) = self.jar(&host) {
            request = request.header(header::COOKIE, jar);
        }
        let origin = url.origin().ascii_serialization();
        if method != Method::GET && !self.program && !self.headers.iter().any(|(name, _)| name == "origin") {
            request = request.header(header::ORIGIN, origin).header("sec-fetch-site", "same-origin");
        }
        for (name, value) in &self.headers {
            request = request.header(name.as_str(), value.as_str());
        }
        let body = match body {
            Some((kind, text)) => {
                request = request.header(header::CONTENT_TYPE, kind);
                Full::new(Bytes::from(text))
            }
            None => Full::default(),
        };
        let response = sender.send_request(request.body(body)?).await?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.context("the answer broke off")?.to_bytes();
        driver.abort();
        self.keep(&host, &parts.headers);
        let body = String::from_utf8_lossy(&body).into_owned();
        Ok(Reply { url: url.clone(), status: parts.status, headers: parts.headers, body })
    }

    /// GET, nothing followed.
    pub async fn get(&mut self, url: &Url) -> anyhow::Result<Reply> {
        self.send(Method::GET, url, None).await
    }

    /// GET, and on through every redirect to the page at the end.
    pub async fn open(&mut self, url: &Url) -> anyhow::Result<Reply> {
        let first = self.get(url).await?;
        self.follow(first).await
    }

    /// On from an answer through its redirects.
    pub async fn follow(&mut self, mut reply: Reply) -> anyhow::Result<Reply> {
        for _ in 0..REDIRECTS {
            if !reply.status.is_redirection() {
                return Ok(reply);
            }
            let to = reply.location()?;
            reply = self.get(&to).await?;
        }
        bail!("more than {REDIRECTS} redirects, the last to {}", reply.url)
    }

    /// On from an answer through its redirects; one to a path that starts with `stop` is not followed.
    pub async fn follow_until(&mut self, mut reply: Reply, stop: &str) -> anyhow::Result<Reply> {
        for _ in 0..REDIRECTS {
            if !reply.status.is_redirection() || reply.location()?.path().starts_with(stop) {
                return Ok(reply);
            }
            let to = reply.location()?;
            reply = self.get(&to).await?;
        }
        bail!("more than {REDIRECTS} redirects, the last to {}", reply.url)
    }

    /// Fills in the form of `page` that has the first of `fields`, sends it, and follows.
    pub async fn submit(&mut self, page: &Reply, fields: &[(&str, &str)]) -> anyhow::Result<Reply> {
        let sent = self.submit_once(page, fields).await?;
        self.follow(sent).await
    }

    /// The same, nothing followed.
    pub async fn submit_once(&mut self, page: &Reply, fields: &[(&str, &str)]) -> anyhow::Result<Reply> {
        let wanted = fields.first().map_or("", |field| field.0);
        let form = form::find(&page.body, wanted)
            .with_context(|| format!("no form with `{wanted}` at {}:\n{}", page.url, page.body))?;
        let to = page.url.join(form.action.as_deref().unwrap_or(page.url.as_str()))?;
        let mut body = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in form.hidden.iter().filter(|(name, _)| !fields.iter().any(|f| f.0 == name)) {
            body.append_pair(name, value);
        }
        for (name, value) in fields {
            body.append_pair(name, value);
        }
        self.send(Method::POST, &to, Some(("application/x-www-form-urlencoded", body.finish()))).await
    }

    /// Sends JSON and reads the answer.
    pub async fn json(&mut self, method: Method, url: &Url, body: &serde_json::Value) -> anyhow::Result<Reply> {
        self.send(method, url, Some(("application/json", body.to_string()))).await
    }

    async fn connect(&self, url: &Url) -> anyhow::Result<(SendRequest<Full<Bytes>>, JoinHandle<()>)> {
        let socket = TcpSocket::new_v4()?;
        if let Some(address) = self.from {
            socket.bind((address, 0).into())?;
        }
        let stream = socket.connect((Ipv4Addr::LOCALHOST, url.port_or_known_default().unwrap_or(80)).into()).await?;
        if url.scheme() == "https" {
            let stream = tls::over(stream, url.host_str().unwrap_or_default(), "http/1.1").await?;
            return speak(stream).await;
        }
        speak(stream).await
    }

    fn learn(&mut self, url: &Url) {
        let link = ["/sign-in/invitation/", "/factors/link/"].iter().find_map(|at| url.path().strip_prefix(at));
        let invitation = link.and_then(|rest| rest.split('/').next());
        let values = url.query_pairs().filter(|(name, _)| matches!(&**name, "code" | "state" | "nonce"));
        self.secrets.extend(values.map(|(_, value)| value.into_owned()).chain(invitation.map(str::to_owned)));
    }

    fn keep(&mut self, host: &str, headers: &HeaderMap) {
        for line in headers.get_all(header::SET_COOKIE).iter().filter_map(|value| value.to_str().ok()) {
            let mut parts = line.split(';').map(str::trim);
            let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else { continue };
            let ends = |part: &str| part.eq_ignore_ascii_case("max-age=0") || part.ends_with("1970 00:00:00 GMT");
            let gone = parts.any(ends) || value.is_empty();
            let jar = self.cookies.entry(host.to_owned()).or_default();
            if gone {
                jar.remove(name);
            } else {
                jar.insert(name.to_owned(), value.to_owned());
                self.secrets.insert(value.to_owned());
            }
        }
    }
}

async fn speak<S>(stream: S) -> anyhow::Result<(SendRequest<Full<Bytes>>, JoinHandle<()>)>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(async move {
        let _ = connection.await;
    });
    Ok((sender, driver))
}
