//! Stage 6: The credential of one attempt, and another one where an upstream refused it and a new token may help.

use super::exchange::Candidate;
use super::refuse::Refusal;
use crate::azure::credential::Unavailable;
use crate::provider::Credential;
use crate::snapshot::Proof;

/// What the candidate's key presents; `None` where it presents nothing. Waits only for a first token.
pub async fn credential(candidate: &Candidate) -> Result<Option<Credential>, Refusal> {
    match &candidate.key.proof {
        Proof::Nothing => Ok(None),
        Proof::Fixed(credential) => Ok(Some(credential.clone())),
        Proof::Token(tokens) => match tokens.get().await {
            Ok(value) => Ok(Some(Credential::Bearer(value))),
            Err(why) => Err(no_token(&candidate.key.name, &why)),
        },
    }
}

/// Another token in place of one that was refused: it may have been revoked, or the clocks disagree. An API key that was
/// refused stays what it is.
pub async fn renewed(candidate: &Candidate, refused: Option<&Credential>) -> Option<Credential> {
    match (&candidate.key.proof, refused) {
        (Proof::Token(tokens), Some(Credential::Bearer(refused))) => {
            tokens.renew(refused).await.map(Credential::Bearer)
        }
        _ => None,
    }
}

fn no_token(key: &str, why: &Unavailable) -> Refusal {
    Refusal::no_credential(format!("key `{key}`: {why}"))
}
