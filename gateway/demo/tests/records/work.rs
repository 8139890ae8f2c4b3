//! What is done there, and how those who are connected go on.

use super::*;

#[tokio::test]
async fn records_are_created_read_and_approved_by_somebody_else() {
    let world = world("work").await;
    let (mut sender, _) = world.connect(world.gateway()).await.unwrap();
    let (rui, ada) = (world.assertion("Rui"), world.assertion("Ada"));
    let eve = world.assertion("Eve");
    let eve = ("cardea-assertion", eve.as_str());
    let (rui, ada) = (("cardea-assertion", rui.as_str()), ("cardea-assertion", ada.as_str()));
    let form = "title=Swab+%3Cb%3E1&text=clean";
    let made = world.send(&mut sender, Method::POST, "/studies/S-15/records", &[rui, FORM], form).await.unwrap();
    assert_eq!((made.status, made.location.as_deref()), (StatusCode::SEE_OTHER, Some("/studies/S-15/records/R-1")));
    let page = world.send(&mut sender, Method::GET, "/studies/S-15/records/R-1", &[rui, HTML], "").await.unwrap();
    assert!(page.body.contains("Swab") && !page.body.contains("<b>1") && !page.body.contains("<button>Approve"));
    let at = "/studies/S-15/records/R-1/approve";
    assert_eq!(world.send(&mut sender, Method::POST, at, &[rui, HTML], "").await.unwrap().status, StatusCode::CONFLICT);
    assert_eq!(
        world.send(&mut sender, Method::POST, at, &[ada, HTML], "").await.unwrap().status,
        StatusCode::SEE_OTHER
    );
    assert_eq!(world.send(&mut sender, Method::POST, at, &[eve, JSON], "").await.unwrap().status, StatusCode::CONFLICT);
    let read = world.send(&mut sender, Method::GET, "/studies/S-15/records/R-1", &[ada, JSON], "").await.unwrap();
    let read: Value = serde_json::from_str(&read.body).unwrap();
    assert_eq!((&read["approval"]["by"], &read["approval"]["assurance"]), (&json!("Ada"), &json!(2)));
    for body in ["", "title=&text=x", "title=x"] {
        let bad = world.send(&mut sender, Method::POST, "/studies/S-15/records", &[rui, FORM], body).await.unwrap();
        assert_eq!(bad.status, StatusCode::UNPROCESSABLE_ENTITY, "{body:?}");
    }
    let cross = [rui, FORM, ("sec-fetch-site", "cross-site")];
    let cross = world.send(&mut sender, Method::POST, "/studies/S-15/records", &cross, form).await.unwrap();
    assert_eq!(cross.status, StatusCode::FORBIDDEN);
    assert_eq!(
        world.send(&mut sender, Method::GET, "/studies/S-0", &[rui, HTML], "").await.unwrap().status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_without_dropping_who_is_connected() {
    let world = world("renewed").await;
    let (mut old, first) = world.connect(world.gateway()).await.unwrap();
    let next = place(&world.folder, &world.acme, &world.entropy);
    world.identity.reload().unwrap();
    let (mut new, second) = world.connect(world.gateway()).await.unwrap();
    assert_eq!(second, next);
    assert_ne!(first, second);
    for sender in [&mut old, &mut new] {
        assert_eq!(world.send(sender, Method::GET, "/about", &[HTML], "").await.unwrap().status, StatusCode::OK);
    }
    std::fs::write(world.folder.join("key.pem"), "half a key").unwrap();
    world.identity.reload().unwrap_err();
    assert_eq!(world.connect(world.gateway()).await.unwrap().1, second, "a bad file took the good certificate away");
}

#[tokio::test]
async fn changes_are_told_over_a_websocket_and_what_is_said_comes_back() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let world = world("socket").await;
    let (mut sender, _) = world.connect(world.gateway()).await.unwrap();
    let rui = world.assertion("Rui");
    let request = http::Request::get("/ws")
        .header("host", "records.acme.localhost")
        .header("cardea-assertion", &rui)
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .body(Full::default())
        .unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    let mut socket = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
    // "hi", masked with zeroes.
    socket.write_all(&[0x81, 0x82, 0, 0, 0, 0, b'h', b'i']).await.unwrap();
    let mut echo = [0; 4];
    socket.read_exact(&mut echo).await.unwrap();
    assert_eq!(&echo, &[0x81, 2, b'h', b'i']);
    let (mut other, _) = world.connect(world.gateway()).await.unwrap();
    let form = "title=Rinse&text=clean";
    let headers = [("cardea-assertion", rui.as_str()), FORM];
    world.send(&mut other, Method::POST, "/studies/S-15/records", &headers, form).await.unwrap();
    let mut head = [0; 2];
    socket.read_exact(&mut head).await.unwrap();
    let mut told = vec![0; usize::from(head[1])];
    socket.read_exact(&mut told).await.unwrap();
    let told: Value = serde_json::from_slice(&told).unwrap();
    assert_eq!((&told["what"], &told["record"]), (&json!("created"), &json!("R-1")));
}
