//! The two entries of one request, for an app that wants one on disk before its service hears of it: the admission, and
//! the end, which names it. Their words are part of the entries' bytes: they stay as they are.

use cardea_core::EntryId;

use crate::{Entry, Event, Request};

/// What an admission says of itself.
pub const ADMITTED: &str = "admitted; written before it was forwarded";

/// What the end of an admitted request begins with; the admission's id follows.
const ENDS: &str = "ends request ";

impl Request {
    /// Marks it as written before it was forwarded.
    pub fn admits(&mut self) {
        self.detail = Some(ADMITTED.to_owned());
    }

    /// Marks it as the end of the request that this entry admitted.
    pub fn ends(&mut self, admission: EntryId) {
        self.detail = Some(format!("{ENDS}{admission}"));
    }
}

impl Entry {
    /// Whether it tells of a request that was admitted, and leaves its end to another entry.
    pub fn is_admission(&self) -> bool {
        matches!(&self.event, Event::Request(request) if request.detail.as_deref() == Some(ADMITTED))
    }

    /// The admission of which this entry tells the end.
    pub fn ended(&self) -> Option<EntryId> {
        let Event::Request(request) = &self.event else { return None };
        EntryId::parse(request.detail.as_deref()?.strip_prefix(ENDS)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use cardea_core::{Caller, Timestamp, entropy::Fixed};

    use super::*;
    use crate::Actor;

    fn entry(event: Event) -> Entry {
        let at = Timestamp::from_secs(1_800_000_000);
        let id = EntryId::mint(at, &Fixed::new(3));
        Entry { id, at, tenant: None, actor: Actor::Caller(Caller::Visitor), session: None, client: None, event }
    }

    fn asked() -> Request {
        Request {
            app: None,
            method: "GET".into(),
            host: "".into(),
            path: "/".into(),
            status: 0,
            reason: None,
            micros: 0,
            decision: None,
            by: None,
            asked_by: None,
            detail: None,
        }
    }

    #[test]
    fn an_end_names_its_admission_and_nothing_else_does() {
        let told = |mark: &dyn Fn(&mut Request)| {
            let mut request = asked();
            mark(&mut request);
            let entry = Entry::read(&entry(Event::Request(Box::new(request))).body().unwrap()).unwrap();
            (entry.is_admission(), entry.ended())
        };
        let id = EntryId::mint(Timestamp::from_secs(7), &Fixed::new(8));
        assert_eq!(told(&|_| ()), (false, None));
        assert_eq!(told(&|request| request.admits()), (true, None));
        assert_eq!(told(&|request| request.ends(id)), (false, Some(id)));
        assert_eq!(told(&|request| request.detail = Some("ends request".to_owned())), (false, None));
        let other = entry(Event::PolicyRefused { reason: cardea_core::Reason::Conflict, detail: ADMITTED.to_owned() });
        assert_eq!((other.is_admission(), other.ended()), (false, None));
    }
}
