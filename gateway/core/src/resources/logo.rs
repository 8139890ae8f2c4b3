//! A tenant's logo: a small picture, written into the tenant's own file, so that it goes wherever the file goes.

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// The largest, in bytes. 64 KiB: it stands two rem high on a page, and every visitor loads it once.
const LARGEST: usize = 64 << 10;

/// A picture that browsers show and that can run nothing: PNG, JPEG or WebP. An SVG is a document with scripts, and stays out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logo {
    /// Its media type.
    pub mime: &'static str,
    /// The ending of its name.
    pub ending: &'static str,
    /// The picture.
    pub bytes: Vec<u8>,
}

impl Logo {
    /// Reads a `data:` address (RFC 2397) in base64; line breaks within do not matter. The error says what is amiss.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (kind, code) = text
            .trim()
            .strip_prefix("data:")
            .and_then(|rest| rest.split_once(";base64,"))
            .ok_or("it is no `data:` address in base64")?;
        let code: String = code.split_ascii_whitespace().collect();
        // Four characters for three bytes: what is far too long is not decoded.
        if code.len() / 4 * 3 > LARGEST + 3 {
            return Err(format!("it has more than {LARGEST} bytes"));
        }
        let bytes = STANDARD.decode(code).map_err(|_| "its base64 does not read".to_owned())?;
        if bytes.len() > LARGEST {
            return Err(format!("it has more than {LARGEST} bytes"));
        }
        let (mime, ending) = sniffed(&bytes).ok_or("it is neither PNG nor JPEG nor WebP")?;
        // INVARIANT: it is served as what it is, never as what somebody says it is.
        if kind != mime {
            return Err(format!("it says that it is `{kind}`, and is `{mime}`"));
        }
        Ok(Self { mime, ending, bytes })
    }
}

/// What it is, by its first bytes (WHATWG MIME Sniffing section 6.1).
fn sniffed(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    match bytes {
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(("image/png", "png")),
        [0xff, 0xd8, 0xff, ..] => Some(("image/jpeg", "jpg")),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', b'V', b'P', ..] => Some(("image/webp", "webp")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(kind: &str, bytes: &[u8]) -> String {
        format!("data:{kind};base64,{}", STANDARD.encode(bytes))
    }

    #[test]
    fn a_picture_is_what_its_first_bytes_say() {
        let png = b"\x89PNG\r\n\x1a\nrest".as_slice();
        for (kind, bytes) in [
            ("image/png", png),
            ("image/jpeg", b"\xff\xd8\xff\xe0rest".as_slice()),
            ("image/webp", b"RIFF\x01\x02\x03\x04WEBPVP8 rest".as_slice()),
        ] {
            assert_eq!(
                Logo::parse(&written(kind, bytes)).map(|logo| (logo.mime, logo.bytes)),
                Ok((kind, bytes.to_vec()))
            );
        }
        let (head, code) = (written("image/png", b""), STANDARD.encode(png));
        let broken = format!("\n{head}\n{}\n  {}\n", &code[..6], &code[6..]);
        assert_eq!(Logo::parse(&broken).map(|logo| logo.bytes), Ok(png.to_vec()));
    }

    #[test]
    fn what_could_run_or_is_too_large_is_refused() {
        let png = b"\x89PNG\r\n\x1a\n".as_slice();
        let mut large = png.to_vec();
        large.resize(LARGEST + 1, 0);
        for (text, amiss) in [
            ("logo.png".to_owned(), "no `data:` address"),
            ("https://elsewhere.example/logo.png".to_owned(), "no `data:` address"),
            ("data:image/png,abc".to_owned(), "no `data:` address"),
            ("data:image/png;base64,%%%".to_owned(), "does not read"),
            (written("image/svg+xml", b"<svg xmlns='http://www.w3.org/2000/svg'/>"), "neither PNG nor JPEG nor WebP"),
            (written("image/png", b"<script>"), "neither PNG nor JPEG nor WebP"),
            (written("text/html", png), "says that it is `text/html`"),
            (written("image/png", &large), "more than 65536 bytes"),
            (written("image/png", &large.repeat(40)), "more than 65536 bytes"),
        ] {
            let found = Logo::parse(&text);
            assert!(found.as_ref().is_err_and(|found| found.contains(amiss)), "{amiss}: {found:?}");
        }
    }
}
