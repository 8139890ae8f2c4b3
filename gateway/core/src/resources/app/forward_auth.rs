//! An app that another proxy carries: that proxy asks here about each request and forwards it itself.

use serde::{Deserialize, Serialize};

use super::AppSpec;
use crate::{Diagnostic, Diagnostics};

/// How another proxy asks about the app's requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForwardAuthSpec {
    /// The proxy that asks. It says how a request is described to us and which answers it understands; a description
    /// in any other dialect is refused.
    pub dialect: Dialect,
    /// Answers at oauth2-proxy's addresses too: `/oauth2/auth`, `/oauth2/start`, `/oauth2/sign_in`, `/oauth2/sign_out`
    /// and `/oauth2/userinfo`. Off: they are the app's.
    #[serde(default, skip_serializing_if = "super::is_false")]
    pub oauth2_proxy: bool,
}

/// A proxy, as far as it matters what it says and what it understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dialect {
    /// `auth_request`: `X-Original-Method` and `X-Original-URI` (or `X-Original-URL`). It understands 2xx, 401 and 403.
    Nginx,
    /// `forwardAuth`: `X-Forwarded-Method`, `-Proto`, `-Host` and `-Uri`. It passes any other answer on to the client.
    Traefik,
    /// `forward_auth`: as Traefik.
    Caddy,
    /// The script that ships with Cardea: as Traefik.
    Haproxy,
    /// External authorization over gRPC, at the listener `[ext_authz]` and nowhere else.
    Envoy,
}

impl Dialect {
    /// The name, as specs and entries have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Traefik => "traefik",
            Self::Caddy => "caddy",
            Self::Haproxy => "haproxy",
            Self::Envoy => "envoy",
        }
    }
}

pub(super) fn check(source: &str, app: &AppSpec, spec: &ForwardAuthSpec, found: &mut Diagnostics) {
    if spec.oauth2_proxy && spec.dialect == Dialect::Envoy {
        found.push(
            Diagnostic::new(source, "`oauth2_proxy` has no meaning for Envoy, which asks over gRPC")
                .help("leave it out, or write the dialect of the proxy that asks over HTTP"),
        );
    }
    for (declared, table, what) in [
        (!app.limits.is_usual(), "[limits]", "bounds bodies"),
        (app.rewrite.is_some(), "[rewrite]", "moves paths and changes headers"),
        (app.cors.is_some(), "[cors]", "answers preflights and says which pages may read"),
        (app.hardening.on && !app.hardening.is_default(), "[hardening]", "makes answers stricter"),
        (!app.answers.is_empty(), "[[answers]]", "answers in the service's stead"),
    ] {
        if declared {
            found.push(
                Diagnostic::new(source, format!("`{table}` has no effect beside `[forward_auth]`")).help(format!(
                    "leave it out: the proxy that carries the app is the one that {what}, so say it there"
                )),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::resources::{AppSpec, read::read_resource};

    fn found(more: &str) -> String {
        let text = format!(
            "id = \"lab\"\nname = \"Lab\"\nhosts = [\"lab.localhost\"]\n[forward_auth]\ndialect = \"nginx\"\n{more}"
        );
        read_resource::<AppSpec>("apps/lab.toml", &text).err().map(|found| found.to_string()).unwrap_or_default()
    }

    #[test]
    fn what_only_a_carrier_can_do_is_refused_where_another_one_carries() {
        for (table, rest) in [
            ("[limits]", "body_bytes = 7\n"),
            ("[rewrite]", "strip_prefix = \"/\"\n"),
            ("[rewrite]", "[rewrite.response]\nset = { X-Lab = \"1\" }\n"),
            ("[cors]", "origins = [\"https://data.example\"]\n"),
            ("[hardening]", "frame_options = false\n"),
            ("[[answers]]", "pattern = \"/robots.txt\"\nbody = \"none\"\n"),
        ] {
            for upstream in ["", "[upstream]\nurl = \"http://127.0.0.1:1\"\n"] {
                let told = found(&format!("{table}\n{rest}{upstream}"));
                assert!(told.contains(&format!("apps/lab.toml:6:1: `{table}` has no effect")), "{table}: {told}");
                assert!(told.contains("say it there"), "{told}");
            }
        }
    }

    #[test]
    fn what_changes_nothing_or_is_asked_about_may_stand() {
        for rest in [
            "",
            "[limits]\n",
            "[hardening]\n",
            "[hardening]\non = false\nframe_options = false\n",
            "[headers]\nRemote-User = \"email\"\n",
            "[[resources]]\npattern = \"/x\"\ntype = \"Page\"\n",
        ] {
            assert_eq!(found(rest), "", "{rest}");
        }
    }
}
