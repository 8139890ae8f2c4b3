//! The password, as a first factor or as a fresh proof.

use std::{
    io,
    num::NonZero,
    sync::{LazyLock, atomic::AtomicU64},
    thread,
    time::Duration,
};

use axum::{Form, response::Response};
use cardea_audit::Event;
use cardea_core::{Reason, Secret};
use cardea_identity::{
    Email, Factor, FactorData,
    assurance::Means,
    factors::password,
    guard::Target,
    sign_in::{Aim, Awaits, Flow},
};
use prometheus_client::metrics::counter::Counter;
use serde::Deserialize;
use tokio::sync::{Semaphore, SemaphorePermit, oneshot};

use super::{
    complete::Enrolled,
    flow::query_to,
    step_up,
    visit::{No, Visit, carried, see_other},
};
use crate::pages::{Page as _, Password, Problem};

/// `POST /sign-in/password`.
#[derive(Deserialize)]
pub(super) struct Proof {
    password: Secret<String>,
}

/// Hashing takes 19 MiB and a core each: more at once would only make all of them late. Four at most, for the memory.
static HASHING: LazyLock<Semaphore> =
    LazyLock::new(|| Semaphore::new(thread::available_parallelism().map_or(1, NonZero::get).min(4)));
/// Seconds of processor time that it took.
static HASHED: LazyLock<Counter<f64, AtomicU64>> = LazyLock::new(Counter::default);
/// How far what is hashed stands back behind requests, of 19: it has a tenth of a core's time where they want all of it.
#[cfg(target_os = "linux")]
const STANDS_BACK: i32 = 10;
/// Longest wait for a turn. Five seconds: who waits longer has given up.
const TURN: Duration = Duration::from_secs(5);

/// `GET /sign-in/password`.
pub(super) async fn show(visit: Visit) -> Response {
    match visit.peek_flow().await {
        Ok(flow) => match flow.awaits() {
            Awaits::Password(email) => page(&visit, &flow, email, None),
            _ => see_other("/sign-in"),
        },
        Err(No::Refused(_)) => see_other("/sign-in"),
        Err(no) => visit.answer(Err(no)),
    }
}

/// `POST /sign-in/password`.
pub(super) async fn prove(visit: Visit, Form(form): Form<Proof>) -> Response {
    visit.answer(proved(&visit, form.password).await)
}

async fn proved(visit: &Visit, password: Secret<String>) -> Result<Response, No> {
    let doer = visit.doer()?;
    let flow = visit.take_flow().await?;
    let email = match flow.awaits() {
        Awaits::Password(email) => email.clone(),
        Awaits::Factor(_, email) if matches!(flow.aim(), Aim::StepUp { .. }) => email.clone(),
        _ => return Err(Reason::SignInExpired.into()),
    };
    if let Some(wait) = visit.limited(Target::Password, &email).await? {
        return again(visit, flow, &email, Problem::TooMany(wait)).await;
    }
    let enrolled = visit.enrolled_by_email(&email).await?;
    let factor = enrolled.as_ref().and_then(|one| kept(&one.factors));
    let phc = factor.map(|(_, phc)| phc.to_owned());
    let right = verify(phc, password).await?;
    let (Some(enrolled), Some((factor, _)), true) = (&enrolled, factor, right) else {
        visit.note_refused(&email, enrolled.as_ref(), "password", "wrong password, or nobody has it");
        return again(visit, flow, &email, Problem::WrongPassword).await;
    };
    let means = Means::Password { factor: factor.id };
    // INVARIANT: where a right password opens nothing, it looks like a wrong one: to whoever guesses it would be one to try elsewhere.
    // Whoever is signed in already has shown who they are.
    if matches!(flow.aim(), Aim::SignIn)
        && let Err(reason) = flow.clone().proven(visit.known(enrolled), means.clone(), visit.now)
    {
        visit.note_refused_for(&email, Some(enrolled), "password", (reason, "the right password, which opens nothing"));
        return again(visit, flow, &email, Problem::WrongPassword).await;
    }
    visit.proven(flow, enrolled, means, doer).await?.respond(visit).await
}

fn kept(factors: &[Factor]) -> Option<(&Factor, &str)> {
    factors.iter().find_map(|factor| match &factor.data {
        FactorData::Password { phc } => Some((factor, phc.as_str())),
        _ => None,
    })
}

/// Checks a password off the workers that answer requests; the same work whether or not there is one.
async fn verify(phc: Option<String>, password: Secret<String>) -> Result<bool, No> {
    hashing(move || password::verify(phc.as_deref(), &password)).await
}

/// Does slow password work, in turn.
pub(super) async fn hashing<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, password::HashFault> + Send + 'static,
) -> Result<T, No> {
    let fault = |cause: String| No::Faulted(Reason::Internal, cause);
    let turn = tokio::time::timeout(TURN, HASHING.acquire()).await;
    let Ok(Ok(turn)) = turn else { return Err(Reason::Overloaded.into()) };
    let hears = standing_back(turn, work).map_err(|error| fault(error.to_string()))?;
    let done = hears.await.map_err(|_| fault("the hashing thread ended without an answer".into()))?;
    done.map_err(|error| fault(error.to_string()))
}

/// Does `work` on a thread of its own, since it stands back for good: some 50 µs beside the hash's tens of milliseconds.
/// INVARIANT: the turn is the thread's until the work is done, whoever has stopped waiting for it: else whoever asks and goes
/// away again could have as many hashed at once as they like.
fn standing_back<T: Send + 'static>(
    turn: SemaphorePermit<'static>,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<oneshot::Receiver<T>> {
    let (says, hears) = oneshot::channel();
    thread::Builder::new().name("hashing".into()).spawn(move || {
        // Linux counts it for the thread alone. Where it cannot be had, requests only wait longer.
        #[cfg(target_os = "linux")]
        let _ = rustix::process::nice(STANDS_BACK);
        let done = work();
        HASHED.inc_by(taken_by_this_thread());
        drop(turn);
        // Whoever waited may have gone.
        let _ = says.send(done);
    })?;
    Ok(hears)
}

/// Seconds of processor time that passwords took so far.
pub(crate) fn hashed() -> Counter<f64, AtomicU64> {
    HASHED.clone()
}

fn taken_by_this_thread() -> f64 {
    let taken = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    #[allow(clippy::cast_precision_loss, reason = "a hash does not take so many seconds")]
    let seconds = taken.tv_sec as f64 + taken.tv_nsec as f64 / 1e9;
    seconds
}

async fn again(visit: &Visit, flow: Flow, email: &Email, problem: Problem) -> Result<Response, No> {
    let response = if matches!(flow.aim(), Aim::StepUp { .. }) {
        step_up::page(visit, &flow, Some(problem)).await?
    } else {
        page(visit, &flow, email, Some(problem))
    };
    visit.stays(&flow, response, problem).await
}

fn page(visit: &Visit, flow: &Flow, email: &Email, problem: Option<Problem>) -> Response {
    let onward = carried(flow.destination());
    let fields = onward.each_ref().map(|(name, value)| (*name, value.as_str()));
    Password {
        look: &visit.look,
        email: email.as_str(),
        problem,
        carried: &fields,
        passkey: visit.tenant.bundle.tenant.factors.passkey,
        mail: visit.house.sends_codes(&visit.tenant),
        back: &format!("/sign-in{}", query_to(flow.destination(), &[])),
    }
    .respond()
}

impl Visit {
    /// Notes a proof that did not hold: of somebody known, or at an address that nobody has.
    pub(super) fn note_refused(&self, email: &Email, known: Option<&Enrolled>, factor: &str, detail: &str) {
        self.note_refused_for(email, known, factor, (Reason::FactorRejected, detail));
    }

    /// The same for another reason, which the person is not told.
    fn note_refused_for(
        &self,
        email: &Email,
        known: Option<&Enrolled>,
        factor: &str,
        (reason, detail): (Reason, &str),
    ) {
        let event = Event::SignInRefused {
            email: Some(email.to_string()),
            user: known.map(|one| one.user.id),
            factor: Some(factor.into()),
            provider: None,
            reason,
            detail: detail.to_owned(),
        };
        self.house.note(self.id(), &self.noting(), event);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// The turn went with the request, and the hash went on: a client that asked and went away had as many as it liked.
    #[tokio::test]
    async fn who_goes_away_leaves_the_turn_to_what_is_hashed_for_them() {
        static ONE: Semaphore = Semaphore::const_new(1);
        let (goes_on, waits) = mpsc::channel::<()>();
        let hears = standing_back(ONE.acquire().await.unwrap(), move || waits.recv().is_ok()).unwrap();
        drop(hears);
        assert_eq!(ONE.available_permits(), 0, "the turn is free while the work goes on");
        goes_on.send(()).unwrap();
        let next = ONE.acquire().await.unwrap();
        assert_eq!(standing_back(next, || 7).unwrap().await, Ok(7));
        assert_eq!(ONE.available_permits(), 1);
    }
}
