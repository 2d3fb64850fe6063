//! Circles of files that import each other. Files of a crate are read as tokens: imports are `use` of `crate::…`,
//! `super::…`, `self::…` or a child module, and paths in the code that begin the same way. A re-exported item belongs
//! to the file that defines it. Tests beside the code may import anything.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// The path of a module in its crate; the crate's root is empty.
type Module = Vec<String>;

/// A path in the code, and the inline modules around it.
struct Import {
    inside: Vec<String>,
    path: Vec<String>,
}

/// The imports and re-exports of a file.
#[derive(Default)]
struct Parsed {
    imports: Vec<Import>,
    /// The names that the file re-exports, with their path: importing such a name imports the other file.
    names: BTreeMap<String, Vec<String>>,
    /// Modules that exist in tests only.
    tests: BTreeSet<String>,
}

/// Every circle in a crate: a line for each import in it, `a.rs imports b.rs by crate::b::X`.
pub(super) fn circles(source: &BTreeMap<Module, String>) -> Vec<Vec<String>> {
    let mut files: BTreeMap<Module, Parsed> = BTreeMap::new();
    for (module, text) in source {
        let tokens: TokenStream = text.parse().unwrap_or_else(|error| panic!("{module:?}: {error}"));
        let mut parsed = Parsed::default();
        parsed.read(tokens, &[]);
        files.insert(module.clone(), parsed);
    }
    let only_tests: BTreeSet<Module> = files
        .iter()
        .flat_map(|(module, parsed)| parsed.tests.iter().map(|name| child(module, name)))
        .collect();
    files.retain(|module, _| !only_tests.iter().any(|tests| module.starts_with(tests)));
    let edges: BTreeMap<&Module, BTreeMap<Module, &Import>> = files
        .iter()
        .map(|(module, parsed)| {
            let imports = parsed.imports.iter();
            let found = imports.filter_map(|import| Some((resolve(&files, module, import)?, import)));
            (module, found.filter(|(to, _)| to != module).collect())
        })
        .collect();
    let reached: BTreeMap<&Module, BTreeSet<&Module>> =
        edges.keys().map(|module| (*module, reach(&edges, module))).collect();
    let mut seen: BTreeSet<&Module> = BTreeSet::new();
    let mut circles = Vec::new();
    for module in files.keys() {
        if seen.contains(module) || !reached[module].contains(module) {
            continue;
        }
        let circle: BTreeSet<&Module> =
            reached[module].iter().copied().filter(|other| reached[other].contains(module)).collect();
        let lines = circle.iter().flat_map(|from| {
            let within = edges[*from].iter().filter(|(to, _)| circle.contains(to));
            within.map(|(to, import)| {
                format!("{} imports {} by {}", named(from), named(to), import.path.join("::"))
            })
        });
        circles.push(lines.collect());
        seen.extend(circle);
    }
    circles
}

/// The sources of a crate by module. (Its binary imports nothing but the library.)
pub(super) fn sources(folder: &Path) -> BTreeMap<Module, String> {
    let mut sources = BTreeMap::new();
    let mut left = vec![folder.to_owned()];
    while let Some(next) = left.pop() {
        for entry in std::fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                left.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let parts = path.strip_prefix(folder).unwrap().with_extension("");
                let mut module: Module = parts.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
                let root = module == ["lib"] || module == ["main"] && !folder.join("lib.rs").exists();
                if root || module.last().is_some_and(|last| last == "mod") {
                    module.pop();
                } else if module == ["main"] {
                    continue;
                }
                sources.insert(module, std::fs::read_to_string(&path).unwrap());
            }
        }
    }
    sources
}

fn named(module: &Module) -> String {
    if module.is_empty() { "lib.rs".to_owned() } else { format!("{}.rs", module.join("/")) }
}

fn child(module: &[String], name: &str) -> Module {
    module.iter().cloned().chain([name.to_owned()]).collect()
}

fn reach<'a>(
    edges: &'a BTreeMap<&'a Module, BTreeMap<Module, &Import>>,
    from: &'a Module,
) -> BTreeSet<&'a Module> {
    let (mut seen, mut left) = (BTreeSet::new(), vec![from]);
    while let Some(next) = left.pop() {
        for to in edges[next].keys() {
            if seen.insert(to) {
                left.push(to);
            }
        }
    }
    seen
}

/// The file that an import wants; `None`: it is of another crate.
fn resolve(files: &BTreeMap<Module, Parsed>, from: &Module, import: &Import) -> Option<Module> {
    let mut at: Module = from.iter().chain(&import.inside).cloned().collect();
    let mut path = import.path.as_slice();
    match path.first()?.as_str() {
        // A macro that ends a path with what it was given: `crate::$($module)::+`.
        "crate" if path.len() == 1 => return None,
        "crate" => (at, path) = (Vec::new(), &path[1..]),
        "self" | "super" => {
            while let Some(step @ ("self" | "super")) = path.first().map(String::as_str) {
                if step == "super" {
                    at.pop()?;
                }
                path = &path[1..];
            }
        }
        name if files.contains_key(&child(&at, name)) => {}
        _ => return None,
    }
    follow(files, at, path, 0)
}

/// Follows a path from a module down to a file, and through what files re-export.
fn follow(
    files: &BTreeMap<Module, Parsed>,
    mut at: Module,
    mut path: &[String],
    steps: u32,
) -> Option<Module> {
    while let Some(name) = path.first()
        && files.contains_key(&child(&at, name))
    {
        (at, path) = (child(&at, name), &path[1..]);
    }
    if let (Some(parsed), Some(name)) = (files.get(&at), path.first())
        && let Some(whence) = parsed.names.get(name)
        && steps < 16
    {
        let onward = Import { inside: Vec::new(), path: whence.iter().chain(&path[1..]).cloned().collect() };
        let local = ["crate", "self", "super"].contains(&whence[0].as_str())
            || files.contains_key(&child(&at, &whence[0]));
        return if local { follow_import(files, &at, &onward, steps + 1) } else { None };
    }
    // Below an inline module, or an item of the file itself.
    while !files.contains_key(&at) {
        at.pop()?;
    }
    Some(at)
}

fn follow_import(
    files: &BTreeMap<Module, Parsed>,
    from: &Module,
    import: &Import,
    steps: u32,
) -> Option<Module> {
    let mut at = from.clone();
    let mut path = import.path.as_slice();
    while let Some(step @ ("crate" | "self" | "super")) = path.first().map(String::as_str) {
        match step {
            "crate" => at.clear(),
            "super" => drop(at.pop()?),
            _ => {}
        }
        path = &path[1..];
    }
    follow(files, at, path, steps)
}

fn ident(token: Option<&TokenTree>) -> Option<String> {
    match token {
        Some(TokenTree::Ident(ident)) => Some(ident.to_string().trim_start_matches("r#").to_owned()),
        _ => None,
    }
}

fn is_punct(token: Option<&TokenTree>, expected: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == expected)
}

/// Whether the tokens at this place are `::`.
fn is_path(tokens: &[TokenTree], at: usize) -> bool {
    is_punct(tokens.get(at), ':') && is_punct(tokens.get(at + 1), ':')
}

impl Parsed {
    fn read(&mut self, tokens: TokenStream, inside: &[String]) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            at = self.item(&tokens, at, inside);
        }
    }

    /// Reads the item at a place; returns where it ends.
    fn item(&mut self, tokens: &[TokenTree], at: usize, inside: &[String]) -> usize {
        if is_punct(tokens.get(at), '#')
            && let Some(TokenTree::Group(attribute)) = tokens.get(at + 1)
            && attribute.stream().to_string().replace(' ', "") == "cfg(test)"
        {
            return self.pass_test(tokens, at + 2, inside);
        }
        match (ident(tokens.get(at)), tokens.get(at)) {
            (Some(word), _) if word == "use" => {
                let end = (at..tokens.len()).find(|end| is_punct(tokens.get(*end), ';'));
                let end = end.unwrap_or(tokens.len());
                // (`use<'a>` in a type is no import.)
                if !is_punct(tokens.get(at + 1), '<') {
                    self.tree(&tokens[at + 1..end], &[], inside);
                    return end + 1;
                }
            }
            (Some(word), _) if word == "mod" => {
                if let (Some(name), Some(TokenTree::Group(body))) =
                    (ident(tokens.get(at + 1)), tokens.get(at + 2))
                    && body.delimiter() == Delimiter::Brace
                {
                    self.read(body.stream(), &child(inside, &name));
                    return at + 3;
                }
            }
            (Some(word), _) if is_path(tokens, at + 1) && !(at > 1 && is_path(tokens, at - 2)) => {
                let (mut path, mut end) = (vec![word], at + 1);
                while is_path(tokens, end)
                    && let Some(next) = ident(tokens.get(end + 2))
                {
                    path.push(next);
                    end += 3;
                }
                self.imports.push(Import { inside: inside.to_vec(), path });
                return end;
            }
            (_, Some(TokenTree::Group(group))) => self.read(group.stream(), inside),
            _ => {}
        }
        at + 1
    }

    /// Skips an item that exists in tests only.
    fn pass_test(&mut self, tokens: &[TokenTree], at: usize, inside: &[String]) -> usize {
        for end in at..tokens.len() {
            match &tokens[end] {
                TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => return end + 1,
                TokenTree::Punct(punct) if punct.as_char() == ';' => {
                    if let (Some(word), Some(name)) = (ident(tokens.get(end - 2)), ident(tokens.get(end - 1)))
                        && word == "mod"
                        && inside.is_empty()
                    {
                        self.tests.insert(name);
                    }
                    return end + 1;
                }
                _ => {}
            }
        }
        tokens.len()
    }

    /// Reads the tree of a `use`.
    fn tree(&mut self, tokens: &[TokenTree], prefix: &[String], inside: &[String]) {
        let mut path = prefix.to_vec();
        let mut at = if is_path(tokens, 0) { 2 } else { 0 };
        while let Some(word) = ident(tokens.get(at)) {
            path.push(word);
            at += 1;
            if !is_path(tokens, at) {
                break;
            }
            at += 2;
        }
        if let Some(TokenTree::Group(group)) = tokens.get(at) {
            let branches: Vec<TokenTree> = group.stream().into_iter().collect();
            for branch in branches.split(|token| is_punct(Some(token), ',')) {
                if !branch.is_empty() {
                    self.tree(branch, &path, inside);
                }
            }
            return;
        }
        let renamed =
            ident(tokens.get(at)).filter(|word| word == "as").and_then(|_| ident(tokens.get(at + 1)));
        if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
            path.pop();
        }
        if !is_punct(tokens.get(at), '*')
            && inside.is_empty()
            && let Some(name) = renamed.or_else(|| path.last().cloned())
        {
            self.names.insert(name, path.clone());
        }
        self.imports.push(Import { inside: inside.to_vec(), path });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<Vec<String>> {
        let module =
            |name: &str| name.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect();
        circles(&files.iter().map(|(name, text)| (module(name), (*text).to_owned())).collect())
    }

    #[test]
    fn files_that_import_each_other_are_found_however_they_write_it() {
        for (a, b) in [
            ("use crate::b::B;", "use crate::a::A;"),
            ("use super::b::{self, B};", "fn f() { crate::a::g() }"),
            ("fn f(x: super::b::B) {}", "mod inner { use super::super::a::A; }"),
            ("pub use crate::b as c;", "fn f() { g!(crate::a::h) }"),
        ] {
            let circles = found(&[("", "mod a; mod b;"), ("a", a), ("b", b)]);
            assert_eq!(circles.len(), 1, "{a} {b}: {circles:?}");
            assert!(circles[0][0].starts_with("a.rs imports b.rs by "), "{circles:?}");
        }
    }

    #[test]
    fn a_circle_of_several_files_is_found() {
        let files =
            [("", ""), ("a", "use crate::b::X;"), ("b", "use crate::c::X;"), ("c", "use crate::a::X;")];
        assert_eq!(found(&files)[0].len(), 3);
    }

    #[test]
    fn a_re_export_counts_as_an_import_of_its_file() {
        let root = "mod a; mod b; pub use a::A; pub use b::B;";
        assert!(found(&[("", root), ("a", "pub struct A;"), ("b", "use crate::A;")]).is_empty());
        assert_eq!(found(&[("", root), ("a", "use crate::B;"), ("b", "use crate::A;")]).len(), 1);
        let own = "mod a; pub use a::A; pub struct Own;";
        assert_eq!(found(&[("", own), ("a", "use crate::Own;")]).len(), 1, "an item of the root's own");
    }

    #[test]
    fn declarations_texts_tests_and_other_crates_are_no_imports() {
        let a = "//! crate::b\nuse b::X; /// crate::b::X\nfn f() { let _ = \"crate::b::X\"; }\n\
                 #[cfg(test)] mod tests { use super::*; use crate::b::X; }";
        assert!(
            found(&[("", "mod a; mod b; #[cfg(test)] mod t;"), ("a", a), ("b", "use crate::a::A;")])
                .is_empty()
        );
        let tests = "use super::*; use crate::a::A;";
        assert!(
            found(&[("", "#[cfg(test)] mod t; mod a; pub use a::A;"), ("a", ""), ("t", tests)]).is_empty()
        );
    }
}
