//! Requests as an attacker would write them, made from a seed: the same seed makes the same requests.
//!
//! In their bytes `@HOST@` stands for the app's host and port, and `@COOKIE@` for a reader's session at it.

/// One thing that is sent.
#[derive(Debug, Clone)]
pub(super) struct Case {
    /// What it is about: the letter and number of an abuse case.
    pub(super) about: &'static str,
    /// The bytes.
    pub(super) bytes: Vec<u8>,
}

impl Case {
    pub(super) fn text(&self) -> String {
        format!("{:?}", String::from_utf8_lossy(&self.bytes))
    }
}

/// A repeatable source of choices (SplitMix64).
pub(super) struct Dice(u64);

impl Dice {
    /// Choices from a seed.
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % sides as u64).unwrap_or_default()
    }

    pub(super) fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.roll(of.len())]
    }

    /// One of the texts that stand between bars.
    pub(super) fn word(&mut self, of: &'static str) -> &'static str {
        let nth = self.roll(of.split(" ¦ ").count());
        of.split(" ¦ ").nth(nth).unwrap_or_default()
    }

    pub(super) fn some(&mut self, of: &'static str, most: usize) -> String {
        (0..self.roll(most + 1)).map(|_| self.word(of)).collect()
    }
}

/// What follows each case on its connection: it must be heard as a request of its own, or not at all.
pub(super) const END: &str = "GET /end HTTP/1.1\r\nhost: @HOST@\r\nconnection: close\r\n\r\n";

pub(super) const PIECES: &str = "a ¦ b ¦ / ¦ / ¦ .. ¦ . ¦ ... ¦ ; ¦ ;v=1 ¦ %2e ¦ %2E ¦ %2f ¦ %2F ¦ %5c ¦ \\ ¦ %25 ¦ %252e ¦ %252F ¦ %00 ¦ \
    %0d%0a ¦ %7f ¦ %c3%a9 ¦ %E2%82%AC ¦ %ff ¦ %c0%af ¦ %ed%a0%80 ¦ %41 ¦ %7E ¦ ~ ¦ %20 ¦ + ¦ %2B ¦ [ ¦ ] ¦ | ¦ \
    ' ¦ ( ¦ ! ¦ $ ¦ & ¦ = ¦ , ¦ : ¦ @ ¦ %3A ¦ %40 ¦ %3B ¦ %3F ¦ %23 ¦ %26 ¦ % ¦ %4 ¦ %zz ¦ %u0061 ¦ é ¦ // ¦ \
    /./ ¦ /../ ¦ /.;/ ¦ /..;/ ¦ ^ ¦ ` ¦ {x} ¦ \" ¦ < ¦ %3C ¦ * ¦ - ¦ _ ¦ .json";
const QUERY: &str = "a=1 ¦ & ¦ a=2 ¦ /../ ¦ %2e%2e ¦ ? ¦ ?/public ¦ %00 ¦ %0a ¦ % ¦ ; ¦ = ¦ + ¦ %20 ¦ ' ¦ [] ¦ { ¦ | ¦ ^ ¦ é ¦ \
    \\ ¦ # ¦ %c3%a9 ¦ x[y]=z ¦ // ¦ : ¦ @ ¦ %26 ¦ %3D";

/// So many cases.
pub(super) fn cases(seed: u64, count: usize) -> Vec<Case> {
    let mut dice = Dice::new(seed);
    (0..count)
        .map(|_| {
            let (about, text) = match dice.roll(20) {
                0..=5 => ("G7", path(&mut dice)),
                6 => ("G5", query(&mut dice)),
                7..=8 => ("G8", host(&mut dice)),
                9 => ("G8", absolute(&mut dice)),
                10..=12 => ("G1", names(&mut dice)),
                13 => ("G2", connection(&mut dice)),
                14 => ("G9", values(&mut dice)),
                15..=16 => ("G11", lengths(&mut dice)),
                17..=18 => ("G11", chunks(&mut dice)),
                _ => ("G10", pipelined(&mut dice)),
            };
            let mut bytes = text;
            if about != "G10" && dice.roll(12) == 0 {
                return Case { about: "G9", bytes: with_odd_bytes(bytes, &mut dice) };
            }
            Case { about, bytes: std::mem::take(&mut bytes) }
        })
        .collect()
}

const METHODS: &str = "GET ¦ GET ¦ GET ¦ POST ¦ PUT ¦ DELETE ¦ PATCH";

fn request(method: &str, target: &str, fields: &str) -> Vec<u8> {
    format!("{method} {target} HTTP/1.1\r\nhost: @HOST@\r\n{fields}\r\n").into_bytes()
}

fn who(dice: &mut Dice) -> &'static str {
    dice.word(" ¦  ¦ cookie: cardea=@COOKIE@\r\n ¦ cookie: a=1; cardea=@COOKIE@; b=\"2\"\r\n")
}

fn path(dice: &mut Dice) -> Vec<u8> {
    let target = format!("/{}", dice.some(PIECES, 7));
    let method = dice.word(METHODS);
    let body = if method == "GET" || dice.roll(2) == 0 { "" } else { "content-length: 0\r\n" };
    request(method, &target, &format!("{}{body}", who(dice)))
}

fn query(dice: &mut Dice) -> Vec<u8> {
    let target = format!("/x{}?{}", dice.some(PIECES, 1), dice.some(QUERY, 8));
    request("GET", &target, who(dice))
}

fn host(dice: &mut Dice) -> Vec<u8> {
    let host = dice.word(
        "@HOST@ ¦ @UPPER@ ¦ @NAME@ ¦ @NAME@. ¦ @NAME@.:80 ¦ @NAME@:8443 ¦ @NAME@: ¦ @NAME@:99999 ¦ @NAME@:+80 ¦ \
        @NAME@:80:80 ¦ user@@NAME@ ¦ @NAME@@evil.test ¦ @NAME@,evil.test ¦ @NAME@ evil.test ¦ @NAME@/x ¦ \
        @NAME@%00 ¦ @NAME@.. ¦ .@NAME@ ¦ x.@NAME@ ¦ xn--@NAME@ ¦ @NAME@\\x ¦ @NAME@?x ¦ @NAME@#x ¦ [::1] ¦ \
        [::1 ¦ 127.0.0.1 ¦  ¦   ¦ \t@HOST@ ¦ @HOST@  ¦ evil.test ¦ _@NAME@ ¦ é@NAME@ ¦ %65@NAME@ ¦ \
        @NAME@\u{b} ¦ \"@NAME@\"",
    );
    let second = dice.word(
        " ¦  ¦  ¦ host: evil.test\r\n ¦ Host: @HOST@\r\n ¦ x-forwarded-host: evil.test\r\n ¦ host : evil.test\r\n",
    );
    let name = dice.word("host ¦ Host ¦ HOST ¦ hOST");
    format!("GET /host HTTP/1.1\r\n{name}: {host}\r\n{second}\r\n").into_bytes()
}

fn absolute(dice: &mut Dice) -> Vec<u8> {
    let scheme = dice.word("http ¦ http ¦ HTTP ¦ https ¦ ftp ¦  ¦ file");
    let authority = dice.word("@HOST@ ¦ @HOST@ ¦ @UPPER@ ¦ evil.test ¦ user@@HOST@ ¦ @NAME@ ¦ @NAME@:1 ¦  ¦ :80");
    let separator = dice.word(":// ¦ :// ¦ :// ¦ :/ ¦ : ¦ //");
    let rest = format!(
        "{}{}",
        dice.one(&["/abs", "", "?q", "/", "/a/../b", "//x", "/abs?x=http://evil.test"]),
        dice.some(PIECES, 1)
    );
    request(dice.word("GET ¦ POST ¦ CONNECT"), &format!("{scheme}{separator}{authority}{rest}"), "")
}

pub(super) const NAMES: &str = "Cardea-Assertion ¦ cardea_assertion ¦ CARDEA.ASSERTION ¦ cardea-x ¦ Remote-User ¦ remote_user ¦ \
    REMOTE_USER ¦ Remote.User ¦ Remote~User ¦ X-Groups ¦ x_groups ¦ X-Forwarded-User ¦ X_Forwarded_User ¦ \
    X-Forwarded-Proto ¦ x_forwarded_for ¦ X-Forwarded-For ¦ X-Forwarded-Host ¦ X-Forwarded-Port ¦ \
    X-Forwarded-Uri ¦ X-Forwarded-Prefix ¦ Forwarded ¦ X-Real-IP ¦ x_real.ip ¦ X-Request-Id ¦ X-Original-URL ¦ \
    X-Rewrite-Url ¦ True-Client-IP ¦ Via ¦ Te ¦ Trailer ¦ Keep-Alive ¦ Proxy-Connection ¦ Proxy-Authorization ¦ \
    Proxy ¦ Upgrade ¦ HTTP2-Settings ¦ Expect ¦ traceparent ¦ tracestate ¦ X-HTTP-Method-Override ¦ \
    content_length ¦ Content.Length ¦ transfer_encoding ¦ Transfer.Encoding ¦ content_type ¦ host_ ¦ cookie_ ¦ \
    Path-Info ¦ path_info ¦ script_name ¦ X-Own ¦ x-own ¦ Accept ¦ Authorization ¦ Cookie ¦ Origin ¦ Referer ¦ \
    Content-Type ¦ x-own-2 ¦ X-Sendfile ¦ Max-Forwards ¦ Range";

fn names(dice: &mut Dice) -> Vec<u8> {
    let mut fields = String::new();
    for _ in 0..=dice.roll(5) {
        let name = dice.word(NAMES);
        let value = dice.word("f0rged ¦ f0rged, f0rged ¦ f0rged; q=1 ¦ \"f0rged\" ¦  ¦ 1");
        let separator = dice.word(":  ¦ :  ¦ :  ¦ : ¦ :\t ¦ :   ");
        fields.push_str(&format!("{name}{separator}{value}\r\n"));
        if dice.roll(4) == 0 {
            fields.push_str(&format!("{}: f0rged-again\r\n", name.to_ascii_uppercase()));
        }
    }
    let many = if dice.roll(20) == 0 { "x-many: 1\r\n".repeat(dice.one(&[60, 110, 200])) } else { String::new() };
    let long = if dice.roll(20) == 0 {
        format!("x-long: {}\r\n", "l".repeat(dice.one(&[4_000, 8_000, 40_000])))
    } else {
        String::new()
    };
    request("GET", "/names", &format!("{}{fields}{many}{long}", who(dice)))
}

fn connection(dice: &mut Dice) -> Vec<u8> {
    let mut listed = Vec::new();
    for _ in 0..=dice.roll(3) {
        listed.push(dice.one(&[
            "Cardea-Assertion",
            "Remote-User",
            "X-Request-Id",
            "Forwarded",
            "X-Forwarded-For",
            "Host",
            "Via",
            "traceparent",
            "x-own",
            "Content-Length",
            "Transfer-Encoding",
            "Cookie",
            "close",
            "keep-alive",
            "upgrade",
            "te",
            "",
            " ",
            "a b",
            "é",
            "Authorization",
            "Origin",
            "content-type",
            "x_own",
        ]));
    }
    let name = dice.word("Connection ¦ connection ¦ CONNECTION ¦ Proxy-Connection");
    let more = dice.word(
        " ¦ x-own: f0rged\r\n ¦ te: trailers, gzip\r\n ¦ \
        upgrade: h2c\r\nhttp2-settings: AAMAAABkAARAAAAAAAIAAAAA\r\n",
    );
    request("GET", "/connection", &format!("{}{name}: {}\r\n{more}", who(dice), listed.join(dice.word(",  ¦ , ¦  , "))))
}

fn values(dice: &mut Dice) -> Vec<u8> {
    let mut bytes = b"GET /values HTTP/1.1\r\nhost: @HOST@\r\nx-own: a".to_vec();
    bytes.extend_from_slice(dice.one(&[
        &b"\0"[..],
        b"\r",
        b"\n",
        b"\r\n ",
        b"\r\n\t",
        b"\n ",
        b"\x01",
        b"\x0b",
        b"\x0c",
        b"\x1f",
        b"\x7f",
        b"\x80",
        b"\xff",
        b"\xc3\xa9",
        b"\xe2\x82\xac",
        b"\t",
        b"  ",
        b"\r\r\n",
        b"\r\nremote-user : f0rged\r\n",
        b"\r\n: f0rged\r\n",
        b"\r\nno-colon\r\n",
        b"\r\n\x00: 1\r\n",
        b"\r\nx\x80: f0rged\r\n",
        b"\r\nx own: f0rged\r\n",
        b"\r\n(x): 1\r\n",
        b"\\",
        b"\"",
        b",,",
        b"%00",
        b"\xed\xa0\x80",
    ]));
    bytes.extend_from_slice(b"b\r\n\r\n");
    bytes
}

fn lengths(dice: &mut Dice) -> Vec<u8> {
    let length = dice.word(
        "5 ¦ 5 ¦ 5 ¦ 05 ¦ +5 ¦ -5 ¦ 5.0 ¦ 0x5 ¦ 5  ¦  5 ¦ 5,5 ¦ 5, 5 ¦ 5, 6 ¦  ¦ 0 ¦ 4 ¦ 99999999999999999999 ¦ \
        five ¦ 5\t ¦ 5; ¦ \"5\" ¦ 5\u{b}",
    );
    let name = dice.word(
        "content-length ¦ Content-Length ¦ content-length  ¦ content_length ¦ \tcontent-length ¦ \
        content-length\r\n",
    );
    let more = dice.word(
        " ¦  ¦ content-length: 5\r\n ¦ content-length: 6\r\n ¦ transfer-encoding: chunked\r\n ¦ \
        transfer-encoding: identity\r\n ¦ transfer_encoding: chunked\r\n",
    );
    let method = dice.word("POST ¦ PUT ¦ GET ¦ DELETE");
    let version = dice.word("1.1 ¦ 1.1 ¦ 1.1 ¦ 1.0 ¦ 1.2 ¦ 2.0 ¦ 0.9");
    let body = dice.word("hello ¦ 0\r\n\r\n ¦ GET /");
    let body = if length.trim() == "0" { "" } else { body };
    format!("{method} /lengths HTTP/{version}\r\nhost: @HOST@\r\n{name}: {length}\r\n{more}\r\n{body}").into_bytes()
}

fn chunks(dice: &mut Dice) -> Vec<u8> {
    let coding = dice.word(
        "chunked ¦ chunked ¦ chunked ¦ chunked ¦ Chunked ¦ CHUNKED ¦  chunked ¦ chunked  ¦ chunked\t ¦ \
        gzip, chunked ¦ chunked, chunked ¦ chunked, identity ¦ xchunked ¦ identity ¦ ,chunked ¦ \"chunked\" ¦ \
        chunked;q=1 ¦ chu\tnked ¦ \u{b}chunked ¦ ",
    );
    let more = dice
        .word(" ¦  ¦  ¦  ¦ transfer-encoding: chunked\r\n ¦ content-length: 5\r\n ¦ Transfer-Encoding: identity\r\n");
    let mut body = String::new();
    for _ in 0..dice.roll(4) {
        body.push_str(dice.word(
            "5\r\nhello\r\n ¦ 5\r\nhello\r\n ¦ a\r\n0123456789\r\n ¦ A\r\n0123456789\r\n ¦ 005\r\nhello\r\n ¦ \
        5;x=y\r\nhello\r\n ¦ 5;x=\"y;z\"\r\nhello\r\n ¦ 5 ;x\r\nhello\r\n ¦ 5 \r\nhello\r\n ¦ 5\nhello\r\n ¦ \
        5\r\nhello\n ¦ 5\r\nhello ¦ +5\r\nhello\r\n ¦ 0x5\r\nhello\r\n ¦ 5\r\nhell\r\n ¦ 5\r\nhello!\r\n ¦ \
        ffffffffffffffff5\r\nhello\r\n ¦ -1\r\nhello\r\n ¦ 5;\0\r\nhello\r\n ¦ \r\n ¦ 5;x\ny\r\nhello\r\n ¦ \
        5\r\r\nhello\r\n ¦ 000000000000000000005\r\nhello\r\n",
        ));
    }
    let trailers = dice.word(
        " ¦  ¦  ¦ x-sum: 1\r\n ¦ remote-user: f0rged\r\n ¦ Cardea-Assertion: f0rged\r\n ¦ \
        content-length: 5\r\n ¦ transfer-encoding: chunked\r\n ¦ host: evil.test\r\n ¦ \
        x_forwarded_user: f0rged\r\n ¦ bad\r\n ¦  folded\r\n ¦ x-sum: 1\n ¦ x: \0\r\n ¦ x-sum : 1\r\n",
    );
    let last = dice.word("0 ¦ 0 ¦ 0 ¦ 0 ¦ 00 ¦ 0;x=y ¦ 0  ¦ 000000000000000000");
    let announced = dice.word(" ¦ trailer: x-sum\r\n ¦ trailer: content-length\r\n");
    let who = who(dice);
    format!(
        "POST /chunks HTTP/1.1\r\nhost: @HOST@\r\n{who}{announced}transfer-encoding: {coding}\r\n{more}\r\n{body}{last}\r\n{trailers}\r\n"
    )
    .into_bytes()
}

/// Several requests in one write, of which one may hide another.
fn pipelined(dice: &mut Dice) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..2 {
        let hidden = "GET /hidden HTTP/1.1\r\nhost: evil.test\r\n\r\n";
        let one = match dice.roll(6) {
            0 => format!("POST /outer HTTP/1.1\r\nhost: @HOST@\r\ncontent-length: {}\r\n\r\n{hidden}", hidden.len()),
            1 => format!(
                "GET /outer HTTP/1.1\r\nhost: @HOST@\r\nupgrade: {}\r\nconnection: upgrade\r\n\r\n",
                dice.word("h2c ¦ TLS/1.0 ¦ foo")
            ),
            2 => "GET /outer HTTP/1.1\r\nhost: @HOST@\r\nexpect: 100-continue\r\n\r\n".to_owned(),
            3 => "\r\n\r\nGET /outer HTTP/1.1\r\nhost: @HOST@\r\n\r\n".to_owned(),
            4 => "POST /outer HTTP/1.1\r\nhost: @HOST@\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"
                .to_owned(),
            _ => {
                "PUT /outer HTTP/1.1\r\nhost: @HOST@\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\nab".to_owned()
            }
        };
        bytes.extend_from_slice(one.as_bytes());
    }
    bytes
}

/// One byte more, less or other.
fn with_odd_bytes(mut bytes: Vec<u8>, dice: &mut Dice) -> Vec<u8> {
    let at = dice.roll(bytes.len());
    let odd = dice.one(b"\0\x01\t\n\r \"#%,./0:;=?@\\_\x7f\x80\xff");
    match dice.roll(3) {
        0 => bytes[at] = odd,
        1 => bytes.insert(at, odd),
        _ => {
            bytes.remove(at);
        }
    }
    bytes
}
