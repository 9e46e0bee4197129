//! Suites and offers of suites, and how they are written for people.

use std::fmt;

use crate::crypto::dh::Group;
use crate::crypto::prf::Prf;
use crate::crypto::suite::{Encr, Integ};

use super::notation;

/// The algorithms of one IKE SA.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IkeSuite {
    /// The cipher.
    pub encr: Encr,
    /// The integrity algorithm; `None` exactly if the cipher is an AEAD.
    pub integ: Option<Integ>,
    /// The pseudorandom function.
    pub prf: Prf,
    /// The Diffie-Hellman group.
    pub group: Group,
}

/// Acceptable algorithms of IKE SAs: any of each list, best first. `integs` matters for ciphers that need one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IkeOffer {
    /// Ciphers.
    pub encrs: Vec<Encr>,
    /// Integrity algorithms.
    pub integs: Vec<Integ>,
    /// Pseudorandom functions.
    pub prfs: Vec<Prf>,
    /// Diffie-Hellman groups.
    pub groups: Vec<Group>,
}

/// Acceptable algorithms of Child SAs: any of each list, best first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChildOffer {
    /// Ciphers.
    pub encrs: Vec<Encr>,
    /// Integrity algorithms.
    pub integs: Vec<Integ>,
    /// Diffie-Hellman groups, if the peer wants one (perfect forward secrecy); it need not.
    pub groups: Vec<Group>,
    /// Whether extended sequence numbers are used with peers that offer them.
    pub esn: bool,
}

impl fmt::Display for IkeSuite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(notation::encr_name(self.encr))?;
        if let Some(integ) = self.integ {
            write!(f, "-{}", notation::integ_name(integ))?;
        }
        if self.integ.is_none_or(|integ| notation::prf_of(integ) != self.prf) {
            write!(f, "-{}", notation::prf_name(self.prf))?;
        }
        write!(f, "-{}", notation::group_name(self.group))
    }
}

impl fmt::Display for crate::child_sa::ChildSuite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(notation::encr_name(self.encr))?;
        if let Some(integ) = self.integ {
            write!(f, "-{}", notation::integ_name(integ))?;
        }
        if self.esn { f.write_str("-esn") } else { Ok(()) }
    }
}

/// The algorithms of each kind, separated by commas; the kinds by semicolons.
impl fmt::Display for IkeOffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prfs = list(self.prfs.iter().map(|prf| notation::prf_name(*prf)));
        let groups = list(self.groups.iter().map(|group| notation::group_name(*group)));
        let kinds = [encrs(&self.encrs), integs(&self.integs), prfs, groups];
        f.write_str(&kinds.into_iter().filter(|kind| !kind.is_empty()).collect::<Vec<_>>().join("; "))
    }
}

/// The algorithms of each kind, separated by commas; the kinds by semicolons.
impl fmt::Display for ChildOffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = [encrs(&self.encrs), integs(&self.integs)];
        f.write_str(&kinds.into_iter().filter(|kind| !kind.is_empty()).collect::<Vec<_>>().join("; "))
    }
}

fn encrs(encrs: &[Encr]) -> String {
    list(encrs.iter().map(|encr| notation::encr_name(*encr)))
}

fn integs(integs: &[Integ]) -> String {
    list(integs.iter().map(|integ| notation::integ_name(*integ)))
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}
