//! A listener's certificates that are replaced while it is used: nobody fails and nobody is cut off, a broken file changes
//! nothing, and whoever comes anew is shown the new one.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, ensure};
use bytes::Bytes;
use cardea_tests::{Gateway, Installation, Plan, Story, Upstream, tls};
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use tokio::{net::TcpStream, task::JoinSet};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// How somebody keeps coming.
#[derive(Debug, Clone, Copy)]
enum Habit {
    /// With one connection for all requests.
    Stays,
    /// With a new connection each time.
    New,
    /// The same, resuming the session before.
    Resumes,
}

/// One who asks for a page of a tenant's, over and over.
#[derive(Debug, Clone, Copy)]
struct Visitor {
    port: u16,
    tenant: &'static str,
    protocol: &'static str,
    habit: Habit,
}

enum Sender {
    One(http1::SendRequest<Empty<Bytes>>),
    Two(http2::SendRequest<Empty<Bytes>>),
}

impl Visitor {
    fn host(&self) -> String {
        format!("echo.{}.localhost", self.tenant)
    }

    async fn connects(&self, connector: &TlsConnector) -> anyhow::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        tls::again(connector, stream, &self.host(), self.protocol).await
    }

    async fn opens(&self, connector: &TlsConnector) -> anyhow::Result<Sender> {
        let stream = TokioIo::new(self.connects(connector).await?);
        Ok(if self.protocol == "h2" {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await?;
            tokio::spawn(connection);
            Sender::Two(sender)
        } else {
            let (sender, connection) = http1::handshake(stream).await?;
            tokio::spawn(connection);
            Sender::One(sender)
        })
    }

    async fn asks(&self, sender: &mut Sender) -> Story {
        let authority = format!("{}:{}", self.host(), self.port);
        let request = |uri: String| Request::get(uri).body(Empty::new());
        let reply = match sender {
            Sender::One(sender) => {
                sender.ready().await?;
                let mut request = request("/public/x".to_owned())?;
                request.headers_mut().insert("host", authority.parse()?);
                sender.send_request(request).await?
            }
            Sender::Two(sender) => {
                sender.ready().await?;
                sender.send_request(request(format!("https://{authority}/public/x"))?).await?
            }
        };
        ensure!(reply.status() == 200, "{}", reply.status());
        reply.into_body().collect().await?;
        Ok(())
    }

    /// Asks until it is over; gives how often.
    async fn keeps_asking(self, over: Arc<AtomicBool>) -> anyhow::Result<u32> {
        let mut connector = tls::connector(self.protocol)?;
        let mut sender = self.opens(&connector).await?;
        let mut pace = tokio::time::interval(Duration::from_millis(20));
        let mut asked = 0;
        while !over.load(Ordering::Relaxed) {
            pace.tick().await;
            match self.habit {
                Habit::Stays => {}
                Habit::New => {
                    connector = tls::connector(self.protocol)?;
                    sender = self.opens(&connector).await?;
                }
                Habit::Resumes => sender = self.opens(&connector).await?,
            }
            self.asks(&mut sender).await.with_context(|| format!("{self:?}, after {asked} requests"))?;
            asked += 1;
        }
        Ok(asked)
    }
}

/// A new certificate for a tenant's hosts and its key, in PEM.
fn issued(tenant: &str) -> anyhow::Result<(String, String)> {
    tls::authority()?.issue(&[&format!("{tenant}.localhost"), &format!("*.{tenant}.localhost")])
}

fn replace(on: &Installation, tenant: &str) -> anyhow::Result<String> {
    let (chain, key) = issued(tenant)?;
    on.write(&format!("tls/{tenant}.pem"), &chain)?;
    on.write(&format!("tls/{tenant}.key"), &key)?;
    Ok(chain)
}

/// A gateway with a certificate for each tenant, chosen by the name that a client asks for.
async fn house(upstream: &Upstream) -> anyhow::Result<(Gateway, [String; 2])> {
    let on = Plan::before(upstream.port).tls().write()?;
    let pair = |tenant: &str| format!("{{ certificate = \"tls/{tenant}.pem\", key = \"tls/{tenant}.key\" }}");
    let both = format!("tls = [{}, {}]", pair("acme"), pair("north"));
    on.edit("cardea.toml", "tls = { certificate = \"tls/chain.pem\", key = \"tls/key.pem\" }", &both)?;
    let shown = [replace(&on, "acme")?, replace(&on, "north")?];
    on.apply().await?;
    Ok((on.start().await?, shown))
}

/// Who comes anew is shown these.
async fn shows(gateway: &Gateway, wanted: &[String; 2]) -> Story {
    for (tenant, wanted) in ["acme", "north"].into_iter().zip(wanted) {
        let visitor = Visitor { port: gateway.on.port, tenant, protocol: "http/1.1", habit: Habit::New };
        let stream = visitor.connects(&tls::connector("http/1.1")?).await?;
        let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first).context("no certificate")?;
        ensure!(
            *shown == CertificateDer::from_pem_slice(wanted.as_bytes())?,
            "{tenant} is shown by another certificate"
        );
    }
    Ok(())
}

/// Within the ten seconds in which files are looked at, and then some.
async fn comes_to_show(gateway: &Gateway, wanted: &[String; 2]) -> Story {
    let looked = async {
        while shows(gateway, wanted).await.is_err() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), looked).await.context("they are not taken up")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_are_replaced_under_load_and_nobody_notices() -> Story {
    let upstream = Upstream::start().await?;
    let (mut gateway, mut wanted) = house(&upstream).await?;
    shows(&gateway, &wanted).await?;
    let over = Arc::new(AtomicBool::new(false));
    let mut visitors = JoinSet::new();
    for tenant in ["acme", "north"] {
        for protocol in ["http/1.1", "h2"] {
            for habit in [Habit::Stays, Habit::New, Habit::Resumes] {
                let visitor = Visitor { port: gateway.on.port, tenant, protocol, habit };
                visitors.spawn(visitor.keeps_asking(Arc::clone(&over)));
            }
        }
    }

    wanted[0] = replace(&gateway.on, "acme")?;
    gateway.hangs_up()?;
    gateway.counts("cardea_reloads_total{what=\"configuration\",outcome=\"taken\"} 1").await?;
    shows(&gateway, &wanted).await?;

    // North's new certificate is there before its key, and nothing changes.
    let (chain, key) = issued("north")?;
    gateway.on.write("tls/north.pem", &chain)?;
    gateway.hangs_up()?;
    gateway.counts("cardea_reloads_total{what=\"configuration\",outcome=\"refused\"} 1").await?;
    shows(&gateway, &wanted).await?;
    // Where the gateway looks by itself, each stands for itself, and the broken one waits for its key.
    wanted[0] = replace(&gateway.on, "acme")?;
    comes_to_show(&gateway, &wanted).await?;
    gateway.says("a certificate was replaced and cannot be used").await?;
    gateway.on.write("tls/north.key", &key)?;
    wanted[1] = chain;
    comes_to_show(&gateway, &wanted).await?;

    wanted = [replace(&gateway.on, "acme")?, replace(&gateway.on, "north")?];
    gateway.hangs_up()?;
    gateway.counts("cardea_reloads_total{what=\"configuration\",outcome=\"taken\"} 2").await?;
    shows(&gateway, &wanted).await?;

    over.store(true, Ordering::Relaxed);
    let mut asked = Vec::new();
    while let Some(ended) = visitors.join_next().await {
        asked.push(ended??);
    }
    assert!(asked.len() == 12 && asked.iter().all(|count| *count > 20), "{asked:?}");
    let end = upstream.count();
    assert_eq!(u32::try_from(end)?, asked.iter().sum::<u32>(), "some request came twice, or never");
    Ok(())
}
