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
    engine::SOON,
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

/// An end was waited for twelve seconds, and what came later was told as failed although it was done.
#[tokio::test]
async fn an_end_of_a_write_is_waited_for_as_long_as_its_statements() {
    let dir = Dir::new();
    let Some((store, way)) = reached(&dir).await else { return };
    assert_eq!(store.write().await.unwrap().limit(), STATEMENT, "and the server gives a statement thirty seconds");
    let mut tx = store.write().await.unwrap();
    sqlx::query(ONE_MORE).execute(&mut *tx).await.unwrap();
    tx.within(SHORTLY);
    way.loses_all();
    let since = Instant::now();
    let fault = tx.commit().await.unwrap_err();
    assert!(since.elapsed() < SOON, "another limit: {:?}, {fault}", since.elapsed());
    sqlx::query("DELETE FROM guard_rails").execute(&mut *store.turn().await.unwrap()).await.unwrap();
    assert_eq!(written(&store).await, 0);
}

/// The server works at the end itself: what is put off until then takes its time.
#[tokio::test]
async fn an_end_that_takes_its_time_is_one() {
    let dir = Dir::new();
    let Some((store, _way)) = reached(&dir).await else { return };
    let slow = "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS \
                'BEGIN PERFORM pg_sleep(0.3); RETURN NULL; END'; \
                CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON guard_rails DEFERRABLE INITIALLY DEFERRED \
                FOR EACH ROW EXECUTE FUNCTION slow();";
    let mut tx = store.write().await.unwrap();
    tx.tell(slow.to_owned(), SOON).await.unwrap();
    tx.commit().await.unwrap();
    for (limit, done) in [(SHORTLY, false), (STATEMENT, true)] {
        let mut tx = store.write().await.unwrap();
        sqlx::query("DELETE FROM guard_rails").execute(&mut *tx).await.unwrap();
        sqlx::query(ONE_MORE).execute(&mut *tx).await.unwrap();
        tx.within(limit);
        assert_eq!(tx.commit().await.is_ok(), done, "{limit:?}");
    }
    assert_eq!(written(&store).await, 1);
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
