use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

use super::*;

const PREFACE_BYTES: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let head = [0, 0, u8::try_from(payload.len()).unwrap(), kind, flags];
    [&head[..], &stream.to_be_bytes(), payload].concat()
}

/// So many streams, one after the other, each of these frames.
fn streams(count: u32, frames: impl Fn(u32) -> Vec<u8>) -> Vec<u8> {
    (0..count).flat_map(|nth| frames(nth * 2 + 1)).collect()
}

/// What h2 would read of `bytes`, which come in pieces of `size`, up to a flood, and what the guard noted.
async fn through(bytes: &[u8], size: usize, limits: &Limits) -> (Vec<u8>, Option<Flood>) {
    let (mut client, ours): (DuplexStream, DuplexStream) = duplex(1 << 20);
    let watch = Arc::<Watch>::default();
    let mut frames = Frames::new(ours, Arc::clone(&watch), limits);
    let mut heard = Vec::new();
    for piece in bytes.chunks(size) {
        client.write_all(piece).await.unwrap();
        // Also where there is no room for a frame's header.
        let mut buf = vec![0; if size.is_multiple_of(2) { 5 } else { 40 }];
        // Unconstrained: tokio would say `pending` where a task has read often enough, though there is more.
        while let Some(Ok(read @ 1..)) =
            futures_util::FutureExt::now_or_never(tokio::task::unconstrained(frames.read(&mut buf)))
        {
            heard.extend_from_slice(&buf[..read]);
        }
    }
    (heard, watch.flood())
}

fn limits() -> Limits {
    Limits { http2_resets: 10, http2_idle_frames: 100, ..Limits::default() }
}

/// A client that does what clients do.
fn honest() -> Vec<u8> {
    let mut bytes = PREFACE_BYTES.to_vec();
    bytes.extend(frame(4, 0, 0, &[0; 12]));
    bytes.extend(frame(4, 1, 0, &[]));
    for stream in 0..20 {
        bytes.extend(frame(HEADERS, 0, stream * 2 + 1, b"head"));
        bytes.extend(frame(CONTINUATION, END_HEADERS, stream * 2 + 1, b"more"));
        bytes.extend(frame(DATA, 0, stream * 2 + 1, b"piece"));
        bytes.extend(frame(DATA, END_STREAM, stream * 2 + 1, b""));
        if stream % 2 == 0 {
            bytes.extend(frame(RST_STREAM, 0, stream * 2 + 1, &[0, 0, 0, 8]));
        }
        bytes.extend(frame(8, 0, 0, &[0, 0, 1, 0]));
    }
    bytes
}

#[tokio::test]
async fn an_honest_client_is_heard_byte_for_byte() {
    let bytes = honest();
    for size in [1, 2, 3, 8, 9, 10, 31, 32, 33, 39, 41, bytes.len()] {
        assert_eq!(through(&bytes, size, &limits()).await, (bytes.clone(), None), "in pieces of {size}");
    }
}

#[tokio::test]
async fn whoever_floods_is_heard_up_to_the_frame_too_many() {
    let flood = |one: Vec<u8>| one.repeat(500);
    let head = |id| frame(HEADERS, END_HEADERS, id, b"head");
    let reset = |id| frame(RST_STREAM, 0, id, &[0; 4]);
    for (flood, noted) in [
        (streams(500, |id| [head(id), reset(id)].concat()), Flood::Resets),
        // Trailers open no second stream, against which a reset would be allowed.
        (streams(500, |id| [head(id), head(id), reset(id)].concat()), Flood::Resets),
        (flood(frame(6, 0, 0, &[0; 8])), Flood::IdleFrames),
        (flood(frame(6, 1, 0, &[0; 8])), Flood::IdleFrames),
        (flood(frame(4, 0, 0, &[])), Flood::IdleFrames),
        (flood(frame(2, 0, 1, &[0; 5])), Flood::IdleFrames),
        (flood(frame(8, 0, 1, &[0, 0, 0, 1])), Flood::IdleFrames),
        (flood(frame(DATA, 0, 1, &[])), Flood::IdleFrames),
        (flood(frame(0xfa, 0, 1, b"what is it")), Flood::IdleFrames),
    ] {
        let bytes = [honest(), flood].concat();
        let (whole, found) = through(&bytes, bytes.len(), &limits()).await;
        assert_eq!(found, Some(noted));
        let same = whole.iter().zip(&bytes).take_while(|(heard, sent)| heard == sent).count();
        assert!(whole[same..].ends_with(&[0, 0, 0, CONTINUATION, 0, 0x7f, 0xff, 0xff, 0xff]), "{noted:?}");
        for size in [1, 7, 9, 100] {
            assert_eq!(through(&bytes, size, &limits()).await, (whole.clone(), found), "{noted:?} in pieces of {size}");
        }
    }
}

#[tokio::test]
async fn what_answers_our_own_bytes_is_no_flood() {
    let (mut client, ours) = duplex(1 << 20);
    let watch = Arc::<Watch>::default();
    let mut frames = Frames::new(ours, Arc::clone(&watch), &limits());
    client.write_all(PREFACE_BYTES).await.unwrap();
    let (mut taken, mut buf) = (vec![0; 16_384], vec![0; 4_096]);
    for _ in 0..200 {
        frames.write_all(&taken).await.unwrap();
        client.read_exact(&mut taken).await.unwrap();
        client.write_all(&frame(8, 0, 1, &[0, 0, 64, 0]).repeat(10)).await.unwrap();
        assert!(frames.read(&mut buf).await.unwrap() > 0);
    }
    assert_eq!(watch.flood(), None);
}

/// Sends `bytes`, and has them heard up to a flood.
async fn hear(client: &mut DuplexStream, frames: &mut Frames<DuplexStream>, bytes: &[u8]) {
    client.write_all(bytes).await.unwrap();
    let (mut left, mut buf) = (bytes.len(), vec![0; 4_096]);
    while left > 0 && frames.watch.flood().is_none() {
        left -= frames.read(&mut buf).await.unwrap();
    }
}

/// A client that took much, or opened much, and waits: what it does then is measured by what it is sent then.
#[tokio::test]
async fn nothing_is_saved_up_for_a_flood() {
    let opened = streams(10_000, |id| frame(HEADERS, END_HEADERS | END_STREAM, id, b"head"));
    for (sent, opened, flood, noted) in [
        (1 << 20, vec![], frame(6, 0, 0, &[0; 8]), Flood::IdleFrames),
        (1 << 20, vec![], frame(8, 0, 1, &[0, 0, 0, 1]), Flood::IdleFrames),
        (0, opened, frame(RST_STREAM, 0, 1, &[0; 4]), Flood::Resets),
    ] {
        let (mut client, ours) = duplex(1 << 22);
        let watch = Arc::<Watch>::default();
        let mut frames = Frames::new(ours, Arc::clone(&watch), &limits());
        hear(&mut client, &mut frames, &[PREFACE_BYTES, &opened].concat()).await;
        frames.write_all(&vec![0; sent]).await.unwrap();
        client.read_exact(&mut vec![0; sent]).await.unwrap();
        frames.tally.since -= WINDOW;
        hear(&mut client, &mut frames, &flood.repeat(1_000)).await;
        assert_eq!(watch.flood(), Some(noted));
    }
}

/// A long download whose client says of each piece that it has taken it.
#[tokio::test]
async fn a_long_download_is_no_flood_however_long() {
    let (mut client, ours) = duplex(1 << 20);
    let watch = Arc::<Watch>::default();
    let mut frames = Frames::new(ours, Arc::clone(&watch), &limits());
    hear(&mut client, &mut frames, PREFACE_BYTES).await;
    let mut taken = vec![0; 16_384];
    for _ in 0..500 {
        frames.write_all(&taken).await.unwrap();
        client.read_exact(&mut taken).await.unwrap();
        // The word of each piece comes a moment after the piece, in another window now and then.
        frames.tally.since -= Duration::from_millis(170);
        hear(&mut client, &mut frames, &frame(8, 0, 1, &[0, 0, 1, 0]).repeat(64)).await;
    }
    assert_eq!(watch.flood(), None);
}

#[tokio::test]
async fn a_header_block_that_does_not_end_ends_the_connection() {
    for begun in [frame(HEADERS, 0, 1, b"head"), frame(HEADERS, END_HEADERS, 1, b"head")[..11].to_vec()] {
        let (mut client, ours) = duplex(1 << 20);
        let watch = Arc::<Watch>::default();
        let quick = Limits { head: Duration::from_millis(20), ..limits() };
        let mut frames = Frames::new(ours, Arc::clone(&watch), &quick);
        client.write_all(&[PREFACE_BYTES, &begun].concat()).await.unwrap();
        let mut heard = Vec::new();
        while watch.flood().is_none() {
            frames.read_buf(&mut heard).await.unwrap();
        }
        assert_eq!(watch.flood(), Some(Flood::SlowHead));
    }
}

#[tokio::test]
async fn whoever_does_not_take_the_last_word_gets_none() {
    let (mut client, ours) = duplex(256);
    let watch = Arc::<Watch>::default();
    let mut frames = Frames::new(ours, Arc::clone(&watch), &limits());
    client.write_all(PREFACE_BYTES).await.unwrap();
    let mut buf = vec![0; 4_096];
    while watch.flood().is_none() {
        client.write_all(&frame(6, 0, 0, &[0; 8])).await.unwrap();
        assert!(frames.read(&mut buf).await.unwrap() > 0);
    }
    let given_up = frames.write_all(&[0; 1_000]).await.unwrap_err();
    assert_eq!(given_up.kind(), io::ErrorKind::TimedOut);
}
