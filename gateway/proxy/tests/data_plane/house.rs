//! A gateway with a real listener, real policies and stand-ins for what the server lends to it.

use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use cardea_audit::{Entry, Event, PolicyRef};
use cardea_core::{
    Assurance, Clock as _, FactorId, GroupId, Language, Reason, TenantId, Timestamp, UserId,
    caller::UserFacts,
    entropy::Fixed,
    resources::{AppSpec, PolicyText, Rate, SessionRules},
};
use cardea_identity::{
    Handle, Session,
    assurance::{Means, Proof},
    session::Start,
};
use cardea_policy::{Engine, Sources, built_in};
use cardea_proxy::{
    App, Door, Drain, ForwardedBy, Limits, Listener, LiveSession, OpenedBy, OwnApp, OwnApps, Parts, Proxy, Rates,
    Security, Settings, Site, SiteRole, Snapshot, Tenant, Transport, Upstream,
};
use prometheus_client::registry::Registry;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    lent::{Lent, SharedClock},
    reply::Reply,
};

pub(crate) const APP_HOST: &str = "records.acme.test";
pub(crate) const SIGN_IN_HOST: &str = "id.acme.test";

pub(crate) const POLICIES: &str = r#"
@id("public") permit(principal, action in Action::"read", resource in App::"records") when { context.path like "/public*" };
@id("chemists") permit(principal in Group::"chemists", action, resource in App::"records") unless { context.path like "/secret*" };
@id("secret") permit(principal in Group::"chemists", action, resource in App::"records") when { context.path like "/secret*" && context.assurance >= 2 };
"#;

pub(crate) struct House {
    pub(crate) lent: Arc<Lent>,
    pub(crate) proxy: Arc<Proxy>,
    pub(crate) address: SocketAddr,
    pub(crate) drain: Drain,
    pub(crate) served: tokio::task::JoinHandle<()>,
    pub(crate) registry: Registry,
}

/// What is special about a house.
pub(crate) struct Plan {
    pub(crate) app: String,
    pub(crate) transport: Transport,
    pub(crate) security: Security,
    pub(crate) door: Door,
    pub(crate) limits: Limits,
    pub(crate) trusted: Vec<ipnet::IpNet>,
    pub(crate) forwarded: ForwardedBy,
    pub(crate) proxy_protocol: bool,
    /// With HTTP/3 beside it.
    #[cfg(feature = "http3")]
    pub(crate) http3: bool,
}

impl Plan {
    /// An ordinary app with its service at that address.
    pub(crate) fn at(service: &str) -> Self {
        Self {
            app: format!(
                "id = 'records'\nname = 'Records'\nhosts = ['{APP_HOST}']\n[upstream]\nurl = '{service}'\n\
                 connect_seconds = 2\nanswer_seconds = 2\n[headers]\nRemote-User = 'email'\nX-Groups = 'groups'\n"
            ),
            transport: Transport::Plain,
            security: Security::Plain,
            door: Door::Public,
            limits: Limits::default(),
            trusted: vec![],
            forwarded: ForwardedBy::default(),
            proxy_protocol: false,
            #[cfg(feature = "http3")]
            http3: false,
        }
    }

    /// The same with a line more at the top of the app's file.
    pub(crate) fn with(mut self, line: &str) -> Self {
        self.app = format!("{line}\n{}", self.app);
        self
    }

    /// The same with a table more at the end of the app's file.
    pub(crate) fn and(mut self, table: &str) -> Self {
        self.app = format!("{}{table}\n", self.app);
        self
    }

    /// The same with listed proxies in front.
    pub(crate) fn trusting(mut self, net: &str) -> Self {
        self.trusted.push(net.parse().unwrap());
        self
    }

    /// The same app, carried by another proxy, on this machine.
    pub(crate) fn carried(line: &str) -> Self {
        let upstream = "[upstream]\nurl = 'http://127.0.0.1:1'\nconnect_seconds = 2\nanswer_seconds = 2\n";
        let mut plan = Self::at("http://127.0.0.1:1");
        plan.app = plan.app.replace(upstream, &format!("[forward_auth]\n{line}\n"));
        plan.trusted = vec!["127.0.0.1/32".parse().unwrap()];
        plan
    }

    pub(crate) async fn open(self) -> House {
        let lent = Lent::new();
        let parts = Parts {
            sessions: lent.clone(),
            tokens: lent.clone(),
            assertions: lent.clone(),
            recorder: lent.clone(),
            own: lent.clone(),
            faces: lent.clone(),
            rates: Rates::new(&[7; 32]),
            clock: Arc::new(SharedClock(lent.clone())),
            entropy: Arc::new(Fixed::new(12)),
        };
        let spec: AppSpec = toml::from_str(&self.app).unwrap();
        let upstream = spec.upstream.as_ref().map(|wanted| Arc::new(Upstream::new(wanted, self.transport).unwrap()));
        let (limits, trusted_proxies, forwarded) = (self.limits, self.trusted, self.forwarded);
        let settings = Settings { limits, trusted_proxies, forwarded, ..Settings::default() };
        let snapshot = Snapshot { settings: settings.into(), ..snapshot(&spec, upstream, POLICIES) };
        let mut registry = Registry::default();
        let proxy = Proxy::new(parts, snapshot, &mut registry);
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), self.security, self.door).unwrap();
        let listener = if self.proxy_protocol { listener.behind_proxies() } else { listener };
        let (address, drain) = (listener.address(), Drain::new());
        #[cfg(feature = "http3")]
        let listener = if self.http3 { beside(listener, &proxy, &drain) } else { listener };
        let served = tokio::spawn(listener.serve(Arc::clone(&proxy), drain.clone(), Duration::from_secs(3)));
        House { lent, proxy, address, drain, served, registry }
    }
}

/// A listener with HTTP/3 beside it.
#[cfg(feature = "http3")]
fn beside(listener: Listener, proxy: &Arc<Proxy>, drain: &Drain) -> Listener {
    let (listener, http3) = listener.with_http3(None).unwrap();
    tokio::spawn(http3.unwrap().serve(Arc::clone(proxy), drain.clone(), Duration::from_secs(3)));
    listener
}

/// The routes and policies of one tenant with one app.
pub(crate) fn snapshot(spec: &AppSpec, upstream: Option<Arc<Upstream>>, policies: &str) -> Snapshot {
    rated(spec, upstream, policies, None)
}

/// The same of a tenant that has a rate.
pub(crate) fn rated(spec: &AppSpec, upstream: Option<Arc<Upstream>>, policies: &str, rate: Option<Rate>) -> Snapshot {
    let group = GroupId::parse("chemists").unwrap();
    let texts = [PolicyText { name: "records".to_owned(), text: policies.to_owned() }];
    let sources = Sources { apps: vec![spec], groups: vec![&group], policies: &texts, ..Sources::default() };
    let engine = Arc::new(Engine::compile(&sources).unwrap());
    let own = |which, id| Arc::new(App::ours(which, Arc::clone(engine.app(&id).unwrap())));
    let tenant = Arc::new(Tenant {
        id: TenantId::parse("acme").unwrap(),
        name: "Acme".to_owned(),
        accent: None,
        logo: None,
        language: Language::English,
        sign_in_host: SIGN_IN_HOST.into(),
        sign_in_origin: format!("http://{SIGN_IN_HOST}"),
        trust_domain: "acme.cardea.internal".to_owned(),
        rate,
        policy: PolicyRef { version: 1, hash: engine.hash().into() },
        own: OwnApps {
            sign_in: own(OwnApp::SignIn, built_in::sign_in()),
            portal: own(OwnApp::Portal, built_in::portal()),
            console: own(OwnApp::Console, built_in::console()),
            machines: own(OwnApp::Machines, built_in::machines()),
            decisions: own(OwnApp::Decisions, built_in::decisions()),
        },
        engine: Arc::clone(&engine),
    });
    let model = Arc::clone(engine.app(&spec.id).unwrap());
    let app = Arc::new(App::new(spec.clone(), model, upstream).unwrap());
    let site = |host: &str, role| (host.into(), Arc::new(Site { host: host.into(), tenant: tenant.clone(), role }));
    Snapshot {
        hosts: HashMap::from([site(APP_HOST, SiteRole::App(app)), site(SIGN_IN_HOST, SiteRole::SignIn)]),
        closed: HashSet::from(["closed.localhost".into()]),
        settings: Arc::default(),
    }
}

impl House {
    /// Somebody of `group` signs in on `host`; gives the cookie.
    pub(crate) fn sign_in(&self, host: &str, group: &str, assurance: Assurance) -> String {
        self.begin(host, group, assurance, None)
    }

    /// A chemist whose handle is due to be replaced.
    pub(crate) fn due(&self) -> String {
        self.begin(APP_HOST, "chemists", Assurance::One, Some(self.lent.clock.now()))
    }

    fn begin(&self, host: &str, group: &str, assurance: Assurance, rotate_at: Option<Timestamp>) -> String {
        let (now, entropy) = (self.lent.clock.now(), &self.lent.entropy);
        let user = UserId::mint(now, entropy);
        let rules = SessionRules::default();
        let start = Start {
            tenant: TenantId::parse("acme").unwrap(),
            user,
            proofs: vec![Proof { means: Means::Password { factor: FactorId::mint(now, entropy) }, at: now }],
            agent: "curl".to_owned(),
            client: None,
            rules: &rules,
            now,
        };
        let mut session = Session::begin(start, entropy).unwrap();
        session.assurance = assurance;
        let facts = UserFacts {
            id: user,
            email: "mira@acme.test".to_owned(),
            name: "Mira".to_owned(),
            groups: vec![GroupId::parse(group).unwrap()],
            attributes: cardea_core::Attributes::default(),
        };
        let handle = Handle::draw(entropy);
        let opened = OpenedBy { handle: handle.hash(), host: host.into(), rotate_at };
        let live = LiveSession::new(&session, opened, Arc::new(facts), Assurance::Two);
        self.lent.live.lock().unwrap().insert(handle.hash(), Arc::new(live));
        format!("cardea={}", handle.expose_text())
    }

    /// Changes what memory knows of every session.
    pub(crate) fn change_sessions(&self, change: impl Fn(&mut LiveSession)) {
        for session in self.lent.live.lock().unwrap().values_mut() {
            change(Arc::get_mut(session).expect("nobody else holds it"));
        }
    }

    /// Somebody who may read and write records.
    pub(crate) fn chemist(&self) -> String {
        self.sign_in(APP_HOST, "chemists", Assurance::One)
    }

    /// Sends bytes and reads until the gateway closes.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> Reply {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut out = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut out)).await;
        read.expect("the gateway never closed").unwrap();
        Reply(String::from_utf8_lossy(&out).into_owned())
    }

    /// One request on a connection of its own; `more` is further header lines, each with its CRLF.
    pub(crate) async fn ask(&self, line: &str, more: &str) -> Reply {
        self.raw(format!("{line} HTTP/1.1\r\nhost: {APP_HOST}\r\nconnection: close\r\n{more}\r\n").as_bytes()).await
    }

    /// As [`House::ask`], at the sign-in host.
    pub(crate) async fn ask_sign_in(&self, line: &str, more: &str) -> Reply {
        self.raw(format!("{line} HTTP/1.1\r\nhost: {SIGN_IN_HOST}\r\nconnection: close\r\n{more}\r\n").as_bytes()).await
    }

    /// The reasons of all entries so far, with their statuses.
    pub(crate) fn ends(&self) -> Vec<(u16, Option<Reason>)> {
        let of = |entry: &Entry| match &entry.event {
            Event::Request(request) => (request.status, request.reason),
            other => panic!("{other:?}"),
        };
        self.lent.entries.lock().unwrap().iter().map(of).collect()
    }

    /// What the metrics say of something, such as `cardea_floods_total{kind="resets"}`.
    pub(crate) fn figure(&self, name: &str) -> u64 {
        let text = self.metrics();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in\n{text}")).parse().unwrap()
    }

    /// Waits until there are `count` entries.
    pub(crate) async fn wait_for_entries(&self, count: usize) {
        let waiting = async {
            loop {
                let written = self.lent.written.notified();
                if self.lent.entries.lock().unwrap().len() >= count {
                    return;
                }
                written.await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), waiting).await.expect("no entry was written");
    }

    /// What the metrics say now.
    pub(crate) fn metrics(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        text
    }

    /// Moves the clock.
    pub(crate) fn pass(&self, seconds: i64) {
        self.lent.clock.0.fetch_add(seconds, Ordering::SeqCst);
    }
}
