//! Proofs of possession (DPoP, RFC 9449) where programs come by tokens: at the sign-in host, and at the machines' listener.

use anyhow::Context;
use cardea_tests::{Gateway, Story, Upstream, process::run, python};
use serde_json::{Value, json};

use crate::oauth2::{certified, plan, secret};

/// Asks for tokens with PyJWT's proofs: once for each address that a proof is made for, then with the last proof again.
const ASK: &str = r#"
import json, socket, sys, time, uuid
import jwt, requests
from cryptography.hazmat.primitives.asymmetric import ec

resolve = socket.getaddrinfo
socket.getaddrinfo = lambda host, *rest, **more: resolve(
    "127.0.0.1" if str(host).endswith(".localhost") else host, *rest, **more)
wish = json.loads(sys.argv[1])
key = ec.generate_private_key(ec.SECP256R1())
jwk = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key.public_key()))
session = requests.Session()
session.trust_env = False
session.verify = wish["root"]
session.cert = tuple(wish["cert"]) if wish.get("cert") else None

def ask(proof):
    reply = session.post(wish["at"], data=wish["form"], headers={"DPoP": proof})
    told = reply.json()
    return [reply.status_code, told.get("token_type") or told.get("error")]

said = []
for htm, htu in wish["proofs"]:
    claims = {"jti": str(uuid.uuid4()), "htm": htm, "htu": htu, "iat": int(time.time())}
    proof = jwt.encode(claims, key, algorithm="ES256", headers={"typ": "dpop+jwt", "jwk": jwk})
    said.append(ask(proof))
said.append(ask(proof))
print(json.dumps(said))
"#;

/// The status, and the kind of token or the error, for each of `proofs` and for the last once more.
async fn asks(door: &str, how: &Value, form: &Value, proofs: &[(&str, &str)]) -> anyhow::Result<Vec<(u64, String)>> {
    let mut wish = how.clone();
    (wish["at"], wish["form"], wish["proofs"]) = (door.into(), form.clone(), json!(proofs));
    let mut command = python("python");
    command.args(["-c", ASK, &wish.to_string()]);
    let (status, out, err) = run(command).await?;
    anyhow::ensure!(status == 0, "{err}");
    Ok(serde_json::from_str(&out)?)
}

async fn refusals(gateway: &Gateway) -> anyhow::Result<Vec<String>> {
    let log = gateway.on.log("acme").await?;
    let refused = log.iter().filter(|entry| entry["event"]["kind"] == "client-refused");
    refused.map(|entry| entry["event"]["detail"].as_str().map(str::to_owned).context("no detail")).collect()
}

/// A proof that somebody was made to send elsewhere is worth nothing here, and each door has an address of its own.
#[tokio::test]
async fn a_proof_is_good_at_the_door_that_it_was_made_for() -> Story {
    let upstream = Upstream::start().await?;
    let gateway = plan(upstream.port).asks_for_certificates().start().await?;
    let with = certified(&gateway, &["sync"]).await?;
    let machines = format!("https://acme.localhost:{}/oauth2/token", gateway.on.machines);
    let people = gateway.at("acme", "/oauth2/token")?.to_string();
    let (known, mut public) = (with("sync"), with("sync"));
    public["cert"] = Value::Null;
    let by_certificate = json!({ "grant_type": "client_credentials", "client_id": "by-certificate" });
    let by_secret = json!({
        "grant_type": "client_credentials", "client_id": "by-secret", "client_secret": secret(&gateway, "by-secret").await?,
    });
    for (door, other, how, form) in
        [(&machines, &people, &known, &by_certificate), (&people, &machines, &public, &by_secret)]
    {
        let before = refusals(&gateway).await?.len();
        let elsewhere = door.replace("/token", "/revoke");
        let proofs = [("POST", other.as_str()), ("POST", &elsewhere), ("GET", door), ("POST", door)];
        let refused = || (400, "invalid_dpop_proof".to_owned());
        let told = asks(door, how, form, &proofs).await?;
        let bound = (200, "DPoP".to_owned());
        assert_eq!(told, [refused(), refused(), refused(), bound, refused()], "at {door}");
        let whys = refusals(&gateway).await?.split_off(before);
        let another = "the proof is for another request";
        assert_eq!(whys, [another, another, another, "the proof was shown before"], "at {door}");
    }
    Ok(())
}
