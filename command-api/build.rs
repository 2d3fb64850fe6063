//! Embeds every page of `docs/problems/`, so that a new one needs no line anywhere.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR").map_err(io::Error::other)?);
    let folder = root.join("../docs/problems");
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut pages = Vec::new();
    for entry in fs::read_dir(&folder)? {
        let path = entry?.path();
        if let (Some("md"), Some(slug)) =
            (path.extension().and_then(|s| s.to_str()), path.file_stem().and_then(|s| s.to_str()))
        {
            pages.push((slug.to_owned(), path.clone()));
        }
    }
    // They are found by binary search.
    pages.sort();
    let mut code = String::from("&[\n");
    for (slug, path) in pages {
        println!("cargo::rerun-if-changed={}", path.display());
        let _ = writeln!(code, "    ({slug:?}, include_str!({:?})),", path.display().to_string());
    }
    code.push(']');
    let out = PathBuf::from(env::var("OUT_DIR").map_err(io::Error::other)?);
    fs::write(out.join("problems.rs"), code)
}
