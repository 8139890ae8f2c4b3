//! Gateways of one house count rates together: a few times a second each says what it admitted, and hears what all have.

use std::{sync::Arc, time::Duration};

use cardea_core::Timestamp;
use cardea_proxy::{
    Rates,
    rates::{self, Level, Use},
};
use cardea_storage::{RateLevel, RateUse, SharedState};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

use crate::{House, config::Kept};

/// A fifth of a second: so much of a rate may be used twice before one gateway knows of the other.
const ROUND: Duration = Duration::from_millis(200);

/// A second: a store that has not answered by then is away, and each gateway keeps to its share.
const PATIENCE: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

/// How often gateways heard of each other, and how often they did not.
#[derive(Debug, Clone)]
pub(crate) struct Rounds(Family<Outcome, Counter>);

impl Default for Rounds {
    fn default() -> Self {
        let rounds = Self(Family::default());
        // Both from the start: an alert on an increase needs the zero before it.
        for outcome in ["heard", "unheard"] {
            rounds.0.get_or_create_owned(&Outcome { outcome });
        }
        rounds
    }
}

impl Rounds {
    fn count(&self, heard: bool) {
        let outcome = if heard { "heard" } else { "unheard" };
        self.0.get_or_create(&Outcome { outcome }).inc();
    }

    pub(crate) fn register(&self, registry: &mut Registry) {
        let help = "Rounds in which gateways told each other what was used of rates, by whether the store took part";
        registry.register("cardea_rate_rounds", help, self.0.clone());
    }
}

/// Tells and hears until the process ends, where there may be other gateways; one that keeps all in its own file is alone.
pub(crate) async fn share(house: Arc<House>) {
    if house.config.redis.is_none() && matches!(house.config.kept(), Kept::File(_)) {
        return;
    }
    let mut away = false;
    loop {
        tokio::time::sleep(ROUND).await;
        match round(&house.rates, &*house.shared, house.now()).await {
            Heard::Nothing => {}
            Heard::All => {
                house.rate_rounds.count(true);
                if std::mem::take(&mut away) {
                    tracing::info!("rates are counted together again");
                }
            }
            Heard::Nobody(why) => {
                house.rate_rounds.count(false);
                if !std::mem::replace(&mut away, true) {
                    tracing::warn!(why, "rates are not counted together now: each gateway keeps to its share");
                }
            }
        }
    }
}

/// What came of a round.
#[derive(Debug, PartialEq, Eq)]
enum Heard {
    /// There was nothing to say.
    Nothing,
    /// What all have used.
    All,
    /// The store is away, for this reason.
    Nobody(String),
}

/// Says what was admitted here, and takes over what all have.
async fn round(rates: &Rates, shared: &dyn SharedState, now: Timestamp) -> Heard {
    let said = rates.unsaid(now);
    if said.is_empty() {
        return Heard::Nothing;
    }
    let uses: Vec<_> = said.iter().map(as_kept).collect();
    let why = match tokio::time::timeout(PATIENCE, shared.rates_used(&uses, now)).await {
        Ok(Ok(levels)) => {
            let all: Vec<_> = levels.into_iter().map(as_counted).collect();
            rates.hear(&said, &all, now);
            return Heard::All;
        }
        Ok(Err(fault)) => fault.with_causes(),
        Err(_) => "it did not answer within a second".to_owned(),
    };
    rates.unheard(&said);
    Heard::Nobody(why)
}

fn as_kept(said: &Use) -> RateUse {
    let Use { tenant, name, rate, used, .. } = said;
    RateUse { tenant: tenant.clone(), name: *name, requests: rate.requests, seconds: rate.seconds, used: *used }
}

fn as_counted(kept: RateLevel) -> rates::Heard {
    rates::Heard { level: Level { used: kept.used, at: kept.at.as_micros() }, ever: kept.ever }
}
