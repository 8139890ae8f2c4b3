//! By what a file that was replaced or written anew is told from the one that was read.

use std::{os::unix::fs::MetadataExt as _, path::Path};

/// What a file looked like: its node, when it was written, and how long it is. A file that is not there looks like none.
///
/// Contract: taken just before the file is read, so that whatever is written while it is read is seen at the next look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp(Option<(u64, i64, i64, u64)>);

impl Stamp {
    /// Of a file, through links, as renewal tools like to lay them.
    pub(crate) fn of(path: &Path) -> Self {
        let of = |file: std::fs::Metadata| (file.ino(), file.mtime(), file.mtime_nsec(), file.size());
        Self(std::fs::metadata(path).ok().map(of))
    }
}
