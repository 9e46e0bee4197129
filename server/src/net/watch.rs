//! Tells when the machine's addresses or routes change: a lease renewed elsewhere, another network, a link that is gone.
//!
//! Changes come in swarms, so one is told when they have ended for a moment. Our own routes and those that the kernel derives from
//! addresses are no news.
//!
//! Does not: say what has changed. Whoever is told asks anew.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::route::RouteProtocol;
use rtnetlink::MulticastGroup;
use rtnetlink::packet_core::{NetlinkMessage, NetlinkPayload};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::NetError;
use super::routes::ROUTE_PROTOCOL;

/// Changes count as one until there is none for so long.
const QUIET: Duration = Duration::from_millis(250);
/// Longest delay while changes go on.
const PATIENCE: Duration = Duration::from_secs(2);

/// See the module.
pub struct Watch {
    changed: Arc<Notify>,
    tasks: [JoinHandle<()>; 2],
}

impl Watch {
    /// Listens in the calling thread's network namespace. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn start() -> Result<Self, NetError> {
        let groups = [
            MulticastGroup::Ipv4Ifaddr,
            MulticastGroup::Ipv6Ifaddr,
            MulticastGroup::Ipv4Route,
            MulticastGroup::Ipv6Route,
        ];
        let (connection, _, messages) = rtnetlink::new_multicast_connection(&groups).map_err(|source| {
            NetError::Netlink { action: "listen to changes of addresses and routes".to_owned(), source, hint: None }
        })?;
        let changed = Arc::new(Notify::new());
        let tell = changed.clone();
        let news = messages.filter(|(message, _)| std::future::ready(is_news(message)));
        let tasks = [tokio::spawn(connection), tokio::spawn(tell_when_quiet(news.map(|_| ()), tell))];
        Ok(Self { changed, tasks })
    }

    /// Waits for the next change. Dropping the future loses nothing.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

async fn tell_when_quiet(news: impl futures_util::Stream<Item = ()>, tell: Arc<Notify>) {
    let mut news = std::pin::pin!(news);
    while news.next().await.is_some() {
        let swarm = async { while let Ok(Some(())) = tokio::time::timeout(QUIET, news.next()).await {} };
        // A swarm that does not end is told meanwhile.
        let _ = tokio::time::timeout(PATIENCE, swarm).await;
        tell.notify_one();
    }
}

fn is_news(message: &NetlinkMessage<RouteNetlinkMessage>) -> bool {
    let NetlinkPayload::InnerMessage(message) = &message.payload else {
        // Some were lost: something may have changed.
        return matches!(message.payload, NetlinkPayload::Overrun(_));
    };
    match message {
        RouteNetlinkMessage::NewAddress(_) | RouteNetlinkMessage::DelAddress(_) => true,
        RouteNetlinkMessage::NewRoute(route) | RouteNetlinkMessage::DelRoute(route) => {
            let ours = route.header.protocol == RouteProtocol::Other(ROUTE_PROTOCOL);
            !ours && route.header.table != libc::RT_TABLE_LOCAL
        }
        _ => false,
    }
}
