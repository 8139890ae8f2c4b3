//! The flow's rules: what an authorization request must hold, whom a password lets in, and what a code is worth, once.

use std::{collections::HashMap, sync::Mutex, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use cardea_core::{Timestamp, entropy};
use serde::{Deserialize, Serialize};

use super::{Key, Options};
use crate::seed::Person;

/// An authorization request (OpenID Connect Core section 3.1.2.1), as it arrives and as the login form carries it on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    pub(super) response_type: String,
    #[serde(default)]
    pub(super) client_id: String,
    #[serde(default)]
    pub(super) redirect_uri: String,
    #[serde(default)]
    pub(super) scope: String,
    #[serde(default)]
    pub(super) state: String,
    #[serde(default)]
    pub(super) nonce: String,
    #[serde(default)]
    pub(super) code_challenge: String,
    #[serde(default)]
    pub(super) code_challenge_method: String,
    #[serde(default)]
    pub(super) login_hint: String,
}

/// Why a request is not answered by sending the browser back: it cannot be trusted with where to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unanswerable {
    #[error("the application `{0}` is not known here")]
    Client(String),
    #[error("the address `{0}` to return to is not one of the application's")]
    Redirect(String),
}

/// A code, as long as it is not spent.
#[derive(Debug, Clone)]
struct Grant {
    asked: Asked,
    email: String,
    at: Timestamp,
}

/// A request for tokens.
#[derive(Debug, Deserialize, Default)]
pub(super) struct Redemption {
    #[serde(default)]
    pub(super) grant_type: String,
    #[serde(default)]
    pub(super) code: String,
    #[serde(default)]
    pub(super) redirect_uri: String,
    #[serde(default)]
    pub(super) client_id: String,
    #[serde(default)]
    pub(super) code_verifier: String,
}

/// What a code is exchanged for.
#[derive(Debug, Serialize)]
pub(super) struct Tokens {
    access_token: String,
    token_type: &'static str,
    expires_in: u64,
    id_token: String,
    scope: String,
}

/// A minute: a browser needs one round trip.
const CODE_LIFE: Duration = Duration::from_secs(60);
/// Five minutes: the client reads the person's facts at once.
const TOKEN_LIFE: Duration = Duration::from_secs(300);

pub(super) struct Provider {
    pub(super) options: Options,
    pub(super) key: Key,
    codes: Mutex<HashMap<String, Grant>>,
    tokens: Mutex<HashMap<String, (String, Timestamp)>>,
}

impl Provider {
    pub(super) fn new(options: Options) -> anyhow::Result<Self> {
        let key = Key::read(options.key.expose())?;
        Ok(Self { options, key, codes: Mutex::default(), tokens: Mutex::default() })
    }

    /// Whom and where the answer may go: checked before anything is said to the browser's next address.
    pub(super) fn check_client(&self, asked: &Asked) -> Result<(), Unanswerable> {
        if asked.client_id != self.options.client_id {
            return Err(Unanswerable::Client(asked.client_id.clone()));
        }
        if !self.options.redirect_uris.contains(&asked.redirect_uri) {
            return Err(Unanswerable::Redirect(asked.redirect_uri.clone()));
        }
        Ok(())
    }

    /// The rest of the request; the client is told which error it made (RFC 6749 section 4.1.2.1).
    pub(super) fn check_request(asked: &Asked) -> Result<(), &'static str> {
        if asked.response_type != "code" {
            return Err("unsupported_response_type");
        }
        if !asked.scope.split(' ').any(|scope| scope == "openid") {
            return Err("invalid_scope");
        }
        if asked.code_challenge_method != "S256" || asked.code_challenge.len() != 43 {
            return Err("invalid_request");
        }
        Ok(())
    }

    /// The person whom address and password name.
    pub(super) fn person(&self, email: &str, password: &str) -> Option<&Person> {
        let given = cardea_core::Secret::new(password.to_owned());
        let known = self.options.people.iter().find(|one| one.email.eq_ignore_ascii_case(email.trim()))?;
        (cardea_core::Secret::new(known.password.clone()) == given).then_some(known)
    }

    /// A code for a person who has signed in.
    pub(super) fn grant(&self, asked: Asked, person: &Person) -> String {
        let (now, code) = (self.options.clock.now(), self.random());
        let mut codes = lock(&self.codes);
        codes.retain(|_, grant| now.since(grant.at) < CODE_LIFE);
        codes.insert(code.clone(), Grant { asked, email: person.email.clone(), at: now });
        code
    }

    /// Exchanges a code, which is spent by the first try whatever comes of it.
    pub(super) fn redeem(&self, redemption: &Redemption) -> Result<Tokens, &'static str> {
        if redemption.grant_type != "authorization_code" {
            return Err("unsupported_grant_type");
        }
        let now = self.options.clock.now();
        let grant = lock(&self.codes).remove(&redemption.code).ok_or("invalid_grant")?;
        let verifier = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, redemption.code_verifier.as_bytes());
        let proved = URL_SAFE_NO_PAD.encode(verifier) == grant.asked.code_challenge;
        let same = redemption.client_id == grant.asked.client_id && redemption.redirect_uri == grant.asked.redirect_uri;
        if now.since(grant.at) >= CODE_LIFE || !proved || !same {
            return Err("invalid_grant");
        }
        let person = self.options.people.iter().find(|one| one.email == grant.email).ok_or("invalid_grant")?;
        let id_token = self.key.sign(&self.id_token(person, &grant, now)).map_err(|_| "server_error")?;
        let access_token = self.random();
        let mut tokens = lock(&self.tokens);
        tokens.retain(|_, (_, until)| now < *until);
        tokens.insert(access_token.clone(), (grant.email, now.plus(TOKEN_LIFE)));
        let scope = grant.asked.scope;
        Ok(Tokens { access_token, token_type: "Bearer", expires_in: TOKEN_LIFE.as_secs(), id_token, scope })
    }

    /// Whose access token it is.
    pub(super) fn bearer(&self, token: &str) -> Option<&Person> {
        let now = self.options.clock.now();
        let email = lock(&self.tokens).get(token).filter(|(_, until)| now < *until).map(|(email, _)| email.clone())?;
        self.options.people.iter().find(|one| one.email == email)
    }

    fn id_token(&self, person: &Person, grant: &Grant, now: Timestamp) -> serde_json::Value {
        let mut claims = claims(person);
        let more = serde_json::json!({
            "iss": self.options.issuer,
            "aud": self.options.client_id,
            "iat": now.as_secs(),
            "exp": now.plus(TOKEN_LIFE).as_secs(),
            "auth_time": grant.at.as_secs(),
            "nonce": grant.asked.nonce,
            "acr": "1",
            "amr": ["pwd"],
        });
        if let (Some(claims), serde_json::Value::Object(more)) = (claims.as_object_mut(), more) {
            claims.extend(more);
        }
        claims
    }

    fn random(&self) -> String {
        URL_SAFE_NO_PAD.encode(entropy::bytes::<32>(&*self.options.entropy))
    }
}

/// What is told of a person.
pub(super) fn claims(person: &Person) -> serde_json::Value {
    serde_json::json!({
        // Stable, and no address: addresses change hands.
        "sub": subject(&person.email),
        "email": person.email,
        "email_verified": true,
        "name": person.name,
        "preferred_username": person.email,
        "groups": person.groups,
    })
}

fn subject(email: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, email.as_bytes());
    URL_SAFE_NO_PAD.encode(&digest.as_ref()[..16])
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
