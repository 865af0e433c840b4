//! Where each value comes from: what people ask when a setting is not what they think they have set.

use serde_json::Value;

use super::items::{self, Duty, Item};
use super::range::Range;
use super::{Config, LogLevel, Settings, shown};

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody has given one.
    Default,
    /// A configuration file: this member's, or for what the group shares the first leader's at the first start.
    File,
    /// A flag of this member.
    Flag,
    /// Changed while everything ran.
    Online,
    /// Changed for some time only.
    Temporary,
    /// Worked out by the cluster itself.
    Cluster,
}

/// When a change of an item counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// At once, on all members.
    AtOnce,
    /// At the next start of the member.
    AtStart,
    /// Nothing acts on it yet: it is kept and shown.
    None,
}

/// An item with its value and all that is known of it.
#[derive(Clone, Debug, PartialEq)]
pub struct ItemView {
    /// Its name in JSON.
    pub name: &'static str,
    /// What the table says of it.
    pub item: &'static Item,
    /// The value in force.
    pub value: Value,
    /// Where it comes from.
    pub origin: Origin,
    /// When it was changed last, in ms since the epoch.
    pub changed_at_ms: Option<u64>,
    /// By whom.
    pub changed_by: Option<String>,
    /// When a temporary value is over, in ms since the epoch.
    pub until_ms: Option<u64>,
    /// What this member's file gives, if it gives the item.
    pub in_file: Option<Value>,
}

impl Origin {
    /// Its name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::File => "file",
            Self::Flag => "flag",
            Self::Online => "online",
            Self::Temporary => "temporary",
            Self::Cluster => "cluster",
        }
    }
}

impl Effect {
    /// Its name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::AtOnce => "at once",
            Self::AtStart => "at start",
            Self::None => "none yet",
        }
    }
}

impl ItemView {
    /// All items as this member has them, in the order in which they are shown.
    pub fn all(config: &Config, level: LogLevel, settings: &Settings) -> Vec<Self> {
        let view = |item: &'static Item| {
            let name = item.shown?;
            match item.duty {
                Duty::Blank => None,
                Duty::Live | Duty::Kept | Duty::Own => Some(Self::replicated(name, item, config, settings)),
                Duty::Start | Duty::Idle | Duty::Here => Some(Self::own(name, item, config, level)),
            }
        };
        items::all().filter_map(view).collect()
    }

    /// When a change of it counts.
    pub fn effect(&self) -> Effect {
        match self.item.duty {
            Duty::Start => Effect::AtStart,
            Duty::Here | Duty::Live | Duty::Own | Duty::Kept | Duty::Idle | Duty::Blank => {
                if self.item.has_effect() { Effect::AtOnce } else { Effect::None }
            }
        }
    }

    /// Which values are possible, in words.
    pub fn range(&self) -> String {
        use super::Kind;
        if self.item.range != Range::All {
            return self.item.range.to_string();
        }
        match (self.name, self.item.kind) {
            ("schedule.store-limit", _) => {
                "by store id an object with add-peer and remove-peer, each at least 0.001".to_owned()
            }
            ("replication.location-labels", _) => "keys of labels, each once".to_owned(),
            (_, Kind::Flag | Kind::Bool) => "true or false".to_owned(),
            (_, Kind::Whole) => "at least 0".to_owned(),
            (_, Kind::Int) => "any whole number".to_owned(),
            (_, Kind::Number) => "any number".to_owned(),
            (_, Kind::Duration) => "at least 0s".to_owned(),
            (_, Kind::Size) => "at least 0B".to_owned(),
            (_, Kind::Text | Kind::List | Kind::Array | Kind::Any) => {
                format!("at most {} bytes", self.item.bytes_max())
            }
        }
    }

    /// The file gives another value than the one in force.
    pub fn differs_from_file(&self) -> bool {
        self.in_file.as_ref().is_some_and(|given| *given != self.value)
    }

    fn replicated(name: &'static str, item: &'static Item, config: &Config, settings: &Settings) -> Self {
        let value = settings.get(name).cloned().unwrap_or_default();
        let change = settings.record().changed.get(name);
        let temporary = settings.temporary(name);
        let origin = match (temporary, change) {
            (Some(_), _) => Origin::Temporary,
            (None, Some(change)) if change.from_file => Origin::File,
            (None, Some(_)) => Origin::Online,
            (None, None) if value == item.default => Origin::Default,
            (None, None) if settings.revision.0 == 0 => Origin::File,
            (None, None) => Origin::Cluster,
        };
        Self {
            name,
            item,
            value,
            origin,
            changed_at_ms: change.map(|change| change.at_ms),
            changed_by: temporary
                .map(|temporary| temporary.by.clone())
                .or_else(|| change.map(|change| change.by.clone())),
            until_ms: temporary.map(|temporary| temporary.until_ms),
            in_file: config.stated.get(name).cloned(),
        }
    }

    fn own(name: &'static str, item: &'static Item, config: &Config, level: LogLevel) -> Self {
        let in_file = config.stated.get(name).cloned();
        let started = shown::process_value(config, name, item);
        let value = if item.duty == Duty::Here { Value::from(level.name()) } else { started.clone() };
        let origin = if value != started {
            Origin::Online
        } else if config.flagged.contains(item.path) {
            Origin::Flag
        } else if in_file.is_some() {
            Origin::File
        } else {
            Origin::Default
        };
        let (changed_at_ms, changed_by, until_ms) = (None, None, None);
        Self { name, item, value, origin, changed_at_ms, changed_by, until_ms, in_file }
    }
}

#[cfg(test)]
mod tests {
    use super::super::settings::Stated;
    use super::super::{File, Flags};
    use super::*;

    #[test]
    fn of_each_item_it_is_told_what_is_possible() {
        let config = Config::resolve(&Flags::default(), &File::default(), "here").unwrap();
        let views = ItemView::all(&config, LogLevel::Info, &Settings::first(&Stated::new()));
        let range = |name: &str| views.iter().find(|view| view.name == name).unwrap().range();
        assert_eq!(views.iter().find(|view| view.range() == "any").map(|view| view.name), None);
        assert_eq!(range("schedule.default-store-limit.add-peer"), "at least 0.001");
        assert!(range("schedule.store-limit").ends_with("each at least 0.001"));
        assert_eq!(range("replication.location-labels"), "keys of labels, each once");
        assert_eq!(range("schedule.halt-scheduling"), "true or false");
        assert_eq!(range("pd-server.metric-storage"), "at most 1024 bytes");
    }
}
