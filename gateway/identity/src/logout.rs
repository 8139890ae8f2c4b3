//! The logout token: the JWT that tells an app's service that a session is over (OpenID Connect Back-Channel Logout 1.0 section 2.4).

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use cardea_core::{AppId, Entropy, SessionId, Timestamp, UserId, entropy::bytes};
use jsonwebtoken::{Algorithm, Header};
use serde::Serialize;
use serde_json::{Value, json};

use crate::keys::{KeyFault, SigningKey};

/// How long a token is good for. Two minutes, as section 2.4 advises: each try brings another, and one that is kept is soon worth nothing.
pub const LIFE: Duration = Duration::from_secs(120);

/// The kind that the header names, so that no other token of ours is taken for one, and it for no other.
const KIND: &str = "logout+jwt";

/// What such a token says, in `events`.
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// What a token says, as the assertions of the session said it to the same app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct LogoutToken<'a> {
    /// The tenant's sign-in origin.
    pub iss: &'a str,
    /// The app that is told, and nobody else.
    pub aud: &'a AppId,
    /// Whose session.
    pub sub: UserId,
    /// The session, by its public name.
    pub sid: SessionId,
}

#[derive(Serialize)]
struct Claims<'a> {
    #[serde(flatten)]
    said: LogoutToken<'a>,
    events: Value,
    jti: String,
    iat: i64,
    exp: i64,
}

/// Signs a token. It has a name of its own, and no `nonce` (section 2.4), so that nobody takes it for an ID token.
pub fn mint(
    said: LogoutToken<'_>,
    key: &SigningKey,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Result<String, KeyFault> {
    let header = Header { typ: Some(KIND.to_owned()), kid: Some(key.id.clone()), ..Header::new(Algorithm::ES256) };
    let jti = URL_SAFE_NO_PAD.encode(bytes::<16>(entropy));
    let (iat, exp) = (now.as_secs(), now.plus(LIFE).as_secs());
    let claims = Claims { said, events: json!({ EVENT: {} }), jti, iat, exp };
    jsonwebtoken::encode(&header, &claims, &key.key).map_err(|_| KeyFault)
}

#[cfg(test)]
mod tests {
    use cardea_core::{Secret, entropy::Fixed};
    use jsonwebtoken::{DecodingKey, Validation, jwk::Jwk};

    use super::*;
    use crate::{
        Sealer, keys,
        testing::{now, tenant},
    };

    #[test]
    fn it_says_whose_session_is_over_and_is_no_other_token() {
        let sealer = Sealer::new(&Secret::new([9; 32])).unwrap();
        let record = keys::make(&tenant(), now(), &sealer, now(), &Fixed::new(1)).unwrap();
        let (app, draws) = (AppId::parse("records").unwrap(), Fixed::new(5));
        let (sub, sid) = (UserId::mint(now(), &Fixed::new(2)), SessionId::mint(now(), &Fixed::new(3)));
        let said = LogoutToken { iss: "https://id.north.example", aud: &app, sub, sid };
        let mint = || mint(said, &record.open(&sealer).unwrap(), now(), &draws).unwrap();
        let jwk: Jwk = serde_json::from_value(record.jwk().unwrap()).unwrap();
        let read = |token: &str, audience: &str| {
            let mut rules = Validation::new(Algorithm::ES256);
            rules.set_audience(&[audience]);
            rules.validate_exp = false;
            jsonwebtoken::decode::<Value>(token, &DecodingKey::from_jwk(&jwk).unwrap(), &rules)
        };
        let (first, second) = (mint(), mint());
        let told = read(&first, "records").unwrap();
        assert_eq!((told.header.typ.as_deref(), told.header.kid.as_deref()), (Some("logout+jwt"), Some(&*record.id)));
        let claims = told.claims;
        let iat = now().as_secs();
        for (name, value) in [
            ("iss", json!("https://id.north.example")),
            ("aud", json!("records")),
            ("sub", json!(sub.to_string())),
            ("sid", json!(sid.to_string())),
            ("events", json!({ "http://schemas.openid.net/event/backchannel-logout": {} })),
            ("iat", json!(iat)),
            ("exp", json!(iat + 120)),
        ] {
            assert_eq!(claims[name], value, "{name}");
        }
        assert_eq!(claims.as_object().unwrap().len(), 8, "no nonce, and nothing else: {claims}");
        assert_ne!(claims["jti"], read(&second, "records").unwrap().claims["jti"], "two have one name");
        assert!(read(&first, "other").is_err(), "another app took it");
    }
}
