//! `cardea audit`: shows logs, checks them, and writes them as files that anybody can check without the gateway.

mod listing;

use std::{
    fs::File,
    io::{self, BufReader, BufWriter, Write},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use cardea_audit::{
    Break, Head,
    export::{self, Export, ExportFault},
};
use cardea_core::TenantId;
use cardea_storage::Store;
use serde_json::json;

use super::{Context, Ended, Failure, Outcome, counted, only_in, remark, say, say_json, serve::open_failure};
use crate::house::store_to_read;

/// Show what was recorded (`list`), check that nothing of it was changed (`verify`), and write it out (`export`).
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show entries, the newest first, one a line: when, number, event, who, what.
    List(listing::Arguments),
    /// Check that no entry was changed, moved, removed, cut off or listed as another; names the first that was.
    Verify(VerifyArguments),
    /// Write a log as JSON lines to standard output: a heading, one line an entry, the head.
    Export(ExportArguments),
}

#[derive(Debug, clap::Args)]
struct VerifyArguments {
    /// An export (`cardea audit export`) instead of the store; needs no configuration.
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// The same, as it was written before.
    #[arg(long = "file", value_name = "FILE", hide = true, conflicts_with = "file")]
    named: Option<PathBuf>,
    /// Only this tenant's log; all logs where not given.
    #[arg(long, value_name = "TENANT", conflicts_with_all = ["operator", "file", "named"])]
    tenant: Option<TenantId>,
    /// Only the operator's own log.
    #[arg(long, conflicts_with_all = ["file", "named"])]
    operator: bool,
    /// A head that was noted earlier (`<size>:<link>`): what was written anew since then is found by it.
    #[arg(long = "head", value_name = "HEAD", value_parser = parse_head)]
    heads: Vec<Head>,
}

#[derive(Debug, clap::Args)]
struct ExportArguments {
    /// The tenant whose log to write; may be left out where there is only one.
    #[arg(long, value_name = "TENANT", conflicts_with = "operator")]
    tenant: Option<TenantId>,
    /// Write the operator's own log.
    #[arg(long)]
    operator: bool,
    /// The first entry to write, counted from 0.
    #[arg(long, value_name = "SEQ", default_value_t = 0)]
    from: u64,
}

/// Entries read at once.
const STRIDE: u32 = 1_000;

/// Runs the command.
pub async fn run(arguments: Arguments, context: &Context) -> Ended {
    match arguments.command {
        Command::Verify(
            VerifyArguments { file: Some(file), heads, .. } | VerifyArguments { named: Some(file), heads, .. },
        ) => verify_file(&file, &heads, context),
        Command::Verify(arguments) => {
            let store = open(context).await?;
            let ended = verify_store(&store, &arguments, context).await;
            store.close().await;
            ended
        }
        Command::List(arguments) => {
            let store = open(context).await?;
            let ended = listing::list(&store, arguments, context).await;
            store.close().await;
            ended
        }
        Command::Export(arguments) => {
            let store = open(context).await?;
            let ended = export(&store, arguments, BufWriter::new(io::stdout().lock())).await;
            store.close().await;
            ended
        }
    }
}

/// Opens the store alone: a log that is broken keeps the house from opening, and must be looked at all the same.
async fn open(context: &Context) -> Result<Store, Failure> {
    let config = context.config()?;
    let kept = config.kept();
    if kept.holds_nothing().await.map_err(anyhow::Error::from)? {
        let what = match kept.file() {
            Some(database) => format!("there is no store at `{}`", database.display()),
            None => "the database of `[postgres]` is empty".to_owned(),
        };
        return Err(Failure::Misused(format!("{what}: nothing has been recorded yet")));
    }
    store_to_read(&config).await.map_err(open_failure)
}

async fn verify_store(store: &Store, arguments: &VerifyArguments, context: &Context) -> Ended {
    let all = arguments.tenant.is_none() && !arguments.operator;
    if all && !arguments.heads.is_empty() {
        return Err(Failure::Misused("a head belongs to one log: name it with `--tenant` or `--operator`".to_owned()));
    }
    let logs = if all {
        let mut logs = store.logs().await.map_err(anyhow::Error::from)?;
        logs.extend(store.tenants().await.map_err(anyhow::Error::from)?.into_iter().map(Some));
        logs.sort();
        logs.dedup();
        logs
    } else {
        known(store, arguments.tenant.as_ref()).await?;
        vec![arguments.tenant.clone()]
    };
    let mut found = Vec::new();
    for log in logs {
        let mut checked = store.verify_log(log.as_ref(), &arguments.heads).await.map_err(anyhow::Error::from)?;
        // Its making is the first thing that is written of a tenant.
        if let Some(tenant) = &log
            && checked == Ok(Head::EMPTY)
            && store.tenant(tenant).await.map_err(anyhow::Error::from)?.is_some()
        {
            checked = Err(Break::Missing);
        }
        let closed = store.closed_entries(log.as_ref()).await.map_err(anyhow::Error::from)?;
        if closed > 0 && !context.is_json() {
            let name = name(log.as_ref());
            let closed = counted(closed, ENTRIES);
            remark(format_args!("{name}: {closed} went with their tenant's key: only their links can be checked"));
        }
        found.push(Verified { log: name(log.as_ref()), checked, closed: Some(closed) });
    }
    told(&found, context)
}

fn verify_file(file: &Path, heads: &[Head], context: &Context) -> Ended {
    let unreadable = || format!("`{}` cannot be read", file.display());
    // The last of several heads reaches farthest; each is held against the file by itself.
    let mut heads: Vec<_> = heads.iter().copied().map(Some).collect();
    if heads.is_empty() {
        heads.push(None);
    }
    let mut last = None;
    for head in heads {
        let input = BufReader::new(File::open(file).with_context(unreadable)?);
        match export::verify(input, head) {
            Ok((heading, head)) => {
                let log = name(heading.tenant.as_ref());
                last = Some(Verified { log, checked: Ok(head), closed: None });
            }
            Err(ExportFault::Broken(found)) => {
                let log = file.display().to_string();
                return told(&[Verified { log, checked: Err(found), closed: None }], context);
            }
            Err(ExportFault::Read(error)) => return Err(anyhow::Error::from(error).context(unreadable()).into()),
            Err(other) => return malformed(file, &other, context),
        }
    }
    told(last.as_slice(), context)
}

fn malformed(file: &Path, fault: &ExportFault, context: &Context) -> Ended {
    if context.is_json() {
        let log = json!({ "log": file, "ok": false, "message": fault.to_string() });
        say_json(&json!({ "ok": false, "logs": [log] }))?;
    } else {
        remark(format_args!("{}: {fault}", file.display()));
    }
    Ok(Outcome::No)
}

/// How a log stands.
struct Verified {
    log: String,
    checked: Result<Head, Break>,
    /// How many of its entries nobody can read any more; not known of a file.
    closed: Option<u64>,
}

/// Says of each log how it stands.
fn told(logs: &[Verified], context: &Context) -> Ended {
    let whole = logs.iter().all(|one| one.checked.is_ok());
    if context.is_json() {
        let logs: Vec<_> = logs
            .iter()
            .map(|Verified { log, checked, closed }| {
                let mut told = match checked {
                    Ok(head) => json!({ "log": log, "ok": true, "entries": head.size, "head": head }),
                    Err(found) => json!({ "log": log, "ok": false, "message": found.to_string() }),
                };
                if let Some(closed) = closed {
                    told["closed_entries"] = (*closed).into();
                }
                told
            })
            .collect();
        say_json(&json!({ "ok": whole, "logs": logs }))?;
    } else {
        for Verified { log, checked, .. } in logs {
            match checked {
                Ok(head) => {
                    let entries = counted(head.size, ["entry is", "entries are"]);
                    say(format_args!("{log}: {entries} whole, head {head}"));
                }
                Err(found) => remark(format_args!("{log}: {found}")),
            }
        }
        if logs.is_empty() {
            say("nothing has been recorded yet");
        }
    }
    Ok(if whole { Outcome::Done } else { Outcome::No })
}

async fn export(store: &Store, arguments: ExportArguments, out: impl Write) -> Ended {
    let tenant = log_meant(store, arguments.tenant, arguments.operator).await?;
    let tenant = tenant.as_ref();
    let head = store.log_head(tenant).await.map_err(anyhow::Error::from)?;
    if arguments.from > head.size {
        let entries = counted(head.size, ENTRIES);
        let message = format!("the log of `{}` has {entries}, none from {} on", name(tenant), arguments.from);
        return Err(Failure::Misused(message));
    }
    let after = head_before(store, tenant, arguments.from).await?;
    let mut export = Export::begin(out, tenant.cloned(), after).context("the export cannot be written")?;
    let mut next = arguments.from;
    loop {
        let rows = store.log_range(tenant, next, STRIDE).await.map_err(anyhow::Error::from)?;
        for row in &rows {
            export.entry(&row.row()).with_context(|| format!("entry {} cannot be written", row.seq))?;
            next = row.seq + 1;
        }
        if rows.len() < STRIDE as usize {
            break;
        }
    }
    export.end().context("the export cannot be written")?;
    if next < head.size {
        remark(format_args!("{}: {}", name(tenant), Break::Truncated { known: head.size, found: next }));
        return Ok(Outcome::No);
    }
    Ok(Outcome::Done)
}

/// The head before entry `seq`.
async fn head_before(store: &Store, tenant: Option<&TenantId>, seq: u64) -> Result<Head, Failure> {
    let Some(last) = seq.checked_sub(1) else { return Ok(Head::EMPTY) };
    let head = store.log_head_behind(tenant, last).await.map_err(anyhow::Error::from)?;
    Ok(head.with_context(|| format!("entry {last} of the log of `{}` is missing", name(tenant)))?)
}

const ENTRIES: [&str; 2] = ["entry", "entries"];

/// The log meant: that of the tenant named, or of the only one, or the operator's own.
async fn log_meant(store: &Store, tenant: Option<TenantId>, operator: bool) -> Result<Option<TenantId>, Failure> {
    if operator {
        return Ok(None);
    }
    let tenant = Some(only_in(store, tenant).await?);
    known(store, tenant.as_ref()).await?;
    Ok(tenant)
}

/// Makes sure that there is such a log: a slip in a tenant's name must not read as an empty log.
async fn known(store: &Store, tenant: Option<&TenantId>) -> Result<(), Failure> {
    let Some(id) = tenant else { return Ok(()) };
    let logs = store.logs().await.map_err(anyhow::Error::from)?;
    let exists = logs.iter().any(|log| log.as_ref() == Some(id))
        || store.tenant(id).await.map_err(anyhow::Error::from)?.is_some();
    if exists { Ok(()) } else { Err(Failure::Misused(format!("there is no tenant `{id}`, and no log of one"))) }
}

fn name(tenant: Option<&TenantId>) -> String {
    tenant.map_or_else(|| "operator".to_owned(), ToString::to_string)
}

fn parse_head(text: &str) -> Result<Head, String> {
    Head::parse(text).ok_or_else(|| "a head is `<size>:<link>`, as `cardea audit verify` prints it".to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use cardea_audit::{Actor, Entry, Event};
    use cardea_core::{Clock, EntryId, Secret, Timestamp, entropy::Fixed};
    use cardea_identity::Sealer;
    use cardea_storage::{Log, LogLimits};

    use super::*;
    use crate::cli::Format;

    struct Noon;

    impl Clock for Noon {
        fn now(&self) -> Timestamp {
            Timestamp::from_secs(1_763_800_000)
        }
    }

    fn context() -> Context {
        Context { config_file: None, format: Format::Json, clock: Arc::new(Noon), entropy: Arc::new(Fixed::new(1)) }
    }

    async fn exported(dir: &Path, from: u64) -> Result<Vec<u8>, Failure> {
        let operator = Sealer::new(&Secret::new([1; 32])).unwrap();
        let store = Store::open(&dir.join("cardea.db"), operator, Arc::new(Fixed::new(9))).await.unwrap();
        let log = Log::start(&store, LogLimits::default(), Arc::new(Noon)).await.unwrap();
        for nth in 0..5 {
            let at = Noon.now();
            let id = EntryId::mint(at, &Fixed::new(nth));
            let tenant = TenantId::parse("acme").ok();
            let event = Event::Started { version: nth.to_string() };
            log.record(Entry { id, at, tenant, actor: Actor::GATEWAY, session: None, client: None, event });
        }
        log.flush().await.unwrap();
        let arguments = ExportArguments { tenant: TenantId::parse("acme").ok(), operator: false, from };
        let mut out = Vec::new();
        let ended = export(&store, arguments, &mut out).await;
        store.close().await;
        ended.map(|outcome| {
            assert_eq!(outcome, Outcome::Done);
            out
        })
    }

    fn folder(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("cardea-audit-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        dir
    }

    #[tokio::test]
    async fn an_export_verifies_and_a_changed_one_does_not() {
        let dir = folder("changed");
        let text = String::from_utf8(exported(&dir, 2).await.unwrap()).unwrap();
        assert_eq!(text.lines().count(), 5);
        let file = dir.join("acme.jsonl");
        std::fs::write(&file, &text).unwrap();
        assert_eq!(verify_file(&file, &[], &context()).unwrap(), Outcome::Done);
        let elsewhere = Head { size: 5, link: [7; 32] };
        assert_eq!(verify_file(&file, &[elsewhere], &context()).unwrap(), Outcome::No);
        for changed in
            [text.replace("\"version\":\"3\"", "\"version\":\"4\""), text.replace("cardea-log", "other"), String::new()]
        {
            std::fs::write(&file, changed).unwrap();
            assert_eq!(verify_file(&file, &[], &context()).unwrap(), Outcome::No);
        }
        assert!(verify_file(&dir.join("none"), &[], &context()).is_err());
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[tokio::test]
    async fn an_export_from_beyond_the_end_is_wrong_use() {
        let dir = folder("beyond");
        assert!(matches!(exported(&dir, 6).await, Err(Failure::Misused(_))));
        std::fs::remove_dir_all(dir).unwrap();
    }
}
