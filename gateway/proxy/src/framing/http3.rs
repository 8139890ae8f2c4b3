//! Which of an HTTP/3 stream's bytes h3 gets to read.
//!
//! h3 keeps every frame but data in memory until it is whole, however long it says that it is; it takes an empty data frame
//! for the end of the body, and overlooks a body that ends within a frame. So heads and settings are held to a length
//! here, frames that mean nothing are left out, and an end within a frame is a broken stream.

use std::collections::VecDeque;

use bytes::Bytes;

/// The type of a frame with a piece of a body (RFC 9114 section 7.2.1).
const DATA: u64 = 0;

/// Frames that h3 knows beside it, or must refuse (RFC 9114 sections 7.2 and 11.2.1). All others are nobody's.
const KNOWN: [u64; 10] = [0x1, 0x2, 0x3, 0x4, 0x5, 0x6, 0x7, 0x8, 0x9, 0xd];

/// The type of the one-way stream that holds frames (RFC 9114 section 6.2.1).
const CONTROL: u64 = 0;

/// Longest beginning of a frame: two numbers of eight bytes.
const BEGINNING: usize = 16;

/// Why a stream is not read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    /// A frame that must be held whole says that it is longer than it may be.
    TooLong,
    /// It ended within a frame.
    Cut,
}

/// The frames of one stream, as far as they have come.
#[derive(Debug)]
pub(crate) struct Frames {
    now: Now,
    beginning: [u8; BEGINNING],
    len: usize,
    most: u64,
}

#[derive(Debug, Clone, Copy)]
enum Now {
    /// At the type of a one-way stream.
    Type,
    /// At the type and length of a frame.
    Beginning,
    /// Within a frame that h3 reads; so many bytes are to come.
    Passing(u64),
    /// Within one that it does not.
    LeftOut(u64),
    /// On a one-way stream without frames.
    Unframed,
}

impl Frames {
    /// Those of a request, of which each but data is at most `most` bytes long.
    pub(crate) const fn of_request(most: u64) -> Self {
        Self { now: Now::Beginning, beginning: [0; BEGINNING], len: 0, most }
    }

    /// Those of a one-way stream.
    pub(crate) const fn of_one_way(most: u64) -> Self {
        Self { now: Now::Type, ..Self::of_request(most) }
    }

    /// Adds to `ready` what h3 may read of `piece`.
    pub(crate) fn pass(&mut self, mut piece: Bytes, ready: &mut VecDeque<Bytes>) -> Result<(), Broken> {
        while !piece.is_empty() {
            match &mut self.now {
                Now::Unframed => ready.push_back(std::mem::take(&mut piece)),
                Now::Passing(left) => {
                    let part = piece.split_to(fitting(*left, piece.len()));
                    *left -= part.len() as u64;
                    ready.push_back(part);
                }
                Now::LeftOut(left) => {
                    let part = piece.split_to(fitting(*left, piece.len()));
                    *left -= part.len() as u64;
                }
                Now::Type | Now::Beginning => {
                    self.beginning[self.len] = piece.split_to(1)[0];
                    self.len += 1;
                    self.begin(ready)?;
                }
            }
            if let Now::Passing(0) | Now::LeftOut(0) = self.now {
                self.now = Now::Beginning;
            }
        }
        Ok(())
    }

    /// Whether the stream may end here.
    pub(crate) fn may_end(&self) -> Result<(), Broken> {
        match self.now {
            Now::Beginning if self.len == 0 => Ok(()),
            Now::Type | Now::Unframed => Ok(()),
            _ => Err(Broken::Cut),
        }
    }

    /// Goes on once what begins has come whole.
    fn begin(&mut self, ready: &mut VecDeque<Bytes>) -> Result<(), Broken> {
        let come = &self.beginning[..self.len];
        let Some((kind, used)) = number(come) else { return Ok(()) };
        if matches!(self.now, Now::Type) {
            ready.push_back(Bytes::copy_from_slice(come));
            self.now = if kind == CONTROL { Now::Beginning } else { Now::Unframed };
            self.len = 0;
            return Ok(());
        }
        let Some((length, _)) = number(&come[used..]) else { return Ok(()) };
        self.now = match kind {
            DATA if length == 0 => Now::LeftOut(0),
            DATA => Now::Passing(length),
            known if KNOWN.contains(&known) && length > self.most => return Err(Broken::TooLong),
            known if KNOWN.contains(&known) => Now::Passing(length),
            _ => Now::LeftOut(length),
        };
        if matches!(self.now, Now::Passing(_)) {
            ready.push_back(Bytes::copy_from_slice(come));
        }
        self.len = 0;
        Ok(())
    }
}

fn fitting(left: u64, len: usize) -> usize {
    usize::try_from(left).unwrap_or(usize::MAX).min(len)
}

/// A number at the beginning of `bytes`, if it is whole, and how many bytes it takes (RFC 9000 section 16).
fn number(bytes: &[u8]) -> Option<(u64, usize)> {
    let first = *bytes.first()?;
    let length = 1 << (first >> 6);
    let rest = bytes.get(1..length)?;
    let value = rest.iter().fold(u64::from(first & 0x3f), |value, &byte| value << 8 | u64::from(byte));
    Some((value, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What h3 reads of these bytes, however they are cut into pieces, and how it ends.
    fn read(frames: impl Fn() -> Frames, bytes: &[u8]) -> (Vec<u8>, Result<(), Broken>) {
        let by = |size: usize| {
            let (mut frames, mut ready) = (frames(), VecDeque::new());
            let mut pieces = bytes.chunks(size);
            let passed = pieces.try_for_each(|piece| frames.pass(Bytes::copy_from_slice(piece), &mut ready));
            (ready.into_iter().flatten().collect::<Vec<u8>>(), passed.and_then(|()| frames.may_end()))
        };
        let whole = by(bytes.len().max(1));
        for size in 1..bytes.len() {
            assert_eq!(by(size), whole, "in pieces of {size}");
        }
        whole
    }

    #[test]
    fn what_means_nothing_is_left_out_and_the_rest_comes_through_unchanged() {
        let head = [&[1, 3][..], b"abc"].concat();
        let data = [&[0, 0x40, 2][..], b"xy"].concat();
        let grease = [&[0x40, 0x21, 4][..], b"none"].concat();
        let all = [&head[..], &grease, &[0, 0], &data, &grease, &data, &head].concat();
        let kept = [&head[..], &data, &data, &head].concat();
        assert_eq!(read(|| Frames::of_request(10), &all), (kept, Ok(())));
        assert_eq!(read(|| Frames::of_request(10), b""), (vec![], Ok(())));
    }

    #[test]
    fn only_data_is_as_long_as_it_likes() {
        let long = [&[0, 0x80, 0, 0, 11][..], b"01234567890"].concat();
        assert_eq!(read(|| Frames::of_request(10), &long), (long.clone(), Ok(())));
        for kind in [1, 4, 5] {
            assert_eq!(read(|| Frames::of_request(10), &[kind, 11]), (vec![], Err(Broken::TooLong)));
            assert_eq!(read(|| Frames::of_one_way(10), &[0, kind, 11]), (vec![0], Err(Broken::TooLong)));
        }
        // The longest that can be said: nothing is kept for it.
        let endless = [&[1][..], &[0xff; 8]].concat();
        assert_eq!(read(|| Frames::of_request(10), &endless).1, Err(Broken::TooLong));
    }

    #[test]
    fn an_end_within_a_frame_is_none() {
        for cut in [&[0][..], &[0x40], &[0, 3], &[0, 3, b'a'], &[1, 2, b'a'], &[0x21, 2, b'a']] {
            assert_eq!(read(|| Frames::of_request(10), cut).1, Err(Broken::Cut), "{cut:?}");
        }
    }

    #[test]
    fn one_way_streams_hold_frames_only_where_they_are_for_control() {
        let settings = [0, 4, 2, 6, 9];
        assert_eq!(read(|| Frames::of_one_way(10), &settings), (settings.to_vec(), Ok(())));
        // Of QPACK's encoder: instructions, which would be read as a frame that is too long.
        let encoder = [2, 1, 0xff, 0xff, 0xff];
        assert_eq!(read(|| Frames::of_one_way(10), &encoder), (encoder.to_vec(), Ok(())));
    }
}
