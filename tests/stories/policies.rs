//! What an administrator's policies can ask of the gateway: a mistake is told, and whatever it is, the others are served.

use cardea_tests::{Client, Gateway, Plan, Story, Upstream};
use http::Method;
use serde_json::{Value, json};

async fn house() -> anyhow::Result<(Upstream, Gateway, Client)> {
    let upstream = Upstream::start().await?;
    let gateway = Plan::before(upstream.port).start().await?;
    let (mut admin, _) = gateway.person_with_codes("ada@acme.example", &["administrators"]).await?;
    admin.program = true;
    Ok((upstream, gateway, admin))
}

fn set(text: &str) -> Value {
    json!({ "policies": [{ "name": "one", "text": text }], "tests": [] })
}

/// Each of these overflowed the stack of the parser, which ended the process and with it everybody's gateway.
#[tokio::test]
async fn a_policy_that_is_too_deep_is_a_mistake_and_nobody_s_end() -> Story {
    let (_upstream, gateway, mut admin) = house().await?;
    let check = gateway.at("acme", "/api/v1/policies/check")?;
    let around = |open: &str, close: &str| format!("{}true{}", open.repeat(200), close.repeat(200));
    for condition in [
        around("(", ")"),
        around("[", "]"),
        around("{a: ", "}"),
        around("!(", ")"),
        around("if ", " then true else true"),
        around("if true then true else ", ""),
        around("(/*", ""),
        format!("true{}", " && context.assurance > 1".repeat(20_000)),
    ] {
        let text = format!("permit (principal, action, resource)\nwhen {{ {condition} }};");
        let reply = admin.json(Method::POST, &check, &set(&text)).await?;
        let found = reply.json()?["diagnostics"].clone();
        let start = text.get(..70).unwrap_or_default();
        assert_eq!((reply.status.as_u16(), found.as_array().map(Vec::len)), (200, Some(1)), "{start}: {}", reply.body);
        assert!(found[0]["line"] == 2 && found[0]["help"].is_string(), "{start}: {found}");
    }
    let text = format!("permit (principal, action, resource) when {{ {} }};", around("(", ")"));
    let mut new = set(&text);
    new["base_version"] = 1.into();
    let refused = admin.json(Method::POST, &gateway.at("acme", "/api/v1/policies/activate")?, &new).await?;
    assert_eq!(
        (refused.status.as_u16(), &refused.json()?["reason"]),
        (422, &"policy-invalid".into()),
        "{}",
        refused.body
    );
    Ok(())
}

#[tokio::test]
async fn whoever_asks_for_much_reading_at_once_is_told_to_wait() -> Story {
    let (_upstream, gateway, admin) = house().await?;
    let check = gateway.at("acme", "/api/v1/policies/check")?;
    let large = set(&"permit (principal, action, resource) when { context.assurance > 1 };\n".repeat(6_000));
    let ask = async || {
        let mut client = admin.clone();
        client.json(Method::POST, &check, &large).await
    };
    let replies = tokio::try_join!(ask(), ask(), ask(), ask())?;
    for reply in [&replies.0, &replies.1, &replies.2, &replies.3] {
        match reply.status.as_u16() {
            // A fast machine may serve all in the time that one waits.
            200 => assert_eq!(reply.json()?["diagnostics"], json!([])),
            status => {
                assert_eq!((status, &reply.json()?["reason"]), (503, &"overloaded".into()), "{}", reply.body);
                assert_eq!(reply.header("retry-after"), Some("5"));
            }
        }
    }
    assert!([&replies.0, &replies.1, &replies.2, &replies.3].iter().any(|reply| reply.status == 200));
    Ok(())
}
