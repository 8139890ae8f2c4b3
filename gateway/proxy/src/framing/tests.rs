use super::*;

const HEAD: usize = 1000;

/// Feeds `bytes` in pieces of `size` and gives what hyper would read.
fn through(bytes: &[u8], size: usize) -> Result<String, String> {
    watched(bytes, size).0
}

/// The same, and what the guard noted.
fn watched(bytes: &[u8], size: usize) -> (Result<String, String>, Option<Reason>) {
    let watch = Arc::<Watch>::default();
    let mut guard =
        Guard::new((), Arc::clone(&watch), Bounds { head: HEAD, fields: 128, time: Duration::from_secs(1) });
    let mut out = Vec::new();
    for piece in bytes.chunks(size) {
        guard.take(piece, &mut out);
    }
    if guard.state == State::Broken {
        assert_eq!(watch.refused(), Some(Reason::AmbiguousFraming));
        return (Err("broken".to_owned()), watch.refused());
    }
    (Ok(String::from_utf8_lossy(&out).into_owned()), watch.refused())
}

fn refusal(bytes: &[u8]) -> Option<&'static str> {
    let whole = watched(bytes, bytes.len());
    for size in [1, 2, 3, 7] {
        assert_eq!(watched(bytes, size), whole, "read in pieces of {size} it says something else");
    }
    let (heard, reason) = whole;
    assert_eq!(heard.unwrap().contains("\r\ncardea-refused: 1\r\n"), reason.is_some());
    reason.map(Reason::code)
}

#[test]
fn what_has_one_reading_passes_unchanged() {
    for good in [
        "GET / HTTP/1.1\r\nhost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabcGET /2 HTTP/1.1\r\nhost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\nTransfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\n0a;x=y\r\n0123456789\r\n0\r\nt: v\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
    ] {
        for size in [1, 2, 5, 1000] {
            assert_eq!(through(good.as_bytes(), size).as_deref(), Ok(good), "in pieces of {size}");
        }
    }
}

#[test]
fn a_head_with_two_readings_is_refused() {
    for (head, reason) in [
        ("POST / HTTP/1.1\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n", "ambiguous-framing"),
        ("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n", "ambiguous-framing"),
        ("POST / HTTP/1.1\r\ncontent-length: 3\r\ncontent-length: 3\r\n\r\n", "ambiguous-framing"),
        ("POST / HTTP/1.1\r\ncontent-length: 3, 3\r\n\r\n", "ambiguous-framing"),
        ("POST / HTTP/1.1\r\ncontent-length: +3\r\n\r\n", "ambiguous-framing"),
        ("POST / HTTP/1.1\r\ncontent-length: -0\r\n\r\n", "ambiguous-framing"),
        ("POST / HTTP/1.1\r\ncontent-length: 0x3\r\n\r\n", "ambiguous-framing"),
        ("POST / HTTP/1.1\r\ncontent-length:\r\n\r\n", "ambiguous-framing"),
        ("POST / HTTP/1.1\r\ncontent-length: 99999999999999999999\r\n\r\n", "ambiguous-framing"),
        ("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n", "ambiguous-framing"),
        ("POST / HTTP/1.1\r\ntransfer-encoding: gzip, chunked\r\n\r\n", "ambiguous-framing"),
        ("POST / HTTP/1.1\r\ntransfer-encoding: ,chunked\r\n\r\n", "ambiguous-framing"),
        ("POST / HTTP/1.1\r\ntransfer-encoding: xchunked\r\n\r\n", "ambiguous-framing"),
        ("POST / HTTP/1.1\r\ntransfer-encoding: identity\r\n\r\n", "ambiguous-framing"),
        ("POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n", "ambiguous-framing"),
        ("POST / HTTP/1.1\r\ntransfer-encoding : chunked\r\n\r\n", "ambiguous-framing"),
        ("POST / HTTP/1.1\r\nx: y\r\n transfer-encoding: chunked\r\n\r\n", "ambiguous-framing"),
        ("GET / HTTP/1.1\nhost: a\n\n", "ambiguous-framing"),
        ("GET / HTTP/1.1\r\nhost: a\n\r\n", "ambiguous-framing"),
        ("GET / HTTP/1.1\r\nx: a\rb\r\n\r\n", "bad-header"),
        ("GET / HTTP/1.1\r\nx: a\0b\r\n\r\n", "bad-header"),
        // Found by the echo comparison: these passed, and hyper closed without a word.
        ("GET / HTTP/1.1\r\nx: \r a\r\n\r\n", "bad-header"),
        ("GET / HTTP/1.1\r\nx: a\u{c}\r\n\r\n", "bad-header"),
        ("POST / HTTP/1.1\r\ntransfer-encoding: \u{c}chunked\r\n\r\n", "bad-header"),
        ("GET / HTTP/1.1\r\nx\u{80}: a\r\n\r\n", "bad-header"),
        ("GET / HTTP/1.1\r\n: a\r\n\r\n", "bad-header"),
        ("GET / HTTP/1.1\r\nCardea-Refused: log-unavailable\r\n\r\n", "bad-header"),
        ("GET  / HTTP/1.1\r\n\r\n", "ambiguous-framing"),
        ("GET / HTTP/1.1 x\r\n\r\n", "ambiguous-framing"),
        ("GET / HTTP/2.0\r\n\r\n", "ambiguous-framing"),
        ("GET /x#/public HTTP/1.1\r\n\r\n", "ambiguous-path"),
        ("GET /\u{e9} HTTP/1.1\r\n\r\n", "ambiguous-path"),
        ("GET \\about HTTP/1.1\r\n\r\n", "ambiguous-path"),
        ("GET /a<b HTTP/1.1\r\n\r\n", "ambiguous-path"),
        ("\u{16}\u{3}\u{1}", "ambiguous-framing"),
    ] {
        let found = refusal(head.as_bytes());
        let allowed = [Some(reason), Some("ambiguous-framing")];
        assert!(allowed.contains(&found) && found.is_some(), "{head:?} was {found:?}");
    }
}

#[test]
fn what_follows_a_refused_head_is_not_heard() {
    let smuggle = b"POST / HTTP/1.1\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /admin HTTP/1.1\r\n\r\n";
    assert!(!through(smuggle, smuggle.len()).unwrap().contains("admin"));
}

/// Found by the echo comparison: hyper drops the answer to a request that was to be the last when more follows it.
#[test]
fn what_follows_the_last_request_is_not_heard() {
    for last in [
        "GET / HTTP/1.1\r\nConnection: x, Close\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "POST / HTTP/1.1\r\nconnection: close\r\ncontent-length: 3\r\n\r\nabc",
        "POST / HTTP/1.1\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    ] {
        let more = format!("{last}GET /more HTTP/1.1\r\n\r\n");
        for size in [1, 2, 7, 1000] {
            assert_eq!(through(more.as_bytes(), size).as_deref(), Ok(last), "in pieces of {size}");
        }
    }
    let kept = "GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\nGET /more HTTP/1.0\r\n\r\n";
    assert_eq!(through(kept.as_bytes(), 1000).as_deref(), Ok(kept));
}

#[test]
fn chunks_are_read_to_the_letter() {
    for body in [
        "3 \r\nabc\r\n",
        "+3\r\nabc\r\n",
        "0x3\r\nabc\r\n",
        "3\nabc\r\n",
        "3\r\nabcd\r\n",
        "\r\n",
        "3;\n\r\nabc\r\n",
        "ffffffffffffffff1\r\n",
        "3\r\nabc\n0\r\n\r\n",
        "0\r\nx\n\r\n",
        "0\r\nx: a\n\r\n",
        "0\r\nx\r\n\r\n",
        "0\r\nx : 1\r\n\r\n",
        "0\r\n: 1\r\n\r\n",
        "0\r\n x: 1\r\n\r\n",
        "0\r\nx: \u{1}\r\n\r\n",
    ] {
        let request = format!("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n{body}");
        assert!(through(request.as_bytes(), 1).is_err(), "{body:?}");
        assert!(through(request.as_bytes(), 1000).is_err(), "{body:?}");
    }
}

#[test]
fn a_head_of_too_many_fields_is_refused() {
    let head = |fields| format!("GET / HTTP/1.1\r\n{}\r\n", "a: 1\r\n".repeat(fields));
    assert_eq!(refusal(head(128).as_bytes()), None);
    assert_eq!(refusal(head(129).as_bytes()), Some("headers-too-large"));
}

#[test]
fn an_endless_head_is_refused() {
    let fits = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "a".repeat(HEAD - 23));
    assert_eq!((fits.len(), refusal(fits.as_bytes())), (HEAD, None));
    let head = fits.replace("x: ", "x: a");
    assert_eq!(refusal(head.as_bytes()), Some("headers-too-large"));
    let head = format!("GET / HTTP/1.1\r\nx: {}", "a".repeat(HEAD));
    assert_eq!(refusal(head.as_bytes()), Some("headers-too-large"));
}
