//! A tenure: the time in which this member leads. What belongs to it begins when the leader is ready and ends, for all
//! at once, when the lead is lost.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use proto::pdpb;
use tokio::sync::{Mutex, watch};
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};
use tonic::Status;
use tracing::{info, warn};

use super::clock::wall_clock_ns;
use super::{Buckets, Cluster, bootstrap};
use crate::config::{ChangeError, Draft, SettingError, Settings};
use crate::grpc::header::{self, Refusal};
use crate::keys::Keys;
use crate::leadership::{HOLD_MAX, Term};
use crate::metrics::Metrics;
use crate::pd::Pd;
use crate::state::Kv;

/// Pause before a tenure that could not begin is tried again.
const RETRY: Duration = Duration::from_millis(100);

/// What this member has while it leads in one term.
pub struct Tenure {
    /// The term.
    pub term: Term,
    /// The cluster.
    pub cluster_id: u64,
    /// Where its records lie.
    pub keys: Keys,
    /// This member.
    pub pd: Arc<Pd>,
    /// What leaders reported of the insides of their Regions.
    pub buckets: Buckets,
    metrics: Arc<Metrics>,
    cluster: ArcSwapOption<Cluster>,
    // One bootstrap at a time: the second is to see what the first has done.
    bootstrapping: Mutex<()>,
    over: CancellationToken,
}

impl Tenure {
    /// It reads the disk, so it is called on a thread that may wait, of a runtime.
    fn begin(pd: Arc<Pd>, term: Term, metrics: Arc<Metrics>) -> Result<Self, crate::state::KvError> {
        let cluster_id = pd.cluster_id();
        let keys = Keys::new(cluster_id);
        let over = CancellationToken::new();
        let cluster = Cluster::start(&pd, term, &keys, &metrics, &over)?;
        let cluster = ArcSwapOption::new(cluster.map(Arc::new));
        Ok(Self {
            term,
            cluster_id,
            keys,
            pd,
            buckets: Buckets::default(),
            metrics,
            cluster,
            bootstrapping: Mutex::new(()),
            over,
        })
    }

    /// The running cluster, or that there is none yet.
    pub fn cluster(&self) -> Result<Arc<Cluster>, Refusal> {
        self.cluster.load_full().ok_or_else(Refusal::not_bootstrapped)
    }

    /// Whether this member leads in this very term, now. Call it after the state was read and before the answer leaves.
    /// A lease that lapsed for a moment may come back within the time that callers are held.
    pub async fn check_lead(&self) -> Result<(), Status> {
        match self.pd.leadership.serve().await {
            Ok(term) if term == self.term => Ok(()),
            Ok(_) | Err(_) => Err(header::not_leader()),
        }
    }

    /// Whether a request is meant for this cluster.
    pub fn check_cluster_id(&self, asked: u64) -> Result<(), Status> {
        if asked == self.cluster_id {
            return Ok(());
        }
        Err(Status::failed_precondition(format!(
            "mismatch cluster id, need {} but got {asked}",
            self.cluster_id
        )))
    }

    /// Resolves when the tenure is over.
    pub fn ended(&self) -> WaitForCancellationFuture<'_> {
        self.over.cancelled()
    }

    /// Changes the configuration that the group shares; `by` is who asked. Returns once it is applied and the planner has
    /// it. `edit` may run more than once.
    pub async fn configure(
        &self,
        by: &str,
        edit: impl Fn(&mut Draft) -> Result<(), SettingError>,
    ) -> Result<Arc<Settings>, ChangeError> {
        let stores = self.cluster.load().as_ref().map(|cluster| cluster.stores());
        let judged = |draft: &mut Draft| {
            edit(draft)?;
            draft.judge_by_stores(
                |id| stores.as_ref().is_some_and(|stores| stores.has(id)),
                stores.as_ref().and_then(|stores| stores.newest_version()),
            )
        };
        let settings = self.pd.online.change(self.term, by, judged).await?;
        if let Some(cluster) = self.cluster.load_full() {
            cluster.reconfigured().await;
        }
        Ok(settings)
    }

    /// Makes the cluster: one transaction, and its owner runs before the answer leaves.
    pub async fn bootstrap(&self, request: pdpb::BootstrapRequest) -> Result<(), Refusal> {
        let already = || {
            Refusal::Header(
                pdpb::ErrorType::AlreadyBootstrapped,
                "cluster is already bootstrapped".to_owned(),
            )
        };
        let _one = self.bootstrapping.lock().await;
        if self.cluster.load().is_some() {
            return Err(already());
        }
        let (store, region) =
            bootstrap::check(self.cluster_id, request).map_err(|bad| Refusal::unknown(bad.to_string()))?;
        let now_ns = wall_clock_ns().unsigned_abs();
        let max_replicas = self.pd.online.now().max_replicas();
        let txn = bootstrap::transaction(&self.keys, self.cluster_id, max_replicas, now_ns, &store, &region);
        let done = self.pd.kv.txn(self.term, txn).await.map_err(super::CallError::from)?;
        // Reads the disk here: once in the life of a cluster, and a caller that gives up does not interrupt it.
        let cluster = Cluster::start(&self.pd, self.term, &self.keys, &self.metrics, &self.over)
            .map_err(super::CallError::from)?;
        self.cluster.store(cluster.map(Arc::new));
        if !done.succeeded {
            return Err(already());
        }
        info!(store = store.id, region = region.id, "cluster bootstrapped");
        Ok(())
    }
}

impl Drop for Tenure {
    fn drop(&mut self) {
        self.over.cancel();
    }
}

/// The way to the present tenure, if this member leads; cheap to clone.
#[derive(Clone)]
pub struct Tenures {
    pd: Arc<Pd>,
    current: watch::Receiver<Option<Arc<Tenure>>>,
}

impl Tenures {
    /// Follows leadership from now on, until `stop`.
    pub fn start(pd: Arc<Pd>, metrics: Arc<Metrics>, stop: CancellationToken) -> Self {
        let (publish, current) = watch::channel(None);
        tokio::spawn(follow(Arc::clone(&pd), metrics, publish, stop));
        Self { pd, current }
    }

    /// The tenure in which this member may answer now. A leader that is not ready yet holds the caller up to
    /// [`HOLD_MAX`]; a member that does not lead refuses at once.
    pub async fn serve(&self) -> Result<Arc<Tenure>, Status> {
        let term = self.pd.leadership.serve().await.map_err(|_| header::not_leader())?;
        if let Some(tenure) = self.of(term) {
            return Ok(tenure);
        }
        let mut current = self.current.clone();
        let began = current.wait_for(|tenure| tenure.as_ref().is_some_and(|tenure| tenure.term >= term));
        match tokio::time::timeout(HOLD_MAX, began).await {
            Ok(Ok(_)) => self.of(term).ok_or_else(header::not_leader),
            Ok(Err(_)) | Err(_) => Err(header::not_leader()),
        }
    }

    /// The present tenure, whether or not its lease holds; for what is shown to people.
    pub fn current(&self) -> Option<Arc<Tenure>> {
        self.current.borrow().clone()
    }

    fn of(&self, term: Term) -> Option<Arc<Tenure>> {
        self.current.borrow().as_ref().filter(|tenure| tenure.term == term).cloned()
    }
}

/// Begins and ends tenures as the lead comes and goes.
async fn follow(
    pd: Arc<Pd>,
    metrics: Arc<Metrics>,
    publish: watch::Sender<Option<Arc<Tenure>>>,
    stop: CancellationToken,
) {
    let mut changes = pd.leadership.subscribe();
    while !stop.is_cancelled() {
        let state = changes.borrow_and_update().clone();
        let running = publish.borrow().as_ref().map(|tenure| (tenure.term, tenure.over.clone()));
        let stands = running
            .as_ref()
            .is_some_and(|(term, over)| state.ready && *term == state.term && !over.is_cancelled());
        let mut retry = None;
        if !stands {
            if let Some((term, over)) = &running {
                over.cancel();
                publish.send_replace(None);
                metrics.tenure_over();
                info!(term = term.0, "tenure over");
            }
            if state.ready {
                // First what all work by, for a group that has no configuration yet.
                let begun = match pd.online.seed(state.term).await {
                    Ok(()) => {
                        let (leader, term, metrics) = (Arc::clone(&pd), state.term, Arc::clone(&metrics));
                        let begin = move |_: &Kv| Tenure::begin(leader, term, metrics);
                        pd.kv.off_thread(begin).await.map_err(ChangeError::from)
                    }
                    Err(error) => Err(error),
                };
                match begun {
                    Ok(tenure) => {
                        info!(term = state.term.0, cluster_id = tenure.cluster_id, "tenure begins");
                        publish.send_replace(Some(Arc::new(tenure)));
                    }
                    Err(error) => {
                        warn!(term = state.term.0, %error, "tenure cannot begin, tried again");
                        retry = Some(RETRY);
                    }
                }
            }
        }
        let over = publish.borrow().as_ref().map(|tenure| tenure.over.clone());
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { break },
            () = async { tokio::time::sleep(retry.unwrap_or_default()).await }, if retry.is_some() => {}
            () = async { if let Some(over) = &over { over.cancelled().await } }, if over.is_some() => {
                // Ended from within: the owner died. Begin anew, but not in a tight loop.
                tokio::time::sleep(RETRY).await;
            }
            () = stop.cancelled() => {}
        }
    }
    if let Some(tenure) = publish.send_replace(None) {
        tenure.over.cancel();
    }
}
