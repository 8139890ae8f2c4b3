//! Builds the console with Node where there is one, and writes the table of its files. Without Node, or offline, a page
//! that says how to build it takes its place; `CARDEA_CONSOLE=require` makes that an error, `CARDEA_CONSOLE=skip` asks
//! for it. Works on a copy in `OUT_DIR`: sources may be read-only, and builds of several profiles never meet.

use std::{
    env,
    error::Error,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

type Fallible<T> = Result<T, Box<dyn Error>>;

/// What the app is made from, beside the colours that it shares with the sign-in pages.
const SOURCES: [&str; 6] =
    ["app", "index.html", "package.json", "package-lock.json", "vite.config.ts", "svelte.config.js"];
const TOKENS: &str = "gateway/server/assets/tokens.css";
const STUB: &str = "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>Console not built</title>\n\
    <h1>This build holds no console</h1>\n<p>Install Node 20.19 or newer with npm and build again. \
    <code>CARDEA_CONSOLE=require</code> makes a failing console fail the build and shows why.</p></html>\n";

fn main() -> Fallible<()> {
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let here = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    println!("cargo::rerun-if-env-changed=CARDEA_CONSOLE");
    println!("cargo::rerun-if-changed=build.rs");
    for source in SOURCES {
        println!("cargo::rerun-if-changed={source}");
    }
    println!("cargo::rerun-if-changed=../{TOKENS}");
    let wish = env::var("CARDEA_CONSOLE").unwrap_or_default();
    let table = match wish.as_str() {
        "skip" => stub(&out)?,
        "" | "require" => match build(&here, &out) {
            Ok(table) => table,
            Err(error) if wish == "require" => return Err(error),
            Err(error) => {
                println!("cargo::warning=the console is not built: {error}");
                // A file that never exists: the next build tries again, since the cause lies outside our sources.
                println!("cargo::rerun-if-changed=try-again");
                stub(&out)?
            }
        },
        other => return Err(format!("`CARDEA_CONSOLE` is `skip`, `require` or unset, not `{other}`").into()),
    };
    fs::write(out.join("table.rs"), table)?;
    Ok(())
}

/// Stages the sources, installs what the lock names if it changed, and builds.
fn build(here: &Path, out: &Path) -> Fallible<String> {
    check_node()?;
    let stage = out.join("stage/admin-ui");
    fs::create_dir_all(&stage)?;
    for source in SOURCES {
        mirror(&here.join(source), &stage.join(source))?;
    }
    let tokens = out.join("stage").join(TOKENS);
    fs::create_dir_all(tokens.parent().ok_or("no folder for the tokens")?)?;
    mirror(&here.join("..").join(TOKENS), &tokens)?;
    let lock = fs::read(stage.join("package-lock.json"))?;
    let installed = stage.join("node_modules/.installed-lock");
    if fs::read(&installed).ok().as_deref() != Some(&lock) {
        run(Command::new("npm")
            .args(["ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"])
            .current_dir(&stage))?;
        fs::write(&installed, &lock)?;
    }
    let vite = ["node_modules/vite/bin/vite.js", "build", "--logLevel", "warn", "--outDir", "../../ui"];
    run(Command::new("node").args(vite).current_dir(&stage))?;
    table(&out.join("ui"))
}

/// Vite needs Node 20.19, or 22.12 of the next line.
fn check_node() -> Fallible<()> {
    let output =
        Command::new("node").arg("--version").output().map_err(|error| format!("node does not run: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut numbers = text.trim().trim_start_matches('v').split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let (major, minor) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let fits = matches!((major, minor), (20, 19..) | (22, 12..) | (23.., _));
    if fits { Ok(()) } else { Err(format!("node is `{}`; 20.19 or newer is needed", text.trim()).into()) }
}

/// Copies a file or a folder, dropping from the copy what the original no longer has.
fn mirror(from: &Path, to: &Path) -> Fallible<()> {
    if !from.is_dir() {
        let bytes = fs::read(from).map_err(|error| format!("`{}`: {error}", from.display()))?;
        return Ok(fs::write(to, bytes)?);
    }
    if to.exists() {
        fs::remove_dir_all(to)?;
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        mirror(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

fn run(command: &mut Command) -> Fallible<()> {
    let output =
        command.output().map_err(|error| format!("`{}` does not run: {error}", command.get_program().display()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stderr, output.stdout].concat();
    let said = String::from_utf8_lossy(&said);
    let first: Vec<_> = said.lines().filter(|line| !line.trim().is_empty()).take(8).collect();
    Err(format!("`{}` failed: {}", command.get_program().display(), first.join(" | ")).into())
}

/// Turns the list that the build wrote (`path`, media type and tag, a tab between) into Rust.
fn table(ui: &Path) -> Fallible<String> {
    let list = fs::read_to_string(ui.join("files.tsv"))?;
    let mut rows = String::new();
    for line in list.lines() {
        let [path, mime, tag] = line.split('\t').collect::<Vec<_>>()[..] else {
            return Err(format!("`files.tsv` holds `{line}`").into());
        };
        let file = ui.join(path);
        let packed = |ending: &str| {
            let file = PathBuf::from(format!("{}.{ending}", file.display()));
            if file.exists() {
                format!("Some(include_bytes!({:?}))", file.display().to_string())
            } else {
                "None".into()
            }
        };
        writeln!(
            rows,
            "Asset {{ path: {path:?}, mime: {mime:?}, bytes: include_bytes!({:?}), br: {}, gz: {}, etag: {:?}, immutable: {} }},",
            file.display().to_string(),
            packed("br"),
            packed("gz"),
            format!("\"{tag}\""),
            path.starts_with("assets/"),
        )?;
    }
    Ok(format!("const BUILT: bool = true;\nstatic ASSETS: &[Asset] = &[\n{rows}];\n"))
}

fn stub(out: &Path) -> Fallible<String> {
    let page = out.join("stub.html");
    fs::write(&page, STUB)?;
    Ok(format!(
        "const BUILT: bool = false;\nstatic ASSETS: &[Asset] = &[Asset {{ path: \"index.html\", mime: \"text/html; charset=utf-8\", \
         bytes: include_bytes!({:?}), br: None, gz: None, etag: \"\\\"stub\\\"\", immutable: false }}];\n",
        page.display().to_string()
    ))
}
