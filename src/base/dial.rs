//! How whoever has no business with names and addresses gets connected.

use async_trait::async_trait;
use tokio::net::TcpStream;

/// Makes connections. Implemented where names are looked up, used where only what is said over a connection matters.
#[async_trait]
pub trait Dial: Send + Sync {
    /// A new connection to a host. `name` is a host name or an IP literal without brackets.
    ///
    /// # Errors
    /// Says which step failed. Has no limit on time of its own.
    async fn dial(&self, name: &str, port: u16) -> Result<TcpStream, String>;
}
