//! Answers that make use of what HTTP/1.1 can do.

use super::Heard;
use crate::raw;

/// What the service says to a request that asks for an answer of this kind.
pub(super) fn answer(what: &str, heard: &Heard) -> String {
    match what {
        "hello" if heard.line().starts_with("HEAD ") => with_length("", "hello").trim_end_matches("hello").to_owned(),
        "hello" => with_length("", "hello"),
        // RFC 8297: the answer itself follows in its own time.
        "hints" => format!("HTTP/1.1 103 Early Hints\r\nlink: </style.css>\r\n\r\n{}", with_length("", "hello")),
        "refuse" => with_length("", "no").replacen("200 OK", "400 Bad Request", 1),
        "redirect" => with_length("location: /followed\r\n", "").replacen("200 OK", "302 Found", 1),
        "fail" => with_length("", "no").replacen("200 OK", "500 Internal Server Error", 1),
        "part" => part(heard),
        "echo" => echo(heard),
        _ => with_length("", "ok\n"),
    }
}

fn with_length(headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}")
}

/// Ten digits, or those of them that a range asks for.
fn part(heard: &Heard) -> String {
    const WHOLE: &str = "0123456789";
    let asked = heard.header("range").and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
    let ends = asked.and_then(|(from, to)| Some((from.parse::<usize>().ok()?, to.parse::<usize>().ok()?)));
    let Some((from, to)) = ends else { return with_length("accept-ranges: bytes\r\n", WHOLE) };
    let Some(part) = WHOLE.get(from..=to) else { return with_length("", WHOLE) };
    let headers = format!("content-range: bytes {from}-{to}/{}\r\n", WHOLE.len());
    with_length(&headers, part).replacen("200 OK", "206 Partial Content", 1)
}

/// The body as it came; one in chunks comes back in chunks, with the trailers that it had.
fn echo(heard: &Heard) -> String {
    if heard.header("transfer-encoding").is_none() {
        return with_length("", &heard.rest);
    }
    let Some((body, trailers)) = raw::dechunked(&heard.rest) else { return with_length("", "not whole") };
    let names: Vec<_> = trailers.iter().filter_map(|line| line.split(':').next()).collect();
    let announced = if names.is_empty() { String::new() } else { format!("trailer: {}\r\n", names.join(", ")) };
    let trailers: String = trailers.iter().map(|line| format!("{line}\r\n")).collect();
    format!(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n{announced}connection: close\r\n\r\n\
         {:x}\r\n{body}\r\n0\r\n{trailers}\r\n",
        body.len()
    )
}
