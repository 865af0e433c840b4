//! Whether what was sent to a process lies in its socket, though the process stands still and reads nothing.
//!
//! Connections of the usual kind cannot be told apart from outside. One that comes from a loopback address of its own can:
//! the kernel lists each socket with both addresses and the bytes that wait in it.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tonic::transport::{Channel, Endpoint};

use super::{PATIENCE, eventually};

/// Where the kernel lists IPv4 sockets.
const SOCKETS: &str = "/proc/net/tcp";
/// Whose connections we look for; all of 127.0.0.0/8 is loopback.
const OWN: Ipv4Addr = Ipv4Addr::new(127, 87, 0, 1);

/// A connection whose unread bytes at the other end are known. It sends nothing but what it is asked to: no pings.
#[derive(Debug)]
pub struct Watched {
    /// For any client.
    pub channel: Channel,
    server: SocketAddrV4,
}

impl Watched {
    /// Connects to `address`, an IPv4 `host:port` of loopback.
    ///
    /// # Errors
    /// When nobody listens there.
    pub async fn connect(address: &str) -> Result<Watched> {
        let server = address.parse().with_context(|| format!("{address} is no IPv4 address"))?;
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
        let endpoint = endpoint
            .tcp_nodelay(true)
            .connect_timeout(Duration::from_secs(20))
            .local_address(Some(OWN.into()));
        let channel = endpoint.connect().await.with_context(|| format!("connecting to {address}"))?;
        Ok(Watched { channel, server })
    }

    /// Bytes of ours that the server has received and not read.
    ///
    /// # Errors
    /// When there is no such connection (any more).
    pub fn unread(&self) -> Result<u64> {
        let listed = std::fs::read_to_string(SOCKETS).with_context(|| format!("reading {SOCKETS}"))?;
        let unread = unread(&listed, self.server, OWN);
        unread.with_context(|| format!("{SOCKETS} lists no connection from {OWN} to {}", self.server))
    }

    /// Waits until more than `before` bytes are unread.
    ///
    /// # Errors
    /// When they never come.
    pub async fn arrived(&self, before: u64) -> Result<()> {
        eventually("the request in the socket", PATIENCE, async || {
            let unread = self.unread()?;
            ensure!(unread > before, "{unread} bytes wait there, as before");
            Ok(())
        })
        .await
    }
}

/// The receive queues of the sockets at `server` that are connected with `client`; `None` without such a socket.
fn unread(listed: &str, server: SocketAddrV4, client: Ipv4Addr) -> Option<u64> {
    let hex = |address: Ipv4Addr| format!("{:08X}", u32::from_ne_bytes(address.octets()));
    let ours = format!("{}:{:04X}", hex(*server.ip()), server.port());
    let theirs = format!("{}:", hex(client));
    // Number, local address, remote address, state, "sent:received" in hex.
    let queues = listed.lines().filter_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let is_it = words.next()? == ours && words.next()?.starts_with(&theirs);
        let (_, received) = words.nth(1)?.split_once(':')?;
        is_it.then(|| u64::from_str_radix(received, 16).ok())?
    });
    queues.fold(None, |sum, queue| Some(sum.unwrap_or(0) + queue))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn bytes_count_until_they_are_read() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server: SocketAddrV4 = listener.local_addr().unwrap().to_string().parse().unwrap();
        let mut client = TcpStream::connect(server).unwrap();
        let (mut accepted, _) = listener.accept().unwrap();
        client.write_all(b"hello").unwrap();
        let look = |from| unread(&std::fs::read_to_string(SOCKETS).unwrap(), server, from);
        accepted.peek(&mut [0; 1]).unwrap();
        assert_eq!(look(Ipv4Addr::LOCALHOST), Some(5));
        assert_eq!(look(OWN), None, "nobody came from there");
        accepted.read_exact(&mut [0; 5]).unwrap();
        assert_eq!(look(Ipv4Addr::LOCALHOST), Some(0));
    }
}
