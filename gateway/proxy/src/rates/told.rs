//! What an answer tells of the rate that is nearest its end (draft-ietf-httpapi-ratelimit-headers): the quota and what is left of
//! it, and when it is whole again.

use std::time::Duration;

use cardea_core::resources::Rate;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{Level, Of};

static LIMIT: HeaderName = HeaderName::from_static("ratelimit");
static POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// How a request stands under one rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    name: &'static str,
    rate: Rate,
    left: u32,
    whole_in: Duration,
    /// How long until it may come; none where it may.
    pub(crate) wait: Option<Duration>,
}

impl Standing {
    pub(super) fn new(of: Of<'_>, rate: Rate, (level, left, refused): (Level, u32, Option<Duration>)) -> Self {
        Self { name: of.name(), rate, left, whole_in: level.all_back_in(rate), wait: refused }
    }

    /// As `[rates]` names it.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// The one of two of which less is left; the one that refuses, if one does.
    pub(crate) fn nearer(self, other: Option<Self>) -> Self {
        let key = |one: &Self| (one.wait.is_none(), one.left);
        other.filter(|other| key(other) < key(&self)).unwrap_or(self)
    }

    /// Tells it in the place of whatever is told of a rate there.
    pub(crate) fn tell(&self, headers: &mut HeaderMap) {
        let Self { name, rate: Rate { requests, seconds, .. }, left, .. } = self;
        let reset = in_seconds(self.whole_in);
        for (name, told) in [
            (&POLICY, format!("\"{name}\";q={requests};w={seconds}")),
            (&LIMIT, format!("\"{name}\";r={left};t={reset}")),
        ] {
            headers.remove(name);
            if let Ok(told) = HeaderValue::try_from(told) {
                headers.insert(name, told);
            }
        }
    }
}

/// Whole seconds, upwards: whoever waits for so long has waited long enough.
fn in_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

/// When it is worth trying again.
pub(crate) fn worth_trying_in(wait: Duration) -> Duration {
    Duration::from_secs(in_seconds(wait).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_nearest_its_end_is_told_in_the_place_of_anothers() {
        let rate = Rate { requests: 600, seconds: 60, burst: None };
        let standing = |name, left, wait| Standing { name, rate, left, whole_in: Duration::from_millis(19_001), wait };
        let (much, less) = (standing("address", 100, None), standing("caller", 12, None));
        let refused = standing("app", 0, Some(Duration::from_millis(1)));
        assert_eq!((much.nearer(Some(less)), less.nearer(Some(much)), less.nearer(None)), (less, less, less));
        assert_eq!((refused.nearer(Some(standing("caller", 0, None))), less.nearer(Some(refused))), (refused, refused));
        let mut headers = HeaderMap::new();
        for told in ["\"a\";r=1", "\"b\";r=2"] {
            headers.append("ratelimit", told.parse().unwrap());
            headers.append("ratelimit-policy", told.parse().unwrap());
        }
        less.tell(&mut headers);
        let told: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        assert_eq!(told, [("ratelimit-policy", "\"caller\";q=600;w=60"), ("ratelimit", "\"caller\";r=12;t=20")]);
        assert_eq!(worth_trying_in(Duration::from_millis(1)), Duration::from_secs(1));
        assert_eq!(worth_trying_in(Duration::from_millis(2_001)), Duration::from_secs(3));
    }
}
