//! The shape of `cardea.toml`: which keys there are and what kind of value each takes. Meaning is checked elsewhere.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use cardea_core::{
    Diagnostics,
    resources::{SecretRef, read_toml},
};
use ipnet::IpNet;
use serde::{Deserialize, Deserializer, de};
use toml::Spanned;

use super::{LogFormat, SessionsIn};

/// Reads the file's shape; unknown keys name the nearest known one.
pub(super) fn read(source: &str, text: &str) -> Result<File, Diagnostics> {
    read_toml(source, text)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub public_port: Option<Spanned<u16>>,
    pub public_scheme: Option<Spanned<PublicScheme>>,
    pub trust_domain: Option<Spanned<String>>,
    pub resources: Option<Spanned<String>>,
    #[serde(default)]
    pub trusted_proxies: Vec<Network>,
    pub forwarded: Option<Spanned<String>>,
    pub state: StateTable,
    #[serde(default)]
    pub keys: KeysTable,
    #[serde(default)]
    pub listeners: Vec<Spanned<ListenerTable>>,
    #[serde(default)]
    pub tls: WatchTable,
    #[serde(default)]
    pub ops: OpsTable,
    pub machines: Option<MachinesTable>,
    pub ext_authz: Option<ExtAuthzTable>,
    pub postgres: Option<ServerTable>,
    pub redis: Option<Spanned<RedisTable>>,
    pub mail: Option<Spanned<MailTable>>,
    #[serde(default)]
    pub limits: LimitsTable,
    #[serde(default)]
    pub log: LogTable,
    #[serde(default)]
    pub access_log: AccessLogTable,
    #[serde(default)]
    pub traces: TracesTable,
}

/// An address to listen at.
struct Listening(SocketAddr);

impl<'de> Deserialize<'de> for Listening {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Text;
        impl de::Visitor<'_> for Text {
            type Value = Listening;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an address and a port such as `127.0.0.1:8443`")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Listening, E> {
                text.parse().map(Listening).map_err(|_| {
                    E::custom(format!(
                        "`{text}` is no address to listen at: write an IP address and a port, such as `127.0.0.1:8443` or `[::]:8443`"
                    ))
                })
            }
        }
        d.deserialize_str(Text)
    }
}

fn address<'de, D: Deserializer<'de>>(d: D) -> Result<Spanned<SocketAddr>, D::Error> {
    let read = Spanned::<Listening>::deserialize(d)?;
    Ok(Spanned::new(read.span(), read.into_inner().0))
}

fn optional_address<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Spanned<SocketAddr>>, D::Error> {
    address(d).map(Some)
}

/// A network, or one address: what a single proxy has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Network(pub IpNet);

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Text;
        // Refused while it is visited, a text is told with its own place; afterwards, with that of the whole list.
        impl de::Visitor<'_> for Text {
            type Value = Network;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a network such as `10.0.0.0/8`, or an address")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Network, E> {
                let alone = || text.parse::<IpAddr>().ok().map(IpNet::from);
                text.parse().ok().or_else(alone).map(Network).ok_or_else(|| {
                    E::custom(format!("`{text}` is no network: write `10.0.0.0/8`, or an address such as `10.0.0.7`"))
                })
            }
        }
        d.deserialize_str(Text)
    }
}

/// How people reach us, where a proxy before us decides it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum PublicScheme {
    Http,
    Https,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StateTable {
    pub dir: Spanned<String>,
    pub sessions: Option<Spanned<SessionsIn>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeysTable {
    pub passphrase: Option<SecretRef>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListenerTable {
    #[serde(deserialize_with = "address")]
    pub address: Spanned<SocketAddr>,
    #[serde(default)]
    pub plain: bool,
    #[serde(default)]
    pub proxy_protocol: bool,
    #[serde(default)]
    pub http3: bool,
    #[serde(default)]
    pub client_certificates: bool,
    #[serde(default, deserialize_with = "one_or_several")]
    pub tls: Vec<TlsTable>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TlsTable {
    pub certificate: Spanned<String>,
    pub key: Spanned<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WatchTable {
    pub watch: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OpsTable {
    #[serde(default, deserialize_with = "optional_address")]
    pub address: Option<Spanned<SocketAddr>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MachinesTable {
    #[serde(deserialize_with = "address")]
    pub address: Spanned<SocketAddr>,
    pub certificate_minutes: Option<Spanned<u64>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExtAuthzTable {
    #[serde(deserialize_with = "address")]
    pub address: Spanned<SocketAddr>,
    #[serde(default)]
    pub callers: Vec<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ServerTable {
    #[serde(deserialize_with = "text_or_reference")]
    pub url: Spanned<UrlOrRef>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RedisTable {
    pub url: Option<Spanned<UrlOrRef>>,
    pub cluster: Option<Spanned<UrlsOrRef>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MailTable {
    pub from: Spanned<String>,
    pub host: Option<Spanned<String>>,
    pub port: Option<Spanned<u16>>,
    #[serde(default)]
    pub tls: MailTls,
    pub user: Option<Spanned<String>>,
    pub password: Option<Spanned<SecretRef>>,
    pub ca_file: Option<Spanned<String>>,
    pub folder: Option<Spanned<String>>,
}

/// How a connection to the mail server is protected. There is no way of trying TLS and going on without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum MailTls {
    /// From the first byte (RFC 8314 section 3.3).
    #[default]
    Implicit,
    /// After `STARTTLS`, without which nothing is sent.
    Starttls,
    /// Not at all: on this machine only.
    None,
}

/// A URL without a password, or where one with a password is kept.
#[derive(Debug)]
pub(super) enum UrlOrRef {
    Url(String),
    Ref(SecretRef),
}

/// URLs without passwords, or where some with passwords are kept, one a line.
#[derive(Debug)]
pub(super) enum UrlsOrRef {
    Urls(Vec<Spanned<String>>),
    Ref(SecretRef),
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LimitsTable {
    pub sessions_cached: Option<Spanned<u64>>,
    pub own_body_bytes: Option<Spanned<usize>>,
    pub leave_seconds: Option<Spanned<u64>>,
    pub drain_seconds: Option<Spanned<u64>>,
    pub in_flight: Option<Spanned<usize>>,
    pub reserved_percent: Option<Spanned<u8>>,
    pub client_percent: Option<Spanned<u8>>,
    pub app_percent: Option<Spanned<u8>>,
    pub tenant_percent: Option<Spanned<u8>>,
    pub connections: Option<Spanned<usize>>,
    pub connections_per_client: Option<Spanned<usize>>,
    pub handshake_seconds: Option<Spanned<u64>>,
    pub head_seconds: Option<Spanned<u64>>,
    pub idle_seconds: Option<Spanned<u64>>,
    pub stalled_seconds: Option<Spanned<u64>>,
    pub own_body_seconds: Option<Spanned<u64>>,
    pub header_bytes: Option<Spanned<usize>>,
    pub headers: Option<Spanned<usize>>,
    pub body_bytes: Option<Spanned<u64>>,
    pub body_bytes_per_second: Option<Spanned<u32>>,
    pub body_grace_seconds: Option<Spanned<u64>>,
    pub http2_streams: Option<Spanned<u32>>,
    pub http2_resets: Option<Spanned<u32>>,
    pub http2_idle_frames: Option<Spanned<u32>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LogTable {
    #[serde(default)]
    pub format: LogFormat,
    pub level: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AccessLogTable {
    pub format: Option<AccessLogFormat>,
    pub file: Option<String>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum AccessLogFormat {
    Off,
    Json,
    Common,
    Combined,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TracesTable {
    pub endpoint: Option<Spanned<String>>,
    pub sample: Option<Spanned<f64>>,
    pub ca_file: Option<String>,
}

/// `tls = { … }` for one certificate, `tls = [{ … }, { … }]` for several.
fn one_or_several<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<TlsTable>, D::Error> {
    struct Either;
    impl<'de> de::Visitor<'de> for Either {
        type Value = Vec<TlsTable>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("`{ certificate = \"…\", key = \"…\" }` or a list of them")
        }
        fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
            TlsTable::deserialize(de::value::MapAccessDeserializer::new(map)).map(|one| vec![one])
        }
        fn visit_seq<A: de::SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
            Vec::deserialize(de::value::SeqAccessDeserializer::new(seq))
        }
    }
    d.deserialize_any(Either)
}

fn text_or_reference<'de, D: Deserializer<'de>>(d: D) -> Result<Spanned<UrlOrRef>, D::Error> {
    Spanned::<UrlOrRef>::deserialize(d)
}

impl<'de> Deserialize<'de> for UrlOrRef {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> de::Visitor<'de> for Either {
            type Value = UrlOrRef;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a URL, `{ file = \"…\" }` or `{ env = \"…\" }`")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<UrlOrRef, E> {
                Ok(UrlOrRef::Url(text.to_owned()))
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<UrlOrRef, A::Error> {
                SecretRef::deserialize(de::value::MapAccessDeserializer::new(map)).map(UrlOrRef::Ref)
            }
        }
        d.deserialize_any(Either)
    }
}

impl<'de> Deserialize<'de> for UrlsOrRef {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> de::Visitor<'de> for Either {
            type Value = UrlsOrRef;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of URLs, `{ file = \"…\" }` or `{ env = \"…\" }`")
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, seq: A) -> Result<UrlsOrRef, A::Error> {
                Vec::deserialize(de::value::SeqAccessDeserializer::new(seq)).map(UrlsOrRef::Urls)
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<UrlsOrRef, A::Error> {
                SecretRef::deserialize(de::value::MapAccessDeserializer::new(map)).map(UrlsOrRef::Ref)
            }
        }
        d.deserialize_any(Either)
    }
}
