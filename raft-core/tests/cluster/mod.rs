//! Several real runtimes in one process, joined by a wire that can be cut: the fault under test.

#![allow(dead_code, reason = "each test program uses its own part of it")]
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it set it up")]

mod ledger;
pub mod wire;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use proto::eraftpb::{ConfChangeSingle, ConfChangeType, ConfChangeV2, ConfState};
use raft_core::{
    Applied, BootTime, GroupConfig, GroupStatus, Handle, ProposeError, Role, Runtime, RuntimeConfig, Start,
};
use tempfile::TempDir;

pub use ledger::{Book, Ledger};
pub use wire::Wire;

/// The group that most tests use.
pub const GROUP: u64 = 7;
/// Waits end with a failure after this: generous, since the machine is shared.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// One member: its folder, its runtime while it is up, and what its state machine holds.
pub struct Member {
    pub id: u64,
    pub dir: TempDir,
    pub runtime: Option<Runtime>,
    pub book: Arc<Book>,
}

/// All of them and the wire between them.
pub struct Cluster {
    pub wire: Arc<Wire>,
    pub members: Vec<Member>,
    pub config: fn(u64) -> GroupConfig,
}

/// A PD group's timing.
pub fn pd(id: u64) -> GroupConfig {
    GroupConfig::pd(id)
}

pub fn voters(ids: &[u64]) -> ConfState {
    ConfState { voters: ids.to_vec(), ..ConfState::default() }
}

pub fn change(changes: &[(ConfChangeType, u64)]) -> ConfChangeV2 {
    let changes =
        changes.iter().map(|(t, id)| ConfChangeSingle { change_type: *t as i32, node_id: *id }).collect();
    ConfChangeV2 { changes, ..ConfChangeV2::default() }
}

impl Cluster {
    /// Members 1 to `n` that begin a group of all of them.
    pub async fn bootstrapped(n: u64, config: fn(u64) -> GroupConfig) -> Self {
        let mut cluster = Self { wire: Wire::new(), members: Vec::new(), config };
        let ids: Vec<u64> = (1..=n).collect();
        for id in &ids {
            cluster.add(*id);
        }
        for id in &ids {
            cluster.begin(*id, Start::Bootstrap(voters(&ids))).await;
        }
        cluster
    }

    /// A member whose runtime is up and has no group yet.
    pub fn add(&mut self, id: u64) {
        let dir = tempfile::tempdir().unwrap();
        let book = Book::open(dir.path().join("book"));
        self.members.push(Member { id, dir, runtime: None, book });
        self.up(id);
    }

    /// Starts a member's runtime.
    pub fn up(&mut self, id: u64) {
        let wire = self.wire.clone();
        let member = self.member_mut(id);
        let config =
            RuntimeConfig { name: id.to_string(), ..RuntimeConfig::pd(member.dir.path().join("raft")) };
        let orphans = wire.clone();
        let orphan = Box::new(move |e| orphans.orphan(e));
        let runtime = Runtime::start(config, wire.clone(), orphan).unwrap();
        wire.plug(id, runtime.handle().clone());
        member.runtime = Some(runtime);
    }

    /// Brings the group into being on a member.
    pub async fn begin(&mut self, id: u64, start: Start) {
        let config = (self.config)(id);
        let member = self.member_mut(id);
        let ledger = Box::new(Ledger::new(member.book.clone()));
        member.handle().create(GROUP, config, start, ledger).await.unwrap();
    }

    /// Ends a member at once: nothing is flushed, what its machine had only in memory is gone.
    pub fn kill(&mut self, id: u64) {
        self.wire.unplug(id);
        let member = self.member_mut(id);
        drop(member.runtime.take());
        member.book = Book::open(member.dir.path().join("book"));
    }

    /// Starts a killed member again.
    pub async fn restart(&mut self, id: u64) {
        self.up(id);
        self.begin(id, Start::Restart).await;
    }

    pub fn member(&self, id: u64) -> &Member {
        self.members.iter().find(|m| m.id == id).unwrap()
    }

    fn member_mut(&mut self, id: u64) -> &mut Member {
        self.members.iter_mut().find(|m| m.id == id).unwrap()
    }

    pub fn handle(&self, id: u64) -> Handle {
        self.member(id).handle().clone()
    }

    pub fn status(&self, id: u64) -> GroupStatus {
        self.member(id).status()
    }

    /// Waits until one of these members leads and has applied an entry of its term.
    pub async fn leader_among(&self, ids: &[u64]) -> u64 {
        eventually("a leader", || {
            ids.iter().copied().find(|id| {
                let s = self.status(*id);
                s.role == Role::Leader && s.applied_term == s.term
            })
        })
        .await
    }

    pub async fn leader(&self) -> u64 {
        let up: Vec<u64> = self.members.iter().filter(|m| m.runtime.is_some()).map(|m| m.id).collect();
        self.leader_among(&up).await
    }

    /// Proposes on whoever leads until it is applied.
    pub async fn write(&self, data: &str) -> Applied {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let leader = self.leader().await;
            match self.handle(leader).propose(GROUP, None, Bytes::from(data.to_owned())).await {
                Ok(applied) => return applied,
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
        }
    }

    /// Changes the membership through whoever leads.
    pub async fn change(&self, change: ConfChangeV2) -> Result<Applied, ProposeError> {
        let leader = self.leader().await;
        self.handle(leader).propose_conf_change(GROUP, None, change).await
    }

    /// Waits until a member's machine holds exactly these records.
    pub async fn holds(&self, id: u64, expected: &[&str]) {
        eventually(&format!("{id} holds {expected:?}"), || {
            (self.member(id).book.records() == expected).then_some(())
        })
        .await;
    }
}

impl Drop for Cluster {
    /// A test that failed while a book was held must not wait for ever for its runtime to end.
    fn drop(&mut self) {
        for member in &self.members {
            member.book.release();
        }
    }
}

impl Member {
    pub fn handle(&self) -> &Handle {
        self.runtime.as_ref().unwrap().handle()
    }

    pub fn status(&self) -> GroupStatus {
        let status = self.runtime.as_ref().and_then(|r| r.handle().status(GROUP));
        status.map(|s| s.borrow().clone()).unwrap_or_default()
    }

    /// Whether it holds the lease right now.
    pub fn leased(&self) -> Option<u64> {
        self.handle().lease(GROUP)?.check(BootTime::now())
    }
}

/// Waits for something that must come true.
pub async fn eventually<T>(what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = check() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
