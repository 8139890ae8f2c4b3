//! Proof Key for Code Exchange (RFC 7636): whoever brings a code back shows what only its asker knew. `S256` alone: `plain` shows
//! the secret to whoever reads the request.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

use crate::token::sha256;

/// The hash of a secret that whoever asked for the code will show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeChallenge(String);

impl CodeChallenge {
    /// Reads a challenge of the method `S256`.
    pub fn parse(challenge: &str, method: &str) -> Option<Self> {
        let fits = method == "S256" && challenge.len() == 43 && URL_SAFE_NO_PAD.decode(challenge).is_ok();
        fits.then(|| Self(challenge.to_owned()))
    }

    /// Whether `verifier` is the secret (section 4.6).
    pub fn is_met_by(&self, verifier: &str) -> bool {
        let fits = (43..=128).contains(&verifier.len())
            && verifier.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~'));
        let made = URL_SAFE_NO_PAD.encode(sha256(verifier.as_bytes()));
        fits && bool::from(made.as_bytes().ct_eq(self.0.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7636 appendix B.
    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    #[test]
    fn the_secret_meets_its_challenge_and_nothing_else_does() {
        let challenge = CodeChallenge::parse(CHALLENGE, "S256").unwrap();
        assert!(challenge.is_met_by(VERIFIER));
        for other in [CHALLENGE, "", &VERIFIER[1..], &format!("{VERIFIER}A"), &VERIFIER.to_lowercase()] {
            assert!(!challenge.is_met_by(other), "{other}");
        }
    }

    #[test]
    fn a_secret_that_is_shown_at_once_is_none() {
        assert_eq!(CodeChallenge::parse(VERIFIER, "plain"), None);
        assert_eq!(CodeChallenge::parse(VERIFIER, ""), None);
        assert_eq!(CodeChallenge::parse("short", "S256"), None);
    }
}
