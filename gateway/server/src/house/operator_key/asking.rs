//! Who tells the passphrase of the operator's key: what the configuration names, else systemd, else whoever sits at the
//! terminal. Never an argument, which every process of the machine could read.

use std::{
    fs::{File, OpenOptions},
    io::{IsTerminal, Read, Write},
    path::{Path, PathBuf},
};

use cardea_core::{Secret, resources::SecretRef};
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use super::KeyFault;
use crate::config::{Config, read_secret};

/// The name under which systemd hands it over (`LoadCredentialEncrypted=`, `SetCredentialEncrypted=`).
const CREDENTIAL: &str = "cardea-passphrase";

/// Who is asked.
#[derive(Debug)]
pub(super) enum Asking {
    /// What `[keys] passphrase` names, from that folder.
    Configured(SecretRef, PathBuf),
    /// A file of systemd's.
    Credential(PathBuf),
    /// A person.
    Terminal,
}

/// Whether a person may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    Whoever,
    NoPerson,
}

impl Asking {
    pub(super) fn of(config: &Config) -> Self {
        if let Some(at) = &config.passphrase {
            return Self::Configured(at.clone(), config.folder.clone());
        }
        let handed = std::env::var_os("CREDENTIALS_DIRECTORY").map(|folder| Path::new(&folder).join(CREDENTIAL));
        handed.filter(|path| path.exists()).map_or(Self::Terminal, Self::Credential)
    }

    /// The passphrase of what lies in `path`.
    pub(super) fn passphrase(&self, path: &Path, ask: Ask) -> Result<Secret<String>, KeyFault> {
        let shown = path.display();
        match self {
            Self::Terminal if ask == Ask::NoPerson => Err(KeyFault::Sealed(format!(
                "`{shown}` is sealed under a passphrase that this process was not told: start it again"
            ))),
            Self::Terminal => typed(&format!("passphrase of `{shown}`: ")).map_err(|why| {
                KeyFault::Sealed(format!(
                    "`{shown}` is sealed under a passphrase, and nobody can be asked for it ({why})\n  help: start it at a \
                     terminal, name the passphrase in `[keys]`, or hand it over as the credential `{CREDENTIAL}` (systemd)"
                ))
            }),
            Self::Configured(..) | Self::Credential(_) => {
                self.given().map_err(|why| KeyFault::Sealed(format!("the passphrase of `{shown}`: {why}")))
            }
        }
    }

    fn given(&self) -> Result<Secret<String>, String> {
        match self {
            Self::Configured(at, folder) => read_secret(folder, at),
            Self::Credential(path) => read_secret(Path::new(""), &SecretRef::File(path.display().to_string())),
            Self::Terminal => Err("nobody gives it".to_owned()),
        }
    }

    /// A passphrase to seal under: from a file, else from whoever gives it at the next start, if the key is not sealed yet; else
    /// typed twice.
    pub(super) fn wished(&self, file: Option<&Path>, is_sealed: bool) -> Result<Secret<String>, KeyFault> {
        let from_file = |path: &Path| read_secret(Path::new(""), &SecretRef::File(path.display().to_string()));
        match file {
            Some(path) => from_file(path).map_err(KeyFault::Sealed),
            None if !is_sealed && !matches!(self, Self::Terminal) => self.given().map_err(KeyFault::Sealed),
            None => {
                let nobody = |why| {
                    KeyFault::Sealed(format!(
                        "nobody can be asked for a passphrase ({why}): use `--passphrase-file FILE`"
                    ))
                };
                let first = typed("new passphrase: ").map_err(nobody)?;
                let again = typed("the same once more: ").map_err(nobody)?;
                if first == again {
                    Ok(first)
                } else {
                    Err(KeyFault::Sealed("these were two passphrases; nothing was changed".to_owned()))
                }
            }
        }
    }

    /// Where it comes from, in words; and what is wrong with that.
    pub(super) fn told(&self) -> String {
        let whence = match self {
            Self::Configured(SecretRef::File(path), _) => format!("is read from `{path}`"),
            Self::Configured(SecretRef::Env(name), _) => format!("is read from the environment's `{name}`"),
            Self::Credential(path) => format!("is read from the credential `{}`", path.display()),
            Self::Terminal => return "is asked for at the terminal".to_owned(),
        };
        match self.given() {
            Ok(_) => whence,
            Err(why) => format!("{whence}, which fails here: {why}"),
        }
    }
}

/// What a person types at the terminal, unseen.
fn typed(question: &str) -> Result<Secret<String>, String> {
    // As with every question: whoever runs without one is asked nothing, even where the process has a terminal somewhere.
    if !std::io::stdin().is_terminal() {
        return Err("there is no terminal".to_owned());
    }
    let asked = || -> std::io::Result<Secret<String>> {
        let mut terminal = Unseen::open()?;
        terminal.file.write_all(question.as_bytes())?;
        // A terminal gives one line at a time; what is longer than this is no passphrase.
        let mut line = Zeroizing::new([0; 4096]);
        let length = terminal.file.read(&mut *line)?;
        if line.get(..length).is_some_and(|line| line.contains(&INTERRUPT)) {
            return Err(std::io::ErrorKind::Interrupted.into());
        }
        let text =
            line.get(..length).and_then(|line| line.strip_suffix(b"\n")).ok_or(std::io::ErrorKind::UnexpectedEof)?;
        let text = std::str::from_utf8(text).map_err(std::io::Error::other)?;
        Ok(Secret::new(text.to_owned()))
    };
    asked().map_err(|error| format!("the terminal: {error}"))
}

/// What Ctrl-C types.
const INTERRUPT: u8 = 3;

/// The terminal while it does not show what is typed.
struct Unseen {
    file: File,
    before: Termios,
}

impl Unseen {
    fn open() -> std::io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open("/dev/tty")?;
        let before = tcgetattr(&file)?;
        let mut unseen = before.clone();
        // Ctrl-C ends the line and is refused below: who ended the process would leave the terminal as it is now.
        unseen.local_modes.remove(LocalModes::ECHO | LocalModes::ISIG);
        unseen.special_codes[SpecialCodeIndex::VEOL] = INTERRUPT;
        unseen.local_modes.insert(LocalModes::ECHONL | LocalModes::ICANON);
        tcsetattr(&file, OptionalActions::Flush, &unseen)?;
        Ok(Self { file, before })
    }
}

impl Drop for Unseen {
    fn drop(&mut self) {
        // It shows again what is typed, or the terminal is gone.
        let _ = tcsetattr(&self.file, OptionalActions::Flush, &self.before);
    }
}
