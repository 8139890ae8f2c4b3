//! What an operator sees of the gateway from outside: metrics with the dashboard and the alerts that are made of them, an
//! access log, and traces at a collector that is not ours.

use std::{collections::BTreeSet, path::Path, process::Command};

use anyhow::Context;
use cardea_tests::{Client, Gateway, Plan, Process, Story, Upstream, python};
use http::Method;
use serde_json::Value;

async fn house(config: &str) -> anyhow::Result<(Upstream, Gateway)> {
    let upstream = Upstream::start().await?;
    let gateway = Plan::before(upstream.port).config(config).start().await?;
    Ok((upstream, gateway))
}

async fn visits(gateway: &Gateway) -> anyhow::Result<()> {
    let mut visitor = Client::program();
    for (path, expected) in [("/public/x", 200), ("/private", 401), ("/public/does/hang-up", 502)] {
        let reply = visitor.get(&gateway.at("echo.acme", path)?).await?;
        assert_eq!(reply.status, expected, "{path}: {}", reply.body);
    }
    let body = ("text/plain", "twelve bytes".to_owned());
    visitor.send(Method::POST, &gateway.at("echo.acme", "/public/up")?, Some(body)).await?;
    let sign_in = visitor.get(&gateway.at("acme", "/sign-in")?).await?;
    assert!(sign_in.status.as_u16() < 500);
    Ok(())
}

/// The value of a series.
fn series(text: &str, name: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

#[tokio::test]
async fn what_happens_is_counted_by_tenant_app_and_reason() -> Story {
    let (_upstream, gateway) = house("").await?;
    visits(&gateway).await?;
    gateway.on.ask("nobody", "GET /", "").await?;
    let text = gateway.metrics().await?;
    let of = |rest: &str| series(&text, &format!("cardea_requests_total{{tenant=\"acme\",app=\"echo\",{rest}}}"));
    assert_eq!(of("method=\"read\",class=\"2xx\",reason=\"\""), Some(1.0), "{text}");
    assert_eq!(of("method=\"read\",class=\"4xx\",reason=\"sign-in-required\""), Some(1.0), "{text}");
    assert_eq!(of("method=\"read\",class=\"5xx\",reason=\"upstream-broken\""), Some(1.0), "{text}");
    let nobody = "cardea_requests_total{tenant=\"\",app=\"\",method=\"read\",class=\"4xx\",reason=\"unknown-host\"}";
    assert_eq!(series(&text, nobody), Some(1.0), "{text}");
    let took = series(&text, "cardea_request_seconds_count{tenant=\"acme\",app=\"echo\"}");
    assert!(took.is_some_and(|count| count >= 3.0), "{text}");
    for name in ["edge", "access", "upstream", "own"] {
        let count = series(&text, &format!("cardea_stage_seconds_count{{stage=\"{name}\"}}"));
        assert!(count.is_some_and(|count| count >= 1.0), "{name}: {text}");
    }
    for name in ["process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds", "process_max_fds"] {
        assert!(series(&text, &format!("{name} ")).is_some_and(|value| value > 0.0), "{name}: {text}");
    }
    Ok(())
}

/// Metric names and the labels that go with them, as a gateway tells them.
fn told(text: &str) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, rest) = line.split_at(line.find(['{', ' ']).unwrap_or(line.len()));
        found.insert((name.to_owned(), String::new()));
        let labels = rest.strip_prefix('{').and_then(|rest| rest.split('}').next()).unwrap_or_default();
        for label in labels.split("\",").filter_map(|pair| pair.split("=\"").next()).filter(|label| !label.is_empty()) {
            found.insert((name.to_owned(), label.to_owned()));
        }
    }
    found
}

/// Names that an expression speaks of: each metric with each label that is asked of it, and each label by which its sums are
/// kept apart.
fn asked(expression: &str) -> BTreeSet<(String, String)> {
    let word = |one: char| one.is_ascii_alphanumeric() || one == '_';
    let mut found = BTreeSet::new();
    for (at, _) in expression.match_indices(|one: char| one.is_ascii_lowercase()) {
        if expression[..at].chars().next_back().is_some_and(word) {
            continue;
        }
        let rest = &expression[at..];
        let name = &rest[..rest.find(|one| !word(one)).unwrap_or(rest.len())];
        if !(name.starts_with("cardea_") || name.starts_with("process_")) {
            continue;
        }
        found.insert((name.to_owned(), String::new()));
        let labels = rest[name.len()..].strip_prefix('{').and_then(|rest| rest.split('}').next()).unwrap_or_default();
        for label in
            labels.split(',').filter_map(|pair| pair.split(['=', '!']).next()).filter(|label| !label.is_empty())
        {
            found.insert((name.to_owned(), label.trim().to_owned()));
        }
        for by in expression.split(" by (").skip(1).filter_map(|rest| rest.split(')').next()) {
            found.extend(by.split(',').map(|label| (name.to_owned(), label.trim().to_owned())));
        }
    }
    found
}

const DEPLOY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../gateway/deploy");

fn dashboard() -> anyhow::Result<Value> {
    Ok(serde_json::from_str(&std::fs::read_to_string(format!("{DEPLOY}/grafana/cardea.json"))?)?)
}

/// What the dashboard's variables are drawn from.
fn variables() -> anyhow::Result<Vec<String>> {
    let dashboard = dashboard()?;
    let all = dashboard["templating"]["list"].as_array().context("no variables")?;
    let queries = all.iter().filter_map(|variable| variable["query"].as_str());
    Ok(queries.filter_map(|query| query.strip_prefix("label_values(")).map(str::to_owned).collect())
}

/// Every expression in the dashboard and the alert rules.
fn expressions() -> anyhow::Result<Vec<String>> {
    let dashboard = dashboard()?;
    let mut all = Vec::new();
    for panel in dashboard["panels"].as_array().context("no panels")? {
        for target in panel["targets"].as_array().context("no targets")? {
            all.push(target["expr"].as_str().context("no expression")?.to_owned());
        }
    }
    let rules = std::fs::read_to_string(format!("{DEPLOY}/prometheus/cardea.rules.yml"))?;
    let mut lines = rules.lines().peekable();
    while let Some(line) = lines.next() {
        let Some(text) = line.trim().strip_prefix("expr: ") else { continue };
        let mut text = text.trim_start_matches('|').to_owned();
        // What is written over several lines stands deeper.
        while let Some(next) =
            lines.next_if(|next| text.is_empty() && next.starts_with("          ") || next.starts_with("            "))
        {
            text = format!("{text} {}", next.trim());
        }
        all.push(text);
    }
    Ok(all)
}

#[tokio::test]
async fn the_dashboard_and_the_alerts_ask_only_for_what_is_told() -> Story {
    let (_upstream, gateway) = house("").await?;
    visits(&gateway).await?;
    let mut told = told(&gateway.metrics().await?);
    // Of a listener with TLS only.
    told.extend(
        [("cardea_certificate_end_seconds", ""), ("cardea_certificate_end_seconds", "name")]
            .map(|(a, b)| (a.to_owned(), b.to_owned())),
    );
    let expressions = expressions()?;
    assert!(expressions.len() > 40, "only {} expressions were found", expressions.len());
    for expression in expressions.iter().chain(&variables()?) {
        let asked = asked(expression);
        assert!(!asked.is_empty(), "`{expression}` asks for nothing of ours");
        // A label by which the sums of several metrics are kept apart need be told of one of them only.
        let missing: Vec<_> = asked.difference(&told).collect();
        assert!(missing.is_empty(), "`{expression}` asks for {missing:?}");
    }
    Ok(())
}

#[tokio::test]
async fn prometheus_finds_nothing_wrong_with_the_alerts_and_the_dashboard() -> Story {
    let folder = cardea_tests::process::Folder::new("rules")?;
    // The dashboard's questions, as rules: so they are read as the alerts are.
    let mut panels = "groups:\n  - name: dashboard\n    rules:\n".to_owned();
    for (nth, expression) in expressions()?.iter().enumerate() {
        let expression = expression.replace("$__rate_interval", "5m").replace("$tenant", ".*").replace("$app", ".*");
        panels.push_str(&format!("      - {{ record: panel_{nth}, expr: {} }}\n", serde_json::to_string(&expression)?));
    }
    let made = folder.path().join("panels.yml");
    std::fs::write(&made, panels)?;
    let rules = Path::new(DEPLOY).join("prometheus/cardea.rules.yml");
    for file in [&rules, &made] {
        let mut command = Command::new("promtool");
        command.args(["check", "rules"]).arg(file);
        let (status, out, err) = cardea_tests::process::run(command).await?;
        assert_eq!(status, 0, "{out}{err}");
    }
    Ok(())
}

#[tokio::test]
async fn the_access_log_has_a_line_for_each_request_and_no_secret() -> Story {
    let (_upstream, mut gateway) = house("[access_log]\nformat = \"json\"\nfile = \"access.log\"\n").await?;
    let mut visitor = Client::program();
    visitor
        .headers
        .push(("referer".to_owned(), "http://acme.localhost/sign-in/invitation/geheim?code=geheim".to_owned()));
    visitor.get(&gateway.at("echo.acme", "/public/x?token=geheim")?).await?;
    visitor.get(&gateway.at("acme", "/sign-in/invitation/geheim")?).await?;
    gateway.counts("cardea_access_log_lines_total 2").await?;
    let text = gateway.on.read("access.log")?;
    assert!(!text.contains("geheim"), "{text}");
    let lines: Vec<Value> = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let first = &lines[0];
    for (key, value) in
        [("path", "/public/x"), ("app", "echo"), ("tenant", "acme"), ("referrer", "http://acme.localhost/")]
    {
        assert_eq!(first[key], value, "{text}");
    }
    assert_eq!((first["status"].as_u64(), lines[1]["path"].as_str()), (Some(200), Some("/sign-in/invitation/…")));

    // As logrotate does it.
    std::fs::rename(gateway.on.path("access.log"), gateway.on.path("access.log.1"))?;
    gateway.hangs_up()?;
    gateway.counts("cardea_reloads_total{what=\"configuration\",outcome=\"taken\"} 1").await?;
    visitor.get(&gateway.at("echo.acme", "/public/y")?).await?;
    gateway.counts("cardea_access_log_lines_total 3").await?;
    assert_eq!(gateway.on.read("access.log")?.lines().count(), 1);
    assert_eq!(gateway.on.read("access.log.1")?, text);

    // Another form, on standard output, and then none.
    gateway.on.edit("cardea.toml", "format = \"json\"\nfile = \"access.log\"", "format = \"combined\"")?;
    gateway.hangs_up()?;
    gateway.counts("cardea_reloads_total{what=\"configuration\",outcome=\"taken\"} 2").await?;
    visitor.get(&gateway.at("echo.acme", "/public/z")?).await?;
    let line = gateway.prints(|line| line.contains("/public/z").then(|| line.to_owned())).await?;
    assert!(line.starts_with("127.0.0.1 - - [") && line.contains("] \"GET /public/z HTTP/1.1\" 200 "), "{line}");
    gateway.on.edit("cardea.toml", "format = \"combined\"", "format = \"off\"")?;
    gateway.hangs_up()?;
    gateway.counts("cardea_reloads_total{what=\"configuration\",outcome=\"taken\"} 3").await?;
    visitor.get(&gateway.at("echo.acme", "/public/z")?).await?;
    assert!(gateway.metrics().await?.contains("cardea_access_log_lines_total 4\n"));
    Ok(())
}

async fn collector(folder: &Gateway) -> anyhow::Result<(Process, u16)> {
    let mut command = python("python");
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/services/otlp.py"));
    let mut process = Process::start(command, &folder.on.path("collector.log"))?;
    let port = process.line(|line| serde_json::from_str::<Value>(line).ok()?["port"].as_u64()).await?;
    Ok((process, u16::try_from(port)?))
}

#[tokio::test]
async fn a_collector_hears_a_span_for_each_stage_and_nothing_of_the_person() -> Story {
    let (upstream, mut gateway) = house("").await?;
    let (mut collector, port) = collector(&gateway).await?;
    let config = gateway.on.read("cardea.toml")?;
    let traces = format!(
        "trusted_proxies = [\"127.0.0.0/8\"]\n{config}[traces]\nendpoint = \"http://127.0.0.1:{port}\"\nsample = 0.0\n"
    );
    gateway.on.write("cardea.toml", &traces)?;
    gateway.hangs_up()?;
    gateway.counts("cardea_reloads_total{what=\"configuration\",outcome=\"taken\"} 1").await?;

    let mut proxy = Client::program();
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7";
    // Not sampled: by the share, nor by the proxy's word.
    proxy.get(&gateway.at("echo.acme", "/public/none")?).await?;
    proxy.headers.push(("traceparent".to_owned(), format!("{parent}-00")));
    proxy.get(&gateway.at("echo.acme", "/public/none")?).await?;
    proxy.headers =
        vec![("traceparent".to_owned(), format!("{parent}-01")), ("cookie".to_owned(), "a=geheim".to_owned())];
    let reply = proxy.get(&gateway.at("echo.acme", "/public/person-17?token=geheim")?).await?;

    let mut spans = Vec::new();
    while spans.len() < 4 {
        spans.push(collector.line(|line| serde_json::from_str::<Value>(line).ok()).await?);
    }
    let named =
        |name: &str| spans.iter().find(|span| span["name"] == name).with_context(|| format!("no {name} in {spans:?}"));
    let request = named("request")?;
    assert_eq!(
        (request["parent"].as_str(), request["kind"].as_i64()),
        (Some("00f067aa0ba902b7"), Some(2)),
        "{request}"
    );
    for stage in ["edge", "access", "upstream"] {
        assert_eq!(named(stage)?["parent"], request["span"], "{stage}");
    }
    assert!(
        spans.iter().all(|span| span["trace"] == "4bf92f3577b34da6a3ce929d0e0e4736" && span["service"] == "cardea")
    );
    assert!(spans.iter().all(|span| span["begins"].as_u64() <= span["ends"].as_u64()));
    // The service goes on where the span of its stage is.
    let heard = upstream.last().header("traceparent").unwrap_or_default().to_owned();
    let span = named("upstream")?["span"].as_str().unwrap_or_default().to_owned();
    assert_eq!(heard, format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{span}-01"));
    let attributes = &request["attributes"];
    assert_eq!(attributes["cardea.request_id"].as_str(), reply.header("x-request-id"));
    assert_eq!(
        (&attributes["cardea.app"], &attributes["cardea.resource_type"]),
        (&"echo".into(), &"PublicPage".into())
    );
    let all = serde_json::to_string(&spans)?;
    for told in ["geheim", "person-17", "127.0.0.1", "none"] {
        assert!(!all.contains(told), "{told}: {all}");
    }
    gateway.counts("cardea_trace_spans_total 4").await?;
    Ok(())
}
