//! The access log: one line for each request, written by a thread of its own.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufWriter, Write},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::Duration,
};

use cardea_proxy::observe::{Line, Lines};
use tokio::sync::oneshot;

use super::Counts;
use crate::config::AccessLogConfig;

mod forms;

/// Lines that may wait. Sixteen thousand: a second of a busy gateway, some 5 MiB; longer than any honest disk stalls.
const WAITING: usize = 16_384;

/// Two seconds for the last lines.
const PATIENCE: Duration = Duration::from_secs(2);

/// An access log that is open.
pub(super) struct AccessLog {
    to: SyncSender<Said>,
    /// Whether the file is to be opened anew before the next line. Beside the queue, which may be full.
    anew: Arc<AtomicBool>,
    counts: Counts,
}

enum Said {
    Line(Box<Line>),
    /// To look whether the file is to be opened anew, where no line comes.
    Look,
    /// Everything before it is to be written, then this answered.
    Flush(oneshot::Sender<()>),
}

/// The file or stream that lines go to.
enum Sink {
    Out(io::Stdout),
    File(BufWriter<File>, PathBuf),
}

/// Why an access log cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("access log `{path}` cannot be opened: {source}")]
pub(super) struct Unopened {
    path: String,
    source: io::Error,
}

impl AccessLog {
    /// Opens the file, and begins to write.
    pub(super) fn open(config: &AccessLogConfig, counts: &Counts) -> Result<Self, Unopened> {
        let place = config.file.as_deref().unwrap_or(Path::new("standard output"));
        let unopened = |source| Unopened { path: place.display().to_string(), source };
        let sink = match &config.file {
            Some(path) => Sink::File(BufWriter::new(append(path).map_err(unopened)?), path.clone()),
            None => Sink::Out(io::stdout()),
        };
        let ((to, from), anew) = (sync_channel(WAITING), Arc::<AtomicBool>::default());
        let (form, counts) = (config.form, counts.clone());
        let writer = Writer { sink, form, anew: Arc::clone(&anew), counts: counts.clone(), held: 0, failing: false };
        thread::Builder::new().name("access-log".to_owned()).spawn(move || writer.run(&from)).map_err(unopened)?;
        Ok(Self { to, anew, counts })
    }

    /// Opens the file anew by its name, before the next line is written.
    pub(super) fn reopen(&self) {
        self.anew.store(true, Ordering::Release);
        // A queue that is full holds lines, before each of which it is looked.
        let _ = self.to.try_send(Said::Look);
    }

    /// Writes what is still held, but waits no longer than [`PATIENCE`]: nobody may read what we write.
    pub(super) async fn close(&self) {
        let (done, told) = oneshot::channel();
        if self.to.try_send(Said::Flush(done)).is_ok() {
            let _ = tokio::time::timeout(PATIENCE, told).await;
        }
    }
}

impl Lines for AccessLog {
    fn write(&self, line: Line) {
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = self.to.try_send(Said::Line(Box::new(line)))
        {
            self.counts.lines_lost.inc();
        }
    }
}

fn append(path: &Path) -> io::Result<File> {
    // Who asked for what, from where: for its owner and the group that collects logs.
    OpenOptions::new().create(true).append(true).mode(0o640).open(path)
}

struct Writer {
    sink: Sink,
    form: crate::config::AccessLogForm,
    anew: Arc<AtomicBool>,
    counts: Counts,
    /// Lines since the last flush.
    held: u64,
    /// Whether the last write failed: told once.
    failing: bool,
}

impl Writer {
    /// Until nobody is left who could say anything.
    fn run(mut self, from: &Receiver<Said>) {
        let mut text = String::with_capacity(512);
        while let Ok(mut said) = from.recv() {
            // What has come together is written together.
            loop {
                self.take(said, &mut text);
                match from.try_recv() {
                    Ok(next) => said = next,
                    Err(_) => break,
                }
            }
            let flushed = self.flush();
            self.told(flushed);
        }
    }

    fn take(&mut self, said: Said, text: &mut String) {
        if self.anew.load(Ordering::Acquire) && self.anew.swap(false, Ordering::AcqRel) {
            let reopened = self.reopen();
            self.told(reopened);
        }
        match said {
            Said::Line(line) => {
                text.clear();
                forms::write(text, self.form, &line);
                let written = self.write(text.as_bytes());
                self.held += 1;
                self.told(written);
            }
            Said::Look => {}
            Said::Flush(done) => {
                let flushed = self.flush();
                self.told(flushed);
                let _ = done.send(());
            }
        }
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        match &mut self.sink {
            Sink::Out(out) => out.lock().write_all(line),
            Sink::File(file, _) => file.write_all(line),
        }
    }

    /// Counted here, and not before: a line is written once it is where others can read it.
    fn flush(&mut self) -> io::Result<()> {
        let flushed = match &mut self.sink {
            Sink::Out(out) => out.lock().flush(),
            Sink::File(file, _) => file.flush(),
        };
        let counter = if flushed.is_ok() { &self.counts.lines } else { &self.counts.lines_lost };
        counter.inc_by(std::mem::take(&mut self.held));
        flushed
    }

    /// What was written to the old file is in it before the new one is opened, as far as there is room for it: a full disk is
    /// why there is to be another file. Where that cannot be opened, the old one goes on.
    fn reopen(&mut self) -> io::Result<()> {
        let flushed = self.flush();
        let Sink::File(file, path) = &mut self.sink else { return flushed };
        *file = BufWriter::new(append(path)?);
        flushed
    }

    fn told(&mut self, done: io::Result<()>) {
        match done {
            Ok(()) => self.failing = false,
            Err(error) if !self.failing => {
                self.failing = true;
                tracing::error!(%error, "the access log cannot be written");
            }
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_on_a_full_disk_gives_way_to_another() {
        let path = std::env::temp_dir().join(format!("cardea-access-log-{}", std::process::id()));
        let full = BufWriter::new(append(Path::new("/dev/full")).unwrap());
        let (sink, form) = (Sink::File(full, path.clone()), crate::config::AccessLogForm::Common);
        let mut writer =
            Writer { sink, form, anew: Arc::default(), counts: Counts::default(), held: 0, failing: false };
        writer.write(b"lost\n").unwrap();
        writer.reopen().unwrap_err();
        writer.write(b"kept\n").unwrap();
        writer.flush().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "kept\n");
        std::fs::remove_file(path).unwrap();
    }
}
