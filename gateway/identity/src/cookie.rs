//! The cookies: their names, their attributes, and how they are read. Nothing else in the gateway writes one.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{
    device::KNOWN_FOR,
    token::{Handle, Ticket},
};

/// Which of our cookies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cookie {
    /// Holds the session's handle.
    Session,
    /// Holds the ticket of a sign-in under way.
    Flow,
    /// Holds the mark of a browser in which somebody has signed in.
    Device,
    /// Holds the key of a remembered device.
    Remembered,
    /// Holds the address to which somebody goes once they have added the factor that is asked for first.
    Onward,
}

impl Cookie {
    /// Every one: what services neither see nor set.
    pub const ALL: [Self; 5] = [Self::Session, Self::Flow, Self::Device, Self::Remembered, Self::Onward];

    /// Its name. Over TLS it has the `__Host-` prefix, so that no sibling host can plant one (RFC 6265bis section
    /// 4.1.3.2); browsers refuse that prefix over plain HTTP, which only loopback listeners speak.
    pub const fn name(self, secure: bool) -> &'static str {
        match (self, secure) {
            (Self::Session, true) => "__Host-cardea",
            (Self::Session, false) => "cardea",
            (Self::Flow, true) => "__Host-cardea-flow",
            (Self::Flow, false) => "cardea-flow",
            (Self::Device, true) => "__Host-cardea-device",
            (Self::Device, false) => "cardea-device",
            (Self::Remembered, true) => "__Host-cardea-remembered",
            (Self::Remembered, false) => "cardea-remembered",
            (Self::Onward, true) => "__Host-cardea-onward",
            (Self::Onward, false) => "cardea-onward",
        }
    }

    /// The `Set-Cookie` value that sets it. Session and flow do not outlive what they name, so both may end with the
    /// browser: the limits are the server's (SP 800-63B-4 section 5.1).
    fn set(self, secure: bool, value: &str) -> String {
        let flag = if secure { "; Secure" } else { "" };
        format!("{}={value}; Path=/{flag}; HttpOnly; SameSite=Lax", self.name(secure))
    }

    /// The `Set-Cookie` value that removes it.
    pub fn clear(self, secure: bool) -> String {
        format!("{}; Max-Age=0", self.set(secure, ""))
    }

    /// The value that a browser sent, among its `Cookie` headers. Two of the name are as good as none: one of them
    /// was planted, and which one cannot be told.
    pub fn find<'a>(self, secure: bool, headers: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
        let name = self.name(secure);
        let mut found = None;
        for pair in headers.into_iter().flat_map(|header| header.split(';')) {
            let Some((key, value)) = pair.split_once('=') else { continue };
            if key.trim_matches([' ', '\t']) != name {
                continue;
            }
            if found.replace(value.trim_matches([' ', '\t'])).is_some() {
                return None;
            }
        }
        found
    }
}

/// The `Set-Cookie` value that hands a session's handle to the browser.
pub fn set_handle(handle: &Handle, secure: bool) -> String {
    Cookie::Session.set(secure, &handle.expose_text())
}

/// The `Set-Cookie` value that binds a sign-in to the browser.
pub fn set_flow(ticket: &Ticket, secure: bool) -> String {
    Cookie::Flow.set(secure, &ticket.expose_text())
}

/// The `Set-Cookie` value that lets a browser be known again: it outlives the session and the browser's end.
pub fn set_device(sealed: &str, secure: bool) -> String {
    format!("{}; Max-Age={}", Cookie::Device.set(secure, sealed), KNOWN_FOR.as_secs())
}

/// The `Set-Cookie` value that hands the key of a remembered device to its browser, for as long as it is of use.
pub fn set_remembered(key: &Ticket, life: Duration, secure: bool) -> String {
    format!("{}; Max-Age={}", Cookie::Remembered.set(secure, &key.expose_text()), life.as_secs())
}

/// The key of a remembered device that a browser showed.
pub fn remembered<'a>(headers: impl IntoIterator<Item = &'a str>, secure: bool) -> Option<Ticket> {
    Ticket::parse(Cookie::Remembered.find(secure, headers)?).ok()
}

/// The `Set-Cookie` value that keeps an address for after an enrolment. It ends with the browser, and is judged anew when it
/// comes back, as any address to return to is: nothing rests on who has written it.
pub fn set_onward(to: &str, secure: bool) -> String {
    Cookie::Onward.set(secure, &URL_SAFE_NO_PAD.encode(to))
}

/// The address that a browser kept; unchecked.
pub fn onward<'a>(headers: impl IntoIterator<Item = &'a str>, secure: bool) -> Option<String> {
    let kept = URL_SAFE_NO_PAD.decode(Cookie::Onward.find(secure, headers)?).ok()?;
    String::from_utf8(kept).ok()
}

/// The handle that a browser showed. What is no handle is as good as none.
pub fn handle<'a>(headers: impl IntoIterator<Item = &'a str>, secure: bool) -> Option<Handle> {
    Handle::parse(Cookie::Session.find(secure, headers)?).ok()
}

/// The flow's ticket that a browser showed.
pub fn flow<'a>(headers: impl IntoIterator<Item = &'a str>, secure: bool) -> Option<Ticket> {
    Ticket::parse(Cookie::Flow.find(secure, headers)?).ok()
}

/// A browser as a person recognises it: `Firefox on Linux`. Made of fixed words only, whatever was sent.
pub fn agent_label(user_agent: &str) -> String {
    const BROWSERS: [(&str, &str); 8] = [
        ("Edg/", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("FxiOS/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("CriOS/", "Chrome"),
        ("Safari/", "Safari"),
        ("curl/", "curl"),
    ];
    const SYSTEMS: [(&str, &str); 7] = [
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Android", "Android"),
        ("Windows", "Windows"),
        ("Mac OS X", "macOS"),
        ("CrOS", "ChromeOS"),
        ("Linux", "Linux"),
    ];
    let first = |table: &[(&str, &'static str)]| {
        table.iter().find(|(mark, _)| user_agent.contains(mark)).map(|(_, name)| *name)
    };
    match (first(&BROWSERS), first(&SYSTEMS)) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(browser), None) => browser.to_owned(),
        (None, Some(system)) => format!("A browser on {system}"),
        (None, None) => "A program".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cardea_core::entropy::Fixed;

    #[test]
    fn a_handle_goes_out_and_comes_back() {
        let handle_out = Handle::draw(&Fixed::new(1));
        for secure in [true, false] {
            let set = set_handle(&handle_out, secure);
            let sent = set.split(';').next().unwrap();
            assert_eq!(handle(["a=b; c", sent], secure).unwrap(), handle_out);
            assert!(set.ends_with("; HttpOnly; SameSite=Lax") && set.contains("; Path=/;"), "{set}");
            assert_eq!(set.contains("; Secure"), secure);
            assert_eq!(set.starts_with("__Host-"), secure);
        }
    }

    #[test]
    fn a_planted_second_cookie_makes_both_worthless() {
        let mine = Handle::draw(&Fixed::new(1)).expose_text();
        let theirs = Handle::draw(&Fixed::new(2)).expose_text();
        assert!(handle([format!("__Host-cardea={mine}").as_str()], true).is_some());
        assert!(handle([format!("__Host-cardea={mine}; __Host-cardea={theirs}").as_str()], true).is_none());
        let (a, b) = (format!("__Host-cardea={mine}"), format!("__Host-cardea={theirs}"));
        assert!(handle([a.as_str(), b.as_str()], true).is_none());
        assert!(handle([format!("cardea={mine}").as_str()], true).is_none(), "a cookie without the prefix was taken");
        assert!(handle([format!("__host-cardea={mine}").as_str()], true).is_none());
        // A pair without `=` is a cookie without a name: whoever plants one keeps nobody out.
        assert!(handle([format!("__Host-cardea; __Host-cardea={mine}").as_str()], true).is_some());
    }

    #[test]
    fn a_device_outlives_the_browsers_end() {
        let set = set_device("x", true);
        assert_eq!(set, "__Host-cardea-device=x; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=7776000");
        assert_eq!(Cookie::Device.find(true, ["__Host-cardea-device=x"]), Some("x"));
    }

    #[test]
    fn a_remembered_devices_key_goes_when_it_is_of_no_more_use() {
        let key = Ticket::draw(&Fixed::new(1));
        let set = set_remembered(&key, Duration::from_secs(86_400), true);
        let sent = set.split(';').next().unwrap();
        assert_eq!(remembered([sent], true), Some(key));
        assert!(
            set.starts_with("__Host-cardea-remembered=") && set.ends_with("; HttpOnly; SameSite=Lax; Max-Age=86400")
        );
    }

    #[test]
    fn an_address_is_kept_whatever_a_cookie_may_not_hold() {
        let to = "https://lab.acme.example/a;b,c?d=\"e\"&f=g";
        let set = set_onward(to, true);
        let sent = set.split("; ").next().unwrap();
        assert_eq!(onward([sent], true).as_deref(), Some(to));
        assert_eq!(onward(["__Host-cardea-onward=%"], true), None);
    }

    #[test]
    fn an_agent_is_told_in_fixed_words() {
        let firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0";
        assert_eq!(agent_label(firefox), "Firefox on Linux");
        assert_eq!(agent_label("<script>alert(1)</script>"), "A program");
    }
}
