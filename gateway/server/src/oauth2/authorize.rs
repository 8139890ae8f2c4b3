//! An authorization request (RFC 6749 section 4.1.1, OAuth 2.1, RFC 9207): read, and answered by way of the person's browser.

use std::collections::{BTreeMap, BTreeSet};

use cardea_core::{
    AppId, ClientId, Reason,
    resources::{ClientSpec, GrantType, is_loopback},
};
use cardea_identity::oauth2::{Scope, pkce::CodeChallenge};
use url::Url;

use super::{code::Code, consent::Consent};
use crate::{House, state::TenantState};

/// What a client asks a person for.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) client: ClientSpec,
    redirect_uri: String,
    state: Option<String>,
    challenge: CodeChallenge,
    pub(crate) scope: Scope,
    pub(crate) apps: BTreeSet<AppId>,
    key: Option<String>,
}

/// Why a request is not put to the person.
#[derive(Debug)]
pub(crate) enum Unasked {
    /// INVARIANT: nobody is sent anywhere unless the client and its address are known (RFC 9700 section 4.11).
    Here(Reason),
    /// The client is told, at its own address.
    There(String),
}

impl Request {
    /// Reads a request's parameters.
    pub(crate) fn read(house: &House, tenant: &TenantState, form: &BTreeMap<String, String>) -> Result<Self, Unasked> {
        let get = |name: &str| form.get(name).map(String::as_str).filter(|value| !value.is_empty());
        let id = get("client_id").and_then(|id| ClientId::parse(id).ok());
        let client = id.and_then(|id| tenant.bundle.clients.get(&id)).ok_or(Unasked::Here(Reason::ForeignReturn))?;
        let redirect_uri = get("redirect_uri").map(str::to_owned).or_else(|| only(&client.redirect_uris));
        let redirect_uri = redirect_uri.filter(|uri| is_registered(client, uri));
        let redirect_uri = redirect_uri.ok_or(Unasked::Here(Reason::ForeignReturn))?;
        let state = get("state").map(str::to_owned);
        let back = |error: &str, says: &str| {
            let issuer = &tenant.route.sign_in_origin;
            let pairs = [("error", error), ("error_description", says)];
            Unasked::There(address(&redirect_uri, &pairs, state.as_deref(), issuer))
        };
        if !client.grants.contains(&GrantType::AuthorizationCode) {
            return Err(back("unauthorized_client", "the client may not come by tokens so"));
        }
        for named in ["request", "request_uri"] {
            if get(named).is_some() {
                return Err(back(&format!("{named}_not_supported"), "the request is to stand in the query"));
            }
        }
        if get("response_mode").is_some_and(|mode| mode != "query") {
            return Err(back("invalid_request", "`response_mode` is to be `query`"));
        }
        if get("response_type") != Some("code") {
            return Err(back("unsupported_response_type", "`response_type` is to be `code`"));
        }
        let challenge = get("code_challenge")
            .and_then(|challenge| CodeChallenge::parse(challenge, get("code_challenge_method").unwrap_or_default()));
        let Some(challenge) = challenge else {
            return Err(back("invalid_request", "`code_challenge` of the method `S256` is needed (RFC 7636)"));
        };
        let whole = Scope::of(client.scope.iter().map(String::as_str));
        let scope = whole.and_then(|whole| Scope::asked(get("scope"), &whole));
        let Ok(scope) = scope else {
            return Err(back("invalid_scope", "`scope` is to be of what the client may ask for"));
        };
        let apps = apps(house, tenant, client, get("resource"));
        if apps.is_empty() {
            return Err(back("invalid_target", "`resource` is to be the origin of an app that the client may use"));
        }
        let key = get("dpop_jkt").map(str::to_owned);
        Ok(Self { client: client.clone(), redirect_uri, state, challenge, scope, apps, key })
    }

    /// Where the browser goes with a yes: a code is made for it.
    pub(crate) async fn allow(
        &self,
        house: &House,
        tenant: &TenantState,
        consent: Consent,
    ) -> Result<String, cardea_storage::StoreFault> {
        let code = Code {
            consent,
            redirect_uri: self.redirect_uri.clone(),
            challenge: self.challenge.clone(),
            key: self.key.clone(),
        };
        let code = house.code(tenant, &code, house.now()).await?.expose_text();
        Ok(address(&self.redirect_uri, &[("code", &code)], self.state.as_deref(), &tenant.route.sign_in_origin))
    }

    /// Where it goes with a no.
    pub(crate) fn deny(&self, tenant: &TenantState) -> String {
        let pairs = [("error", "access_denied"), ("error_description", "the person said no")];
        address(&self.redirect_uri, &pairs, self.state.as_deref(), &tenant.route.sign_in_origin)
    }

    /// The origin to which the browser goes in either case.
    pub(crate) fn leads_to(&self) -> Option<String> {
        Url::parse(&self.redirect_uri).ok().map(|url| url.origin().ascii_serialization())
    }
}

/// The apps that are asked for (RFC 8707): all that the client may use, or the one that is named by its origin.
pub(super) fn apps(
    house: &House,
    tenant: &TenantState,
    client: &ClientSpec,
    resource: Option<&str>,
) -> BTreeSet<AppId> {
    let here = |app: &&AppId| tenant.bundle.apps.contains_key(*app);
    let all: BTreeSet<_> = client.apps.iter().filter(here).cloned().collect();
    match resource {
        None => all,
        Some(resource) => {
            let origin = resource.trim_end_matches('/').to_owned();
            house.apps_of(tenant, &[origin]).intersection(&all).cloned().collect()
        }
    }
}

fn only(uris: &[String]) -> Option<String> {
    match uris {
        [one] => Some(one.clone()),
        _ => None,
    }
}

/// Whether an address is one of the client's, letter by letter; of a loopback address the port is left open, since a tool takes
/// the one that is free (RFC 8252 section 7.3).
fn is_registered(client: &ClientSpec, uri: &str) -> bool {
    client.redirect_uris.iter().any(|known| known == uri || is_same_but_for_its_port(known, uri))
}

fn is_same_but_for_its_port(known: &str, uri: &str) -> bool {
    let (Ok(known), Ok(mut asked)) = (Url::parse(known), Url::parse(uri)) else { return false };
    // What the parser would repair is another address than the one that was written.
    if !is_loopback(&known) || asked.as_str() != uri || asked.set_port(known.port()).is_err() {
        return false;
    }
    asked == known
}

/// The client's address with what it is told.
fn address(uri: &str, pairs: &[(&str, &str)], state: Option<&str>, issuer: &str) -> String {
    let Ok(mut url) = Url::parse(uri) else { return uri.to_owned() };
    {
        let mut query = url.query_pairs_mut();
        query.extend_pairs(pairs);
        if let Some(state) = state {
            query.append_pair("state", state);
        }
        query.append_pair("iss", issuer);
    }
    url.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(uris: &[&str]) -> ClientSpec {
        let spec = serde_json::json!({
            "id": "tool", "name": "Tool", "grants": ["authorization_code"], "apps": ["records"], "scope": ["read"],
            "redirect_uris": uris,
        });
        serde_json::from_value(spec).unwrap()
    }

    /// G30, RFC 9700 section 4.1: nothing but the registered address, or its port on the same machine.
    #[test]
    fn a_code_goes_to_no_address_but_a_registered_one() {
        let client = client(&["http://127.0.0.1/callback", "http://[::1]/callback", "https://tool.example/back?x=1"]);
        for good in [
            "http://127.0.0.1/callback",
            "http://127.0.0.1:51004/callback",
            "http://[::1]:51004/callback",
            "https://tool.example/back?x=1",
        ] {
            assert!(is_registered(&client, good), "{good}");
        }
        for bad in [
            "http://127.0.0.1:51004/callback/",
            "http://127.0.0.1:51004/callback?x=1",
            "http://127.0.0.1:51004/a/../callback",
            "http://127.0.0.1:51004/%63allback",
            "http://127.0.0.1:51004@evil.example/callback",
            "http://127.0.0.2:51004/callback",
            "http://localhost:51004/callback",
            "https://127.0.0.1:51004/callback",
            "https://tool.example:8443/back?x=1",
            "https://tool.example/back",
            "https://tool.example/back?x=1&y=2",
            "https://tool.example.evil.example/back?x=1",
            "https://TOOL.example/back?x=1",
            "//tool.example/back?x=1",
            "javascript:alert(1)",
            "",
        ] {
            assert!(!is_registered(&client, bad), "{bad}");
        }
    }

    #[test]
    fn the_client_is_told_beside_what_its_address_says_already() {
        let told = address("https://tool.example/back?x=1", &[("code", "a b")], Some("s&t"), "https://id.example");
        assert_eq!(told, "https://tool.example/back?x=1&code=a+b&state=s%26t&iss=https%3A%2F%2Fid.example");
    }
}
