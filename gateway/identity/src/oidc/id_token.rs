//! What is believed of an ID token (OpenID Connect Core 1.0 section 3.1.3.7): nothing, until every check has passed.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use cardea_core::Timestamp;
use openidconnect::{
    AccessTokenHash, ClaimsVerificationError, ClientId, IdTokenVerifier, Nonce, OAuth2TokenResponse as _,
    SignatureVerificationError, TokenResponse as _,
    core::{CoreJsonWebKey, CoreJwsSigningAlgorithm as Alg},
};
use serde_json::Value;

use super::{Attempt, Provider, Refused, SKEW, Tokens};

/// Claims that verified. INVARIANT: made by [`Provider::verify`] only.
#[derive(Debug, Clone, PartialEq)]
pub struct Claims {
    pub(super) subject: String,
    pub(super) email: Option<String>,
    pub(super) email_verified: bool,
    pub(super) name: Option<String>,
    pub(super) acr: Option<String>,
    pub(super) amr: Vec<String>,
    pub(super) further: BTreeMap<String, Value>,
}

/// Signatures that are believed: asymmetric ones that no sound provider has left behind. Never `none`, never a MAC, whose
/// key would be the client secret.
const ALGORITHMS: [Alg; 6] = [
    Alg::EcdsaP256Sha256,
    Alg::EcdsaP384Sha384,
    Alg::EdDsa,
    Alg::RsaSsaPkcs1V15Sha256,
    Alg::RsaSsaPssSha256,
    Alg::RsaSsaPssSha512,
];

/// How old a token may be. Ten minutes: it comes straight from the provider, so seconds are usual.
const OLDEST: Duration = Duration::from_secs(600);

impl Provider {
    /// Verifies the ID token: signature by a published key, issuer, audience, party, times, nonce, access token's hash,
    /// the time of authentication where a fresh one was asked for, and that it names somebody.
    pub fn verify(&self, tokens: &Tokens, attempt: &Attempt, now: Timestamp) -> Result<Claims, Refused> {
        if !tokens.has_id_token() {
            return Err(Refused::Answer("it brings no ID token"));
        }
        let token = tokens.0.id_token().ok_or(Refused::Answer("it brings no ID token"))?;
        let verifier = self.verifier(now)?;
        let claims = token.claims(&verifier, &Nonce::new(attempt.nonce.clone())).map_err(refused)?;

        let me = ClientId::new(self.spec.client_id.clone());
        match claims.authorized_party() {
            Some(party) if *party != me => return Err(failed("it was issued to another party")),
            None if claims.audiences().len() > 1 => return Err(failed("it has several audiences and no party")),
            _ => {}
        }
        if !is_name(claims.subject()) {
            return Err(failed("it names nobody"));
        }
        if let Some(claimed) = claims.access_token_hash() {
            let algorithm = token.signing_alg().map_err(|error| failed(&error.to_string()))?;
            let key = token.signing_key(&verifier).map_err(|error| failed(&error.to_string()))?;
            let actual = AccessTokenHash::from_token(tokens.0.access_token(), algorithm, key)
                .map_err(|error| failed(&error.to_string()))?;
            if actual != *claimed {
                return Err(failed("it belongs to another access token"));
            }
        }
        if attempt.fresh {
            let proven = claims.auth_time().ok_or_else(|| failed("it does not say when the person signed in"))?;
            let proven = Timestamp::from_secs(proven.timestamp());
            if proven < attempt.begun.minus(SKEW) {
                return Err(failed("the person did not sign in anew"));
            }
            if proven > now.plus(SKEW) {
                return Err(failed("the person signed in at a time that is yet to come"));
            }
        }
        Ok(Claims {
            subject: claims.subject().to_string(),
            email: claims.email().map(|email| email.to_string()),
            email_verified: claims.email_verified() == Some(true),
            name: claims.name().and_then(|name| name.get(None)).map(|name| name.to_string()),
            acr: claims.auth_context_ref().map(|acr| acr.to_string()),
            amr: claims.auth_method_refs().into_iter().flatten().map(|amr| amr.to_string()).collect(),
            further: claims.additional_claims().rest.clone(),
        })
    }

    fn verifier(&self, now: Timestamp) -> Result<IdTokenVerifier<'static, CoreJsonWebKey>, Refused> {
        let (earliest, latest) = (now.minus(OLDEST).as_secs(), now.plus(SKEW).as_secs());
        let expiry_now =
            SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(now.minus(SKEW).as_secs()).unwrap_or_default());
        // As for a client without a secret, so that no MAC can ever be tried.
        let verifier = IdTokenVerifier::new_public_client(
            ClientId::new(self.spec.client_id.clone()),
            self.issuer_url()?,
            self.metadata.jwks().clone(),
        );
        Ok(verifier
            .set_allowed_algs(ALGORITHMS)
            .set_other_audience_verifier_fn(|_| true)
            .set_time_fn(move || expiry_now.into())
            .set_issue_time_verifier_fn(move |issued| {
                let fine = (earliest..=latest).contains(&issued.timestamp());
                if fine { Ok(()) } else { Err("it was issued at another time".to_owned()) }
            }))
    }
}

/// Whether it can name somebody, or a session of theirs: ASCII, at most 255 (OpenID Connect Core 1.0 section 2), and nothing that moves a
/// terminal's cursor or ends a line, since it is told to administrators.
pub(crate) fn is_name(text: &str) -> bool {
    (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
}

fn failed(what: &str) -> Refused {
    Refused::Token(what.to_owned())
}

fn refused(error: ClaimsVerificationError) -> Refused {
    match error {
        ClaimsVerificationError::SignatureVerification(SignatureVerificationError::NoMatchingKey) => {
            Refused::UnknownKey
        }
        // Bad signature: the key may have been replaced under its old name, but that is the provider's fault to mend.
        other => Refused::Token(other.to_string()),
    }
}
