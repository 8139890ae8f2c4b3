//! Holds answers against each other and against the log.

use std::collections::{BTreeMap, HashMap};

use cardea_tests::echo::View;
use serde_json::Value;

use super::Answer;

/// What names one of the services: its app's host, and the reader's session there.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) host: String,
    pub(super) cookie: String,
}

/// What must be the same at all services: everything but what names the service or the single request.
fn meaning(view: &View, place: &Place) -> (View, BTreeMap<String, String>) {
    let mut fields = view.by_name();
    for name in ["x-request-id", "cardea-assertion", "traceparent"] {
        fields.remove(name);
    }
    // nginx and gunicorn are deaf to names beyond letters, digits and hyphens: they may miss one, and hear no other.
    fields.retain(|name, _| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'));
    // CGI and WSGI tell of an empty one as of none.
    fields.retain(|name, value| name != "content-type" || !value.is_empty());
    for value in fields.values_mut() {
        *value = value.replace(&place.host, "@NAME@");
        if !place.cookie.is_empty() {
            *value = value.replace(&place.cookie, "@COOKIE@");
        }
    }
    (View { fields: Vec::new(), trailers: None, ..view.clone() }, fields)
}

/// Whether a name, as whoever folds names knows it, says who calls or from where: no value from outside may stand there.
fn is_ours(name: &str) -> bool {
    const NAMES: [&str; 8] = [
        "remote-user",
        "x-groups",
        "forwarded",
        "x-real-ip",
        "x-request-id",
        "x-original-url",
        "x-rewrite-url",
        "true-client-ip",
    ];
    name.starts_with("cardea-") || name.starts_with("x-forwarded-") || NAMES.contains(&name)
}

/// What came of all cases.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) refused: usize,
    pub(super) forwarded: usize,
    pub(super) unfinished: usize,
    pub(super) compared: usize,
    /// Readings that name the reader.
    pub(super) signed_in: usize,
    pub(super) by_case: BTreeMap<&'static str, (usize, usize)>,
    pub(super) wrong: Vec<String>,
}

impl Tally {
    /// Holds the answers of all services to one case against each other.
    pub(super) fn judge(&mut self, about: &'static str, sent: &str, all: &[Option<Vec<Answer>>], places: &[Place]) {
        let whole: Option<Vec<&Vec<Answer>>> = all.iter().map(Option::as_ref).collect();
        let Some(whole) = whole else {
            self.unfinished += 1;
            return;
        };
        let outcome = |answers: &[Answer]| answers.iter().map(|a| (a.status, a.reason.clone())).collect::<Vec<_>>();
        let first = outcome(whole[0]);
        let mut wrong = Vec::new();
        if let Some(other) = whole.iter().position(|answers| outcome(answers) != first) {
            wrong.push(format!("{} {:?}, {} {:?}", places[0].host, first, places[other].host, outcome(whole[other])));
        }
        if whole[0].is_empty() {
            wrong.push("no answer".to_owned());
        }
        for (nth, (status, reason)) in first.iter().enumerate() {
            let refused = [400, 404, 405, 414, 417, 421, 431].contains(status) && reason.is_some();
            if *status != 200 && !refused {
                wrong.push(format!("answer {nth} is {status} {reason:?}"));
            }
            if reason.as_deref() == Some("ambiguous-framing") && nth + 1 != first.len() {
                wrong.push("it was listened to after framing with two readings".to_owned());
            }
        }
        if wrong.is_empty() {
            self.compare(&whole, places, &mut wrong);
        }
        let counts = self.by_case.entry(about).or_default();
        if first.first().is_some_and(|(status, _)| *status == 200) {
            self.forwarded += 1;
            counts.1 += 1;
        } else {
            self.refused += 1;
            counts.0 += 1;
        }
        self.wrong.extend(wrong.into_iter().map(|what| format!("{about} {sent}: {what}")));
    }

    fn compare(&mut self, whole: &[&Vec<Answer>], places: &[Place], wrong: &mut Vec<String>) {
        for nth in 0..whole[0].len() {
            let views: Vec<_> = whole.iter().filter_map(|answers| answers[nth].view.as_ref()).collect();
            let Some(first) = views.first().map(|view| meaning(view, &places[0])) else { continue };
            for (view, place) in views.iter().zip(places) {
                self.compared += 1;
                let this = meaning(view, place);
                self.signed_in +=
                    usize::from(this.1.get("remote-user").is_some_and(|user| user == "mira@acme.example"));
                if this != first {
                    wrong.push(format!("{} read {first:?}\n  {} read {this:?}", places[0].host, place.host));
                }
            }
            let trailers: Vec<_> = views.iter().filter_map(|view| view.trailers.as_ref()).collect();
            if trailers.iter().any(|told| told != &trailers[0]) {
                wrong.push(format!("trailers: {trailers:?}"));
            }
            let names = |view: &View| {
                let trailers = view.trailers.iter().flatten().cloned().collect();
                let trailers = View { fields: trailers, ..View::default() }.by_name();
                view.by_name().into_iter().chain(trailers).collect::<Vec<_>>()
            };
            for (name, value) in views.iter().flat_map(|view| names(view)) {
                let folded: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
                if is_ours(&folded) && value.contains("f0rged") || name == "cookie" && value.contains("cardea=") {
                    wrong.push(format!("{name}: {value} came through"));
                }
            }
        }
    }
}

/// What a service read is what its entry says was decided on.
pub(super) fn check_entries(
    tally: &mut Tally,
    answered: &[Option<Vec<Answer>>],
    places: &[Place],
    entries: &HashMap<&str, &Value>,
) {
    for (nth, answers) in answered.iter().enumerate() {
        let host = &places[nth % places.len()].host;
        for Answer { status, reason, id, view } in answers.iter().flatten() {
            // A stream that HTTP/2 itself refuses was no request yet. All others have an entry, but what is refused
            // before it is known whose it is has that in no tenant's log.
            if id.is_empty() && reason.as_deref() != Some("reset") {
                tally.wrong.push(format!("{host}: an answer {status} {reason:?} that names no entry"));
            }
            let Some(view) = view else { continue };
            let Some(entry) = entries.get(id.as_str()) else {
                tally.wrong.push(format!("{host}: an answer {status} without an entry: `{id}`"));
                continue;
            };
            let told = view.by_name().get("x-request-id").cloned().unwrap_or_default();
            let agree = entry["method"] == view.method.as_str()
                && entry["host"] == host.as_str()
                && entry["path"] == view.path.as_str()
                && told == *id;
            if !agree {
                tally.wrong.push(format!("{host} read {} {} for {told}, decided was {entry}", view.method, view.path));
            }
        }
    }
}
