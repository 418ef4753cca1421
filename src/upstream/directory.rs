//! The hosts that are known, by name and port: what was learned of one serves every key and every caller that leads
//! there, and survives reloads.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::address::{Address, Place};
use super::reach::Reach;
use super::resolver::{NameServers, Resolver};

/// Hosts remembered. Callers with keys of their own may name many.
const MOST_PLACES: usize = 4_096;

/// No lock is taken to find a host that is known.
pub struct Directory {
    resolver: Arc<ArcSwap<Resolver>>,
    places: ArcSwap<HashMap<String, Arc<Place>>>,
}

impl Default for Directory {
    fn default() -> Self {
        let resolver = Resolver::new(NameServers::default());
        Self { resolver: Arc::new(ArcSwap::from_pointee(resolver)), places: ArcSwap::default() }
    }
}

impl Directory {
    /// Whom to ask from now on. When that changes, every name is asked for again; what is known serves meanwhile.
    pub fn consult(&self, name_servers: NameServers) {
        if *self.resolver.load().name_servers() == name_servers {
            return;
        }
        self.resolver.store(Arc::new(Resolver::new(name_servers)));
        self.places.load().values().for_each(|place| place.forget());
    }

    /// The address of a host. `name` is a host name or an IP literal without brackets.
    pub fn address(&self, name: &str, port: u16, reach: Reach) -> Address {
        let key = format!("{name}:{port}");
        if let Some(place) = self.places.load().get(&key) {
            return Address::new(Arc::clone(place), reach);
        }
        let place = Arc::new(Place::new(name, port, Arc::clone(&self.resolver)));
        self.places.rcu(|places| {
            let mut places = HashMap::clone(places);
            if places.len() >= MOST_PLACES {
                // Those that nobody holds are of callers who have gone.
                places.retain(|_, place| Arc::strong_count(place) > 2);
            }
            if places.len() < MOST_PLACES {
                places.entry(key.clone()).or_insert_with(|| Arc::clone(&place));
            }
            places
        });
        let place = self.places.load().get(&key).map_or(place, Arc::clone);
        Address::new(place, reach)
    }
}
