//! What a leader does in its term: makes itself ready, and keeps what only a leader keeps.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use prost::Message;
use proto::keyspacepb::{KeyspaceMeta, KeyspaceState, keyspace_meta};
use proto::resource_manager::{
    Consumption, GroupMode, GroupRequestUnitSettings, KeyspaceIdValue, ResourceGroup, TokenBucket,
    TokenLimitSettings, keyspace_id_value,
};
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, info, warn};

use super::{Leadership, Term};
use crate::keys::{self, Keys};
use crate::member::{self, Members, Membership};
use crate::state::{Compare, Kv, KvError, Op, Revision, Txn};
use crate::tso::{Standing, TsoHandle, WallClock, Window};

/// How often the bound of timestamps is raised: a third of how far ahead of the wall it is, so that a slow write or
/// two do no harm.
const BOUND_PAUSE: Duration = Duration::from_secs(1);

/// Pause before a failed write is tried again. Losing the lead ends the tenure from outside.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// How often the log says that the clocks of the others are waited for.
const CLOCKS_PATIENCE: Duration = Duration::from_secs(1);

/// How much of the history of the state is kept for watchers that fell behind (etcd's own default).
const HISTORY_KEPT: Duration = Duration::from_secs(60 * 60);

/// How often the start of the history is moved.
const COMPACTION_PAUSE: Duration = Duration::from_secs(5 * 60);

/// The configuration of clients' resource control, as tikv/pd writes it at its start: clients wait until it is there.
const CONTROLLER: &str = concat!(
    r#"{"degraded-mode-wait-duration":"0s","ltb-max-wait-duration":"30s","ltb-token-rpc-max-delay":"1s","#,
    r#""request-unit":{"read-base-cost":0.125,"read-per-batch-base-cost":0.5,"#,
    r#""read-cost-per-byte":0.0000152587890625,"write-base-cost":1,"write-per-batch-base-cost":1,"#,
    r#""write-cost-per-byte":0.0009765625,"read-cpu-ms-cost":0.3333333333333333},"#,
    r#""enable-controller-trace-log":"false","push-metrics-address":"","push-metrics-interval":"0s"}"#,
);

/// The keyspace of clients that name none.
const DEFAULT_KEYSPACE: &str = "DEFAULT";
const DEFAULT_KEYSPACE_ID: u32 = 0;

/// One term of this member as leader.
pub(super) struct Tenure {
    pub(super) term: Term,
    pub(super) leadership: Leadership,
    pub(super) kv: Kv,
    pub(super) members: Members,
    pub(super) membership: Membership,
    pub(super) tso: TsoHandle,
    pub(super) clock: Arc<WallClock>,
}

impl Tenure {
    /// Runs until it is dropped, which is when the lead is lost.
    pub(super) async fn run(self) {
        self.tso.set_standing(Standing::Preparing);
        self.compare_clocks().await;
        let (keys, window) = loop {
            match self.prepare().await {
                Ok(prepared) => break prepared,
                Err(error) => {
                    debug!(term = self.term.0, %error, "leader not ready yet");
                    sleep(RETRY_PAUSE).await;
                }
            }
        };
        self.tso.set_standing(Standing::Serving(window));
        self.leadership.set_ready(self.term);
        let own = self.members.own();
        info!(
            name = own.name,
            pid = std::process::id(),
            term = self.term.0,
            member_id = own.id.0,
            "leader elected"
        );
        tokio::join!(
            self.keep_bound(&keys, window),
            self.keep_records(&keys),
            self.membership.tend(self.term),
            self.keep_history()
        );
    }

    /// Waits until the clocks of a majority are known, so that a wrong own clock gets into no bound (rule 6): what is once
    /// in a bound never comes back. A member that has run for a while knows them; one that has just started greets the
    /// others, and a leader has reached a majority of them.
    async fn compare_clocks(&self) {
        let voters = self.leadership.status.borrow().conf_state.voters.len();
        while timeout(CLOCKS_PATIENCE, self.clock.compared(voters)).await.is_err() {
            warn!(term = self.term.0, "no timestamps yet: the clocks of too few members are known");
        }
    }

    /// The order matters: the cluster's id first, since keys lie under it, then the bound, from which this member may
    /// give timestamps; what clients wait for before they are told of this leader.
    async fn prepare(&self) -> Result<(Keys, Window), KvError> {
        let cluster_id = match self.kv.cluster_id() {
            Some(id) => id,
            None => self.draw_cluster_id().await?,
        };
        let keys = Keys::new(cluster_id);
        let bound = self.kv.raise_bound(self.term, keys.timestamp(), self.clock.now_ns()).await?;
        self.seed(Bytes::from_static(keys::RESOURCE_GROUP_DEFAULT), default_resource_group()).await?;
        let controller = Bytes::from_static(CONTROLLER.as_bytes());
        self.seed(Bytes::from_static(keys::RESOURCE_GROUP_CONTROLLER), controller).await?;
        let created_at = self.clock.now_ns() / 1_000_000_000;
        self.seed(keys.keyspace_meta(DEFAULT_KEYSPACE_ID), default_keyspace(created_at)).await?;
        self.seed(keys.keyspace_id(DEFAULT_KEYSPACE), keys::encode_decimal(DEFAULT_KEYSPACE_ID.into()))
            .await?;
        Ok((keys, Window::new(self.term.0, bound)))
    }

    /// Draws an id, unless the log holds one that this member has not applied yet.
    async fn draw_cluster_id(&self) -> Result<u64, KvError> {
        let seconds = self.clock.now_ns() / 1_000_000_000;
        let drawn = (seconds << 32) | u64::from(rand::random::<u32>()).max(1);
        let put = Op::put(keys::CLUSTER_ID, keys::encode_be(drawn));
        let written =
            self.kv.txn(self.term, Txn::of(vec![put]).when(Compare::absent(keys::CLUSTER_ID))).await?;
        if written.succeeded {
            info!(cluster_id = drawn, "cluster id drawn");
        }
        self.kv.cluster_id().ok_or_else(|| KvError::Storage("the cluster's id cannot be read".into()))
    }

    async fn seed(&self, key: Bytes, value: Bytes) -> Result<(), KvError> {
        if self.kv.get(&key)?.is_none() {
            let put = Txn::of(vec![Op::put(key.clone(), value)]);
            self.kv.txn(self.term, put.when(Compare::absent(key))).await?;
        }
        Ok(())
    }

    /// Raises the bound ahead of what is given out, every second and whenever the owner has used up its window.
    async fn keep_bound(&self, keys: &Keys, first: Window) {
        let mut pause = BOUND_PAUSE;
        loop {
            // Whichever comes first.
            let _ = timeout(pause, self.tso.bound_wanted()).await;
            pause = match self.kv.raise_bound(self.term, keys.timestamp(), self.clock.now_ns()).await {
                Ok(bound) => {
                    let bound_ms = Window::new(self.term.0, bound).bound_ms;
                    self.tso.set_standing(Standing::Serving(Window { bound_ms, ..first }));
                    BOUND_PAUSE
                }
                Err(error) => {
                    warn!(term = self.term.0, %error, "bound of timestamps not raised");
                    RETRY_PAUSE
                }
            };
        }
    }

    /// Writes down what members say of themselves: this one at once, the others when they greet.
    async fn keep_records(&self, keys: &Keys) {
        let mut changed = self.members.roster().changed();
        let mut leader_written = false;
        loop {
            changed.borrow_and_update();
            let mut txn = member::put(keys, &self.members.roster().unrecorded());
            if !leader_written {
                txn.then.push(member::put_leader(keys, self.members.own()));
            }
            if !txn.then.is_empty() {
                match self.kv.txn(self.term, txn).await {
                    Ok(done) if done.succeeded => leader_written = true,
                    // One of them was removed meanwhile: without it now.
                    Ok(_) => {
                        sleep(RETRY_PAUSE).await;
                        continue;
                    }
                    Err(error) => {
                        warn!(term = self.term.0, %error, "records of members not written");
                        sleep(RETRY_PAUSE).await;
                        continue;
                    }
                }
            }
            if changed.changed().await.is_err() {
                return;
            }
        }
    }

    /// Gives up the history of the state beyond an hour, as seen by this leader.
    async fn keep_history(&self) {
        let mut past: VecDeque<(Instant, Revision)> = VecDeque::new();
        loop {
            sleep(COMPACTION_PAUSE).await;
            past.push_back((Instant::now(), self.kv.revision()));
            let mut start = None;
            while let Some((_, revision)) = past.pop_front_if(|(at, _)| at.elapsed() >= HISTORY_KEPT) {
                start = Some(revision);
            }
            if let Some(revision) = start {
                match self.kv.compact(self.term, revision).await {
                    Ok(start) => debug!(start = start.0, "history compacted"),
                    Err(error) => warn!(term = self.term.0, %error, "history not compacted"),
                }
            }
        }
    }
}

/// The record of the keyspace that is always there, as tikv/pd writes it.
fn default_keyspace(created_at_s: u64) -> Bytes {
    let created_at = i64::try_from(created_at_s).unwrap_or(i64::MAX);
    let meta = KeyspaceMeta {
        name: DEFAULT_KEYSPACE.to_owned(),
        state: KeyspaceState::Enabled.into(),
        created_at,
        state_changed_at: created_at,
        config: [("region_bound_type".to_owned(), "txn".to_owned())].into(),
        keyspace: Some(keyspace_meta::Keyspace::Id(DEFAULT_KEYSPACE_ID)),
    };
    meta.encode_to_vec().into()
}

/// The group that everything falls into that names none: without a limit.
fn default_resource_group() -> Bytes {
    let settings = TokenLimitSettings {
        fill_rate: i32::MAX.cast_unsigned().into(),
        burst_limit: -1,
        ..Default::default()
    };
    let group = ResourceGroup {
        name: "default".into(),
        mode: GroupMode::RuMode.into(),
        r_u_settings: Some(GroupRequestUnitSettings {
            r_u: Some(TokenBucket { settings: Some(settings), ..TokenBucket::default() }),
        }),
        priority: 8,
        ru_stats: Some(Consumption::default()),
        keyspace_id: Some(KeyspaceIdValue { keyspace: Some(keyspace_id_value::Keyspace::Value(u32::MAX)) }),
        ..ResourceGroup::default()
    };
    group.encode_to_vec().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_what_tikv_pd_writes() {
        let recorded = "0a0764656661756c7410011a150a130a1108ffffffff0710ffffffffffffffffff01\
                        280842004a0608ffffffff0f";
        assert_eq!(hex::encode(default_resource_group()), recorded);
        let controller: serde_json::Value = serde_json::from_str(CONTROLLER).unwrap();
        assert_eq!(controller["request-unit"]["read-cpu-ms-cost"], 0.333_333_333_333_333_3);
        assert_eq!(
            (CONTROLLER.len(), crc32fast::hash(CONTROLLER.as_bytes())),
            (424, 4_166_245_779),
            "byte by byte"
        );
    }
}
