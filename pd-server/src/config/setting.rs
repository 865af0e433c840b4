//! Why a change of the configuration is refused. The words are those that tools of the field know, where they have some.

use semver::Version;

use crate::cluster::BadVersion;

/// Why a value is not taken. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// No item has this name.
    #[error("config item {0} not found")]
    Unknown(String),
    /// No part of the configuration that can be changed online has this name.
    #[error("config prefix {0} not found")]
    UnknownPrefix(String),
    /// Another kind of value than the item has.
    #[error("json: cannot unmarshal {found} into Go struct field {section}.{item} of type {expected}")]
    Kind {
        /// What was found: `string`, `number -1`, `bool`, `array` or `object`.
        found: String,
        /// The section, in tikv/pd's words.
        section: &'static str,
        /// The item's short name.
        item: &'static str,
        /// What would be right, in tikv/pd's words.
        expected: &'static str,
    },
    /// Text that cannot be read as what the item is.
    #[error("{item}: {reason}")]
    Form {
        /// The item's short name.
        item: &'static str,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// A value outside of the range; the text names item and range.
    #[error("{0}")]
    Range(String),
    /// The item is changed in another way.
    #[error("{item} is not changed here: {instead}")]
    OtherWay {
        /// The item.
        item: &'static str,
        /// How it is changed.
        instead: &'static str,
    },
    /// It is changed for some time, and that is not over.
    #[error("need to clean up TTL first for {0}")]
    Temporary(&'static str),
    /// It cannot be changed for some time only.
    #[error("unsupported ttl config {0}")]
    NeverTemporary(String),
    /// Isolation by a label that stores are not placed by.
    #[error("isolation-level must be one of location-labels or empty")]
    Isolation,
    /// The two ratios of space are the wrong way round.
    #[error("low-space-ratio should be larger than high-space-ratio")]
    SpaceRatios,
    /// A version that is none.
    #[error(transparent)]
    Version(#[from] BadVersion),
    /// A longer value than is kept.
    #[error("{item}: at most {max} bytes are kept, not {found}")]
    TooLong {
        /// The item.
        item: &'static str,
        /// The bound.
        max: usize,
        /// What was found.
        found: usize,
    },
    /// A limit for a store that is not there.
    #[error("store-limit: store {0} not found")]
    NoStore(u64),
    /// A cluster version that no store could have: none could register any more.
    #[error("cluster-version {asked} is above {most}, the greatest that stores or this program have")]
    VersionAhead {
        /// What was asked for.
        asked: Version,
        /// The greatest that is taken.
        most: Version,
    },
    /// More settings of one kind than are kept.
    #[error("{item}: at most {max} are kept")]
    TooMany {
        /// The item.
        item: &'static str,
        /// The bound.
        max: usize,
    },
}
