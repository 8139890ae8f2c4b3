//! What a provider says by itself, and what is refused of it (`crate::signals`).

use super::*;
use crate::signals::{self, About, Effect, Keys, Logout, SecurityEvent, Transmitter};

const LOGOUT: &str = "http://schemas.openid.net/event/backchannel-logout";

fn logout_claims() -> Value {
    let at = now().as_secs();
    json!({
        "iss": ISSUER, "aud": "cardea", "sub": "u-1", "sid": "s-1", "iat": at, "exp": at + 120, "jti": "j-1",
        "events": { LOGOUT: {} },
    })
}

/// With these claims instead; what is `null` is left out.
fn but(mut claims: Value, changes: &Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

fn logout(header: &Value, claims: &Value) -> Result<Logout, signals::Refused> {
    signals::logout(&signed(header, claims), &provider(), now())
}

#[test]
fn a_logout_token_names_whose_sessions_are_over() {
    for header in [
        json!({ "alg": "ES256", "kid": "es", "typ": "logout+jwt" }),
        json!({ "alg": "EdDSA", "kid": "ed", "typ": "application/logout+jwt" }),
        json!({ "alg": "RS256", "kid": "rsa", "typ": "JWT" }),
        json!({ "alg": "PS256", "kid": "rsa" }),
        json!({ "alg": "ES256" }),
    ] {
        let said = logout(&header, &logout_claims()).unwrap_or_else(|error| panic!("{header}: {error}"));
        assert_eq!((said.subject.as_deref(), said.sid.as_deref()), (Some("u-1"), Some("s-1")));
    }
    let es = json!({ "alg": "ES256", "kid": "es", "typ": "logout+jwt" });
    for fine in [
        json!({ "sid": null }),
        json!({ "sub": null }),
        json!({ "aud": ["other", "cardea"] }),
        json!({ "iat": now().as_secs() - 600 }),
        json!({ "iat": now().as_secs() + 60, "exp": now().as_secs() + 180 }),
    ] {
        assert!(logout(&es, &but(logout_claims(), &fine)).is_ok(), "{fine} was refused");
    }
    // Two tokens are two, and one is the same wherever it comes in.
    let once = |jti: &str| logout(&es, &but(logout_claims(), &json!({ "jti": jti }))).unwrap().once;
    assert_eq!(once("a"), once("a"));
    assert_ne!(once("a"), once("b"));
}

#[test]
fn a_logout_token_that_somebody_else_could_have_made_ends_nothing() {
    let sound = logout_claims();
    for header in [
        json!({ "alg": "none", "typ": "logout+jwt" }),
        json!({ "alg": "HS256", "kid": "rsa", "typ": "logout+jwt" }),
        json!({ "alg": "HS256", "typ": "logout+jwt" }),
        json!({ "alg": "ES256", "kid": "es", "by": "stranger" }),
        json!({ "alg": "ES256", "kid": "stranger" }),
        json!({ "alg": "RS256", "kid": "es" }),
        json!({ "alg": "RS512", "kid": "rsa" }),
        json!({ "alg": "ES256", "kid": "es", "typ": "secevent+jwt" }),
        json!({ "alg": "ES256", "kid": "es", "typ": "at+jwt" }),
        json!({ "alg": "ES256", "kid": "es", "crit": ["b64"] }),
        json!({ "alg": "ES256", "kid": "es", "jwk": jwks()["keys"][0] }),
        json!({ "alg": "ES256", "kid": "es", "jku": "https://evil.example" }),
    ] {
        assert!(logout(&header, &sound).is_err(), "{header} was believed");
    }
    let stranger = json!({ "alg": "ES256", "kid": "stranger" });
    assert_eq!(logout(&stranger, &sound), Err(signals::Refused::UnknownKey), "keys would not be fetched anew");
    let forged = json!({ "alg": "ES256", "kid": "es", "by": "stranger" });
    assert_eq!(logout(&forged, &sound), Err(signals::Refused::Signature));
    for bad in ["", ".", "..", "a.b", "a.b.c.d.e", &"x".repeat(20_000)] {
        assert!(signals::logout(bad, &provider(), now()).is_err(), "{bad}");
    }
}

#[test]
fn a_logout_token_of_another_time_place_or_purpose_ends_nothing() {
    let (es, at) = (json!({ "alg": "ES256", "kid": "es", "typ": "logout+jwt" }), now().as_secs());
    for bad in [
        json!({ "iss": "https://evil.example" }),
        json!({ "iss": format!("{ISSUER}/") }),
        json!({ "iss": null }),
        json!({ "aud": "another" }),
        json!({ "aud": [] }),
        json!({ "aud": null }),
        json!({ "iat": at - 601 }),
        json!({ "iat": at + 61, "exp": at + 180 }),
        json!({ "iat": null }),
        json!({ "iat": -1 }),
        json!({ "iat": i64::MAX }),
        json!({ "exp": at - 60 }),
        json!({ "exp": null }),
        json!({ "jti": null }),
        json!({ "jti": "" }),
        json!({ "events": null }),
        json!({ "events": {} }),
        json!({ "events": { LOGOUT: "yes" } }),
        json!({ "events": { "https://schemas.openid.net/secevent/caep/event-type/session-revoked": {} } }),
        json!({ "nonce": "n" }),
        json!({ "sub": null, "sid": null }),
        json!({ "sub": "" }),
        json!({ "sub": "u\n1" }),
    ] {
        assert!(logout(&es, &but(logout_claims(), &bad)).is_err(), "{bad} was believed");
    }
    // I7: not even a nonce that says nothing.
    let mut claims = logout_claims();
    claims["nonce"] = Value::Null;
    assert!(logout(&es, &claims).is_err(), "a null nonce was overlooked");
    // An ID token says nothing of an end.
    assert!(logout(&json!({ "alg": "ES256", "kid": "es" }), &super::claims()).is_err());
}

const REVOKED: &str = "https://schemas.openid.net/secevent/caep/event-type/session-revoked";

fn event(header: &Value, claims: &Value) -> Result<SecurityEvent, signals::Refused> {
    let provider = &provider();
    let from = Transmitter { provider, issuer: "https://ssf.example", audience: "us", keys: &Keys::of(provider) };
    signals::security_event(&signed(header, claims), &from, now())
}

fn event_claims() -> Value {
    json!({
        "iss": "https://ssf.example", "aud": "us", "iat": now().as_secs(), "jti": "j-1", "events": { REVOKED: {} },
        "sub_id": { "format": "opaque", "id": "u-1" },
    })
}

#[test]
fn a_security_event_is_believed_of_its_transmitter_for_a_day() {
    let (set, at) = (json!({ "alg": "ES256", "kid": "es", "typ": "secevent+jwt" }), now().as_secs());
    for (changes, why) in [
        (json!({}), None),
        (json!({ "iat": at - 24 * 3600 }), None),
        (json!({ "aud": ["us", "them"] }), None),
        (json!({ "exp": at + 60 }), None),
        (json!({ "iss": ISSUER }), Some(signals::Refused::Issuer)),
        (json!({ "aud": "cardea" }), Some(signals::Refused::Audience)),
        (json!({ "iat": at - 24 * 3600 - 1 }), Some(signals::Refused::Malformed("its time is over"))),
        (json!({ "exp": at - 60 }), Some(signals::Refused::Malformed("its time is over"))),
        (json!({ "iat": at + 61 }), Some(signals::Refused::Malformed("its time has not come"))),
        (json!({ "events": {} }), Some(signals::Refused::Malformed("it says nothing"))),
        (json!({ "jti": "" }), Some(signals::Refused::Malformed("it has no name to be known by"))),
    ] {
        assert_eq!(event(&set, &but(event_claims(), &changes)).err(), why, "{changes}");
    }
    for typ in ["JWT", "logout+jwt", "at+jwt", ""] {
        let header = json!({ "alg": "ES256", "kid": "es", "typ": typ });
        assert!(event(&header, &event_claims()).is_err(), "a token of kind `{typ}` passes for an event");
    }
}

#[test]
fn a_security_event_is_about_whom_it_names_and_no_more() {
    let set = json!({ "alg": "ES256", "kid": "es", "typ": "secevent+jwt" });
    let account = || About::Account("u-1".to_owned());
    let address = About::Address(Email::parse("ada@corp.example").unwrap());
    let session = json!({ "format": "opaque", "id": "s-1" });
    for (subject, about, sid) in [
        (json!({ "format": "iss_sub", "iss": ISSUER, "sub": "u-1" }), account(), None),
        (json!({ "format": "iss_sub", "iss": "https://ssf.example", "sub": "u-1" }), About::Nobody, None),
        (json!({ "format": "opaque", "id": "u-1" }), account(), None),
        (json!({ "format": "opaque", "id": "u\n1" }), About::Nobody, None),
        (json!({ "format": "email", "email": "ada@corp.example" }), address, None),
        (json!({ "format": "email", "email": "ada@other.example" }), About::Nobody, None),
        (json!({ "format": "did", "url": "did:example:1" }), About::Nobody, None),
        (json!({ "format": "complex", "user": { "format": "opaque", "id": "u-1" } }), account(), None),
        (
            json!({ "format": "complex", "user": { "format": "opaque", "id": "u-1" }, "session": session }),
            account(),
            Some("s-1"),
        ),
        (json!({ "format": "complex", "session": session }), About::Nobody, Some("s-1")),
        (Value::Null, About::Nobody, None),
        (json!("u-1"), About::Nobody, None),
    ] {
        let said = event(&set, &but(event_claims(), &json!({ "sub_id": subject }))).unwrap();
        assert_eq!((&said.about, said.sid.as_deref()), (&about, sid), "{subject}");
    }
}

#[test]
fn what_follows_from_an_event_is_known_of_each() {
    let set = json!({ "alg": "ES256", "kid": "es", "typ": "secevent+jwt" });
    let (caep, risc) = ("secevent/caep/event-type/", "secevent/risc/event-type/");
    for (family, name, facts, effect) in [
        (caep, "session-revoked", json!({}), Effect::Ends),
        (caep, "device-compliance-change", json!({}), Effect::Ends),
        (caep, "device-compliance-change", json!({ "current_status": "compliant" }), Effect::Nothing),
        (caep, "assurance-level-change", json!({}), Effect::Ends),
        (caep, "account-disabled", json!({}), Effect::Nothing),
        (risc, "account-disabled", json!({}), Effect::Disables),
        (risc, "account-purged", json!({}), Effect::Disables),
        (risc, "account-enabled", json!({}), Effect::Enables),
        (risc, "sessions-revoked", json!({}), Effect::Ends),
        (risc, "identifier-changed", json!({}), Effect::Nothing),
    ] {
        let name = format!("https://schemas.openid.net/{family}{name}");
        let claims = but(event_claims(), &json!({ "events": { (name.clone()): facts } }));
        assert_eq!(event(&set, &claims).unwrap().said[0].effect, effect, "{name} {facts}");
    }
}
