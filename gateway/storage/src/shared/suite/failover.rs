//! A cluster of which a part is silent, gone, or replaced: the others' tenants go on, and theirs soon.

use std::time::{Duration, Instant};

use super::{
    server::breathe,
    stories::{ends, secs},
    *,
};
use crate::StoreFault;
use cardea_identity::session::EndReason;

/// A tenant whose slot the first, second or third master serves: told by where their keys go.
async fn tenants(cluster: &Cluster) -> [TenantId; 3] {
    let mut found = [None, None, None];
    for nth in 0.. {
        let of = tenant(&format!("t{nth}"));
        let slot: u16 = cluster.nodes[0].ask(&["CLUSTER", "KEYSLOT", &format!("{{{of}}}")]).await;
        found[usize::from(slot / 5_462)].get_or_insert(of);
        if let [Some(one), Some(two), Some(three)] = &found {
            return [one.clone(), two.clone(), three.clone()];
        }
    }
    unreachable!("there are tenants for all slots")
}

async fn under(cluster: &Cluster) -> Under {
    shared_in("cluster", &cluster.at(), (cluster.urls(), "f".to_owned()), Dir::new()).await
}

#[tokio::test]
async fn where_a_master_hangs_its_tenants_have_a_fault_within_a_second_and_the_others_go_on() {
    let cluster = Cluster::start(false, "15000").await;
    let (under, [hers, his, theirs]) = (under(&cluster).await, tenants(&cluster).await);
    let begun = [&hers, &his, &theirs].map(|of| session(of.as_str(), ada(), t0(), 1));
    for one in &begun {
        under.ours.session_insert(one).await.unwrap();
    }
    cluster.nodes[0].signal("STOP");
    for _ in 0..3 {
        let since = Instant::now();
        let fault = under.ours.session(&hers, begun[0].id).await.unwrap_err();
        assert!(matches!(fault, StoreFault::Redis(_)) && since.elapsed() < Duration::from_millis(1_500), "{fault:?}");
        for (of, one) in [(&his, &begun[1]), (&theirs, &begun[2])] {
            let since = Instant::now();
            assert_eq!(under.ours.session(of, one.id).await.unwrap().as_ref(), Some(one));
            assert!(since.elapsed() < Duration::from_millis(500), "held up for {:?}", since.elapsed());
        }
        under.ours.ping().await.unwrap();
    }
    cluster.nodes[0].signal("CONT");
    while under.ours.session(&hers, begun[0].id).await.is_err() {
        breathe().await;
    }
    assert_eq!(under.ours.session(&hers, begun[0].id).await.unwrap().as_ref(), Some(&begun[0]));
}

/// Killed, and hanging: the second closes no connection.
#[tokio::test]
async fn a_replica_that_takes_over_is_found_and_knows_what_was_ended() {
    for hangs in [false, true] {
        let cluster = Cluster::start(true, "1000").await;
        let (under, [hers, his, _]) = (under(&cluster).await, tenants(&cluster).await);
        let (ended, lives) = (session(hers.as_str(), ada(), t0(), 1), session(hers.as_str(), ada(), t0(), 2));
        let other = session(his.as_str(), ada(), t0(), 3);
        for one in [&ended, &lives, &other] {
            under.ours.session_insert(one).await.unwrap();
        }
        let end = ends(EndReason::SignedOut, 1);
        assert!(under.ours.session_end(&hers, ended.id, end).await.unwrap());
        cluster.replicated().await;
        if hangs {
            cluster.nodes[0].signal("STOP");
        } else {
            cluster.nodes[0].kill();
        }
        let found = async {
            loop {
                match under.ours.session(&hers, lives.id).await {
                    Ok(found) => break found,
                    Err(_) => assert_eq!(under.theirs.session(&his, other.id).await.unwrap().as_ref(), Some(&other)),
                }
            }
        };
        let found = tokio::time::timeout(secs(20), found).await.expect("whoever took over is not found");
        assert_eq!(found.as_ref(), Some(&lives), "hangs: {hangs}");
        assert_eq!(under.ours.session(&hers, ended.id).await.unwrap().unwrap().ended, Some(end));
        under.ours.attempt(&hers, &limit("k"), t0()).await.unwrap();
    }
}

#[tokio::test]
async fn what_is_there_is_told_and_what_is_not_as_it_was_named() {
    let cluster = Cluster::of_all().await;
    let told = RedisShared::reach(&cluster.at()).await.unwrap();
    assert!(told.starts_with("Redis Cluster ") && told.ends_with(", 3 masters"), "{told}");
    let node = RedisAt::One(Secret::new(cluster.nodes[0].url()));
    let fault = RedisShared::reach(&node).await.unwrap_err();
    assert!(matches!(&fault, StoreFault::Cluster(why) if why.contains("cluster =")), "{fault:?}");
    let single = redis().await;
    let url = Secret::new(single.kept_in.0[0].clone());
    assert!(RedisShared::reach(&RedisAt::One(url.clone())).await.unwrap().starts_with("Redis "));
    RedisShared::reach(&RedisAt::Cluster(vec![url])).await.unwrap_err();
    // Another is asked where the first does not answer.
    let gone = Secret::new("redis://127.0.0.1:1".to_owned());
    let told = RedisShared::reach(&RedisAt::Cluster(vec![gone, Secret::new(cluster.nodes[1].url())])).await.unwrap();
    assert!(told.ends_with("3 masters"), "{told}");
}

/// Redis replicates behind its answers: what it had said to one gateway may be news to whoever takes over.
#[tokio::test]
async fn what_was_ended_stays_so_where_a_replica_takes_over_that_had_not_heard() {
    let cluster = Cluster::start(true, "1000").await;
    let (under, [hers, ..]) = (under(&cluster).await, tenants(&cluster).await);
    let begun = session(hers.as_str(), ada(), t0(), 1);
    under.ours.session_insert(&begun).await.unwrap();
    cluster.replicated().await;
    cluster.nodes[3].signal("STOP");
    let end = ends(EndReason::SignedOut, 1);
    assert!(under.ours.session_end(&hers, begun.id, end).await.unwrap());
    cluster.nodes[0].kill();
    cluster.nodes[3].signal("CONT");
    let found = async {
        loop {
            if let Ok(found) = under.theirs.session(&hers, begun.id).await {
                break found;
            }
        }
    };
    let found = tokio::time::timeout(secs(20), found).await.expect("whoever took over is not found");
    assert_eq!(found.unwrap().ended, Some(end));
}

#[tokio::test]
async fn a_slot_that_moves_to_another_master_is_followed_there() {
    let cluster = Cluster::start(false, "15000").await;
    let (under, [hers, ..]) = (under(&cluster).await, tenants(&cluster).await);
    let [lives, ended] = [1, 2].map(|seed| session(hers.as_str(), ada(), t0(), seed));
    for one in [&lives, &ended] {
        under.ours.session_insert(one).await.unwrap();
    }
    let [from, to, _] = &cluster.nodes[..] else { unreachable!("three nodes") };
    let slot: u16 = from.ask(&["CLUSTER", "KEYSLOT", &format!("{{{hers}}}")]).await;
    let slot = slot.to_string();
    let (ours, theirs): (String, String) = (from.ask(&["CLUSTER", "MYID"]).await, to.ask(&["CLUSTER", "MYID"]).await);
    let () = to.ask(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &ours]).await;
    let () = from.ask(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &theirs]).await;
    let keys: Vec<Vec<u8>> = from.ask(&["CLUSTER", "GETKEYSINSLOT", &slot, "100"]).await;
    assert_eq!(keys.len(), 4, "{keys:?}");
    for key in &keys {
        let words: [&[u8]; 6] = [b"MIGRATE", b"127.0.0.1", to.port().as_bytes(), key, b"0", b"5000"];
        let () = from.ask(&words).await;
        // Half of it is here and half there: each is found where it is.
        for one in [&lives, &ended] {
            assert_eq!(
                under.ours.session(&hers, one.id).await.unwrap().as_ref(),
                Some(one),
                "after {}",
                key.escape_ascii()
            );
        }
    }
    for node in [to, from] {
        let () = node.ask(&["CLUSTER", "SETSLOT", &slot, "NODE", &theirs]).await;
    }
    let end = ends(EndReason::SignedOut, 1);
    assert!(under.ours.session_end(&hers, ended.id, end).await.unwrap());
    assert_eq!(under.theirs.sessions_of_user(&hers, ada(), t0()).await.unwrap(), [lives]);
}
