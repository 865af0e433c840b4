//! What members say to each other first, fed with anything.

use super::identity::Identity;

/// A greeting: what is read is written so that it is read again.
pub fn greeting(data: &[u8]) {
    if let Ok(identity) = Identity::parse(data) {
        assert_eq!(Identity::parse(&identity.to_bytes()), Ok(identity.clone()));
        let _ = (identity.member(), identity.agreed_member());
    }
}
