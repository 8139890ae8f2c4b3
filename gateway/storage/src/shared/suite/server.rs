//! A real `redis-server` of the test's own: a free port, a folder of its own, gone at the end.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Mutex,
};

use redis::{Client, aio::ConnectionManagerConfig};

/// A running server.
pub(super) struct RedisServer {
    port: u16,
    dir: PathBuf,
    child: Mutex<Option<Child>>,
}

impl RedisServer {
    pub(super) async fn start(dir: &Path) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = Self { port, dir: dir.to_owned(), child: Mutex::new(None) };
        server.run().await;
        server
    }

    /// Starts it (again) and waits until it answers. Every write is kept, so that what stood before still stands.
    pub(super) async fn run(&self) {
        let child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "yes", "--appendfsync", "always"])
            .args(["--port", &self.port.to_string()])
            .arg("--dir")
            .arg(&self.dir)
            .stdout(Stdio::null())
            .spawn()
            .expect("these tests need `redis-server` (Debian: apt install redis-server)");
        *self.child.lock().unwrap() = Some(child);
        let config = ConnectionManagerConfig::new().set_number_of_retries(200);
        let config = config.set_max_delay(std::time::Duration::from_millis(50));
        let client = Client::open(self.url()).unwrap();
        client.get_connection_manager_with_config(config).await.unwrap();
    }

    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(super) fn kill(&self) {
        if let Some(mut child) = self.child.lock().unwrap().take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}
