//! The cache in front: one token for everybody with the same identity, refreshed by one task long before it ends.
//!
//! Requests only ever read the token, without a lock; one keeper asks for the next. Asking is thereby never done twice at
//! a time, whoever wishes for it: a request that finds no token, one whose token was refused, or the passing of time.

use std::sync::Arc;
use std::sync::Weak;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwapOption;
use http::HeaderValue;
use tokio::sync::{Notify, watch};

use super::identity::Identity;
use super::schedule;
use super::source;
use super::token::Token;
use super::wire::Failure;
use crate::base::Dial;

/// How long a request waits for a token that is being fetched.
const PATIENCE: Duration = Duration::from_secs(10);

/// After a refused token led to a new one, how long the next refusal is believed to have another reason.
const FORCED_PAUSE: Duration = Duration::from_secs(30);

/// How often the keeper looks at the clock on the wall.
const LOOK: Duration = Duration::from_secs(30);

/// Why a request gets no token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    #[error("there is no token: {0}")]
    Failed(Failure),
    #[error("there is no token yet, {0:?} after it was asked for")]
    Late(Duration),
}

/// The token of one identity, and what is known about getting the next.
pub struct Tokens {
    identity: Identity,
    dial: Arc<dyn Dial>,
    token: ArcSwapOption<Held>,
    failed: ArcSwapOption<Failed>,
    failures: AtomicU32,
    /// A token that an upstream refused, until it was asked for another.
    refused: ArcSwapOption<HeaderValue>,
    forced: ArcSwapOption<Instant>,
    /// Counts the tries that have ended.
    tries: watch::Sender<u64>,
    wish: Arc<Notify>,
    kept: AtomicBool,
}

#[derive(Debug)]
struct Held {
    token: Token,
    refresh_at: Instant,
}

#[derive(Debug)]
struct Failed {
    failure: Failure,
    /// Until then the issuer is left alone.
    until: Instant,
}

impl Tokens {
    pub fn new(identity: Identity, dial: Arc<dyn Dial>) -> Self {
        Self {
            identity,
            dial,
            token: ArcSwapOption::empty(),
            failed: ArcSwapOption::empty(),
            failures: AtomicU32::new(0),
            refused: ArcSwapOption::empty(),
            forced: ArcSwapOption::empty(),
            tries: watch::Sender::new(0),
            wish: Arc::default(),
            kept: AtomicBool::new(false),
        }
    }

    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Starts the keeper on the current runtime, once. It ends with the last reference to these tokens.
    pub fn keep(self: &Arc<Self>) {
        if !self.kept.swap(true, Ordering::AcqRel) {
            tokio::spawn(keep(Arc::downgrade(self), Arc::clone(&self.wish)));
        }
    }

    /// The value of `authorization`. Waits only when there is no token that is good, and then not for long.
    pub async fn get(&self) -> Result<HeaderValue, Unavailable> {
        match self.good() {
            Some(value) => Ok(value),
            None => self.wait(|| self.good()).await.or_else(|why| self.valid().ok_or(why)),
        }
    }

    /// Another token in place of one that an upstream refused, when a new one may help: at most one is asked for on
    /// account of refusals in a while.
    pub async fn renew(&self, refused: &HeaderValue) -> Option<HeaderValue> {
        let other = || self.valid().filter(|value| value != refused);
        // Before the token is looked at: it may be replaced at this moment.
        let forced = self.forced.load().as_ref().is_some_and(|at| at.elapsed() < FORCED_PAUSE);
        if let Some(value) = other() {
            return Some(value);
        }
        if forced {
            return None;
        }
        self.refused.store(Some(Arc::new(refused.clone())));
        self.wait(other).await.ok()
    }

    /// Until the token ends; `None` without one.
    pub fn left(&self) -> Option<Duration> {
        self.token.load().as_ref()?.token.left(Instant::now())
    }

    /// Waits until there is a token, or a failure to get one, for at most `limit`.
    pub async fn settled(&self, limit: Duration) {
        let mut tries = self.tries.subscribe();
        let settled =
            async { while self.left().is_none() && self.failure().is_none() && tries.changed().await.is_ok() {} };
        // Whatever it is by then is what requests will meet.
        let _ = tokio::time::timeout(limit, settled).await;
    }

    /// The last failure to get a token, until one was got.
    pub fn failure(&self) -> Option<Failure> {
        self.failed.load().as_ref().map(|failed| failed.failure.clone())
    }

    /// Asks once and tells what came of it: for an operator who wants to know.
    pub async fn ask(&self) -> Result<Duration, Failure> {
        self.fetch().await;
        match (self.left(), self.failure()) {
            (Some(left), None) => Ok(left),
            (_, Some(failure)) => Err(failure),
            (None, None) => Err(Failure::Setup("no token".to_owned())),
        }
    }

    /// The token, when no clock speaks against it.
    fn good(&self) -> Option<HeaderValue> {
        let held = self.token.load();
        let token = &held.as_ref()?.token;
        let good = token.left(Instant::now()).is_some() && !token.is_doubtful(SystemTime::now());
        good.then(|| token.value.clone())
    }

    /// The token, until its real end.
    fn valid(&self) -> Option<HeaderValue> {
        let held = self.token.load();
        let token = &held.as_ref()?.token;
        token.left(Instant::now()).map(|_| token.value.clone())
    }

    async fn wait(&self, wanted: impl Fn() -> Option<HeaderValue>) -> Result<HeaderValue, Unavailable> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        let mut tries = self.tries.subscribe();
        loop {
            if let Some(value) = wanted() {
                return Ok(value);
            }
            if let Some(failed) = self.failed.load().as_ref().filter(|failed| Instant::now() < failed.until) {
                return Err(Unavailable::Failed(failed.failure.clone()));
            }
            self.wish.notify_one();
            // The sender is this cache's own, so that there is no other error than being late.
            if tokio::time::timeout_at(deadline, tries.changed()).await.is_err() {
                return Err(Unavailable::Late(PATIENCE));
            }
        }
    }

    /// When the keeper has to do something by itself.
    fn due(&self) -> Instant {
        let refresh = self.token.load().as_ref().map(|held| held.refresh_at);
        let after_failure = self.failed.load().as_ref().map(|failed| failed.until);
        after_failure.or(refresh).unwrap_or_else(Instant::now)
    }

    /// Whether a new token is needed now. Wishes of the past may have been fulfilled meanwhile.
    fn is_needed(&self) -> bool {
        let (held, refused, now) = (self.token.load(), self.refused.load(), Instant::now());
        if self.failed.load().as_ref().is_some_and(|failed| now < failed.until) {
            return false;
        }
        let Some(held) = held.as_ref() else { return true };
        now >= self.due()
            || held.token.left(now).is_none()
            || held.token.is_doubtful(SystemTime::now())
            || refused.as_ref().is_some_and(|refused| **refused == held.token.value)
    }

    async fn fetch(&self) {
        let (identity, dial) = (self.identity.clone(), Arc::clone(&self.dial));
        // A task of its own: should the crate panic, this cache goes on.
        let got = tokio::spawn(async move { source::fetch(&identity, dial).await }).await;
        let got = got.unwrap_or_else(|error| Err(Failure::Setup(format!("asking for a token broke off: {error}"))));
        match got {
            Ok(token) => self.hold(token),
            Err(failure) => self.fail(failure),
        }
        if self.refused.swap(None).is_some() {
            // Last, so that whoever sees it sees the token that came of it.
            self.forced.store(Some(Arc::new(Instant::now())));
        }
        self.tries.send_modify(|tries| *tries += 1);
    }

    fn hold(&self, token: Token) {
        let after = self.identity.refresh_after;
        let age = schedule::refresh_age(token.life, token.refresh_in, after, fastrand::f64());
        let refresh_at = token.at(age);
        let recovered = self.failures.swap(0, Ordering::Relaxed) > 0;
        let first = self.token.swap(Some(Arc::new(Held { token, refresh_at }))).is_none();
        self.failed.store(None);
        if recovered || first {
            log::info!("{} has a token", self.identity.shown());
        }
    }

    fn fail(&self, failure: Failure) {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let hint = match &failure {
            Failure::Refused { retry_after, .. } => *retry_after,
            _ => None,
        };
        let (left, wait) = (self.left(), schedule::wait(failures, self.left(), hint, fastrand::f64()));
        let meanwhile = match left {
            Some(left) => format!("the old token serves for {} s more", left.as_secs()),
            None => "requests go to other keys, or fail".to_owned(),
        };
        log::warn!("{} got no token, next try in {wait:.1?}; {meanwhile}: {failure}", self.identity.shown());
        self.failed.store(Some(Arc::new(Failed { failure, until: Instant::now() + wait })));
    }
}

/// Which identity it is; tokens and secrets stay hidden.
impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").field("identity", &self.identity.shown()).finish_non_exhaustive()
    }
}

/// Wakes the keeper, so that it ends as well.
impl Drop for Tokens {
    fn drop(&mut self) {
        self.wish.notify_one();
    }
}

/// Asks for tokens as long as somebody holds them.
async fn keep(tokens: Weak<Tokens>, wish: Arc<Notify>) {
    loop {
        let Some(due) = tokens.upgrade().map(|tokens| tokens.due()) else { return };
        let due = due.min(Instant::now() + LOOK);
        tokio::select! {
            () = tokio::time::sleep_until(due.into()) => {}
            () = wish.notified() => {}
        }
        let Some(tokens) = tokens.upgrade() else { return };
        if tokens.is_needed() {
            tokens.fetch().await;
        }
    }
}
