//! Whether a listener can speak HTTP/3, and whether it can ask clients for certificates.

use toml::Spanned;

use super::{check::Check, shape::ListenerTable};

impl Check<'_> {
    /// HTTP/3 is always TLS, and comes from the client itself.
    pub(super) fn may_speak_http3(&mut self, table: &Spanned<ListenerTable>) -> bool {
        let listener = table.get_ref();
        let address = listener.address.get_ref();
        let (message, help) = match (listener.plain, listener.proxy_protocol) {
            (true, _) => ("plain, and HTTP/3 is always TLS", "use `tls = { … }`, or remove `http3`"),
            (_, true) => (
                "for listed proxies, which pass on TCP and no UDP",
                "remove `http3`, or give it a listener without `proxy_protocol`",
            ),
            (false, false) if cfg!(feature = "http3") => return true,
            (false, false) => (
                "to speak HTTP/3, and this `cardea` was built without it",
                "remove `http3`, or build it with `cargo build --release --features http3`",
            ),
        };
        self.wrong(table, format!("listener `{address}` is {message}"), help);
        false
    }

    /// A certificate is shown in TLS, and one connection after the other: what HTTP/3 knows of it is not read.
    pub(super) fn may_ask_for_certificates(&mut self, table: &Spanned<ListenerTable>) -> bool {
        let listener = table.get_ref();
        let address = listener.address.get_ref();
        let (message, help) = match (listener.plain, listener.http3) {
            (true, _) => {
                ("plain, and certificates are shown in TLS", "use `tls = { … }`, or remove `client_certificates`")
            }
            (_, true) => {
                ("to ask for certificates over HTTP/3, too", "remove `http3`, or ask at a listener of its own")
            }
            (false, false) => return true,
        };
        self.wrong(table, format!("listener `{address}` is {message}"), help);
        false
    }
}
