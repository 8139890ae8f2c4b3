//! The same over HTTP/2, in frames that no library would send: pseudo-headers twice, missing, late or unknown, names and
//! values that HTTP/1.1 could not carry, lengths that the data belie, trailers that say who calls.

use anyhow::Context;
use cardea_tests::{Echo, tls};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{
    Answer,
    requests::{Dice, NAMES, PIECES},
};

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// One request in frames.
#[derive(Debug, Clone)]
pub(super) struct Framed {
    pub(super) about: &'static str,
    pub(super) fields: Fields,
    data: Vec<Vec<u8>>,
    trailers: Option<Fields>,
}

fn field(name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> (Vec<u8>, Vec<u8>) {
    (name.as_ref().to_vec(), value.as_ref().to_vec())
}

/// So many requests.
pub(super) fn cases(seed: u64, count: usize) -> Vec<Framed> {
    let mut dice = Dice::new(seed);
    (0..count).map(|_| case(&mut dice)).collect()
}

fn case(dice: &mut Dice) -> Framed {
    let mut one = Framed {
        about: "h2",
        fields: vec![
            field(":method", "GET"),
            field(":scheme", "https"),
            field(":authority", "@HOST@"),
            field(":path", "/h2"),
        ],
        data: Vec::new(),
        trailers: None,
    };
    match dice.roll(8) {
        0..=1 => {
            (one.about, one.fields[3].1) = ("h2 G7", format!("/{}", dice.some(PIECES, 6)).into_bytes());
        }
        2 => pseudo(&mut one, dice),
        3 => {
            one.about = "h2 G8";
            one.fields[2].1 = dice.word(
                "@UPPER@ ¦ @NAME@ ¦ @NAME@. ¦ @NAME@:8443 ¦ @NAME@: ¦ user@@NAME@ ¦ evil.test ¦  ¦ @NAME@,evil.test ¦ \
                @NAME@/x ¦ @NAME@.. ¦ [::1] ¦ é@NAME@ ¦ @NAME@ ",
            ).into();
            if dice.roll(2) == 0 {
                one.fields.push(field("host", dice.word("@HOST@ ¦ evil.test ¦ @NAME@ ¦  ¦ @NAME@:1")));
            }
        }
        4 => {
            one.about = "h2 G1";
            for _ in 0..=dice.roll(4) {
                one.fields.push(field(dice.word(NAMES).to_ascii_lowercase(), "f0rged"));
            }
        }
        5 => odd_field(&mut one, dice),
        6 => data(&mut one, dice),
        _ => trailers(&mut one, dice),
    }
    one
}

fn pseudo(one: &mut Framed, dice: &mut Dice) {
    one.about = "h2 pseudo";
    let nth = dice.roll(4);
    match dice.roll(5) {
        0 => {
            one.fields.remove(nth);
        }
        1 => one.fields.push(one.fields[nth].clone()),
        2 => {
            let moved = one.fields.remove(nth);
            one.fields.extend([field("x-own", "1"), moved]);
        }
        3 => {
            let name = dice.word(":foo ¦ :status ¦ :protocol ¦ : ¦ ::path ¦ :Path ¦ :path ");
            one.fields.insert(nth, field(name, dice.word("200 ¦ websocket ¦ /other ¦ ")));
        }
        _ => {
            let odd = "* ¦  ¦ x ¦ //evil.test/x ¦ http://evil.test/ ¦ /a b ¦ /a\0 ¦ /a\r\nx: y ¦ /a#b ¦ /é ¦ /a?b#c ¦ G ET ¦ get ¦ \
                CONNECT ¦ TRACE ¦ HTTPS ¦ http ¦ ftp ¦ GET /x HTTP/1.1\r\n";
            one.fields[nth].1 = dice.word(odd).into();
        }
    }
}

fn odd_field(one: &mut Framed, dice: &mut Dice) {
    one.about = "h2 G9";
    let (name, value) = match dice.roll(3) {
        0 => (
            dice.word("X-Own ¦ x own ¦ x\0 ¦ x\r\ny ¦  ¦ x:y ¦ x\u{7f} ¦ é ¦ (x) ¦ x\t ¦ remote-user: a\r\nx").into(),
            b"f0rged".to_vec(),
        ),
        1 => (
            b"x-own".to_vec(),
            dice.word(
                "a\0b ¦ a\rb ¦ a\nb ¦ a\r\nremote-user: f0rged ¦ \r\n ¦  a ¦ a  ¦ \t ¦ a\u{7f} ¦ é ¦ \u{1} ¦ a\u{b}",
            )
            .into(),
        ),
        _ => {
            let name = dice
                .word("connection ¦ keep-alive ¦ proxy-connection ¦ transfer-encoding ¦ upgrade ¦ te ¦ http2-settings");
            (name.into(), dice.word("chunked ¦ close, x-own ¦ h2c ¦ trailers ¦ gzip ¦ remote-user ¦ ").into())
        }
    };
    one.fields.extend([field("x-own", "1"), (name, value), field("cookie", "a=1"), field("cookie", "b=2")]);
}

fn data(one: &mut Framed, dice: &mut Dice) {
    one.about = "h2 G11";
    one.fields[0].1 = dice.word("POST ¦ PUT ¦ GET ¦ DELETE").into();
    let length = dice.word("- ¦ 5 ¦ 5 ¦ 4 ¦ 6 ¦ +5 ¦ 5, 5 ¦ 05 ¦ 0 ¦ 99999999999999999999 ¦ x");
    if length != "-" {
        one.fields.push(field("content-length", length));
    }
    if dice.roll(6) == 0 {
        one.fields.push(field("content-length", "5"));
    }
    let body = dice.word("hello ¦ hel|lo ¦ |hello| ¦ GET / HTTP/1.1\r\n\r\n ¦ 0\r\n\r\n ¦ 5\r\nhello\r\n0\r\n\r\n");
    one.data = body.split('|').map(|piece| piece.as_bytes().to_vec()).collect();
}

fn trailers(one: &mut Framed, dice: &mut Dice) {
    data(one, dice);
    one.about = "h2 G1 trailers";
    let name = dice.word(
        "x-sum ¦ x-sum ¦ remote-user ¦ cardea-assertion ¦ x_forwarded_user ¦ content-length ¦ transfer-encoding ¦ host ¦ :path ¦ \
        X-Sum ¦ te ¦ x sum ¦ x\r\ny ¦ trailer",
    );
    one.trailers = Some(vec![field(name, "f0rged")]);
}

/// Sends it on a connection of its own, to a service's app at `host`.
pub(super) async fn send(one: &Framed, port: u16, host: &str, echo: &Echo) -> anyhow::Result<Answer> {
    let mut stream = tls::over(TcpStream::connect(("127.0.0.1", port)).await?, host, "h2").await?;
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    frame(&mut bytes, SETTINGS, 0, 0, b"");
    let ends = |last: bool| if last { END_STREAM } else { 0 };
    let bare = one.data.is_empty() && one.trailers.is_none();
    frame(&mut bytes, HEADERS, END_HEADERS | ends(bare), 1, &block(&one.fields));
    for (nth, piece) in one.data.iter().enumerate() {
        let last = nth + 1 == one.data.len() && one.trailers.is_none();
        frame(&mut bytes, DATA, ends(last), 1, piece);
    }
    if let Some(trailers) = &one.trailers {
        frame(&mut bytes, HEADERS, END_HEADERS | END_STREAM, 1, &block(trailers));
    }
    let _ = stream.write_all(&bytes).await;
    let (mut status, mut body) = (0, Vec::new());
    // A reset, a farewell or the end, whichever comes first, is an answer, too.
    while let Ok((kind, flags, id, payload)) = next(&mut stream).await {
        match (kind, id) {
            (HEADERS, 1) if status == 0 => status = if payload.first() == Some(&INDEXED_200) { 200 } else { 400 },
            (DATA, 1) => body.extend_from_slice(&payload),
            (RESET, 1) => break,
            (GO_AWAY, _) if payload.get(4..8) != Some(&[0; 4]) => break,
            _ => {}
        }
        if id == 1 && flags & END_STREAM != 0 {
            return told(status, &body, echo);
        }
    }
    Ok(Answer { status: 400, reason: Some("reset".to_owned()), id: String::new(), view: None })
}

fn told(status: u16, body: &[u8], echo: &Echo) -> anyhow::Result<Answer> {
    if status == 200 {
        let view = echo.view(body)?;
        let id = view.by_name().get("x-request-id").cloned().unwrap_or_default();
        return Ok(Answer { status, reason: None, id, view: Some(view) });
    }
    let problem: serde_json::Value =
        serde_json::from_slice(body).with_context(|| String::from_utf8_lossy(body).into_owned())?;
    let text = |name: &str| problem[name].as_str().unwrap_or_default().to_owned();
    let status = problem["status"].as_u64().and_then(|status| u16::try_from(status).ok()).unwrap_or(status);
    Ok(Answer { status, reason: Some(text("reason")), id: text("request_id"), view: None })
}

// RFC 9113 section 6.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const GO_AWAY: u8 = 7;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// `:status: 200` (RFC 7541 appendix A).
const INDEXED_200: u8 = 0x88;

fn frame(out: &mut Vec<u8>, kind: u8, flags: u8, id: u32, payload: &[u8]) {
    out.extend_from_slice(&u32::try_from(payload.len()).unwrap_or_default().to_be_bytes()[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&id.to_be_bytes());
    out.extend_from_slice(payload);
}

async fn next(stream: &mut (impl AsyncReadExt + Unpin)) -> std::io::Result<(u8, u8, u32, Vec<u8>)> {
    let mut head = [0; 9];
    stream.read_exact(&mut head).await?;
    let mut payload = vec![0; usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2])];
    stream.read_exact(&mut payload).await?;
    Ok((head[3], head[4], u32::from_be_bytes([head[5], head[6], head[7], head[8]]), payload))
}

/// Fields as literals without indexing and without Huffman codes (RFC 7541 section 6.2.2).
fn block(fields: &Fields) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in fields {
        out.push(0);
        for text in [name, value] {
            match u8::try_from(text.len()) {
                Ok(length @ 0..=126) => out.push(length),
                _ => {
                    out.push(127);
                    let mut rest = text.len() - 127;
                    while rest >= 128 {
                        out.push(u8::try_from(rest % 128).unwrap_or_default() | 128);
                        rest /= 128;
                    }
                    out.push(u8::try_from(rest).unwrap_or_default());
                }
            }
            out.extend_from_slice(text);
        }
    }
    out
}
