//! Bearer secrets: 256 random bits that a browser or a link carries. Stores only ever see their SHA-256, so that a
//! stolen database opens no session.

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

/// The text is not a token or the hash of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not 32 bytes of base64url")]
pub struct InvalidToken;

pub(crate) fn decode(text: &str) -> Result<[u8; 32], InvalidToken> {
    // 43 characters are what 32 bytes take: anything longer is not even decoded.
    if text.len() != 43 {
        return Err(InvalidToken);
    }
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidToken)?;
    bytes.try_into().map_err(|_| InvalidToken)
}

/// The text of 32 bytes, as [`decode`] reads it.
pub(crate) fn encode(bytes: &[u8; 32]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// SHA-256 of `bytes`.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    out
}

macro_rules! bearer {
    ($(#[$doc:meta])* $name:ident, $(#[$hash_doc:meta])* $hash:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name(cardea_core::Secret<[u8; 32]>);

        impl $name {
            /// Draws a new one.
            pub fn draw(entropy: &dyn cardea_core::Entropy) -> Self {
                Self(cardea_core::Secret::new(cardea_core::entropy::bytes(entropy)))
            }

            /// Reads what a browser sent back.
            pub fn parse(text: &str) -> Result<Self, $crate::token::InvalidToken> {
                $crate::token::decode(text).map(|bytes| Self(cardea_core::Secret::new(bytes)))
            }

            /// What stores know it by.
            pub fn hash(&self) -> $hash {
                $hash($crate::token::sha256(self.0.expose()))
            }

            /// The text that the browser keeps; named long so that every use stands out.
            pub fn expose_text(&self) -> String {
                $crate::token::encode(self.0.expose())
            }
        }

        $(#[$hash_doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $hash([u8; 32]);

        impl $hash {
            /// The hash whose bytes these are, as a store kept them.
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// Its bytes.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// Reads its base64url text.
            pub fn parse(text: &str) -> Result<Self, $crate::token::InvalidToken> {
                $crate::token::decode(text).map(Self)
            }
        }

        impl std::fmt::Display for $hash {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&$crate::token::encode(&self.0))
            }
        }

        impl std::fmt::Debug for $hash {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!(stringify!($hash), "({})"), self)
            }
        }

        impl serde::Serialize for $hash {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $hash {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(d)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

pub(crate) use bearer;

bearer!(
    /// Opens a session on one host: the value of the session cookie.
    Handle,
    /// What stores know a handle by.
    HandleHash
);
bearer!(
    /// Opens something once: the flow cookie, a hand-over code, an invitation link.
    Ticket,
    /// What stores know a ticket by.
    TicketHash
);

#[cfg(test)]
mod tests {
    use super::*;
    use cardea_core::entropy::Fixed;

    #[test]
    fn a_handle_survives_the_cookie_and_never_prints() {
        let handle = Handle::draw(&Fixed::new(1));
        let back = Handle::parse(&handle.expose_text()).unwrap();
        assert_eq!(back.hash(), handle.hash());
        assert!(!format!("{handle:?}").contains(&handle.expose_text()));
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let whole = Handle::draw(&Fixed::new(1)).expose_text();
        for bad in ["", "a", &whole[1..], &format!("{whole}A"), &whole.replace(|_| true, "+"), "…"] {
            assert!(Handle::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_hash_reads_back_from_its_text() {
        let hash = Ticket::draw(&Fixed::new(2)).hash();
        assert_eq!(TicketHash::parse(&hash.to_string()).unwrap(), hash);
    }
}
