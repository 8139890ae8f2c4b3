//! G18 (requirement H8): a permit outlives nothing. Streams end within 2 s of the change that ends their right.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use bytes::Bytes;
use cardea_core::{SessionId, UserId};
use cardea_proxy::{Changed, Transport, Upstream};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

use crate::{
    house::{APP_HOST, House, POLICIES, Plan, snapshot},
    lent::Trouble,
    service::Service,
    upstream_fleet::plan,
};

struct Stream {
    house: House,
    service: Service,
    socket: TcpStream,
    pieces: mpsc::UnboundedSender<Bytes>,
    plan: String,
}

/// A chemist listens to an event stream that says something now and then.
async fn streaming() -> Stream {
    let (service, url) = Service::start().await;
    let (pieces, receiver) = mpsc::unbounded_channel();
    *service.pieces.lock().unwrap() = Some(receiver);
    let plan = Plan::at(&url);
    let app = plan.app.clone();
    let house = plan.open().await;
    pieces.send(Bytes::from_static(b"data: first\n\n")).unwrap();
    let socket = listening(&house).await;
    Stream { house, service, socket, pieces, plan: app }
}

/// A chemist who has heard the first piece.
async fn listening(house: &House) -> TcpStream {
    let cookie = house.chemist();
    let mut socket = TcpStream::connect(house.address).await.unwrap();
    let request = format!("GET /stream HTTP/1.1\r\nhost: {APP_HOST}\r\ncookie: {cookie}\r\n\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains("first") {
        assert!(socket.read_buf(&mut seen).await.unwrap() > 0);
    }
    socket
}

/// Waits for the end, which must not look like a proper one.
async fn ends_in_time(mut socket: TcpStream) {
    let began = Instant::now();
    let mut rest = Vec::new();
    let end = tokio::time::timeout(Duration::from_secs(4), socket.read_to_end(&mut rest)).await;
    assert!(end.is_ok(), "the stream outlived its permit");
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert!(!String::from_utf8_lossy(&rest).contains("0\r\n\r\n"));
}

impl Stream {
    async fn ends_in_time(self) {
        ends_in_time(self.socket).await;
        drop(self.pieces);
    }

    /// Another chemist listens to another stream of the service.
    async fn another(&self) -> (TcpStream, mpsc::UnboundedSender<Bytes>) {
        let (pieces, receiver) = mpsc::unbounded_channel();
        *self.service.pieces.lock().unwrap() = Some(receiver);
        pieces.send(Bytes::from_static(b"data: first\n\n")).unwrap();
        (listening(&self.house).await, pieces)
    }

    /// Whatever is asked of the sessions so far ends in `trouble`.
    fn trouble(&self, trouble: Trouble) {
        let sessions: Vec<_> = self.house.lent.live.lock().unwrap().values().map(|session| session.id).collect();
        self.house.lent.troubles.lock().unwrap().extend(sessions.into_iter().map(|id| (id, trouble)));
    }

    fn snapshot(&self, policies: &str) -> cardea_proxy::Snapshot {
        let spec: cardea_core::resources::AppSpec = toml::from_str(&self.plan).unwrap();
        let upstream = Upstream::new(spec.upstream.as_ref().unwrap(), Transport::Plain).unwrap();
        snapshot(&spec, Some(Arc::new(upstream)), policies)
    }
}

#[tokio::test]
async fn a_session_that_reaches_its_limit_cuts_its_streams() {
    let stream = streaming().await;
    stream.house.pass(13 * 3600);
    stream.ends_in_time().await;
}

#[tokio::test]
async fn a_session_that_is_gone_cuts_its_streams_after_a_change() {
    let stream = streaming().await;
    stream.house.lent.live.lock().unwrap().clear();
    stream.house.proxy.changed(Changed::Everything);
    stream.ends_in_time().await;
}

/// An id that names nobody here.
const OTHER: &str = "01900000-0000-7000-8000-000000000007";

#[tokio::test]
async fn what_changes_of_others_leaves_a_stream_unasked() {
    let mut stream = streaming().await;
    let live: Vec<_> = stream.house.lent.live.lock().unwrap().drain().map(|(_, session)| session).collect();
    let (user, other) = (live[0].user.id, UserId::parse(OTHER).unwrap());
    assert_ne!(user, other);
    stream.house.proxy.changed(Changed::User(other));
    stream.house.proxy.changed(Changed::Session(SessionId::parse(OTHER).unwrap()));
    let nothing = tokio::time::timeout(Duration::from_millis(1500), stream.socket.read_u8()).await;
    assert!(nothing.is_err(), "it was asked, and ended");
    stream.house.proxy.changed(Changed::User(user));
    stream.house.proxy.changed(Changed::User(other));
    stream.ends_in_time().await;
}

/// A right that was withdrawn meanwhile is not known here.
#[tokio::test]
async fn a_tenant_that_is_paused_keeps_no_stream_and_a_full_log_cuts_none() {
    let mut stream = streaming().await;
    stream.house.lent.log_full.store(true, Ordering::SeqCst);
    stream.house.proxy.changed(Changed::Everything);
    let nothing = tokio::time::timeout(Duration::from_millis(1500), stream.socket.read_u8()).await;
    assert!(nothing.is_err(), "a full log cut a stream");
    stream.house.lent.paused.store(true, Ordering::SeqCst);
    stream.house.proxy.changed(Changed::Everything);
    stream.ends_in_time().await;
}

#[tokio::test]
async fn a_policy_that_now_says_no_cuts_the_stream() {
    let stream = streaming().await;
    stream.house.proxy.swap(stream.snapshot("forbid(principal, action, resource);"));
    stream.ends_in_time().await;
}

#[tokio::test]
async fn a_policy_that_still_says_yes_leaves_the_stream() {
    let mut stream = streaming().await;
    stream.house.proxy.swap(stream.snapshot(POLICIES));
    let nothing = tokio::time::timeout(Duration::from_millis(1500), stream.socket.read_u8()).await;
    assert!(nothing.is_err(), "the stream ended or said something by itself");
    stream.pieces.send(Bytes::from_static(b"data: second\n\n")).unwrap();
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains("second") {
        assert!(stream.socket.read_buf(&mut seen).await.unwrap() > 0);
    }
}

#[tokio::test]
async fn a_cut_by_hand_is_at_once() {
    let stream = streaming().await;
    let session = stream.house.lent.live.lock().unwrap().values().next().unwrap().id;
    stream.house.proxy.cut(session);
    stream.ends_in_time().await;
}

#[tokio::test]
async fn a_question_that_hangs_holds_up_no_other() {
    let mut stream = streaming().await;
    stream.trouble(Trouble::Hangs);
    let (other, pieces) = stream.another().await;
    let hanging = stream.house.lent.troubles.lock().unwrap().clone();
    stream.house.lent.live.lock().unwrap().retain(|_, session| hanging.contains_key(&session.id));
    stream.house.proxy.changed(Changed::Everything);
    ends_in_time(other).await;
    drop(pieces);
    // What was known of the one that hangs serves while it is fresh.
    let nothing = tokio::time::timeout(Duration::from_millis(1500), stream.socket.read_u8()).await;
    assert!(nothing.is_err(), "a store that does not answer cut a stream at once");
}

#[tokio::test]
async fn a_question_that_panics_cuts_its_stream_and_the_others_are_still_asked() {
    let stream = streaming().await;
    stream.trouble(Trouble::Panics);
    let (other, pieces) = stream.another().await;
    stream.house.proxy.changed(Changed::Everything);
    let Stream { house, socket, .. } = stream;
    ends_in_time(socket).await;
    house.lent.live.lock().unwrap().clear();
    house.proxy.changed(Changed::Everything);
    ends_in_time(other).await;
    drop(pieces);
}

/// A service that says all that it has to say at once, in pieces of [`PIECE`].
async fn talkative() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut connection = h2::server::handshake(stream).await.unwrap();
                while let Some(Ok((_, mut respond))) = connection.accept().await {
                    let mut body = respond.send_response(http::Response::new(()), false).unwrap();
                    body.send_data(vec![b'x'; 3 * PIECE].into(), true).unwrap();
                }
            });
        }
    });
    url
}

/// What HTTP/2 sends in one frame, where nothing else is agreed on.
const PIECE: usize = 16_384;

/// Its reader takes sixty-four bytes of it: from then on nobody looks at what there is yet.
#[tokio::test]
async fn a_right_that_ends_while_a_reader_stalls_passes_nothing_once_it_reads_on() {
    let url = talkative().await;
    for still in [true, false] {
        let house = plan(&[&url], "protocol = 'http2'\n").open().await;
        let stream = TcpStream::connect(house.address).await.unwrap();
        let opened = h2::client::Builder::new().initial_window_size(64).handshake::<_, Bytes>(stream).await;
        let (mut sender, connection) = opened.unwrap();
        tokio::spawn(connection);
        let request = http::Request::get(format!("http://{APP_HOST}/x")).header("cookie", house.chemist()).body(());
        let (answer, _) = sender.send_request(request.unwrap(), true).unwrap();
        let mut body = answer.await.unwrap().into_body();
        let mut taken = body.data().await.unwrap().unwrap().len();
        assert_eq!((taken, house.figure("cardea_open_streams")), (64, 0));
        // A body that passes for longer than a second is looked after.
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        if !still {
            house.lent.live.lock().unwrap().clear();
        }
        house.proxy.changed(Changed::Everything);
        body.flow_control().release_capacity(taken).unwrap();
        while taken < 2 * PIECE {
            let Some(Ok(piece)) = body.data().await else { break };
            taken += piece.len();
            body.flow_control().release_capacity(piece.len()).unwrap();
        }
        // One piece was on its way.
        assert_eq!(taken <= PIECE, !still, "{taken} bytes passed");
    }
}
