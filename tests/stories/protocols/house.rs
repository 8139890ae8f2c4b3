//! One gateway for almost the whole matrix: over TLS, in front of services of every kind, with people of every right.
//! Beside it stands one that speaks without TLS, for what can only be spoken so.

use anyhow::ensure;
use cardea_tests::{
    Client, Gateway, Person, Plan, Process, Relay, Upstream, free_port,
    grpc::{self, Tonic},
    process::{Folder, python, service_file},
    raw::PATIENCE,
};
use tokio::sync::Mutex;
use url::Url;

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Allowed,
    Denied,
    SignedOut,
    StepUp,
    Unreachable,
    Broken,
}

impl Outcome {
    pub(super) const ALL: [Self; 6] =
        [Self::Allowed, Self::Denied, Self::SignedOut, Self::StepUp, Self::Unreachable, Self::Broken];
}

/// Who answers behind the gateway. Each is an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    /// The harness's own, HTTP/1.1.
    Echo,
    /// gRPC by tonic.
    Tonic,
    /// gRPC by grpcio.
    Grpcio,
    /// WebSockets by Python's `websockets`.
    Socket,
}

impl Service {
    fn app(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Tonic => "tonic",
            Self::Grpcio => "grpcio",
            Self::Socket => "socket",
        }
    }
}

/// One exchange to be tried.
pub(super) struct Cell<'a> {
    pub(super) house: &'a House,
    pub(super) door: &'a Door,
    pub(super) outcome: Outcome,
}

impl Cell<'_> {
    fn app(&self, service: Service) -> String {
        match self.outcome {
            Outcome::Unreachable => "dead".to_owned(),
            // The harness's own service dies when its path says so.
            Outcome::Broken if service != Service::Echo => format!("{}-dying", service.app()),
            _ => service.app().to_owned(),
        }
    }

    /// Where the request goes.
    pub(super) fn url(&self, service: Service, path: &str) -> anyhow::Result<Url> {
        let before = if self.outcome == Outcome::StepUp { "/secret" } else { "" };
        self.door.gateway.at(&format!("{}.acme", self.app(service)), &format!("{before}{path}"))
    }

    /// The cookies that come with it.
    pub(super) fn cookie(&self, service: Service) -> String {
        let host = format!("{}.acme.localhost", self.app(service));
        let jar = match self.outcome {
            Outcome::SignedOut => return String::new(),
            Outcome::Denied => &self.door.outsider,
            _ => &self.door.reader,
        };
        jar.jar(&host).unwrap_or_default()
    }

    /// A word, or the last one for a service that dies of it.
    pub(super) fn word(&self, word: &'static str) -> &'static str {
        if self.outcome == Outcome::Broken { cardea_tests::relay::LAST_WORDS } else { word }
    }
}

/// A gateway and its people.
pub(super) struct Door {
    pub(super) gateway: Gateway,
    reader: Client,
    person: Person,
    outsider: Client,
}

/// The gateways and their services.
pub(super) struct House {
    pub(super) secured: Door,
    pub(super) plain: Door,
    pub(super) echo: Upstream,
    pub(super) tonic: Tonic,
    pub(super) grpc: Mutex<grpc::Client>,
    _processes: [Process; 2],
    _relays: [Relay; 3],
}

const ALIVE: [&str; 3] = ["tonic", "grpcio", "socket"];
const DYING: [&str; 3] = ["tonic-dying", "grpcio-dying", "socket-dying"];

impl House {
    pub(super) async fn open() -> anyhow::Result<Self> {
        let (echo, tonic) = (Upstream::start().await?, Tonic::start().await?);
        let folder = Folder::new("services")?;
        let (grpcio, grpcio_port) = grpc::grpcio(&folder.path().join("grpcio.log")).await?;
        let mut command = python("python");
        command.arg(service_file("websocket.py"));
        let mut socket = Process::start(command, &folder.path().join("websocket.log"))?;
        let socket_port = socket.line(|line| line.parse().ok()).await?;
        let ports = [tonic.port, grpcio_port, socket_port];
        let relays = [Relay::to(ports[0]).await?, Relay::to(ports[1]).await?, Relay::to(ports[2]).await?];

        let plan = Plan::before(echo.port).app("dead", free_port()?, "");
        let mut secured = Plan::before(echo.port).tls().app("dead", free_port()?, "");
        let dying = relays.each_ref().map(|relay| relay.port);
        for (id, port) in ALIVE.iter().zip(ports).chain(DYING.iter().zip(dying)) {
            secured = secured.app(id, port, "");
            if !id.starts_with("socket") {
                secured = secured.reached(id, "protocol = \"http2\"");
            }
        }
        let both = ["echo", "dead"];
        let all = [&both[..], &ALIVE, &DYING].concat();
        let (secured, plain) = tokio::try_join!(Door::open(secured, &all), Door::open(plan, &both))?;
        let grpc = Mutex::new(grpc::Client::start(&secured.gateway.on.path("tls/roots.pem"))?);
        let processes = [grpcio, socket];
        Ok(Self { secured, plain, echo, tonic, grpc, _processes: processes, _relays: relays })
    }

    /// A cell of the gateway that speaks TLS.
    pub(super) fn cell(&self, outcome: Outcome) -> Cell<'_> {
        Cell { house: self, door: &self.secured, outcome }
    }
}

impl Door {
    /// Somebody is signed in who may do everything but what wants two factors, and somebody who may do nothing.
    async fn open(plan: Plan, apps: &[&str]) -> anyhow::Result<Self> {
        let gateway = plan.start().await?;
        let (_, person) = gateway.person_with_codes("mira@acme.example", &["readers"]).await?;
        let ben = gateway.person("ben@acme.example", &[]).await?;
        let reader = signed_in(&gateway, &person, apps).await?;
        let outsider = signed_in(&gateway, &ben, apps).await?;
        Ok(Self { gateway, reader, person, outsider })
    }

    /// Takes away what allowed the reader everything.
    pub(super) async fn suspend_reader(&self) -> anyhow::Result<()> {
        self.gateway.on.does(&["user", "--tenant", "acme", "suspend", &self.person.email]).await?;
        Ok(())
    }

    /// The entries of Acme's log, once all that was asked so far is in it.
    pub(super) async fn log(&self) -> anyhow::Result<Vec<serde_json::Value>> {
        // Entries come in the order in which requests ended: when this one's is there, so are those before it.
        let last = Client::program().get(&self.gateway.at("echo.acme", "/public/last")?).await?;
        let id = last.header("x-request-id").unwrap_or_default().to_owned();
        let written = async {
            loop {
                let log = self.gateway.on.log("acme").await?;
                if log.iter().any(|entry| entry["id"] == id.as_str()) {
                    return anyhow::Ok(log);
                }
            }
        };
        tokio::time::timeout(PATIENCE, written).await?
    }
}

/// A browser in which somebody is signed in at all of these.
async fn signed_in(gateway: &Gateway, person: &Person, apps: &[&str]) -> anyhow::Result<Client> {
    let mut client = Client::browser();
    for host in apps {
        let page = client.open(&gateway.at(&format!("{host}.acme"), "/x")?).await?;
        person.answer(&mut client, page).await?;
        let jar = client.jar(&format!("{host}.acme.localhost")).unwrap_or_default();
        ensure!(jar.contains("cardea="), "not signed in at {host}: {jar}");
    }
    Ok(client)
}
