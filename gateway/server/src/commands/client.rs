//! `cardea client`: the clients of a tenant, and the secrets of those that prove themselves by one.

use std::sync::Arc;

use cardea_audit::Event;
use cardea_core::{
    ClientId, TenantId,
    diagnostic::nearest,
    resources::{ClientAuthentication, ClientSpec},
};
use cardea_identity::Ticket;
use clap::Subcommand;

use super::{Context, Ended, Failure, Outcome, only_in, remark, say, say_json, serve::open_failure, to_the_end};
use crate::{House, house::Doer};

/// What is to be done with clients.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// List a tenant's clients, and how many secrets those have that prove themselves by one.
    List {
        /// The tenant; may be left out where there is only one.
        #[arg(long, value_parser = TenantId::parse)]
        tenant: Option<TenantId>,
    },
    /// Make a secret for a client with `authentication = "client_secret"`; prints it, and nobody can show it again. The one made before
    /// stays good until the next, so that the client can be told of the new one while it works.
    Secret {
        /// The tenant; may be left out where there is only one.
        #[arg(long, value_parser = TenantId::parse)]
        tenant: Option<TenantId>,
        /// The client, by its id.
        #[arg(value_parser = ClientId::parse)]
        client: ClientId,
        /// Let no other secret of it be good from now on: one has leaked.
        #[arg(long)]
        only: bool,
    },
}

/// Does it.
pub async fn run(arguments: Arguments, context: &Context) -> Ended {
    let config = context.config()?;
    let house = House::unprepared(config, Arc::clone(&context.clock), Arc::clone(&context.entropy));
    let house = house.await.map_err(open_failure)?;
    let ended = match arguments.act {
        Act::List { tenant } => list(&house, context, tenant).await,
        Act::Secret { tenant, client, only } => secret(&house, context, tenant, (&client, only)).await,
    };
    house.close().await;
    ended
}

async fn clients(house: &House, tenant: &TenantId) -> Result<Vec<ClientSpec>, Failure> {
    let bundle = house.store.bundle().await.map_err(anyhow::Error::from)?;
    let found = bundle.tenants.get(tenant).map(|tenant| tenant.clients.values().cloned().collect());
    found.ok_or_else(|| Failure::Misused(format!("there is no tenant `{tenant}`")))
}

async fn list(house: &House, context: &Context, tenant: Option<TenantId>) -> Ended {
    let tenant = only_in(&house.store, tenant).await?;
    let mut told = Vec::new();
    for client in clients(house, &tenant).await? {
        let (secrets, youngest) = house.store.client_secrets(&tenant, &client.id).await.map_err(anyhow::Error::from)?;
        told.push((client, secrets, youngest));
    }
    if context.is_json() {
        let items: Vec<_> = told
            .iter()
            .map(|(client, secrets, youngest)| {
                serde_json::json!({
                    "id": client.id, "name": client.name, "grants": client.grants,
                    "authentication": client.authentication, "secrets": secrets,
                    "youngest_secret": youngest.map(|at| at.to_string()),
                })
            })
            .collect();
        say_json(&serde_json::json!(items))?;
        return Ok(Outcome::Done);
    }
    for (client, secrets, _) in told {
        let grants: Vec<_> = client.grants.iter().map(|grant| serde_json::json!(grant)).collect();
        let grants: Vec<_> = grants.iter().filter_map(|grant| grant.as_str()).collect();
        let by_secret = client.authentication == ClientAuthentication::ClientSecret;
        let secrets = if by_secret { format!("  {secrets} secrets") } else { String::new() };
        say(format_args!("{}  {}  {}{secrets}", client.id, client.name, grants.join(", ")));
    }
    Ok(Outcome::Done)
}

async fn secret(
    house: &Arc<House>,
    context: &Context,
    tenant: Option<TenantId>,
    (id, only): (&ClientId, bool),
) -> Ended {
    let tenant = only_in(&house.store, tenant).await?;
    let all = clients(house, &tenant).await?;
    let Some(client) = all.iter().find(|client| client.id == *id) else {
        let near = nearest(id.as_str(), all.iter().map(|client| client.id.as_str()));
        let near = near.map(|near| format!(": did you mean `{near}`?")).unwrap_or_default();
        return Err(Failure::Misused(format!("tenant `{tenant}` has no client `{id}`{near}")));
    };
    if client.authentication != ClientAuthentication::ClientSecret {
        let why =
            format!("client `{id}` proves itself in another way: write `authentication = \"client_secret\"` for this");
        return Err(Failure::Misused(why));
    }
    to_the_end()?;
    let secret = Ticket::draw(&*house.entropy);
    let made = house.store.client_secret_insert(&tenant, id, &secret.hash(), only, house.now()).await;
    let ended = made.map_err(anyhow::Error::from)?;
    let event = Event::ClientSecretMade { client: id.clone(), ended };
    house.record(&tenant, &Doer::operator(), event).await.map_err(anyhow::Error::from)?;
    if context.is_json() {
        say_json(&serde_json::json!({ "client_id": id, "client_secret": secret.expose_text(), "ended": ended }))?;
    } else {
        say(secret.expose_text());
        let before = if ended > 0 { format!("; {ended} before it are good no more") } else { String::new() };
        remark(format_args!("for `{id}`{before}; it is not shown again"));
    }
    Ok(Outcome::Done)
}
