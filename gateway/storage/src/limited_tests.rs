//! A server that is gone without a word, in the middle of what is asked.

use std::{net::SocketAddr, time::Instant};

use sqlx::Row as _;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
};

use super::*;
use crate::{
    Store,
    testing::{Dir, entropy, operator},
};

const ONE_MORE: &str = "INSERT INTO guard_rails (name, text) VALUES ('x', '')";
const SHORTLY: Duration = Duration::from_millis(200);

/// A way to the server on which connections can lose it: the server sees each of them end, and whoever asks sees nothing.
struct Way {
    address: SocketAddr,
    lost: watch::Sender<u32>,
}

impl Way {
    async fn to(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, lost) = (listener.local_addr().unwrap(), watch::Sender::new(0));
        let losses = lost.clone();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let (mut losses, server) = (losses.subscribe(), server.clone());
                tokio::spawn(async move {
                    let mut there = TcpStream::connect(server).await.unwrap();
                    let lost = tokio::select! {
                        _ = copy_bidirectional(&mut client, &mut there) => false,
                        _ = losses.changed() => true,
                    };
                    drop(there);
                    if lost {
                        std::future::pending::<()>().await;
                    }
                });
            }
        });
        Self { address, lost }
    }

    fn loses_all(&self) {
        self.lost.send_modify(|times| *times += 1);
    }
}

/// A store that is reached by such a way, where there is a server.
async fn reached(dir: &Dir) -> Option<(Store, Way)> {
    let url = dir.database().await?;
    let server = url.split(['@', '/']).nth(3).unwrap().to_owned();
    let way = Way::to(server.clone()).await;
    let url = url.replace(&server, &way.address.to_string());
    Some((Store::connect(&url, operator(), entropy()).await.unwrap(), way))
}

async fn written(store: &Store) -> i64 {
    let row = sqlx::query("SELECT COUNT(*) AS n FROM guard_rails").fetch_one(store.reader()).await.unwrap();
    row.try_get("n").unwrap()
}

/// It held the right to write until the work itself was given up, and everybody was refused so long.
#[tokio::test]
async fn a_write_whose_server_is_lost_ends_by_itself_changes_nothing_and_the_next_one_goes() {
    let dir = Dir::new();
    let Some((store, way)) = reached(&dir).await else { return };
    let mut tx = store.write().await.unwrap();
    sqlx::query(ONE_MORE).execute(&mut *tx).await.unwrap();
    way.loses_all();
    let fault = sqlx::query("DELETE FROM guard_rails").execute(tx.within(SHORTLY)).await.unwrap_err();
    assert!(matches!(fault, Error::PoolTimedOut), "{fault}");
    let since = Instant::now();
    drop(tx);
    let mut next = store.write().await.unwrap();
    assert!(since.elapsed() < Engine::Postgres.patience(), "nothing is asked on what is silent: {:?}", since.elapsed());
    sqlx::query(ONE_MORE).execute(&mut *next).await.unwrap();
    next.commit().await.unwrap();
    assert_eq!(written(&store).await, 1, "the first one never was");
}

#[tokio::test]
async fn a_single_statement_whose_server_is_lost_ends_by_itself_and_the_next_one_goes() {
    let dir = Dir::new();
    let Some((store, way)) = reached(&dir).await else { return };
    let mut turn = store.turn().await.unwrap();
    way.loses_all();
    sqlx::query(ONE_MORE).execute(turn.within(SHORTLY)).await.unwrap_err();
    drop(turn);
    sqlx::query(ONE_MORE).execute(&mut *store.turn().await.unwrap()).await.unwrap();
    assert_eq!(written(&store).await, 1);
}

#[tokio::test]
async fn what_is_read_of_one_moment_from_a_server_that_is_lost_ends_by_itself_and_the_next_one_goes() {
    let dir = Dir::new();
    let Some((store, way)) = reached(&dir).await else { return };
    let mut moment = store.moment().await.unwrap();
    way.loses_all();
    let found = sqlx::query("SELECT name FROM guard_rails").fetch_all(moment.within(SHORTLY)).await;
    assert!(matches!(found, Err(Error::PoolTimedOut)));
    drop(moment);
    sqlx::query("SELECT name FROM guard_rails").fetch_all(&mut *store.moment().await.unwrap()).await.unwrap();
}
