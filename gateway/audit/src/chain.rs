//! The chain that links a log's entries, and what breaks it. The hashes are those of a Merkle log's leaves (RFC 6962
//! section 2.1), so that a tree can be laid over the same entries without a change of format.

use std::{cmp::Ordering, fmt};

use aws_lc_rs::digest;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A SHA-256 digest.
pub type Hash = [u8; 32];

/// The link before the first entry.
pub const START: Hash = [0; 32];

/// A leaf: SHA-256(0x00 || body).
pub fn leaf(body: &[u8]) -> Hash {
    hash(&[&[0x00], body].concat())
}

/// A link: SHA-256(0x02 || previous link || leaf). The prefix keeps it apart from leaves (0x00) and tree nodes (0x01).
pub fn link(previous: &Hash, leaf: &Hash) -> Hash {
    let mut data = [0x02; 1 + 2 * size_of::<Hash>()];
    let (first, second) = data[1..].split_at_mut(size_of::<Hash>());
    first.copy_from_slice(previous);
    second.copy_from_slice(leaf);
    hash(&data)
}

/// In one call over bytes that were put together: a context fed in pieces takes memory of its own, and as long again as the
/// hashing of so little.
fn hash(data: &[u8]) -> Hash {
    let mut out = START;
    out.copy_from_slice(digest::digest(&digest::SHA256, data).as_ref());
    out
}

/// Where a log ends: how many entries it has, and the last one's link. Whoever remembers a head can tell later
/// whether anything before it was changed or cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The number of entries, which is the next `seq`.
    pub size: u64,
    /// The link of the last one.
    pub link: Hash,
}

impl Head {
    /// The head of an empty log.
    pub const EMPTY: Self = Self { size: 0, link: START };

    /// The head after one more entry of that leaf.
    #[must_use]
    pub fn after(&self, leaf: &Hash) -> Self {
        Self { size: self.size + 1, link: link(&self.link, leaf) }
    }

    /// Reads `<size>:<link in hex>`.
    pub fn parse(text: &str) -> Option<Self> {
        let (size, link) = text.split_once(':')?;
        Some(Self { size: size.parse().ok()?, link: from_hex(link)? })
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.size, to_hex(&self.link))
    }
}

impl Serialize for Head {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Head {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom(format!("`{text}` is not `<size>:<link>`")))
    }
}

/// One stored entry with its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row<'a> {
    /// Its number within the log, from 0.
    pub seq: u64,
    /// The canonical bytes.
    pub body: &'a [u8],
    /// What is stored as their hash.
    pub leaf: Hash,
    /// What is stored as the link.
    pub link: Hash,
}

/// The first thing wrong with a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Break {
    /// The body is not the one that was written.
    #[error("entry {seq} was edited: its body does not hash to its leaf")]
    Edited {
        /// The entry.
        seq: u64,
    },
    /// The entry does not follow from the one before: one of the two was exchanged, moved or written anew.
    #[error("entry {seq} does not link to the one before it: one of them was replaced or moved")]
    Unlinked {
        /// The entry.
        seq: u64,
    },
    /// Entries are missing.
    #[error("entries are missing: `{expected}` was to follow, `{found}` does")]
    Gap {
        /// The number that was to follow.
        expected: u64,
        /// The number that does.
        found: u64,
    },
    /// An entry comes again, or too late.
    #[error("entry {found} comes again or out of order, where `{expected}` was to follow")]
    Repeated {
        /// The number that was to follow.
        expected: u64,
        /// The number that does.
        found: u64,
    },
    /// The log ends before a head that is known.
    #[error("the log was cut off: it has {}, of {} that are known to have been written", entries(.found), entries(.known))]
    Truncated {
        /// Entries that there were.
        known: u64,
        /// Entries that there are.
        found: u64,
    },
    /// Entries stand there, and nothing says how many there were.
    #[error("{} stand there, and the log's head is gone: nothing says how many there were", entries(.found))]
    Headless {
        /// Entries that there are.
        found: u64,
    },
    /// A log that was begun is not there.
    #[error("there is no entry, and there was one when the tenant was made: the log was removed")]
    Missing,
    /// The entry is whole, but was written for another log.
    #[error("entry {seq} belongs to another log")]
    Foreign {
        /// The entry.
        seq: u64,
    },
    /// The entry is whole, but its row is listed by another word than the entry's.
    #[error(
        "entry {seq} is whole, but its column `{column}` was edited: the log is filtered by what the entry does not say"
    )]
    Mislisted {
        /// The entry.
        seq: u64,
        /// The first such column.
        column: &'static str,
    },
    /// The log is whole in itself, but is not the one that a known head was taken from.
    #[error("the log was rewritten at or before entry {}: its link is not the known one", .size.saturating_sub(1))]
    Rewritten {
        /// The size of the known head.
        size: u64,
    },
}

/// A check under way: takes the entries in their order.
#[derive(Debug, Clone)]
pub struct Chain {
    head: Head,
    known: Vec<Head>,
}

impl Chain {
    /// Checks from the first entry on.
    pub fn start() -> Self {
        Self::after(Head::EMPTY)
    }

    /// Checks what follows `head`.
    pub fn after(head: Head) -> Self {
        Self { head, known: Vec::new() }
    }

    /// Also holds the log against a head that somebody remembers.
    #[must_use]
    pub fn knowing(mut self, head: Head) -> Self {
        self.known.push(head);
        self
    }

    /// Takes the next entry, or names what is wrong with it.
    pub fn take(&mut self, row: &Row<'_>) -> Result<(), Break> {
        self.in_order(row.seq)?;
        if leaf(row.body) != row.leaf {
            return Err(Break::Edited { seq: row.seq });
        }
        self.take_closed(row.seq, &row.leaf, &row.link)
    }

    /// Takes the next entry without its body, which nobody can read any more: checks its place and link.
    pub fn take_closed(&mut self, seq: u64, leaf: &Hash, link: &Hash) -> Result<(), Break> {
        self.in_order(seq)?;
        let next = self.head.after(leaf);
        if next.link != *link {
            return Err(Break::Unlinked { seq });
        }
        self.head = next;
        match self.known.iter().find(|known| known.size == next.size && known.link != next.link) {
            Some(known) => Err(Break::Rewritten { size: known.size }),
            None => Ok(()),
        }
    }

    fn in_order(&self, found: u64) -> Result<(), Break> {
        let expected = self.head.size;
        match found.cmp(&expected) {
            Ordering::Greater => Err(Break::Gap { expected, found }),
            Ordering::Less => Err(Break::Repeated { expected, found }),
            Ordering::Equal => Ok(()),
        }
    }

    /// Ends the check: the head, or that the log is shorter than it was.
    pub fn end(self) -> Result<Head, Break> {
        match self.known.iter().map(|known| known.size).max() {
            Some(known) if known > self.head.size => Err(Break::Truncated { known, found: self.head.size }),
            _ => Ok(self.head),
        }
    }

    /// Ends the check at a head that the log itself states.
    pub fn end_at(self, stated: Head) -> Result<Head, Break> {
        let head = self.end()?;
        if head == stated { Ok(head) } else { Err(Break::Rewritten { size: stated.size }) }
    }

    /// How far it has come.
    pub fn head(&self) -> Head {
        self.head
    }

    /// Checks a whole log against the heads known of it.
    pub fn verify<'a>(rows: impl IntoIterator<Item = Row<'a>>, known: &[Head]) -> Result<Head, Break> {
        let mut chain = Self { head: Head::EMPTY, known: known.to_vec() };
        for row in rows {
            chain.take(&row)?;
        }
        chain.end()
    }
}

/// A hash as people copy it.
pub fn to_hex(hash: &Hash) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    hash.iter().flat_map(|b| [b >> 4, b & 15]).map(|nibble| char::from(DIGITS[usize::from(nibble)])).collect()
}

/// Reads what [`to_hex`] wrote.
pub fn from_hex(text: &str) -> Option<Hash> {
    let text = text.as_bytes();
    let mut out = START;
    if text.len() != out.len() * 2 {
        return None;
    }
    for (byte, pair) in out.iter_mut().zip(text.chunks_exact(2)) {
        let digit = |at: usize| char::from(pair[at]).to_digit(16);
        *byte = u8::try_from(digit(0)? * 16 + digit(1)?).ok()?;
    }
    Some(out)
}

fn entries(count: &u64) -> String {
    if *count == 1 { "1 entry".to_owned() } else { format!("{count} entries") }
}

#[cfg(test)]
#[path = "chain_tests.rs"]
mod tests;
