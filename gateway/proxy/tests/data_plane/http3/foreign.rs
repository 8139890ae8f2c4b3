//! A client that was not written here, nor with what this gateway speaks HTTP/3 by.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::client::{chemist, speaking_http3};
use crate::{
    house::{APP_HOST, House},
    tls::Authority,
};

/// Asks all of it at once, over one connection; gives status, reason and length of each answer.
async fn asked(house: &House, ours: &Authority, requests: Vec<String>) -> Vec<(String, usize)> {
    let folder = PathBuf::from(std::env::var_os("CARDEA_TEST_PYTHON").expect("`tests/run` says where Python is"));
    let roots = std::env::temp_dir().join(format!("http3-roots-{}.pem", house.address.port()));
    let certificate = STANDARD.encode(&ours.certificate);
    std::fs::write(&roots, format!("-----BEGIN CERTIFICATE-----\n{certificate}\n-----END CERTIFICATE-----\n")).unwrap();
    let mut command = Command::new(folder.join("python"));
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/services/http3_client.py"));
    command.args(["--host", APP_HOST, "--port", &house.address.port().to_string()]).arg("--roots").arg(&roots);
    command.args(requests);
    let run = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    std::fs::remove_file(roots).unwrap();
    read(&run)
}

fn read(run: &Output) -> Vec<(String, usize)> {
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let lines = String::from_utf8_lossy(&run.stdout);
    let answers = lines.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let read = |answer: serde_json::Value| {
        assert!(answer["headers"]["x-request-id"].is_string(), "{answer}");
        let length = usize::try_from(answer["body"].as_u64().unwrap()).unwrap();
        (answer["headers"][":status"].as_str().unwrap().to_owned(), length)
    };
    answers.map(read).collect()
}

#[tokio::test]
async fn a_client_not_written_here_is_served_and_refused_like_any_other() {
    let (house, ours, service) = speaking_http3(|plan| plan).await;
    let cookie = chemist(&house);
    let requests = ["GET,/public,0,", "GET,/records,0,"].map(str::to_owned);
    let signed_in = [format!("GET,/records,0,{cookie}"), format!("POST,/records,300000,{cookie}")];
    let answers = asked(&house, &ours, [&requests[..], &signed_in].concat()).await;
    let heard = |status: &str, length| (status.to_owned(), length);
    assert_eq!(answers[0], heard("200", 5));
    assert_eq!(answers[1].0, "401");
    assert_eq!(answers[2..], [heard("200", 5), heard("200", 5)]);
    let posted = service.heard.lock().unwrap().iter().map(|heard| heard.body.len()).max();
    assert_eq!((service.count(), posted), (3, Some(300_000)), "what is refused is not forwarded");
}
