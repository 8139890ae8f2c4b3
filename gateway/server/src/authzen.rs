//! `/access/v1/…` at the machines listener: a service asks before it acts (AuthZEN Authorization API 1.0).
//!
//! The subject is a user of the tenant's pool (`"type": "user"`, by id or e-mail address), the resource an address of one of
//! its apps (`"type": "route"`, `"id": "https://…"`), the action a method. Of the context two things are read: `session`, the
//! id of the subject's live session, which an assertion names as `sid`, and `client`, the address that the person's request
//! came from, since only the service knows it. Whatever else a service says of the circumstances counts for nothing, so that
//! it can raise nobody's assurance.

use std::{net::IpAddr, sync::Arc};

use axum::{
    Extension, Json, Router,
    body::Bytes,
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse as _, Response},
    routing::post,
};
use cardea_core::{Caller, EntryId, Reason, SessionId, UserId, caller::UserFacts};
use cardea_identity::{Email, Status};
use cardea_proxy::{Admitted, Description, Inquiry, Proxy};
use cardea_storage::StoreFault;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::House;

/// Questions in one batch: what a page of a list needs.
const MOST: usize = 256;

/// What answers below `/access`.
pub(crate) fn routes() -> Router<Arc<House>> {
    Router::new().route("/access/v1/evaluation", post(one)).route("/access/v1/evaluations", post(several))
}

#[derive(Debug, Clone, Deserialize)]
struct Entity {
    #[serde(rename = "type")]
    kind: String,
    id: String,
}

#[derive(Debug, Clone, Deserialize)]
struct Action {
    name: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct Context {
    session: Option<SessionId>,
    client: Option<IpAddr>,
}

/// A question, or what a batch has in common.
#[derive(Debug, Clone, Default, Deserialize)]
struct Asked {
    subject: Option<Entity>,
    action: Option<Action>,
    resource: Option<Entity>,
    context: Option<Context>,
}

#[derive(Debug, Deserialize)]
struct Batch {
    #[serde(default)]
    evaluations: Vec<Asked>,
    #[serde(default)]
    options: Options,
}

#[derive(Debug, Default, Deserialize)]
struct Options {
    #[serde(default)]
    evaluations_semantic: Semantic,
}

/// How far a batch is answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Semantic {
    #[default]
    ExecuteAll,
    DenyOnFirstDeny,
    PermitOnFirstPermit,
}

/// An answer: the reason says what would help, never what the policies say.
#[derive(Debug, Serialize)]
struct Answer {
    decision: bool,
    context: Told,
}

#[derive(Debug, Serialize)]
struct Told {
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Reason>,
    request_id: EntryId,
}

/// `POST /access/v1/evaluation`.
async fn one(State(house): State<Arc<House>>, Extension(admitted): Extension<Admitted>, body: Bytes) -> Response {
    let answered = async {
        let desk = Desk::of(&house, &admitted)?;
        Ok(Json(desk.answer(&read::<Asked>(&body)?).await?).into_response())
    };
    told(&house, &admitted, answered.await)
}

/// `POST /access/v1/evaluations`. Without a list it is one question.
async fn several(State(house): State<Arc<House>>, Extension(admitted): Extension<Admitted>, body: Bytes) -> Response {
    let answered = async {
        let desk = Desk::of(&house, &admitted)?;
        let (common, batch) = (read::<Asked>(&body)?, read::<Batch>(&body)?);
        if batch.evaluations.is_empty() {
            return Ok(Json(desk.answer(&common).await?).into_response());
        }
        if batch.evaluations.len() > MOST {
            return Err(Reason::BodyTooLarge);
        }
        let answers = desk.answers(&common, batch).await?;
        Ok(Json(serde_json::json!({ "evaluations": answers })).into_response())
    };
    told(&house, &admitted, answered.await)
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Reason> {
    serde_json::from_slice(body).map_err(|_| Reason::BadDescription)
}

fn told(house: &House, admitted: &Admitted, answered: Result<Response, Reason>) -> Response {
    match answered {
        Ok(mut response) => {
            response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
            response
        }
        Err(reason) => house.tell(admitted, reason).map(axum::body::Body::new),
    }
}

/// One admitted request's questions.
struct Desk<'a> {
    house: &'a House,
    admitted: &'a Admitted,
    proxy: Arc<Proxy>,
}

impl<'a> Desk<'a> {
    /// INVARIANT: only a service with a certificate of the tenant's asks, and only where a policy of the tenant's lets it.
    fn of(house: &'a House, admitted: &'a Admitted) -> Result<Self, Reason> {
        if !matches!(admitted.caller(), Caller::Workload { .. }) {
            return Err(Reason::CertificateRejected);
        }
        drop(admitted.take_permit().ok_or(Reason::Internal)?);
        let proxy = house.proxy().ok_or(Reason::Internal)?;
        Ok(Self { house, admitted, proxy })
    }

    async fn answers(&self, common: &Asked, batch: Batch) -> Result<Vec<Answer>, Reason> {
        // All are read before any is answered: a mistake in the last is a mistake of the whole.
        let asked: Vec<_> = batch.evaluations.into_iter().map(|asked| asked.or(common)).collect();
        if asked.iter().any(|asked| asked.parts().is_none()) {
            return Err(Reason::BadDescription);
        }
        let mut answers = Vec::with_capacity(asked.len());
        for asked in &asked {
            let answer = self.answer(asked).await?;
            let last = match batch.options.evaluations_semantic {
                Semantic::ExecuteAll => false,
                Semantic::DenyOnFirstDeny => !answer.decision,
                Semantic::PermitOnFirstPermit => answer.decision,
            };
            answers.push(answer);
            if last {
                break;
            }
        }
        Ok(answers)
    }

    async fn answer(&self, asked: &Asked) -> Result<Answer, Reason> {
        let (subject, action, resource) = asked.parts().ok_or(Reason::BadDescription)?;
        let context = asked.context.clone().unwrap_or_default();
        // Who is unknown is told of, and written down, like whoever may not.
        let (user, owes_second_factor) = self.user(subject).await?.unzip();
        let inquiry = Inquiry {
            user,
            owes_second_factor: owes_second_factor.unwrap_or_default(),
            session: context.session,
            description: description(action, resource, context.client),
        };
        let evaluation = self.proxy.evaluate(self.admitted, &inquiry).await?;
        let told = Told { reason: evaluation.refused, request_id: evaluation.entry };
        Ok(Answer { decision: evaluation.refused.is_none(), context: told })
    }

    /// The subject, and whether they owe a second factor.
    async fn user(&self, subject: &Entity) -> Result<Option<(Arc<UserFacts>, bool)>, Reason> {
        if subject.kind != "user" {
            return Ok(None);
        }
        let tenant = self.house.tenant(&self.admitted.tenant().id).ok_or(Reason::TenantUnavailable)?;
        let store = &self.house.store;
        let found = match (UserId::parse(&subject.id), Email::parse(&subject.id)) {
            (Ok(id), _) => store.user(tenant.id(), id).await,
            (_, Ok(email)) => store.user_by_email(tenant.id(), &email).await,
            _ => return Ok(None),
        };
        let Some(user) = found.map_err(unavailable)?.filter(|user| user.status == Status::Active) else {
            return Ok(None);
        };
        let owes = self.house.would_owe(&tenant, user.id).await.map_err(unavailable)?;
        Ok(Some((tenant.facts(&user), owes)))
    }
}

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn unavailable(fault: StoreFault) -> Reason {
    tracing::warn!(%fault, "a store did not answer");
    Reason::StoreUnavailable
}

/// What would be done, from where; none where the resource is no address. INVARIANT: the address of the service that asks is
/// nobody's but its own, and says nothing of the person.
fn description(action: &Action, resource: &Entity, client: Option<IpAddr>) -> Option<Description> {
    if resource.kind != "route" {
        return None;
    }
    Description::at(&action.name, &resource.id, client.unwrap_or(Inquiry::NOWHERE))
}

impl Asked {
    /// What it says itself, and what the batch says for all.
    fn or(self, common: &Self) -> Self {
        Self {
            subject: self.subject.or_else(|| common.subject.clone()),
            action: self.action.or_else(|| common.action.clone()),
            resource: self.resource.or_else(|| common.resource.clone()),
            context: self.context.or_else(|| common.context.clone()),
        }
    }

    fn parts(&self) -> Option<(&Entity, &Action, &Entity)> {
        Some((self.subject.as_ref()?, self.action.as_ref()?, self.resource.as_ref()?))
    }
}
