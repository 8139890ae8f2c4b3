//! A log as a file of JSON lines that anybody can verify without the gateway: a heading, one line an entry, the head.
//!
//! The body stands in its line byte for byte as it was hashed, so that `jq` can read it and a verifier can hash it; a
//! tool that rewrites the JSON breaks the proof.

use std::io::{self, BufRead, Read, Write};

use cardea_core::TenantId;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    Entry,
    chain::{Break, Chain, Head, Row, from_hex, to_hex},
};

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heading {
    /// Says what the file is: `cardea-log`.
    pub format: String,
    /// The version of this format: 1.
    pub version: u32,
    /// Whose log; the operator's own where absent.
    pub tenant: Option<TenantId>,
    /// The head before the first line: empty if the export starts at the beginning.
    pub after: Head,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    seq: u64,
    leaf: String,
    link: String,
    #[serde(borrow)]
    body: &'a RawValue,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ending {
    head: Head,
}

/// Why an export does not verify.
#[derive(Debug, thiserror::Error)]
pub enum ExportFault {
    /// It cannot be read.
    #[error("the export cannot be read")]
    Read(#[from] io::Error),
    /// A line is not what it should be.
    #[error("line {line} is not {what}")]
    Malformed {
        /// The line, from 1.
        line: u64,
        /// What should stand there.
        what: &'static str,
    },
    /// A line is longer than any that was ever written.
    #[error("line {line} is longer than {LINE_MAX} bytes, and no entry is")]
    TooLong {
        /// The line, from 1.
        line: u64,
    },
    /// The chain is broken.
    #[error(transparent)]
    Broken(#[from] Break),
    /// The head that somebody remembers says nothing of what is in the file.
    #[error(
        "the file begins after entry {after}, and the head that is known ends at entry {known}: nothing in the file can be held against it; export from {known} on"
    )]
    Before {
        /// Entries of the known head.
        known: u64,
        /// Entries before the file's first.
        after: u64,
    },
    /// The last line, which states the head, is missing.
    #[error("the export was cut off: the line that states its head is missing")]
    NoEnding,
}

/// Writes an export line by line.
#[derive(Debug)]
pub struct Export<W: Write> {
    out: W,
    head: Head,
}

impl<W: Write> Export<W> {
    /// Begins with the heading.
    pub fn begin(mut out: W, tenant: Option<TenantId>, after: Head) -> io::Result<Self> {
        let heading = Heading { format: FORMAT.to_owned(), version: VERSION, tenant, after };
        line(&mut out, &heading)?;
        Ok(Self { out, head: after })
    }

    /// Writes one entry.
    pub fn entry(&mut self, row: &Row<'_>) -> io::Result<()> {
        let body = std::str::from_utf8(row.body).map_err(io::Error::other)?;
        let body = serde_json::from_str::<&RawValue>(body).map_err(io::Error::other)?;
        self.head = Head { size: row.seq + 1, link: row.link };
        line(&mut self.out, &Line { seq: row.seq, leaf: to_hex(&row.leaf), link: to_hex(&row.link), body })
    }

    /// Ends with the head.
    pub fn end(mut self) -> io::Result<Head> {
        line(&mut self.out, &Ending { head: self.head })?;
        self.out.flush()?;
        Ok(self.head)
    }
}

fn line(out: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value).map_err(io::Error::other)?;
    out.write_all(b"\n")
}

/// Checks an export by itself, and against a head that somebody remembers. Gives its heading and head.
pub fn verify(input: impl BufRead, known: Option<Head>) -> Result<(Heading, Head), ExportFault> {
    let mut lines = Lines { input, number: 0, text: Vec::new() };
    let (_, first) = lines.step()?.ok_or(ExportFault::Malformed { line: 1, what: HEADING })?;
    let heading: Heading = serde_json::from_slice(first)
        .ok()
        .filter(|heading: &Heading| heading.format == FORMAT && heading.version == VERSION)
        .ok_or(ExportFault::Malformed { line: 1, what: HEADING })?;
    let mut chain = Chain::after(heading.after);
    if let Some(head) = known {
        if head.size < heading.after.size {
            return Err(ExportFault::Before { known: head.size, after: heading.after.size });
        }
        if head.size == heading.after.size && head.link != heading.after.link {
            return Err(Break::Rewritten { size: head.size }.into());
        }
        chain = chain.knowing(head);
    }
    while let Some((number, text)) = lines.step()? {
        if let Ok(Ending { head }) = serde_json::from_slice(text) {
            if let Some((line, _)) = lines.step()? {
                return Err(ExportFault::Malformed { line, what: "the end of the file" });
            }
            // INVARIANT: the stated head is only believed to find a cut; the chain proves it.
            return Ok((heading, chain.knowing(head).end_at(head)?));
        }
        take(&mut chain, &heading, text, number)?;
    }
    Err(ExportFault::NoEnding)
}

/// The lines of a file that anybody may have made: one at a time, in the same room, and none beyond [`LINE_MAX`].
struct Lines<R> {
    input: R,
    number: u64,
    text: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    /// The next line and its number, from 1; none at the end.
    fn step(&mut self) -> Result<Option<(u64, &[u8])>, ExportFault> {
        self.text.clear();
        self.number += 1;
        let mut bounded = self.input.by_ref().take(LINE_MAX);
        bounded.read_until(b'\n', &mut self.text)?;
        if bounded.limit() == 0 && !self.text.ends_with(b"\n") {
            return Err(ExportFault::TooLong { line: self.number });
        }
        Ok((!self.text.is_empty()).then_some((self.number, &*self.text)))
    }
}

fn take(chain: &mut Chain, heading: &Heading, text: &[u8], line: u64) -> Result<(), ExportFault> {
    let malformed = || ExportFault::Malformed { line, what: "an entry" };
    let entry: Line<'_> = serde_json::from_slice(text).map_err(|_| malformed())?;
    let (leaf, link) = (from_hex(&entry.leaf).ok_or_else(malformed)?, from_hex(&entry.link).ok_or_else(malformed)?);
    chain.take(&Row { seq: entry.seq, body: entry.body.get().as_bytes(), leaf, link })?;
    if Entry::tenant_of(entry.body.get().as_bytes()).map_err(|_| malformed())? != heading.tenant {
        return Err(Break::Foreign { seq: entry.seq }.into());
    }
    Ok(())
}

const FORMAT: &str = "cardea-log";
const VERSION: u32 = 1;

/// The longest line that is read, in bytes. 16 MiB: the largest entry tells of a changed configuration, which is some
/// hundred KiB at the very most, and one line of this size is still no burden for whoever verifies a file of a stranger's.
const LINE_MAX: u64 = 16 * 1024 * 1024;

const HEADING: &str = "the heading of a `cardea-log` of version 1";

#[cfg(test)]
#[path = "export_tests.rs"]
mod tests;
