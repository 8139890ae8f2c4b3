//! The keys of those who send security events in a provider's place, fetched when they are needed and kept for a while.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use cardea_core::{ProviderId, TenantId, Timestamp};
use cardea_identity::signals::Keys;

use crate::{House, outgoing::OutgoingClient, sign_in::document};

/// What is known of them.
#[derive(Default)]
pub(crate) struct Transmitters(Mutex<HashMap<(TenantId, ProviderId), Held>>);

#[derive(Clone)]
struct Held {
    from: String,
    keys: Option<Keys>,
    read_at: Timestamp,
    tried_at: Timestamp,
    /// Whether nothing came of that.
    failed: bool,
}

/// How long keys are kept. An hour, as those of providers.
const KEPT: Duration = Duration::from_secs(3600);
/// How long they are used when they cannot be fetched. A day, as those of providers.
const AT_MOST: Duration = Duration::from_secs(24 * 3600);
/// Least time between two fetches: strangers can make up tokens at will.
const COOL_DOWN: Duration = Duration::from_secs(30);

/// What is said between two tries.
const JUST_NOW: &str = "its keys could not be fetched a moment ago";

impl Transmitters {
    /// The keys at `url`: kept ones, else fetched; `anew`, where a token is signed with none of them. None where they were fetched
    /// just now.
    pub(crate) async fn keys(
        &self,
        house: &House,
        (tenant, provider): (&TenantId, &ProviderId),
        (url, client): (&str, &OutgoingClient),
        anew: bool,
    ) -> Result<Option<Keys>, String> {
        let (now, key) = (house.now(), (tenant.clone(), provider.clone()));
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        let held = held.filter(|held| held.from == url);
        if let Some(held) = &held {
            if !anew && held.keys.is_some() && now.since(held.read_at) < KEPT {
                return Ok(held.keys.clone());
            }
            if now.since(held.tried_at) < COOL_DOWN {
                // What fails for a while is a fault, which is tried again, and no word against whoever signed.
                return match &held.keys {
                    Some(_) if anew && held.failed => Err(JUST_NOW.to_owned()),
                    None => Err(JUST_NOW.to_owned()),
                    keys => Ok(keys.clone().filter(|_| !anew)),
                };
            }
        }
        let fetched = match document(client, url, None).await {
            Ok(read) => Keys::read(&read).map_err(|refused| refused.to_string()),
            Err(refused) => Err(refused.to_string()),
        };
        let before = held.and_then(|held| Some((held.keys?, held.read_at)));
        let before = before.filter(|(_, at)| now.since(*at) < AT_MOST);
        let (keys, read_at) = match &fetched {
            Ok(keys) => (Some(keys.clone()), now),
            Err(_) => before.clone().map_or((None, now), |(keys, at)| (Some(keys), at)),
        };
        let next = Held { from: url.to_owned(), keys, read_at, tried_at: now, failed: fetched.is_err() };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key, next);
        match (fetched, before) {
            (Ok(keys), _) => Ok(Some(keys)),
            (Err(why), Some((keys, _))) if !anew => {
                tracing::warn!(tenant = %tenant, provider = %provider, error = why, "a transmitter's kept keys are used");
                Ok(Some(keys))
            }
            (Err(why), _) => Err(why),
        }
    }
}
