//! What a change may be, and what becomes of it.

use proptest::prelude::*;
use serde_json::json;

use super::super::record::Record;
use super::super::settings::Stated;
use super::*;
use crate::state::Revision;

fn draft() -> Draft {
    Draft::new(Settings::first(&Stated::new()), "tester", 1_000)
}

/// What another member reads of it.
fn read_back(settings: &Settings, now_ms: u64) -> Settings {
    let text = serde_json::to_string(&settings.kept).unwrap();
    let record: Record = serde_json::from_str(&serde_json::to_string(&settings.record).unwrap()).unwrap();
    Settings::read(&serde_json::from_str(&text).unwrap(), record, Revision(7), &Stated::new(), now_ms)
}

#[test]
fn items_are_set_by_their_whole_name_or_its_last_part() {
    let mut draft = draft();
    for (name, value) in [
        ("leader-schedule-limit", json!(8)),
        ("schedule.region-schedule-limit", json!(16)),
        ("replication.location-labels", json!("zone,host")),
        ("isolation-level", json!("zone")),
        ("replication-mode.dr-auto-sync.label-key", json!("zone")),
        ("cluster-version", json!("v8.5.0")),
        ("pd-server.flow-round-by-digit", json!(4)),
    ] {
        draft.set(name, &value).unwrap();
    }
    draft.check().unwrap();
    assert_eq!(draft.touched().count(), 7);
    let read = read_back(&draft.into_settings(), 1_000);
    assert_eq!(read.planner_config().leader_schedule_limit, 8);
    assert_eq!(read.whole("schedule.region-schedule-limit"), 16);
    assert_eq!(
        (read.location_labels(), read.isolation_level()),
        (vec!["zone".into(), "host".into()], "zone")
    );
    assert_eq!(read.cluster_version(), Version::new(8, 5, 0));
    let change = &read.record().changed["schedule.leader-schedule-limit"];
    assert_eq!((change.at_ms, change.by.as_str(), change.from_file), (1_000, "tester", false));
    assert!(!read.record().changed.contains_key("schedule.merge-schedule-limit"));
}

#[test]
fn what_is_set_to_what_it_is_does_not_count_as_changed() {
    let mut draft = draft();
    draft.set("leader-schedule-limit", &json!(4.0)).unwrap();
    draft.set("halt-scheduling", &json!(false)).unwrap();
    draft.set("max-store-down-time", &json!("30m")).unwrap();
    draft.set("merge-schedule-limit", &Value::Null).unwrap();
    assert_eq!(draft.touched().count(), 0);
}

#[test]
fn refusals_name_what_is_wrong() {
    for (name, value, words) in [
        ("no-such-key", json!(1), "config item no-such-key not found"),
        ("schedule.no-such-key", json!(1), "config item no-such-key not found"),
        ("nowhere.key", json!(1), "config prefix nowhere not found"),
        ("name", json!("x"), "config prefix name not found"),
        ("lease", json!(3), "config prefix lease not found"),
        ("low-space-ratio", json!(2), "low-space-ratio should between 0 and 1"),
        ("schedulers-v2", json!([]), "schedule.schedulers-v2 is not changed here"),
        ("label-property", json!({}), "label-property is not changed here"),
        ("cluster-version", json!("bogus"), "bogus is not in dotted-tri format"),
        ("max-replicas", json!(65), "max-replicas should between 1 and 64"),
        ("schedule.default-store-limit.add-peer", json!(0), "add-peer should be at least 0.001"),
        ("location-labels", json!(["a", "a", "b"]), "location-labels: a stands twice"),
        ("location-labels", json!("zone,,host; drop"), "host; drop does not match format"),
        ("metric-storage", json!("x".repeat(2_000)), "metric-storage: at most 1024 bytes are kept, not 2002"),
    ] {
        let mut draft = draft();
        let refused = draft.set(name, &value).unwrap_err().to_string();
        assert!(refused.contains(words), "{name}: {refused}");
        assert_eq!(draft.touched().count(), 0, "{name}");
    }
    let mut isolated = draft();
    isolated.set("isolation-level", &json!("rack")).unwrap();
    assert_eq!(isolated.check(), Err(SettingError::Isolation));
    let mut upside_down = draft();
    upside_down.set("high-space-ratio", &json!(0.9)).unwrap();
    assert_eq!(upside_down.check(), Err(SettingError::SpaceRatios));
}

#[test]
fn a_temporary_value_is_in_force_until_its_time_and_guards_the_item() {
    let mut first = draft();
    first.set_until("schedule.leader-schedule-limit", &json!(1), 5_000).unwrap();
    let refused = first.set_until("schedule.halt-scheduling", &json!("true"), 5_000).unwrap_err().to_string();
    assert_eq!(refused, "unsupported ttl config schedule.halt-scheduling");
    let settings = read_back(&first.into_settings(), 4_999);
    assert_eq!(settings.whole("schedule.leader-schedule-limit"), 1);
    assert_eq!(settings.kept("schedule.leader-schedule-limit"), Some(&json!(4)), "what is shown");
    assert_eq!(settings.next_expiry_ms(), Some(5_000));
    assert_eq!(settings.as_of(5_000).planner_config().leader_schedule_limit, 4);
    assert_eq!(settings.as_of(5_000).next_expiry_ms(), None);

    let mut second = Draft::new(settings.clone(), "tester", 4_000);
    let refused = second.set("leader-schedule-limit", &json!(9)).unwrap_err().to_string();
    assert_eq!(refused, "need to clean up TTL first for schedule.leader-schedule-limit");
    second.end_temporary("leader-schedule-limit").unwrap();
    let ended = read_back(&second.into_settings(), 4_000);
    assert_eq!(ended.whole("schedule.leader-schedule-limit"), 4);
    let late = Draft::new(settings, "tester", 9_000).into_settings();
    assert!(late.record().temporary.is_empty(), "what is over is not written again");
}

#[test]
fn a_section_that_was_read_can_be_sent_back() {
    let mut draft = draft();
    let shown = super::super::shown::schedule_section(&draft, &[1, 2]);
    draft.set_section("schedule", &shown).unwrap();
    assert_eq!(draft.touched().count(), 0);

    // With one item changed on the way only that item changes, although others are worked out from it.
    let mut edited = shown.clone();
    edited["max-merge-region-size"] = json!(20);
    edited["default-store-limit"] = json!({"add-peer": 30, "remove-peer": 30});
    let mut changed = self::draft();
    changed.set_section("schedule", &edited).unwrap();
    assert_eq!(changed.touched().count(), 3, "{:?}", changed.touched().collect::<Vec<_>>());
    assert_eq!((changed.max_merge_region_keys(), changed.store_limits().len()), (200_000, 0));
    edited["max-merge-region-keys"] = json!(7);
    changed.set_section("schedule", &edited).unwrap();
    assert_eq!(changed.max_merge_region_keys(), 7);

    let mut limits = shown;
    limits["store-limit"]["2"]["add-peer"] = json!(20.5);
    draft.set_section("schedule", &limits).unwrap();
    assert_eq!(draft.store_limits(), [(2, StoreLimit { add_peer: 20.5, remove_peer: 15.0 })].into());
    let mut wrong = Map::new();
    wrong.insert("store-limit".into(), json!({"2": {"add-peer": -1, "remove-peer": 1}}));
    assert!(draft.set_section("schedule", &wrong).is_err());
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-z0-9.,]{0,8}".prop_map(Value::from),
        (0u32..200, "(ms|s|m|h)").prop_map(|(number, unit)| Value::from(format!("{number}{unit}"))),
        prop_oneof!["true", "false", "v1", "v2", "size"].prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        let list = prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from);
        let object = prop::collection::hash_map("[a-z-]{1,6}", inner, 0..4);
        prop_oneof![list, object.prop_map(|fields| fields.into_iter().collect())]
    })
}

proptest! {
    /// Whatever is sent: it is refused, or what is kept then is of one form and read back as it was.
    #[test]
    fn what_is_taken_is_kept(place in any::<prop::sample::Index>(), value in any_json()) {
        let names: Vec<_> = items::replicated().map(|(name, _)| name).collect();
        let name = *place.get(&names);
        let mut draft = draft();
        let before = draft.kept.clone();
        if draft.set(name, &value).is_err() {
            prop_assert_eq!(&draft.kept, &before);
            return Ok(());
        }
        let kept = draft.kept(name).cloned();
        let item = items::shown(name).unwrap();
        if draft.touched().count() == 1 {
            prop_assert_eq!(item.accept(kept.as_ref().unwrap()).ok(), kept.clone());
        }
        let read = read_back(&draft.into_settings(), 1_000);
        prop_assert_eq!(read.kept(name).cloned(), kept);
    }
}

#[test]
fn lists_keep_their_form() {
    let mut draft = draft();
    let mut entries = draft.schedulers();
    entries.retain(|entry| entry.kind == "balance-leader");
    entries[0].disable = true;
    draft.set_schedulers(&entries).unwrap();
    draft
        .set_label_property("reject-leader", LabelProperty { key: "zone".into(), value: "z9".into() })
        .unwrap();
    draft.set_store_limit(10, StoreLimit { add_peer: 30.0, remove_peer: 15.0 }).unwrap();
    let read = read_back(&draft.into_settings(), 0);
    let text = serde_json::to_string(&read.kept).unwrap();
    for part in [
        r#""schedulers-v2":[{"type":"balance-leader","args":null,"disable":true,"args-payload":""}]"#,
        r#""label-property":{"reject-leader":[{"key":"zone","value":"z9"}]}"#,
        r#""store-limit":{"10":{"add-peer":30,"remove-peer":15}}"#,
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let mut again = Draft::new(read, "tester", 0);
    again.forget_label_property("reject-leader", &LabelProperty { key: "zone".into(), value: "z9".into() });
    again.forget_store_limit(10);
    assert!(again.label_properties().is_empty() && again.store_limits().is_empty());
}

#[test]
fn what_another_version_wrote_is_kept_and_what_cannot_be_is_replaced() {
    let found = json!({
        "schedule": {"leader-schedule-limit": 9, "low-space-ratio": 7, "from-the-future": [1]},
        "store": {"engine": "x"},
    });
    let stated = Stated::from([("schedule.region-schedule-limit", json!(5))]);
    let Value::Object(found) = found else { unreachable!() };
    let read = Settings::read(&found, Record::default(), Revision(3), &stated, 0);
    assert_eq!(read.whole("schedule.leader-schedule-limit"), 9);
    assert_eq!(read.whole("schedule.region-schedule-limit"), 5, "the file stands in for what lacks");
    assert_eq!(read.kept("schedule.low-space-ratio"), Some(&json!(0.8)));
    assert_eq!(read.kept("schedule.from-the-future"), Some(&json!([1])));
    assert_eq!(read.kept("store.engine"), Some(&json!("x")));
}

#[test]
fn what_is_told_to_act_at_once_reaches_the_planner_and_nothing_else_does() {
    let plain = draft().planner_config();
    assert_eq!(plain, scheduler::Config::default(), "the table and the planner have the same defaults");
    // They act elsewhere: in the book of stores, and in what routes answer.
    let elsewhere = [
        "cluster-version",
        "schedule.max-store-preparing-time",
        "schedule.max-merge-region-size",
        "schedule.max-merge-region-keys",
        "schedule.store-limit-version",
        "replication.location-labels",
        "replication.strictly-match-label",
        "replication.enable-placement-rules",
    ];
    for (name, item) in items::replicated().filter(|(name, _)| !elsewhere.contains(name)) {
        let mut draft = draft();
        for other in
            [json!(5), json!(0.9), json!(0.75), json!("true"), json!("false"), json!("61m"), json!("size")]
        {
            let taken = draft.kept(name) != Some(&other) && draft.set(name, &other).is_ok();
            if taken && draft.touched().count() == 1 {
                break;
            }
        }
        let reaches = draft.planner_config() != plain;
        assert_eq!(reaches, item.duty == Duty::Live, "{name} = {:?}", draft.kept(name));
    }
    let mut own = draft();
    own.set_store_limit(1, StoreLimit { add_peer: 1.0, remove_peer: 2.0 }).unwrap();
    let limited = own.planner_config();
    assert_eq!(limited.store_limit(scheduler::StoreId(1)).add_peer, scheduler::Rate::per_minute(1.0));
    own.set_schedulers(&[]).unwrap();
    assert!(own.planner_config().schedulers.is_empty());
}

#[test]
fn a_value_that_this_version_cannot_use_stays_until_the_item_is_set() {
    let found = json!({"schedule": {"region-score-formula-version": "v9", "low-space-ratio": 7}});
    let Value::Object(found) = found else { unreachable!() };
    let read = Settings::read(&found, Record::default(), Revision(3), &Stated::new(), 0);
    assert_eq!(read.text("schedule.region-score-formula-version"), "v2", "the default stands in");
    let mut draft = Draft::new(read, "tester", 0);
    draft.set("leader-schedule-limit", &json!(9)).unwrap();
    let written = draft.settings.document();
    assert_eq!(written["schedule"]["region-score-formula-version"], "v9");
    assert_eq!(written["schedule"]["leader-schedule-limit"], 9);
    // Also to what stands in.
    draft.set("region-score-formula-version", &json!("v2")).unwrap();
    let written = draft.into_settings().document();
    assert_eq!(written["schedule"]["region-score-formula-version"], "v2");
    assert_eq!(written["schedule"]["low-space-ratio"], 7);
}

#[test]
fn a_change_is_not_refused_for_what_it_has_nothing_to_do_with() {
    let found = json!({
        "schedule": {"low-space-ratio": 0.5, "high-space-ratio": 0.6},
        "replication": {"isolation-level": "rack"},
    });
    let Value::Object(found) = found else { unreachable!() };
    let read = || Settings::read(&found, Record::default(), Revision(3), &Stated::new(), 0);
    assert!(read().check().is_err());
    for (name, value, verdict) in [
        ("halt-scheduling", json!(true), Ok(())),
        ("location-labels", json!("zone"), Err(SettingError::Isolation)),
        ("location-labels", json!("zone,rack"), Ok(())),
        ("high-space-ratio", json!(0.55), Err(SettingError::SpaceRatios)),
        ("low-space-ratio", json!(0.8), Ok(())),
    ] {
        let mut draft = Draft::new(read(), "tester", 0);
        draft.set(name, &value).unwrap();
        assert_eq!(draft.check(), verdict, "{name} {value}");
    }
}

#[test]
fn limits_are_for_stores_that_are_there_and_no_version_locks_all_out() {
    let judge = |draft: &Draft| draft.judge_by_stores(|id| id == 1, Some(Version::new(9, 1, 0)));
    let limit = StoreLimit { add_peer: 5.0, remove_peer: 5.0 };
    let mut draft = draft();
    draft.set_store_limit(1, limit).unwrap();
    assert_eq!(judge(&draft), Ok(()));
    draft.set_store_limit(999, limit).unwrap();
    assert_eq!(judge(&draft), Err(SettingError::NoStore(999)));
    // What was there already does not stand in the way.
    let mut later = Draft::new(draft.into_settings(), "tester", 0);
    later.set("cluster-version", &json!("9.1.0")).unwrap();
    assert_eq!(judge(&later), Ok(()));
    let older = later.judge_by_stores(|_| true, None).unwrap_err().to_string();
    assert_eq!(
        older,
        "cluster-version 9.1.0 is above 9.0.0-beta.2, the greatest that stores or this program have"
    );
    later.set("cluster-version", &json!("9.2.0")).unwrap();
    assert!(matches!(judge(&later), Err(SettingError::VersionAhead { .. })));
    let zero = StoreLimit { add_peer: 0.0, remove_peer: 5.0 };
    let refused = later.set_store_limit(1, zero).unwrap_err().to_string();
    assert!(refused.contains("numbers of at least 0.001"), "{refused}");
}

#[test]
fn meanings_of_labels_are_few_and_short() {
    let label = |key: &str, value: &str| LabelProperty { key: key.into(), value: value.into() };
    let mut draft = draft();
    for (kind, label, words) in [
        ("reject-leader", label("zone", &"v".repeat(900_000)), "has at most 512 bytes, not 900000"),
        ("reject-leader", label("zo ne", "z"), "does not match format"),
        ("reject leader", label("zone", "z"), "does not match format"),
    ] {
        let refused = draft.set_label_property(kind, label).unwrap_err().to_string();
        assert!(refused.contains(words) && refused.len() < 200, "{refused}");
    }
    for n in 0..64 {
        draft.set_label_property("reject-leader", label(&format!("k{n}"), "v")).unwrap();
    }
    let refused = draft.set_label_property("reject-leader", label("k64", "v"));
    assert_eq!(refused, Err(SettingError::TooMany { item: "label-property", max: 64 }));
    let many =
        (0..100).map(|kind| draft.set_label_property(&format!("kind{kind}"), label("k", &"v".repeat(500))));
    assert!(many.filter_map(Result::err).any(|error| matches!(error, SettingError::TooLong { .. })));
}
