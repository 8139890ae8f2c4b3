//! A session as it lies sealed in Redis: what its key and its fields do not say, in few bytes (CBOR, RFC 8949, with numbers for names).

use std::{borrow::Cow, net::IpAddr};

use cardea_core::{Assurance, FactorId, ProviderId, SessionId, TenantId, Timestamp, UserId};
use cardea_identity::{
    Session,
    assurance::{Means, Proof},
    pool::{AccountId, Origin},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Visitor};

use crate::StoreFault;

/// INVARIANT: fields are known by their order. A new one is the last and has a default, so that what was kept before still reads.
/// Times are microseconds after `created`, which is after 1970.
#[derive(Serialize, Deserialize)]
struct Kept<'a> {
    user: Id,
    assurance: Assurance,
    proofs: Vec<(How<'a>, i64)>,
    created: i64,
    signed_in: i64,
    expires: i64,
    agent: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    client: Option<IpAddr>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    by_link: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    joined: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    risen: Option<i64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    before: Vec<Id>,
}

/// As [`Means`], each by a letter.
#[derive(Serialize, Deserialize)]
enum How<'a> {
    #[serde(rename = "w")]
    Password(Id),
    #[serde(rename = "t")]
    Totp(Id),
    #[serde(rename = "k")]
    Passkey(Id, bool, bool),
    #[serde(rename = "r")]
    Recovery(Id),
    #[serde(rename = "d")]
    Remembered(Id),
    #[serde(rename = "e")]
    Email,
    #[serde(rename = "o")]
    Oidc(Cow<'a, ProviderId>, Assurance, Origin, Option<Cow<'a, AccountId>>, Option<Cow<'a, str>>),
}

/// An id as its bytes.
#[derive(Clone, Copy)]
struct Id([u8; 16]);

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Bytes;

        impl Visitor<'_> for Bytes {
            type Value = Id;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("the 16 bytes of an id")
            }

            fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Id, E> {
                bytes.try_into().map(Id).map_err(|_| E::invalid_length(bytes.len(), &self))
            }
        }

        d.deserialize_bytes(Bytes)
    }
}

/// What is to be sealed of a session.
pub(super) fn plain(session: &Session) -> Result<Vec<u8>, StoreFault> {
    let after = |at: Timestamp| at.as_micros() - session.created.as_micros();
    let kept = Kept {
        user: Id(*session.user.as_bytes()),
        assurance: session.assurance,
        proofs: session.proofs.iter().map(|proof| (How::of(&proof.means), after(proof.at))).collect(),
        created: session.created.as_micros(),
        signed_in: after(session.signed_in_at),
        expires: after(session.expires),
        agent: Cow::Borrowed(&session.agent),
        client: session.client,
        by_link: session.by_link,
        joined: session.joined,
        risen: session.risen_at.map(after),
        before: session.before.iter().map(|id| Id(*id.as_bytes())).collect(),
    };
    serde_cbor_2::ser::to_vec_packed(&kept).map_err(|why| StoreFault::corrupt("session", why))
}

/// The session that was sealed: not ended, of version 0, and last seen as it began. One that was copied from a file is as that had it,
/// in JSON.
pub(super) fn session(tenant: &TenantId, id: SessionId, plain: &[u8]) -> Result<Session, StoreFault> {
    if plain.starts_with(b"{") {
        let session: Session = serde_json::from_slice(plain).map_err(|why| StoreFault::corrupt("session", why))?;
        return Ok(Session { ended: None, version: 0, ..session });
    }
    let kept: Kept<'_> = serde_cbor_2::from_slice(plain).map_err(|why| StoreFault::corrupt("session", why))?;
    let at = |after: i64| Timestamp::from_micros(kept.created.saturating_add(after));
    Ok(Session {
        id,
        tenant: tenant.clone(),
        user: UserId::from_bytes(kept.user.0),
        assurance: kept.assurance,
        signed_in_at: at(kept.signed_in),
        created: at(0),
        last_seen: at(0),
        expires: at(kept.expires),
        client: kept.client,
        by_link: kept.by_link,
        joined: kept.joined,
        risen_at: kept.risen.map(at),
        before: kept.before.iter().map(|id| SessionId::from_bytes(id.0)).collect(),
        proofs: kept.proofs.into_iter().map(|(how, after)| Proof { means: how.means(), at: at(after) }).collect(),
        agent: kept.agent.into_owned(),
        ended: None,
        version: 0,
    })
}

impl<'a> How<'a> {
    fn of(means: &'a Means) -> Self {
        let id = |factor: &FactorId| Id(*factor.as_bytes());
        match means {
            Means::Password { factor } => Self::Password(id(factor)),
            Means::Totp { factor } => Self::Totp(id(factor)),
            Means::Passkey { factor, user_verified, bound } => Self::Passkey(id(factor), *user_verified, *bound),
            Means::Recovery { factor } => Self::Recovery(id(factor)),
            Means::Remembered { factor } => Self::Remembered(id(factor)),
            Means::Email => Self::Email,
            Means::Oidc { provider, assurance, origin, account, sid } => Self::Oidc(
                Cow::Borrowed(provider),
                *assurance,
                *origin,
                account.as_ref().map(Cow::Borrowed),
                sid.as_deref().map(Cow::Borrowed),
            ),
        }
    }

    fn means(self) -> Means {
        let factor = |id: Id| FactorId::from_bytes(id.0);
        match self {
            Self::Password(id) => Means::Password { factor: factor(id) },
            Self::Totp(id) => Means::Totp { factor: factor(id) },
            Self::Passkey(id, user_verified, bound) => Means::Passkey { factor: factor(id), user_verified, bound },
            Self::Recovery(id) => Means::Recovery { factor: factor(id) },
            Self::Remembered(id) => Means::Remembered { factor: factor(id) },
            Self::Email => Means::Email,
            Self::Oidc(provider, assurance, origin, account, sid) => Means::Oidc {
                provider: provider.into_owned(),
                assurance,
                origin,
                account: account.map(Cow::into_owned),
                sid: sid.map(Cow::into_owned),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use cardea_core::entropy::Fixed;
    use cardea_identity::session::{End, EndReason};

    use super::*;
    use crate::testing::{t0, tenant};

    fn session_of(means: Vec<Means>) -> Session {
        let proofs = means.into_iter().map(|means| Proof { means, at: t0() }).collect();
        let start = cardea_identity::session::Start {
            tenant: tenant("acme"),
            user: UserId::mint(t0(), &Fixed::new(1)),
            proofs,
            agent: "Firefox on Linux".to_owned(),
            client: Some([192, 0, 2, 7].into()),
            rules: &cardea_core::resources::SessionRules::default(),
            now: t0(),
        };
        Session::begin(start, &Fixed::new(2)).unwrap()
    }

    fn every_means() -> Vec<Means> {
        let factor = FactorId::mint(t0(), &Fixed::new(3));
        let provider = ProviderId::parse("corp").unwrap();
        let oidc = |origin, account, sid| Means::Oidc {
            provider: provider.clone(),
            assurance: Assurance::Two,
            origin,
            account,
            sid,
        };
        vec![
            Means::Password { factor },
            Means::Totp { factor },
            Means::Passkey { factor, user_verified: true, bound: false },
            Means::Passkey { factor, user_verified: false, bound: true },
            Means::Recovery { factor },
            Means::Remembered { factor },
            Means::Email,
            oidc(Origin::Provider, None, None),
            oidc(Origin::Person, Some(AccountId::of(&provider, t0())), Some("theirs".to_owned())),
        ]
    }

    fn back(session: &Session) -> Session {
        super::session(&session.tenant, session.id, &plain(session).unwrap()).unwrap()
    }

    #[test]
    fn all_of_a_session_reads_back_but_what_its_fields_say() {
        let begun = session_of(every_means());
        assert_eq!(back(&begun), begun);
        let later = t0().plus(std::time::Duration::from_millis(90_500));
        let risen = begun.stepped_up(&[Proof { means: Means::Email, at: later }], later, &Fixed::new(4));
        let whole = Session {
            by_link: true,
            joined: true,
            risen_at: Some(later),
            client: Some(std::net::Ipv6Addr::LOCALHOST.into()),
            ..risen
        };
        assert_eq!(back(&whole), Session { last_seen: whole.created, ..whole.clone() });
        let bare = Session { client: None, agent: String::new(), ..begun };
        assert_eq!(back(&bare), bare);
    }

    #[test]
    fn what_was_copied_from_a_file_reads_as_it_is_there() {
        let ended = session_of(vec![Means::Email]).ended(EndReason::SignedOut, t0());
        assert_eq!(ended.ended, Some(End { at: t0(), why: EndReason::SignedOut }));
        let json = serde_json::to_vec(&ended).unwrap();
        let read = session(&ended.tenant, ended.id, &json).unwrap();
        assert_eq!(read, Session { ended: None, version: 0, ..ended });
    }

    /// Whatever is changed here, gateways of this version and the next read what the other has kept, while they are replaced one by one.
    #[test]
    fn what_is_kept_is_as_it_was() {
        let factor = FactorId::from_bytes([7; 16]);
        let session = session_of(vec![Means::Password { factor }, Means::Totp { factor }]);
        let kept = "a80050019aaaac260075058b101d169256c15c0102028282a1617750070707070707070707070707070707070082a1617450\
                    0707070707070707070707070707070700031b0006442ab07470000400051b0000000a0eebb000067046697265666f78206f6e20\
                    4c696e757807a16256348418c0000207";
        let bytes = plain(&session).unwrap();
        assert_eq!(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>(), kept);
        assert_eq!(back(&session), session);
    }

    #[test]
    fn what_is_no_session_is_a_fault() {
        let id = SessionId::from_bytes([1; 16]);
        let whole = plain(&session_of(vec![Means::Email])).unwrap();
        for bad in [&[][..], b"{}", &whole[1..], &whole[..whole.len() - 1], &[0x80]] {
            assert!(matches!(session(&tenant("acme"), id, bad), Err(StoreFault::Corrupt { .. })), "{bad:02x?}");
        }
    }
}
