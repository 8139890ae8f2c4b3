//! Crashes between any two steps.

use std::{os::unix::fs::PermissionsExt as _, time::Duration};

use cardea_certs::{Authority, Profile, Request, SpiffeId, TrustDomain};
use cardea_core::{Timestamp, entropy::Fixed};

use super::*;

const NOW: Timestamp = Timestamp::from_secs(1_763_800_000);

struct Made {
    certificate: String,
    key: String,
    bundle: String,
    serial: String,
}

fn made(entropy: &Fixed) -> Made {
    let domain = TrustDomain::parse("acme.cardea.internal").unwrap();
    let acme = Authority::root(NOW, entropy).unwrap().intermediate(&domain, NOW, entropy).unwrap();
    let key = PrivateKey::generate(entropy).unwrap();
    let request = Request::parse(&key.request().unwrap()).unwrap();
    let profile = Profile::Workload(SpiffeId::service(&domain, "records").unwrap());
    let issued = acme.issue(&profile, &request, Duration::from_secs(3600), NOW, entropy).unwrap();
    Made {
        certificate: issued.to_pem(),
        key: key.to_pem().expose().clone(),
        bundle: acme.bundle().to_pem(),
        serial: issued.facts.serial,
    }
}

fn folder(name: &str) -> Files {
    let dir = std::env::temp_dir().join(format!("cardea-agent-{}-{name}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    Files::new(dir)
}

#[test]
fn the_key_is_the_owner_s_alone_and_the_pair_fits() {
    let (files, one) = (folder("mode"), made(&Fixed::new(1)));
    assert_eq!(files.current().unwrap(), None);
    files.replace(&one.certificate, &one.key, &one.bundle).unwrap();
    assert_eq!(files.current().unwrap().unwrap().serial, one.serial);
    let mode = std::fs::metadata(files.dir.join(KEY)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    std::fs::remove_dir_all(&files.dir).unwrap();
}

#[test]
fn after_a_crash_at_any_step_there_is_a_pair_that_fits() {
    let entropy = Fixed::new(2);
    let (old, new) = (made(&entropy), made(&entropy));
    for renamed in 0..=3 {
        let files = folder("crash");
        files.replace(&old.certificate, &old.key, &old.bundle).unwrap();
        files.write(BUNDLE, &new.bundle, 0o644).unwrap();
        files.write(KEY, &new.key, 0o600).unwrap();
        files.write(CERT, &new.certificate, 0o644).unwrap();
        for name in [BUNDLE, KEY, CERT].iter().take(renamed) {
            files.rename(name).unwrap();
        }
        files.recover().unwrap();
        let expected = if renamed < 2 { &old.serial } else { &new.serial };
        assert_eq!(&files.current().unwrap().unwrap().serial, expected, "after {renamed} renames");
        assert!(!files.dir.join(beside(KEY)).exists());
        std::fs::remove_dir_all(&files.dir).unwrap();
    }
}

#[test]
fn a_key_of_another_certificate_is_no_pair() {
    let entropy = Fixed::new(3);
    let (files, one, other) = (folder("foreign"), made(&entropy), made(&entropy));
    files.replace(&one.certificate, &other.key, &one.bundle).unwrap();
    assert_eq!(files.current().unwrap(), None);
    std::fs::remove_dir_all(&files.dir).unwrap();
}
