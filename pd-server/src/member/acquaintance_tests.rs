use std::sync::mpsc;

use bytes::Bytes;
use parking_lot::Mutex;
use proto::eraftpb::{ConfChangeV2, ConfState};
use proto::raftcore::Envelope;
use raft_core::net::{Gatekeeper, Inbound, service};
use raft_core::{Committed, GroupStatus, StateMachine};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tonic::service::Routes;

use super::super::folder::DataFolder;
use super::super::{listen, register};
use super::*;
use crate::config::{Config, Flags};
use crate::keys::{self, Keys};
use crate::state::{Machine, testing};
use crate::tso::WallClock;

const CLUSTER_ID: u64 = 7;

/// A member as far as it greets and is greeted: its roster, and its state by hand.
struct Here {
    roster: Roster,
    machine: Machine,
    clock: Arc<WallClock>,
    other: Member,
    _dir: TempDir,
}

impl Here {
    /// In a group with member `pd-2` at this address.
    fn with_other(address: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = Config::load(&Flags::default()).unwrap();
        let folder = Arc::new(DataFolder::open(&dir.path().join("data"), &config.name).unwrap());
        let (machine, view) = Machine::open(dir.path().join("state")).unwrap();
        let clock = Arc::new(WallClock::default());
        let roster = Roster::new(&config, folder, view, Arc::clone(&clock));
        let other = Identity {
            name: "pd-2".into(),
            member_id: 2,
            incarnation: "two".into(),
            peer_urls: vec![format!("http://{address}")],
            ..Identity::default()
        };
        let members = vec![roster.identity().agreed_member(), other.agreed_member()];
        roster.agree(members, true).unwrap();
        let mut here = Self { roster, machine, clock, other: other.member(), _dir: dir };
        let data = testing::puts(1, [(Bytes::from(keys::CLUSTER_ID), keys::encode_be(CLUSTER_ID))]);
        here.machine.apply(vec![Committed::Normal { index: 1, term: 1, data }]).unwrap();
        here.roster.reload();
        here
    }

    fn is_removed(&self) -> bool {
        self.roster.removed().borrow().is_some()
    }
}

/// What the other one says of itself.
fn identity_of(other: &Member) -> Identity {
    Identity {
        name: other.name.clone(),
        member_id: other.id.0,
        incarnation: "two".into(),
        cluster_id: CLUSTER_ID,
        ..Identity::default()
    }
}

/// The other member as its peers see it: answers when it is told to, or refuses.
struct Other {
    answer: Bytes,
    refusal: Option<(String, Bytes)>,
    asked: mpsc::Sender<()>,
    go_on: Mutex<mpsc::Receiver<()>>,
}

impl Gatekeeper for Other {
    fn greeting(&self) -> Bytes {
        self.answer.clone()
    }

    fn admit(&self, _theirs: &[u8]) -> Result<(), String> {
        self.asked.send(()).unwrap();
        self.go_on.lock().recv().unwrap();
        self.refusal.as_ref().map_or(Ok(()), |(reason, _)| Err(reason.clone()))
    }

    fn notice(&self, _theirs: &[u8]) -> Bytes {
        self.refusal.as_ref().map_or_else(Bytes::new, |(_, notice)| notice.clone())
    }
}

struct Nowhere;

impl Inbound for Nowhere {
    fn envelope(&self, _envelope: Envelope) {}

    fn snapshot(&self, _envelope: Envelope, _file: std::path::PathBuf) {}

    fn snapshot_dir(&self) -> std::path::PathBuf {
        std::env::temp_dir()
    }
}

async fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

/// Whether the member believes that it was removed, when the other one, asked for a greeting, refuses like this; while it
/// hears of this leader.
async fn believes(leader: Option<u64>, refusal: impl Fn(&Here) -> (String, Identity)) -> bool {
    let (listener, address) = listener().await;
    let here = Here::with_other(&address);
    let status = GroupStatus { leader: leader.unwrap_or(0), ..GroupStatus::default() };
    let (_sender, status) = tokio::sync::watch::channel(status);
    here.roster.set_status(status);
    let (reason, word) = refusal(&here);
    let (asked, _asked) = mpsc::channel();
    let (go, go_on) = mpsc::channel();
    let other = Other {
        answer: Bytes::new(),
        refusal: Some((reason, word.to_bytes())),
        asked,
        go_on: Mutex::new(go_on),
    };
    go.send(()).unwrap();
    let routes = Routes::new(service(Arc::new(Nowhere), Arc::new(other))).prepare();
    let serving = tokio::spawn(listen::accept(listener, routes));
    assert!(!greet_member(&here.roster, &here.other).await);
    serving.abort();
    here.is_removed()
}

/// What a member says that knows of the removal of this one.
fn word(here: &Here) -> Identity {
    identity_of(&here.other).word_of_removal(here.roster.own().id)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn who_applies_the_removal_of_a_member_that_it_is_greeting_is_not_removed_itself() {
    let (listener, address) = listener().await;
    let Here { roster, mut machine, clock: _, other, _dir } = Here::with_other(&address);
    let roster = Arc::new(roster);
    let (asked, is_asked) = mpsc::channel();
    let (go, go_on) = mpsc::channel();
    let answer = identity_of(&other).to_bytes();
    let peer = Other { answer, refusal: None, asked, go_on: Mutex::new(go_on) };
    let routes = Routes::new(service(Arc::new(Nowhere), Arc::new(peer))).prepare();
    let serving = tokio::spawn(listen::accept(listener, routes));
    let greeting = tokio::spawn({
        let (roster, other) = (Arc::clone(&roster), other.clone());
        async move { greet_member(&roster, &other).await }
    });
    tokio::task::spawn_blocking(move || is_asked.recv().unwrap()).await.unwrap();

    // Its friendly answer comes once it is removed here.
    let context = testing::txn(1, register::remove(&Keys::new(CLUSTER_ID), &other));
    let change = ConfChangeV2 { context, ..ConfChangeV2::default() };
    let next = ConfState::default();
    machine.apply(vec![Committed::ConfChange { index: 2, term: 1, change, next }]).unwrap();
    roster.reload();
    go.send(()).unwrap();
    assert!(!greeting.await.unwrap(), "it talks with a removed member");
    serving.abort();
    assert_eq!(*roster.removed().borrow(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_removal_is_believed_when_it_names_this_member_of_this_cluster() {
    let text = "member pd with id 1 was removed from this group for good".to_owned();
    assert!(believes(None, |here| (text.clone(), word(here))).await);
    assert!(!believes(None, |_| (text.clone(), Identity::default())).await, "a text says nothing");
    let another = |here: &Here| Identity { removed_id: 9, ..word(here) };
    assert!(!believes(None, |here| (text.clone(), another(here))).await, "of somebody else");
    let elsewhere = |here: &Here| Identity { cluster_id: 8, ..word(here) };
    assert!(!believes(None, |here| (text.clone(), elsewhere(here))).await, "of another cluster");
    assert!(!believes(Some(3), |here| (text.clone(), word(here))).await, "a leader is heard");
    assert!(believes(Some(2), |here| (text.clone(), word(here))).await, "the leader itself says it");
}

#[test]
fn a_farewell_is_believed_from_whoever_has_the_cluster() {
    let here = Here::with_other("127.0.0.1:1");
    let stranger = Identity { name: "pd-9".into(), member_id: 9, ..word(&here) };
    here.roster.meet(&Identity { cluster_id: 8, ..stranger.clone() }.to_bytes(), None).unwrap();
    assert!(!here.is_removed());
    here.roster.meet(&stranger.to_bytes(), None).unwrap();
    assert!(here.is_removed());
}

#[test]
fn only_a_voters_clock_holds_back_and_not_for_ever() {
    let here = Here::with_other("127.0.0.1:1");
    let own = here.roster.own().id.0;
    let (group, status) = tokio::sync::watch::channel(GroupStatus::default());
    here.roster.set_status(status);
    let greet = |reading: Reading, voters: &[u64]| {
        let conf_state = ConfState { voters: voters.to_vec(), learners: vec![2], ..ConfState::default() };
        group.send_replace(GroupStatus { conf_state, ..GroupStatus::default() });
        here.roster.meet(&identity_of(&here.other).to_bytes(), Some(reading)).unwrap();
        here.clock.now_ms() < here.clock.unguarded_ms()
    };
    // An hour behind.
    let slow = Reading { wall_ms: here.clock.unguarded_ms() - 3_600_000, at: BootTime::now() };
    assert!(greet(slow, &[own, 2]), "a voter's");
    assert!(!greet(slow, &[own]), "a learner's");
    let mute_for_a_minute = Reading { at: BootTime(slow.at.0.saturating_sub(61_000_000_000)), ..slow };
    assert!(!greet(mute_for_a_minute, &[own, 2]), "one that is not heard of any more");
}
