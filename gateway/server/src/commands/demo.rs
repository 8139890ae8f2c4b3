//! `cardea demo`: everything at work in one process: a gateway, two tenants, a records service for each behind mTLS, and
//! a stand-in OpenID provider. Needs nothing but the binary and a folder.

mod place;
mod seeding;
mod services;
mod told;

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use cardea_demo::seed::{self, Places};

use super::{
    Context, Ended, Failure, Outcome, remark,
    serve::{open_failure, start_failure},
};
use crate::{House, config::Config, logging, running::Running};
use place::Place;

/// Show it all at work: a gateway, two tenants, a records service for each, a stand-in OpenID provider and people to sign
/// in as. Prints what to open and what to try. Everything is made in one folder; a second start finds it as it was, and
/// deleting the folder begins anew.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The folder that everything is made in.
    #[arg(long, value_name = "DIR", default_value = "cardea-demo")]
    dir: PathBuf,
    /// The port of the gateway, shared by all its `*.localhost` hosts; 8080 on first start, then the one used before.
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
}

/// Runs the command.
pub async fn run(arguments: Arguments, context: &Context) -> Ended {
    let place = Place::open(&arguments.dir, arguments.port, &*context.entropy)?;
    let config_file = place.write_config()?;
    let config = Config::read(&config_file, context.clock.now())?;
    logging::start(&config.log);
    let bound = services::bind(&place).await?;
    let places = Places {
        port: place.ports.gateway,
        issuer: place.issuer(),
        acme_records: SocketAddr::from(([127, 0, 0, 1], place.ports.acme)).to_string(),
        north_records: SocketAddr::from(([127, 0, 0, 1], place.ports.north)).to_string(),
        trust_domain: config.trust_domain.clone(),
    };
    let house = House::unprepared(config, Arc::clone(&context.clock), Arc::clone(&context.entropy))
        .await
        .map_err(open_failure)?;
    if !place.is_seeded() {
        if !context.is_json() {
            remark("making keys, tenants and people, this first time");
        }
        seeding::seed(&house, &place, &places).await?;
        place.seeded()?;
    }
    house.load_state().await.map_err(open_failure)?;
    let running = Running::start(Arc::clone(&house)).await.map_err(start_failure)?;
    let services = services::start(&running, &place, bound).await?;
    told::ready(context, &place, &running, &seed::attempts(&places))?;
    stopped().await?;
    services.stop().await;
    running.finish().await;
    Ok(Outcome::Done)
}

async fn stopped() -> Result<(), Failure> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).map_err(anyhow::Error::from)?;
    tokio::select! {
        _ = terminate.recv() => {}
        interrupted = tokio::signal::ctrl_c() => interrupted.map_err(anyhow::Error::from)?,
    }
    Ok(())
}
