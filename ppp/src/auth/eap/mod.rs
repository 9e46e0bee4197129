//! EAP types.

/// EAP method type, RFC 3748 section 5. Unknown numbers survive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EapType(pub u8);

impl std::fmt::Display for EapType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EAP type {}", self.0)
    }
}
