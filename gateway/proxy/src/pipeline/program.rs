//! From a program's token to who asks (RFC 6750, RFC 9449, RFC 8705).

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use cardea_core::{Reason, Timestamp};
use cardea_identity::oauth2::{access_token::Confirmation, dpop};
use cardea_policy::Target;
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
pub(super) struct Spent(Mutex<Shelf>);

#[derive(Debug, Default)]
struct Shelf {
    /// By the thumbprint of its key: no key takes the room of all.
    of_keys: HashMap<String, HashMap<[u8; 32], Timestamp>>,
    held: usize,
    swept_at: Option<Timestamp>,
}

/// Proofs of a minute with one key: a thousand requests a second.
const OF_ONE_KEY: usize = 65_536;

/// Proofs of a minute with all keys; sixteen megabytes.
const PROOFS: usize = 262_144;

impl Spent {
    /// Notes that a proof was shown; why not, where it was already, or cannot be noted.
    fn spend(&self, proof: &dpop::Proof, now: Timestamp) -> Result<(), Reason> {
        let mut shelf = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_key = |shelf: &Shelf| shelf.of_keys.get(&proof.thumbprint).map_or(0, HashMap::len);
        if shelf.held >= PROOFS || of_key(&shelf) >= OF_ONE_KEY {
            shelf.sweep(now);
        }
        let before = shelf.of_keys.get(&proof.thumbprint).and_then(|spent| spent.get(&proof.spent_as));
        if before.is_some_and(|until| *until > now) {
            return Err(Reason::ProofRefused);
        }
        let again = before.is_some();
        if of_key(&shelf) >= OF_ONE_KEY || shelf.held >= PROOFS {
            return Err(Reason::TooManyRequests);
        }
        let key = proof.thumbprint.clone();
        shelf.of_keys.entry(key).or_default().insert(proof.spent_as, proof.until);
        shelf.held += usize::from(!again);
        Ok(())
    }
}

impl Shelf {
    /// Lets go of what is over, once a second at the most: a full shelf is not gone through for every request.
    fn sweep(&mut self, now: Timestamp) {
        if self.swept_at.is_some_and(|at| now.since(at) < Duration::from_secs(1)) {
            return;
        }
        self.swept_at = Some(now);
        self.of_keys.retain(|_, spent| {
            spent.retain(|_, until| *until > now);
            !spent.is_empty()
        });
        self.held = self.of_keys.values().map(HashMap::len).sum();
    }
}

/// A program that asks, and the proof that came with its token and is yet to be spent.
pub(super) struct Program {
    pub(super) asker: Asker,
    pub(super) proof: Option<dpop::Proof>,
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
    ) -> Result<Option<Program>, Fail> {
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
        let shown = (&text, connection, &*headers);
        let proof = self.is_bound(story, &token, (canonical.method().as_str(), &url), shown)?;
        headers.remove(header::AUTHORIZATION);
        headers.remove(DPOP);
        Ok(Some(Program { asker: Asker::Token(token), proof }))
    }

    /// Spends the proof of a request that is allowed. INVARIANT: last of all questions, so that what is refused otherwise takes no room.
    pub(super) fn spend(&self, story: &mut Story, proof: Option<&dpop::Proof>) -> Result<(), Fail> {
        let Some(proof) = proof else { return Ok(()) };
        self.spent.spend(proof, self.now()).map_err(|reason| match reason {
            Reason::ProofRefused => story.is_refused("the proof was shown before", reason),
            other => other.into(),
        })
    }

    /// Whether who shows the token is who it was given to, where it says so.
    fn is_bound(
        &self,
        story: &mut Story,
        token: &LiveToken,
        (method, url): (&str, &str),
        (text, connection, headers): (&Text, &Connection, &HeaderMap),
    ) -> Result<Option<dpop::Proof>, Fail> {
        let refused = |story: &mut Story, why| Err(story.is_refused(why, Reason::ProofRefused));
        match (&token.bound, text.with_proof) {
            (None, false) => Ok(None),
            (None, true) => refused(story, "it is not bound to a key"),
            (Some(Confirmation::Certificate(thumbprint)), false) => {
                let shown = connection.certificate.as_deref().map(|one| Confirmation::of_certificate(one.der()));
                match shown {
                    Some(Confirmation::Certificate(shown)) if shown == *thumbprint => Ok(None),
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
                Ok(Some(proof))
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
    let Some((scheme, rest)) = text.trim_start().split_once([' ', '\t']) else { return Ok(None) };
    let with_proof = scheme.eq_ignore_ascii_case("dpop");
    if !with_proof && !scheme.eq_ignore_ascii_case("bearer") {
        return Ok(None);
    }
    if more.is_some() {
        return Err(Reason::BadHeader.into());
    }
    let begins_at = text.len() - rest.trim_start_matches([' ', '\t']).len();
    Ok(Some(Text { header: value.clone(), begins_at, with_proof }))
}

/// A token's asker may do no more than its scope says, whatever the policies say.
pub(super) fn in_scope(asker: &Asker, target: &Target) -> bool {
    match asker {
        Asker::Token(token) => target.is_in_scope(token.scope.as_slice()),
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
        assert_eq!(of("Bearer\tabc"), Some(("abc".to_owned(), false)));
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
        assert_eq!((spent.spend(&proof(1), at(0)), spent.spend(&proof(2), at(0))), (Ok(()), Ok(())));
        assert_eq!(spent.spend(&proof(1), at(59)), Err(Reason::ProofRefused));
        assert_eq!(spent.spend(&proof(1), at(60)), Ok(()), "its time is over, so that it verifies no more");
    }

    /// One key once filled the room of all, and every other program was told that its proof was shown before.
    #[test]
    fn a_key_with_too_many_proofs_leaves_room_for_others() {
        let spent = Spent::default();
        let at = |seconds: i64| Timestamp::from_secs(1_800_000_000 + seconds);
        let proof = |key: &str, number: usize| {
            let mut spent_as = [0; 32];
            spent_as.first_chunk_mut().into_iter().for_each(|part| *part = number.to_be_bytes());
            dpop::Proof { thumbprint: key.into(), spent_as, until: at(60) }
        };
        for number in 0..OF_ONE_KEY {
            assert_eq!(spent.spend(&proof("greedy", number), at(0)), Ok(()));
        }
        assert_eq!(spent.spend(&proof("greedy", OF_ONE_KEY), at(1)), Err(Reason::TooManyRequests));
        assert_eq!(spent.spend(&proof("greedy", 0), at(1)), Err(Reason::ProofRefused));
        assert_eq!(spent.spend(&proof("modest", 0), at(1)), Ok(()));
        assert_eq!(spent.spend(&proof("greedy", OF_ONE_KEY), at(60)), Ok(()), "a minute later there is room");
    }
}
