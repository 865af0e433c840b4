//! Where what is shown comes from: the one thing that this crate asks of the server that it is part of.

use futures::future::BoxFuture;
use tokio::sync::watch;

use crate::model::{Health, MemberList, MemberRow, View};

/// How much of a view is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// Verdict and figures: for the series that are kept while nobody looks.
    Figures,
    /// Stores and operators as well.
    Rows,
}

/// The server's side. Futures run on the dashboard's own thread; each must end by itself within a second or so, and
/// nothing else of the server may wait for them.
pub trait Source: Send + Sync + 'static {
    /// What this member says of itself.
    fn own(&self) -> MemberRow;

    /// The cluster as this member sees it while it leads; none when it does not, or cannot tell just now.
    fn lead_view(&self, depth: Depth) -> BoxFuture<'static, Option<View>>;

    /// A look at everything, wherever it has to be asked for.
    fn look(&self, depth: Depth) -> BoxFuture<'static, Look>;

    /// Marked when something happened that is to be seen at once, such as another leader.
    fn stirred(&self) -> watch::Receiver<u64>;
}

/// What came of a look.
#[derive(Clone, Debug)]
pub struct Look {
    /// Moment of the look, in ms since 1970.
    pub as_of_ms: u64,
    /// This member's name.
    pub member: String,
    /// The cluster's id; none before it is drawn.
    pub cluster_id: Option<String>,
    /// This member's own verdict: shown while there is no leader's.
    pub own_health: Health,
    /// The leader's view, if there is a leader and it answered.
    pub view: Option<View>,
    /// The members.
    pub members: MemberList,
}
