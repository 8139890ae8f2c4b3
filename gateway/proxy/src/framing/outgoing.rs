//! Which of the bytes that we send over HTTP/2 are answers, and which only keep the connection: a client can have as many
//! of those as it likes without asking for anything.

use std::io::IoSlice;

use super::frames::{DATA, HEADER, length};

/// Where in our own frames we are.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    header: [u8; HEADER],
    /// Bytes of a header that have been sent.
    len: usize,
    /// Bytes of the frame at hand still to be sent.
    left: usize,
    /// The frame at hand is a piece of an answer's body.
    answers: bool,
}

impl Outgoing {
    /// Whether a piece of an answer's body is among the first `count` of these bytes, which were sent.
    pub(super) fn answers(&mut self, bufs: &[IoSlice<'_>], mut count: usize) -> bool {
        let mut answers = false;
        for buf in bufs {
            let sent = count.min(buf.len());
            answers |= self.passes(&buf[..sent]);
            count -= sent;
        }
        answers
    }

    fn passes(&mut self, mut bytes: &[u8]) -> bool {
        let mut answers = false;
        loop {
            let passing = self.left.min(bytes.len());
            answers |= self.answers && passing > 0;
            self.left -= passing;
            bytes = &bytes[passing..];
            if bytes.is_empty() {
                return answers;
            }
            let more = (HEADER - self.len).min(bytes.len());
            self.header[self.len..][..more].copy_from_slice(&bytes[..more]);
            self.len += more;
            bytes = &bytes[more..];
            if self.len == HEADER {
                (self.len, self.left, self.answers) = (0, length(&self.header), self.header[3] == DATA);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let length = u8::try_from(payload.len()).unwrap();
        [&[0, 0, length, kind, 0, 0, 0, 0, 1], payload].concat()
    }

    #[test]
    fn a_piece_of_a_body_is_an_answer_and_a_pong_is_none_however_it_is_cut() {
        let kept = [frame(4, &[]), frame(6, &[0; 8]), frame(8, &[0; 4]), frame(DATA, &[])].concat();
        let kept = kept.repeat(20);
        let with = |payload: &[u8]| [&*kept, &frame(DATA, payload), &kept].concat();
        for size in [1, 2, 8, 9, 10, 17, 1_000] {
            let count = |bytes: &[u8]| {
                let mut outgoing = Outgoing::default();
                bytes.chunks(size).filter(|piece| outgoing.passes(piece)).count()
            };
            assert_eq!(count(&kept), 0, "in pieces of {size}");
            assert_eq!(count(&with(b"a")), 1, "in pieces of {size}");
        }
        let mut outgoing = Outgoing::default();
        let bytes = with(b"answer");
        let (first, rest) = bytes.split_at(kept.len() + HEADER);
        let both = [IoSlice::new(first), IoSlice::new(rest)];
        assert!(!outgoing.answers(&both, first.len()), "only what was sent counts");
        assert!(outgoing.answers(&both[1..], 3) && outgoing.answers(&[IoSlice::new(&rest[3..])], 3));
        assert!(!outgoing.answers(&[IoSlice::new(&rest[6..])], kept.len()));
    }
}
