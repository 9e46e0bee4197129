//! Name and password after phase 1, draft-beaulieu-ike-xauth-02, then the client's address: what "Cisco IPsec" clients do.
//!
//! ```text
//! CFG_REQUEST(name, password)  ->      Event::XAuth
//!                              <-  CFG_REPLY
//! CFG_SET(status)              ->      xauth_continue()
//!                              <-  CFG_ACK
//!                              <-  CFG_REQUEST(address, DNS, ...)     Event::Authenticated
//! CFG_REPLY                    ->      grant()
//! ```
//!
//! Each new phase 1 of the client begins with this again, and ends with the same address.

use crate::crypto::secret::Secret;
use crate::event::{AccessRequest, AuthenticatedBy, CloseReason, Denial, Event, Grant, Path};
use crate::identity::Identity;
use crate::refusal::RefusalReason;
use crate::v2::Context;
use crate::wire::header::ExchangeType;
use crate::wire::v1::num::{ConfigAttr, ConfigType};
use crate::wire::v1::{Attribute, Attributes, Configuration, Header};

use super::mode_config::Wish;
use super::peer::{Incoming, Peer};
use super::transaction::{Asked, Question, Transaction};

/// Longest name or password.
const MAX_CREDENTIAL: usize = 255;

/// How far the login of an ISAKMP SA is.
pub(crate) enum Login {
    /// There is none, or it is done: quick modes may come.
    Done,
    /// The client was asked for name and password.
    Questioned(Question),
    /// The server checks them.
    Checking,
    /// The client was told the result.
    Told(Question, bool),
    /// The client has logged in and has to ask for its address.
    Configuration,
    /// The server decides what the client gets.
    Granting(Asked, Wish),
}

impl Login {
    /// The question that waits for an answer.
    pub(crate) fn question(&mut self) -> Option<&mut Question> {
        match self {
            Self::Questioned(question) | Self::Told(question, _) => Some(question),
            _ => None,
        }
    }

    /// When the question is due to be asked again.
    pub(crate) fn timeout(&self) -> Option<std::time::Instant> {
        match self {
            Self::Questioned(question) | Self::Told(question, _) => Some(question.timeout()),
            _ => None,
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        matches!(self, Self::Done)
    }
}

impl Peer {
    /// Asks for name and password by the newest ISAKMP SA.
    pub(super) fn ask_for_credentials(&mut self, ctx: &mut Context<'_>) {
        let Some(phase1) = self.phase1s.last_mut() else { return };
        let empty = |kind: ConfigAttr| Attribute::long(kind.0, vec![]);
        let attributes = vec![empty(ConfigAttr::XAUTH_USER_NAME), empty(ConfigAttr::XAUTH_USER_PASSWORD)];
        let what = (ConfigType::REQUEST, attributes);
        let question = Question::new(phase1, ctx.now, &ctx.config.timing, &mut *ctx.shared.random, what);
        ctx.transmit(self.path, question.message());
        phase1.login = Login::Questioned(question);
    }

    /// Takes a message of a transaction exchange for the ISAKMP SA at `at`.
    pub(super) fn transaction(
        &mut self,
        ctx: &mut Context<'_>,
        at: usize,
        path: Path,
        (header, message): (&Header, &[u8]),
    ) -> Incoming {
        let phase1 = &mut self.phase1s[at];
        if let Some(again) = phase1.answered.as_ref().and_then(|answered| answered.again(header, message)) {
            ctx.shared.counters.retransmissions_answered += 1;
            ctx.transmit(path, again);
            return Incoming::Again;
        }
        if !self.is_xauth || header.message_id == 0 || phase1.is_finished(header.message_id) {
            return Incoming::Unexpected;
        }
        let is_answer = phase1.login.question().is_some_and(|question| question.message_id() == header.message_id);
        if is_answer {
            self.reply(ctx, at, path, header, message)
        } else {
            self.request(ctx, at, path, header, message)
        }
    }

    /// Takes the answer to our question.
    fn reply(&mut self, ctx: &mut Context<'_>, at: usize, path: Path, header: &Header, message: &[u8]) -> Incoming {
        let login = std::mem::replace(&mut self.phase1s[at].login, Login::Checking);
        let (Login::Questioned(question) | Login::Told(question, _)) = &login else {
            self.phase1s[at].login = login;
            return Incoming::Unexpected;
        };
        let Some(transaction) = question.open(&self.phase1s[at], header, message) else {
            self.phase1s[at].login = login;
            return Incoming::Forged;
        };
        self.heard(ctx);
        self.follow(ctx, path);
        self.phase1s[at].finish(header.message_id);
        match login {
            Login::Questioned(_) => match read_credentials(transaction.configuration()) {
                Ok((user, password)) => self.check(ctx, at, user, password),
                Err(problem) => {
                    self.refuse(ctx, ExchangeType::TRANSACTION, RefusalReason::XAuthReply { problem });
                    self.close(ctx, CloseReason::Failed);
                }
            },
            // What CFG_ACK says is of no interest: Android repeats the status as zero.
            Login::Told(_, true) => self.logged_in(ctx, at),
            _ => self.close(ctx, CloseReason::Failed),
        }
        Incoming::Done
    }

    fn check(&mut self, ctx: &mut Context<'_>, at: usize, user: String, password: Secret) {
        if self.user.as_ref().is_some_and(|known| *known != user) {
            // Another person would keep the address of the first.
            return self.tell(ctx, at, false);
        }
        self.phase1s[at].login = Login::Checking;
        self.is_announced = true;
        self.user = Some(user.clone());
        let identity = self.identity.clone().unwrap_or_else(|| Identity::from(self.path.peer.ip().to_canonical()));
        let (session, path) = (self.id, self.path);
        ctx.shared.events.push_back(Event::XAuth { session, user, password, identity, path });
    }

    /// The server's verdict on name and password.
    pub(crate) fn xauth_continue(&mut self, ctx: &mut Context<'_>, accepted: bool) {
        if let Some(at) = self.phase1s.iter().position(|phase1| matches!(phase1.login, Login::Checking)) {
            self.tell(ctx, at, accepted);
        }
    }

    fn tell(&mut self, ctx: &mut Context<'_>, at: usize, accepted: bool) {
        if !accepted {
            self.refuse(ctx, ExchangeType::TRANSACTION, RefusalReason::XAuthFailed);
        }
        let phase1 = &mut self.phase1s[at];
        let what = (ConfigType::SET, vec![Attribute::short(ConfigAttr::XAUTH_STATUS.0, accepted.into())]);
        let question = Question::new(phase1, ctx.now, &ctx.config.timing, &mut *ctx.shared.random, what);
        ctx.transmit(self.path, question.message());
        phase1.login = Login::Told(question, accepted);
    }

    /// The client knows that it is in. If it has an address already, it need not ask again.
    fn logged_in(&mut self, ctx: &Context<'_>, at: usize) {
        self.by = AuthenticatedBy::XAuth;
        self.login_since = ctx.now;
        self.phase1s[at].login = if self.grant.is_some() { Login::Done } else { Login::Configuration };
        if at + 1 == self.phase1s.len() {
            self.renewed(ctx.now);
        }
    }

    /// Takes a question of the client.
    fn request(&mut self, ctx: &mut Context<'_>, at: usize, path: Path, header: &Header, message: &[u8]) -> Incoming {
        let Some(transaction) = Transaction::first(&self.phase1s[at], header, message) else {
            return Incoming::Forged;
        };
        let Some(configuration) = transaction.configuration() else { return Incoming::Unexpected };
        let asked = transaction.asked(header, message, configuration.identifier);
        self.heard(ctx);
        if configuration.kind == ConfigType::SET {
            let kinds = configuration.attributes.iter().map(|attribute| Attribute::long(attribute.kind, vec![]));
            let ack = asked.answer(&mut self.phase1s[at], ConfigType::ACK, kinds.collect());
            ctx.transmit(path, ack);
            return Incoming::Done;
        }
        if configuration.kind != ConfigType::REQUEST {
            return Incoming::Unexpected;
        }
        if matches!(self.phase1s[at].login, Login::Told(_, true)) {
            // Its CFG_ACK was lost, but it would not go on without having got the status.
            self.logged_in(ctx, at);
        }
        self.follow(ctx, path);
        let wish = Wish::read(&configuration.attributes);
        match (&self.phase1s[at].login, &self.grant) {
            (Login::Done, Some(grant)) => {
                let attributes = wish.answer(grant);
                let answer = asked.answer(&mut self.phase1s[at], ConfigType::REPLY, attributes);
                ctx.transmit(path, answer);
                Incoming::Done
            }
            (Login::Configuration, _) => {
                self.ask_server(ctx, at, asked, wish);
                Incoming::Done
            }
            _ => Incoming::Unexpected,
        }
    }

    fn ask_server(&mut self, ctx: &mut Context<'_>, at: usize, asked: Asked, wish: Wish) {
        let request = AccessRequest {
            identity: self.identity.clone().unwrap_or_else(|| Identity::from(self.path.peer.ip().to_canonical())),
            by: AuthenticatedBy::XAuth,
            path: self.path,
            initial_contact: false,
            ipv4: wish.ipv4,
            ipv6: wish.ipv6,
            tsi: Vec::new(),
            tsr: Vec::new(),
            behind_nat: self.phase1s[at].nat.peer_behind,
            site: None,
        };
        self.phase1s[at].login = Login::Granting(asked, wish);
        self.is_announced = true;
        ctx.shared.events.push_back(Event::Authenticated { session: self.id, request });
    }

    /// The client may come in.
    pub(crate) fn granted(&mut self, ctx: &mut Context<'_>, grant: Grant) {
        let Some((at, asked, wish)) = self.take_granting() else { return };
        let answer = asked.answer(&mut self.phase1s[at], ConfigType::REPLY, wish.answer(&grant));
        ctx.transmit(self.path, answer);
        self.grant = Some(grant);
        self.childless_since = Some(ctx.now);
        self.announce_established(ctx);
    }

    /// The client stays out.
    pub(crate) fn deny(&mut self, ctx: &mut Context<'_>, denial: Denial) {
        let Some((at, asked, _)) = self.take_granting() else { return };
        let answer = asked.answer(&mut self.phase1s[at], ConfigType::REPLY, Vec::new());
        ctx.transmit(self.path, answer);
        let reason = match denial {
            Denial::NoAddress => RefusalReason::NoAddress,
            Denial::Authorization => RefusalReason::Denied,
        };
        self.refuse(ctx, ExchangeType::TRANSACTION, reason);
        self.close(ctx, CloseReason::Denied);
    }

    fn take_granting(&mut self) -> Option<(usize, Asked, Wish)> {
        let at = self.phase1s.iter().position(|phase1| matches!(phase1.login, Login::Granting(..)))?;
        match std::mem::replace(&mut self.phase1s[at].login, Login::Done) {
            Login::Granting(asked, wish) => Some((at, asked, wish)),
            _ => None,
        }
    }
}

/// Name and password of a CFG_REPLY.
fn read_credentials(configuration: Option<Configuration<'_>>) -> Result<(String, Secret), &'static str> {
    let configuration = configuration.filter(|configuration| configuration.kind == ConfigType::REPLY);
    let attributes = configuration.ok_or("it is no CFG_REPLY")?.attributes;
    if attributes.find(ConfigAttr::XAUTH_STATUS.0).is_some() {
        return Err("the client gave up");
    }
    let user = text(&attributes, ConfigAttr::XAUTH_USER_NAME).ok_or("there is no user name")?;
    let user = String::from_utf8(user.to_vec()).map_err(|_| "the user name is not UTF-8")?;
    let password = text(&attributes, ConfigAttr::XAUTH_USER_PASSWORD)
        .or_else(|| text(&attributes, ConfigAttr::XAUTH_PASSCODE))
        .ok_or("there is no password")?;
    Ok((user, Secret::from_slice(password)))
}

/// A text without the zeros that Android counts to it.
fn text<'a>(attributes: &'a Attributes<'_>, kind: ConfigAttr) -> Option<&'a [u8]> {
    let bytes = attributes.find(kind.0)?.bytes()?;
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let text = bytes.get(..end)?;
    (!text.is_empty() && text.len() <= MAX_CREDENTIAL).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(attributes: Vec<Attribute<'static>>) -> Option<Configuration<'static>> {
        Some(Configuration::new(ConfigType::REPLY, 1, attributes))
    }

    #[test]
    fn a_password_with_its_trailing_zero_is_the_password() {
        let attributes = vec![Attribute::long(16521, b"mpa".to_vec()), Attribute::long(16522, b"mpa\0".to_vec())];
        let (user, password) = read_credentials(reply(attributes)).expect("both are there");
        assert_eq!((user.as_str(), password.expose()), ("mpa", &b"mpa"[..]));
    }

    #[test]
    fn what_is_missing_is_named() {
        let problem = |attributes| read_credentials(reply(attributes)).err().expect("incomplete");
        assert_eq!(problem(vec![]), "there is no user name");
        assert_eq!(problem(vec![Attribute::long(16521, b"a".to_vec())]), "there is no password");
        assert_eq!(problem(vec![Attribute::short(16527, 0)]), "the client gave up");
        assert!(read_credentials(None).is_err());
    }
}
