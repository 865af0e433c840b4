//! The table beneath the events: PD, the stores, the verdict, what to try.

use std::time::Duration;

use proto::metapb::StoreState;

use super::scene::View;

/// Width of a bar.
const BAR: usize = 10;

/// What the table shows beside the view.
#[derive(Debug, Clone, Default)]
pub struct Numbers {
    /// Members: name, and whether it runs.
    pub members: Vec<(String, bool)>,
    /// Replicas wanted.
    pub replicas: usize,
    /// Timestamps a second.
    pub timestamps_per_s: u64,
    /// Their 99th percentile, one in flight.
    pub timestamp_p99: Duration,
    /// Ids a second.
    pub ids_per_s: u64,
    /// Operations of the load a second.
    pub load_per_s: u64,
    /// Operations that failed and were repeated, so far.
    pub errors: u64,
    /// The last error that the load met, and the last that those met who take timestamps and ids; shown while nothing
    /// goes on.
    pub trouble: [String; 2],
    /// Broken promises so far.
    pub broken: u64,
    /// A page to open.
    pub page: String,
}

/// The whole table.
pub fn table(view: &View, numbers: &Numbers) -> Vec<String> {
    let mut lines = vec![String::new(), pd_line(view, numbers)];
    let most = view.stores.values().map(|store| store.regions).max().unwrap_or(0);
    for (id, store) in &view.stores {
        let state = match store.state {
            StoreState::Up if store.heard => "Up",
            StoreState::Up => "starting",
            StoreState::Offline => "draining",
            StoreState::Tombstone => "removed",
        };
        lines.push(format!(
            "store {id:<4} {state:<9} {:>4} regions {:>4} leaders  [{}]  {}",
            store.regions,
            store.leaders,
            bar(store.regions, most),
            store.address,
        ));
    }
    lines.push(verdict(view, numbers));
    let page = &numbers.page;
    lines.push(format!("Open    {page}/dashboard/      API docs {page}/pd/api/v2/docs"));
    lines.push(format!(
        "Try     target/debug/pd-ctl -u {page} top        the same with: status | why store 3"
    ));
    let keys = "kill the leader of PD: k | drain a store: d | add a store: a      Stop: q or Ctrl-C";
    lines.push(format!("Press   {keys}"));
    lines
}

/// One line for where there is no terminal.
pub fn status_line(view: &View, numbers: &Numbers) -> String {
    format!("{}   {}", pd_line(view, numbers), verdict(view, numbers))
}

fn pd_line(view: &View, numbers: &Numbers) -> String {
    let mut line = "PD  ".to_string();
    for (name, runs) in &numbers.members {
        let role = match (runs, *name == view.leader) {
            (false, _) => "down",
            (true, true) => match view.term {
                Some(term) => &format!("LEADER term {term}"),
                None => "LEADER",
            },
            (true, false) => "follower",
        };
        line += &format!(" {name} {role} ");
    }
    format!(
        "{line}  timestamps {}/s p99 {:.1} ms  ids {}/s",
        grouped(numbers.timestamps_per_s),
        numbers.timestamp_p99.as_secs_f64() * 1e3,
        grouped(numbers.ids_per_s)
    )
}

fn verdict(view: &View, numbers: &Numbers) -> String {
    let whole = view.regions > 0 && view.complete == view.regions;
    let word = if numbers.broken > 0 {
        "BROKEN"
    } else if view.stale.is_some() {
        "?"
    } else if whole {
        "OK"
    } else {
        "MENDING"
    };
    let replicas = if whole {
        format!("{} regions, all {} replicas", grouped(view.regions as u64), numbers.replicas)
    } else {
        format!("{} of {} regions have all {} replicas", view.complete, view.regions, numbers.replicas)
    };
    let operators = view.operators.map_or_else(String::new, |count| format!("operators {count}   "));
    let load =
        format!("{operators}load {}/s  errors {}", grouped(numbers.load_per_s), grouped(numbers.errors));
    let mut line = match &view.stale {
        Some(why) => format!("{word:<8}{replicas} when last seen   {load}   ({why})"),
        None => format!("{word:<8}{replicas}   {load}"),
    };
    for (rate, trouble) in [numbers.load_per_s, numbers.timestamps_per_s].into_iter().zip(&numbers.trouble) {
        if rate == 0 && !trouble.is_empty() {
            line += &format!("   ({trouble})");
        }
    }
    line
}

fn bar(part: usize, whole: usize) -> String {
    let full = if whole == 0 { 0 } else { (part * BAR).div_ceil(whole) };
    "#".repeat(full) + &".".repeat(BAR - full)
}

/// With commas between the thousands.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::playground::scene::StoreView;

    #[test]
    fn thousands_are_grouped() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (12_345_678, "12,345,678")] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn the_table_reads_like_this() {
        let mut view = View {
            leader: "pd-2".to_string(),
            term: Some(3),
            operators: Some(2),
            regions: 42,
            complete: 40,
            ..View::default()
        };
        let store = StoreView {
            address: "127.0.0.1:20160".to_string(),
            heard: true,
            regions: 31,
            leaders: 11,
            ..StoreView::default()
        };
        view.stores.insert(1, store.clone());
        view.stores.insert(4, StoreView { state: StoreState::Offline, regions: 62, ..store });
        let numbers = Numbers {
            members: vec![
                ("pd-1".to_string(), false),
                ("pd-2".to_string(), true),
                ("pd-3".to_string(), true),
            ],
            replicas: 3,
            timestamps_per_s: 21_240,
            timestamp_p99: Duration::from_micros(400),
            ids_per_s: 420,
            load_per_s: 4_130,
            page: "http://127.0.0.1:2379".to_string(),
            ..Numbers::default()
        };
        let lines = table(&view, &numbers);
        assert_eq!(
            lines[1],
            "PD   pd-1 down  pd-2 LEADER term 3  pd-3 follower   timestamps 21,240/s p99 0.4 ms  ids 420/s"
        );
        assert_eq!(lines[2], "store 1    Up          31 regions   11 leaders  [#####.....]  127.0.0.1:20160");
        assert_eq!(lines[3], "store 4    draining    62 regions   11 leaders  [##########]  127.0.0.1:20160");
        assert_eq!(
            lines[4],
            "MENDING 40 of 42 regions have all 3 replicas   operators 2   load 4,130/s  errors 0"
        );
        view.complete = 42;
        view.operators = None;
        assert_eq!(table(&view, &numbers)[4], "OK      42 regions, all 3 replicas   load 4,130/s  errors 0");
    }
}
