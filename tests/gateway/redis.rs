//! A real Redis of the test's own, and a way to it that can be slow.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::*;

/// Ended by its process id.
pub struct Redis {
    pub address: SocketAddr,
    directory: tempfile::TempDir,
    options: Vec<String>,
    variables: Vec<(String, String)>,
    child: Child,
}

impl Redis {
    pub async fn start() -> Self {
        Self::start_with(&["--port", "PORT"], &[]).await
    }

    /// With these options, in which `PORT` stands for its port.
    pub async fn start_with(options: &[&str], variables: &[(&str, &str)]) -> Self {
        let (address, directory) = (free_address(), tempfile::tempdir().unwrap());
        let port = address.port().to_string();
        let options: Vec<_> = options.iter().map(|option| option.replace("PORT", &port)).collect();
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let variables: Vec<_> = variables.iter().map(own).collect();
        let child = Self::run(&directory, &options, &variables);
        let redis = Self { address, directory, options, variables, child };
        until_listening(address).await;
        redis
    }

    fn run(directory: &tempfile::TempDir, options: &[String], variables: &[(String, String)]) -> Child {
        Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir"])
            .arg(directory.path())
            .args(options)
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is installed")
    }

    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Ends it at once.
    pub async fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again, empty.
    pub async fn restart(&mut self) {
        self.child = Self::run(&self.directory, &self.options, &self.variables);
        until_listening(self.address).await;
    }

    /// One command in the inline form, and the first part of its answer.
    pub async fn command(&self, line: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(format!("{line}\r\n").as_bytes()).await.unwrap();
        let mut answer = vec![0; 4096];
        let length = stream.read(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer[..length]).into_owned()
    }

    /// Asks until the answer holds this.
    pub async fn until_answer(&self, command: &str, expected: &str) {
        let begun = Instant::now();
        loop {
            let answer = self.command(command).await;
            if answer.contains(expected) {
                return;
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "{command}: {answer}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Passes bytes on to an address, each answer later by a time that can be changed.
pub struct Delay {
    pub address: std::net::SocketAddr,
    millis: std::sync::Arc<std::sync::atomic::AtomicU64>,
}

impl Delay {
    pub async fn start(to: std::net::SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, millis) =
            (listener.local_addr().unwrap(), std::sync::Arc::<std::sync::atomic::AtomicU64>::default());
        let delay = millis.clone();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(to).await else { continue };
                let (mut near_in, mut near_out) = near.into_split();
                let (mut far_in, mut far_out) = far.into_split();
                tokio::spawn(async move { tokio::io::copy(&mut near_in, &mut far_out).await });
                let delay = delay.clone();
                tokio::spawn(async move {
                    let mut buffer = vec![0; 16 * 1024];
                    while let Ok(length @ 1..) = far_in.read(&mut buffer).await {
                        let wait = delay.load(std::sync::atomic::Ordering::Relaxed);
                        tokio::time::sleep(Duration::from_millis(wait)).await;
                        if near_out.write_all(&buffer[..length]).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self { address, millis }
    }

    pub fn set(&self, delay: Duration) {
        self.millis.store(delay.as_millis() as u64, std::sync::atomic::Ordering::Relaxed);
    }
}
