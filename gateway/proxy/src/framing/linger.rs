//! The end of a connection whose client still sends. Closing with unread bytes would reset the connection, and the
//! client might never see its last answer (RFC 9112 section 9.6).

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, ReadBuf},
    time::Sleep,
};

/// How long it is listened to. Two seconds: what is on its way on a slow line has come by then.
const TIME: Duration = Duration::from_secs(2);

/// How much is listened to. 16 MiB: what fits into the buffers on the way.
const BYTES: usize = 16 * 1024 * 1024;

/// Listens to a client after the last word, and takes nothing in.
pub(super) struct Linger {
    end: Option<Pin<Box<Sleep>>>,
    left: usize,
}

impl Linger {
    pub(super) const fn new() -> Self {
        Self { end: None, left: BYTES }
    }

    /// Ready once the client has ended, or was listened to for long enough.
    pub(super) fn poll(&mut self, io: &mut (impl AsyncRead + Unpin), cx: &mut Context<'_>) -> Poll<()> {
        let mut scratch = [0; 4096];
        // Bounded per call, so that a fast sender leaves others their turn.
        for _ in 0..64 {
            let mut buf = ReadBuf::new(&mut scratch);
            match Pin::new(&mut *io).poll_read(cx, &mut buf) {
                Poll::Ready(Ok(())) if !buf.filled().is_empty() && self.left > buf.filled().len() => {
                    self.left -= buf.filled().len();
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return self.poll_end(cx),
            }
        }
        cx.waker().wake_by_ref();
        self.poll_end(cx)
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.end.get_or_insert_with(|| Box::pin(tokio::time::sleep(TIME))).as_mut().poll(cx)
    }
}
