//! One member of the placement driver: its parts, built in the order in which they need each other.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use proto::eraftpb::ConfState;
use raft_core::net::Peers;
use raft_core::{BootTime, GroupConfig, Runtime, RuntimeConfig, Start, StateMachine};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::PD_GROUP;
use crate::config::{Config, Online};
use crate::ids::Ids;
use crate::keys::{self, Keys};
use crate::leadership::Leadership;
use crate::member::{
    self, ClusterService, DataFolder, Door, FolderError, Members, Membership, PeerListeners, Refused, Roster,
};
use crate::state::{Kv, Machine, View};
use crate::tso::{self, TsoHandle, TsoThread, WallClock};

/// How far the wall clock of a lone member may be ahead of the last bound of timestamps: it has nobody to ask, and
/// timestamps never come back from a future that they were once carried into.
const CLOCK_AHEAD_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// A running member, as the services see it.
///
/// [`crate::server::run`] is called with an `Arc` of it and a `tokio_util::sync::CancellationToken`: it serves until the
/// token is cancelled, then ends its streams and returns.
pub struct Pd {
    /// What the process was told.
    pub config: Config,
    /// The members.
    pub members: Members,
    /// Changes of the members.
    pub membership: Membership,
    /// What other members ask of this one, for the client URLs.
    pub cluster_service: ClusterService,
    /// The replicated state.
    pub kv: Kv,
    /// The configuration that the group shares.
    pub online: Online,
    /// Who leads.
    pub leadership: Leadership,
    /// Timestamps.
    pub tso: TsoHandle,
    /// Ids.
    pub ids: Ids,
    /// The wall clock that timestamps follow.
    pub clock: Arc<WallClock>,
    /// The Raft runtime, for its counters.
    pub raft: raft_core::Handle,
    running: Mutex<Option<Running>>,
}

/// What ends when the member stops.
struct Running {
    stop: CancellationToken,
    /// They end by themselves when told to stop.
    tasks: JoinSet<()>,
    /// Ends when it is dropped.
    listening: JoinSet<()>,
    tso: TsoThread,
    runtime: Runtime,
}

/// Why a member does not start. Each names the thing and what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The replicated state cannot be opened.
    #[error(
        "{0}; if its files are damaged, keep the folder as it is and stop this member: the others go on without it, and it \
         has to be replaced: `pd-ctl member delete name NAME`, then start it with an empty --data-dir and --join (removing the \
         folder `state` alone helps only while the log still reaches back to the first entry)"
    )]
    State(io::Error),
    /// A socket, a thread or a file failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The Raft core does not start.
    #[error(transparent)]
    Raft(#[from] raft_core::Error),
    /// Another member does not want this one.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The wall clock is not believed.
    #[error(
        "the wall clock is {ahead} ahead of the last timestamp that was given out, and there is no other member to compare \
         it with; correct the clock, or start once with --accept-clock if it is right"
    )]
    Clock {
        /// How far.
        ahead: String,
    },
}

impl Pd {
    /// Starts a member: opens its folder, finds the others at the first start, and joins the Raft group. Returns once it
    /// runs; a leader may not be there yet.
    ///
    /// # Errors
    /// Folder, files, sockets or clock are not right, or another member refuses this one.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        Self::start_with(config, WallClock::default()).await
    }

    /// As [`Pd::start`], with a clock of the caller's.
    ///
    /// # Errors
    /// As [`Pd::start`].
    pub async fn start_with(config: Config, clock: WallClock) -> Result<Self, StartError> {
        let folder = Arc::new(DataFolder::open(&config.data_dir, &config.name)?);
        let (machine, view) = Machine::open(folder.state()).map_err(StartError::State)?;
        let clock = Arc::new(clock);
        let roster = Arc::new(Roster::new(&config, Arc::clone(&folder), view.clone(), Arc::clone(&clock)));
        check_clock(&config, is_alone(&config, &roster, &machine.mark().conf_state), &view, &clock)?;
        let members = Members::new(Arc::clone(&roster));
        info!(
            name = config.name,
            member_id = members.own().id.0,
            data_dir = %config.data_dir.display(),
            "member starts"
        );

        tell_what_is_odd(&config, &roster);

        let listeners = PeerListeners::bind(&config.peer_urls).await?;
        let door = Arc::new(Door(Arc::downgrade(&roster)));
        let gatekeeper: Arc<dyn raft_core::net::Gatekeeper> = door.clone();
        let peers = Peers::new(door, Arc::clone(&gatekeeper), tokio::runtime::Handle::current());
        let orphan = Box::new(|envelope: proto::raftcore::Envelope| {
            debug!(group = envelope.group_id, "message for nobody here dropped");
        });
        let runtime = Runtime::start(RuntimeConfig::pd(folder.raft()), peers.clone(), orphan)?;
        let raft = runtime.handle().clone();
        peers.attach(raft.clone());
        let stop = CancellationToken::new();
        let cluster_service = ClusterService::default();
        let listening = listeners.serve(&raft, &gatekeeper, cluster_service.clone());

        begin(&config, &roster, &folder, &runtime, machine).await?;
        let gone = || StartError::Raft(raft_core::Error::NoGroup(PD_GROUP));
        let status = raft.status(PD_GROUP).ok_or_else(gone)?;
        let lease = raft.lease(PD_GROUP).ok_or_else(gone)?;
        roster.set_status(status.clone());

        let kv = Kv::new(view, raft.clone());
        let online = Online::new(kv.clone(), &config.name, config.stated.clone());
        let timestamps = Arc::clone(&lease);
        let (tso, tso_thread) = tso::start(
            Arc::clone(&clock),
            Box::new(move |term| timestamps.check(BootTime::now()) == Some(term)),
        )?;
        let leadership = Leadership::new(raft.clone(), status, lease, kv.announced(), members.clone());
        let membership = Membership::new(kv.clone(), leadership.clone(), members.clone());
        cluster_service.open(membership.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(online.clone().follow(stop.clone()));
        tasks.spawn(leadership.clone().follow(
            membership.clone(),
            kv.clone(),
            tso.clone(),
            Arc::clone(&clock),
            stop.clone(),
        ));
        let (stopped, roster_raft) = (stop.clone(), raft.clone());
        tasks.spawn(async move {
            let followed = async {
                tokio::join!(roster.follow_register(roster_raft), member::keep_up(Arc::clone(&roster)))
            };
            stopped.run_until_cancelled(followed).await;
        });
        Ok(Self {
            ids: Ids::new(kv.clone()),
            config,
            members,
            membership,
            cluster_service,
            kv,
            online,
            leadership,
            tso,
            clock,
            raft,
            running: Mutex::new(Some(Running { stop, tasks, listening, tso: tso_thread, runtime })),
        })
    }

    /// The cluster's id; 0 until the first leader has drawn it and this member has applied that.
    pub fn cluster_id(&self) -> u64 {
        self.kv.cluster_id().unwrap_or(0)
    }

    /// Stops all threads and tasks. Hand the lead over first.
    pub async fn stop(&self) {
        let Some(Running { stop, mut tasks, mut listening, tso, runtime }) = self.running.lock().take()
        else {
            return;
        };
        stop.cancel();
        while tasks.join_next().await.is_some() {}
        listening.shutdown().await;
        // Both wait for a thread.
        let stopped = tokio::task::spawn_blocking(move || {
            drop(tso);
            runtime.stop();
        });
        if let Err(error) = stopped.await {
            warn!(%error, "a thread did not stop cleanly");
        }
    }
}

/// Brings the group into being here: at the first start once all members have agreed, or once the group has taken this one
/// in; else from disk.
async fn begin(
    config: &Config,
    roster: &Roster,
    folder: &DataFolder,
    runtime: &Runtime,
    machine: Machine,
) -> Result<(), StartError> {
    let agreement = roster.agreement();
    let started = agreement.as_ref().is_some_and(|agreement| agreement.started);
    let on_disk = runtime.groups_on_disk().contains(&PD_GROUP);
    let name = || roster.own().name.clone();
    if started && !on_disk {
        return Err(FolderError::LogLost { path: folder.raft(), name: name() }.into());
    }
    let members = match agreement {
        None if !config.join.is_empty() => {
            folder.begin_to_join()?;
            let members = member::join(roster, &config.join).await?;
            roster.agree(members.clone(), false)?;
            members
        }
        None if roster.joins() => {
            return Err(FolderError::HalfJoined { path: folder.path().to_path_buf(), name: name() }.into());
        }
        Some(agreement) if roster.joins() => agreement.members,
        Some(_) | None => member::agree(roster, started).await?,
    };
    let start = if on_disk {
        Start::Restart
    } else if roster.joins() {
        Start::Empty
    } else {
        let voters = members.iter().map(|member| member.member_id.0).collect();
        Start::Bootstrap(ConfState { voters, ..ConfState::default() })
    };
    let group = GroupConfig::pd(roster.own().id.0);
    runtime.handle().create(PD_GROUP, group, start, Box::new(machine)).await?;
    if !started {
        // After the log is there: a start that is interrupted in between finds the log and goes on from it.
        roster.agree(members, true)?;
        info!("{}", if roster.joins() { "the group was joined" } else { "the group has begun" });
    }
    Ok(())
}

/// What is allowed and hardly meant.
fn tell_what_is_odd(config: &Config, roster: &Roster) {
    for url in config.advertise_client_urls.iter().chain(&config.advertise_peer_urls) {
        if url.is_unspecified() {
            warn!(%url, "nobody can connect to the advertised URL; set advertise-client-urls and advertise-peer-urls");
        }
    }
    let Some(agreement) = roster.agreement() else { return };
    if roster.joins() {
        return;
    }
    if !config.join.is_empty() {
        info!("this member has its group already; join only counts at the first start");
        return;
    }
    let mut configured: Vec<_> = config.initial_cluster.iter().map(|member| member.name.as_str()).collect();
    configured.sort_unstable();
    if configured != agreement.members.iter().map(|member| member.name.as_str()).collect::<Vec<_>>() {
        info!("initial-cluster is not what the group began with; it only counts at the first start");
    }
}

/// Whether no other member can hold this one's clock back. The membership decides, where there is one; flags only count at
/// the first start.
fn is_alone(config: &Config, roster: &Roster, membership: &ConfState) -> bool {
    let own = roster.own().id;
    if !membership.voters.is_empty() {
        let mut voters = membership.voters.iter().chain(&membership.voters_outgoing);
        return voters.all(|id| *id == own.0);
    }
    match roster.agreement() {
        Some(agreement) => agreement.members.iter().all(|member| member.member_id == own),
        None => config.join.is_empty() && roster.others_configured().next().is_none(),
    }
}

/// A member alone refuses a clock that is far ahead of what it last gave out (rule 6).
fn check_clock(config: &Config, alone: bool, view: &View, clock: &WallClock) -> Result<(), StartError> {
    let Some(cluster_id) = view.cluster_id().filter(|_| alone && !config.accept_clock) else { return Ok(()) };
    let saved = view.get(&Keys::new(cluster_id).timestamp()).ok().flatten();
    let Some(bound_ns) = saved.and_then(|kv| keys::decode_be(&kv.value).ok()) else { return Ok(()) };
    let ahead = Duration::from_nanos(clock.now_ns().saturating_sub(bound_ns));
    if ahead <= CLOCK_AHEAD_MAX {
        return Ok(());
    }
    let ahead = humantime::format_duration(Duration::from_secs(ahead.as_secs())).to_string();
    Err(StartError::Clock { ahead })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use raft_core::Committed;

    use super::*;
    use crate::config::Flags;
    use crate::state::testing;

    #[test]
    fn alone_is_whose_group_has_no_other_voter() {
        let dir = tempfile::tempdir().unwrap();
        let flags = Flags {
            name: Some("a".into()),
            initial_cluster: Some("a=http://127.0.0.1:2380,b=http://127.0.0.1:3380".into()),
            ..Flags::default()
        };
        let config = Config::load(&flags).unwrap();
        let folder = Arc::new(DataFolder::open(&dir.path().join("data"), &config.name).unwrap());
        let (_machine, view) = Machine::open(dir.path().join("state")).unwrap();
        let roster = Roster::new(&config, folder, view, Arc::default());
        let own = roster.own().id.0;
        let alone = |voters: Vec<u64>, learners: Vec<u64>| {
            is_alone(&config, &roster, &ConfState { voters, learners, ..ConfState::default() })
        };
        assert!(!alone(vec![], vec![]), "at the first start flags count");
        assert!(alone(vec![own], vec![]), "whatever the command still names");
        assert!(alone(vec![own], vec![own ^ 1]), "a learner, which may be dead");
        assert!(!alone(vec![own, own ^ 1], vec![]));
        roster.agree(vec![roster.identity().agreed_member()], true).unwrap();
        assert!(alone(vec![], vec![]), "agreed to begin by itself");
    }

    #[test]
    fn a_lone_member_does_not_believe_a_clock_far_ahead() {
        let dir = tempfile::tempdir().unwrap();
        let (mut machine, view) = Machine::open(dir.path().into()).unwrap();
        let clock = WallClock::default();
        let alone = Config::load(&Flags::default()).unwrap();
        assert!(check_clock(&alone, true, &view, &clock).is_ok(), "nothing was given out yet");
        let mut save = |index, hours: u64| {
            let bound_ns = clock.now_ns() - hours * 3_600_000_000_000;
            let keys = Keys::new(7);
            let records = [
                (Bytes::from(keys::CLUSTER_ID), keys::encode_be(7)),
                (keys.timestamp(), keys::encode_be(bound_ns)),
            ];
            let data = testing::puts(1, records);
            machine.apply(vec![Committed::Normal { index, term: 1, data }]).unwrap();
        };
        save(1, 23);
        assert!(check_clock(&alone, true, &view, &clock).is_ok());
        save(2, 25);
        let refused = check_clock(&alone, true, &view, &clock).unwrap_err().to_string();
        assert!(refused.contains("1day 1h ahead") && refused.contains("--accept-clock"), "{refused}");
        let accepted = Config { accept_clock: true, ..alone.clone() };
        assert!(check_clock(&accepted, true, &view, &clock).is_ok());
        assert!(check_clock(&alone, false, &view, &clock).is_ok(), "others can be asked");
    }
}
