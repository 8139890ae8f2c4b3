//! What to try once the demonstration runs, for people to read and for scripts to walk.

use serde::Serialize;

use super::Places;

/// One request and what must come of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Attempt {
    /// The HTTP method.
    pub method: String,
    /// The whole address.
    pub url: String,
    /// Who asks, signed in with all that the person has; nobody where absent.
    #[serde(rename = "as")]
    pub by: Option<String>,
    /// The status that must come back.
    pub expect: u16,
    /// Why it does, for a person.
    pub why: String,
}

/// Allowed, denied and challenged, at both tenants.
pub fn attempts(places: &Places) -> Vec<Attempt> {
    let at = |host: &str, path: &str| format!("http://{host}:{}{path}", places.port);
    let acme = |path: &str| at("records.acme.localhost", path);
    let north = |path: &str| at("records.north.localhost", path);
    let one = |method: &str, url: String, by: Option<&str>, expect: u16, why: &str| Attempt {
        method: method.to_owned(),
        url,
        by: by.map(str::to_owned),
        expect,
        why: why.to_owned(),
    };
    let (ada, rui, nils) = (Some("ada@acme.example"), Some("rui@acme.example"), Some("nils@north.example"));
    let (record, approve) = ("/studies/S-12/records/R-1", "/studies/S-12/records/R-2/approve");
    vec![
        one("GET", acme("/about"), None, 200, "a public page: a policy lets visitors read it"),
        one("GET", acme("/studies"), None, 401, "nobody is signed in; a browser is sent to the sign-in page"),
        one("GET", acme(record), rui, 200, "chemists read and write records"),
        one("POST", acme(approve), rui, 303, "reviewers approve, if signed in with two factors"),
        one(
            "GET",
            acme("/studies/S-7/records/R-1"),
            rui,
            200,
            "the blinded study: one factor is not enough to open it",
        ),
        one("POST", acme(approve), ada, 403, "administrators read, but approving is for reviewers"),
        one("GET", at("acme.localhost", "/admin/"), ada, 200, "administrators open the console with two factors"),
        one("GET", at("acme.localhost", "/admin/"), rui, 403, "the console is for administrators"),
        one("GET", north(record), nils, 200, "readers read; Nils comes by the stand-in OpenID provider"),
        one("POST", north("/studies/S-12/records"), nils, 403, "readers do not write"),
    ]
}
