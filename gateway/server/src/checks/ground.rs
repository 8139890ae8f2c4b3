//! Whether the configuration gives resources the ground that they stand on: proxies that may ask, secrets that can be read,
//! certificates for their hosts. Each half is right by itself, and the two together would refuse every request.

use cardea_core::{
    Diagnostic, Diagnostics,
    resources::{AppSpec, Dialect, ForwardAuthSpec, ProviderSpec, SecretRef, TenantBundle},
};

use crate::config::Config;

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Ground {
    /// What cannot work as it is.
    pub mistakes: Diagnostics,
    /// What may be meant so.
    pub doubts: Diagnostics,
}

impl Ground {
    /// Holds tenants against a configuration.
    pub fn of<'a>(config: &Config, tenants: impl IntoIterator<Item = &'a TenantBundle>) -> Self {
        let mut ground = Self::default();
        for tenant in tenants {
            let id = &tenant.tenant.id;
            for app in tenant.apps.values() {
                let source = format!("tenants/{id}/apps/{}.toml", app.id);
                if let Some(spec) = &app.forward_auth {
                    ground.mistakes.0.extend(unheard(config, spec, &source));
                }
                ground.doubts.0.extend(uncovered(config, hosts_of(app), &source));
            }
            for provider in tenant.providers.values() {
                let source = format!("tenants/{id}/providers/{}.toml", provider.id);
                ground.mistakes.0.extend(unread(config, provider, &source));
            }
            let source = format!("tenants/{id}/tenant.toml");
            ground.doubts.0.extend(unsent(config, tenant, &source));
            ground.doubts.0.extend(uncovered(config, std::slice::from_ref(&tenant.tenant.sign_in_host), &source));
        }
        ground
    }

    /// Says it in the log of a gateway that runs all the same: what works of it is not stopped by what does not.
    pub fn log(&self) {
        for one in &self.mistakes.0 {
            tracing::error!(source = one.source, help = one.help, "{}", one.message);
        }
        for one in &self.doubts.0 {
            tracing::warn!(source = one.source, help = one.help, "{}", one.message);
        }
    }
}

/// A proxy that carries an app, and that nobody would listen to.
fn unheard(config: &Config, spec: &ForwardAuthSpec, source: &str) -> Option<Diagnostic> {
    let (dialect, file) = (spec.dialect.name(), &config.source);
    if spec.dialect == Dialect::Envoy {
        return config.ext_authz.is_none().then(|| {
            let message =
                format!("`[forward_auth]` with `{dialect}` is of no use: `{file}` has no `[ext_authz]` to ask at");
            Diagnostic::new(source, message)
                .help(format!("add `[ext_authz]` with `address = \"127.0.0.1:9191\"` to `{file}`"))
        });
    }
    config.trusted_proxies.is_empty().then(|| {
        let message = format!(
            "`[forward_auth]` with `{dialect}` is of no use: `{file}` has no `trusted_proxies`, so every question is refused"
        );
        Diagnostic::new(source, message)
            .help(format!("add the proxy's address to `{file}`, above its first table: `trusted_proxies = [\"10.0.0.7\"]`"))
    })
}

/// A secret in a file that is not there, or holds nothing. The environment is each process's own, so it is not looked at.
fn unread(config: &Config, provider: &ProviderSpec, source: &str) -> Option<Diagnostic> {
    let at = provider.client_secret.as_ref()?;
    let SecretRef::File(file) = at else { return None };
    let why = match config.secret(at) {
        Ok(secret) if secret.expose().is_empty() => "it is empty".to_owned(),
        Ok(_) => return None,
        Err(why) => why,
    };
    let message = format!("client_secret `{file}` cannot be used: {why}");
    Some(
        Diagnostic::new(source, message).help("name a file that the gateway may read, from the configuration's folder"),
    )
}

/// Codes by e-mail where no letter is sent: none is offered.
fn unsent(config: &Config, tenant: &TenantBundle, source: &str) -> Option<Diagnostic> {
    let file = &config.source;
    (tenant.tenant.factors.email && config.mail.is_none()).then(|| {
        Diagnostic::new(source, format!("`email` is on, but `{file}` has no `[mail]`: no code is offered"))
            .help(format!("add `[mail]` with `from` and `host` to `{file}`, or leave `email` out"))
    })
}

/// Whoever opens an app that another proxy carries meets that proxy's certificate.
fn hosts_of(app: &AppSpec) -> &[String] {
    if app.forward_auth.is_some() { &[] } else { &app.hosts }
}

/// Hosts whose visitors would be shown a certificate that does not name them.
fn uncovered(config: &Config, hosts: &[String], source: &str) -> Vec<Diagnostic> {
    if config.certificates().next().is_none() {
        return Vec::new();
    }
    let bare = hosts.iter().filter(|host| !config.certificates().any(|one| one.ready.covers(host)));
    let told = bare.map(|host| {
        Diagnostic::new(source, format!("no listener has a certificate for `{host}`: browsers warn whoever opens it, unless a proxy before us shows its own"))
            .help(format!("add one that names it to `tls` of a listener in `{}`; `tls` may be a list", config.source))
    });
    told.collect()
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use cardea_core::{Timestamp, resources::Bundle};

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
    const PLAIN: &str = "[state]\ndir = \"s\"\n[[listeners]]\naddress = \"127.0.0.1:1\"\nplain = true\n";

    fn found(config: &str, folder: &Path, more: &[(&str, &str)]) -> Ground {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let config = Config::parse("cardea.toml", config, folder, NOW).unwrap_or_else(|found| panic!("{found}"));
        let tenant =
            ("tenants/acme/tenant.toml", "id = \"acme\"\nname = \"Acme\"\nsign_in_host = \"id.acme.example\"\n");
        let files = [tenant].iter().chain(more).map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        Ground::of(&config, Bundle::read(&files).unwrap().tenants.values())
    }

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("cardea-ground-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn a_proxy_that_nobody_would_listen_to_is_named_with_the_line_that_is_missing() {
        let app = |dialect: &str| {
            format!(
                "id = \"lab\"\nname = \"L\"\nhosts = [\"lab.acme.example\"]\n[forward_auth]\ndialect = \"{dialect}\"\n"
            )
        };
        let trusted = format!("trusted_proxies = [\"10.0.0.7\"]\n{PLAIN}");
        let asked = format!("{PLAIN}[ext_authz]\naddress = \"127.0.0.1:2\"\n");
        for (config, dialect, says) in [
            (PLAIN, "nginx", Some("has no `trusted_proxies`")),
            (PLAIN, "traefik", Some("has no `trusted_proxies`")),
            (&*asked, "caddy", Some("has no `trusted_proxies`")),
            (&*trusted, "nginx", None),
            (&*trusted, "envoy", Some("has no `[ext_authz]`")),
            (&*asked, "envoy", None),
        ] {
            let found = found(config, Path::new("/nowhere"), &[("tenants/acme/apps/lab.toml", &app(dialect))]);
            let told = found.mistakes.to_string();
            assert_eq!(told.is_empty(), says.is_none(), "{dialect}: {told}");
            assert!(told.contains(says.unwrap_or_default()), "{dialect}: {told}");
            if says.is_some() {
                assert!(told.starts_with("tenants/acme/apps/lab.toml: `[forward_auth]` with `"), "{told}");
                assert!(told.contains("help: add ") && told.contains("`cardea.toml`"), "{told}");
            }
        }
    }

    #[test]
    fn a_secret_that_cannot_be_read_is_named_with_its_file() {
        let folder = folder("secret");
        std::fs::write(folder.join("good"), "geheim\n").unwrap();
        std::fs::write(folder.join("empty"), "\n").unwrap();
        let look = |secret: &str| {
            let provider = format!(
                "id = \"work\"\nname = \"W\"\nissuer = \"https://login.acme.example\"\nclient_id = \"c\"\nclient_secret = {secret}\n"
            );
            found(PLAIN, &folder, &[("tenants/acme/providers/work.toml", &provider)]).mistakes.to_string()
        };
        for (secret, says) in [
            (
                "{ file = \"none\" }",
                format!("client_secret `none` cannot be used: `{}`", folder.join("none").display()),
            ),
            ("{ file = \"empty\" }", "client_secret `empty` cannot be used: it is empty".to_owned()),
        ] {
            let told = look(secret);
            assert!(told.starts_with("tenants/acme/providers/work.toml: ") && told.contains(&says), "{told}");
            assert!(told.contains("help: name a file"), "{told}");
        }
        assert_eq!(look("{ file = \"good\" }"), "");
        assert_eq!(look("{ env = \"CARDEA_NO_SUCH\" }"), "", "it is the gateway's environment that counts");
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_host_that_no_certificate_names_is_told_of_and_a_wildcard_names_one_label() {
        let folder = folder("names");
        let made =
            rcgen::generate_simple_self_signed(["id.acme.example".to_owned(), "*.lab.example".to_owned()]).unwrap();
        std::fs::write(folder.join("c.pem"), made.cert.pem()).unwrap();
        std::fs::write(folder.join("k.pem"), made.signing_key.serialize_pem()).unwrap();
        let tls = PLAIN.replace("plain = true", "tls = { certificate = \"c.pem\", key = \"k.pem\" }");
        let hosts = "[\"a.lab.example\", \"lab.example\", \"a.b.lab.example\"]";
        let app = |rest: &str| format!("id = \"lab\"\nname = \"L\"\nhosts = {hosts}\n{rest}");
        let carried = app("[forward_auth]\ndialect = \"nginx\"\n");
        let ours = app("[upstream]\nurl = \"http://127.0.0.1:1\"\n");
        let look = |config: &str, app: &str| found(config, &folder, &[("tenants/acme/apps/lab.toml", app)]).doubts;
        let told = look(&tls, &ours);
        let named = |host: &str| format!("tenants/acme/apps/lab.toml: no listener has a certificate for `{host}`");
        assert_eq!(told.0.len(), 2, "{told}");
        for host in ["lab.example", "a.b.lab.example"] {
            assert!(told.to_string().contains(&named(host)), "{told}");
        }
        assert!(told.to_string().contains("help: add one that names it to `tls`"), "{told}");
        assert!(look(PLAIN, &ours).0.is_empty(), "where nothing is TLS, nothing has a certificate");
        assert!(look(&tls, &carried).0.is_empty(), "the other proxy shows its own");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
