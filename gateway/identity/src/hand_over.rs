//! The one-time code that carries a session from the sign-in host to an app host. It works once, within a minute, at
//! that host only, and only in the browser that began there (RFC 9700 section 2.1.1; login CSRF).

use cardea_core::SessionId;
use serde::{Deserialize, Serialize};

use crate::token::{Ticket, TicketHash};

/// What a hand-over code stands for; kept under its hash as [`crate::one_time::Purpose::HandOver`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandOver {
    /// The session to be opened.
    pub session: SessionId,
    /// The app host that may open it.
    pub host: String,
    /// The hash of the flow cookie that the app host gave to the browser.
    pub flow: TicketHash,
}

/// Why a code does not open the session. Each alone refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotHere {
    /// The code was made for another host.
    #[error("the code was made for another host")]
    Host,
    /// The browser did not begin this sign-in: it has no flow cookie, or another.
    #[error("the sign-in was begun in another browser")]
    Browser,
}

impl HandOver {
    /// Checks that this is the host and the browser; gives the session to open.
    pub fn accept(self, host: &str, flow: Option<&Ticket>) -> Result<SessionId, NotHere> {
        if self.host != host {
            return Err(NotHere::Host);
        }
        match flow {
            Some(ticket) if ticket.hash() == self.flow => Ok(self.session),
            _ => Err(NotHere::Browser),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cardea_core::{Timestamp, entropy::Fixed};

    #[test]
    fn a_code_opens_its_host_in_its_browser_only() {
        let entropy = Fixed::new(1);
        let (mine, theirs) = (Ticket::draw(&entropy), Ticket::draw(&entropy));
        let session = SessionId::mint(Timestamp::from_secs(1), &entropy);
        let code = HandOver { session, host: "records.north.example".to_owned(), flow: mine.hash() };
        assert_eq!(code.clone().accept("records.north.example", Some(&mine)), Ok(session));
        assert_eq!(code.clone().accept("other.north.example", Some(&mine)), Err(NotHere::Host));
        assert_eq!(code.clone().accept("records.north.example", Some(&theirs)), Err(NotHere::Browser));
        assert_eq!(code.accept("records.north.example", None), Err(NotHere::Browser));
    }
}
