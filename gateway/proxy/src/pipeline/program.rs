//! From a program's token to who asks (RFC 6750, RFC 9449, RFC 8705).

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use cardea_core::{Reason, Timestamp};
use cardea_identity::oauth2::{access_token::Confirmation, dpop};
use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::{Asker, Canonical, Connection, Fail, Limits, Proxy, Site, Story};
use crate::{
    App,
    live_token::{Judged, LiveToken, Shown},
};

/// The header of a proof of possession (RFC 9449 section 4.1).
pub(crate) const DPOP: HeaderName = HeaderName::from_static("dpop");

/// Proofs that were shown and could be shown again, by what they are spent as. INVARIANT: bounded; where there is no room for one
/// more, it is refused, since it could not be known again.
#[derive(Debug, Default)]
pub(super) struct Spent(Mutex<HashMap<[u8; 32], Timestamp>>);

/// Proofs of a minute: a thousand requests a second with one each.
const PROOFS: usize = 65_536;

impl Spent {
    /// Notes that a proof was shown; false where it was already, or cannot be noted.
    fn spend(&self, proof: &dpop::Proof, now: Timestamp) -> bool {
        let mut spent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if spent.len() >= PROOFS {
            spent.retain(|_, until| *until > now);
        }
        if spent.len() >= PROOFS || spent.get(&proof.spent_as).is_some_and(|until| *until > now) {
            return false;
        }
        spent.insert(proof.spent_as, proof.until);
        true
    }
}

impl Proxy {
    /// Who asks by a token, where one of the tenant's is shown; nobody where none is. What says that it is one and is not, or is not good
    /// here, is a refusal, and never a visitor: whoever shows it meant to be somebody.
    pub(super) async fn program(
        &self,
        story: &mut Story,
        (site, app): (&Site, &App),
        canonical: &Canonical,
        connection: &Connection,
        (headers, limits): (&mut HeaderMap, &Limits),
    ) -> Result<Option<Asker>, Fail> {
        // Our own pages take no token for a person, and read it themselves where they take any.
        if app.own.is_some() {
            return Ok(None);
        }
        let Some(text) = shown(headers)? else { return Ok(None) };
        let (tenant, now) = (&site.tenant.id, self.now());
        let judged = match self.parts.tokens.known(tenant, text.as_shown(), now) {
            Some(token) => Judged::Good(token),
            None => {
                let _shares = self.share_of_questions(tenant, canonical.client(), limits)?;
                let judging = self.parts.tokens.judge(tenant, text.as_shown(), now);
                judging.await.map_err(|fault| self.silent(&fault))?
            }
        };
        let token = match judged {
            Judged::Good(token) => token,
            Judged::Foreign => return Ok(None),
            Judged::Refused(why) => return Err(story.is_refused(why, Reason::TokenRefused)),
        };
        // INVARIANT: checked here, whatever was kept: its own tenant, its time, this app, and whoever it is bound to.
        if token.tenant != *tenant || !token.is_live(now) {
            return Err(story.is_refused("it is another tenant's, or over", Reason::TokenRefused));
        }
        if !token.apps.contains(&app.spec.id) {
            return Err(story.is_refused("it is for another app", Reason::TokenRefused));
        }
        if story.asking.is_some() {
            // Its service would be sent the token, which nobody can take away on the way.
            return Err(story.is_refused("it came through another proxy", Reason::TokenRefused));
        }
        let url = format!("{}{}", crate::challenge::origin(canonical, limits.public_port), canonical.path());
        self.is_bound(story, &token, &text, (canonical.method().as_str(), &url), connection, headers)?;
        headers.remove(header::AUTHORIZATION);
        headers.remove(DPOP);
        Ok(Some(Asker::Token(token)))
    }

    /// Whether who shows the token is who it was given to, where it says so.
    fn is_bound(
        &self,
        story: &mut Story,
        token: &LiveToken,
        text: &Text,
        (method, url): (&str, &str),
        connection: &Connection,
        headers: &HeaderMap,
    ) -> Result<(), Fail> {
        let refused = |story: &mut Story, why| Err(story.is_refused(why, Reason::ProofRefused));
        match (&token.bound, text.with_proof) {
            (None, false) => Ok(()),
            (None, true) => refused(story, "it is not bound to a key"),
            (Some(Confirmation::Certificate(thumbprint)), false) => {
                let shown = connection.certificate.as_deref().map(|one| Confirmation::of_certificate(one.der()));
                match shown {
                    Some(Confirmation::Certificate(shown)) if shown == *thumbprint => Ok(()),
                    _ => refused(story, "its certificate is not the connection's"),
                }
            }
            (Some(Confirmation::Certificate(_)), true) => refused(story, "it is bound to a certificate"),
            (Some(Confirmation::Key(_)), false) => refused(story, "it is bound to a key, and came without its proof"),
            (Some(Confirmation::Key(thumbprint)), true) => {
                let now = self.now();
                let expected = dpop::Expected { method, url, token: Some(text.as_str()), now };
                let mut proofs = headers.get_all(DPOP).iter();
                let proof = match (proofs.next().map(HeaderValue::to_str), proofs.next()) {
                    (Some(Ok(proof)), None) => proof,
                    _ => return refused(story, "it needs one proof, and came with none or several"),
                };
                let proof = match dpop::verify(proof, &expected) {
                    Ok(proof) => proof,
                    Err(why) => return refused(story, why.0),
                };
                if proof.thumbprint != *thumbprint {
                    return refused(story, "the proof is of another key");
                }
                if !self.spent.spend(&proof, now) {
                    return refused(story, "the proof was shown before");
                }
                Ok(())
            }
        }
    }
}

/// A token as it stands in the request.
struct Text {
    header: HeaderValue,
    begins_at: usize,
    with_proof: bool,
}

impl Text {
    fn as_str(&self) -> &str {
        // What is no text was refused when it was read.
        self.header.to_str().ok().and_then(|text| text.get(self.begins_at..)).unwrap_or_default()
    }

    fn as_shown(&self) -> Shown<'_> {
        Shown { text: self.as_str(), with_proof: self.with_proof }
    }
}

/// What the `Authorization` header shows, if that is a token of any kind. It stands once: clean headers have no single header twice.
fn shown(headers: &HeaderMap) -> Result<Option<Text>, Fail> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), more) = (all.next(), all.next()) else { return Ok(None) };
    let Ok(text) = value.to_str() else { return Ok(None) };
    let Some((scheme, rest)) = text.split_once(' ') else { return Ok(None) };
    let with_proof = scheme.eq_ignore_ascii_case("dpop");
    if !with_proof && !scheme.eq_ignore_ascii_case("bearer") {
        return Ok(None);
    }
    if more.is_some() {
        return Err(Reason::BadHeader.into());
    }
    let begins_at = text.len() - rest.trim_start_matches(' ').len();
    Ok(Some(Text { header: value.clone(), begins_at, with_proof }))
}

/// A token's asker may do no more than its scope says, whatever the policies say.
pub(super) fn in_scope(asker: &Asker, action: &str, kind: &str) -> bool {
    match asker {
        Asker::Token(token) => token.scope.covers(action, kind),
        Asker::Session(_) | Asker::Other(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(value: &str) -> Option<(String, bool)> {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        shown(&headers).ok().flatten().map(|text| (text.as_str().to_owned(), text.with_proof))
    }

    #[test]
    fn a_token_is_what_stands_behind_one_of_two_words() {
        assert_eq!(of("Bearer abc"), Some(("abc".to_owned(), false)));
        assert_eq!(of("bearer  abc"), Some(("abc".to_owned(), false)));
        assert_eq!(of("DPoP abc"), Some(("abc".to_owned(), true)));
        for other in ["Basic abc", "Bearer", "Digest a=b", "abc", "Bearerabc"] {
            assert_eq!(of(other), None, "{other}");
        }
    }

    #[test]
    fn two_authorizations_have_two_readings() {
        let mut headers = HeaderMap::new();
        for value in ["Bearer a", "Bearer b"] {
            headers.append(header::AUTHORIZATION, HeaderValue::from_static(value));
        }
        assert!(shown(&headers).is_err());
    }

    #[test]
    fn a_proof_is_shown_once_and_forgotten_in_time() {
        let spent = Spent::default();
        let at = |seconds: i64| Timestamp::from_secs(1_800_000_000 + seconds);
        let proof = |byte: u8| dpop::Proof { thumbprint: "x".into(), spent_as: [byte; 32], until: at(60) };
        assert!(spent.spend(&proof(1), at(0)) && spent.spend(&proof(2), at(0)));
        assert!(!spent.spend(&proof(1), at(59)));
        assert!(spent.spend(&proof(1), at(60)), "its time is over, so that it verifies no more");
    }
}
