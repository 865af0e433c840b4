//! While it runs: the table, the keys, the chaos.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use proto::metapb::StoreState;

use super::REPLICAS;
use super::arguments::Arguments;
use super::finish::{self, Ending};
use super::scene::{View, changes};
use super::schedule::{Deed, Schedule};
use super::screen::{Screen, Wish, Wishes, stopped};
use super::start::Up;
use super::summary::Summary;
use super::table::{Numbers, status_line, table};
use crate::cluster::{Cluster, Member, Process, Store, http};

/// Between two tables.
const REDRAW_INTERVAL: Duration = Duration::from_secs(1);
/// Between two status lines where there is no terminal.
const STATUS_INTERVAL: Duration = Duration::from_secs(10);
/// A member killed by a key is started again after this.
const BACK_AFTER: Duration = Duration::from_secs(8);

/// The faults that were caused, and when.
#[derive(Debug, Default)]
pub struct Faults {
    /// Kills of PD's leader.
    pub leader_kills: Vec<Instant>,
    /// Kills of a store.
    pub store_kills: Vec<Instant>,
}

struct Play<'a> {
    screen: &'a Screen,
    cluster: &'a mut Cluster,
    up: Up,
    schedule: Schedule,
    faults: Faults,
    /// A leader that was killed, until timestamps come again.
    gone: Option<(Instant, String)>,
    counted: Counted,
    /// What the last table showed.
    numbers: Numbers,
    /// The last view whose changes were told.
    seen: View,
    /// Ends of processes that were told: name, and which of its starts had ended.
    ended: BTreeSet<(String, u32)>,
}

/// What was counted at the last table, for the rates.
#[derive(Debug, Clone, Copy)]
struct Counted {
    at: Instant,
    timestamps: u64,
    ids: u64,
    operations: u64,
}

/// Plays until the time is over or the person wants to stop, then ends and judges.
pub async fn play(
    screen: &Screen,
    arguments: &Arguments,
    mut wishes: Wishes,
    cluster: &mut Cluster,
    up: Up,
) -> Result<Summary> {
    let start = Instant::now();
    let length = arguments.seconds.map(Duration::from_secs);
    let schedule = match length {
        Some(length) if arguments.chaos => Schedule::chaos(start, length),
        Some(_) | None => Schedule::default(),
    };
    let counted = Counted { at: start, timestamps: 0, ids: 0, operations: 0 };
    let (faults, numbers, seen) = (Faults::default(), Numbers::default(), up.onlooker.view());
    let mut play = Play {
        screen,
        cluster,
        up,
        schedule,
        faults,
        gone: None,
        counted,
        numbers,
        seen,
        ended: BTreeSet::new(),
    };
    let stop = stopped(wishes.stops(), 1);
    tokio::pin!(stop);
    let mut tick = tokio::time::interval(REDRAW_INTERVAL);
    let mut status = tokio::time::interval_at((start + STATUS_INTERVAL).into(), STATUS_INTERVAL);
    let by_hand = loop {
        if length.is_some_and(|length| start.elapsed() >= length) {
            break false;
        }
        tokio::select! {
            () = &mut stop => break true,
            wish = wishes.next() => play.grant(wish).await,
            _ = tick.tick() => {
                play.schedule_due().await;
                play.tell_of_new_leader();
                play.count();
                play.tell_of_stores();
                play.tell_of_ends();
                screen.redraw(table(&play.up.onlooker.view(), &play.numbers));
            }
            _ = status.tick(), if !screen.is_terminal() => {
                screen.print(&status_line(&play.up.onlooker.view(), &play.numbers));
            }
        }
    };
    screen.redraw(Vec::new());
    let undone: Vec<Deed> = if by_hand { Vec::new() } else { play.schedule.left().collect() };
    let Play { cluster, up, faults, .. } = play;
    let ending = Ending { by_hand, sabotage: arguments.sabotage, chaos: arguments.chaos, faults, undone };
    finish::judge(screen, cluster, up, ending).await
}

impl Play<'_> {
    fn event(&self, text: &str) {
        self.screen.print(&format!("{} {text}", clock()));
    }

    async fn grant(&mut self, wish: Wish) {
        let outcome = match wish {
            Wish::KillLeader => self.kill_leader_by_hand().await,
            Wish::DrainStore => self.drain_store().await,
            Wish::AddStore => self.add_store(),
        };
        if let Err(error) = outcome {
            self.event(&format!("{error:#}"));
        }
    }

    async fn schedule_due(&mut self) {
        while let Some(deed) = self.schedule.take_due(Instant::now()) {
            let outcome = match deed {
                Deed::KillLeader => self.kill_leader().await,
                Deed::StartMembers => self.start_members(),
                Deed::KillStore => self.kill_store(),
                Deed::StartStores => self.start_stores(),
            };
            if let Err(error) = outcome {
                self.event(&format!("{error:#}"));
            }
        }
    }

    async fn kill_leader_by_hand(&mut self) -> Result<()> {
        if self.cluster.members().len() < 3 {
            bail!("PD has one member only: killing it would leave none");
        }
        if let Some(down) = self.cluster.members().iter().find(|member| !member.process().is_running()) {
            bail!("{} is down still: killing another would leave no majority", down.name());
        }
        self.kill_leader().await?;
        self.schedule.add(Instant::now() + BACK_AFTER, Deed::StartMembers);
        Ok(())
    }

    async fn kill_leader(&mut self) -> Result<()> {
        let leader = self.cluster.pd_leader().await.context("nobody leads PD that could be killed")?;
        let name = self.cluster.members()[leader].name().to_string();
        let now = Instant::now();
        self.cluster.member(leader).kill()?;
        self.event(&format!("{name} killed"));
        self.faults.leader_kills.push(now);
        self.gone = Some((now, name));
        Ok(())
    }

    /// Says who leads once timestamps come again after a kill.
    fn tell_of_new_leader(&mut self) {
        let Some((killed, name)) = &self.gone else { return };
        let heard = self.up.probes.heard();
        if heard.last_answer().is_none_or(|at| at <= *killed) {
            return;
        }
        let window = super::load::Window { from: *killed, to: Instant::now() };
        let gap = heard.gaps.longest(window);
        let leader = self.up.client.leader().map(|leader| leader.name).filter(|leader| leader != name);
        let leads = leader.map_or_else(|| "another leads".to_string(), |leader| format!("{leader} leads"));
        self.event(&format!("{leads}, timestamps gone {} ms", gap.as_millis()));
        self.gone = None;
    }

    /// Says which stores have come and gone.
    fn tell_of_stores(&mut self) {
        let now = self.up.onlooker.view();
        // An old view tells nothing new.
        if now.stale.is_none() {
            changes(&self.seen, &now).iter().for_each(|line| self.event(line));
            self.seen = now;
        }
    }

    /// Says which processes have ended although nobody had asked them to.
    fn tell_of_ends(&mut self) {
        let members = self.cluster.members().iter().map(Member::process);
        let processes: Vec<&Process> =
            members.chain(self.cluster.stores().iter().map(Store::process)).collect();
        for process in processes {
            if let Some(text) = process.premature_end()
                && self.ended.insert((process.name().to_string(), process.starts()))
            {
                self.event(&text);
            }
        }
    }

    fn start_members(&mut self) -> Result<()> {
        for member in 0..self.cluster.members().len() {
            if !self.cluster.members()[member].process().is_running() {
                self.cluster.member(member).start()?;
                let name = self.cluster.members()[member].name();
                self.event(&format!("{name} started again"));
            }
        }
        Ok(())
    }

    /// Kills the store that leads most: the fault that hurts most.
    fn kill_store(&mut self) -> Result<()> {
        let view = self.up.onlooker.view();
        let running = |address: &str| {
            self.cluster.stores().iter().position(|s| s.address() == address && s.process().is_running())
        };
        let candidates =
            view.stores.iter().filter_map(|(id, seen)| Some((seen.leaders, *id, running(&seen.address)?)));
        let (leaders, id, index) = candidates.max().context("no store runs that could be killed")?;
        let now = Instant::now();
        self.cluster.store(index).kill()?;
        self.event(&format!("store {id} killed, which led {leaders} regions"));
        self.faults.store_kills.push(now);
        Ok(())
    }

    fn start_stores(&mut self) -> Result<()> {
        for store in 0..self.cluster.stores().len() {
            if !self.cluster.stores()[store].process().is_running() {
                self.cluster.store(store).start()?;
                let name = self.cluster.stores()[store].name();
                self.event(&format!("{name} started again"));
            }
        }
        Ok(())
    }

    async fn drain_store(&mut self) -> Result<()> {
        let view = self.up.onlooker.view();
        let up: Vec<u64> = view
            .stores
            .iter()
            .filter(|(_, s)| s.state == StoreState::Up && s.heard)
            .map(|(id, _)| *id)
            .collect();
        if up.len() <= REPLICAS {
            bail!("{} stores are Up, and {REPLICAS} replicas need as many: add a store first (a)", up.len());
        }
        let id = up.last().copied().context("no store is Up")?;
        let leader = self.up.client.leader().context("nobody leads PD")?;
        http::delete(&format!("{}/pd/api/v1/store/{id}", leader.address)).await?;
        self.event(&format!("store {id} is drained: its replicas move to the others"));
        Ok(())
    }

    fn add_store(&mut self) -> Result<()> {
        let index = self.cluster.prepare_store()?;
        self.cluster.store(index).start()?;
        let store = &self.cluster.stores()[index];
        self.event(&format!("{} started at {}", store.name(), store.address()));
        Ok(())
    }

    /// Takes the numbers of the next table.
    fn count(&mut self) {
        let (heard, shared) = (self.up.probes.heard(), self.up.load.shared());
        let now = Counted {
            at: Instant::now(),
            timestamps: heard.timestamps.taken(),
            ids: heard.ids.taken(),
            operations: shared.operations.load(Ordering::Relaxed),
        };
        let before = std::mem::replace(&mut self.counted, now);
        let seconds = (now.at - before.at).as_secs_f64().max(1e-3);
        let rate = |now: u64, before: u64| ((now - before) as f64 / seconds) as u64;
        self.numbers = Numbers {
            members: self
                .cluster
                .members()
                .iter()
                .map(|member| (member.name().to_string(), member.process().is_running()))
                .collect(),
            replicas: REPLICAS,
            timestamps_per_s: rate(now.timestamps, before.timestamps),
            timestamp_p99: heard.p99(),
            ids_per_s: rate(now.ids, before.ids),
            load_per_s: rate(now.operations, before.operations),
            errors: shared.errors.load(Ordering::Relaxed),
            trouble: [shared.last_error(), heard.last_error()],
            broken: shared.losses().0 + heard.timestamps.fallbacks() + heard.ids.duplicates(),
            page: self.up.client.leader().map(|leader| leader.address).unwrap_or_default(),
        };
    }
}

/// The time of day, UTC.
fn clock() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() % 86_400;
    format!("{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}
