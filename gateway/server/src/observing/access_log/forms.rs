//! How a line looks: JSON, or as web servers have written it since the first (NCSA common and combined). Whatever a client
//! chose is escaped, so that one request is one line and no field ends early.

use std::fmt::Write as _;

use cardea_proxy::observe::Line;
use http::Version;
use serde::Serialize;

use crate::config::AccessLogForm;

/// Adds a line, its end included.
pub(super) fn write(out: &mut String, form: AccessLogForm, line: &Line) {
    match form {
        AccessLogForm::Json => json(out, line),
        AccessLogForm::Common => common(out, line),
        AccessLogForm::Combined => {
            common(out, line);
            let agent = line.client.as_ref().and_then(|client| client.agent.as_deref());
            for field in [line.referrer.as_deref(), agent] {
                out.push_str(" \"");
                escaped(out, field.unwrap_or("-"));
                out.push('"');
            }
        }
    }
    out.push('\n');
}

#[derive(Serialize)]
struct Json<'a> {
    time: String,
    request_id: String,
    client: Option<String>,
    caller: Option<&'a str>,
    tenant: Option<&'a str>,
    app: Option<&'a str>,
    method: &'a str,
    host: &'a str,
    path: &'a str,
    protocol: &'static str,
    status: u16,
    reason: Option<&'static str>,
    bytes: Option<u64>,
    micros: u64,
    referrer: Option<&'a str>,
    agent: Option<&'a str>,
}

fn json(out: &mut String, line: &Line) {
    let client = line.client.as_ref();
    let shown = Json {
        time: line.at.to_string(),
        request_id: line.entry.to_string(),
        client: client.map(|client| client.address.to_string()),
        caller: line.caller.as_deref(),
        tenant: line.tenant.as_ref().map(cardea_core::TenantId::as_str),
        app: line.app.as_ref().map(cardea_core::AppId::as_str),
        method: &line.method,
        host: &line.host,
        path: &line.path,
        protocol: protocol(line.version),
        status: line.status,
        reason: line.reason.map(cardea_core::Reason::code),
        bytes: line.bytes,
        micros: line.micros,
        referrer: line.referrer.as_deref(),
        agent: client.and_then(|client| client.agent.as_deref()),
    };
    if let Ok(text) = serde_json::to_string(&shown) {
        out.push_str(&text);
    }
}

/// `client - caller [time] "request line" status bytes`. Of the caller the id: the address of a person is in the entry only.
fn common(out: &mut String, line: &Line) {
    let or = |out: &mut String, field: Option<&str>| escaped(out, field.unwrap_or("-"));
    // Writing to a string cannot fail, here and below.
    let _ = match &line.client {
        Some(client) => write!(out, "{}", client.address),
        None => write!(out, "-"),
    };
    out.push_str(" - ");
    or(out, line.caller.as_deref());
    out.push_str(" [");
    let _ = match jiff::Timestamp::from_microsecond(line.at.as_micros()) {
        Ok(at) => write!(out, "{}", at.strftime("%d/%b/%Y:%H:%M:%S +0000")),
        Err(_) => write!(out, "-"),
    };
    out.push_str("] \"");
    escaped(out, &line.method);
    out.push(' ');
    or(out, Some(&*line.path).filter(|path| !path.is_empty()));
    let _ = write!(out, " {}\" {} ", protocol(line.version), line.status);
    let _ = match line.bytes {
        Some(bytes) => write!(out, "{bytes}"),
        None => write!(out, "-"),
    };
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        Version::HTTP_3 => "HTTP/3.0",
        _ => "HTTP/1.1",
    }
}

/// Spaces in a path would end it, quotes and control characters more than that.
fn escaped(out: &mut String, text: &str) {
    for one in text.chars() {
        match one {
            '"' | '\\' => out.extend(['\\', one]),
            one if one.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(one));
            }
            one => out.push(one),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use cardea_audit::Client;
    use cardea_core::{EntryId, Timestamp, entropy::Fixed};

    use super::*;

    fn line(path: &str, agent: &str) -> Line {
        let at = Timestamp::from_secs(1_800_000_000);
        Line {
            entry: EntryId::mint(at, &Fixed::new(1)),
            at,
            micros: 120,
            client: Some(Client::new("203.0.113.9".parse().unwrap(), Some(agent))),
            caller: None,
            tenant: Some("acme".parse().unwrap()),
            app: Some("records".parse().unwrap()),
            method: "GET".into(),
            host: "records.acme.example".into(),
            path: path.into(),
            version: Version::HTTP_2,
            status: 200,
            reason: None,
            bytes: Some(17),
            referrer: Some(Arc::from("https://acme.example/")),
        }
    }

    fn told(form: AccessLogForm, line: &Line) -> String {
        let mut out = String::new();
        write(&mut out, form, line);
        out
    }

    #[test]
    fn each_form_tells_a_request_in_one_line() {
        let line = line("/studies/S-1", "curl/8");
        let common = "203.0.113.9 - - [15/Jan/2027:08:00:00 +0000] \"GET /studies/S-1 HTTP/2.0\" 200 17";
        assert_eq!(told(AccessLogForm::Common, &line), format!("{common}\n"));
        let combined = format!("{common} \"https://acme.example/\" \"curl/8\"\n");
        assert_eq!(told(AccessLogForm::Combined, &line), combined);
        let json: serde_json::Value = serde_json::from_str(&told(AccessLogForm::Json, &line)).unwrap();
        assert_eq!((&json["app"], &json["status"], &json["bytes"]), (&"records".into(), &200.into(), &17.into()));
        assert_eq!(json["request_id"], line.entry.to_string());
    }

    #[test]
    fn no_client_ends_a_line_or_a_field() {
        let evil = line("/a\" 200 1\n203.0.113.1 - - \"", "x\"\r\ny\u{7f}");
        for form in [AccessLogForm::Common, AccessLogForm::Combined, AccessLogForm::Json] {
            let told = told(form, &evil);
            assert_eq!(told.chars().filter(|one| one.is_control()).collect::<String>(), "\n", "{told}");
        }
        let told = told(AccessLogForm::Combined, &evil);
        let bare = told.replace("\\\\", "").replace("\\\"", "");
        assert_eq!(bare.matches('"').count(), 6, "{told}");
    }
}
