//! Versions of stores and the cluster version: the least version of all stores that are not removed.

use semver::Version;

/// A version that a store gave and that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "[PD:semver:ErrSemverNewVersion]{text} is not in dotted-tri format: {text} is not in dotted-tri format"
)]
pub struct BadVersion {
    /// What was given.
    text: String,
}

/// Parses a store's version: a leading `v` is dropped, an empty one counts as 1.0.0.
pub fn parse(text: &str) -> Result<Version, BadVersion> {
    if text.is_empty() {
        return Ok(Version::new(1, 0, 0));
    }
    let bare = text.strip_prefix('v').unwrap_or(text);
    Version::parse(bare).map_err(|_| BadVersion { text: text.to_owned() })
}

/// Whether a store of version `store` may join a cluster of version `cluster`: not older in major and minor.
pub fn compatible(cluster: &Version, store: &Version) -> bool {
    (store.major, store.minor) >= (cluster.major, cluster.minor)
}

/// Batches of split ids are given out from this version on.
pub fn knows_batch_split(cluster: &Version) -> bool {
    (cluster.major, cluster.minor, cluster.patch) >= (2, 1, 0)
}

#[cfg(test)]
mod tests {
    use super::{compatible, knows_batch_split, parse};

    #[test]
    fn versions_are_read_as_stores_write_them() {
        assert_eq!(parse("").unwrap().to_string(), "1.0.0");
        assert_eq!(parse("v8.5.0").unwrap().to_string(), "8.5.0");
        assert_eq!(parse("9.0.0-beta.2").unwrap().to_string(), "9.0.0-beta.2");
        for bad in ["bogus", "8.5", "v", "8.5.0.1"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        let text = parse("bogus").unwrap_err().to_string();
        assert_eq!(
            text,
            "[PD:semver:ErrSemverNewVersion]bogus is not in dotted-tri format: bogus is not in dotted-tri format"
        );
    }

    #[test]
    fn a_store_may_be_newer_but_not_older_in_major_and_minor() {
        let cluster = parse("8.5.3").unwrap();
        for (store, fits) in
            [("8.5.0", true), ("8.6.0", true), ("9.0.0-beta.2", true), ("8.4.9", false), ("", false)]
        {
            assert_eq!(compatible(&cluster, &parse(store).unwrap()), fits, "{store}");
        }
        assert!(!knows_batch_split(&parse("2.0.9").unwrap()));
        assert!(knows_batch_split(&parse("2.1.0-rc.1").unwrap()));
    }
}
