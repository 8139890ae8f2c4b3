//! Which client asks, and by what it proves it (RFC 6749 section 2.3, RFC 7523, RFC 8705).

use std::time::Duration;

use axum::http::header;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use cardea_core::{
    ClientId,
    resources::{ClientAuthentication as By, ClientSpec},
};
use cardea_identity::{
    Ticket,
    guard::{Limit, Rule},
    oauth2::{
        access_token::Confirmation,
        client::{self, ASSERTION_TYPE},
        dpop,
    },
};
use cardea_proxy::OwnApp;

use super::{form::Asked, told::No};

/// A client that has proven that it is the one, or is one that can prove nothing.
pub(super) struct Client<'a> {
    pub(super) spec: &'a ClientSpec,
    /// What the tokens that it is given are bound to: a key of which it showed proof with the request, or its certificate.
    pub(super) bound: Option<Confirmation>,
}

/// Finds and judges the client of a request.
pub(super) async fn of(asked: &Asked) -> Result<Client<'_>, No> {
    let shown = Shown::of(asked)?;
    let unknown = || No::client(format!("there is no client `{}`", printable(&shown.id)));
    let id = ClientId::parse(&shown.id).map_err(|_| unknown())?;
    let spec = asked.tenant.bundle.clients.get(&id).ok_or_else(unknown)?;
    proven(asked, spec, &shown).await.map_err(|no| no.by(&id))?;
    let bound = bound(asked, spec).await.map_err(|no| no.by(&id))?;
    Ok(Client { spec, bound })
}

/// What a request shows of its client. INVARIANT: of several proofs none counts (RFC 6749 section 2.3): who sends two may not know which
/// one was checked.
struct Shown<'a> {
    id: String,
    secret: Option<String>,
    assertion: Option<&'a str>,
}

impl<'a> Shown<'a> {
    fn of(asked: &'a Asked) -> Result<Self, No> {
        let in_form = asked.get("client_id");
        let basic = basic(asked)?;
        let assertion = asked.get("client_assertion");
        if assertion.is_some() && asked.get("client_assertion_type") != Some(ASSERTION_TYPE) {
            return Err(No::request("`client_assertion_type` is to be that of JWTs (RFC 7523)"));
        }
        let secret = asked.get("client_secret");
        let ways = [basic.is_some(), secret.is_some(), assertion.is_some()].into_iter().filter(|way| *way).count();
        if ways > 1 {
            return Err(No::request("the client proves itself in more than one way"));
        }
        let named = match (&basic, assertion) {
            (Some((id, _)), _) => Some(id.clone()),
            (None, Some(assertion)) => client::claimed(assertion).map(|id| id.to_string()),
            (None, None) => None,
        };
        let id = match (named, in_form) {
            (Some(named), Some(said)) if named != said => {
                return Err(No::request("the client is named twice, and differently"));
            }
            (Some(named), _) => named,
            (None, Some(said)) => said.to_owned(),
            (None, None) => return Err(No::client("no client is named")),
        };
        let secret = basic.map(|(_, secret)| secret).or_else(|| secret.map(str::to_owned));
        Ok(Self { id, secret, assertion })
    }
}

/// The client's name and secret in the `Authorization` header, each form-encoded (RFC 6749 section 2.3.1).
fn basic(asked: &Asked) -> Result<Option<(String, String)>, No> {
    let Some(value) = asked.headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let unreadable = || No::client("the `Authorization` header cannot be read");
    let text = value.to_str().map_err(|_| unreadable())?;
    let (scheme, rest) = text.split_once(' ').ok_or_else(unreadable)?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(No::client("the `Authorization` header is of a kind that is not understood"));
    }
    let plain = STANDARD.decode(rest.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let plain = plain.ok_or_else(unreadable)?;
    let (id, secret) = plain.split_once(':').ok_or_else(unreadable)?;
    let decoded = |text: &str| {
        let pair = format!("x={text}");
        url::form_urlencoded::parse(pair.as_bytes()).next().map(|(_, value)| value.into_owned()).unwrap_or_default()
    };
    Ok(Some((decoded(id), decoded(secret))))
}

async fn proven(asked: &Asked, spec: &ClientSpec, shown: &Shown<'_>) -> Result<(), No> {
    match (spec.authentication, &shown.secret, shown.assertion) {
        (By::None, None, None) => Ok(()),
        (By::ClientSecret, Some(secret), None) => by_secret(asked, spec, secret).await,
        (By::PrivateKeyJwt, None, Some(assertion)) => by_assertion(asked, spec, assertion).await,
        (By::TlsClientAuth, None, None) => by_certificate(asked, spec),
        _ => Err(No::client("it proves itself in another way than it is known to")),
    }
}

async fn by_secret(asked: &Asked, spec: &ClientSpec, secret: &str) -> Result<(), No> {
    let wrong = || No::client("its secret is wrong");
    let hash = Ticket::parse(secret).map_err(|_| wrong())?.hash();
    // Found by its hash: how long that takes tells nothing of a secret of 256 bits.
    match asked.house.store.client_secret_is(asked.tenant.id(), &spec.id, &hash).await? {
        true => Ok(()),
        false => Err(wrong()),
    }
}

async fn by_assertion(asked: &Asked, spec: &ClientSpec, assertion: &str) -> Result<(), No> {
    let issuer = &asked.tenant.route.sign_in_origin;
    let endpoint = format!("{issuer}/oauth2/token");
    let itself = address(asked);
    let verified = client::verify(assertion, spec, &[issuer, &endpoint, &itself], asked.now());
    let verified = verified.map_err(|refused| No::client(refused.0))?;
    match spend(asked, "client-assertion", &verified.spent_as, client::REMEMBERED).await? {
        true => Ok(()),
        false => Err(No::client("its assertion was shown before")),
    }
}

/// Notes that something was shown that counts once within `life`; false where it was shown before. INVARIANT: one atomic step of the shared
/// store, whichever gateway it is shown to.
async fn spend(asked: &Asked, what: &str, spent_as: &[u8; 32], life: Duration) -> Result<bool, No> {
    let limit = Limit { key: format!("{what}/{}", crate::fingerprint::hex(spent_as)), rule: Rule::once(life) };
    Ok(asked.house.shared.attempt(asked.tenant.id(), &limit, asked.now()).await?.is_none())
}

/// By the certificate of the connection, which the machines listener has verified to be of this tenant.
fn by_certificate(asked: &Asked, spec: &ClientSpec) -> Result<(), No> {
    let shown = asked.admitted.certificate().ok_or_else(|| No::client("it showed no certificate"))?;
    let named = cardea_certs::peer_spiffe_id(shown).map_err(|_| No::client("its certificate names nobody"))?;
    if spec.spiffe_id.as_deref() == Some(named.to_string().as_str()) {
        Ok(())
    } else {
        Err(No::client("its certificate names another"))
    }
}

/// What the client's tokens will be bound to.
async fn bound(asked: &Asked, spec: &ClientSpec) -> Result<Option<Confirmation>, No> {
    let refused = |detail: &'static str| No::of("invalid_dpop_proof", "the proof of possession does not hold", detail);
    let mut proofs = asked.headers.get_all("dpop").iter();
    let (first, more) = (proofs.next(), proofs.next());
    if more.is_some() {
        return Err(refused("several proofs"));
    }
    if let Some(proof) = first {
        let proof = proof.to_str().map_err(|_| refused("the proof is no text"))?;
        let url = address(asked);
        let method = asked.admitted.canonical().method().as_str();
        let expected = dpop::Expected { method, url: &url, token: None, now: asked.now() };
        let proof = dpop::verify(proof, &expected).map_err(|why| refused(why.0))?;
        if !spend(asked, "dpop", &proof.spent_as, dpop::REMEMBERED).await? {
            return Err(refused("the proof was shown before"));
        }
        return Ok(Some(Confirmation::Key(proof.thumbprint)));
    }
    // Whoever proves itself by its certificate has its tokens bound to it, as RFC 8705 section 3 has it.
    if let Some(certificate) = asked.admitted.certificate().filter(|_| spec.authentication == By::TlsClientAuth) {
        return Ok(Some(Confirmation::of_certificate(certificate)));
    }
    Ok(None)
}

/// The request's address, as whoever sent it sees it: the door for programs with a certificate has a port of its own.
fn address(asked: &Asked) -> String {
    let machines = asked.admitted.app().own == Some(OwnApp::Machines);
    let origin = asked.house.machines_origin(&asked.tenant).filter(|_| machines);
    let origin = origin.as_deref().unwrap_or(&asked.tenant.route.sign_in_origin);
    format!("{origin}{}", asked.admitted.canonical().path())
}

/// What somebody sent, as an entry may hold it.
fn printable(text: &str) -> String {
    text.chars().filter(|sign| !sign.is_control()).take(64).collect()
}
