//! Peers that vanish without a word, as a machine that loses its power or a path that forgets it: the system asks them
//! for a sign of life while nothing passes. Without that an idle tunnel to one stays open, with its place, for ever.

use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

/// Silence before the first question. A minute: seldom enough to cost nothing, and sooner than most firewalls and balancers
/// forget a silent connection, so that it also keeps good ones known to them.
const SILENCE: Duration = Duration::from_secs(60);

/// Time from one question to the next while no answer comes. A quarter of that: long enough for a path to recover.
const BETWEEN: Duration = Duration::from_secs(15);

/// Questions without an answer before the connection ends. Four, so that two minutes after the last sign of life it is
/// over: as long as a client may take nothing of its answer (`Limits::stalled`), whose limit rules here too (tcp(7)).
const QUESTIONS: u32 = 4;

/// Has the system notice when the other side is gone. Best effort: without it the other limits remain.
pub(crate) fn keep_alive(stream: &TcpStream) {
    let asking = TcpKeepalive::new().with_time(SILENCE).with_interval(BETWEEN).with_retries(QUESTIONS);
    let _ = SockRef::from(stream).set_tcp_keepalive(&asking);
}

/// What the system was told about a connection.
#[cfg(test)]
pub(crate) fn told(stream: &TcpStream) -> (bool, u64, u64, u32) {
    let socket = SockRef::from(stream);
    let seconds = |time: std::io::Result<Duration>| time.unwrap().as_secs();
    (
        socket.keepalive().unwrap(),
        seconds(socket.tcp_keepalive_time()),
        seconds(socket.tcp_keepalive_interval()),
        socket.tcp_keepalive_retries().unwrap(),
    )
}
