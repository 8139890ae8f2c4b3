//! `cardea cert`: enrolment tokens, certificates, the root.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use cardea_core::TenantId;
use cardea_storage::Store;
use clap::Subcommand;

use super::{Context, Ended, Failure, Outcome, only_in, remark, say, say_json, serve::open_failure, span, to_the_end};
use crate::{House, ca::CaFault, house::Doer};

/// What is to be done with certificates.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// List a tenant's certificates that have not ended, youngest first.
    List {
        /// The tenant; may be left out where there is only one.
        #[arg(long, value_parser = TenantId::parse)]
        tenant: Option<TenantId>,
        /// Only this service's.
        #[arg(long)]
        service: Option<String>,
    },
    #[command(flatten)]
    Make(Make),
}

/// What may make something that was not there.
#[derive(Debug, Subcommand)]
enum Make {
    /// Make a token with which one service enrols once; prints it, and nobody can show it again.
    Token {
        /// The tenant; may be left out where there is only one.
        #[arg(long, value_parser = TenantId::parse)]
        tenant: Option<TenantId>,
        /// The service's name, as in `spiffe://<tenant>.<trust domain>/service/<name>`.
        #[arg(long)]
        service: String,
        /// How long the token may be used: `30m`, `1h`, `2d`.
        #[arg(long, default_value = "1h", value_parser = life)]
        ttl: Duration,
    },
    /// Print the operator's root in PEM: what an agent trusts at first.
    Root,
}

/// Does it.
pub async fn run(arguments: Arguments, context: &Context) -> Ended {
    let config = context.config()?;
    match arguments.act {
        Act::List { tenant, service } => {
            let store = config.kept().open_to_read(None).await.map_err(anyhow::Error::from)?;
            let tenant = only_in(&store, tenant).await?;
            list(&store, context, &tenant, service.as_deref()).await
        }
        Act::Make(what) => {
            let house = House::unprepared(config, Arc::clone(&context.clock), Arc::clone(&context.entropy));
            let house = house.await.map_err(open_failure)?;
            let ended = make(&house, context, what).await;
            house.close().await;
            ended
        }
    }
}

async fn make(house: &Arc<House>, context: &Context, what: Make) -> Ended {
    match what {
        Make::Token { tenant, service, ttl } => {
            let tenant = only_in(&house.store, tenant).await?;
            token(house, context, &tenant, &service, ttl).await
        }
        Make::Root => {
            let root = house.ca.root(house).await.map_err(anyhow::Error::from)?;
            say(root.to_pem().trim_end());
            Ok(Outcome::Done)
        }
    }
}

async fn token(house: &Arc<House>, context: &Context, tenant: &TenantId, service: &str, ttl: Duration) -> Ended {
    to_the_end()?;
    let made = match house.ca.make_enrolment(house, tenant, service, ttl, &Doer::operator()).await {
        Ok(made) => made,
        Err(fault @ (CaFault::NoTenant(_) | CaFault::Name(_))) => return Err(Failure::Misused(fault.to_string())),
        Err(fault) => return Err(anyhow::Error::from(fault).into()),
    };
    if context.is_json() {
        say_json(&serde_json::json!({
            "token": made.token.expose(), "spiffe_id": made.spiffe_id, "expires": made.expires.to_string(),
        }))?;
    } else {
        say(made.token.expose());
        remark(format_args!("for {}, once, until {}; it is not shown again", made.spiffe_id, made.expires));
    }
    Ok(Outcome::Done)
}

async fn list(store: &Store, context: &Context, tenant: &TenantId, service: Option<&str>) -> Ended {
    if store.tenant(tenant).await.map_err(anyhow::Error::from)?.is_none() {
        return Err(Failure::Misused(CaFault::NoTenant(tenant.clone()).to_string()));
    }
    let now = context.clock.now();
    let found = store.certificates(tenant, service, now).await.context("the certificates cannot be listed")?;
    if context.is_json() {
        let items: Vec<_> = found
            .iter()
            .map(|one| {
                serde_json::json!({
                    "serial": one.serial, "spiffe_id": one.spiffe_id, "service": one.service,
                    "issued_at": one.issued_at.to_string(), "not_after": one.not_after.to_string(), "renews": one.renews,
                })
            })
            .collect();
        say_json(&serde_json::json!({ "items": items }))?;
        return Ok(Outcome::Done);
    }
    if found.is_empty() {
        remark(format_args!("tenant `{tenant}` has no certificate that is valid now"));
    }
    for one in found {
        say(format_args!("{}  until {}  {}", one.serial, one.not_after, one.spiffe_id));
    }
    Ok(Outcome::Done)
}

/// Longest life of a token: a week, beyond which nobody remembers who has it.
const LONGEST: Duration = Duration::from_secs(7 * 86_400);

/// How long a token may be used.
fn life(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a span: write `30m`, `1h` or `2d`, at most a week");
    span::parse(text).filter(|span| *span <= LONGEST).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_has_a_number_and_a_unit() {
        assert_eq!(life("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(life("7d"), Ok(LONGEST));
        for bad in ["", "h", "1", "0h", "8d", "1w", "-1h", "1é", "99999999999999999999d"] {
            assert!(life(bad).is_err(), "{bad:?}");
        }
    }
}
