//! Where an app's service wants to be told that a session is over (OpenID Connect Back-Channel Logout 1.0).

use super::AppSpec;
use crate::{Diagnostic, Diagnostics};

/// The longest address. 1,024 bytes: more than any service's own, and within the head that each of them reads.
const LONGEST: usize = 1_024;

/// What keeps the service from being told at `path`. It is a path of the app's own service and nothing else: so it is reached as its
/// requests are, and nobody else can be made to hear from us.
pub(super) fn check(source: &str, app: &AppSpec, path: &str, found: &mut Diagnostics) {
    let of_a_path = |b: u8| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/%?".contains(&b);
    if !path.starts_with('/') || path.starts_with("//") || path.len() > LONGEST || !path.bytes().all(of_a_path) {
        found.push(
            Diagnostic::new(source, format!("back_channel_logout `{path}` is not a path of the app's own service"))
                .help("write `/…` as the service itself knows it, without scheme and host; escape what is not ASCII"),
        );
    }
    if app.upstream.is_none() {
        found.push(
            Diagnostic::new(source, format!("app `{}` has `back_channel_logout`, and no service to tell", app.id))
                .help("add `[upstream]`, by which the service is reached, or take `back_channel_logout` away"),
        );
    }
}

#[cfg(test)]
mod tests {
    use crate::resources::{AppSpec, read::read_resource};

    fn mistakes(path: &str, reached: &str) -> String {
        let text = format!(
            "id = \"records\"\nname = \"Records\"\nhosts = [\"r.localhost\"]\nback_channel_logout = \"{path}\"\n{reached}\n"
        );
        read_resource::<AppSpec>("app.toml", &text).err().map(|found| found.to_string()).unwrap_or_default()
    }

    #[test]
    fn a_service_is_told_at_a_path_of_its_own_and_nowhere_else() {
        const UPSTREAM: &str = "[upstream]\nurl = \"http://a:1\"";
        for path in ["/", "/oidc/back-channel", "/a%2Fb", "/logout?by=cardea&x=1"] {
            assert_eq!(mistakes(path, UPSTREAM), "", "{path}");
        }
        for path in [
            "",
            "logout",
            "http://a:1/logout",
            "https://elsewhere.example/logout",
            "//elsewhere.example/logout",
            "/log out",
            "/ä",
            "/a#b",
            "/a\\\\b",
            "/a\\nHost: b",
        ] {
            let told = mistakes(path, UPSTREAM);
            assert!(told.contains("is not a path of the app's own service"), "{path}: {told}");
            assert!(path.contains('\\') || told.contains("app.toml:4:23: "), "{path}: {told}");
            assert!(told.contains("help: write `/…`"), "{path}: {told}");
        }
        assert!(mistakes(&format!("/{}", "x".repeat(1_024)), UPSTREAM).contains("is not a path"));
        let told = mistakes("/logout", "[forward_auth]\ndialect = \"nginx\"");
        assert!(told.contains("app `records` has `back_channel_logout`, and no service to tell"), "{told}");
    }
}
