//! The demonstration's services: a records service for each tenant, which enrols through the agent like any other and
//! speaks mTLS only, and the stand-in provider.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::Context as _;
use cardea_certs::{SpiffeId, TrustDomain};
use cardea_core::{AppId, TenantId};
use cardea_demo::{
    provider,
    records::{self, Assertions, Identity},
    seed,
};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

use super::place::Place;
use crate::{
    House,
    agent::{Agent, Options},
    commands::Failure,
    house::Doer,
    running::Running,
    state::TenantState,
};

/// The listeners, bound before anything is served: a port that is gone is told at once.
pub(super) struct Bound {
    provider: TcpListener,
    records: Vec<(TenantId, TcpListener)>,
}

/// Services at work.
pub(super) struct Services {
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

/// The records service's name and app, at both tenants.
const RECORDS: &str = "records";
/// Ten minutes: the token is used within the second.
const TOKEN_LIFE: Duration = Duration::from_secs(600);

/// Binds the ports that the folder remembers.
pub(super) async fn bind(place: &Place) -> Result<Bound, Failure> {
    let bind = async |port: u16| {
        TcpListener::bind(("127.0.0.1", port)).await.with_context(|| {
            format!("port {port}, which this folder's demonstration used before, cannot be had: stop what listens there, or begin anew in another `--dir`")
        })
    };
    let tenant = |name: &str| TenantId::parse(name).map_err(anyhow::Error::from);
    Ok(Bound {
        provider: bind(place.ports.provider).await?,
        records: vec![
            (tenant("acme")?, bind(place.ports.acme).await?),
            (tenant("north")?, bind(place.ports.north).await?),
        ],
    })
}

/// Starts them all; returns once each has its certificate and serves.
pub(super) async fn start(running: &Running, place: &Place, bound: Bound) -> Result<Services, Failure> {
    let mut services = Services { stop: CancellationToken::new(), tasks: JoinSet::new() };
    let house = &running.house;
    for (id, listener) in bound.records {
        // A tenant that somebody removed since has no service.
        let Some(tenant) = house.tenant(&id) else { continue };
        records(&mut services, running, place, &tenant, listener).await?;
    }
    stand_in(&mut services, house, place, bound.provider)?;
    Ok(services)
}

async fn records(
    services: &mut Services,
    running: &Running,
    place: &Place,
    tenant: &TenantState,
    listener: TcpListener,
) -> Result<(), Failure> {
    let house = &running.house;
    let folder = place.dir.join("services").join(tenant.id().as_str());
    let certificates = folder.join("certificate");
    std::fs::create_dir_all(&certificates).with_context(|| format!("`{}` cannot be made", folder.display()))?;
    let agent = enrolled(running, tenant, &certificates).await?;
    let domain = TrustDomain::of_tenant(tenant.id(), &house.config.trust_domain).map_err(anyhow::Error::from)?;
    let options = records::Options {
        tenant: tenant.bundle.tenant.name.clone(),
        data: folder.join("records.json"),
        identity: Identity::from_folder(&certificates)?,
        gateway: SpiffeId::gateway(&domain),
        assertions: Arc::new(assertions(house, tenant)?),
        clock: Arc::clone(&house.clock),
    };
    let stop = services.stop.clone();
    services.tasks.spawn(async move {
        let fault = agent.keep().await;
        tracing::error!(%fault, "the agent of a records service ended");
    });
    services.tasks.spawn(async move {
        if let Err(error) = records::serve(listener, options, stop.cancelled_owned()).await {
            tracing::error!(error = %format!("{error:#}"), "a records service ended");
        }
    });
    Ok(())
}

/// An agent whose certificate is in place: the one of the last start, or a new one for a one-time token.
async fn enrolled(running: &Running, tenant: &TenantState, folder: &Path) -> Result<Arc<Agent>, Failure> {
    let house = &running.house;
    let machines = running.machines.context("the demonstration has no machines listener")?;
    let host = &tenant.bundle.tenant.sign_in_host;
    let server: url::Url = format!("https://{host}:{}", machines.port()).parse().map_err(anyhow::Error::from)?;
    let roots = house.ca.root(house).await.map_err(anyhow::Error::from)?.bundle().to_pem();
    let agent = |token: Option<cardea_core::Secret<String>>| {
        Agent::new(Options {
            server: server.clone(),
            roots: roots.clone(),
            token,
            dir: folder.to_owned(),
            exec: None,
            clock: Arc::clone(&house.clock),
            entropy: Arc::clone(&house.entropy),
        })
    };
    let first = agent(None);
    if first.obtain().await.is_ok() {
        return Ok(Arc::new(first));
    }
    let made = house.ca.make_enrolment(house, tenant.id(), RECORDS, TOKEN_LIFE, &Doer::operator()).await;
    let token = made.map_err(anyhow::Error::from)?.token;
    let agent = agent(Some(cardea_core::Secret::new(token.expose().to_owned())));
    agent.obtain().await.map_err(anyhow::Error::from)?;
    Ok(Arc::new(agent))
}

/// The service fetches the keys that it verifies with where every service does: on its own host.
fn assertions(house: &House, tenant: &TenantState) -> anyhow::Result<Assertions> {
    let app = AppId::parse(RECORDS)?;
    let host = tenant.bundle.apps.get(&app).and_then(|app| app.hosts.first());
    let host = host.with_context(|| format!("tenant `{}` has no app `{app}`", tenant.id()))?;
    let port = house.config.public_port;
    let fetch = records::fetch_over_http(
        ([127, 0, 0, 1], port).into(),
        format!("{host}:{port}"),
        "/.cardea/jwks.json".to_owned(),
    );
    let issuer = house.config.origin(&tenant.bundle.tenant.sign_in_host);
    Ok(Assertions::new(issuer, app.to_string(), fetch, Arc::clone(&house.clock)))
}

fn stand_in(services: &mut Services, house: &Arc<House>, place: &Place, listener: TcpListener) -> anyhow::Result<()> {
    let back = |tenant: &Arc<TenantState>| {
        let origin = house.config.origin(&tenant.bundle.tenant.sign_in_host);
        let providers = tenant.bundle.providers.keys();
        providers.map(|provider| format!("{origin}/sign-in/callback/{provider}")).collect::<Vec<_>>()
    };
    let options = provider::Options {
        issuer: place.issuer(),
        client_id: seed::CLIENT_ID.to_owned(),
        redirect_uris: house.state.load().tenants.values().flat_map(back).collect(),
        people: place.people.iter().filter(|person| person.at_provider).cloned().collect(),
        key: place.provider_key(&*house.entropy)?,
        clock: Arc::clone(&house.clock),
        entropy: Arc::clone(&house.entropy),
    };
    let stop = services.stop.clone();
    services.tasks.spawn(async move {
        if let Err(error) = provider::serve(listener, options, stop.cancelled_owned()).await {
            tracing::error!(error = %format!("{error:#}"), "the stand-in provider ended");
        }
    });
    Ok(())
}

impl Services {
    /// Stops them; a service that is still busy after a second is cut off.
    pub(super) async fn stop(mut self) {
        self.stop.cancel();
        self.tasks.shutdown().await;
    }
}
