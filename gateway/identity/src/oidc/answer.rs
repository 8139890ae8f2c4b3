//! The browser's return from a provider, and the exchange of its code.

use std::fmt;

use cardea_core::Secret;
use openidconnect::{
    AccessToken, AsyncHttpClient, AuthorizationCode, HttpClientError, OAuth2TokenResponse as _, PkceCodeVerifier,
    RequestTokenError, TokenResponse as _,
};
use subtle::ConstantTimeEq as _;
use url::Url;

use super::{Answer, Attempt, Provider, Refused};

/// A code that belongs to this sign-in and this provider.
#[derive(Debug)]
pub struct Code(AuthorizationCode);

/// What the provider gave for the code. Nothing in it is believed yet.
pub struct Tokens(pub(super) Answer);

impl Provider {
    /// Reads the query that the browser brought back. Every parameter once; `state` is the one that was sent; the
    /// provider is the one that was asked (RFC 9207).
    pub fn read_answer(&self, query: &str, attempt: &Attempt) -> Result<Code, Refused> {
        let one = |name: &str| -> Result<Option<String>, Refused> {
            let mut values = url::form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == name);
            let value = values.next().map(|(_, value)| value.into_owned());
            if values.next().is_some() { Err(Refused::Answer("a parameter stands twice")) } else { Ok(value) }
        };
        let state = one("state")?.ok_or(Refused::Answer("it has no `state`"))?;
        if !bool::from(state.as_bytes().ct_eq(attempt.state.as_bytes())) {
            return Err(Refused::Answer("it belongs to another sign-in"));
        }
        match one("iss")? {
            Some(issuer) if issuer != self.issuer => return Err(Refused::Answer("it comes from another provider")),
            None if self.names_itself => return Err(Refused::Answer("it does not say which provider it comes from")),
            _ => {}
        }
        let code = one("code")?;
        if let Some(error) = one("error")? {
            // What a provider writes is shown to nobody and logged only if it is a plain word.
            let plain = error.len() <= 64 && error.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
            return Err(Refused::Provider(if plain { error } else { "unreadable".to_owned() }));
        }
        let code = code.filter(|code| !code.is_empty()).ok_or(Refused::Answer("it has no `code`"))?;
        Ok(Code(AuthorizationCode::new(code)))
    }

    /// Exchanges the code for tokens, with the verifier that only we know (RFC 7636).
    pub async fn exchange<C>(
        &self,
        code: Code,
        attempt: &Attempt,
        redirect: &Url,
        secret: Option<&Secret<String>>,
        http: &C,
    ) -> Result<Tokens, Refused>
    where
        C: for<'c> AsyncHttpClient<'c, Error = HttpClientError<std::io::Error>>,
    {
        let client = self.client(redirect, secret.map(|secret| secret.expose().as_str()))?;
        let request = client
            .exchange_code(code.0)
            .map_err(|error| Refused::Document { document: "discovery document", cause: error.to_string() })?
            .set_pkce_verifier(PkceCodeVerifier::new(attempt.verifier.clone()));
        match Box::pin(request.request_async(http)).await {
            Ok(answer) => Ok(Tokens(answer)),
            Err(RequestTokenError::ServerResponse(error)) => Err(Refused::Provider(error.error().to_string())),
            Err(RequestTokenError::Request(error)) => Err(Refused::Unreachable(error.to_string())),
            Err(RequestTokenError::Parse(..)) => Err(Refused::Answer("its tokens are unreadable")),
            Err(RequestTokenError::Other(_)) => Err(Refused::Answer("its tokens are incomplete")),
        }
    }

    /// Reads a token answer that was fetched otherwise.
    #[cfg(test)]
    pub(super) fn tokens(answer: &serde_json::Value) -> Result<Tokens, Refused> {
        serde_json::from_value(answer.clone()).map(Tokens).map_err(|_| Refused::Answer("its tokens are unreadable"))
    }
}

impl Tokens {
    /// The access token, for the provider's own userinfo endpoint and nobody else.
    pub fn access_token(&self) -> &AccessToken {
        self.0.access_token()
    }

    pub(super) fn has_id_token(&self) -> bool {
        self.0.id_token().is_some()
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens(***)")
    }
}
