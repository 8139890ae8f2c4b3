use std::os::unix::fs::PermissionsExt;

use cardea_core::{entropy::Fixed, resources::SecretRef};

use super::*;

/// A folder of its own, gone with the test.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("cardea-key-{name}-{}", std::process::id()));
        make_folder(&folder).unwrap();
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The key of a gateway that is told what the file `passphrase` holds.
    fn told(&self) -> OperatorKey {
        let asking = Asking::Configured(SecretRef::File("passphrase".to_owned()), self.0.clone());
        OperatorKey { path: self.path("operator.key"), asking, locks: Mutex::default() }
    }

    /// That of one that nobody tells anything.
    fn untold(&self) -> OperatorKey {
        OperatorKey { asking: Asking::Terminal, ..self.told() }
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn opens(key: &OperatorKey, sealed: &cardea_identity::Sealed) -> bool {
    key.to_read().unwrap().is_some_and(|ring| ring.open("p", sealed).is_ok())
}

const RIGHT: &str = "seven green bottles on a wall";
const OTHER: &str = "eleven pipers on a merry hill";

fn passphrase(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

#[test]
fn a_key_is_made_once_and_only_its_owner_reads_it() {
    let dir = Dir::new("made");
    let (path, none) = (dir.path("operator.key"), dir.path("none"));
    let sealer = |seed| dir.untold().sealer(Some(&none), &Fixed::new(seed));
    let sealed = sealer(1).unwrap().0.seal("p", b"x", &Fixed::new(3)).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(sealer(2).unwrap().0.open("p", &sealed).unwrap().expose(), b"x");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(sealer(2).unwrap_err().to_string().contains("chmod 600"));
    std::fs::write(&path, "short").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert!(sealer(2).unwrap_err().to_string().contains("32 bytes"));
}

/// `check` called it fine, and `serve` refused to start.
#[test]
fn what_is_wrong_with_the_key_is_known_without_opening_anything() {
    let dir = Dir::new("amiss");
    let (key, path, database) = (dir.untold(), dir.path("operator.key"), dir.path("cardea.db"));
    let amiss = || key.amiss(&Kept::File(database.clone())).map(|fault| fault.to_string()).unwrap_or_default();
    assert_eq!(amiss(), "", "nothing is sealed yet");
    key.sealer(Some(&dir.path("none")), &Fixed::new(1)).unwrap();
    std::fs::write(&database, "").unwrap();
    assert_eq!(amiss(), "");
    std::fs::write(&path, "short").unwrap();
    assert!(amiss().contains("32 bytes"), "{}", amiss());
    std::fs::remove_file(&path).unwrap();
    assert!(amiss().contains("put it back"), "{}", amiss());
}

#[test]
fn one_replaces_the_key_at_a_time_and_a_crash_loses_none() {
    let dir = Dir::new("next");
    let (key, path) = (dir.untold(), dir.path("operator.key"));
    let (before, kept, next) = (file::before(&path), file::kept(&path), file::next(&path));
    key.sealer(Some(&dir.path("none")), &Fixed::new(1)).unwrap();
    let text = |path: &Path| std::fs::read_to_string(path).unwrap();
    let first = text(&path);
    let held = key.alone().unwrap();
    assert!(key.alone().unwrap_err().to_string().contains("by another process"));
    drop(held);
    let _alone = key.alone().unwrap();
    let ring = key.prepare_next(&Fixed::new(2)).unwrap();
    let second = text(&next);
    let sealed = ring.seal("p", b"x", &Fixed::new(3)).unwrap();
    assert!(opens(&key, &sealed), "under way, both open");
    // As if it had crashed before the new key took its place, and then before the old one had its name.
    std::fs::hard_link(&path, &kept).unwrap();
    key.prepare_next(&Fixed::new(4)).unwrap();
    assert!(!before.exists() && text(&next) == second);
    std::fs::rename(&next, &path).unwrap();
    key.prepare_next(&Fixed::new(5)).unwrap();
    assert_eq!((text(&path), text(&before)), (second.clone(), first));
    assert_eq!(key.take_over().unwrap(), before);
    assert_eq!(text(&before), second);
    assert!(!kept.exists() && !next.exists() && text(&path) != second);
}

#[test]
fn what_is_sealed_under_a_passphrase_opens_for_who_is_told_it() {
    let dir = Dir::new("sealed");
    let none = dir.path("none");
    let sealed = dir.untold().sealer(Some(&none), &Fixed::new(1)).unwrap().0.seal("p", b"x", &Fixed::new(3)).unwrap();
    let open = dir.text("operator.key");
    let short = dir.untold().protect(&passphrase("too short"), &Fixed::new(4)).unwrap_err();
    assert!(short.to_string().contains("at least 15 characters") && dir.text("operator.key") == open);
    assert_eq!(dir.untold().protect(&passphrase(RIGHT), &Fixed::new(4)).unwrap(), 1);
    assert!(dir.text("operator.key").starts_with("$argon2id$") && !dir.text("operator.key").contains(open.trim()));
    assert_eq!(std::fs::metadata(dir.path("operator.key")).unwrap().permissions().mode() & 0o777, 0o600);

    let told = |text: &str| {
        std::fs::write(dir.path("passphrase"), text).unwrap();
        dir.told()
    };
    let untold = dir.untold().to_read().unwrap_err().to_string();
    assert!(untold.contains("nobody can be asked") && untold.contains("cardea-passphrase"), "{untold}");
    let wrong = told(OTHER).sealer(Some(&none), &Fixed::new(5)).unwrap_err().to_string();
    assert!(wrong.contains("the passphrase is another one") && !wrong.contains(OTHER), "{wrong}");
    let key = told(&format!("{RIGHT}\n"));
    assert!(opens(&key, &sealed));

    // The next key is sealed as this one is, and who runs opens it without being told again.
    std::fs::write(dir.path("passphrase"), OTHER).unwrap();
    let ring = key.prepare_next(&Fixed::new(6)).unwrap();
    let later = ring.seal("p", b"y", &Fixed::new(7)).unwrap();
    key.take_over().unwrap();
    assert!(["operator.key", "operator.key.before"].iter().all(|name| Lock::is_on(&dir.text(name))));
    assert!(key.reread().is_some_and(|ring| ring.open("p", &later).is_ok()));
    assert!(dir.untold().reread().is_none(), "no person is asked by who runs");

    // Another passphrase, for both; and who was started with the one before reads what it is told now.
    assert_eq!(key.protect(&passphrase(OTHER), &Fixed::new(8)).unwrap(), 2);
    assert!(opens(&told(OTHER), &later) && key.reread().is_some());
    assert!(told(RIGHT).to_read().is_err());
    // And off again.
    assert!(told(RIGHT).unprotect().is_err() && Lock::is_on(&dir.text("operator.key")));
    assert_eq!(told(OTHER).unprotect().unwrap(), 2);
    assert!(opens(&dir.untold(), &later) && dir.text("operator.key.before") == open);
}

/// Each state that a crash may leave: some files sealed, some not, or under the passphrase before.
#[test]
fn who_is_interrupted_while_protecting_begins_again() {
    let dir = Dir::new("interrupted");
    std::fs::write(dir.path("passphrase"), RIGHT).unwrap();
    let key = dir.untold();
    key.sealer(Some(&dir.path("none")), &Fixed::new(1)).unwrap();
    key.prepare_next(&Fixed::new(2)).unwrap();
    key.take_over().unwrap();
    key.prepare_next(&Fixed::new(3)).unwrap();
    let names = ["operator.key.before", "operator.key.next", "operator.key"];
    let open = names.map(|name| dir.text(name));
    let ring = |key: &OperatorKey| key.to_read().unwrap().unwrap().ids().collect::<Vec<_>>();
    let ids = ring(&key);
    // What another left when it crashed while it wrote.
    let left = dir.path("operator.key.next.new-77");
    std::fs::write(&left, &open[1]).unwrap();
    assert_eq!(key.protect(&passphrase(RIGHT), &Fixed::new(4)).unwrap(), 3);
    assert!(!left.exists(), "a key lies open still");
    let shut = names.map(|name| dir.text(name));
    for done in 0..3 {
        for (nth, name) in names.iter().enumerate() {
            std::fs::write(dir.path(name), if nth < done { &shut[nth] } else { &open[nth] }).unwrap();
        }
        assert_eq!(ring(&dir.told()), ids, "{done} of them sealed");
        let again = if done == 2 { dir.told() } else { dir.untold() };
        assert_eq!(again.protect(&passphrase(RIGHT), &Fixed::new(5)).unwrap(), 3, "{done}");
        assert!(names.iter().all(|name| Lock::is_on(&dir.text(name))));
        assert_eq!(ring(&dir.told()), ids);
    }
    // From one passphrase to another, interrupted after the first: the one in force still opens under the old one.
    let told = dir.told();
    told.to_read().unwrap();
    let first = dir.text(names[0]);
    told.protect(&passphrase(OTHER), &Fixed::new(6)).unwrap();
    let new = dir.text(names[0]);
    assert_ne!(first, new);
    for (name, text) in names.iter().zip(&shut) {
        std::fs::write(dir.path(name), text).unwrap();
    }
    std::fs::write(dir.path(names[0]), &new).unwrap();
    assert_eq!(dir.told().protect(&passphrase(OTHER), &Fixed::new(7)).unwrap(), 3);
    std::fs::write(dir.path("passphrase"), OTHER).unwrap();
    assert_eq!(ring(&dir.told()), ids);
}

#[test]
fn a_key_that_is_sealed_from_the_beginning_never_lay_open() {
    let dir = Dir::new("begun");
    let (none, there) = (dir.path("none"), dir.path("there"));
    std::fs::write(&there, "").unwrap();
    assert!(dir.untold().begin_sealed(&there, &passphrase(RIGHT), &Fixed::new(1)).is_err(), "what it sealed is lost");
    dir.untold().begin_sealed(&none, &passphrase(RIGHT), &Fixed::new(1)).unwrap();
    assert!(dir.untold().is_sealed());
    std::fs::remove_file(dir.path("operator.key")).unwrap();
    // So it is where the passphrase is configured before the first start.
    assert!(dir.told().sealer(Some(&none), &Fixed::new(1)).is_err(), "none lies where it was said to");
    std::fs::write(dir.path("passphrase"), RIGHT).unwrap();
    dir.told().sealer(Some(&none), &Fixed::new(1)).unwrap();
    assert!(dir.told().is_sealed());
    assert!(dir.told().told().unwrap().contains("is read from `passphrase`"));
    assert_eq!(dir.told().unprotect().unwrap(), 1);
    assert!(dir.told().told().unwrap().contains("lies open"));
}
