//! How much room what is kept takes in Redis. What a million take is measured by `tests/bench/run sessions`.

use super::*;

#[tokio::test]
async fn a_session_of_two_factors_with_its_handle_is_kept_in_lists() {
    let under = redis().await;
    let server = under._server.as_ref().unwrap();
    let alone = session("acme", ada(), t0(), 1);
    let begun = alone.stepped_up(&[Proof { means: Means::Totp { factor: shown() }, at: t0() }], t0(), &Fixed::new(2));
    let record = handle(&begun, "wiki.acme.localhost", t0(), 3);
    under.ours.session_open((&begun, &record), &Forgiven::default(), t0()).await.unwrap();
    assert_eq!(under.theirs.session_by_handle(&acme(), &record.hash).await.unwrap(), Some((record, begun)));
    let keys: Vec<Vec<u8>> = server.ask(&["KEYS", "*"]).await;
    assert_eq!(keys.len(), 4, "a session, a handle, a user's, a count");
    let mut room = 0;
    for key in &keys {
        let words: [&[u8]; 3] = [b"OBJECT", b"ENCODING", key];
        assert_eq!(server.ask::<String>(&words).await, "listpack", "{}", key.escape_ascii());
        let words: [&[u8]; 3] = [b"MEMORY", b"USAGE", key];
        room += server.ask::<u64>(&words).await;
    }
    assert!(room < 900, "{room} bytes, of which what counts and names is others', too");
}
