//! A folder of resources on disk: read whole as relative paths and texts, written so that a second writing changes
//! nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::ErrorKind,
    path::{Path, PathBuf},
};

use cardea_core::{
    Diagnostic, Diagnostics, TenantId,
    resources::{Bundle, Gathered, place_by_value},
};

/// Reads and checks the resources in `dir`; mistakes name the files as `dir` was named.
pub fn read(dir: &Path) -> Result<Bundle, Diagnostics> {
    let Gathered { bundle, found, .. } = gather(dir)?;
    found.or_ok(bundle)
}

/// Reads what can be read of the resources in `dir`, with every mistake; an error is told where there is no such folder.
pub fn gather(dir: &Path) -> Result<Gathered, Diagnostics> {
    let (files, mut unreadable) = texts(dir)?;
    let mut gathered = Bundle::gather(&files);
    // Whose they are cannot be told from here, so nothing is concluded from what is missing.
    if !unreadable.0.is_empty() {
        gathered.torn.extend(gathered.bundle.tenants.keys().cloned());
    }
    for one in &mut gathered.found.0 {
        one.source = dir.join(&one.source).display().to_string();
    }
    unreadable.extend(gathered.found);
    Ok(Gathered { found: unreadable, ..gathered })
}

/// Gives what was found later in resources of `dir` its line, where the value that it names stands in its file, and names the file
/// as `dir` was named.
pub fn place(dir: &Path, found: &mut Diagnostics) {
    for one in &mut found.0 {
        let path = dir.join(&one.source);
        if let Ok(text) = std::fs::read_to_string(&path) {
            place_by_value(one, &text);
            one.source = path.display().to_string();
        }
    }
}

/// Every file below `dir` that may be a resource, and what cannot be read. Hidden files and `README.md` are people's own.
fn texts(dir: &Path) -> Result<(BTreeMap<String, String>, Diagnostics), Diagnostics> {
    if !dir.is_dir() {
        let why = if dir.exists() { "this is a file, and no folder" } else { "there is no such folder" };
        return Err(Diagnostic::new(dir.display().to_string(), why)
            .help("name the folder that holds `tenants/`")
            .into());
    }
    // What is not there is taken away by an apply: a folder named by mistake would take everything.
    if !dir.join("tenants").is_dir() {
        let one =
            Diagnostic::new(dir.display().to_string(), "this folder holds no `tenants/`, so it is none of resources");
        return Err(one
            .help("name the folder that holds `tenants/`; for no tenants at all, leave that one empty")
            .into());
    }
    let (mut files, mut found) = (BTreeMap::new(), Diagnostics::default());
    let mut open: Vec<PathBuf> = vec![dir.to_owned()];
    while let Some(folder) = open.pop() {
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) => {
                found.push(unreadable(&folder, &error));
                continue;
            }
        };
        for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            if name.starts_with('.') || name == "README.md" {
                continue;
            }
            if path.is_dir() {
                open.push(path);
                continue;
            }
            match std::fs::read_to_string(&path) {
                Ok(text) => {
                    files.insert(relative(dir, &path), text);
                }
                Err(error) => found.push(unreadable(&path, &error)),
            }
        }
    }
    Ok((files, found))
}

fn unreadable(path: &Path, error: &std::io::Error) -> Diagnostic {
    Diagnostic::new(path.display().to_string(), format!("cannot be read: {error}"))
        .help("resources are UTF-8 texts that this user may read")
}

fn relative(dir: &Path, path: &Path) -> String {
    let below = path.strip_prefix(dir).unwrap_or(path);
    below.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/")
}

/// Writes a bundle below `dir` and removes resource files that it no longer has, but of tenants that are `kept` as they are; says
/// how many files changed.
pub fn write(dir: &Path, bundle: &Bundle, kept: &BTreeSet<&TenantId>) -> std::io::Result<usize> {
    std::fs::create_dir_all(dir)?;
    let wanted = bundle.write();
    let mut changed = 0;
    // Where something cannot be read, nothing is removed.
    let there = texts(dir).ok().filter(|(_, unreadable)| unreadable.0.is_empty()).map(|(files, _)| files);
    for old in there.unwrap_or_default().keys() {
        let ours = old.starts_with("tenants/") || old.starts_with("guard-rails/");
        let is_kept = kept.iter().any(|id| old.starts_with(&format!("tenants/{id}/")));
        if ours && !is_kept && !wanted.contains_key(old) {
            std::fs::remove_file(dir.join(old))?;
            changed += 1;
        }
    }
    for (path, text) in &wanted {
        let path = dir.join(path);
        match std::fs::read_to_string(&path) {
            Ok(there) if there == *text => continue,
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(&path, text)?;
        changed += 1;
    }
    Ok(changed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_reads_back_and_a_second_writing_changes_nothing() {
        let dir = std::env::temp_dir().join(format!("cardea-folder-{}", std::process::id()));
        let texts = [
            ("tenants/acme/tenant.toml", "id = \"acme\"\nname = \"Acme\"\nsign_in_host = \"acme.localhost\"\n"),
            ("tenants/acme/groups/staff.toml", "id = \"staff\"\nname = \"Staff\"\n"),
        ];
        let mut bundle = Bundle::read(&texts.map(|(path, text)| (path.to_owned(), text.to_owned())).into()).unwrap();
        let write = |dir: &Path, bundle: &Bundle| write(dir, bundle, &BTreeSet::new());
        assert_eq!(write(&dir, &bundle).unwrap(), 2);
        std::fs::write(dir.join("README.md"), "people's own").unwrap();
        assert_eq!(read(&dir).unwrap(), bundle);
        assert_eq!(write(&dir, &bundle).unwrap(), 0);
        bundle.tenants.values_mut().for_each(|tenant| tenant.groups.clear());
        assert_eq!(write(&dir, &bundle).unwrap(), 1);
        assert_eq!(read(&dir).unwrap(), bundle);
        assert!(dir.join("README.md").exists());
        let acme = bundle.tenants.keys().next().unwrap().clone();
        assert_eq!(super::write(&dir, &Bundle::default(), &BTreeSet::from([&acme])).unwrap(), 0);
        assert!(dir.join("tenants/acme/tenant.toml").exists(), "what cannot be read was removed");
        std::fs::write(dir.join("tenants/acme/tenant.toml"), "id = \"acme\"\nnmae = \"A\"\n").unwrap();
        let found = read(&dir).unwrap_err().to_string();
        assert!(found.contains("tenants/acme/tenant.toml:2:1"), "{found}");
        // One folder too deep, or another altogether: read as it is, it would say that there are no tenants.
        for wrong in ["tenants", "tenants/acme"] {
            let found = read(&dir.join(wrong)).unwrap_err().to_string();
            assert!(found.contains("holds no `tenants/`"), "{found}");
        }
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
