//! Plain connections to hosts of the directory, for those who speak over them by themselves.

use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;
use tokio::net::TcpStream;

use super::directory::Directory;
use super::race::race;
use super::reach::Reach;
use crate::base::Dial;

/// How long an address has the field to itself (RFC 8305, section 8).
const HEAD_START: Duration = Duration::from_millis(250);

#[async_trait]
impl Dial for Directory {
    async fn dial(&self, name: &str, port: u16) -> Result<TcpStream, String> {
        let known = self.address(name, port, Reach::Any);
        let addresses = known.all().await.map_err(|error| error.to_string())?;
        let connect =
            |address: SocketAddr| async move { TcpStream::connect(address).await.map(|stream| (address, stream)) };
        match race(addresses, HEAD_START, connect).await {
            Some(Ok((address, stream))) => {
                known.worked(address);
                Ok(stream)
            }
            Some(Err(error)) => Err(error.to_string()),
            None => Err(format!("the name `{name}` has no address")),
        }
    }
}
