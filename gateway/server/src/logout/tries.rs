//! How often an app is told, and when no more. Pure: what has passed is given.

use std::time::Duration;

use cardea_core::Reason;

/// How long an answer is waited for. Five seconds: ending a session is one write, and whoever is slower than this has other troubles.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// How long after the end of a session its app may be told. A minute: later than that no person would call it an answer to what they did.
const LATEST: Duration = Duration::from_secs(60);

/// How long is waited before the second try, and before the third: a service that is restarted is there by then.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];

/// What is said of an app that answers 400.
pub(super) const REFUSES: &str = "it refuses the token (400)";

/// What came of one try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// It answered.
    Status(u16),
    /// It did not.
    Fault(Reason),
    /// It was not asked, and will not be.
    Not(String),
}

/// What follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Next {
    /// It knows.
    Done,
    /// It understood, and refused.
    Refused,
    /// Another try, after a pause.
    Again(Duration),
    /// Nothing any more.
    GivenUp(String),
}

/// Whether a try may begin, so long after the end of the session.
pub(super) fn begin(waited: Duration) -> Result<(), &'static str> {
    if waited <= LATEST { Ok(()) } else { Err("its turn did not come within a minute") }
}

/// What follows the `nth` try, counted from one, that ended so long after the session did. OpenID Connect Back-Channel Logout 1.0
/// section 2.8: 200 says that it was done (204 is taken for it), 400 that it will not be; whatever else there is may pass.
pub(super) fn after(nth: usize, waited: Duration, answer: Answer) -> Next {
    let why = match answer {
        Answer::Status(200 | 204) => return Next::Done,
        Answer::Status(400) => return Next::Refused,
        Answer::Not(why) => return Next::GivenUp(why),
        Answer::Status(status) => format!("it answers {status}"),
        Answer::Fault(reason) => reason.code().to_owned(),
    };
    match nth.checked_sub(1).and_then(|nth| PAUSES.get(nth)) {
        Some(pause) if waited + *pause <= LATEST => Next::Again(*pause),
        _ => Next::GivenUp(format!("{why}, at try {nth}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn an_app_is_told_three_times_at_most_and_within_a_minute() {
        let fails = || Answer::Status(500);
        let given_up = |why: &str| Next::GivenUp(why.to_owned());
        for (nth, waited, answer, next) in [
            (1, 0, Answer::Status(200), Next::Done),
            (3, 59, Answer::Status(204), Next::Done),
            (1, 0, Answer::Status(400), Next::Refused),
            (1, 0, fails(), Next::Again(seconds(1))),
            (2, 1, fails(), Next::Again(seconds(5))),
            (3, 6, fails(), given_up("it answers 500, at try 3")),
            (1, 0, Answer::Status(302), Next::Again(seconds(1))),
            (3, 6, Answer::Status(302), given_up("it answers 302, at try 3")),
            (1, 5, Answer::Fault(Reason::UpstreamTimeout), Next::Again(seconds(1))),
            (3, 21, Answer::Fault(Reason::UpstreamTimeout), given_up("upstream-timeout, at try 3")),
            (1, 59, fails(), Next::Again(seconds(1))),
            (2, 56, fails(), given_up("it answers 500, at try 2")),
            (1, 0, Answer::Not("the app is gone".to_owned()), given_up("the app is gone")),
        ] {
            assert_eq!(after(nth, seconds(waited), answer.clone()), next, "{nth} after {waited} s: {answer:?}");
        }
        assert!(begin(seconds(60)).is_ok() && begin(seconds(61)).is_err());
    }
}
