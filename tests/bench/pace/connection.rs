//! A kept connection: one request at a time, and its answer.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Result;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rustls::{ClientConfig, ClientConnection};
use rustls_pki_types::ServerName;

/// Fields of an answer's head, at most.
const FIELDS: usize = 64;
/// An answer of 1 KiB with its head fits easily.
const ROOM: usize = 16 * 1024;

/// Whom it goes to, and what is asked each time.
pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    pub(crate) name: ServerName<'static>,
    pub(crate) tls: Arc<ClientConfig>,
    pub(crate) request: Vec<u8>,
}

/// What was found on a connection on which something happened.
pub(crate) struct Seen {
    /// Of an answer that is whole.
    pub(crate) status: Option<u16>,
    /// Closed, broken, or not understood.
    pub(crate) ended: bool,
}

pub(crate) struct Connection {
    stream: TcpStream,
    tls: ClientConnection,
    came: Vec<u8>,
    /// The request that waits for its answer: when it was due, and its number.
    pub(crate) asked: Option<(u64, u64)>,
}

impl Connection {
    pub(crate) fn open(service: &Service, registry: &Registry, token: Token) -> Result<Self> {
        let mut stream = TcpStream::connect(service.address)?;
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        // One that is not connected yet has no such option in some places; on loopback it is.
        stream.set_nodelay(true)?;
        let tls = ClientConnection::new(service.tls.clone(), service.name.clone())?;
        Ok(Self { stream, tls, came: Vec::with_capacity(ROOM), asked: None })
    }

    pub(crate) fn is_ready(&self) -> bool {
        !self.tls.is_handshaking()
    }

    /// Sends a request; where the handshake is not done yet, at its end.
    pub(crate) fn ask(&mut self, request: &[u8], due: u64, nth: u64) -> io::Result<()> {
        self.asked = Some((due, nth));
        self.came.clear();
        self.tls.writer().write_all(request)?;
        self.write()
    }

    /// Reads and writes what goes.
    pub(crate) fn go_on(&mut self) -> Seen {
        let ended = self.read().and_then(|ended| self.write().map(|()| ended));
        let whole = self.whole();
        Seen { ended: ended.unwrap_or(true) || whole.is_err(), status: whole.unwrap_or(None) }
    }

    /// Whether the other side has ended.
    fn read(&mut self) -> io::Result<bool> {
        loop {
            match self.tls.read_tls(&mut self.stream) {
                Ok(0) => return Ok(true),
                Ok(_) => {
                    self.tls.process_new_packets().map_err(io::Error::other)?;
                    match self.tls.reader().read_to_end(&mut self.came) {
                        Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
                        _ => {}
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
    }

    fn write(&mut self) -> io::Result<()> {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut self.stream) {
                Ok(_) => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The status of the answer once all of it is here. An answer must tell its length.
    fn whole(&self) -> Result<Option<u16>> {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS];
        let mut head = httparse::Response::new(&mut fields);
        let httparse::Status::Complete(begins) = head.parse(&self.came)? else { return Ok(None) };
        let length = head.headers.iter().find(|field| field.name.eq_ignore_ascii_case("content-length"));
        let length: usize = std::str::from_utf8(length.map_or(b"", |field| field.value))?.parse()?;
        Ok(head.code.filter(|_| self.came.len() >= begins + length))
    }
}
