//! Where the frames of a WebSocket end, seen from the bytes that pass (RFC 6455 section 5.2), and the last frame of one
//! that is cut. Nothing else of a frame is looked at.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The client's end of a tunnel. It knows whether what was written to it ends with a whole frame.
pub(super) struct Client<IO> {
    io: IO,
    frames: Frames,
}

impl<IO> Client<IO> {
    pub(super) fn new(io: IO) -> Self {
        Self { io, frames: Frames::default() }
    }

    /// The stream itself, if another frame may follow what was written.
    pub(super) fn between_frames(&mut self) -> Option<&mut IO> {
        self.frames.is_between().then_some(&mut self.io)
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Client<IO> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Client<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.io).poll_write(cx, bytes))?;
        self.frames.pass(bytes.get(..written).unwrap_or_default());
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// Follows frames: first their heads, byte by byte, then their payloads, which are only counted.
#[derive(Debug, Default)]
struct Frames {
    /// The head so far; at most fourteen bytes.
    head: [u8; 14],
    seen: usize,
    /// Bytes of payload still to come.
    left: u64,
    /// A frame said that it is the last.
    closed: bool,
}

impl Frames {
    fn is_between(&self) -> bool {
        self.seen == 0 && self.left == 0 && !self.closed
    }

    fn pass(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.left > 0 {
                let payload = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
                self.left -= payload as u64;
                bytes = &bytes[payload..];
                continue;
            }
            self.head[self.seen] = bytes[0];
            self.seen += 1;
            bytes = &bytes[1..];
            if let Some(length) = announced(&self.head[..self.seen]) {
                self.closed |= self.head[0] & 0x0f == CLOSE;
                (self.seen, self.left) = (0, length);
            }
        }
    }
}

const CLOSE: u8 = 8;

/// The payload's length, once the head is whole.
fn announced(head: &[u8]) -> Option<u64> {
    let &[_, short, ref rest @ ..] = head else { return None };
    let long = match short & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let mask = if short & 0x80 == 0 { 0 } else { 4 };
    if rest.len() < long + mask {
        return None;
    }
    let length = rest[..long].iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte));
    Some(if long == 0 { u64::from(short & 0x7f) } else { length })
}

/// The frame that closes a WebSocket with a code and a word why (RFC 6455 section 5.5.1).
pub(super) fn close(code: u16, why: &str) -> Vec<u8> {
    // At most 125 bytes fit; ours are words from a closed list.
    let why = why.get(..why.len().min(100)).unwrap_or_default();
    let length = u8::try_from(why.len() + 2).unwrap_or(2);
    [&[0x80 | CLOSE, length][..], &code.to_be_bytes(), why.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_may_follow_only_a_whole_one() {
        let long: Vec<u8> = [&[0x82, 126, 0x01, 0x00][..], &[7; 256]].concat();
        let huge: Vec<u8> = [&[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0][..], &[7; 65_536]].concat();
        let masked = vec![0x81, 0x82, 1, 2, 3, 4, b'h', b'i'];
        for frame in [vec![0x81, 2, b'h', b'i'], vec![0x89, 0], long, huge, masked] {
            // In one piece, and cut at any place.
            for piece in [1, 3, 1000, frame.len()] {
                let mut frames = Frames::default();
                let mut sent = 0;
                for bytes in frame.chunks(piece) {
                    frames.pass(bytes);
                    sent += bytes.len();
                    assert_eq!(frames.is_between(), sent == frame.len(), "{sent} of {}", frame.len());
                }
                frames.pass(&frame);
                assert!(frames.is_between(), "two in a row");
            }
        }
    }

    #[test]
    fn nothing_follows_a_close() {
        let mut frames = Frames::default();
        frames.pass(&close(1000, ""));
        assert!(!frames.is_between());
    }

    #[test]
    fn the_close_names_its_code_and_why() {
        assert_eq!(close(1008, "denied"), b"\x88\x08\x03\xf0denied");
    }
}
