//! Steps for each wish, in the order in which they are safe.
