//! Name -> addresses, off the request path: an answer is kept for its time and renewed in the background, and the last
//! good one serves while the name servers are slow or broken. Only the first look-up of a name is waited for, by all
//! who need it together.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use super::reach::Reach;
use super::resolver::Resolver;
use super::standing::{Change, Known, Standing};
use crate::base::locks::lock;

/// How long a request waits for a better answer than one that is long past its time.
const MOMENT: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, thiserror::Error)]
pub enum Unresolvable {
    #[error("the name `{name}` could not be resolved: {cause}")]
    Failed { name: String, cause: String },
    #[error("`{name}` resolves to {address}, which callers may not reach")]
    Forbidden { name: String, address: IpAddr },
}

/// The addresses of one host and port, for those who may reach them.
#[derive(Clone)]
pub struct Address {
    place: Arc<Place>,
    reach: Reach,
}

/// What is remembered of one host and port, by all who go there.
pub(super) struct Place {
    name: String,
    port: u16,
    resolver: Arc<ArcSwap<Resolver>>,
    known: ArcSwap<Known>,
    /// Ends when the look-up in progress does.
    asking: Mutex<Option<watch::Receiver<()>>>,
    /// The address that was connected to last.
    worked: ArcSwapOption<IpAddr>,
    /// Room for exchanges in progress, by the limit that was asked for.
    rooms: Mutex<Vec<(u32, Weak<Semaphore>)>>,
}

impl Address {
    pub(super) fn new(place: Arc<Place>, reach: Reach) -> Self {
        Self { place, reach }
    }

    /// All addresses, the one to try first in front. Every time they are held against what may be reached, so that a
    /// name whose addresses change to forbidden ones (DNS rebinding) gets nowhere.
    ///
    /// # Errors
    /// When the name has no address, or one that is out of reach. Waits for the first look-up of a name without a limit
    /// of its own.
    pub async fn all(&self) -> Result<Vec<SocketAddr>, Unresolvable> {
        let place = &self.place;
        let ips = place.ips().await?;
        if let Some(address) = self.reach.forbidden(&ips) {
            return Err(Unresolvable::Forbidden { name: place.name.clone(), address });
        }
        let mut addresses: Vec<_> = ips.iter().map(|ip| SocketAddr::new(*ip, place.port)).collect();
        if let Some(worked) = place.worked.load().as_deref()
            && let Some(index) = ips.iter().position(|ip| ip == worked)
        {
            addresses[..=index].rotate_right(1);
        }
        Ok(addresses)
    }

    /// This address was connected to, so it is tried first from now on.
    pub(super) fn worked(&self, address: SocketAddr) {
        self.place.worked.store(Some(Arc::new(address.ip())));
    }

    /// That a look-up took longer than its caller had time for.
    pub(super) fn late(&self, limit: Duration) -> Unresolvable {
        self.place.failed(&format!("no answer from a name server within {limit:?}"))
    }

    /// Room for `limit` exchanges at a time, shared by all who ask for the same limit.
    pub(super) fn room(&self, limit: u32) -> Arc<Semaphore> {
        let mut rooms = lock(&self.place.rooms);
        let known = rooms.iter().filter(|(of, _)| *of == limit).find_map(|(_, room)| room.upgrade());
        known.unwrap_or_else(|| {
            let room =
                Arc::new(Semaphore::new(usize::try_from(limit).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS)));
            rooms.retain(|(_, room)| room.strong_count() > 0);
            rooms.push((limit, Arc::downgrade(&room)));
            room
        })
    }
}

impl Place {
    pub(super) fn new(name: &str, port: u16, resolver: Arc<ArcSwap<Resolver>>) -> Self {
        Self {
            name: name.to_owned(),
            port,
            resolver,
            known: ArcSwap::default(),
            asking: Mutex::default(),
            worked: ArcSwapOption::empty(),
            rooms: Mutex::default(),
        }
    }

    /// What is known is to be asked for again.
    pub(super) fn forget(&self) {
        self.known.rcu(|known| known.due(Instant::now()));
    }

    async fn ips(self: &Arc<Self>) -> Result<Arc<[IpAddr]>, Unresolvable> {
        if let Ok(ip) = self.name.parse::<IpAddr>() {
            return Ok([ip].into());
        }
        let standing = self.known.load().standing(Instant::now());
        match standing {
            Standing::Good(ips) => Ok(ips),
            Standing::Due(ips) => {
                self.ask();
                Ok(ips)
            }
            Standing::Stale(ips) => {
                // Whether in time or not, what is known afterwards is the best there is.
                let _ = timeout(MOMENT, ended(self.ask())).await;
                Ok(self.known.load().ips().unwrap_or(ips))
            }
            Standing::Failed(cause) => Err(self.failed(&cause)),
            Standing::Unknown => {
                ended(self.ask()).await;
                match self.known.load().standing(Instant::now()) {
                    Standing::Good(ips) | Standing::Due(ips) | Standing::Stale(ips) => Ok(ips),
                    Standing::Failed(cause) => Err(self.failed(&cause)),
                    Standing::Unknown => Err(self.failed("the look-up was given up")),
                }
            }
        }
    }

    fn failed(&self, cause: &str) -> Unresolvable {
        Unresolvable::Failed { name: self.name.clone(), cause: cause.to_owned() }
    }

    /// Has the name looked up, unless that is being done already. It goes on whether anybody waits for it or not.
    fn ask(self: &Arc<Self>) -> watch::Receiver<()> {
        let mut asking = lock(&self.asking);
        if let Some(running) = asking.as_ref().filter(|running| running.has_changed().is_ok()) {
            return running.clone();
        }
        let (running, ends) = watch::channel(());
        *asking = Some(ends.clone());
        let place = Arc::clone(self);
        tokio::spawn(async move {
            place.look_up().await;
            drop(running);
        });
        ends
    }

    async fn look_up(&self) {
        let resolver = self.resolver.load_full();
        let asked = resolver.ask(&self.name).await;
        let (known, change) = self.known.load().after(asked, Instant::now());
        let (name, cause) = (&self.name, known.cause().unwrap_or_default());
        match change {
            Some(Change::Lost) if known.ips().is_some() => {
                log::warn!("`{name}` cannot be looked up any more, its last addresses stay in use: {cause}");
            }
            Some(Change::Lost) => log::warn!("`{name}` cannot be looked up: {cause}"),
            Some(Change::Regained) => log::info!("`{name}` can be looked up again"),
            None => {}
        }
        self.known.store(Arc::new(known));
    }
}

/// Waits for the end of a look-up: its task drops the sender, even when it dies.
async fn ended(mut running: watch::Receiver<()>) {
    while running.changed().await.is_ok() {}
}
