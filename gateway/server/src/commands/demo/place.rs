//! The demonstration's folder: ports, people and keys that a second start finds again, and the configuration that the
//! other commands may be pointed at.

use std::{
    io::{ErrorKind, Write},
    net::{Ipv6Addr, SocketAddr, TcpListener},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use cardea_core::{Entropy, Secret};
use cardea_demo::{provider, seed::Person};
use serde::{Deserialize, Serialize};

use crate::commands::Failure;

/// The folder, opened.
pub(super) struct Place {
    /// Where it is.
    pub dir: PathBuf,
    /// The ports in use.
    pub ports: Ports,
    /// The people, with their secrets.
    pub people: Vec<Person>,
}

/// Ports of this folder's demonstration; all but the gateway's are chosen by the system, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ports {
    pub gateway: u16,
    pub provider: u16,
    pub acme: u16,
    pub north: u16,
    pub ops: u16,
    pub machines: u16,
}

/// Where browsers look first for something that runs on their own machine.
const USUAL_PORT: u16 = 8080;

impl Place {
    /// Opens the folder, making what is not there.
    pub(super) fn open(dir: &Path, port: Option<u16>, entropy: &dyn Entropy) -> Result<Self, Failure> {
        make_folder(dir)?;
        // Absolute: the agent's and the services' paths outlive a change of the current folder.
        let dir = dir.canonicalize().with_context(|| format!("`{}` cannot be opened", dir.display()))?;
        let known: Option<Ports> = read_json(&dir.join("ports.json"))?;
        let ports = match known {
            Some(known) => Ports { gateway: port.unwrap_or(known.gateway), ..known },
            None => Ports::choose(port.unwrap_or(USUAL_PORT))?,
        };
        ports.check_gateway()?;
        if known != Some(ports) {
            write_json(&dir.join("ports.json"), &ports)?;
        }
        let people_file = dir.join("people.json");
        let people = match read_json(&people_file)? {
            Some(people) => people,
            None => {
                let people = cardea_demo::seed::people(entropy);
                write_json(&people_file, &people)?;
                people
            }
        };
        Ok(Self { dir, ports, people })
    }

    /// The configuration that the gateway runs by, written for the other commands too.
    pub(super) fn write_config(&self) -> Result<PathBuf, Failure> {
        let Ports { gateway, ops, machines, .. } = self.ports;
        // Browsers try the newer address first; where the machine has none, the older must do.
        let newer = match TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) {
            Ok(_) => format!("\n[[listeners]]\naddress = \"[::1]:{gateway}\"\nplain = true\n"),
            Err(_) => String::new(),
        };
        let text = format!(
            "# Made by `cardea demo`, anew at each start. Other commands take it with `--config`.\n\
             public_port = {gateway}\nresources = \"resources\"\n\n[state]\ndir = \"state\"\n\n\
             [[listeners]]\naddress = \"127.0.0.1:{gateway}\"\nplain = true\n{newer}\n\
             [ops]\naddress = \"127.0.0.1:{ops}\"\n\n[machines]\naddress = \"127.0.0.1:{machines}\"\n\n\
             [mail]\nfrom = \"cardea@demo.localhost\"\nfolder = \"letters\"\n\n\
             [limits]\ndrain_seconds = 3\n\n[log]\nlevel = \"warn\"\n"
        );
        std::fs::create_dir_all(self.dir.join("resources")).context("the folder `resources` cannot be made")?;
        let path = self.config_file();
        std::fs::write(&path, text).with_context(|| format!("`{}` cannot be written", path.display()))?;
        Ok(path)
    }

    /// Where the configuration is.
    pub(super) fn config_file(&self) -> PathBuf {
        self.dir.join("cardea.toml")
    }

    /// Where letters to people go.
    pub(super) fn letters(&self) -> PathBuf {
        self.dir.join("letters")
    }

    /// The stand-in provider's issuer: a host of its own, so that its cookies are its own.
    pub(super) fn issuer(&self) -> String {
        format!("http://provider.localhost:{}", self.ports.provider)
    }

    /// The provider's signing key, made on first start.
    pub(super) fn provider_key(&self, entropy: &dyn Entropy) -> anyhow::Result<Secret<String>> {
        let path = self.dir.join("provider-key.pem");
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Secret::new(text)),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let key = provider::make_key(entropy)?;
                write_private(&path, key.expose().as_bytes())?;
                Ok(key)
            }
            Err(error) => Err(error).with_context(|| format!("`{}` cannot be read", path.display())),
        }
    }

    /// Whether tenants and people were made already; what people changed since is never overwritten.
    pub(super) fn is_seeded(&self) -> bool {
        self.dir.join("seeded").exists()
    }

    /// Notes that they were. If we crash before, the next start makes what is missing.
    pub(super) fn seeded(&self) -> Result<(), Failure> {
        write_private(&self.dir.join("seeded"), b"tenants and people were made; delete the folder to begin anew\n")?;
        Ok(())
    }
}

impl Ports {
    fn choose(gateway: u16) -> Result<Self, Failure> {
        // All are held until all are chosen, so that no two are the same.
        let mut held = Vec::new();
        let mut next = || -> anyhow::Result<u16> {
            let listener = TcpListener::bind(("127.0.0.1", 0)).context("the system gives no port")?;
            let port = listener.local_addr()?.port();
            held.push(listener);
            Ok(port)
        };
        Ok(Self { gateway, provider: next()?, acme: next()?, north: next()?, ops: next()?, machines: next()? })
    }

    fn check_gateway(self) -> Result<(), Failure> {
        let address = SocketAddr::from(([127, 0, 0, 1], self.gateway));
        match TcpListener::bind(address) {
            Ok(_) => Ok(()),
            Err(error) => {
                let help = "choose another port with `--port PORT`, or stop what is listening there";
                Err(anyhow::anyhow!("port {} cannot be had: {error}\n  help: {help}", self.gateway).into())
            }
        }
    }
}

fn make_folder(dir: &Path) -> Result<(), Failure> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.with_context(|| format!("`{}` cannot be made", dir.display()))?;
    Ok(())
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>, Failure> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(anyhow::anyhow!("`{}` cannot be read: {error}", path.display()).into()),
    };
    let read = serde_json::from_str(&text);
    Ok(Some(read.with_context(|| {
        format!("`{}` is not what was written there: delete the folder to begin anew", path.display())
    })?))
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_vec_pretty(value).map_err(anyhow::Error::from)?;
    write_private(path, &text)?;
    Ok(())
}

/// Written beside its place, then moved there: a crash leaves the old file or the new one, never half of one.
pub(super) fn write_private(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let beside = path.with_extension("new");
    let _ = std::fs::remove_file(&beside);
    let write = || -> std::io::Result<()> {
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&beside, path)
    };
    write().with_context(|| format!("`{}` cannot be written", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cardea_core::entropy::Fixed;

    #[test]
    fn a_second_start_finds_ports_and_people_as_they_were() {
        let dir = std::env::temp_dir().join(format!("cardea-place-{}", std::process::id()));
        let free = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let first = Place::open(&dir, Some(free), &Fixed::new(1)).unwrap();
        let second = Place::open(&dir, None, &Fixed::new(2)).unwrap();
        assert_eq!((first.ports, &first.people), (second.ports, &second.people));
        assert_eq!(first.provider_key(&Fixed::new(3)).unwrap(), second.provider_key(&Fixed::new(4)).unwrap());
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_taken_port_is_named_with_the_way_out() {
        let dir = std::env::temp_dir().join(format!("cardea-taken-{}", std::process::id()));
        let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let refused = Place::open(&dir, Some(port), &Fixed::new(1)).err().unwrap().to_string();
        assert!(refused.contains(&port.to_string()) && refused.contains("--port"), "{refused}");
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
