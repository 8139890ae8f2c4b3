//! What stands in `gateway/deploy/` for several gateways fits the gateway and itself: it is read, and its configuration checked.

use std::{collections::BTreeSet, process::Command};

use anyhow::{Context, ensure};
use cardea_tests::{Plan, Story, Upstream, python, tls};
use serde_json::Value;

use crate::behind::snippet;

/// The documents of a YAML file.
fn documents(name: &str) -> anyhow::Result<Vec<Value>> {
    let program = "import json, sys, yaml; print(json.dumps(list(yaml.safe_load_all(open(sys.argv[1])))))";
    let path = format!("{}/../gateway/deploy/{name}", env!("CARGO_MANIFEST_DIR"));
    let out = python("python").args(["-c", program, &path]).output()?;
    ensure!(out.status.success(), "{name}: {}", String::from_utf8_lossy(&out.stderr));
    Ok(serde_json::from_slice(&out.stdout)?)
}

fn kind<'a>(documents: &'a [Value], kind: &str) -> anyhow::Result<&'a Value> {
    documents.iter().find(|one| one["kind"] == kind).with_context(|| format!("no {kind}"))
}

/// The value of a key in a configuration, in whatever table.
fn said<'a>(config: &'a str, key: &str) -> anyhow::Result<&'a str> {
    let line = config.lines().find_map(|line| line.trim().strip_prefix(key)?.strip_prefix(" = "));
    line.with_context(|| format!("`{key}` is not there"))
}

fn number(text: &str) -> anyhow::Result<u64> {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    digits.parse().with_context(|| format!("`{text}`"))
}

/// Every port at which a configuration listens.
fn ports(config: &str) -> BTreeSet<u64> {
    let addresses = config.lines().filter_map(|line| line.trim().strip_prefix("address = \"0.0.0.0:"));
    addresses.filter_map(|rest| rest.trim_end_matches('"').parse().ok()).collect()
}

/// Every file that a configuration names.
fn files(config: &str) -> BTreeSet<&str> {
    config.split('"').filter(|text| text.starts_with('/') && *text != "/var/lib/cardea").collect()
}

/// Passes a configuration through `cardea check`, with all that it names in a folder of its own.
async fn checked(config: &str) -> Story {
    let on = Plan::before(1).write()?;
    let here = on.path("mounted");
    let (chain, key) = tls::authority()?.issue(&["acme.localhost"])?;
    let mut config = config.replace("/var/lib/cardea", &on.path("state").display().to_string());
    for file in files(&config.clone()) {
        let text = match file.rsplit(['/', '.']).next() {
            _ if file.ends_with("postgres.url") => "postgres://cardea:x@postgres:5432/cardea?sslmode=verify-full",
            _ if file.ends_with("redis.url") => "redis://:x@redis:6379",
            Some("crt" | "pem") => &chain,
            Some("key") => &key,
            _ => continue,
        };
        let path = here.join(file.trim_start_matches('/'));
        on.write(&format!("mounted{file}"), text)?;
        config = config.replace(&format!("\"{file}\""), &format!("\"{}\"", path.display()));
    }
    on.write("cardea.toml", &config)?;
    on.does(&["check", "resources"]).await?;
    // A key that nobody knows would be a mistake.
    on.write("cardea.toml", &config.replace("leave_seconds", "leaves_seconds"))?;
    let (status, _, err) = on.cardea(&["check", "resources"]).await?;
    ensure!(status == 1 && err.contains("leaves_seconds"), "{status} {err}");
    Ok(())
}

/// The time that a gateway takes to stop, by its configuration: leaving, draining, and the last entries.
fn stops_within(config: &str) -> anyhow::Result<u64> {
    Ok(number(said(config, "leave_seconds")?)? + number(said(config, "drain_seconds")?)? + 15)
}

#[tokio::test]
async fn the_gateways_of_compose_are_configured_as_they_are_run() -> Story {
    let all = documents("compose.yaml")?.remove(0);
    let config = all["configs"]["cardea.toml"]["content"].as_str().context("no configuration")?;
    checked(config).await?;
    let balancer = snippet("haproxy/balancer.cfg")?;
    for (name, address) in [("one", "10.0.0.11"), ("two", "10.0.0.12")] {
        let gateway = &all["services"][name];
        assert_eq!(gateway["networks"]["house"]["ipv4_address"], address);
        let listed = gateway["secrets"].as_array().context("no secrets")?;
        for file in files(config) {
            let secret = file.strip_prefix("/run/secrets/").with_context(|| format!("{file} is no secret"))?;
            assert!(listed.iter().any(|one| one == secret) && all["secrets"][secret].is_object(), "{file}");
        }
        // Both of its doors are known to the balancer, and looked at where it says whether it is ready.
        for port in ports(config).into_iter().filter(|port| *port != 9090) {
            assert!(balancer.contains(&format!("server {name} {address}:{port}")), "{name} {port}");
        }
        assert!(number(gateway["stop_grace_period"].as_str().context("no time")?)? >= stops_within(config)?);
        assert_eq!((&gateway["read_only"], &gateway["user"]), (&Value::Bool(true), &Value::from("65532:65532")));
    }
    assert!(ports(config).contains(&9090) && balancer.matches("check port 9090").count() == 2);
    assert!(balancer.contains("option httpchk GET /readyz") && balancer.contains("inter 1s fall 2"));
    assert!(number(said(config, "leave_seconds")?)? > 2, "it leaves before the balancer has noticed");
    let listed = said(config, "trusted_proxies")?;
    let stands = all["services"]["balancer"]["networks"]["house"]["ipv4_address"].as_str().context("no address")?;
    assert!(listed.contains(stands), "{listed}");
    Ok(())
}

#[tokio::test]
async fn its_health_check_tells_a_gateway_that_is_ready_from_one_that_leaves() -> Story {
    let all = documents("compose.yaml")?.remove(0);
    let upstream = Upstream::start().await?;
    let gateway = Plan::before(upstream.port).config("[limits]\nleave_seconds = 60\n").start().await?;
    let test: Vec<_> = all["services"]["one"]["healthcheck"]["test"].as_array().context("no check")?.clone();
    let words: Vec<_> = test.iter().filter_map(Value::as_str).collect();
    let [_, program, arguments @ ..] = &words[..] else { anyhow::bail!("{words:?}") };
    let is_ready = || -> anyhow::Result<bool> {
        let arguments = arguments.iter().map(|one| one.replace("9090", &gateway.on.ops.to_string()));
        let mut command = Command::new(program);
        Ok(command.args(arguments).status()?.success())
    };
    assert!(is_ready()?);
    gateway.is_told_to_stop()?;
    let leaves = async {
        while is_ready()? {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), leaves).await?
}

#[tokio::test]
async fn the_gateways_of_kubernetes_are_configured_as_they_are_run() -> Story {
    let all = documents("kubernetes/cardea.yaml")?;
    let config = kind(&all, "ConfigMap")?["data"]["cardea.toml"].as_str().context("no configuration")?;
    checked(config).await?;
    let deployment = &kind(&all, "Deployment")?["spec"];
    let pod = &deployment["template"]["spec"];
    let gateway = &pod["containers"][0];
    let told: BTreeSet<_> = gateway["ports"]
        .as_array()
        .context("no ports")?
        .iter()
        .filter_map(|one| one["containerPort"].as_u64())
        .collect();
    assert_eq!(told, ports(config));
    let mounts = gateway["volumeMounts"].as_array().context("no mounts")?;
    for file in files(config) {
        let is_in = |mount: &Value| mount["mountPath"].as_str().is_some_and(|path| file.starts_with(path));
        assert!(mounts.iter().any(is_in), "{file} is mounted nowhere");
    }
    for (probe, path) in [("startupProbe", "/healthz"), ("readinessProbe", "/readyz"), ("livenessProbe", "/healthz")] {
        assert_eq!(gateway[probe]["httpGet"], serde_json::json!({ "path": path, "port": "ops" }));
    }
    Ok(())
}

#[tokio::test]
async fn a_pod_of_kubernetes_leaves_before_it_stops_and_another_is_there_by_then() -> Story {
    let all = documents("kubernetes/cardea.yaml")?;
    let config = kind(&all, "ConfigMap")?["data"]["cardea.toml"].as_str().context("no configuration")?;
    let deployment = &kind(&all, "Deployment")?["spec"];
    let pod = &deployment["template"]["spec"];
    let gateway = &pod["containers"][0];
    // Taken out by the first no, long before it stops.
    let notices = &gateway["readinessProbe"];
    let notices = notices["periodSeconds"].as_u64().zip(notices["failureThreshold"].as_u64()).context("no times")?;
    assert!(number(said(config, "leave_seconds")?)? >= 2 * notices.0 * notices.1);
    assert!(pod["terminationGracePeriodSeconds"].as_u64().context("no time")? >= stops_within(config)?);
    assert!(deployment["replicas"].as_u64() >= Some(2));
    assert_eq!(deployment["strategy"]["rollingUpdate"]["maxUnavailable"], 0);
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    for container in [&pod["initContainers"][0], gateway] {
        let confined = &container["securityContext"];
        assert!(confined["readOnlyRootFilesystem"] == true && confined["allowPrivilegeEscalation"] == false);
        assert_eq!(
            (&confined["capabilities"]["drop"][0], &container["image"]),
            (&Value::from("ALL"), &gateway["image"])
        );
    }
    // All that speaks of the gateways means these.
    let labels = &deployment["template"]["metadata"]["labels"];
    for (what, selected) in [
        ("PodDisruptionBudget", "/spec/selector/matchLabels"),
        ("Service", "/spec/selector"),
        ("NetworkPolicy", "/spec/podSelector/matchLabels"),
    ] {
        assert_eq!(kind(&all, what)?.pointer(selected), Some(labels), "{what}");
    }
    assert_eq!(kind(&all, "Service")?["spec"]["ports"][0]["port"], number(said(config, "public_port")?)?);
    Ok(())
}

#[test]
fn every_yaml_beside_it_can_be_read() -> Story {
    for name in ["traefik/dynamic.yml", "envoy/envoy.yaml", "prometheus/cardea.rules.yml"] {
        ensure!(!documents(name)?.is_empty(), "{name}");
    }
    Ok(())
}
