//! Members in one process, over real sockets and files: how a group begins, serves, loses members and comes back.

#![allow(clippy::unwrap_used, reason = "a test ends where something is not as expected")]

use std::borrow::Borrow;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::StreamExt;
use pd_server::PD_GROUP;
use pd_server::cluster::Tenures;
use pd_server::config::{Config, Flags};
use pd_server::grpc::{Gate, Refusal};
use pd_server::leadership::{NotLeader, Term};
use pd_server::member::FolderError;
use pd_server::metrics::Metrics;
use pd_server::pd::{Pd, StartError};
use pd_server::state::{Compare, KeyRange, KvError, Op, Revision, Txn};
use pd_server::tso::{Timestamp, TsoError, WallClock};
use proto::pdpb;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tonic::Code;

/// Generous: the machine may be busy with other tests.
const DEADLINE: Duration = Duration::from_secs(30);

struct Group {
    dir: TempDir,
    configs: Vec<Flags>,
}

impl Group {
    fn new(size: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        // Held until all are chosen, so that no port is chosen twice.
        let held: Vec<_> =
            (0..2 * size).map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let urls: Vec<_> =
            held.iter().map(|socket| format!("http://{}", socket.local_addr().unwrap())).collect();
        let name = |i: usize| format!("pd{}", i + 1);
        let initial = (0..size).map(|i| format!("{}={}", name(i), urls[2 * i])).collect::<Vec<_>>().join(",");
        let configs = (0..size).map(|i| Flags {
            name: Some(name(i)),
            data_dir: Some(dir.path().join(name(i))),
            peer_urls: Some(urls[2 * i].clone()),
            client_urls: Some(urls[2 * i + 1].clone()),
            initial_cluster: Some(initial.clone()),
            ..Flags::default()
        });
        Self { configs: configs.collect(), dir }
    }

    fn folder(&self, i: usize) -> &Path {
        self.configs[i].data_dir.as_deref().unwrap()
    }

    async fn start(&self, i: usize) -> Result<Pd, StartError> {
        self.start_wrong_by(i, 0).await
    }

    /// With a wall clock that is wrong.
    async fn start_wrong_by(&self, i: usize, shift_ms: i64) -> Result<Pd, StartError> {
        let begun = Instant::now();
        loop {
            let config = Config::load(&self.configs[i]).unwrap();
            match Pd::start_with(config, WallClock::wrong_by(shift_ms)).await {
                // A member that has just stopped in this process lets go of its files when its last task is gone.
                Err(StartError::Folder(FolderError::InUse { .. }) | StartError::Io(_))
                    if begun.elapsed() < DEADLINE =>
                {
                    sleep(Duration::from_millis(20)).await;
                }
                other => return other,
            }
        }
    }

    async fn start_all(&self) -> Vec<Pd> {
        let members = futures::future::join_all((0..self.configs.len()).map(|i| self.start(i))).await;
        members.into_iter().map(Result::unwrap).collect()
    }
}

/// Waits until one of them can serve; its place and term.
async fn leader(members: &[impl Borrow<Pd>]) -> (usize, Term) {
    let begun = Instant::now();
    loop {
        for (i, member) in members.iter().enumerate() {
            if let Ok(term) = member.borrow().leadership.check() {
                return (i, term);
            }
        }
        assert!(begun.elapsed() < DEADLINE, "no leader");
        sleep(Duration::from_millis(5)).await;
    }
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < DEADLINE, "{what}");
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lone_member_comes_back_with_all_it_gave_out() {
    let group = Group::new(1);
    let pd = group.start(0).await.unwrap();
    let (_, term) = leader(std::slice::from_ref(&pd)).await;
    let (cluster_id, member_id) = (pd.cluster_id(), pd.members.own().id);
    assert_ne!(cluster_id, 0);
    assert_eq!(pd.leadership.leader_to_name().await.unwrap().id, member_id);

    // Ids: from 1 on, in a row, over the end of a window.
    assert_eq!(pd.ids.alloc(term, 1).await, Ok(1));
    assert_eq!(pd.ids.alloc(term, 5).await, Ok(6));
    assert_eq!(pd.ids.alloc(term, 0).await, Ok(7));
    assert_eq!(pd.ids.alloc(term, 2_000).await, Ok(2_007));

    // The state: history from the beginning, conditions, watches.
    let before = pd.kv.revision();
    let mut watch = pd.kv.watch(KeyRange::prefix("test/"), Some(Revision(1))).unwrap();
    let txn =
        Txn::of(vec![Op::put("test/a", "1")]).when(Compare::absent("test/a")).otherwise(Op::get("test/a"));
    let done = pd.kv.txn(term, txn.clone()).await.unwrap();
    assert!(done.succeeded && done.revision > before);
    assert!(!pd.kv.txn(term, txn).await.unwrap().succeeded);
    let seen = watch.next().await.unwrap();
    assert_eq!((seen.events.len(), seen.events[0].kv.key.as_ref()), (1, &b"test/a"[..]));
    let stale = pd.kv.put(Term(term.0 - 1), "test/b", "2").await.unwrap_err();
    assert!(matches!(stale, KvError::Propose(_)), "{stale}");

    let last = pd.tso.request(10).await.unwrap().timestamp;
    pd.leadership.hand_over().await;
    pd.stop().await;
    assert_eq!(pd.leadership.check(), Err(NotLeader));
    drop((pd, watch));

    let pd = group.start(0).await.unwrap();
    let (_, next_term) = leader(std::slice::from_ref(&pd)).await;
    assert!(next_term > term);
    assert_eq!((pd.cluster_id(), pd.members.own().id), (cluster_id, member_id));
    assert_eq!(pd.kv.get(b"test/a").unwrap().unwrap().value, "1");
    assert_eq!(pd.ids.alloc(next_term, 1).await, Ok(2_008), "behind all that was reserved");
    assert!(pd.tso.request(1).await.unwrap().timestamp > last);
    pd.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_not_right_is_refused() {
    let group = Group::new(1);
    let pd = group.start(0).await.unwrap();
    leader(std::slice::from_ref(&pd)).await;
    let in_use = Pd::start(Config::load(&group.configs[0]).unwrap()).await.err().unwrap();
    assert!(matches!(in_use, StartError::Folder(FolderError::InUse { .. })), "{in_use}");
    pd.stop().await;
    drop(pd);

    let renamed = Flags { name: Some("other".into()), initial_cluster: None, ..group.configs[0].clone() };
    let begun = Instant::now();
    let error = loop {
        match Pd::start(Config::load(&renamed).unwrap()).await.err().unwrap() {
            StartError::Folder(FolderError::InUse { .. }) if begun.elapsed() < DEADLINE => {
                sleep(Duration::from_millis(20)).await;
            }
            other => break other.to_string(),
        }
    };
    assert!(error.contains("belongs to member pd1, not to other"), "{error}");

    // The vote that it cast is in the log: without it the member must not come back.
    std::fs::remove_dir_all(group.folder(0).join("raft")).unwrap();
    let error = group.start(0).await.err().unwrap().to_string();
    assert!(error.contains("the Raft log in") && error.contains("has voted"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn three_members_find_each_other_and_outlive_their_leader() {
    let group = Group::new(3);
    let mut members = group.start_all().await;
    let (first, term) = leader(&members).await;
    let leader_id = members[first].members.own().id;
    let ids: BTreeSet<_> = members.iter().map(|member| member.members.own().id).collect();
    assert_eq!(ids.len(), 3);

    // All tell the same, and only the leader serves.
    for (i, member) in members.iter().enumerate() {
        assert_eq!(member.leadership.leader_to_name().await.unwrap().id, leader_id);
        assert_eq!(member.cluster_id(), members[first].cluster_id());
        let listed: Vec<_> = member.members.list().into_iter().map(|member| member.id).collect();
        assert_eq!(listed, ids.iter().copied().collect::<Vec<_>>());
        if i != first {
            assert_eq!(member.leadership.serve().await, Err(NotLeader));
            assert_eq!(member.tso.request(1).await, Err(TsoError::NotLeader));
            assert!(member.kv.put(term, "k", "v").await.is_err());
            assert_eq!(members[first].members.healthy(member.members.own().id), Some(true));
        }
    }
    let leader_record = format!("/pd/{}/leader", members[first].cluster_id());
    until("records are replicated", || {
        members.iter().all(|member| {
            member.kv.get(leader_record.as_bytes()).unwrap().is_some()
                && member.members.list().iter().all(|member| !member.binary_version.is_empty())
        })
    })
    .await;
    let first_id = members[first].ids.alloc(term, 1).await.unwrap();
    let first_timestamp = members[first].tso.request(1).await.unwrap().timestamp;
    assert!(first_timestamp > Timestamp::default());

    // It hands over and stops; the rest go on above all that it gave out.
    let lost = members[first].leadership.lost(term);
    members[first].leadership.hand_over().await;
    lost.await;
    assert_eq!(members[first].tso.request(1).await, Err(TsoError::NotLeader));
    let stopped = members.remove(first);
    stopped.stop().await;
    drop(stopped);
    let (second, next_term) = leader(&members).await;
    assert!(next_term > term);
    assert!(members[second].tso.request(1).await.unwrap().timestamp > first_timestamp);
    assert!(members[second].ids.alloc(next_term, 1).await.unwrap() > first_id);
    assert!(members[second].kv.put(term, "k", "v").await.is_err(), "of the former term");

    // It comes back and catches up.
    members[second].kv.put(next_term, "written/meanwhile", "yes").await.unwrap();
    let back = group.start(first).await.unwrap();
    until("the member catches up", || back.kv.get(b"written/meanwhile").unwrap().is_some()).await;

    // With an empty folder it would be someone else under its name.
    back.stop().await;
    drop(back);
    let begun = Instant::now();
    let wiped = group.dir.path().join("wiped");
    let flags = Flags { data_dir: Some(wiped), ..group.configs[first].clone() };
    let refused = loop {
        match Pd::start(Config::load(&flags).unwrap()).await.err().unwrap() {
            StartError::Io(_) | StartError::Folder(FolderError::InUse { .. })
                if begun.elapsed() < DEADLINE =>
            {
                sleep(Duration::from_millis(20)).await;
            }
            other => break other.to_string(),
        }
    };
    assert!(refused.contains("its data folder was lost or replaced"), "{refused}");
    for member in &members {
        member.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn members_that_mean_different_groups_do_not_begin() {
    let group = Group::new(2);
    let mut other = group.configs[1].clone();
    let third = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    other.initial_cluster = Some(format!("{},pd3=http://{third}", other.initial_cluster.unwrap()));
    // Whoever asks first is told and ends; the other goes on waiting for it.
    let error = tokio::select! {
        ended = Pd::start(Config::load(&group.configs[0]).unwrap()) => ended.err().unwrap(),
        ended = Pd::start(Config::load(&other).unwrap()) => ended.err().unwrap(),
    };
    assert!(error.to_string().contains("all first members need the same"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_was_away_for_long_gets_a_snapshot() {
    let group = Group::new(3);
    let mut members = group.start_all().await;
    let (leading, _) = leader(&members).await;
    let away = (leading + 1) % 3;
    let gone = members.remove(away);
    gone.stop().await;
    drop(gone);
    let status = |leading: usize| members[leading].raft.status(PD_GROUP).unwrap().borrow().clone();
    let missing = status(leader(&members).await.0).last + 1;
    // Until the log does not hold any more what it misses. The lead may move meanwhile on a busy machine.
    let kv = loop {
        let (leading, term) = leader(&members).await;
        let kv = &members[leading].kv;
        if status(leading).first > missing {
            break kv;
        }
        futures::stream::iter(0..2_000u32)
            .for_each_concurrent(512, |i| async move {
                // What was not written because the lead moved is missing on all of them.
                let _ = kv.put(term, format!("many/{}", i % 500), i.to_string()).await;
            })
            .await;
    };
    let back = group.start(away).await.unwrap();
    let all = KeyRange::prefix("many/");
    let expected = kv.range(&all, 0, None).unwrap().kvs;
    until("the member has all", || back.kv.range(&all, 0, None).unwrap().kvs == expected).await;
    // Counted when the installation has ended, which is a moment after readers see it.
    until("it came by snapshot", || back.raft.counters().snapshots_received.load(Ordering::Relaxed) == 1)
        .await;
    // Its history is the same, too.
    let old = Revision(kv.revision().0 - 5_000);
    assert_eq!(back.kv.range(&all, 0, Some(old)).unwrap().kvs, kv.range(&all, 0, Some(old)).unwrap().kvs);
    for member in members.iter().chain([&back]) {
        member.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_far_ahead_gets_into_no_timestamp() {
    const HOUR_MS: i64 = 3_600_000;
    let group = Group::new(3);
    let members = group.start_all().await;
    let (first, _) = leader(&members).await;
    let given = members[first].tso.request(1).await.unwrap().timestamp.physical_ms;
    for member in &members {
        member.stop().await;
    }
    drop(members);

    // All come back but the third, which takes connections and never answers; the first one's clock is an hour ahead.
    let address = group.configs[2].peer_urls.as_deref().unwrap().strip_prefix("http://").unwrap().to_owned();
    let begun = Instant::now();
    let _silent = loop {
        match std::net::TcpListener::bind(&address) {
            Ok(listener) => break listener,
            Err(error) => assert!(begun.elapsed() < DEADLINE, "{error}"),
        }
        sleep(Duration::from_millis(20)).await;
    };
    let (wrong, right) = tokio::join!(group.start_wrong_by(0, HOUR_MS), group.start(1));
    let members = [wrong.unwrap(), right.unwrap()];
    // Whoever leads first, the one with the wrong clock leads, too.
    let mut led = false;
    while !led {
        let (leading, _) = leader(&members).await;
        let now = members[leading].tso.request(1).await.map(|reply| reply.timestamp.physical_ms);
        if let Ok(now) = now {
            let after = now - given;
            assert!((0..HOUR_MS / 2).contains(&after), "member {leading} is {after} ms on");
            led = leading == 0;
        }
        if !led {
            members[leading].leadership.hand_over().await;
        }
        assert!(begun.elapsed() < DEADLINE, "the first member does not lead");
    }
    for member in &members {
        member.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_leaves_only_from_a_leader() {
    let group = Group::new(1);
    let pd = Arc::new(group.start(0).await.unwrap());
    leader(std::slice::from_ref(&pd)).await;
    let metrics = Arc::new(Metrics::default());
    let tenures = Tenures::start(Arc::clone(&pd), Arc::clone(&metrics), CancellationToken::new());
    let gate = Gate::new(Arc::clone(&pd), tenures, metrics);
    for ends in [false, true] {
        let header = Some(pdpb::RequestHeader { cluster_id: pd.cluster_id(), ..Default::default() });
        let request = tonic::Request::new(pdpb::GetStoreRequest { header, store_id: 7 });
        let pd = Arc::clone(&pd);
        let work = |_, request: pdpb::GetStoreRequest| async move {
            // The lead is lost between the look at the state and the answer.
            if ends {
                pd.stop().await;
            }
            Err::<pdpb::GetStoreResponse, _>(Refusal::unknown(format!(
                "store {} not found",
                request.store_id
            )))
        };
        let answer = gate.lead(request, work).await;
        if ends {
            let status = answer.unwrap_err();
            assert_eq!((status.code(), status.message()), (Code::Unavailable, "not leader"));
        } else {
            let error = answer.unwrap().into_inner().header.unwrap().error.unwrap();
            assert_eq!(error.message, "store 7 not found");
        }
    }
}
