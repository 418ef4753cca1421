//! What a request refers to of earlier ones. Ids and encrypted content are opened for the upstream, and say which resource
//! alone can serve the request; on the way back they are sealed for the caller.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use url::form_urlencoded;

use super::exchange::{Caller, Plan, Received, Target};
use super::form::Form;
use super::refuse::Refusal;
use crate::base::KeySet;
use crate::dialect::Operation;
use crate::dialect::responses::{Bound, Named, Reference};
use crate::objects::{MARK_LENGTH, Origin, Register, Seal, Unknown};
use crate::snapshot::{Provider, Snapshot};

/// Names of a query that go on to the upstream. A closed list: what is not here may be a credential, or a version.
const PASSED: [&str; 10] = [
    "stream",
    "starting_after",
    "include",
    "include[]",
    "include_obfuscation",
    "limit",
    "order",
    "after",
    "before",
    "variant",
];

/// Names of a query whose values are ids.
const IDS: [&str; 2] = ["after", "before"];

/// What a request has to do with stored objects.
#[derive(Debug, Default)]
pub struct Objects {
    /// Of the caller; `None` where ids and content pass as they are.
    seal: Option<Arc<Seal>>,
    /// The seal is this caller's alone.
    owned: bool,
    /// The resource that everything referred to belongs to.
    origin: Option<Origin>,
    /// Something is referred to that is not in the request itself.
    by_reference: bool,
    /// Parts of the body, and what stands there for the upstream.
    pub opened: Vec<(Range<u64>, Bytes)>,
    /// The model that the image tool is to use.
    pub image_model: Option<String>,
}

/// How one caller knows what one resource made.
struct Outward {
    seal: Arc<Seal>,
    origin: Origin,
    /// Where what the caller has seen is kept in mind.
    register: Option<Arc<Register>>,
}

impl Bound for Outward {
    fn id(&self, id: &str) -> String {
        if let Some(register) = &self.register
            && let Err(error) = register.note(self.seal.trace(self.origin, id))
        {
            log::error!("an object cannot be kept in mind and will be missing from lists: {error}");
        }
        self.seal.close(self.origin, id)
    }

    fn mark(&self) -> Bytes {
        self.origin.mark().into()
    }
}

impl Objects {
    /// Whoever brings a key of their own has a resource of their own.
    pub fn of(caller: &Caller, share: bool) -> Self {
        let seal = match caller {
            Caller::Virtual(key) if !share => Some(Seal::of_owner(&key.hash)),
            Caller::Virtual(_) | Caller::Anonymous => Some(Seal::shared()),
            Caller::Direct { .. } => None,
        };
        let owned = !share && matches!(caller, Caller::Virtual(_));
        Self { seal: seal.map(Arc::new), owned, ..Self::default() }
    }

    /// Whether the caller may know of its own objects only.
    pub fn are_owned(&self) -> bool {
        self.owned
    }

    /// Whether the caller may know of an object of the resource at `origin`.
    pub fn own(&self, origin: Origin, id: &str, register: &Register) -> bool {
        let own = || self.seal.as_ref().is_some_and(|seal| register.knows(seal.trace(origin, id)));
        !self.owned || own()
    }

    /// How the caller knows what the resource at `origin` makes. In the `register` it is kept in mind for lists.
    pub fn outward(&self, origin: Origin, register: Option<&Arc<Register>>) -> Option<Arc<dyn Bound>> {
        let (seal, register) = (Arc::clone(self.seal.as_ref()?), register.filter(|_| self.owned).map(Arc::clone));
        Some(Arc::new(Outward { seal, origin, register }))
    }

    /// The resource of an object, and its own id there.
    pub fn open(&self, id: &str) -> Result<(Origin, String), Refusal> {
        self.seal.as_ref().and_then(|seal| seal.open(id).ok()).ok_or_else(|| not_found(id))
    }

    /// The upstream's own id of the object that the path names.
    pub fn open_path(&mut self, id: &str) -> Result<String, Refusal> {
        let Some(seal) = &self.seal else { return Ok(id.to_owned()) };
        let (origin, id) = seal.open(id).map_err(|_| not_found(id))?;
        self.origin = Some(origin);
        Ok(id)
    }

    /// The part of a caller's query that goes on, with its ids opened.
    pub fn open_query(&mut self, query: &str) -> Result<String, Refusal> {
        let mut passed = form_urlencoded::Serializer::new(String::new());
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if !PASSED.contains(&&*name) {
                continue;
            }
            match &self.seal {
                Some(seal) if IDS.contains(&&*name) => {
                    let (_, id) = seal.open(&value).map_err(|_| not_found(&value))?;
                    passed.append_pair(&name, &id);
                }
                _ => {
                    passed.append_pair(&name, &value);
                }
            }
        }
        Ok(passed.finish())
    }

    /// Opens what the body of a Responses request refers to.
    pub fn refer(&mut self, references: Vec<Named>) -> Result<(), Refusal> {
        let mut is_image_tool = false;
        for named in references {
            match named.kind {
                Reference::ToolKind => is_image_tool = named.text == "image_generation",
                Reference::ToolModel if is_image_tool => self.image_model = Some(named.text),
                Reference::ToolModel => {}
                Reference::Conversation if self.seal.is_some() => return Err(conversation()),
                Reference::Conversation => {}
                Reference::PreviousResponse | Reference::Item | Reference::File | Reference::Part => {
                    self.open_id(named)?
                }
                Reference::Encrypted => self.open_content(&named)?,
            }
        }
        Ok(())
    }

    /// The keys that lead to the resource that the request is bound to.
    pub fn among(&self, provider: &Provider, keys: KeySet) -> KeySet {
        match self.origin {
            Some(origin) => keys.iter().filter(|key| provider.keys[*key].origin == origin).collect(),
            None => keys,
        }
    }

    pub fn are_bound(&self) -> bool {
        self.origin.is_some()
    }

    /// Whether the request is whole without what its resource keeps, but for reasoning that nobody else can read.
    pub fn are_spelled_out(&self) -> bool {
        !self.by_reference
    }

    fn open_id(&mut self, named: Named) -> Result<(), Refusal> {
        let Some(seal) = &self.seal else { return Ok(()) };
        let (origin, id) = match (seal.open(&named.text), named.kind) {
            (Ok(opened), _) => opened,
            // Callers may give their own items ids of their own making.
            (Err(Unknown::Unsealed), Reference::Item) => return Ok(()),
            (Err(Unknown::Foreign), Reference::Item) => return Err(item_not_found(&named.text)),
            (Err(_), Reference::File | Reference::Part) => return Err(not_found(&named.text)),
            (Err(_), _) => return Err(previous_not_found(&named.text)),
        };
        self.bind(origin)?;
        self.by_reference |= matches!(named.kind, Reference::PreviousResponse | Reference::File);
        let id = serde_json::to_vec(&id).map_or_else(|_| Bytes::from_static(b"null"), Bytes::from);
        self.opened.push((named.value, id));
        Ok(())
    }

    /// Content without a mark was not made through a gateway, and may be for any resource.
    fn open_content(&mut self, named: &Named) -> Result<(), Refusal> {
        let Some(origin) = Origin::of_marked(&named.text).filter(|_| self.seal.is_some()) else { return Ok(()) };
        self.bind(origin)?;
        let start = named.value.start + 1;
        self.opened.push((start..start + MARK_LENGTH as u64, Bytes::new()));
        Ok(())
    }

    fn bind(&mut self, origin: Origin) -> Result<(), Refusal> {
        if self.origin.is_some_and(|bound| bound != origin) {
            let message = "the request refers to items of two Azure resources, each of which knows only its own; leave out \
                           the items and the reasoning of one of them";
            return Err(Refusal::new(400, "bad_request", message).param("input"));
        }
        self.origin = Some(origin);
        Ok(())
    }
}

/// Decides where a request about a stored object goes: to the keys of the resource that made it.
pub fn plan(
    operation: Operation,
    received: &Received,
    query: &str,
    caller: &Caller,
    snapshot: &Snapshot,
) -> Result<(Plan, Form), Refusal> {
    let mut objects = Objects::of(caller, snapshot.client.share_objects);
    let item = received.item.as_deref().unwrap_or_default();
    let id = objects.open_path(item)?;
    let query = objects.open_query(query)?;
    let form = Form::of_object(operation, &id, query).ok_or_else(|| Refusal::not_served(operation.name(), "azure"))?;
    let mut targets = Vec::new();
    match caller {
        Caller::Direct { credential, endpoint } => {
            let endpoint = endpoint.as_deref().ok_or_else(Refusal::missing_endpoint)?;
            targets.push(super::direct::target(endpoint, credential, String::new(), snapshot)?);
        }
        Caller::Virtual(_) | Caller::Anonymous => {
            targets.extend((0..snapshot.providers.len()).filter_map(|place| target(place, caller, &objects, snapshot)));
        }
    }
    // One resource may be configured twice; the first place serves.
    targets.truncate(1);
    if targets.is_empty() {
        return Err(not_found(item).because("no key that this caller may use leads to its resource any more"));
    }
    Ok((Plan::about_object(targets, objects, snapshot), form))
}

pub fn target(place: usize, caller: &Caller, objects: &Objects, snapshot: &Snapshot) -> Option<Target> {
    let provider = &snapshot.providers[place];
    let mut keys = objects.among(provider, (0..provider.keys.len()).collect());
    if let Caller::Virtual(key) = caller {
        key.permits_provider(&provider.name).ok()?;
        keys = key.among(place, keys);
    }
    (!keys.is_empty()).then(|| Target::keeping(provider, place, keys))
}

/// That nothing which keeps objects may be used by the caller.
pub fn kept_nowhere() -> Refusal {
    Refusal::new(403, "provider_not_allowed", "no key that keeps files may be used by this caller")
}

pub fn not_found(id: &str) -> Refusal {
    let id = id.chars().take(100).collect::<String>();
    Refusal::new(404, "not_found", format!("nothing with id `{id}` is known here, or it belongs to another caller"))
}

fn previous_not_found(id: &str) -> Refusal {
    let id = id.chars().take(100).collect::<String>();
    let message =
        format!("Previous response with id '{id}' not found: it is not known here, or belongs to another caller.");
    Refusal::new(400, "previous_response_not_found", message).param("previous_response_id")
}

fn item_not_found(id: &str) -> Refusal {
    let id = id.chars().take(100).collect::<String>();
    Refusal::new(400, "bad_request", format!("the item `{id}` of the input belongs to another caller")).param("input")
}

fn conversation() -> Refusal {
    let message = "conversations are not served by this gateway; use `previous_response_id`, or send the items again";
    Refusal::new(400, "field_not_supported", message).param("conversation")
}

/// The resource that a request is bound to is not among the keys that serve its model.
pub fn elsewhere(model: &str) -> Refusal {
    let message = format!(
        "the request refers to items of an Azure resource that no longer serves model `{model}` to this caller; leave out \
         `previous_response_id` and the items and reasoning of earlier answers"
    );
    Refusal::new(404, "not_found", message).param("model")
}
