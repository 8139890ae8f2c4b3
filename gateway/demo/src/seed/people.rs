//! The demonstration's people: made up, with passwords and one-time-code secrets that are drawn once per folder.

use cardea_core::{Entropy, GroupId, TenantId, entropy};
use serde::{Deserialize, Serialize};

/// One person of the demonstration. Its secrets are meant to be shown: they open nothing but the demonstration, so they
/// are plain texts that the folder keeps (mode 0600) and the command prints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// The tenant whose pool the person is in, or joins by signing in.
    pub tenant: TenantId,
    /// E-mail address, which is the user name.
    pub email: String,
    /// Name as shown.
    pub name: String,
    /// Groups; for a person of the provider, what its `groups` claim says.
    pub groups: Vec<GroupId>,
    /// Password: the pool's, or the provider's for a person who signs in there.
    pub password: String,
    /// Secret of the authenticator app in base32 (RFC 6238: SHA-1, 6 digits, 30 seconds), if the person has one.
    pub totp: Option<String>,
    /// Whether the stand-in provider knows the person, and the pool does not.
    pub at_provider: bool,
}

/// An administrator, a chemist who also reviews, and a reader who comes by the provider.
pub fn people(source: &dyn Entropy) -> Vec<Person> {
    vec![
        person("acme", "ada@acme.example", "Ada Admin", &["administrators"], Some(secret(source)), source),
        person("acme", "rui@acme.example", "Rui Reviewer", &["chemists", "reviewers"], Some(secret(source)), source),
        person("north", "nils@north.example", "Nils Reader", &["readers"], None, source),
    ]
}

fn person(
    tenant: &str,
    email: &str,
    name: &str,
    groups: &[&str],
    totp: Option<String>,
    source: &dyn Entropy,
) -> Person {
    Person {
        tenant: literal(TenantId::parse(tenant)),
        email: email.to_owned(),
        name: name.to_owned(),
        groups: groups.iter().map(|group| literal(GroupId::parse(group))).collect(),
        password: password(source),
        at_provider: totp.is_none(),
        totp,
    }
}

/// Names written in this file; a slip in one is found by the first test that runs.
fn literal<T>(parsed: Result<T, cardea_core::ids::InvalidId>) -> T {
    parsed.unwrap_or_else(|error| unreachable!("{error}"))
}

/// Letters and digits that nobody mistakes for each other.
const LETTERS: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz023456789";

/// Four groups of five: 100 bits, and still typed without trouble.
fn password(source: &dyn Entropy) -> String {
    let drawn = entropy::bytes::<20>(source);
    let groups: Vec<String> = drawn
        .chunks(5)
        .map(|five| five.iter().map(|byte| char::from(LETTERS[usize::from(byte & 31)])).collect())
        .collect();
    groups.join("-")
}

/// 160 bits in base32 (RFC 4648 section 6), as authenticator apps take them; 20 bytes need no padding.
fn secret(source: &dyn Entropy) -> String {
    const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let (mut bits, mut held, mut out) = (0_u32, 0_u32, String::with_capacity(32));
    for byte in entropy::bytes::<20>(source) {
        bits = bits << 8 | u32::from(byte);
        held += 8;
        while held >= 5 {
            held -= 5;
            out.push(char::from(BASE32[((bits >> held) & 31) as usize]));
        }
        bits &= (1 << held) - 1;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use cardea_core::entropy::Fixed;

    #[test]
    fn two_folders_share_no_secret() {
        let (one, other) = (people(&Fixed::new(1)), people(&Fixed::new(2)));
        for (a, b) in one.iter().zip(&other) {
            assert_eq!(a.email, b.email);
            assert_ne!(a.password, b.password);
            assert!(a.totp.is_none() || a.totp != b.totp);
        }
        assert_eq!(one, people(&Fixed::new(1)));
    }

    #[test]
    fn secrets_are_as_long_as_the_standards_ask() {
        for person in people(&Fixed::new(7)) {
            assert_eq!(person.password.len(), 23);
            assert!(person.totp.is_none_or(|secret| secret.len() == 32));
        }
    }

    #[test]
    fn base32_is_what_others_read() {
        struct Ramp;
        impl Entropy for Ramp {
            fn fill(&self, out: &mut [u8]) {
                out.iter_mut().zip(b"12345678901234567890").for_each(|(to, from)| *to = *from);
            }
        }
        // The secret of RFC 6238 appendix B.
        assert_eq!(secret(&Ramp), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
    }
}
