//! Recovery codes: ten to be kept on paper, each of which stands in once for a second factor that is lost (NIST SP
//! 800-63B-4 section 4.2). A code is spent by the store in one atomic step; what it is worth is said in
//! [`crate::assurance`].
//!
//! A store keeps a keyed hash of each: HMAC-SHA256 under a key of the set's own, which is sealed for its factor. So who
//! reads the store and has not the operator's key can test no guess, and a code of one person, or tenant, is nobody
//! else's. No slow hash is needed: eighty random bits are guessed at no speed.

use std::fmt;

use aws_lc_rs::hmac;
use cardea_core::{Entropy, FactorId, Secret, Timestamp, entropy};
use serde::{Deserialize, Serialize};

use crate::{
    pool::{Factor, FactorData},
    sealing::{CannotOpen, Sealed, Sealer},
    token::TicketHash,
};

/// Codes of a set. Ten: a few lost telephones, on a piece of paper that fits a purse.
pub const COUNT: usize = 10;

/// Letters of a code, of five bits each: 80 bits, where at least 64 are asked for (section 4.2.1.1).
const LETTERS: usize = 16;
const GROUP: usize = 4;

/// Crockford's letters: none of them is read as another, and none makes words.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// A recovery code, in its one form: sixteen letters of the alphabet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code(Secret<String>);

/// What a store knows a code by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CodeHash(TicketHash);

/// The key under which the codes of one set are hashed.
#[derive(Debug)]
pub struct Key(Secret<[u8; 32]>);

/// A set as it was drawn: what is shown to the person once, and what is kept.
#[derive(Debug)]
pub struct Drawn {
    /// The codes, for the page that shows them.
    pub codes: Vec<Code>,
    /// The set, as a factor.
    pub factor: Factor,
    /// What the store knows the codes by.
    pub hashes: Vec<CodeHash>,
}

/// Draws a new set.
pub fn draw(sealer: &Sealer, now: Timestamp, entropy: &dyn Entropy) -> Result<Drawn, CannotOpen> {
    let id = FactorId::mint(now, entropy);
    let key = Key(Secret::new(entropy::bytes(entropy)));
    let codes: Vec<_> = (0..COUNT).map(|_| Code::draw(entropy)).collect();
    let hashes = codes.iter().map(|code| key.hash(code)).collect();
    let data = FactorData::Recovery { key: sealer.seal(&place(id), key.0.expose(), entropy)? };
    let factor = Factor { id, name: String::new(), data, created: now, last_used: None };
    Ok(Drawn { codes, factor, hashes })
}

impl Code {
    fn draw(entropy: &dyn Entropy) -> Self {
        let bytes: [u8; LETTERS] = entropy::bytes(entropy);
        // A byte holds every letter eight times: none is likelier than another.
        Self(Secret::new(bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte & 31)])).collect()))
    }

    /// Reads what somebody typed from paper: in any case, grouped in any way, and with the letters that look like a digit
    /// for it. None where it can be no code.
    pub fn parse(text: &str) -> Option<Self> {
        let mut code = String::with_capacity(LETTERS);
        for c in text.chars().filter(|c| !is_gap(*c)) {
            let letter = match c.to_ascii_uppercase() {
                'O' => '0',
                'I' | 'L' => '1',
                'U' => 'V',
                letter => letter,
            };
            if code.len() == LETTERS || !ALPHABET.contains(&u8::try_from(letter).ok()?) {
                return None;
            }
            code.push(letter);
        }
        (code.len() == LETTERS).then(|| Self(Secret::new(code)))
    }

    /// The code as people read it, in groups of four; named long so that every use stands out.
    pub fn expose_grouped(&self) -> String {
        let letters: Vec<char> = self.0.expose().chars().collect();
        letters.chunks(GROUP).map(|group| group.iter().collect::<String>()).collect::<Vec<_>>().join("-")
    }
}

/// What people and their programs put between groups: spaces of all kinds, and whatever a dash was made into.
fn is_gap(c: char) -> bool {
    c.is_whitespace() || matches!(c, '-' | '_' | '.' | '\u{ad}' | '\u{2010}'..='\u{2015}' | '\u{2212}')
}

impl Key {
    /// Opens the key of a set.
    pub fn open(factor: FactorId, sealed: &Sealed, sealer: &Sealer) -> Result<Self, CannotOpen> {
        let bytes = sealer.open(&place(factor), sealed)?;
        let bytes: [u8; 32] = bytes.expose().as_slice().try_into().map_err(|_| CannotOpen)?;
        Ok(Self(Secret::new(bytes)))
    }

    /// What a store knows `code` by.
    pub fn hash(&self, code: &Code) -> CodeHash {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.0.expose());
        let tag = hmac::sign(&key, code.0.expose().as_bytes());
        let mut bytes = [0; 32];
        bytes.copy_from_slice(tag.as_ref());
        CodeHash(TicketHash::from_bytes(bytes))
    }
}

impl fmt::Display for CodeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a set's key is bound to, for whoever seals it again.
pub fn place(factor: FactorId) -> String {
    format!("recovery/{factor}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::now;
    use cardea_core::entropy::Fixed;
    use std::collections::HashSet;

    fn sealer() -> Sealer {
        Sealer::new(&Secret::new([3; 32])).unwrap()
    }

    fn drawn(seed: u64) -> Drawn {
        draw(&sealer(), now(), &Fixed::new(seed)).unwrap()
    }

    fn key(set: &Drawn) -> Key {
        let FactorData::Recovery { key } = &set.factor.data else { panic!("another kind of factor") };
        Key::open(set.factor.id, key, &sealer()).unwrap()
    }

    #[test]
    fn a_set_has_ten_codes_that_are_read_without_doubt() {
        let set = drawn(1);
        let shown: HashSet<_> = set.codes.iter().map(Code::expose_grouped).collect();
        assert_eq!((set.codes.len(), shown.len(), set.hashes.len()), (10, 10, 10));
        for code in &shown {
            let groups: Vec<_> = code.split('-').map(str::len).collect();
            assert_eq!(groups, [4; 4], "{code}");
            assert!(!code.contains(['I', 'L', 'O', 'U']), "{code}");
        }
        const { assert!(LETTERS * 5 >= 64, "SP 800-63B-4 section 4.2.1.1") };
    }

    #[test]
    fn a_code_is_taken_however_it_was_typed() {
        let code = Code::parse("0123-4567-89AB-CDVJ").unwrap();
        for typed in [
            "0123456789ABCDVJ",
            "  0123 4567\u{a0}89ab\tcdvj\r\n",
            "O123–4567—89AB−CDVJ",
            "oL23_4567.89AB-CDUJ",
            "0i23-4567-89ab-cduj",
        ] {
            assert_eq!(Code::parse(typed).as_ref(), Some(&code), "{typed:?}");
        }
    }

    #[test]
    fn what_can_be_no_code_is_none() {
        for bad in [
            "",
            "-",
            "123456",
            "0123-4567-89AB-CDV",
            "0123-4567-89AB-CDVJ-0",
            "0123-4567-89AB-CDV*",
            "0123-4567-89AB-CDVÄ",
            "０１２３-4567-89AB-CDVJ",
            "0123-4567-89AB-CDVJ\0",
            &"0".repeat(100_000),
        ] {
            assert_eq!(Code::parse(bad), None, "{:?}", bad.get(..40));
        }
    }

    #[test]
    fn a_code_is_known_in_its_own_set_only() {
        let (hers, his) = (drawn(1), drawn(2));
        let again = Code::parse(&hers.codes[0].expose_grouped().to_lowercase()).unwrap();
        assert_eq!(key(&hers).hash(&again), hers.hashes[0]);
        assert!(!hers.hashes.contains(&key(&hers).hash(&his.codes[0])));
        assert_ne!(key(&his).hash(&again), hers.hashes[0], "one code under two keys has one hash");
    }

    #[test]
    fn neither_key_nor_code_opens_or_prints_elsewhere() {
        let (hers, his) = (drawn(1), drawn(2));
        let FactorData::Recovery { key: sealed } = &hers.factor.data else { panic!("another kind of factor") };
        assert!(Key::open(his.factor.id, sealed, &sealer()).is_err());
        let code = hers.codes[0].expose_grouped();
        let told = format!("{hers:?} {:?}", key(&hers));
        assert!(!told.contains(&code) && !told.contains(&code.replace('-', "")) && !told.contains(sealed.as_str()));
        let kept = serde_json::to_string(&(&hers.factor, &hers.hashes)).unwrap();
        assert!(!kept.contains(&code.replace('-', "")), "{kept}");
    }
}
