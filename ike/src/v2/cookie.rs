//! Stateless cookies, RFC 7296 section 2.6: `version | MAC(secret, Ni | address | SPIi)`.
//!
//! The secret changes now and then; the one before it is still accepted.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::crypto::prf::Prf;
use crate::crypto::random::Random;
use crate::crypto::secret::Secret;
use crate::wire::IkeSpi;

const SECRET_LEN: usize = 32;

/// Makes cookies and knows its own again.
#[derive(Default)]
pub(crate) struct CookieJar {
    current: Option<Generation>,
    previous: Option<Generation>,
}

struct Generation {
    version: u8,
    secret: Secret,
    since: Instant,
}

impl CookieJar {
    /// The cookie that proves that `address` gets our answers.
    pub(crate) fn bake(
        &mut self,
        now: Instant,
        lifetime: Duration,
        random: &mut dyn Random,
        nonce: &[u8],
        address: IpAddr,
        spi: IkeSpi,
    ) -> Vec<u8> {
        self.renew(now, lifetime, random);
        let current = self.current.as_ref().expect("was just renewed");
        [&[current.version], current.mac(nonce, address, spi).expose()].concat()
    }

    /// Whether this is the cookie that was given to `address` for this very handshake, not too long ago.
    pub(crate) fn accepts(
        &self,
        now: Instant,
        lifetime: Duration,
        cookie: &[u8],
        nonce: &[u8],
        address: IpAddr,
        spi: IkeSpi,
    ) -> bool {
        let Some((version, mac)) = cookie.split_first() else { return false };
        let mut generations = self.current.iter().chain(&self.previous);
        let Some(generation) = generations.find(|generation| generation.version == *version) else { return false };
        let fresh = now.saturating_duration_since(generation.since) <= lifetime.saturating_mul(2);
        fresh && generation.mac(nonce, address, spi).ct_eq(mac)
    }

    fn renew(&mut self, now: Instant, lifetime: Duration, random: &mut dyn Random) {
        let old = self.current.as_ref();
        if old.is_some_and(|current| now.saturating_duration_since(current.since) < lifetime) {
            return;
        }
        let mut secret = vec![0; SECRET_LEN];
        random.fill(&mut secret);
        let version = old.map_or(0, |current| current.version.wrapping_add(1));
        self.previous = self.current.replace(Generation { version, secret: Secret::new(secret), since: now });
    }
}

impl Generation {
    fn mac(&self, nonce: &[u8], address: IpAddr, spi: IkeSpi) -> Secret {
        let address = match address {
            IpAddr::V4(ip) => ip.octets().to_vec(),
            IpAddr::V6(ip) => ip.octets().to_vec(),
        };
        Prf::HmacSha256.mac(self.secret.expose(), &[nonce, &address, &spi.0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::testing::SeededRandom;

    const LIFETIME: Duration = Duration::from_secs(60);
    const SPI: IkeSpi = IkeSpi([3; 8]);
    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const ELSEWHERE: IpAddr = IpAddr::V6(std::net::Ipv6Addr::LOCALHOST);

    #[test]
    fn knows_only_its_own_cookies() {
        let (mut jar, now) = (CookieJar::default(), crate::testing::epoch());
        assert!(!jar.accepts(now, LIFETIME, b"", b"Ni", HERE, SPI));
        let cookie = jar.bake(now, LIFETIME, &mut SeededRandom::new(1), b"Ni", HERE, SPI);
        assert!((1..=64).contains(&cookie.len()), "RFC 7296 section 2.6");
        assert!(jar.accepts(now, LIFETIME, &cookie, b"Ni", HERE, SPI));
        assert!(!jar.accepts(now, LIFETIME, &cookie, b"No", HERE, SPI));
        assert!(!jar.accepts(now, LIFETIME, &cookie, b"Ni", ELSEWHERE, SPI));
        assert!(!jar.accepts(now, LIFETIME, &cookie, b"Ni", HERE, IkeSpi([4; 8])));
        for n in 0..cookie.len() {
            assert!(!jar.accepts(now, LIFETIME, &cookie[..n], b"Ni", HERE, SPI), "{n} bytes");
        }
    }

    #[test]
    fn accepts_the_secret_before_this_one_but_no_older() {
        let (mut jar, start) = (CookieJar::default(), crate::testing::epoch());
        let mut random = SeededRandom::new(1);
        let mut bake = |now| jar.bake(now, LIFETIME, &mut random, b"Ni", HERE, SPI);
        let first = bake(start);
        let second = bake(start + LIFETIME);
        assert_ne!(first, second);
        let third_at = start + LIFETIME * 2;
        assert!(jar.accepts(third_at, LIFETIME, &first, b"Ni", HERE, SPI));
        let mut bake = |now| jar.bake(now, LIFETIME, &mut random, b"Ni", HERE, SPI);
        bake(third_at);
        assert!(!jar.accepts(third_at, LIFETIME, &first, b"Ni", HERE, SPI));
        assert!(jar.accepts(third_at, LIFETIME, &second, b"Ni", HERE, SPI));
    }
}
