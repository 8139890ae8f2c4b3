//! What `cardea.toml` means: defaults filled in, files opened, contradictions found. All mistakes come back together.

use std::{
    collections::HashMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use cardea_core::{Diagnostic, Diagnostics, Timestamp};
use cardea_proxy::ForwardedBy;
use toml::Spanned;

use super::{
    AccessLogConfig, AccessLogForm, Certificate, Config, ExtAuthz, ListenerConfig, LogConfig, Scheme, TracesConfig,
    files::Files,
    shape::{
        AccessLogFormat, AccessLogTable, ExtAuthzTable, File, ListenerTable, LogTable, MachinesTable, PublicScheme,
        TlsTable, TracesTable,
    },
};

/// Port 9090 on loopback: where collectors of metrics look first.
const OPS: ([u8; 4], u16) = ([127, 0, 0, 1], 9090);

pub(super) struct Check<'a> {
    source: &'a str,
    text: &'a str,
    pub(super) folder: &'a Path,
    pub(super) files: &'a dyn Files,
    now: Timestamp,
    found: Diagnostics,
}

impl<'a> Check<'a> {
    pub(super) fn new(
        source: &'a str,
        text: &'a str,
        (folder, files): (&'a Path, &'a dyn Files),
        now: Timestamp,
    ) -> Self {
        Self { source, text, folder, files, now, found: Diagnostics::default() }
    }

    pub(super) fn config(mut self, file: File) -> Result<Config, Diagnostics> {
        let listeners = self.listeners(&file.listeners);
        let ops = file.ops.address.as_ref().map_or(SocketAddr::from(OPS), |address| *address.get_ref());
        self.distinct_addresses(&file);
        self.proxies_for_listeners(&file);
        let config = Config {
            source: self.source.to_owned(),
            folder: self.folder.to_owned(),
            state_dir: self.state_dir(&file.state.dir),
            sessions: self.sessions(&file),
            // Looked up when it is needed: it may be a pipe, and whoever only checks is told of it, and not asked.
            passphrase: file.keys.passphrase,
            ops,
            machines: file.machines.as_ref().map(|machines| *machines.address.get_ref()),
            ext_authz: file.ext_authz.as_ref().map(|table| self.ext_authz(table, file.machines.is_some())),
            certificate_life: self.certificate_life(file.machines.as_ref()),
            public_port: self.public_port(file.public_port.as_ref(), &listeners),
            public_tls: self.public_tls(file.public_scheme.as_ref(), &listeners),
            trust_domain: self.trust_domain(file.trust_domain.as_ref()),
            limits: self.limits(&file.limits, file.postgres.is_some()),
            postgres: file.postgres.as_ref().and_then(|table| self.postgres(table)),
            redis: file.redis.as_ref().and_then(|table| self.redis(table)),
            mail: file.mail.as_ref().and_then(|table| self.mail(table)),
            forwarded: self.forwarded(file.forwarded.as_ref()),
            trusted_proxies: file.trusted_proxies.into_iter().map(|one| one.0).collect(),
            log: self.log(&file.log),
            access_log: self.access_log(&file.access_log),
            traces: self.traces(&file.traces),
            watch_certificates: file.tls.watch.unwrap_or(true),
            text: self.text.into(),
            resources: file.resources.as_ref().and_then(|dir| self.resources(dir)),
            listeners,
        };
        self.found.or_ok(config)
    }

    pub(super) fn wrong<T>(&mut self, at: &Spanned<T>, message: impl Into<String>, help: &str) {
        self.wrong_span(at.span(), message, help);
    }

    fn wrong_span(&mut self, span: std::ops::Range<usize>, message: impl Into<String>, help: &str) {
        self.found.push(Diagnostic::new(self.source, message).at(self.text, span.start, span.end).help(help));
    }

    fn listeners(&mut self, tables: &[Spanned<ListenerTable>]) -> Vec<ListenerConfig> {
        if tables.is_empty() {
            self.found.push(Diagnostic::new(self.source, "there is no listener").help(
                "add `[[listeners]]` with `address = \"0.0.0.0:443\"` and `tls = { certificate = \"…\", key = \"…\" }`",
            ));
        }
        let listeners: Vec<_> = tables.iter().filter_map(|table| self.listener(table)).collect();
        let plain = listeners.iter().filter(|one| matches!(one.scheme, Scheme::Plain)).count();
        if plain > 0 && plain < listeners.len() {
            // Cookies are named by the scheme, and URLs show one origin a host.
            self.found.push(
                Diagnostic::new(self.source, "some listeners are plain and some are TLS")
                    .help("make all of them TLS; plain is for trying things out on one machine"),
            );
        }
        listeners
    }

    fn listener(&mut self, table: &Spanned<ListenerTable>) -> Option<ListenerConfig> {
        let listener = table.get_ref();
        let address = *listener.address.get_ref();
        let http3 = listener.http3 && self.may_speak_http3(table);
        let client_certificates = listener.client_certificates && self.may_ask_for_certificates(table);
        match (listener.plain, listener.tls.is_empty()) {
            (true, false) => {
                self.wrong(table, format!("listener `{address}` is both plain and TLS"), "remove `plain` or `tls`");
                None
            }
            (false, true) => {
                self.wrong(
                    table,
                    format!("listener `{address}` is neither TLS nor plain"),
                    "add `tls = { certificate = \"…\", key = \"…\" }`, or `plain = true` on loopback",
                );
                None
            }
            (true, true) if !address.ip().is_loopback() => {
                self.wrong(
                    &listener.address,
                    format!("plain HTTP on `{address}` would send cookies in the clear"),
                    "use `tls = { … }`, or a loopback address such as `127.0.0.1`",
                );
                None
            }
            (true, true) => {
                let (scheme, proxy_protocol) = (Scheme::Plain, listener.proxy_protocol);
                Some(ListenerConfig { address, scheme, proxy_protocol, http3, client_certificates })
            }
            (false, false) => {
                let all: Vec<_> = listener.tls.iter().filter_map(|tls| self.certificate(tls)).collect();
                let (scheme, proxy_protocol) = (Scheme::Tls(all), listener.proxy_protocol);
                Some(ListenerConfig { address, scheme, proxy_protocol, http3, client_certificates })
            }
        }
    }

    fn certificate(&mut self, tls: &TlsTable) -> Option<Arc<Certificate>> {
        let (certificate, key) = (self.folder.join(tls.certificate.get_ref()), self.folder.join(tls.key.get_ref()));
        match self.files.certificate(&certificate, &key, self.now) {
            Ok(certificate) => Some(Arc::new(certificate)),
            Err(flaw) => {
                let at = if flaw.in_key { &tls.key } else { &tls.certificate };
                self.wrong(at, flaw.message, flaw.help);
                None
            }
        }
    }

    fn distinct_addresses(&mut self, file: &File) {
        let named = file.listeners.iter().map(|one| (&one.get_ref().address, "a listener"));
        let named = named.chain(file.ops.address.iter().map(|address| (address, "`ops`")));
        let named = named.chain(file.machines.iter().map(|one| (&one.address, "`machines`")));
        let named: Vec<_> = named.chain(file.ext_authz.iter().map(|one| (&one.address, "`ext_authz`"))).collect();
        let mut seen: HashMap<SocketAddr, &str> = HashMap::new();
        for (address, whose) in named {
            // Port 0 means "any free one": two of them never collide.
            if address.get_ref().port() == 0 {
                continue;
            }
            if let Some(first) = seen.insert(*address.get_ref(), whose) {
                self.wrong(
                    address,
                    format!("address `{}` is used twice: by {first} and by {whose}", address.get_ref()),
                    "give each an address of its own",
                );
            }
        }
    }

    /// Nobody could connect to a listener for listed proxies where none is listed.
    fn proxies_for_listeners(&mut self, file: &File) {
        for one in file.listeners.iter().filter(|one| one.get_ref().proxy_protocol && file.trusted_proxies.is_empty()) {
            let address = one.get_ref().address.get_ref();
            let message = format!("listener `{address}` is for listed proxies, and none is listed");
            self.wrong(one, message, "add `trusted_proxies = [\"10.0.0.0/8\"]`, or remove `proxy_protocol`");
        }
    }

    fn forwarded(&mut self, name: Option<&Spanned<String>>) -> ForwardedBy {
        let Some(name) = name else { return ForwardedBy::default() };
        match name.get_ref().as_str() {
            "x-forwarded-for" => ForwardedBy::XForwardedFor,
            "forwarded" => ForwardedBy::Forwarded,
            other => {
                let help = "write `x-forwarded-for` or `forwarded`: the one that your proxies set";
                self.wrong(name, format!("`{other}` is no header that tells of a client"), help);
                ForwardedBy::default()
            }
        }
    }

    fn state_dir(&mut self, dir: &Spanned<String>) -> PathBuf {
        let path = self.folder.join(dir.get_ref());
        if self.files.is_folder(&path) == Some(false) {
            self.wrong(dir, format!("state dir `{}` is not a folder", path.display()), "name a folder, or one to make");
        }
        path
    }

    fn public_port(&mut self, port: Option<&Spanned<u16>>, listeners: &[ListenerConfig]) -> u16 {
        match port {
            Some(port) if *port.get_ref() == 0 => {
                self.wrong(port, "public_port is 0", "write the port that browsers use, such as 443");
                443
            }
            Some(port) => *port.get_ref(),
            None => listeners.first().map_or(443, |first| first.address.port()),
        }
    }

    fn public_tls(&mut self, scheme: Option<&Spanned<PublicScheme>>, listeners: &[ListenerConfig]) -> bool {
        let ours = listeners.iter().any(|listener| matches!(listener.scheme, Scheme::Tls(_)));
        let Some(scheme) = scheme else { return ours };
        if ours && *scheme.get_ref() == PublicScheme::Http {
            self.wrong(scheme, "public_scheme is `http`, but a listener speaks TLS", "leave it out, or write `https`");
        }
        *scheme.get_ref() == PublicScheme::Https
    }

    fn trust_domain(&mut self, name: Option<&Spanned<String>>) -> String {
        let Some(name) = name else { return "cardea.internal".to_owned() };
        let text = name.get_ref();
        let fine = !text.is_empty()
            && text.len() <= 180
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.' | b'_'));
        if !fine {
            self.wrong(
                name,
                format!("`{text}` is not a trust domain"),
                "use `a-z`, `0-9`, `-`, `.` and `_`, such as `cardea.internal` (SPIFFE ID section 2.1)",
            );
        }
        text.clone()
    }

    /// Whoever can ask can learn who may do what, so that an open door is nobody's.
    fn ext_authz(&mut self, table: &ExtAuthzTable, machines: bool) -> ExtAuthz {
        let address = *table.address.get_ref();
        if table.callers.is_empty() && !address.ip().is_loopback() {
            self.wrong(
                &table.address,
                format!("anybody could ask at `{address}`"),
                "name who may in `callers = [\"spiffe://…\"]`, or use a loopback address such as `127.0.0.1`",
            );
        }
        for caller in &table.callers {
            if !caller.get_ref().starts_with("spiffe://") {
                self.wrong(caller, format!("`{}` is not a SPIFFE ID", caller.get_ref()), "it starts with `spiffe://`");
            }
            if !machines {
                self.wrong(
                    caller,
                    "no service has a certificate of ours, so that nobody can ask with one",
                    "add `[machines]`, where services obtain theirs",
                );
            }
        }
        ExtAuthz { address, callers: table.callers.iter().map(|one| one.get_ref().clone()).collect() }
    }

    fn certificate_life(&mut self, machines: Option<&MachinesTable>) -> Duration {
        let Some(minutes) = machines.and_then(|machines| machines.certificate_minutes.as_ref()) else {
            return cardea_certs::DEFAULT_TTL;
        };
        let longest = cardea_certs::MAX_TTL.as_secs() / 60;
        if !(1..=longest).contains(minutes.get_ref()) {
            let message = format!("certificates cannot live {} minutes", minutes.get_ref());
            self.wrong(minutes, message, &format!("use 1 to {longest}; 60 is usual"));
        }
        Duration::from_secs(minutes.get_ref().saturating_mul(60))
    }

    fn log(&mut self, table: &LogTable) -> LogConfig {
        let usual = LogConfig::default();
        let Some(level) = &table.level else { return LogConfig { format: table.format, ..usual } };
        if tracing_subscriber::EnvFilter::try_new(level.get_ref()).is_err() {
            self.wrong(
                level,
                format!("`{}` is not a log level", level.get_ref()),
                "use error, warn, info, debug or trace, or directives such as `info,cardea_proxy=debug`",
            );
        }
        LogConfig { format: table.format, level: level.get_ref().clone() }
    }

    fn access_log(&self, table: &AccessLogTable) -> Option<AccessLogConfig> {
        let form = match table.format? {
            AccessLogFormat::Off => return None,
            AccessLogFormat::Json => AccessLogForm::Json,
            AccessLogFormat::Common => AccessLogForm::Common,
            AccessLogFormat::Combined => AccessLogForm::Combined,
        };
        Some(AccessLogConfig { form, file: table.file.as_ref().map(|file| self.folder.join(file)) })
    }

    fn traces(&mut self, table: &TracesTable) -> Option<TracesConfig> {
        const USUAL: f64 = 0.01;
        let sample = table.sample.as_ref().map_or(USUAL, |sample| *sample.get_ref());
        if let Some(given) = table.sample.as_ref().filter(|_| !(0.0..=1.0).contains(&sample)) {
            self.wrong(given, format!("`{sample}` is no share of all requests"), "use 0.0 to 1.0; 0.01 is usual");
        }
        let given = table.endpoint.as_ref()?;
        let help = "write `https://collector.internal:4318`, or `http://127.0.0.1:4318` for one on this machine";
        let Ok(endpoint) = url::Url::parse(given.get_ref()) else {
            self.wrong(given, "this is not a URL", help);
            return None;
        };
        let here = match endpoint.host() {
            Some(url::Host::Domain(name)) => name == "localhost",
            Some(url::Host::Ipv4(address)) => address.is_loopback(),
            Some(url::Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        match endpoint.scheme() {
            "https" => {}
            "http" if here => {}
            _ => self.wrong(given, "spans would be sent in the clear, or nowhere", help),
        }
        if endpoint.password().is_some() || !endpoint.username().is_empty() {
            self.wrong(given, "the URL holds a secret", "set `OTEL_EXPORTER_OTLP_HEADERS` in the environment");
        }
        Some(TracesConfig { endpoint, sample, ca_file: table.ca_file.as_ref().map(|file| self.folder.join(file)) })
    }

    fn resources(&mut self, dir: &Spanned<String>) -> Option<PathBuf> {
        let path = self.folder.join(dir.get_ref());
        if self.files.is_folder(&path) != Some(true) {
            self.wrong(
                dir,
                format!("resources `{}` is not a folder", path.display()),
                "name the folder that holds `tenants/`",
            );
            return None;
        }
        Some(path)
    }
}
