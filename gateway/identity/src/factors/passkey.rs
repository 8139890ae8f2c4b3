//! Passkeys (WebAuthn Level 3): enrolling, and proving with or without a user name. User verification is always asked
//! for and checked; a challenge lives in the store, once, and is taken before it is verified.
//!
//! Challenges are drawn by webauthn-rs from the system, the one randomness here that is not given.

use std::collections::BTreeMap;

use cardea_core::{Assurance, FactorId, Timestamp, UserId, resources::AttestedMake};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;
use webauthn_rs::{
    Webauthn, WebauthnBuilder,
    prelude::{
        AttestationCaList, AttestationCaListBuilder, AttestedPasskeyRegistration, DiscoverableAuthentication, Passkey,
        PasskeyAuthentication, PasskeyRegistration, PublicKeyCredential, RegisterPublicKeyCredential, WebauthnError,
    },
};

use crate::{
    assurance::Means,
    pool::{Factor, FactorData, User},
};

/// The relying party: a tenant's sign-in host.
#[derive(Debug)]
pub struct Site<'a> {
    webauthn: Webauthn,
    /// As browsers write it.
    origin: String,
    makes: &'a [AttestedMake],
}

/// A passkey that is being enrolled, between the two halves of the ceremony.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Enrolment(Way);

#[derive(Debug, Clone, Serialize, Deserialize)]
enum Way {
    /// Of any passkey.
    Any(Box<PasskeyRegistration>),
    /// Of one that proves to be of a listed make. The list is kept, so that it is judged by what it was asked for.
    Attested(Box<AttestedPasskeyRegistration>),
}

/// A proof that is being asked for, between the two halves of the ceremony.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Ceremony {
    /// From a known person, with one of their passkeys.
    Named(Box<PasskeyAuthentication>),
    /// From whoever the passkey says it is.
    Discoverable(Box<DiscoverableAuthentication>),
}

/// A passkey has proven itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Used {
    /// Which one.
    pub factor: FactorId,
    /// What it proves.
    pub means: Means,
    /// What to keep instead: the counter or a backup flag has moved.
    pub update: Option<FactorData>,
}

/// Why a passkey proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// The browser's answer is not one.
    #[error("the answer is not a passkey's")]
    Malformed,
    /// Another page asked for it, or ours in another's frame.
    #[error("the passkey was asked for by another page, or in another page's frame")]
    Elsewhere,
    /// It is not one of this person's, or is known already.
    #[error("the passkey is none of this person's")]
    Foreign,
    /// It does not prove to be of a make that the tenant lists.
    #[error("the passkey is not of a listed make: {0}")]
    OtherMake(String),
    /// Its counter went back: there are two of it, and one is a copy.
    #[error("the passkey's counter went back: a copy of it may exist")]
    Copied(FactorId),
    /// The ceremony failed: challenge, origin, signature.
    #[error("the passkey does not verify: {0}")]
    Unverified(String),
}

/// The sign-in host cannot be a relying party.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` cannot be a passkey's home: it must be a host name")]
pub struct NoSite(String);

/// What a tenant lists as a make cannot be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the make `{0}` has a root that is no certificate in PEM")]
pub struct NoMake(String);

impl<'a> Site<'a> {
    /// The relying party of a sign-in host, reached at `origin`. Its id is the host: a passkey made here works at no
    /// other host, not even a parent.
    pub fn new(host: &str, origin: &str, name: &str) -> Result<Self, NoSite> {
        let fail = || NoSite(origin.to_owned());
        let url = Url::parse(origin).map_err(|_| fail())?;
        let builder = WebauthnBuilder::new(host, &url).map_err(|_| fail())?;
        // INVARIANT: one exact origin, port included: no subdomains, no other ports.
        let webauthn = builder.rp_name(name).build().map_err(|_| fail())?;
        Ok(Self { webauthn, origin: url.origin().ascii_serialization(), makes: &[] })
    }

    /// The same, where only passkeys of these makes are enrolled; of any where there are none.
    #[must_use]
    pub fn of_makes(self, makes: &'a [AttestedMake]) -> Self {
        Self { makes, ..self }
    }

    /// Begins to enrol a passkey. The options are for `PublicKeyCredential.parseCreationOptionsFromJSON`; authenticators
    /// that the person has enrolled already will not offer themselves.
    pub fn begin_enrolment(&self, user: &User, enrolled: &[Factor]) -> Result<(Value, Enrolment), Rejected> {
        let known = passkeys(enrolled).map(|(_, passkey)| passkey.cred_id().clone()).collect();
        let (id, email, known) = (user.id.as_uuid(), user.email.as_str(), Some(known));
        let (options, way) = if self.makes.is_empty() {
            let begun = self.webauthn.start_passkey_registration(id, email, &user.name, known);
            begun.map(|(options, state)| (options, Way::Any(Box::new(state))))
        } else {
            let makes = listed(self.makes).map_err(|error| Rejected::OtherMake(error.to_string()))?;
            let begun = self.webauthn.start_attested_passkey_registration(id, email, &user.name, known, makes, None);
            begun.map(|(options, state)| (options, Way::Attested(Box::new(state))))
        }
        .map_err(unverified)?;
        let mut options = public_key(&options)?;
        // Discoverable, so that it also works without an e-mail address; what cannot store one still enrols.
        options["authenticatorSelection"]["residentKey"] = Value::from("preferred");
        Ok((options, Enrolment(way)))
    }

    /// Ends it: what to keep of the new passkey. The caller makes sure that no other person of the tenant has it: the
    /// store refuses a second factor with the same credential id.
    pub fn finish_enrolment(&self, answer: Value, state: &Enrolment) -> Result<FactorData, Rejected> {
        let answer: RegisterPublicKeyCredential = read(answer)?;
        self.is_asked_here(answer.response.client_data_json.as_ref())?;
        match &state.0 {
            Way::Any(state) => {
                let passkey = self.webauthn.finish_passkey_registration(&answer, state).map_err(unverified)?;
                kept(&passkey, Assurance::Two, None)
            }
            Way::Attested(state) => {
                let passkey =
                    self.webauthn.finish_attested_passkey_registration(&answer, state).map_err(of_another_make)?;
                kept(&passkey.into(), Assurance::Three, None)
            }
        }
    }

    /// Asks for one of the person's own passkeys.
    pub fn ask(&self, enrolled: &[Factor]) -> Result<(Value, Ceremony), Rejected> {
        let known: Vec<_> = passkeys(enrolled).map(|(_, passkey)| passkey).collect();
        if known.is_empty() {
            // An empty list would let any passkey answer.
            return Err(Rejected::Foreign);
        }
        let (options, state) = self.webauthn.start_passkey_authentication(&known).map_err(unverified)?;
        Ok((public_key(&options)?, Ceremony::Named(Box::new(state))))
    }

    /// Asks for any passkey that this site knows; it names its owner.
    pub fn ask_anyone(&self) -> Result<(Value, Ceremony), Rejected> {
        let (options, state) = self.webauthn.start_discoverable_authentication().map_err(unverified)?;
        Ok((public_key(&options)?, Ceremony::Discoverable(Box::new(state))))
    }

    /// Whom the answer says it is of; nothing is proven yet.
    pub fn claimed(answer: &Value) -> Option<UserId> {
        let answer: PublicKeyCredential = serde_json::from_value(answer.clone()).ok()?;
        let handle = uuid::Uuid::from_slice(answer.get_user_unique_id()?).ok()?;
        UserId::parse(&handle.to_string()).ok()
    }

    /// Checks the answer against the challenge and the person's passkeys. Consumes the ceremony: its challenge is spent,
    /// whatever comes out.
    pub fn finish(
        &self,
        answer: Value,
        ceremony: Ceremony,
        user: &User,
        enrolled: &[Factor],
    ) -> Result<Used, Rejected> {
        let answer: PublicKeyCredential = read(answer)?;
        self.is_asked_here(answer.response.client_data_json.as_ref())?;
        if answer.get_user_unique_id().is_some_and(|handle| handle != user.id.as_uuid().as_bytes().as_slice()) {
            return Err(Rejected::Foreign);
        }
        let (factor, mut passkey) = passkeys(enrolled)
            .find(|(_, passkey)| passkey.cred_id().as_ref() as &[u8] == answer.get_credential_id())
            .ok_or(Rejected::Foreign)?;
        let result = match ceremony {
            Ceremony::Named(state) => self.webauthn.finish_passkey_authentication(&answer, &state),
            Ceremony::Discoverable(state) => {
                self.webauthn.finish_discoverable_authentication_v2(&answer, *state, &passkey)
            }
        }
        .map_err(|error| match error {
            WebauthnError::CredentialPossibleCompromise => Rejected::Copied(factor.id),
            other => unverified(other),
        })?;
        let FactorData::Passkey { reach, copied, .. } = factor.data else { return Err(Rejected::Foreign) };
        let bound = reach == Assurance::Three;
        let means = Means::Passkey {
            factor: factor.id,
            user_verified: result.user_verified(),
            bound: bound && !result.backup_eligible(),
        };
        let moved = passkey.update_credential(&result) == Some(true);
        let update = if moved { Some(kept(&passkey, reach, copied)?) } else { None };
        Ok(Used { factor: factor.id, means, update })
    }
}

impl Site<'_> {
    /// Whether the browser says that this very page asked for the answer, at the top of its window: a page of ours in another's frame
    /// would have people prove to who is not seen (WebAuthn section 7.2, steps 13 and 14). webauthn-rs looks at frames for
    /// enrolments alone, and reads the origin as an address, which has many spellings.
    fn is_asked_here(&self, client_data: &[u8]) -> Result<(), Rejected> {
        let said: ClientData = serde_json::from_slice(client_data).map_err(|_| Rejected::Malformed)?;
        let elsewhere = said.origin != self.origin || said.cross_origin == Some(true) || said.top_origin.is_some();
        if elsewhere { Err(Rejected::Elsewhere) } else { Ok(()) }
    }
}

/// What a browser says of who asked it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClientData {
    origin: String,
    #[serde(default)]
    cross_origin: Option<bool>,
    #[serde(default)]
    top_origin: Option<Value>,
}

/// Checks that the makes can be told from others by what is listed of them.
pub fn check_makes(makes: &[AttestedMake]) -> Result<(), NoMake> {
    listed(makes).map(drop)
}

fn listed(makes: &[AttestedMake]) -> Result<AttestationCaList, NoMake> {
    const END: &str = "-----END CERTIFICATE-----";
    let mut list = AttestationCaListBuilder::new();
    for make in makes {
        let whole = make.roots.trim().split_inclusive(END).map(str::trim);
        for (root, aaguid) in whole.flat_map(|root| make.aaguids.iter().map(move |aaguid| (root, aaguid))) {
            list.insert_device_pem(root.as_bytes(), *aaguid, make.name.clone(), BTreeMap::new())
                .map_err(|_| NoMake(make.name.clone()))?;
        }
    }
    Ok(list.build())
}

/// Of an attested enrolment: what is wrong with the proof of the make is told from what is wrong with the ceremony.
#[allow(clippy::needless_pass_by_value, reason = "`map_err` hands it over")]
fn of_another_make(error: WebauthnError) -> Rejected {
    use WebauthnError as E;
    let ceremony = matches!(
        error,
        E::InvalidClientDataType
            | E::MismatchedChallenge
            | E::InvalidRPOrigin
            | E::InvalidRPIDHash
            | E::UserNotPresent
            | E::UserNotVerified
    );
    if ceremony { unverified(error) } else { Rejected::OtherMake(error.to_string()) }
}

/// What a store keeps of a passkey. It reaches assurance 3 where its make was proven, since that asks for a key that cannot
/// leave its hardware; else 2: without a verified attestation the browser's word for that is all there is.
fn kept(passkey: &Passkey, reach: Assurance, copied: Option<Timestamp>) -> Result<FactorData, Rejected> {
    let credential = serde_json::to_value(passkey).map_err(|_| Rejected::Malformed)?;
    let id = credential["cred"]["cred_id"].as_str().ok_or(Rejected::Malformed)?.to_owned();
    Ok(FactorData::Passkey { credential_id: id, credential, reach, copied })
}

fn passkeys(enrolled: &[Factor]) -> impl Iterator<Item = (&Factor, Passkey)> {
    enrolled.iter().filter_map(|factor| match &factor.data {
        FactorData::Passkey { credential, .. } => Some((factor, serde_json::from_value(credential.clone()).ok()?)),
        _ => None,
    })
}

fn public_key(options: &impl Serialize) -> Result<Value, Rejected> {
    let mut options = serde_json::to_value(options).map_err(|_| Rejected::Malformed)?;
    Ok(options["publicKey"].take())
}

fn read<T: serde::de::DeserializeOwned>(answer: Value) -> Result<T, Rejected> {
    serde_json::from_value(answer).map_err(|_| Rejected::Malformed)
}

#[allow(clippy::needless_pass_by_value, reason = "`map_err` hands it over")]
fn unverified(error: WebauthnError) -> Rejected {
    Rejected::Unverified(error.to_string())
}

#[cfg(test)]
#[path = "passkey_tests.rs"]
mod tests;
