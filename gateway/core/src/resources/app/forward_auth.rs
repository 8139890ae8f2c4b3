//! An app that another proxy carries: that proxy asks here about each request and forwards it itself.

use serde::{Deserialize, Serialize};

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

pub(super) fn check(source: &str, spec: &ForwardAuthSpec, found: &mut Diagnostics) {
    if spec.oauth2_proxy && spec.dialect == Dialect::Envoy {
        found.push(
            Diagnostic::new(source, "`oauth2_proxy` has no meaning for Envoy, which asks over gRPC")
                .help("leave it out, or write the dialect of the proxy that asks over HTTP"),
        );
    }
}
