//! Services that ask before they act: AuthZEN 1.0 at the machines listener.

use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use cardea_tests::{Gateway, Plan, Story, Upstream, process::run, python};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

const MAY_ASK: &str = r#"permit (principal == Workload::"spiffe://acme.cardea.internal/service/worklist", action,
resource == App::"cardea-decisions");
"#;

async fn house() -> anyhow::Result<(Upstream, Gateway)> {
    let upstream = Upstream::start().await?;
    let gateway = with_services(Plan::before(upstream.port)).await?;
    Ok((upstream, gateway))
}

/// One with two services that have certificates, of which one may ask.
async fn with_services(plan: Plan) -> anyhow::Result<Gateway> {
    let gateway = plan.file("tenants/acme/policies/asking.cedar", MAY_ASK).start().await?;
    gateway.on.write("root.pem", &gateway.on.does(&["cert", "root"]).await?)?;
    for service in ["worklist", "nosy"] {
        gateway
            .on
            .write("token", &gateway.on.does(&["cert", "token", "--tenant", "acme", "--service", service]).await?)?;
        let server = format!("https://acme.localhost:{}", gateway.on.machines);
        gateway
            .on
            .does(&[
                "agent",
                "--server",
                &server,
                "--bundle",
                "root.pem",
                "--token-file",
                "token",
                "--dir",
                service,
                "--once",
            ])
            .await?;
    }
    Ok(gateway)
}

/// A service's requests, each with its answer.
async fn send(gateway: &Gateway, service: &str, requests: &[Value]) -> anyhow::Result<Vec<Value>> {
    let mut command: Command = python("python");
    let folder = if service.is_empty() { String::new() } else { gateway.on.path(service).display().to_string() };
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/services/authzen.py"));
    command.args([&gateway.on.machines.to_string(), "acme.localhost"]).arg(gateway.on.path("root.pem")).arg(folder);
    let mut child = tokio::process::Command::from(command)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let lines: String = requests.iter().map(|request| format!("{request}\n")).collect();
    let mut input = child.stdin.take().context("no input")?;
    input.write_all(lines.as_bytes()).await?;
    drop(input);
    let done = child.wait_with_output().await?;
    ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout)?.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

fn post(path: &str, body: &Value) -> Value {
    json!({ "method": "POST", "path": path, "headers": { "content-type": "application/json" }, "body": body.to_string() })
}

/// The session that an assertion names, as the service reads it.
async fn session_of(assertion: &str) -> anyhow::Result<String> {
    let mut command = python("python");
    let program = "import jwt, sys; print(jwt.decode(sys.argv[1], options={'verify_signature': False})['sid'])";
    command.args(["-c", program, assertion]);
    let (status, out, err) = run(command).await?;
    ensure!(status == 0, "{err}");
    Ok(out.trim().to_owned())
}

/// What was decided on each question.
async fn decided(gateway: &Gateway, questions: &[Value]) -> anyhow::Result<Vec<(bool, String)>> {
    let asked: Vec<_> = questions.iter().map(|question| post("/access/v1/evaluation", question)).collect();
    let answers = send(gateway, "worklist", &asked).await?;
    answers.iter().map(decision).collect()
}

fn decision(answer: &Value) -> anyhow::Result<(bool, String)> {
    let text = answer["body"].as_str().unwrap_or_default();
    let body: Value = serde_json::from_str(text).with_context(|| format!("{answer}"))?;
    let decision = body["decision"].as_bool().with_context(|| format!("{answer}"))?;
    Ok((decision, body["context"]["reason"].as_str().unwrap_or_default().to_owned()))
}

fn question(gateway: &Gateway, who: &str, method: &str, path: &str) -> anyhow::Result<Value> {
    Ok(json!({
        "subject": { "type": "user", "id": who },
        "action": { "name": method },
        "resource": { "type": "route", "id": gateway.at("echo.acme", path)? },
    }))
}

#[tokio::test]
async fn a_service_asks_before_it_acts() -> Story {
    let (upstream, gateway) = house().await?;
    gateway.person("ben@acme.example", &["readers"]).await?;
    gateway.person("pia@acme.example", &[]).await?;
    gateway.person("nora@north.example", &["readers"]).await?;
    let ask = |who: &str, method: &str, path: &str| question(&gateway, who, method, path);
    let mut unknown = ask("ben@acme.example", "GET", "/studies")?;
    unknown["context"] = json!({ "assurance": 3, "session": null, "whatever": [1] });
    unknown["subject"]["properties"] = json!({ "groups": ["administrators"] });
    let mut raised = ask("ben@acme.example", "GET", "/secret")?;
    raised["context"] = json!({ "assurance": 3, "factors": ["passkey"] });
    let mut elsewhere = ask("ben@acme.example", "GET", "/studies")?;
    elsewhere["resource"]["id"] = json!(gateway.at("echo.north", "/studies")?);
    let mut service = ask("ben@acme.example", "GET", "/studies")?;
    service["subject"]["type"] = json!("service");
    let rows = [
        (ask("ben@acme.example", "GET", "/studies")?, (true, "")),
        (ask("ben@acme.example", "POST", "/studies")?, (true, "")),
        (ask("Ben@ACME.example", "GET", "/studies")?, (true, "")),
        (unknown, (true, "")),
        (raised, (false, "step-up-required")),
        (ask("pia@acme.example", "GET", "/studies")?, (false, "denied")),
        (ask("pia@acme.example", "GET", "/public/x")?, (true, "")),
        // Nobody learns who exists.
        (ask("nobody@acme.example", "GET", "/public/x")?, (false, "denied")),
        (ask("nora@north.example", "GET", "/public/x")?, (false, "denied")),
        (service, (false, "denied")),
        (elsewhere, (false, "not-found")),
        (ask("ben@acme.example", "GET", "/public/%2e%2e/secret")?, (false, "ambiguous-path")),
        (ask("ben@acme.example", "get", "/studies")?, (false, "bad-description")),
        (ask("ben@acme.example", "GET", "/.cardea/session")?, (false, "not-found")),
    ];
    // `Url` would tidy paths: as it was written.
    let questions: Vec<_> = rows
        .iter()
        .map(|(question, (_, reason))| {
            let mut question = question.clone();
            if *reason == "ambiguous-path" {
                question["resource"]["id"] =
                    json!(format!("http://echo.acme.localhost:{}/public/%2e%2e/secret", gateway.on.port));
            }
            question
        })
        .collect();
    for ((question, expected), found) in rows.iter().zip(decided(&gateway, &questions).await?) {
        assert_eq!((found.0, found.1.as_str()), *expected, "{question}");
    }
    assert_eq!(upstream.count(), 0, "nothing is forwarded");
    let log = gateway.on.log("acme").await?;
    let asked =
        log.iter().filter(|entry| entry["event"]["asked_by"] == "spiffe://acme.cardea.internal/service/worklist");
    let verdicts: Vec<_> = asked.map(|entry| entry["event"]["decision"]["verdict"].clone()).collect();
    // Each question has its entry, also where none was put to the policies.
    assert_eq!(verdicts.len(), rows.len(), "{verdicts:?}");
    assert_eq!(verdicts.iter().filter(|verdict| verdict.is_string()).count(), 7, "{verdicts:?}");
    assert!(verdicts.contains(&json!("allow")) && verdicts.contains(&json!("deny")), "{verdicts:?}");
    Ok(())
}

/// A question about somebody unknown, or about nothing, is found in the log by what its answer says.
#[tokio::test]
async fn every_question_has_its_entry() -> Story {
    let (_upstream, gateway) = house().await?;
    gateway.person("ben@acme.example", &["readers"]).await?;
    let at = |path: &str| gateway.at("echo.acme", path);
    let route = |url: &str| json!({ "type": "route", "id": url });
    let rows = [
        ("user", "nobody@acme.example", route(at("/studies")?.as_str()), "denied"),
        ("user", "no name at all", route(at("/studies")?.as_str()), "denied"),
        ("service", "ben@acme.example", route(at("/studies")?.as_str()), "denied"),
        ("user", "ben@acme.example", route("nowhere"), "not-found"),
        ("user", "ben@acme.example", json!({ "type": "record", "id": "1" }), "not-found"),
        ("user", "ben@acme.example", route("http://nobody.example/"), "not-found"),
        // What is said of an address tells nobody from somebody.
        ("user", "nobody@acme.example", route("http://nobody.example/"), "not-found"),
        ("user", "nobody@acme.example", route(at("/.cardea/session")?.as_str()), "not-found"),
    ];
    let asked: Vec<_> = rows
        .iter()
        .map(|(kind, who, resource, _)| {
            let subject = json!({ "type": kind, "id": who });
            post(
                "/access/v1/evaluation",
                &json!({ "subject": subject, "action": { "name": "GET" }, "resource": resource }),
            )
        })
        .collect();
    let answers = send(&gateway, "worklist", &asked).await?;
    let log = gateway.on.log("acme").await?;
    for ((row, answer), (_, who, _, reason)) in rows.iter().zip(&answers).zip(&rows) {
        assert_eq!(decision(answer)?, (false, (*reason).to_owned()), "{row:?}");
        let body: Value = serde_json::from_str(answer["body"].as_str().unwrap_or_default())?;
        let id = body["context"]["request_id"].as_str().with_context(|| format!("no id: {body}"))?;
        let entry = log.iter().find(|entry| entry["id"] == id).with_context(|| format!("no entry {id}"))?;
        assert_eq!(entry["event"]["reason"], *reason, "{entry}");
        assert_eq!(entry["event"]["asked_by"], "spiffe://acme.cardea.internal/service/worklist", "{entry}");
        assert!(!entry.to_string().contains("nobody@"), "who is not in the pool stands in no entry: {who} {entry}");
    }
    Ok(())
}

/// Policies that ask where somebody is judge the person's address, never the service's.
#[tokio::test]
async fn the_person_s_address_is_the_one_that_the_question_says() -> Story {
    let upstream = Upstream::start().await?;
    let policies = "permit (principal in Group::\"readers\", action, resource in App::\"echo\")\n\
                    when { context.client.isInRange(ip(\"192.0.2.0/24\")) || context.client.isLoopback() };\n";
    let plan = Plan::before(upstream.port).file("tenants/acme/policies/echo.cedar", policies);
    let gateway = with_services(plan).await?;
    gateway.person("ben@acme.example", &["readers"]).await?;
    let with = |client: Value| {
        let mut question = question(&gateway, "ben@acme.example", "GET", "/studies")?;
        question["context"] = json!({ "client": client });
        anyhow::Ok(question)
    };
    // The service itself asks from loopback.
    let questions = [
        with(json!("192.0.2.7"))?,
        with(json!("::ffff:192.0.2.7"))?,
        with(json!("203.0.113.7"))?,
        with(Value::Null)?,
        question(&gateway, "ben@acme.example", "GET", "/studies")?,
    ];
    let found: Vec<_> = decided(&gateway, &questions).await?.into_iter().map(|(decision, _)| decision).collect();
    assert_eq!(found, [true, true, false, false, false]);
    let log = gateway.on.log("acme").await?;
    let told: Vec<_> = log
        .iter()
        .filter(|entry| entry["event"]["asked_by"].is_string() && entry["event"]["path"] == "/studies")
        .map(|entry| entry["client"]["address"].clone())
        .collect();
    for (address, count) in [(json!("192.0.2.7"), 2), (json!("203.0.113.7"), 1), (Value::Null, 2)] {
        assert_eq!(told.iter().filter(|found| **found == address).count(), count, "{address}: {told:?}");
    }
    let odd = [json!("localhost"), json!("192.0.2.7, 127.0.0.1"), json!("192.0.2.0/24"), json!(7)];
    let odd: Vec<_> = odd
        .into_iter()
        .map(|client| with(client).map(|asked| post("/access/v1/evaluation", &asked)))
        .collect::<Result<_, _>>()?;
    for (asked, answer) in odd.iter().zip(send(&gateway, "worklist", &odd).await?) {
        assert_eq!(answer["status"], 400, "{asked}: {answer}");
    }
    Ok(())
}

#[tokio::test]
async fn a_session_that_is_the_subject_s_own_raises_assurance_and_no_other_does() -> Story {
    let (upstream, gateway) = house().await?;
    let (mut client, _) = gateway.person_with_codes("mira@acme.example", &["readers"]).await?;
    gateway.person("ben@acme.example", &["readers"]).await?;
    assert_eq!(client.open(&gateway.at("echo.acme", "/secret")?).await?.status, 200);
    let session = json!(session_of(upstream.last().header("cardea-assertion").context("no assertion")?).await?);
    let with = |who: &str, session: &Value| {
        let mut question = question(&gateway, who, "GET", "/secret")?;
        question["context"] = json!({ "session": session });
        anyhow::Ok(question)
    };
    let questions = [
        with("mira@acme.example", &session)?,
        with("ben@acme.example", &session)?,
        with("mira@acme.example", &json!("019ab000-0000-7000-8000-000000000000"))?,
        question(&gateway, "mira@acme.example", "GET", "/secret")?,
    ];
    let found: Vec<_> = decided(&gateway, &questions).await?.into_iter().map(|(decision, _)| decision).collect();
    assert_eq!(found, [true, false, false, false]);
    client.headers = vec![("sec-fetch-site".to_owned(), "same-origin".to_owned())];
    client.open(&gateway.at("echo.acme", "/.cardea/sign-out")?).await?;
    let after = decided(&gateway, &questions[..1]).await?;
    assert!(!after[0].0, "its session has ended");
    Ok(())
}

/// A session in which a second factor comes first opens nothing, so a service that asks about it hears no.
#[tokio::test]
async fn a_session_that_owes_a_second_factor_opens_nothing_for_a_service_either() -> Story {
    let (upstream, gateway) = house().await?;
    let mira = gateway.person("mira@acme.example", &["readers"]).await?;
    let (_, page) = mira.opens(&gateway.at("echo.acme", "/studies")?).await?;
    assert_eq!(page.status, 200, "{}", page.body);
    let session = session_of(upstream.last().header("cardea-assertion").context("no assertion")?).await?;
    let mut about = question(&gateway, "mira@acme.example", "GET", "/studies")?;
    let without = about.clone();
    about["context"] = json!({ "session": session });
    let (_, ada) = gateway.person_with_codes("ada@acme.example", &["readers"]).await?;
    let hers = question(&gateway, &ada.email, "GET", "/studies")?;
    let all = [about.clone(), without, hers];
    assert_eq!(decided(&gateway, &all).await?, [(true, String::new()), (true, String::new()), (true, String::new())]);
    let tenant = gateway.on.read("resources/tenants/acme/tenant.toml")?;
    let tenant = match tenant.split_once("[factors]\n") {
        Some((before, after)) => format!("{before}[factors]\nmust_enrol = true\n{after}"),
        None => format!("{tenant}\n[factors]\nmust_enrol = true\n"),
    };
    gateway.on.write("resources/tenants/acme/tenant.toml", &tenant)?;
    gateway.on.apply().await?;
    let held = async {
        loop {
            let found = decided(&gateway, std::slice::from_ref(&about)).await?;
            if !found[0].0 {
                return anyhow::Ok(found);
            }
        }
    };
    let found =
        tokio::time::timeout(std::time::Duration::from_secs(20), held).await.context("it is allowed still")??;
    assert_eq!(found, [(false, "second-factor-required".to_owned())]);
    // Nor without a session: her next one will be held. Whoever has two factors owes nothing.
    let held = (false, "second-factor-required".to_owned());
    assert_eq!(decided(&gateway, &all).await?, [held.clone(), held, (true, String::new())]);
    Ok(())
}

#[tokio::test]
async fn a_batch_goes_as_far_as_it_says() -> Story {
    let (_upstream, gateway) = house().await?;
    gateway.person("ben@acme.example", &["readers"]).await?;
    let route = |path: &str| anyhow::Ok(json!({ "type": "route", "id": gateway.at("echo.acme", path)? }));
    let evaluations = json!([
        { "resource": route("/studies")? }, { "resource": route("/secret")? }, { "resource": route("/public/x")? },
    ]);
    let batch = |semantic: Option<&str>| {
        let mut body = json!({
            "subject": { "type": "user", "id": "ben@acme.example" }, "action": { "name": "GET" }, "evaluations": evaluations,
        });
        if let Some(semantic) = semantic {
            body["options"] = json!({ "evaluations_semantic": semantic, "unknown": true });
        }
        post("/access/v1/evaluations", &body)
    };
    let mut lone = question(&gateway, "ben@acme.example", "GET", "/studies")?;
    lone["evaluations"] = json!([]);
    let requests = [
        batch(None),
        batch(Some("execute_all")),
        batch(Some("deny_on_first_deny")),
        batch(Some("permit_on_first_permit")),
        post("/access/v1/evaluations", &lone),
    ];
    let answers = send(&gateway, "worklist", &requests).await?;
    let expected: [&[bool]; 4] = [&[true, false, true], &[true, false, true], &[true, false], &[true]];
    for (answer, expected) in answers.iter().zip(expected) {
        let body: Value = serde_json::from_str(answer["body"].as_str().unwrap_or_default())?;
        let found = body["evaluations"].as_array().context("no list")?.iter().map(|one| one["decision"] == true);
        assert_eq!(found.collect::<Vec<_>>(), expected, "{answer}");
    }
    assert!(decision(&answers[4])?.0);
    Ok(())
}

#[tokio::test]
async fn nobody_asks_who_may_not_and_nothing_that_is_no_question() -> Story {
    let (_upstream, gateway) = house().await?;
    gateway.person("ben@acme.example", &["readers"]).await?;
    let fine = question(&gateway, "ben@acme.example", "GET", "/studies")?;
    for (service, status) in [("worklist", 200), ("nosy", 403), ("", 403)] {
        let mut asked = post("/access/v1/evaluation", &fine);
        asked["headers"]["x-request-id"] = json!("bfe9eb29-ab87");
        let answers = send(&gateway, service, &[asked]).await?;
        let found = answers[0]["status"].as_u64();
        assert!(found == Some(status) || service.is_empty() && found >= Some(400), "{service}: {answers:?}");
        assert_eq!(answers[0]["headers"]["x-request-id"], "bfe9eb29-ab87", "{answers:?}");
    }
    let raw =
        |method: &str, path: &str, body: &str| json!({ "method": method, "path": path, "headers": {}, "body": body });
    let mut without = fine.clone();
    without["subject"] = Value::Null;
    let mut half = fine.clone();
    half["action"] = json!({});
    let requests = [
        (raw("POST", "/access/v1/evaluation", ""), 400),
        (raw("POST", "/access/v1/evaluation", "{"), 400),
        (raw("POST", "/access/v1/evaluation", "[]"), 400),
        (raw("POST", "/access/v1/evaluation", &without.to_string()), 400),
        (raw("POST", "/access/v1/evaluation", &half.to_string()), 400),
        (raw("POST", "/access/v1/evaluations", "{\"evaluations\":[{}]}"), 400),
        (raw("POST", "/access/v1/evaluations", "{\"options\":{\"evaluations_semantic\":\"some\"}}"), 400),
        (raw("GET", "/access/v1/evaluation", ""), 405),
        (raw("PUT", "/access/v1/evaluations", &fine.to_string()), 405),
        (raw("POST", "/access/v1/search", &fine.to_string()), 404),
    ];
    let sent: Vec<_> = requests.iter().map(|(request, _)| request.clone()).collect();
    for ((request, status), answer) in requests.iter().zip(send(&gateway, "worklist", &sent).await?) {
        assert_eq!(answer["status"], *status, "{request}: {answer}");
    }
    // Only at the machines' door.
    let reply = gateway.on.ask("acme", "POST /access/v1/evaluation", "content-length: 0\r\n").await?;
    assert_eq!(reply.status(), 404, "{}", reply.0);
    Ok(())
}
