//! The choice among the transforms of an IKEv1 client, RFC 2409 sections 5 and 5.5: its order, our policy as a filter.

use std::fmt;

/// A transform that was not acceptable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedTransform {
    /// Its number in the proposal.
    pub number: u8,
    /// What it offers, such as `3des-sha1-modp1024`.
    pub offered: String,
    /// Why that is not accepted, such as `modp1024 is too weak`.
    pub problem: String,
}

/// No transform is acceptable: what was offered and why not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct V1Mismatch {
    /// Each transform with the reason, in the client's order.
    pub refused: Vec<RefusedTransform>,
}

impl fmt::Display for V1Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.refused.is_empty() {
            return f.write_str("the client offered nothing");
        }
        for (place, RefusedTransform { number, offered, problem }) in self.refused.iter().enumerate() {
            let separator = if place == 0 { "" } else { ", " };
            write!(f, "{separator}{number}: {offered} ({problem})")?;
        }
        Ok(())
    }
}
