//! Embeds every file of `locales/LANGUAGE/`, so that a new file needs no line anywhere.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// The languages, as their folders and their constants are named.
const LANGUAGES: [(&str, &str); 2] = [("en", "ENGLISH"), ("zh-CN", "CHINESE")];

fn main() -> io::Result<()> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR").map_err(io::Error::other)?).join("locales");
    let mut code = String::new();
    for (folder, constant) in LANGUAGES {
        let folder = root.join(folder);
        println!("cargo::rerun-if-changed={}", folder.display());
        let files = catalogues(&folder)?;
        let _ = writeln!(code, "const {constant}: &[&str] = &[");
        for file in files {
            println!("cargo::rerun-if-changed={}", file.display());
            let _ = writeln!(code, "    include_str!({:?}),", file.display().to_string());
        }
        let _ = writeln!(code, "];");
    }
    let out = PathBuf::from(env::var("OUT_DIR").map_err(io::Error::other)?);
    fs::write(out.join("catalogues.rs"), code)
}

/// The `.ftl` files of a folder, in the order of their names.
fn catalogues(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "ftl") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
