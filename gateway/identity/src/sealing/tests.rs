use super::*;
use cardea_core::entropy::Fixed;

fn key(byte: u8) -> Secret<[u8; 32]> {
    Secret::new([byte; 32])
}

fn sealer(byte: u8) -> Sealer {
    Sealer::new(&key(byte)).unwrap()
}

#[test]
fn a_secret_opens_only_where_it_was_put() {
    let sealed = sealer(1).seal("totp/a", b"seed", &Fixed::new(1)).unwrap();
    assert_eq!(sealer(1).open("totp/a", &sealed).unwrap().expose(), b"seed");
    assert_eq!(sealer(1).open("totp/b", &sealed).unwrap_err(), CannotOpen);
    assert_eq!(sealer(2).open("totp/a", &sealed).unwrap_err(), CannotOpen);
}

#[test]
fn changed_or_shortened_bytes_do_not_open() {
    let sealed = sealer(1).seal("p", b"seed", &Fixed::new(1)).unwrap();
    for nth in 0..sealed.as_str().len() {
        let mut text = sealed.as_str().to_owned();
        let other = if text.as_bytes()[nth] == b'A' { "B" } else { "A" };
        text.replace_range(nth..=nth, other);
        assert!(sealer(1).open("p", &Sealed::from_stored(text)).is_err());
        assert!(sealer(1).open("p", &Sealed::from_stored(&sealed.as_str()[..nth])).is_err());
    }
}

#[test]
fn a_ring_seals_under_its_first_key_and_opens_under_each() {
    let before = sealer(1).seal("p", b"seed", &Fixed::new(1)).unwrap();
    let ring = Sealer::ring([&key(2), &key(1)]).unwrap();
    assert_eq!(ring.open("p", &before).unwrap().expose(), b"seed");
    let now = ring.seal("p", b"seed", &Fixed::new(1)).unwrap();
    assert_eq!((now.key_id(), ring.ids().count()), (sealer(2).ids().next(), 2));
    assert!(sealer(2).open("p", &now).is_ok() && sealer(1).open("p", &now).is_err());
    assert_eq!(Sealer::ring([]).unwrap_err(), CannotOpen);
    let one = sealer(1).ids().next().unwrap();
    let led = ring.led_by(one).unwrap();
    assert_eq!((led.ids().next(), led.ids().count()), (Some(one), 2));
    assert!(ring.led_by(sealer(3).ids().next().unwrap()).is_none());
}

#[test]
fn what_was_sealed_before_keys_had_names_opens_when_it_is_asked_for_so() {
    let mut body = b"seed".to_vec();
    let nonce = || Nonce::assume_unique_for_key([9; NONCE_LEN]);
    aes(&[1; 32]).unwrap().seal_in_place_append_tag(nonce(), Aad::from("p"), &mut body).unwrap();
    let old = Sealed::from_stored(STANDARD_NO_PAD.encode([&[9; NONCE_LEN][..], &body].concat()));
    assert_eq!(sealer(1).open_unnamed("p", &old).unwrap().expose(), b"seed");
    assert!(sealer(1).open("p", &old).is_err());
    assert!(sealer(1).open_unnamed("q", &old).is_err() && sealer(2).open_unnamed("p", &old).is_err());
}

#[test]
fn marks_tell_texts_apart_and_tell_nothing_of_them() {
    let ada = sealer(1).mark("email", "ada@x.example").unwrap();
    assert_eq!(sealer(1).mark("email", "ada@x.example").unwrap(), ada);
    for other in [
        sealer(2).mark("email", "ada@x.example"),
        sealer(1).mark("account", "ada@x.example"),
        sealer(1).mark("email", "bob@x.example"),
    ] {
        assert_ne!(other.unwrap(), ada);
    }
    let ring = Sealer::ring([&key(2), &key(1)]).unwrap().marks("email", "ada@x.example");
    assert_eq!(ring, [sealer(2).mark("email", "ada@x.example").unwrap(), ada]);
}

#[test]
fn an_entry_opens_in_its_place_of_its_log_only() {
    let (link, plain) = ([7; 32], br#"{"id":"x"}"#.to_vec());
    let mut acme = EntrySealer::new(sealer(1), "acme");
    let mut sealed = plain.clone();
    acme.seal(5, &link, &mut sealed).unwrap();
    assert_eq!(sealed.len(), plain.len() + TAG_LEN + KEY_ID_LEN);
    assert_eq!(acme.open(5, &link, sealed.clone()).unwrap(), plain);
    assert!(acme.open(5, &[8; 32], sealed.clone()).is_err(), "another link");
    assert!(acme.open(5 + (1 << 20), &link, sealed.clone()).is_err(), "another block");
    assert!(EntrySealer::new(sealer(1), "beta").open(5, &link, sealed.clone()).is_err(), "another log");
    assert!(EntrySealer::new(sealer(2), "acme").open(5, &link, sealed.clone()).is_err(), "another key");
    for nth in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[nth] ^= 1;
        assert!(acme.open(5, &link, changed).is_err());
        assert!(acme.open(5, &link, sealed[..nth].to_vec()).is_err());
    }
}
