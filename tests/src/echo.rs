//! Six services that were not written here and tell how they read what they are sent: h11, gunicorn, node, hyper, nginx
//! and Apache. Each writes down every whole request, so that one too many is seen.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    fs,
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context, ensure};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpListener;

use crate::{
    Process,
    process::{Folder, free_port, python},
};

/// A service that tells how it reads.
#[derive(Debug)]
pub struct Echo {
    /// Its name, and its app's.
    pub name: &'static str,
    /// Where it listens.
    pub port: u16,
    heard: PathBuf,
    _process: Option<Process>,
    _folder: Arc<Folder>,
}

/// A request as a service read it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct View {
    /// The method.
    pub method: String,
    /// The target as it came.
    pub target: String,
    /// The path as the service decodes it.
    pub path: String,
    /// The query as it came.
    pub query: String,
    /// The headers; in JSON and frames alike a byte is a character.
    pub fields: Vec<(String, String)>,
    /// The body, in hexadecimal digits.
    pub body: String,
    /// The trailers, where the service tells of any.
    pub trailers: Option<Vec<(String, String)>>,
}

impl Echo {
    /// Starts all six.
    pub async fn all() -> anyhow::Result<Vec<Self>> {
        let folder = Arc::new(Folder::new("echo")?);
        let here = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/echo"));
        Ok(vec![
            h11(&here, &folder).await?,
            gunicorn(&here, &folder).await?,
            node(&here, &folder).await?,
            hyper(&folder).await?,
            nginx(&here, &folder).await?,
            apache(&here, &folder).await?,
        ])
    }

    /// How many whole requests it has heard.
    pub fn count(&self) -> anyhow::Result<usize> {
        let text = fs::read(&self.heard).unwrap_or_default();
        // nginx and Apache write the status first: what broke off was no request.
        let framed = ["nginx", "apache"].contains(&self.name);
        let whole = |line: &&[u8]| !line.is_empty() && (!framed || line.starts_with(b"200 "));
        Ok(text.split(|&b| b == b'\n').filter(whole).count())
    }

    /// What its answer tells.
    pub fn view(&self, answer: &[u8]) -> anyhow::Result<View> {
        match self.name {
            "nginx" => framed(answer, true),
            "apache" => framed(answer, false),
            _ => serde_json::from_slice(answer).with_context(|| String::from_utf8_lossy(answer).into_owned()),
        }
    }
}

async fn started(mut command: Command, folder: &Path, name: &str, port: u16) -> anyhow::Result<Process> {
    command.current_dir(folder);
    let log = folder.join(format!("{name}.out"));
    let mut process = Process::start(command, &log)?;
    let listens = async || tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok();
    let told = || fs::read_to_string(&log).unwrap_or_default();
    process.until(listens).await.with_context(|| format!("{name} does not listen:\n{}", told()))?;
    Ok(process)
}

async fn h11(here: &Path, folder: &Arc<Folder>) -> anyhow::Result<Echo> {
    let (port, heard) = (free_port()?, folder.path().join("h11.heard"));
    let mut command = python("python");
    command.arg(here.join("echo_h11.py")).arg(port.to_string()).arg(&heard);
    let process = started(command, folder.path(), "h11", port).await?;
    Ok(Echo { name: "h11", port, heard, _process: Some(process), _folder: Arc::clone(folder) })
}

async fn gunicorn(here: &Path, folder: &Arc<Folder>) -> anyhow::Result<Echo> {
    let (port, heard) = (free_port()?, folder.path().join("gunicorn.heard"));
    let mut command = python("gunicorn");
    command.args(["--bind", &format!("127.0.0.1:{port}"), "--worker-class", "gthread", "--threads", "64"]);
    command.args(["--limit-request-line", "0", "--limit-request-field_size", "0", "--limit-request-fields", "200"]);
    command.args(["--keep-alive", "120", "--log-level", "warning", "--no-control-socket", "--chdir"]).arg(here);
    command.arg("echo_wsgi:application").env("ECHO_HEARD", &heard).env("PYTHONDONTWRITEBYTECODE", "1");
    let process = started(command, folder.path(), "gunicorn", port).await?;
    Ok(Echo { name: "gunicorn", port, heard, _process: Some(process), _folder: Arc::clone(folder) })
}

async fn node(here: &Path, folder: &Arc<Folder>) -> anyhow::Result<Echo> {
    let (port, heard) = (free_port()?, folder.path().join("node.heard"));
    let mut command = Command::new("node");
    command.arg(here.join("echo_node.mjs")).arg(port.to_string()).arg(&heard);
    let process = started(command, folder.path(), "node", port).await?;
    Ok(Echo { name: "node", port, heard, _process: Some(process), _folder: Arc::clone(folder) })
}

async fn nginx(here: &Path, folder: &Arc<Folder>) -> anyhow::Result<Echo> {
    let (port, root) = (free_port()?, folder.path().join("nginx"));
    fs::create_dir(&root)?;
    let config = fs::read_to_string(here.join("nginx.conf"))?.replace("PORT", &port.to_string());
    fs::write(root.join("nginx.conf"), config)?;
    let mut command = Command::new("nginx");
    command.args(["-c", "nginx.conf", "-e", "stderr", "-p"]).arg(&root);
    let process = started(command, folder.path(), "nginx", port).await?;
    Ok(Echo {
        name: "nginx",
        port,
        heard: root.join("heard.log"),
        _process: Some(process),
        _folder: Arc::clone(folder),
    })
}

async fn apache(here: &Path, folder: &Arc<Folder>) -> anyhow::Result<Echo> {
    let (port, root) = (free_port()?, folder.path().join("apache"));
    fs::create_dir(&root)?;
    // Its workers are of another user, where a story runs as root: they must reach the script.
    for (open, mode) in [(&*std::env::temp_dir(), 0o711), (folder.path(), 0o755), (&root, 0o755)] {
        if fs::metadata(open)?.permissions().mode() & 1 == 0 {
            fs::set_permissions(open, fs::Permissions::from_mode(mode))?;
        }
    }
    fs::copy(here.join("echo.pl"), root.join("echo.pl"))?;
    fs::set_permissions(root.join("echo.pl"), fs::Permissions::from_mode(0o755))?;
    let config = fs::read_to_string(here.join("apache.conf"))?;
    let config = config.replace("PORT", &port.to_string()).replace("ROOT", &root.display().to_string());
    fs::write(root.join("apache.conf"), config)?;
    let mut command = Command::new("apache2");
    command.arg("-DFOREGROUND").arg("-f").arg(root.join("apache.conf"));
    let process = started(command, folder.path(), "apache", port).await?;
    Ok(Echo {
        name: "apache",
        port,
        heard: root.join("heard.log"),
        _process: Some(process),
        _folder: Arc::clone(folder),
    })
}

async fn hyper(folder: &Arc<Folder>) -> anyhow::Result<Echo> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let (port, heard) = (listener.local_addr()?.port(), folder.path().join("hyper.heard"));
    let file = Arc::new(Mutex::new(fs::File::create(&heard)?));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let file = Arc::clone(&file);
            let service = service_fn(move |request| told_by_hyper(request, Arc::clone(&file)));
            tokio::spawn(http1::Builder::new().max_headers(256).serve_connection(TokioIo::new(stream), service));
        }
    });
    Ok(Echo { name: "hyper", port, heard, _process: None, _folder: Arc::clone(folder) })
}

async fn told_by_hyper(
    request: Request<Incoming>,
    heard: Arc<Mutex<fs::File>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let Ok(body) = body.collect().await else {
        let mut broken = Response::new(Full::default());
        *broken.status_mut() = http::StatusCode::BAD_REQUEST;
        return Ok(broken);
    };
    let fields = |headers: &http::HeaderMap| -> Vec<(String, String)> {
        headers.iter().map(|(name, value)| (name.to_string(), characters(value.as_bytes()))).collect()
    };
    let _ = writeln!(heard.lock().unwrap_or_else(PoisonError::into_inner), "{} {}", head.method, head.uri);
    let trailers = body.trailers().map(fields).unwrap_or_default();
    let told = serde_json::json!({
        "method": head.method.as_str(),
        "target": head.uri.to_string(),
        "path": String::from_utf8_lossy(&decoded(head.uri.path().as_bytes())),
        "query": head.uri.query().unwrap_or_default(),
        "fields": fields(&head.headers),
        "body": hex(&body.to_bytes()),
        "trailers": trailers,
    });
    Ok(Response::new(Full::from(told.to_string())))
}

/// Four lines, headers, a line `==body==`, the body.
fn framed(answer: &[u8], with_request_line: bool) -> anyhow::Result<View> {
    let mark = b"\n==body==\n";
    let at = answer.windows(mark.len()).position(|found| found == mark);
    let at = at.with_context(|| format!("no frame: {}", String::from_utf8_lossy(answer)))?;
    let mut lines = answer[..at].split(|&b| b == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let mut line = || lines.next().context("a line is missing");
    let (method, target, path, query) = (line()?, line()?, line()?, line()?);
    if with_request_line {
        line()?;
    }
    let mut fields = Vec::new();
    for field in lines.filter(|field| !field.is_empty()) {
        let field = characters(field);
        let (name, value) = field.split_once(':').with_context(|| format!("no header: {field}"))?;
        fields.push((name.to_owned(), value.trim().to_owned()));
    }
    ensure!(!fields.is_empty(), "no headers");
    Ok(View {
        method: characters(method),
        target: characters(target),
        path: String::from_utf8(path.to_vec())?,
        query: characters(query),
        fields,
        body: hex(&answer[at + mark.len()..]),
        trailers: None,
    })
}

impl View {
    /// The headers by name, as whoever folds names would know them; what a name has several times is one list.
    pub fn by_name(&self) -> BTreeMap<String, String> {
        let mut all = BTreeMap::<String, String>::new();
        for (name, value) in &self.fields {
            let value = value.replace(", ", ",");
            all.entry(name.to_ascii_lowercase().replace('_', "-"))
                .and_modify(|known| *known = format!("{known},{value}"))
                .or_insert(value);
        }
        all
    }
}

fn characters(bytes: &[u8]) -> String {
    bytes.iter().map(|&b| char::from(b)).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Percent-decoding as lenient services do it.
fn decoded(text: &[u8]) -> Vec<u8> {
    let digit = |at: usize| text.get(at).and_then(|&b| char::from(b).to_digit(16)).and_then(|d| u8::try_from(d).ok());
    let (mut out, mut at) = (Vec::new(), 0);
    while at < text.len() {
        let (byte, taken) = match (text[at], digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => (high << 4 | low, 3),
            (other, ..) => (other, 1),
        };
        out.push(byte);
        at += taken;
    }
    out
}
