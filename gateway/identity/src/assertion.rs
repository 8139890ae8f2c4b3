//! The assertion: the short-lived JWT that tells a service who its caller is.

use std::time::Duration;

use cardea_core::{AppId, Assurance, ClientId, EntryId, GroupId, SessionId, TenantId, Timestamp};
use jsonwebtoken::{Algorithm, Header};
use serde::Serialize;

use crate::{
    keys::{KeyFault, SigningKey},
    oauth2::Scope,
};

/// Seconds that an assertion is good for. A minute: it is made for a request that is under way.
pub const LIFE: Duration = Duration::from_secs(60);
/// How long one assertion may serve a session and app: what remains is for the request itself.
pub const REUSE: Duration = Duration::from_secs(30);

/// What an assertion says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Assertion<'a> {
    /// The tenant's sign-in origin.
    pub iss: &'a str,
    /// The app that it is for, and nobody else.
    pub aud: &'a AppId,
    /// Who: a user's id, a service's name, a workload's SPIFFE ID.
    pub sub: &'a str,
    /// The tenant.
    pub tenant: &'a TenantId,
    /// The factors used.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub amr: &'a [&'static str],
    /// How sure we are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assurance: Option<Assurance>,
    /// When the person last proved who they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_time: Option<i64>,
    /// The session, by its public name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sid: Option<SessionId>,
    /// The client whose token it came with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<&'a ClientId>,
    /// What that token, or a personal access key, is good for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<&'a Scope>,
    /// Hash of the policy set that allowed it.
    pub policy: &'a str,
    /// What the app asks for of the person.
    #[serde(flatten)]
    pub person: Person<'a>,
    /// The request, where the app wants an assertion for each.
    #[serde(flatten)]
    pub request: Option<Request<'a>>,
}

/// Claims that an app asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Person<'a> {
    /// E-mail address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<&'a str>,
    /// Name as shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'a str>,
    /// Groups, ancestors included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups: Option<&'a [GroupId]>,
}

/// The one request that an assertion is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Request<'a> {
    /// The decision's entry.
    pub decision: EntryId,
    /// The method.
    pub method: &'a str,
    /// The address.
    pub url: &'a str,
}

#[derive(Serialize)]
struct Timed<'a> {
    #[serde(flatten)]
    assertion: &'a Assertion<'a>,
    iat: i64,
    nbf: i64,
    exp: i64,
}

/// Signs an assertion.
pub fn mint(assertion: &Assertion<'_>, key: &SigningKey, now: Timestamp) -> Result<String, KeyFault> {
    let header = Header { kid: Some(key.id.clone()), ..Header::new(Algorithm::ES256) };
    let iat = now.as_secs();
    let claims = Timed { assertion, iat, nbf: iat, exp: now.plus(LIFE).as_secs() };
    jsonwebtoken::encode(&header, &claims, &key.key).map_err(|_| KeyFault)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Sealer, keys,
        testing::{now, tenant},
    };
    use cardea_core::{Secret, entropy::Fixed};
    use jsonwebtoken::{DecodingKey, Validation, jwk::Jwk};
    use serde_json::{Value, json};

    fn signed(request: Option<Request<'_>>) -> (String, Value) {
        let sealer = Sealer::new(&Secret::new([9; 32])).unwrap();
        let record = keys::make(&tenant(), now(), &sealer, now(), &Fixed::new(1)).unwrap();
        let app = AppId::parse("records").unwrap();
        let tenant = tenant();
        let groups = [GroupId::parse("chemists").unwrap()];
        let assertion = Assertion {
            iss: "https://id.north.example",
            aud: &app,
            sub: "0190a0c0-0000-7000-8000-000000000001",
            tenant: &tenant,
            amr: &["password", "totp"],
            assurance: Some(Assurance::Two),
            auth_time: Some(now().as_secs()),
            sid: None,
            client_id: None,
            scope: None,
            policy: "abc",
            person: Person { groups: Some(&groups), ..Person::default() },
            request,
        };
        (mint(&assertion, &record.open(&sealer).unwrap(), now()).unwrap(), record.jwk().unwrap())
    }

    fn read(token: &str, jwk: &Value, audience: &str) -> Result<Value, jsonwebtoken::errors::Error> {
        let jwk: Jwk = serde_json::from_value(jwk.clone()).unwrap();
        let mut rules = Validation::new(Algorithm::ES256);
        rules.set_audience(&[audience]);
        rules.validate_exp = false;
        jsonwebtoken::decode::<Value>(token, &DecodingKey::from_jwk(&jwk).unwrap(), &rules).map(|data| data.claims)
    }

    #[test]
    fn a_service_reads_what_it_was_promised_and_no_more() {
        let (token, jwk) = signed(None);
        let claims = read(&token, &jwk, "records").unwrap();
        assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 60);
        assert_eq!(claims["nbf"], claims["iat"]);
        assert_eq!((&claims["assurance"], &claims["groups"]), (&json!(2), &json!(["chemists"])));
        assert_eq!((claims.get("email"), claims.get("decision")), (None, None));
        assert!(read(&token, &jwk, "other").is_err(), "another app took it");
    }

    #[test]
    fn an_assertion_for_one_request_names_it() {
        let decision = EntryId::mint(now(), &Fixed::new(3));
        let url = "https://records.north.example/studies";
        let (token, jwk) = signed(Some(Request { decision, method: "GET", url }));
        let claims = read(&token, &jwk, "records").unwrap();
        assert_eq!((&claims["decision"], &claims["method"]), (&json!(decision.to_string()), &json!("GET")));
    }

    #[test]
    fn a_changed_assertion_does_not_verify() {
        let (token, jwk) = signed(None);
        for nth in [token.len() / 2, token.len() - 5] {
            let other = if token.as_bytes()[nth] == b'A' { "B" } else { "A" };
            let mut changed = token.clone();
            changed.replace_range(nth..=nth, other);
            assert!(read(&changed, &jwk, "records").is_err());
        }
    }
}
