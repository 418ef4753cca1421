//! Redis Cluster, as far as it matters here: all counters lie in one slot, so that one node has them all, and it is enough to
//! find that node. One that stands alone has everything.

use redis::aio::MultiplexedConnection;
use redis::{Client, ConnectionAddr, RedisError, RedisResult};

use super::message::PREFIX;

/// Connects to the node that has the counters: the one at the configured address, or the one that it names.
///
/// # Errors
/// When a node is not reached, or the one that was named does not have the counters either; the next try may find it.
pub async fn connect(client: &Client) -> RedisResult<MultiplexedConnection> {
    let mut connection = client.get_multiplexed_async_connection().await?;
    let Err(error) = ask(&mut connection).await else { return Ok(connection) };
    let named = error.redirect_node().and_then(|(address, _)| of_node(client.get_connection_info().addr(), address));
    let Some(node) = named else { return Err(error) };
    let other = Client::open(client.get_connection_info().clone().set_addr(node))?;
    let mut connection = other.get_multiplexed_async_connection().await?;
    ask(&mut connection).await?;
    Ok(connection)
}

/// Whether the node answers for the counters' slot.
async fn ask(connection: &mut MultiplexedConnection) -> Result<(), RedisError> {
    redis::cmd("EXISTS").arg(PREFIX).query_async::<u64>(connection).await.map(drop)
}

/// Where a node is that another one has named: reached in the same way. An empty host is the one that was asked.
fn of_node(asked: &ConnectionAddr, named: &str) -> Option<ConnectionAddr> {
    let (host, port) = named.rsplit_once(':')?;
    let (host, port) = (host.trim_start_matches('[').trim_end_matches(']').to_owned(), port.parse().ok()?);
    let or = |own: &String| if host.is_empty() { own.clone() } else { host.clone() };
    match asked {
        ConnectionAddr::Tcp(own, _) => Some(ConnectionAddr::Tcp(or(own), port)),
        ConnectionAddr::TcpTls { host: own, insecure, tls_params, .. } => {
            Some(ConnectionAddr::TcpTls { host: or(own), port, insecure: *insecure, tls_params: tls_params.clone() })
        }
        _ => None,
    }
}
