//! An answer's body with the connection that it goes out on.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::{Body, BodyError};
use crate::Connection;

/// A body that holds its connection, which is not idle until the last of it has been handed over, or given up. From there on
/// it counts as it goes out: whoever takes nothing of a short answer holds no place by it.
pub(crate) struct Held {
    body: Body,
    connection: Option<Arc<Connection>>,
}

impl Held {
    pub(crate) fn new(body: Body, connection: Arc<Connection>) -> Self {
        Self { body, connection: Some(connection) }
    }
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if frame.is_none() || self.body.is_end_stream() {
            self.connection = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
