//! Hands letters to a mail server, or puts them in a folder. Every header is written by lettre, which lets no text end one.

use std::{
    io::Write as _,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use cardea_core::{Entropy, EntryId, Timestamp};
use lettre::{
    AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor,
    address::Address,
    message::{
        Mailbox,
        header::{ContentType, HeaderName, HeaderValue},
    },
    transport::smtp::{
        self,
        authentication::Credentials,
        client::{CertificateStore, Tls, TlsParameters},
        extension::ClientId,
    },
};

use super::letter::{Frame, Written, one_line};
use crate::{
    config::{MailConfig, Post, Protection, mail_roots},
    house::with_causes,
};

/// Ten seconds for each of the server's answers: greylisting ones take a few.
const ANSWER: Duration = Duration::from_secs(10);
/// Twenty for a letter in all, from the connection to the last answer.
const TRY: Duration = Duration::from_secs(20);
/// What is waited before it is tried again. Twice, and soon: a code that comes late is of no use.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];

const AUTO_SUBMITTED: HeaderName = HeaderName::new_from_ascii_str("Auto-Submitted");
const CONTENT_LANGUAGE: HeaderName = HeaderName::new_from_ascii_str("Content-Language");

/// Carries letters to where they go.
pub(super) struct Carrier {
    from: Mailbox,
    way: Way,
}

enum Way {
    Smtp(AsyncSmtpTransport<Tokio1Executor>),
    Folder(PathBuf),
}

/// Why a try failed, and whether another may not.
struct Fault {
    cause: String,
    passing: bool,
}

impl Carrier {
    /// Prepares to send as the configuration says.
    pub(super) fn open(config: &MailConfig) -> Result<Self, String> {
        let way = match &config.post {
            Post::Folder(path) => Way::Folder(path.clone()),
            Post::Smtp { host, port, protection, login, ca_file } => {
                let tls = || parameters(host, ca_file.as_deref());
                let tls = match protection {
                    Protection::Implicit => Tls::Wrapper(tls()?),
                    Protection::Starttls => Tls::Required(tls()?),
                    Protection::None => Tls::None,
                };
                // Named by whom the letters are from: the machine's own name is nobody's business.
                let name = ClientId::Domain(config.from.email.domain().to_owned());
                let mut server = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)
                    .port(*port)
                    .tls(tls)
                    .hello_name(name)
                    .timeout(Some(ANSWER));
                if let Some((user, password)) = login {
                    server = server.credentials(Credentials::new(user.clone(), password.expose().clone()));
                }
                Way::Smtp(server.build())
            }
        };
        Ok(Self { from: config.from.clone(), way })
    }

    /// Hands one letter over, with a few tries; says what went wrong without whom it was for.
    pub(super) async fn carry(
        &self,
        written: &Written,
        (to, frame): (&str, &Frame<'_>),
        (now, entropy): (Timestamp, &dyn Entropy),
    ) -> Result<(), String> {
        let id = EntryId::mint(now, entropy).to_string();
        let message = self.message(written, (to, frame), (now, &id))?;
        let mut pauses = PAUSES.iter();
        loop {
            let tried = tokio::time::timeout(TRY, self.once(&message, &id)).await;
            let late = Fault { cause: "the mail server did not answer in time".to_owned(), passing: true };
            let Err(fault) = tried.unwrap_or(Err(late)) else { return Ok(()) };
            match pauses.next().filter(|_| fault.passing) {
                Some(pause) => tokio::time::sleep(*pause).await,
                None => return Err(fault.cause),
            }
        }
    }

    async fn once(&self, message: &Message, id: &str) -> Result<(), Fault> {
        match &self.way {
            Way::Smtp(server) => server.send(message.clone()).await.map(drop).map_err(|error| fault(&error)),
            Way::Folder(path) => {
                let (path, name, bytes) = (path.clone(), format!("{id}.eml"), message.formatted());
                let put = tokio::task::spawn_blocking(move || put(&path, &name, &bytes)).await;
                let put = put.map_err(|error| error.to_string()).and_then(|put| put.map_err(|error| error.to_string()));
                put.map_err(|cause| Fault {
                    cause: format!("the mail folder cannot be written: {cause}"),
                    passing: false,
                })
            }
        }
    }

    fn message(
        &self,
        written: &Written,
        (to, frame): (&str, &Frame<'_>),
        (now, id): (Timestamp, &str),
    ) -> Result<Message, String> {
        let unfit = |_| "an address or text does not fit into a letter".to_owned();
        let to: Address = to.parse().map_err(|_| "the address is none that mail knows".to_owned())?;
        let name = self.from.name.clone().unwrap_or_else(|| frame.tenant.to_owned());
        let domain = self.from.email.domain();
        Message::builder()
            .from(Mailbox::new(Some(one_line(&name)), self.from.email.clone()))
            .to(Mailbox::new(None, to))
            .subject(one_line(&written.subject))
            .date(SystemTime::UNIX_EPOCH + Duration::from_micros(u64::try_from(now.as_micros()).unwrap_or_default()))
            .message_id(Some(format!("<{id}@{domain}>")))
            // Nobody's holiday answers it (RFC 3834 section 5).
            .raw_header(HeaderValue::new(AUTO_SUBMITTED, "auto-generated".to_owned()))
            .raw_header(HeaderValue::new(CONTENT_LANGUAGE, frame.language.tag().to_owned()))
            .header(ContentType::TEXT_PLAIN)
            .body(written.text.clone())
            .map_err(unfit)
    }
}

fn parameters(host: &str, ca_file: Option<&Path>) -> Result<TlsParameters, String> {
    let mut tls = TlsParameters::builder(host.to_owned());
    if let Some(file) = ca_file {
        tls = tls.certificate_store(CertificateStore::None).add_root_certificate(mail_roots(file)?);
    }
    tls.build_rustls().map_err(|error| format!("tls with the mail server cannot be set up: {}", with_causes(&error)))
}

/// INVARIANT: of what a server answered only the code is told: its words may name the person.
fn fault(error: &smtp::Error) -> Fault {
    match error.status() {
        Some(code) => Fault { cause: format!("the mail server answered {code}"), passing: error.is_transient() },
        None if error.is_timeout() => {
            Fault { cause: "the mail server did not answer in time".to_owned(), passing: true }
        }
        None if error.is_response() => {
            Fault { cause: "the mail server's answer cannot be read".to_owned(), passing: true }
        }
        None => Fault { cause: with_causes(error), passing: !error.is_client() && !error.is_tls() },
    }
}

/// Written beside its place, then moved there: who watches the folder never reads half a letter.
fn put(folder: &Path, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let beside = folder.join(format!(".{name}"));
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    file.write_all(bytes)?;
    std::fs::rename(&beside, folder.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cardea_core::Language;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn carrier(from: &str) -> Carrier {
        Carrier { from: from.parse().unwrap(), way: Way::Folder(PathBuf::new()) }
    }

    fn formatted(from: &str, to: &str, tenant: &str, subject: &str) -> Result<String, String> {
        let written = Written { subject: subject.to_owned(), text: "Grüße\n.\n".to_owned() };
        let frame = Frame { tenant, origin: "https://id.north.example", language: Language::German };
        let message = carrier(from).message(&written, (to, &frame), (NOW, "0"))?;
        Ok(String::from_utf8(message.formatted()).unwrap())
    }

    #[test]
    fn a_letter_says_whom_it_is_from_and_that_no_answer_is_wanted() {
        let text = formatted("no-reply@north.example", "ada@north.example", "North", "Code").unwrap();
        for line in [
            "From: North <no-reply@north.example>\r\n",
            "To: ada@north.example\r\n",
            "Subject: Code\r\n",
            "Date: Fri, 15 Jan 2027 08:00:00 +0000\r\n",
            "Message-ID: <0@north.example>\r\n",
            "Auto-Submitted: auto-generated\r\n",
            "Content-Language: de\r\n",
            "Content-Type: text/plain; charset=utf-8\r\n",
        ] {
            assert!(text.contains(line), "no `{line}` in {text}");
        }
        assert!(
            formatted("Desk <d@north.example>", "a@b.example", "North", "x").unwrap().contains("From: Desk <d@north")
        );
    }

    /// What administrators write, or strangers type, begins no header and no second letter.
    #[test]
    fn no_text_ends_a_header() {
        let evil = "North\r\nBcc: eve@evil.example\r\n\r\nSend me your code\n.\r\nMAIL FROM:<eve@evil.example>";
        for (to, tenant, subject) in [
            ("ada@north.example", evil, "Code"),
            ("ada@north.example", "North", evil),
            ("ada@north.example\r\nBcc: eve@evil.example", "North", "Code"),
            ("ada@north.example>, <eve@evil.example", "North", "Code"),
        ] {
            let written = formatted("no-reply@north.example", to, tenant, subject);
            assert_eq!(written.is_ok(), to == "ada@north.example", "{written:?}");
            let Ok(text) = written else { continue };
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            assert_eq!(
                head.lines().filter(|line| line.starts_with("Bcc") || line.starts_with("MAIL")).count(),
                0,
                "{head}"
            );
            assert!(!body.contains("eve") && head.matches("To: ").count() == 1, "{text}");
        }
    }
}
