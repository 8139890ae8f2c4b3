//! One-time codes from an authenticator app (RFC 6238): SHA-1, six digits, thirty seconds, which is what all apps
//! speak. A code works once: its step is spent by the store's compare-and-set (see [`crate::pool::FactorData`]).

use cardea_core::{Entropy, FactorId, Secret, Timestamp, entropy};
use totp_rs::{Algorithm, Builder, Totp};

use crate::sealing::{CannotOpen, Sealed, Sealer};

/// Seconds of a step.
const STEP: u64 = 30;
/// Steps of tolerance to either side (RFC 6238 section 5.2 recommends one).
const SKEW: u64 = 1;
const DIGITS: u8 = 6;

/// A shared secret of 160 bits (RFC 4226 section 4).
#[derive(Debug)]
pub struct Seed(Secret<Vec<u8>>);

/// A code does not prove the factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// It is none of the codes of this time.
    #[error("the code is wrong or too old")]
    Wrong,
    /// It is right, but was used already.
    #[error("the code was used already")]
    Replayed,
}

impl Seed {
    /// Draws a new one.
    pub fn draw(entropy: &dyn Entropy) -> Self {
        Self(Secret::new(entropy::bytes::<20>(entropy).to_vec()))
    }

    /// The seed whose base32 text this is, as in [`Seed::base32`]; at least 112 bits (SP 800-63B-4 section 3.1.5.1).
    pub fn from_base32(text: &str) -> Option<Self> {
        let bytes = unbase32(text)?;
        (bytes.len() >= 14).then(|| Self(Secret::new(bytes)))
    }

    /// Seals it for its factor.
    pub fn seal(&self, factor: FactorId, sealer: &Sealer, entropy: &dyn Entropy) -> Result<Sealed, CannotOpen> {
        sealer.seal(&place(factor), self.0.expose(), entropy)
    }

    /// Opens the seed of a factor.
    pub fn open(factor: FactorId, sealed: &Sealed, sealer: &Sealer) -> Result<Self, CannotOpen> {
        sealer.open(&place(factor), sealed).map(Self)
    }

    /// The seed as text, for people who type it.
    pub fn base32(&self) -> String {
        base32(self.0.expose())
    }

    /// The address that an authenticator app reads.
    pub fn url(&self, issuer: &str, account: &str) -> String {
        // A colon separates the two parts of the label, so neither may hold one.
        let (issuer, account) = (escape(&issuer.replace(':', " ")), escape(&account.replace(':', " ")));
        let secret = self.base32();
        format!(
            "otpauth://totp/{issuer}:{account}?secret={secret}&issuer={issuer}&algorithm=SHA1&digits={DIGITS}&period={STEP}"
        )
    }

    /// Whether `code` is right at `now` and of a step after `last_step`; gives the step that is now spent. The caller
    /// must still win the compare-and-set from `last_step` to it.
    pub fn verify(&self, code: &str, last_step: Option<u64>, now: Timestamp) -> Result<u64, Rejected> {
        let code: String = code.chars().filter(|c| !c.is_whitespace()).collect();
        let totp = self.generator().ok_or(Rejected::Wrong)?;
        let present = u64::try_from(now.as_secs()).unwrap_or_default() / STEP;
        let mut accepted = None;
        let mut spent = false;
        // All steps are compared, whatever the first ones gave: the time taken tells nothing.
        for step in present.saturating_sub(SKEW)..=present.saturating_add(SKEW) {
            let right = totp.generate(step * STEP);
            let same = equal(&right.to_string(), &code);
            let fresh = last_step.is_none_or(|last| step > last);
            accepted = accepted.or((same && fresh).then_some(step));
            spent |= same && !fresh;
        }
        accepted.ok_or(if spent { Rejected::Replayed } else { Rejected::Wrong })
    }

    fn generator(&self) -> Option<Totp> {
        Builder::new()
            .with_algorithm(Algorithm::SHA1)
            .with_digits(DIGITS)
            .with_step_duration(STEP)
            .with_secret(self.0.expose().as_slice())
            .build()
            .ok()
    }
}

/// Percent-encodes; apps read `+` as a plus sign, not as a space.
fn escape(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

/// What a secret is bound to, for whoever seals it again.
pub fn place(factor: FactorId) -> String {
    format!("totp/{factor}")
}

fn equal(a: &str, b: &str) -> bool {
    use subtle::ConstantTimeEq as _;
    a.as_bytes().ct_eq(b.as_bytes()).into()
}

const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// RFC 4648 section 6, without padding, as authenticator apps write it.
fn base32(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(5) * 8);
    let (mut pool, mut bits) = (0_u32, 0_u32);
    for byte in bytes {
        pool = (pool << 8) | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            out.push(char::from(BASE32[((pool >> bits) & 31) as usize]));
        }
        pool &= (1 << bits) - 1;
    }
    if bits > 0 {
        out.push(char::from(BASE32[((pool << (5 - bits)) & 31) as usize]));
    }
    out
}

fn unbase32(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() * 5 / 8);
    let (mut pool, mut bits) = (0_u32, 0_u32);
    for c in text.trim_end_matches('=').bytes().filter(|c| *c != b' ') {
        let value = BASE32.iter().position(|known| *known == c.to_ascii_uppercase())?;
        pool = (pool << 5) | u32::try_from(value).ok()?;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            out.push(u8::try_from((pool >> bits) & 0xff).ok()?);
        }
        pool &= (1 << bits) - 1;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cardea_core::entropy::Fixed;

    /// The seed of RFC 6238 appendix B: `12345678901234567890`.
    fn rfc_seed() -> Seed {
        Seed::from_base32("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ").unwrap()
    }

    /// RFC 6238 appendix B, SHA-1; the last six of its eight digits.
    #[test]
    fn the_vectors_of_rfc_6238_hold() {
        for (time, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            let step = rfc_seed().verify(code, None, Timestamp::from_secs(time)).unwrap();
            assert_eq!(step, u64::try_from(time).unwrap() / 30, "{code}");
        }
    }

    #[test]
    fn a_code_is_good_one_step_early_or_late_and_no_more() {
        let at = |secs: i64| rfc_seed().verify("081804", None, Timestamp::from_secs(1_111_111_109 + secs));
        assert!(at(0).is_ok() && at(-29).is_ok() && at(30).is_ok());
        assert_eq!(at(61), Err(Rejected::Wrong));
        assert_eq!(at(-60), Err(Rejected::Wrong));
    }

    #[test]
    fn a_code_works_once() {
        let now = Timestamp::from_secs(1_111_111_109);
        let step = rfc_seed().verify("081804", None, now).unwrap();
        assert_eq!(rfc_seed().verify("081804", Some(step), now), Err(Rejected::Replayed));
        assert_eq!(rfc_seed().verify("081804", Some(step + 5), now), Err(Rejected::Replayed));
        assert_eq!(rfc_seed().verify("081804", Some(step - 1), now), Ok(step));
    }

    #[test]
    fn what_is_no_code_is_wrong() {
        let now = Timestamp::from_secs(1_111_111_109);
        for bad in ["", "81804", "0818040", "081805", "+81804", "０８１８０４", "abcdef", "081804\0"] {
            assert_eq!(rfc_seed().verify(bad, None, now), Err(Rejected::Wrong), "{bad:?}");
        }
        assert!(rfc_seed().verify("081 804", None, now).is_ok(), "apps show a space in the middle");
    }

    #[test]
    fn the_address_names_tenant_and_person() {
        let seed = Seed::draw(&Fixed::new(4));
        let url = seed.url("North: Laboratory", "ada+1@north.example");
        assert!(url.starts_with("otpauth://totp/North%20%20Laboratory:ada%2B1%40north.example?secret="), "{url}");
        assert!(url.contains(&format!("secret={}", seed.base32())) && seed.base32().len() == 32, "{url}");
    }

    #[test]
    fn a_seed_survives_base32_and_sealing() {
        let entropy = Fixed::new(9);
        let seed = Seed::draw(&entropy);
        assert_eq!(Seed::from_base32(&seed.base32().to_lowercase()).unwrap().base32(), seed.base32());
        assert!(Seed::from_base32("MZXW6").is_none(), "40 bits were taken for a seed");
        assert!(Seed::from_base32("1").is_none());
        let sealer = Sealer::new(&Secret::new([1; 32])).unwrap();
        let factor = FactorId::mint(Timestamp::from_secs(1), &entropy);
        let sealed = seed.seal(factor, &sealer, &entropy).unwrap();
        assert_eq!(Seed::open(factor, &sealed, &sealer).unwrap().base32(), seed.base32());
        assert!(Seed::open(FactorId::mint(Timestamp::from_secs(2), &entropy), &sealed, &sealer).is_err());
    }
}
