//! One stream against snapshots that are made by hand.

use super::*;
use crate::model::{Health, MemberList, Severity, StoreRow, View};
use crate::series::Series;
use crate::source::Look;
use crate::tests::{a_store, a_view, health, members};

const QUICK: Pace = Pace {
    heartbeat: Duration::from_millis(20),
    slow: Duration::from_millis(50),
    gone: Duration::from_secs(600),
};

/// A pump and what comes out of it.
struct Tap {
    publish: watch::Sender<Arc<Snapshot>>,
    out: mpsc::Receiver<Bytes>,
}

impl Tap {
    fn new(topics: Vec<Topic>, told: Option<u64>, forgotten: bool, pace: Pace) -> Self {
        let (publish, snapshots) = watch::channel(Arc::new(Snapshot::empty()));
        let (sender, out) = mpsc::channel(1);
        let pump = Pump { snapshots, out: sender, topics, era: 0xe, told, forgotten, pace };
        let place = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let (_, awake) = Lookout::new().follow();
        tokio::spawn(pump.run(place, awake));
        Self { publish, out }
    }

    fn show(&self, stores: Vec<StoreRow>) {
        self.look(Some(a_view(stores)));
    }

    fn look(&self, view: Option<View>) {
        let look = Look {
            as_of_ms: 7,
            member: "pd-1".into(),
            cluster_id: None,
            own_health: health(Severity::Ok),
            view,
            members: members(),
        };
        let next = self.publish.borrow().after(look, &Series::default(), false);
        self.publish.send_replace(Arc::new(next));
    }

    /// The next events; comments are left out.
    async fn events(&mut self) -> String {
        loop {
            let bytes = self.out.recv().await.expect("the stream goes on");
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            if !text.starts_with(':') {
                return text;
            }
        }
    }
}

fn stores(at_ms: u64, full: bool, rows: &[StoreRow], gone: &str, revision: u64) -> String {
    let rows = serde_json::to_string(rows).unwrap();
    format!(
        "event: stores\ndata: {{\"as_of_ms\":{at_ms},\"full\":{full},\"rows\":{rows},\"gone\":[{gone}]}}\nid: e-{revision}\n\n"
    )
}

#[tokio::test]
async fn first_everything_then_what_changed() {
    let mut tap = Tap::new(vec![Topic::Stores], None, false, PACE);
    assert_eq!(tap.out.recv().await.unwrap(), ":\n\n", "the stream is there before anything is known");
    let (one, two) = (a_store(1, "a:1"), a_store(2, "b:1"));
    tap.show(vec![one.clone(), two.clone()]);
    assert_eq!(tap.events().await, stores(7, true, &[one.clone(), two], "", 1));
    let moved = a_store(2, "c:1");
    tap.show(vec![one.clone(), moved.clone()]);
    assert_eq!(tap.events().await, stores(7, false, &[moved], "", 2));
    tap.show(vec![one]);
    assert_eq!(tap.events().await, stores(7, false, &[], "2", 3));
}

#[tokio::test]
async fn the_first_rows_are_all_rows_however_late_they_come() {
    let mut tap = Tap::new(vec![Topic::Health, Topic::Stores], None, false, PACE);
    tap.look(None);
    assert!(!tap.events().await.contains("event: stores"));
    tap.show(vec![a_store(1, "a:1")]);
    let text = tap.events().await;
    assert!(text.ends_with(&stores(7, true, &[a_store(1, "a:1")], "", 2)), "{text}");
    tap.look(None);
    let text = tap.events().await;
    assert!(text.ends_with(&stores(7, false, &[], "", 3)), "the rows stay when the leader goes: {text}");
}

#[tokio::test]
async fn who_comes_back_goes_on_or_is_told_to_forget() {
    let mut tap = Tap::new(vec![Topic::Stores], Some(1), false, PACE);
    let (one, two) = (a_store(1, "a:1"), a_store(2, "b:1"));
    let first = tap.publish.borrow().clone();
    tap.show(vec![one.clone()]);
    tap.show(vec![one.clone(), two.clone()]);
    assert_eq!(tap.events().await, stores(7, false, std::slice::from_ref(&two), "", 2));
    drop(first);

    let mut ahead = Tap::new(vec![Topic::Stores], Some(9), false, PACE);
    ahead.show(vec![one.clone()]);
    let resync = "event: resync\ndata: {}\n\n";
    let everything = stores(7, true, std::slice::from_ref(&one), "", 1);
    assert_eq!(ahead.events().await, format!("{resync}{everything}"), "a revision that is not ours");

    let mut other = Tap::new(vec![Topic::Stores], None, true, PACE);
    other.show(vec![one]);
    assert_eq!(other.events().await, format!("{resync}{everything}"), "an id of another process");
}

#[tokio::test]
async fn a_slow_reader_gets_the_newest_and_nothing_is_kept_for_it() {
    let mut tap = Tap::new(vec![Topic::Stores], None, false, QUICK);
    tap.show(vec![a_store(1, "a:1")]);
    assert!(tap.events().await.contains("\"full\":true"));
    // It does not read: one thing lies in the channel, nothing else is made.
    tap.show(vec![a_store(1, "b:1")]);
    tokio::time::sleep(4 * QUICK.slow).await;
    for port in 0..100 {
        tap.show(vec![a_store(1, &format!("c:{port}"))]);
    }
    let mut told = Vec::new();
    while told.last().is_none_or(|last: &String| !last.contains("c:99")) {
        told.push(tap.events().await);
    }
    assert!(told.len() <= 2, "{} events were kept", told.len());
    let last = told.pop().unwrap();
    assert!(last.starts_with("event: resync\ndata: {}\n\nevent: stores\n"), "{last}");
    assert!(last.contains("\"full\":true"), "{last}");
}

#[tokio::test]
async fn a_quiet_stream_beats() {
    let mut tap = Tap::new(vec![Topic::Health], None, false, QUICK);
    for _ in 0..3 {
        assert_eq!(tap.out.recv().await.unwrap(), ":\n\n");
    }
}

#[tokio::test]
async fn who_reads_nothing_for_long_is_cut_off() {
    let mut tap =
        Tap::new(vec![Topic::Health], None, false, Pace { gone: Duration::from_millis(30), ..QUICK });
    // The first comment is taken, the second lies in the channel, for the third there is no room.
    assert!(tap.out.recv().await.is_some());
    while !tap.out.is_closed() && tap.out.sender_strong_count() > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    while tap.out.recv().await.is_some() {}
}

#[tokio::test]
async fn one_kind_of_event_a_topic() {
    let topics = Topic::ALL.to_vec();
    let mut tap = Tap::new(topics, None, false, PACE);
    tap.show(vec![]);
    let text = tap.events().await;
    let names: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
    assert_eq!(names, ["health", "stats", "stores", "operators", "members"]);
    let data = |name: &str| {
        let mut lines = text.lines().skip_while(|line| *line != format!("event: {name}"));
        lines.nth(1).unwrap().strip_prefix("data: ").unwrap().to_owned()
    };
    let health: Health = serde_json::from_str(&data("health")).unwrap();
    assert_eq!(health.verdict, Severity::Ok);
    let members: MemberList = serde_json::from_str(&data("members")).unwrap();
    assert_eq!(members.from, "pd-1");
    let stats: crate::model::Stats = serde_json::from_str(&data("stats")).unwrap();
    assert!(stats.figures[0].series.is_some());
    tap.show(vec![]);
    let text = tap.events().await;
    assert!(text.contains("\"series\":null"), "no series between two samples: {text}");
    assert_eq!(text.matches("\nid: ").count(), 1, "{text}");
}

#[test]
fn wishes_are_checked() {
    let none = HeaderMap::new();
    let wish = Wish::read(Some("topics=stores,health,stores"), &none).unwrap();
    assert_eq!(wish.topics, [Topic::Health, Topic::Stores]);
    assert_eq!(Wish::read(None, &none).unwrap().topics, Topic::ALL);
    assert!(Wish::read(Some("topics=heat"), &none).is_err());
    assert!(Wish::read(Some("topic=stores"), &none).is_err());
    let name = HeaderName::from_static("last-event-id");
    let headers = HeaderMap::from_iter([(name, HeaderValue::from_static("e-4"))]);
    let streams = Streams::new(0xe);
    let last = |wish: Wish| wish.last.and_then(|last| streams.revision(&last));
    assert_eq!(last(Wish::read(None, &headers).unwrap()), Some(4));
    assert_eq!(last(Wish::read(Some("last_event_id=f-4"), &none).unwrap()), None);
    assert_eq!(last(Wish::read(Some("last_event_id=%00"), &none).unwrap()), None);
}
