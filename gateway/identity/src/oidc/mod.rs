//! Signing in with an OpenID provider: what is asked, what is believed of the answer, and who that makes a person here.
//! (OpenID Connect Core 1.0, RFC 7636, RFC 9207, RFC 9700.) Fetches nothing by itself: the server hands in documents and
//! a way to call.

mod answer;
mod id_token;
mod person;

use std::{collections::BTreeMap, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use cardea_core::{Assurance, Entropy, Timestamp, entropy, resources::ProviderSpec};
use openidconnect::{
    AdditionalClaims, AuthType, AuthenticationContextClass, ClientId, ClientSecret, CsrfToken, EndpointMaybeSet,
    EndpointNotSet, EndpointSet, IdTokenFields, IssuerUrl, LoginHint, Nonce, PkceCodeChallenge, PkceCodeVerifier,
    RedirectUrl, Scope, StandardErrorResponse, StandardTokenResponse,
    core::{
        CoreAuthDisplay, CoreAuthPrompt, CoreAuthenticationFlow, CoreClientAuthMethod, CoreErrorResponseType,
        CoreGenderClaim, CoreJsonWebKey, CoreJsonWebKeySet, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm,
        CoreProviderMetadata, CoreRevocableToken, CoreRevocationErrorResponse, CoreTokenIntrospectionResponse,
        CoreTokenType,
    },
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use crate::pool::Email;

pub use answer::{Code, Tokens};
pub use id_token::Claims;
pub(crate) use id_token::is_name;
pub use person::{Admission, Pool, ProviderPerson, admit, best_word, regroup};

/// A provider as its own documents describe it.
#[derive(Debug, Clone)]
pub struct Provider {
    spec: ProviderSpec,
    issuer: String,
    metadata: CoreProviderMetadata,
    names_itself: bool,
}

/// What is remembered of one trip to a provider; sealed in the flow, used once.
#[derive(Clone, Serialize, Deserialize)]
pub struct Attempt {
    state: String,
    nonce: String,
    verifier: String,
    begun: Timestamp,
    fresh: bool,
}

/// What is asked of the provider beside who it is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ask<'a> {
    /// The person is to prove themselves anew (`max_age=0`).
    pub fresh: bool,
    /// At least this assurance, by the tenant's own table of what the provider's words are worth.
    pub assurance: Option<Assurance>,
    /// The address that the person typed.
    pub hint: Option<&'a Email>,
}

/// Why a provider's word is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Its documents are not what they should be.
    #[error("the provider's {document} is unusable: {cause}")]
    Document {
        /// Which one.
        document: &'static str,
        /// Why.
        cause: String,
    },
    /// The answer is malformed, doubled, or belongs to another sign-in.
    #[error("the provider's answer is unusable: {0}")]
    Answer(&'static str),
    /// The provider itself said no.
    #[error("the provider refused: `{0}`")]
    Provider(String),
    /// The provider could not be reached.
    #[error("the provider cannot be reached: {0}")]
    Unreachable(String),
    /// The token's key is not among those known. Fetching the keys anew may help, once.
    #[error("the token is signed with a key that is not published")]
    UnknownKey,
    /// The token does not verify.
    #[error("the provider's token does not verify: {0}")]
    Token(String),
}

/// Every claim beside the standard ones.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Further {
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}
impl AdditionalClaims for Further {}

type Fields = IdTokenFields<
    Further,
    openidconnect::EmptyExtraTokenFields,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm,
>;
type Answer = StandardTokenResponse<Fields, CoreTokenType>;
type Client = openidconnect::Client<
    Further,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    Answer,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// How far a provider's clock may be off. A minute: enough for any that is kept at all.
pub(crate) const SKEW: Duration = Duration::from_secs(60);

impl Provider {
    /// Where the provider describes itself (OpenID Connect Discovery 1.0 section 4.1).
    pub fn discovery_url(spec: &ProviderSpec) -> String {
        format!("{}/.well-known/openid-configuration", spec.issuer.as_str().trim_end_matches('/'))
    }

    /// Reads the discovery document. Its issuer must be the one that was asked, letter by letter (section 4.3), and no
    /// endpoint may be less protected than the issuer.
    pub fn read(spec: &ProviderSpec, document: &[u8]) -> Result<Self, Refused> {
        let bad = |cause: String| Refused::Document { document: "discovery document", cause };
        let metadata: CoreProviderMetadata = serde_json::from_slice(document).map_err(|e| bad(e.to_string()))?;
        let raw: Value = serde_json::from_slice(document).map_err(|e| bad(e.to_string()))?;
        let issuer = raw["issuer"].as_str().unwrap_or_default().to_owned();
        // A slash alone behind the host is no other issuer: the provider writes it, or not. Nor is the host in other letters.
        let is_bare = spec.issuer.path() == "/";
        let bare = |text: &'_ str| text.strip_suffix('/').filter(|_| is_bare).unwrap_or(text).to_owned();
        if ![spec.issuer.written(), spec.issuer.as_str()].map(bare).contains(&bare(&issuer)) {
            return Err(bad(format!("it is issued by `{issuer}`, not by `{}`", spec.issuer)));
        }
        let token = metadata.token_endpoint().ok_or_else(|| bad("it names no token endpoint".to_owned()))?.url();
        let mut endpoints = vec![metadata.authorization_endpoint().url(), token, metadata.jwks_uri().url()];
        endpoints.extend(metadata.userinfo_endpoint().map(|endpoint| endpoint.url()));
        if let Some(weak) = endpoints.into_iter().find(|url| url.scheme() != spec.issuer.scheme()) {
            return Err(bad(format!("`{weak}` is not {}", spec.issuer.scheme())));
        }
        let names_itself = raw["authorization_response_iss_parameter_supported"] == Value::Bool(true);
        Ok(Self { spec: spec.clone(), issuer, metadata, names_itself })
    }

    /// The same provider with the keys of its JWKS document.
    pub fn with_keys(mut self, document: &[u8]) -> Result<Self, Refused> {
        let keys: CoreJsonWebKeySet = serde_json::from_slice(document)
            .map_err(|error| Refused::Document { document: "key set", cause: error.to_string() })?;
        if keys.keys().is_empty() {
            return Err(Refused::Document { document: "key set", cause: "it holds no key".to_owned() });
        }
        self.metadata = self.metadata.set_jwks(keys);
        Ok(self)
    }

    /// The tenant's word on this provider.
    pub const fn spec(&self) -> &ProviderSpec {
        &self.spec
    }

    /// The issuer, letter by letter.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The keys that it signs with.
    pub(crate) fn keys(&self) -> &CoreJsonWebKeySet {
        self.metadata.jwks()
    }

    /// Where browsers are sent.
    pub fn authorization_url(&self) -> &Url {
        self.metadata.authorization_endpoint().url()
    }

    /// Where its keys are.
    pub fn jwks_url(&self) -> &Url {
        self.metadata.jwks_uri().url()
    }

    /// Where more of a person's claims are.
    pub fn userinfo_url(&self) -> Option<&Url> {
        self.metadata.userinfo_endpoint().map(|endpoint| endpoint.url())
    }

    /// Where to send the browser, and what to remember until it comes back.
    pub fn send(
        &self,
        redirect: &Url,
        ask: Ask<'_>,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<(Url, Attempt), Refused> {
        let draw = || URL_SAFE_NO_PAD.encode(entropy::bytes::<32>(entropy));
        let attempt = Attempt { state: draw(), nonce: draw(), verifier: draw(), begun: now, fresh: ask.fresh };
        let client = self.client(redirect, None)?;
        let (state, nonce) = (attempt.state.clone(), attempt.nonce.clone());
        let verifier = PkceCodeVerifier::new(attempt.verifier.clone());
        let mut request = client
            .authorize_url(
                CoreAuthenticationFlow::AuthorizationCode,
                move || CsrfToken::new(state),
                move || Nonce::new(nonce),
            )
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier));
        for scope in self.spec.scopes.iter().filter(|scope| *scope != "openid") {
            request = request.add_scope(Scope::new(scope.clone()));
        }
        if let Some(level) = ask.assurance {
            for (value, _) in self.spec.assurance.iter().filter(|(_, worth)| **worth >= level) {
                request = request.add_auth_context_value(AuthenticationContextClass::new(value.clone()));
            }
        }
        if ask.fresh {
            request = request.set_max_age(Duration::ZERO);
        }
        if let Some(email) = ask.hint {
            request = request.set_login_hint(LoginHint::new(email.to_string()));
        }
        let (url, _, _) = request.url();
        Ok((url, attempt))
    }

    fn client(&self, redirect: &Url, secret: Option<&str>) -> Result<Client, Refused> {
        let client_id = ClientId::new(self.spec.client_id.clone());
        let secret = secret.map(|secret| ClientSecret::new(secret.to_owned()));
        let client = openidconnect::Client::from_provider_metadata(self.metadata.clone(), client_id, secret);
        Ok(client.set_auth_type(self.auth_type()).set_redirect_uri(RedirectUrl::from_url(redirect.clone())))
    }

    /// `client_secret_basic` unless the provider lists methods and this is not among them (Core section 9).
    fn auth_type(&self) -> AuthType {
        match self.metadata.token_endpoint_auth_methods_supported() {
            Some(methods) if !methods.contains(&CoreClientAuthMethod::ClientSecretBasic) => AuthType::RequestBody,
            _ => AuthType::BasicAuth,
        }
    }

    fn issuer_url(&self) -> Result<IssuerUrl, Refused> {
        IssuerUrl::new(self.issuer.clone())
            .map_err(|error| Refused::Document { document: "discovery document", cause: error.to_string() })
    }
}

impl Attempt {
    /// What comes back in `state`.
    pub fn state(&self) -> &str {
        &self.state
    }

    #[cfg(test)]
    pub(crate) fn for_tests() -> Self {
        let (state, nonce, verifier) = ("state".to_owned(), "nonce".to_owned(), "verifier".to_owned());
        Self { state, nonce, verifier, begun: crate::testing::now(), fresh: false }
    }
}

impl std::fmt::Debug for Attempt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Attempt(***)")
    }
}

#[cfg(test)]
mod tests;
