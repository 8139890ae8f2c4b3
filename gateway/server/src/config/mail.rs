//! `[mail]`: what letters to people are handed to, and what keeps them from being read on the way.

use std::path::{Path, PathBuf};

use cardea_core::Secret;
use lettre::{message::Mailbox, transport::smtp::client::Certificate};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use toml::Spanned;

use super::{
    check::Check,
    shape::{MailTable, MailTls},
};

/// How letters are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailConfig {
    /// Whom they are from; where it has no name, the tenant's is put there.
    pub from: Mailbox,
    /// Where they go.
    pub post: Post,
}

/// What letters are handed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Post {
    /// A mail server.
    Smtp {
        /// Its name, which its certificate must bear.
        host: String,
        /// Its port.
        port: u16,
        /// How the connection is protected.
        protection: Protection,
        /// As whom to send there.
        login: Option<(String, Secret<String>)>,
        /// Roots that its certificate is checked by; the system's where absent.
        ca_file: Option<PathBuf>,
    },
    /// A folder, in which each letter is a file: for demonstrations and trials.
    Folder(PathBuf),
}

/// How the connection to a mail server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protection {
    /// TLS from the first byte.
    Implicit,
    /// TLS after `STARTTLS`, or nothing is sent.
    Starttls,
    /// None, on this machine.
    None,
}

impl Check<'_> {
    pub(super) fn mail(&mut self, table: &Spanned<MailTable>) -> Option<MailConfig> {
        let mail = table.get_ref();
        let from = mail.from.get_ref().parse::<Mailbox>();
        if from.is_err() {
            let message = format!("`{}` is no address to send from", mail.from.get_ref());
            self.wrong(&mail.from, message, "write `no-reply@acme.example` or `Acme <no-reply@acme.example>`");
        }
        let post = match (&mail.host, &mail.folder) {
            (Some(host), None) => self.smtp(mail, host),
            (None, Some(folder)) => self.mail_folder(mail, folder),
            (Some(_), Some(_)) => {
                self.wrong(table, "mail has both a host and a folder", "remove `host` or `folder`");
                None
            }
            (None, None) => {
                self.wrong(table, "mail goes nowhere", "add `host = \"…\"`, or `folder = \"…\"` to try things out");
                None
            }
        };
        Some(MailConfig { from: from.ok()?, post: post? })
    }

    fn mail_folder(&mut self, mail: &MailTable, folder: &Spanned<String>) -> Option<Post> {
        let path = self.folder.join(folder.get_ref());
        if mail.port.is_some() || mail.user.is_some() || mail.password.is_some() || mail.ca_file.is_some() {
            self.wrong(folder, "a folder needs no server's settings", "remove them, or name a `host`");
        }
        if self.files.is_folder(&path) == Some(false) {
            let message = format!("mail folder `{}` is not a folder", path.display());
            self.wrong(folder, message, "name a folder, or one to make");
            return None;
        }
        Some(Post::Folder(path))
    }

    fn smtp(&mut self, mail: &MailTable, host: &Spanned<String>) -> Option<Post> {
        let name = host.get_ref().clone();
        let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b));
        if !is_name && name.parse::<std::net::IpAddr>().is_err() {
            self.wrong(
                host,
                format!("`{name}` is not the name of a server"),
                "write its name alone, such as `mail.acme.example`",
            );
            return None;
        }
        let protection = match mail.tls {
            MailTls::Implicit => Protection::Implicit,
            MailTls::Starttls => Protection::Starttls,
            MailTls::None if is_here(&name) => Protection::None,
            MailTls::None => {
                let message = format!("letters to `{name}` would cross the network in the clear");
                self.wrong(host, message, "leave `tls` out, or write `tls = \"starttls\"`; `none` is for this machine");
                return None;
            }
        };
        // RFC 8314 section 3.3 and RFC 6409.
        let usual = match protection {
            Protection::Implicit => 465,
            Protection::Starttls => 587,
            Protection::None => 25,
        };
        let port = mail.port.as_ref().map_or(usual, |port| *port.get_ref());
        let ca_file = mail.ca_file.as_ref().map(|file| self.mail_roots(file));
        let login = self.login(mail)?;
        Some(Post::Smtp { host: name, port, protection, login, ca_file })
    }

    /// Read here too, so that a mistake is told at the start and not with the first letter.
    fn mail_roots(&mut self, file: &Spanned<String>) -> PathBuf {
        let path = self.folder.join(file.get_ref());
        if let Err(message) = self.files.roots(&path) {
            self.wrong(file, message, "name a readable PEM file of certificates");
        }
        path
    }

    #[allow(clippy::option_option, reason = "no login is one thing, a wrong one another")]
    fn login(&mut self, mail: &MailTable) -> Option<Option<(String, Secret<String>)>> {
        match (&mail.user, &mail.password) {
            (None, None) => Some(None),
            (Some(user), Some(at)) => match self.files.secret(self.folder, at.get_ref()) {
                Ok(secret) => Some(Some((user.get_ref().clone(), secret))),
                Err(message) => {
                    self.wrong(at, message, "name a readable file or a variable that is set");
                    None
                }
            },
            (Some(user), None) => {
                self.wrong(user, "a user without a password", "add `password = { file = \"…\" }` or `{ env = \"…\" }`");
                None
            }
            (None, Some(at)) => {
                self.wrong(at, "a password without a user", "add `user = \"…\"`");
                None
            }
        }
    }
}

/// The certificates of a PEM file.
pub(crate) fn roots(path: &Path) -> Result<Certificate, String> {
    let pem = std::fs::read(path).map_err(|error| format!("roots `{}` cannot be read: {error}", path.display()))?;
    let none = || format!("`{}` holds no certificates", path.display());
    if CertificateDer::pem_slice_iter(&pem).next().is_none() {
        return Err(none());
    }
    Certificate::from_pem(&pem).map_err(|_| none())
}

fn is_here(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}
