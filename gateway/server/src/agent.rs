//! The agent beside a service: obtains its certificate with a one-time token, renews it half-way through its life with a
//! new key, and keeps three files that any TLS library reads: `cert.pem` (chain, leaf first), `key.pem` (mode 0600) and
//! `bundle.pem` (whom to trust).

mod call;
mod exec;
mod files;

use std::{path::PathBuf, sync::Arc, time::Duration};

use cardea_certs::{CertificateFacts, EnrolmentToken, PrivateKey, pem};
use cardea_core::{Clock, Entropy, Secret, Timestamp, entropy};
use url::Url;

use call::Channel;
use files::Files;

/// What an agent needs to know.
pub struct Options {
    /// The machines listener at the tenant's sign-in host: `https://acme.example:8443`.
    pub server: Url,
    /// The operator's root, or the tenant's bundle, in PEM: whom to trust before there is a `bundle.pem`.
    pub roots: String,
    /// The enrolment token, needed while there is no certificate.
    pub token: Option<Secret<String>>,
    /// Where the files are kept.
    pub dir: PathBuf,
    /// A command for the shell, run after each new certificate until it has succeeded, such as one that makes the service
    /// read it.
    pub exec: Option<String>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The randomness.
    pub entropy: Arc<dyn Entropy>,
}

/// Why there is no new certificate.
#[derive(Debug, thiserror::Error)]
pub enum AgentFault {
    /// A file cannot be read or written.
    #[error("`{path}` {what}: {cause}")]
    File {
        /// The file.
        path: PathBuf,
        /// What was to be done.
        what: &'static str,
        /// Why it was not.
        cause: String,
    },
    /// A key, certificate or token makes no sense.
    #[error(transparent)]
    Certs(#[from] cardea_certs::Error),
    /// There is no certificate, and no token to get one with.
    #[error(
        "there is no valid certificate in `{0}`: get a token with `cardea cert token` and give it with --token-file"
    )]
    TokenNeeded(PathBuf),
    /// The server cannot be reached, or is not the one that we trust.
    #[error("`{server}` cannot be reached: {cause}")]
    Unreachable {
        /// The server.
        server: String,
        /// Why.
        cause: String,
        /// The way out, where one can be told from the cause.
        help: Option<&'static str>,
    },
    /// The server said no.
    #[error("`{server}` refused: {detail} ({reason}, request {request})")]
    Refused {
        /// The server.
        server: String,
        /// The stable reason.
        reason: String,
        /// In words.
        detail: String,
        /// The entry to ask the operator for.
        request: String,
    },
    /// The server answered with something else than a certificate for our key.
    #[error("`{0}` answered with something that is no certificate for our key")]
    BadAnswer(String),
    /// The command after a new certificate failed. The certificate is in place; the command is tried again.
    #[error("the certificate is in place, but the command `{0}` failed and will be tried again: {1}")]
    Exec(String, String),
}

impl AgentFault {
    /// Whether the same try may succeed later.
    pub const fn may_pass(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::BadAnswer(_) | Self::Exec(..))
    }

    /// The way out, where there is one to be told.
    pub const fn help(&self) -> Option<&'static str> {
        match self {
            Self::Unreachable { help, .. } => *help,
            Self::BadAnswer(_) => Some(call::NOT_OURS),
            _ => None,
        }
    }
}

/// What a try came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obtained {
    /// The certificate in place.
    pub facts: CertificateFacts,
    /// Whether it is new.
    pub new: bool,
}

/// Keeps one service's certificate.
pub struct Agent {
    options: Options,
    files: Files,
}

/// Time between tries: from a second, doubled each time, to five minutes; never so long that fewer than four tries
/// remain before the certificate ends.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

impl Agent {
    /// An agent; nothing is done yet.
    pub fn new(options: Options) -> Self {
        Self { files: Files::new(options.dir.clone()), options }
    }

    /// Enrols if there is no valid certificate, renews if that is due, else leaves everything as it is.
    pub async fn obtain(&self) -> Result<Obtained, AgentFault> {
        self.files.recover()?;
        let now = self.options.clock.now();
        match self.files.current()?.filter(|current| current.valid_at(now)) {
            Some(facts) if now < facts.renewal_due() => {
                self.after().await?;
                Ok(Obtained { facts, new: false })
            }
            Some(_) => self.renew().await,
            None => self.enrol().await,
        }
    }

    /// Obtains, renews and renews again. Ends only with a fault that no patience mends, while there is no certificate.
    pub async fn keep(&self) -> AgentFault {
        let mut pause = FIRST_PAUSE;
        loop {
            let wait = match self.obtain().await {
                Ok(Obtained { facts, new }) => {
                    pause = FIRST_PAUSE;
                    if new {
                        tracing::info!(serial = facts.serial, not_after = %facts.not_after, "certificate in place");
                    }
                    facts.renewal_due().since(self.options.clock.now()).max(Duration::from_millis(200))
                }
                Err(fault) => {
                    let left = self.time_left();
                    let what = if matches!(fault, AgentFault::Exec(..)) { "not told" } else { "no new certificate" };
                    tracing::warn!(error = %fault, help = fault.help(), left = left.as_secs(), "{what}");
                    if left.is_zero() && !fault.may_pass() {
                        return fault;
                    }
                    let wait = self.jittered(if left.is_zero() { pause } else { pause.min(left / 4) });
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    wait
                }
            };
            tokio::time::sleep(wait).await;
        }
    }

    async fn enrol(&self) -> Result<Obtained, AgentFault> {
        let token = self.options.token.as_ref().ok_or_else(|| AgentFault::TokenNeeded(self.options.dir.clone()))?;
        let token = EnrolmentToken::parse(token.expose()).map_err(cardea_certs::Error::from)?;
        let key = PrivateKey::generate(&*self.options.entropy)?;
        let body = serde_json::json!({ "token": token.expose(), "csr": key.request()? });
        self.ask("/ca/enrol", &body, &key, None).await
    }

    async fn renew(&self) -> Result<Obtained, AgentFault> {
        let key = PrivateKey::generate(&*self.options.entropy)?;
        let body = serde_json::json!({ "csr": key.request()? });
        let identity = self.files.identity()?;
        self.ask("/ca/renew", &body, &key, Some(identity)).await
    }

    /// The key is new with each try and is written only with its certificate. A lost answer costs a renewal nothing but a
    /// try; at an enrolment it costs the token, which is spent by then: the operator has to make another.
    async fn ask(
        &self,
        path: &str,
        body: &serde_json::Value,
        key: &PrivateKey,
        identity: Option<files::Identity>,
    ) -> Result<Obtained, AgentFault> {
        let trusted = self.files.bundle().map_or_else(|| self.options.roots.clone(), |own| own + &self.options.roots);
        let channel = Channel::new(&self.options.server, &trusted, identity)?;
        let given = channel.post(path, body).await?;
        let bad = || AgentFault::BadAnswer(self.options.server.to_string());
        let chain = pem::certificates(&given.certificate).map_err(|_| bad())?;
        pem::certificates(&given.bundle).map_err(|_| bad())?;
        let facts = CertificateFacts::read(&chain[0]).map_err(cardea_certs::Error::from)?;
        if facts.key_fingerprint != key.fingerprint() || !facts.valid_at(self.options.clock.now()) {
            return Err(bad());
        }
        if self.options.exec.is_some() {
            self.files.mark_due()?;
        }
        self.files.replace(&given.certificate, key.to_pem().expose(), &given.bundle)?;
        self.after().await?;
        Ok(Obtained { facts, new: true })
    }

    /// Runs the command if a certificate came since it last succeeded, also if we were restarted in between.
    async fn after(&self) -> Result<(), AgentFault> {
        let Some(command) = self.options.exec.as_ref().filter(|_| self.files.is_due()) else { return Ok(()) };
        let failed = |why| AgentFault::Exec(command.clone(), why);
        exec::run(command, exec::LIMIT).await.map_err(failed)?;
        self.files.clear_due()
    }

    fn time_left(&self) -> Duration {
        let end = self.files.current().ok().flatten().map_or(Timestamp::from_secs(0), |facts| facts.not_after);
        end.since(self.options.clock.now())
    }

    /// Between half and the whole: a hundred agents that lost one server do not come back at one moment.
    fn jittered(&self, pause: Duration) -> Duration {
        let drawn = u32::from(u16::from_le_bytes(entropy::bytes(&*self.options.entropy)));
        pause / 2 + pause / 2 * drawn / 65_536
    }
}

impl std::fmt::Debug for Agent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Agent").field("dir", &self.options.dir).finish_non_exhaustive()
    }
}
