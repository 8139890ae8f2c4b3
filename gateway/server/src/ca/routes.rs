//! `/ca/…`: the roots for whoever asks, a first certificate for a token, the next one for the last one.

use std::sync::Arc;

use axum::{
    Extension, Json, Router,
    body::Bytes,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use cardea_audit::Event;
use cardea_certs::{CertificateFacts, Enrolment, EnrolmentToken, Issued, Profile, Rejected, Request, SpiffeId};
use cardea_core::{Caller, Reason};
use cardea_identity::TicketHash;
use cardea_proxy::Admitted;
use cardea_storage::TicketKind;
use serde::{Deserialize, Serialize};

use super::{
    CaFault, TenantCa,
    issue::{Issuance, token_id},
};
use crate::{
    House,
    house::{Doer, with_causes},
};

/// What answers below `/ca`.
pub fn routes() -> Router<Arc<House>> {
    Router::new().route("/ca/roots", get(roots)).route("/ca/enrol", post(enrol)).route("/ca/renew", post(renew))
}

/// A request for a first certificate.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Enrol {
    token: cardea_core::Secret<String>,
    csr: String,
}

/// A request for the next certificate.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Renew {
    csr: String,
}

/// A certificate, as its holder gets it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Given {
    /// The chain, leaf first, in PEM.
    pub(crate) certificate: String,
    /// Whom to trust, in PEM: the tenant's intermediate.
    pub(crate) bundle: String,
    /// The SPIFFE ID that the certificate proves.
    pub(crate) spiffe_id: String,
    /// When it ends, in RFC 3339.
    pub(crate) not_after: String,
}

/// Why nothing is given.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("{0}")]
    Because(Reason, String),
    #[error(transparent)]
    Fault(#[from] CaFault),
}

impl Refused {
    fn because(reason: Reason) -> impl FnOnce(Rejected) -> Self {
        move |rejected| Self::Because(reason, rejected.to_string())
    }
}

async fn roots(State(house): State<Arc<House>>, Extension(admitted): Extension<Admitted>) -> Response {
    match house.ca.root(&house).await {
        Ok(root) => ([(header::CONTENT_TYPE, "application/x-pem-file")], root.to_pem()).into_response(),
        Err(fault) => answer(&house, &admitted, None, Err(fault.into())),
    }
}

async fn enrol(State(house): State<Arc<House>>, Extension(admitted): Extension<Admitted>, body: Bytes) -> Response {
    let mut named = None;
    let given = enrolled(&house, &admitted, &body, &mut named).await;
    answer(&house, &admitted, named, given)
}

/// Everything is checked that can be before the token is spent, and it is spent before anything is signed.
async fn enrolled(
    house: &Arc<House>,
    admitted: &Admitted,
    body: &[u8],
    named: &mut Option<SpiffeId>,
) -> Result<Given, Refused> {
    let Enrol { token, csr } = read(body, "`token` and `csr`")?;
    let token = EnrolmentToken::parse(token.expose()).map_err(Refused::because(Reason::EnrolmentSpent))?;
    let request = Request::parse(&csr).map_err(Refused::because(Reason::RequestNotSigned))?;
    let id = &admitted.tenant().id;
    let tenant = house.ca.tenant(house, id).await?;
    let doer = doer(admitted)?;
    let (hash, now) = (TicketHash::from_bytes(token.hash()), house.now());
    let taken = house.store.take_ticket(id, TicketKind::Enrolment, &hash, now).await.map_err(CaFault::from)?;
    let spent = || Refused::Because(Reason::EnrolmentSpent, "the token is unknown, used or expired".to_owned());
    let ticket = taken.ok_or_else(spent)?;
    let enrolment: Enrolment = serde_json::from_value(ticket.payload).map_err(|_| spent())?;
    *named = Some(enrolment.spiffe_id.clone());
    let enrolment = enrolment.redeem(now).map_err(Refused::because(Reason::EnrolmentSpent))?;
    if &enrolment.tenant != id || !tenant.is_service(&enrolment.spiffe_id) {
        return Err(spent());
    }
    let profile = Profile::Workload(enrolment.spiffe_id);
    let issuance = Issuance { profile, by: token_id(&token).into(), before: None };
    let issued = house.ca.issue(house, &tenant, issuance, &request, &doer).await?;
    Ok(given(&tenant, &issued))
}

async fn renew(State(house): State<Arc<House>>, Extension(admitted): Extension<Admitted>, body: Bytes) -> Response {
    let mut named = None;
    let given = renewed(&house, &admitted, &body, &mut named).await;
    answer(&house, &admitted, named, given)
}

/// Same name, new key, no other question: the connection has proved who asks.
async fn renewed(
    house: &Arc<House>,
    admitted: &Admitted,
    body: &[u8],
    named: &mut Option<SpiffeId>,
) -> Result<Given, Refused> {
    let rejected = |why: &str| Refused::Because(Reason::CertificateRejected, why.to_owned());
    let Caller::Workload { spiffe_id } = admitted.caller() else {
        return Err(rejected("a renewal is asked for with the certificate that it replaces"));
    };
    let id = SpiffeId::parse(spiffe_id).map_err(|error| rejected(&error.to_string()))?;
    *named = Some(id.clone());
    let tenant = house.ca.tenant(house, &admitted.tenant().id).await?;
    if !tenant.is_service(&id) {
        return Err(rejected("the certificate is not one of this tenant's services"));
    }
    let Renew { csr } = read(body, "`csr`")?;
    let request = Request::parse(&csr).map_err(Refused::because(Reason::RequestNotSigned))?;
    // INVARIANT: measured against what this connection showed, and against the present moment: the handshake that checked
    // the certificate may be long past.
    let shown = admitted.certificate().ok_or_else(|| rejected("the connection showed no certificate"))?;
    let shown = CertificateFacts::read(shown).map_err(Refused::because(Reason::CertificateRejected))?;
    request.must_differ_from(&shown).map_err(Refused::because(Reason::RequestNotSigned))?;
    if !shown.valid_at(house.now()) {
        return Err(rejected("the certificate has ended; enrol anew with a token"));
    }
    let doer = doer(admitted)?;
    let issuance = Issuance { profile: Profile::Workload(id), by: "renewal".into(), before: Some(shown.serial) };
    let issued = house.ca.issue(house, &tenant, issuance, &request, &doer).await?;
    Ok(given(&tenant, &issued))
}

/// Spends the permit: it allows one certificate.
fn doer(admitted: &Admitted) -> Result<Doer, Refused> {
    Doer::admitted(admitted).map_err(|error| Refused::Because(Reason::Internal, error.to_string()))
}

fn read<'a, T: Deserialize<'a>>(body: &'a [u8], holds: &str) -> Result<T, Refused> {
    serde_json::from_slice(body)
        .map_err(|error| Refused::Because(Reason::BadInput, format!("the body is not JSON with {holds}: {error}")))
}

fn given(tenant: &TenantCa, issued: &Issued) -> Given {
    Given {
        certificate: issued.to_pem(),
        bundle: tenant.authority.bundle().to_pem(),
        spiffe_id: issued.facts.spiffe_id.as_ref().map(ToString::to_string).unwrap_or_default(),
        not_after: issued.facts.not_after.to_string(),
    }
}

fn answer(house: &House, admitted: &Admitted, named: Option<SpiffeId>, given: Result<Given, Refused>) -> Response {
    let (reason, detail) = match given {
        Ok(given) => return ([(header::CACHE_CONTROL, "no-store")], Json(given)).into_response(),
        Err(Refused::Because(reason, detail)) => (reason, detail),
        Err(Refused::Fault(fault)) => {
            tracing::error!(entry = %admitted.entry(), error = %with_causes(&fault), "the authority failed");
            let reason = if matches!(fault, CaFault::Store(_)) { Reason::StoreUnavailable } else { Reason::Internal };
            (reason, "try again later".to_owned())
        }
    };
    let event = Event::CertificateRefused { spiffe_id: named.map(|id| id.to_string()), reason, detail: detail.clone() };
    house.note(&admitted.tenant().id, &Doer::noting(admitted), event);
    let body = serde_json::json!({
        "type": format!("urn:cardea:reason:{reason}"),
        "title": reason.code().replace('-', " "),
        "status": reason.status(),
        "detail": detail,
        "reason": reason,
        "request_id": admitted.entry(),
    });
    let status = StatusCode::from_u16(reason.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [(header::CONTENT_TYPE, "application/problem+json")], body.to_string()).into_response()
}
