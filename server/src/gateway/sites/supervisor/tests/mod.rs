//! One supervisor on a virtual clock; the IKE engine, name server and kernel are played by hand.

mod chaos;

use cygnet_ike::{IkeVersion, SessionState};

use super::super::backoff::LONGEST;
use super::*;

const PEER: &str = "198.51.100.7";
const OURS: &str = "192.0.2.1";

/// See the module.
struct Bench {
    supervisor: Supervisor,
    now: Now,
    sessions: u64,
    spis: u32,
    heard: BTreeMap<SessionId, Instant>,
    /// Whether the kernel answers by itself.
    kernel: Option<&'static str>,
}

impl Bench {
    fn new(peer: Peer, start: Start) -> Self {
        Self::with_children(peer, start, &["berlin"])
    }

    fn with_children(peer: Peer, start: Start, children: &[&str]) -> Self {
        let now = Now { instant: cygnet_ike::testing::epoch(), wall: Timestamp::UNIX_EPOCH };
        let children = children.iter().map(|&name| name.into()).collect();
        let plan = Plan { name: "berlin".into(), peer, local_address: None, start, transport: false, children };
        let supervisor = Supervisor::new(now, plan, 7);
        Self { supervisor, now, sessions: 0, spis: 0, heard: BTreeMap::new(), kernel: Some(OURS) }
    }

    fn always() -> Self {
        Self::new(Peer::Address(address(PEER)), Start::Always)
    }

    /// Lets time pass; gives back what is to be done at its end and on the way.
    fn pass(&mut self, seconds: f64) -> Vec<Action> {
        let end = self.now.instant + Duration::from_secs_f64(seconds);
        let mut actions = self.actions();
        while let Some(due) = self.supervisor.poll_timeout().filter(|due| *due <= end) {
            self.set(due.max(self.now.instant));
            let heard = self.heard.clone();
            self.supervisor.handle_timeout(self.now, |id| heard.get(&id).copied());
            assert!(self.supervisor.poll_timeout().is_none_or(|next| next > self.now.instant), "no busy loop");
            actions.extend(self.actions());
        }
        self.set(end);
        actions
    }

    fn set(&mut self, instant: Instant) {
        let passed = instant - self.now.instant;
        self.now.instant = instant;
        self.now.wall += jiff::SignedDuration::try_from(passed).unwrap();
    }

    fn actions(&mut self) -> Vec<Action> {
        let mut actions = Vec::new();
        while let Some(action) = self.supervisor.poll_action() {
            match (&action, self.kernel) {
                (Action::AskLocalAddress(_), Some(ours)) => self.supervisor.local_address(self.now, Ok(address(ours))),
                (Action::Reconfigure, _) => {}
                (Action::Initiate(path), _) => {
                    self.sessions += 1;
                    self.supervisor.started(SessionId(self.sessions), *path);
                    actions.push(action);
                }
                _ => actions.push(action),
            }
        }
        actions
    }

    /// The number of the newest session.
    fn newest(&self) -> SessionId {
        SessionId(self.sessions)
    }

    /// The newest attempt succeeds, with all children.
    fn succeed(&mut self) -> SessionId {
        self.succeed_with(self.newest())
    }

    fn succeed_with(&mut self, id: SessionId) -> SessionId {
        let path = self.supervisor.tunnels[&id].path;
        self.establish(id, path, Role::Initiator, 0);
        for child in 0..self.supervisor.plan.children.len() {
            self.child_up(id, child);
        }
        id
    }

    /// The peer comes, with all children.
    fn peer_comes(&mut self, precedence: u128) -> SessionId {
        self.sessions += 1;
        let (id, path) = (self.newest(), path(OURS, PEER, 500));
        self.supervisor.accepted(id, path);
        self.establish(id, path, Role::Responder, precedence);
        for child in 0..self.supervisor.plan.children.len() {
            self.child_up(id, child);
        }
        id
    }

    fn establish(&mut self, id: SessionId, path: Path, role: Role, precedence: u128) {
        let info = SessionInfo {
            session: id,
            version: IkeVersion::V2,
            state: SessionState::Established,
            path,
            behind_nat: false,
            identity: None,
            by: None,
            ike_suite: String::new(),
            child_suite: None,
            addresses: Vec::new(),
            children: Vec::new(),
            since: self.now.instant,
            last_heard: self.now.instant,
            site: Some("berlin".into()),
            role,
            precedence,
            mobike: true,
            ppk: false,
            ike_rekey: None,
        };
        self.heard.insert(id, self.now.instant);
        self.supervisor.established(self.now, id, &info);
    }

    fn child_up(&mut self, id: SessionId, child: usize) -> EspSpi {
        self.spis += 1;
        let inbound_spi = EspSpi(self.spis);
        let (cipher, local, remote) = Default::default();
        self.supervisor.child_up(self.now, id, Pair { inbound_spi, child, cipher, local, remote, rekey: None });
        inbound_spi
    }

    /// The newest attempt gets no answer.
    fn silence(&mut self) -> Vec<Action> {
        self.refuse("nothing came back", true)
    }

    fn refuse(&mut self, text: &str, silence: bool) -> Vec<Action> {
        let id = self.newest();
        self.supervisor.refused(self.now, id, Failure { text: text.into(), silence });
        self.close(id, CloseReason::Failed)
    }

    fn close(&mut self, id: SessionId, reason: CloseReason) -> Vec<Action> {
        self.supervisor.closed(self.now, id, reason);
        self.actions()
    }

    fn demand(&mut self) {
        self.supervisor.demand(self.now);
    }

    fn last_error(&self) -> &str {
        self.supervisor.last_error().unwrap_or_default()
    }
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn path(local: &str, peer: &str, port: u16) -> Path {
    Path { local: SocketAddr::new(address(local), port), peer: SocketAddr::new(address(peer), port) }
}

fn initiate(peer: &str, port: u16) -> Vec<Action> {
    vec![Action::Initiate(path(OURS, peer, port))]
}

fn name() -> Peer {
    Peer::Name("gw.example.org".into())
}

#[test]
fn silence_leads_to_the_other_port_and_then_to_longer_and_longer_pauses() {
    let mut bench = Bench::always();
    assert_eq!(bench.pass(0.0), initiate(PEER, 500));
    let mut pauses = Vec::new();
    for _ in 0..8 {
        assert_eq!(bench.silence(), initiate(PEER, 4500));
        assert!(bench.silence().is_empty());
        let before = bench.now.instant;
        while bench.pass(0.05).is_empty() {}
        pauses.push((bench.now.instant - before).as_secs_f64());
    }
    let whole = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0];
    assert!(pauses.iter().zip(whole).all(|(pause, whole)| (0.75 * whole..whole + 0.1).contains(pause)), "{pauses:?}");
    assert_eq!(bench.last_error(), "no answer on UDP 500 and 4500");
    assert!(bench.pass(0.0).is_empty() && bench.supervisor.is_busy());
    bench.succeed();
    assert_eq!(bench.supervisor.attempts(), 0);
}

#[test]
fn a_peer_that_says_no_is_not_asked_again_on_the_other_port() {
    let mut bench = Bench::always();
    assert_eq!(bench.pass(0.0), initiate(PEER, 500));
    assert!(bench.refuse("the peer accepts none of our suites", false).is_empty());
    assert_eq!(bench.last_error(), "the peer accepts none of our suites");
    assert_eq!(bench.pass(1.0), initiate(PEER, 500));
}

#[test]
fn where_the_peer_was_reached_is_where_it_is_looked_for_first() {
    let mut bench = Bench::always();
    bench.pass(0.0);
    assert_eq!(bench.silence(), initiate(PEER, 4500));
    let id = bench.succeed();
    bench.pass(120.0);
    bench.close(id, CloseReason::PeerDead);
    assert_eq!(bench.pass(0.0), initiate(PEER, 4500), "at once");
}

#[test]
fn on_demand_means_on_demand() {
    let mut bench = Bench::new(Peer::Address(address(PEER)), Start::Demand);
    assert!(bench.pass(1000.0).is_empty() && bench.supervisor.poll_timeout().is_none());
    bench.demand();
    assert_eq!(bench.pass(0.0), initiate(PEER, 500));
    bench.refuse("no", false);
    assert!(bench.pass(1000.0).is_empty(), "no packet, no attempt");
    bench.demand();
    assert_eq!(bench.pass(0.0), initiate(PEER, 500));
    let id = bench.succeed();
    bench.demand();
    assert!(bench.pass(100.0).is_empty());

    bench.close(id, CloseReason::PeerDeleted);
    assert!(bench.pass(1000.0).is_empty(), "the peer does not want it");
    bench.demand();
    assert_eq!(bench.pass(0.0), initiate(PEER, 500));
    let id = bench.succeed();
    bench.pass(100.0);
    bench.close(id, CloseReason::PeerDead);
    assert_eq!(bench.pass(0.0), initiate(PEER, 500), "it was in use");
}

#[test]
fn packets_shorten_a_long_pause_but_do_not_make_a_hammer() {
    let mut bench = Bench::always();
    bench.pass(0.0);
    while bench.supervisor.retry().is_none_or(|at| at - bench.now.instant < Duration::from_secs(40)) {
        bench.refuse("no", false);
        if bench.supervisor.retry().is_none_or(|at| at - bench.now.instant < Duration::from_secs(40)) {
            bench.pass(60.0);
        }
    }
    let before = bench.now.instant;
    let mut initiated = 0;
    while bench.now.instant - before < Duration::from_secs(100) {
        bench.demand();
        for action in bench.pass(1.0) {
            assert!(matches!(action, Action::Initiate(_)));
            initiated += 1;
            bench.refuse("no", false);
        }
    }
    assert!((9..=11).contains(&initiated), "{initiated}");
}

#[test]
fn a_passive_site_waits_for_its_peer() {
    for peer in [Peer::Address(address(PEER)), Peer::Any] {
        let mut bench = Bench::new(peer, Start::Passive);
        bench.demand();
        assert!(bench.pass(1000.0).is_empty());
        let id = bench.peer_comes(1);
        assert!(bench.supervisor.is_up());
        bench.close(id, CloseReason::PeerDead);
        assert!(bench.pass(1000.0).is_empty(), "the peer began, the peer comes back");
    }
}

#[test]
fn a_name_is_looked_up_before_every_round_and_all_its_addresses_are_tried() {
    let mut bench = Bench::new(name(), Start::Always);
    assert_eq!(bench.pass(0.0), [Action::Resolve("gw.example.org".into())]);
    bench.supervisor.resolved(bench.now, Ok(vec![address("203.0.113.1"), address("203.0.113.2")]));
    assert_eq!(bench.actions(), initiate("203.0.113.1", 500));
    assert_eq!(bench.silence(), initiate("203.0.113.2", 500));
    assert!(bench.refuse("no", false) == initiate("203.0.113.1", 4500), "the one that has not answered");
    assert!(bench.silence().is_empty());

    assert_eq!(bench.pass(1.0), [Action::Resolve("gw.example.org".into())]);
    bench.supervisor.resolved(bench.now, Ok(vec![address("203.0.113.9")]));
    assert_eq!(bench.actions(), initiate("203.0.113.9", 500));
    bench.refuse("no", false);

    bench.pass(2.0);
    bench.supervisor.resolved(bench.now, Err("server failure".into()));
    assert_eq!(bench.actions(), initiate("203.0.113.9", 500), "the name server is away, the peer may be there");
    assert_eq!(bench.last_error(), "cannot resolve gw.example.org: server failure");
}

#[test]
fn a_name_server_that_never_answers_is_waited_for_a_minute() {
    let mut bench = Bench::new(name(), Start::Always);
    bench.pass(0.0);
    assert!(bench.pass(59.0).is_empty());
    assert_eq!(bench.pass(3.0), [Action::Resolve("gw.example.org".into())], "a new round");
    assert_eq!(bench.last_error(), "cannot resolve gw.example.org: the name server does not answer");
    assert!(bench.supervisor.attempts() >= 1 && bench.supervisor.retry().is_none(), "told as a failure");
}

#[test]
fn the_name_of_a_peer_that_begins_is_looked_up_every_five_minutes_while_it_is_down() {
    let mut bench = Bench::new(name(), Start::Passive);
    let lookups = |actions: &[Action]| actions.iter().filter(|a| matches!(a, Action::Resolve(_))).count();
    assert_eq!(lookups(&bench.pass(0.0)), 1);
    bench.supervisor.resolved(bench.now, Ok(vec![address("203.0.113.1")]));
    assert_eq!(bench.supervisor.addresses(), [address("203.0.113.1")]);
    assert_eq!(lookups(&bench.pass(1201.0)), 4);
    bench.peer_comes(1);
    assert_eq!(lookups(&bench.pass(1200.0)), 0);
}

#[test]
fn a_tunnel_that_keeps_falling_over_is_not_restarted_ever_faster() {
    let mut bench = Bench::always();
    let mut pauses = Vec::new();
    bench.pass(0.0);
    for _ in 0..10 {
        let id = bench.succeed();
        bench.pass(5.0);
        bench.close(id, CloseReason::PeerDeleted);
        let before = bench.now.instant;
        while bench.pass(0.1).is_empty() {}
        pauses.push(bench.now.instant - before);
    }
    assert!(pauses[9] > Duration::from_secs(40) && pauses[9] <= LONGEST + Duration::from_secs(1), "{pauses:?}");
    let id = bench.succeed();
    bench.pass(61.0);
    bench.close(id, CloseReason::PeerDeleted);
    assert_eq!(bench.pass(1.0).len(), 1, "it was up for a minute");
    assert_eq!(bench.last_error(), "closed by the peer");
}

#[test]
fn a_successor_takes_over_before_the_old_session_ends() {
    let mut bench = Bench::with_children(Peer::Address(address(PEER)), Start::Always, &["a", "b"]);
    bench.pass(0.0);
    let old = bench.succeed();
    bench.pass(1000.0);
    bench.supervisor.reauthentication_due(bench.now, old);
    assert_eq!(bench.pass(0.0), initiate(PEER, 500));
    assert!(bench.supervisor.is_up());

    let new = bench.newest();
    bench.establish(new, path(OURS, PEER, 500), Role::Initiator, 0);
    bench.child_up(new, 0);
    assert!(bench.pass(5.0).is_empty(), "a child is missing");
    bench.child_up(new, 1);
    bench.pass(0.0);
    assert_eq!(bench.pass(7.1), [Action::Close(old, CloseReason::Replaced)]);
    assert!(bench.close(old, CloseReason::Replaced).is_empty() && bench.supervisor.is_up());
    assert!(bench.pass(1000.0).is_empty() && bench.last_error().is_empty());
}

#[test]
fn a_successor_that_fails_costs_nothing_and_is_tried_again() {
    let mut bench = Bench::always();
    bench.pass(0.0);
    let old = bench.succeed();
    bench.pass(100.0);
    bench.supervisor.reauthentication_due(bench.now, old);
    bench.pass(0.0);
    assert_eq!(bench.silence(), initiate(PEER, 4500));
    assert!(bench.silence().is_empty() && bench.supervisor.is_up());
    assert_eq!(bench.pass(1.0), initiate(PEER, 500));
    let new = bench.succeed();
    assert_eq!(bench.pass(3.0), [Action::Close(old, CloseReason::Replaced)]);

    // The successor itself is lost before the old one has gone.
    let mut bench = Bench::always();
    bench.pass(0.0);
    let old = bench.succeed();
    bench.supervisor.reauthentication_due(bench.now, old);
    bench.pass(0.0);
    let lost = bench.succeed();
    bench.close(lost, CloseReason::PeerDeleted);
    assert_eq!(bench.pass(1.0), initiate(PEER, 500), "another one");
    assert_ne!(new, lost);
    assert!(bench.supervisor.tunnels[&old].is_established());
}

#[test]
fn of_two_tunnels_the_lesser_one_goes_once_the_greater_one_has_proven_to_live() {
    let mut bench = Bench::always();
    bench.pass(0.0);
    let theirs = bench.peer_comes(5);
    let ours = SessionId(1);
    bench.establish(ours, path(OURS, PEER, 500), Role::Initiator, 4);
    bench.child_up(ours, 0);
    assert!(bench.pass(50.0).is_empty(), "nobody has heard of theirs since");
    bench.heard.insert(theirs, bench.now.instant);
    assert_eq!(bench.pass(2.0), [Action::Close(ours, CloseReason::Replaced)]);
    bench.close(ours, CloseReason::Replaced);
    assert!(bench.pass(1000.0).is_empty() && bench.supervisor.is_up());
}

#[test]
fn the_greater_tunnel_stays_unless_the_peer_leaves_the_lesser_one() {
    let mut bench = Bench::always();
    bench.pass(0.0);
    let theirs = bench.peer_comes(3);
    let ours = SessionId(1);
    bench.establish(ours, path(OURS, PEER, 500), Role::Initiator, 4);
    bench.child_up(ours, 0);
    bench.pass(1.0);
    bench.heard.insert(theirs, bench.now.instant);
    assert!(bench.pass(50.0).is_empty(), "the peer is to close its own");
    assert_eq!(bench.pass(20.0), [Action::Close(ours, CloseReason::Replaced)], "it does not know the rule");
}

#[test]
fn a_tunnel_with_more_children_is_not_given_up() {
    let mut bench = Bench::with_children(Peer::Address(address(PEER)), Start::Passive, &["a", "b"]);
    bench.supervisor.up(bench.now, None).unwrap();
    bench.pass(0.0);
    bench.succeed();
    bench.actions();
    bench.sessions += 1;
    let theirs = bench.newest();
    bench.supervisor.accepted(theirs, path(OURS, PEER, 500));
    bench.establish(theirs, path(OURS, PEER, 500), Role::Responder, 9);
    bench.child_up(theirs, 0);
    bench.pass(1.0);
    bench.heard.insert(theirs, bench.now.instant);
    assert!(bench.pass(100.0).is_empty());
}

#[test]
fn a_tunnel_follows_our_address() {
    let mut bench = Bench::always();
    bench.pass(0.0);
    let id = bench.succeed();
    bench.kernel = Some("192.0.2.77");
    bench.supervisor.addresses_changed(bench.now);
    let moved = Path { local: "192.0.2.77:500".parse().unwrap(), ..path(OURS, PEER, 500) };
    assert_eq!(bench.pass(0.0), [Action::Relocate(id, moved)]);
    bench.supervisor.moved(id, moved);
    bench.supervisor.addresses_changed(bench.now);
    assert!(bench.pass(0.0).is_empty(), "it is there already");

    bench.supervisor.tunnels.get_mut(&id).unwrap().mobike = false;
    bench.kernel = Some(OURS);
    bench.supervisor.addresses_changed(bench.now);
    assert_eq!(bench.pass(0.0), initiate(PEER, 500), "a new session instead");
}

#[test]
fn a_tunnel_in_transport_mode_is_begun_anew_where_our_address_is_another() {
    let mut bench = Bench::always();
    bench.supervisor.plan.transport = true;
    bench.pass(0.0);
    bench.succeed();
    bench.kernel = Some("192.0.2.77");
    bench.supervisor.addresses_changed(bench.now);
    let path = Path { local: "192.0.2.77:500".parse().unwrap(), ..path(OURS, PEER, 500) };
    assert_eq!(bench.pass(0.0), [Action::Initiate(path)]);
}

#[test]
fn a_way_that_is_back_is_tried_soon() {
    let mut bench = Bench::always();
    bench.kernel = None;
    assert_eq!(bench.pass(0.0), [Action::AskLocalAddress(address(PEER))]);
    for _ in 0..8 {
        bench.supervisor.local_address(bench.now, Err("network is unreachable".into()));
        bench.pass(60.0);
    }
    assert!(bench.last_error().starts_with("no way to 198.51.100.7: "), "{}", bench.last_error());
    bench.supervisor.local_address(bench.now, Err("network is unreachable".into()));
    bench.kernel = Some(OURS);
    bench.supervisor.addresses_changed(bench.now);
    assert_eq!(bench.pass(1.0), initiate(PEER, 500));
}

#[test]
fn children_that_are_lost_or_refused_are_asked_for_again() {
    let mut bench = Bench::with_children(Peer::Address(address(PEER)), Start::Always, &["a", "b"]);
    bench.pass(0.0);
    let id = bench.newest();
    bench.establish(id, path(OURS, PEER, 500), Role::Initiator, 0);
    let spi = bench.child_up(id, 0);
    bench.supervisor.refused(bench.now, id, Failure { text: "the peer refuses these networks".into(), silence: false });
    bench.supervisor.child_failed(bench.now, id, "b");
    assert_eq!(bench.last_error(), "the peer refuses these networks");
    assert_eq!(bench.pass(1.0), [Action::CreateChild(id, 1)]);
    bench.child_up(id, 1);
    assert!(bench.pass(100.0).is_empty());

    bench.supervisor.child_down(bench.now, id, spi, Traffic::default());
    assert_eq!(bench.pass(1.0), [Action::CreateChild(id, 0)]);
    for _ in 0..10 {
        bench.supervisor.child_failed(bench.now, id, "a");
        bench.pass(60.0);
    }
    let asked = bench.pass(600.0).len();
    assert!((9..=14).contains(&asked), "{asked}");
}

#[test]
fn the_operator_is_told_what_became_of_it() {
    let mut bench = Bench::with_children(Peer::Address(address(PEER)), Start::Passive, &["a", "b"]);
    assert!(bench.supervisor.up(bench.now, Some("c")).unwrap_err().contains("no child \"c\""));
    bench.supervisor.up(bench.now, None).unwrap();
    assert_eq!(bench.pass(0.0), initiate(PEER, 500));
    assert_eq!(bench.refuse("wrong key", false), [Action::Answer(Err("wrong key".into()))]);
    assert!(bench.pass(100.0).is_empty(), "once");

    bench.supervisor.up(bench.now, Some("b")).unwrap();
    assert_eq!(bench.pass(0.0), initiate(PEER, 500));
    let id = bench.newest();
    bench.establish(id, path(OURS, PEER, 500), Role::Initiator, 0);
    bench.child_up(id, 0);
    assert!(bench.actions().is_empty());
    bench.child_up(id, 1);
    assert_eq!(bench.actions(), [Action::Answer(Ok(()))]);
    bench.supervisor.up(bench.now, None).unwrap();
    assert_eq!(bench.actions(), [Action::Answer(Ok(()))], "it is up");

    bench.close(id, CloseReason::PeerDeleted);
    bench.supervisor.up(bench.now, None).unwrap();
    bench.pass(0.0);
    bench.establish(bench.newest(), path(OURS, PEER, 500), Role::Initiator, 0);
    assert_eq!(
        bench.close(bench.newest(), CloseReason::PeerDead),
        [Action::Answer(Err(ending(CloseReason::PeerDead)))]
    );
}

#[test]
fn what_the_operator_takes_down_stays_down() {
    let mut bench = Bench::always();
    bench.pass(0.0);
    let id = bench.succeed();
    assert_eq!(bench.supervisor.down(bench.now), 1);
    assert_eq!(bench.actions(), [Action::Close(id, CloseReason::Administrative)]);
    bench.close(id, CloseReason::Administrative);
    bench.demand();
    assert!(bench.pass(1000.0).is_empty() && bench.supervisor.admits().is_err());
    bench.supervisor.up(bench.now, None).unwrap();
    assert_eq!(bench.pass(0.0), initiate(PEER, 500));
    assert_eq!(bench.supervisor.down(bench.now), 1, "the attempt");
    assert_eq!(bench.actions().len(), 2, "the answer to the operator, and the end");
    assert!(bench.supervisor.admits().is_err());
}

#[test]
fn a_peer_that_may_be_anywhere_cannot_be_called() {
    let mut bench = Bench::new(Peer::Any, Start::Passive);
    assert!(bench.supervisor.up(bench.now, None).unwrap_err().contains("has to begin"));
    assert!(bench.pass(10.0).is_empty());
}

#[test]
fn a_local_address_of_the_other_family_is_told() {
    let mut bench = Bench::new(name(), Start::Always);
    bench.supervisor.plan.local_address = Some(address("2001:db8::1"));
    bench.pass(0.0);
    bench.supervisor.resolved(bench.now, Ok(vec![address(PEER)]));
    assert!(bench.actions().is_empty());
    assert_eq!(bench.last_error(), "local_address 2001:db8::1 cannot reach 198.51.100.7");
}

#[test]
fn a_peer_that_begins_tunnels_without_end_loses_the_one_that_is_silent_longest() {
    let mut bench = Bench::new(Peer::Any, Start::Passive);
    let begun: Vec<SessionId> = (0..MOST_OF_PEER).map(|n| bench.peer_comes(n as u128)).collect();
    bench.pass(10.0);
    let closed = |actions: Vec<Action>| -> Vec<SessionId> {
        let ended = |action| if let Action::Close(id, CloseReason::Replaced) = action { Some(id) } else { None };
        actions.into_iter().filter_map(ended).collect()
    };
    for (nth, &id) in begun.iter().enumerate() {
        bench.heard.insert(id, bench.now.instant + Duration::from_secs(if nth == 3 { 0 } else { 1 }));
    }
    let limit = |bench: &mut Bench, id| {
        let heard = bench.heard.clone();
        bench.supervisor.limit(id, |id| heard.get(&id).copied());
        closed(bench.actions())
    };
    assert_eq!(limit(&mut bench, begun[7]), [], "there are no more than that");
    let newest = bench.peer_comes(9);
    assert_eq!(limit(&mut bench, newest), [begun[3]]);
    assert_eq!(limit(&mut bench, newest), [], "one goes for each that comes");
}

#[test]
fn a_local_address_that_this_machine_does_not_have_is_told() {
    let mut bench = Bench::always();
    bench.kernel = None;
    bench.supervisor.plan.local_address = Some(address("203.0.113.99"));
    assert_eq!(bench.pass(0.0), [Action::AskLocalAddress(address(PEER))]);
    let outcome = Err("203.0.113.99 is not an address of this machine".into());
    bench.supervisor.local_address(bench.now, outcome);
    assert_eq!(bench.last_error(), "no way to 198.51.100.7: 203.0.113.99 is not an address of this machine");
}
