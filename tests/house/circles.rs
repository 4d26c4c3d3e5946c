//! Finds circles in the imports between the files of `src`.
//!
//! An import of a re-exported item (`pub use`) counts as an import of the file that defines the
//! item. Imports between a module and its submodules do not count as a circle: in Rust, they are
//! one unit.

use std::collections::{BTreeMap, BTreeSet};

use super::{code, relative, sources};

/// The path of a module as segments. The crate's root has none, and the paths of the program's
/// modules begin with `bin`.
type Module = Vec<String>;

/// A source file with its imports, and with all paths in its code.
struct Source {
    file: String,
    /// The names that this file imports, each with its full path.
    imports: BTreeMap<String, Vec<String>>,
    /// Modules from which everything is imported (`use a::*`).
    globs: Vec<Vec<String>>,
    paths: BTreeSet<Vec<String>>,
}

struct Crate {
    modules: BTreeMap<Module, Source>,
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let house = Crate::read();
    let edges = house.edges();
    let mut circles = BTreeSet::new();
    for file in edges.keys() {
        if let Some(circle) = shortest_circle(file, &edges) {
            let mut sorted = circle.clone();
            sorted.sort();
            circles.insert(sorted.join(" <-> "));
        }
    }
    assert!(circles.is_empty(), "circles: {circles:#?}");
}

#[test]
fn the_reader_of_imports_sees_every_import() {
    let house = Crate::read();
    let edges = house.edges();
    let has = |from: &str, to: &str| edges.get(from).is_some_and(|to_files| to_files.contains(to));
    // The known imports are of each kind: by `use`, by a path in the code, through a re-export, and
    // in the program.
    assert!(has("verify/window.rs", "clock.rs"));
    assert!(has("sign.rs", "profile/mod.rs"));
    assert!(
        has("gateway/service.rs", "tower/service.rs")
            || has("gateway/service.rs", "tower/layer.rs")
    );
    assert!(edges.values().map(BTreeSet::len).sum::<usize>() > 500, "too few imports were seen");
    let two = BTreeMap::from([
        ("a".to_owned(), BTreeSet::from(["b".to_owned()])),
        ("b".to_owned(), BTreeSet::from(["a".to_owned()])),
    ]);
    assert_eq!(shortest_circle("a", &two), Some(vec!["a".to_owned(), "b".to_owned()]));
}

impl Crate {
    fn read() -> Self {
        let mut modules = BTreeMap::new();
        for (path, text) in sources() {
            let file = relative(&path);
            let code = code(text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default());
            modules.insert(module_of(&file), Source::read(file, &code));
        }
        Crate { modules }
    }

    /// Returns, for each file, the files whose items it names.
    fn edges(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut edges = BTreeMap::new();
        for (module, source) in &self.modules {
            let mut to = BTreeSet::new();
            let all = source.paths.iter().chain(source.imports.values()).chain(&source.globs);
            for path in all {
                if let Some((found, file)) = self.resolve(module, path, 8)
                    && file != source.file
                    && !found.starts_with(module)
                    && !module.starts_with(&found)
                {
                    to.insert(file);
                }
            }
            edges.insert(source.file.clone(), to);
        }
        edges
    }

    /// Returns the module and the file that define the item at `path`, as seen from the module
    /// `from`. Returns `None` for an item of another crate, and for a path that names only a
    /// module.
    fn resolve(&self, from: &Module, path: &[String], depth: u8) -> Option<(Module, String)> {
        let source = self.modules.get(from)?;
        let (mut here, mut rest) = match path.first()?.as_str() {
            "crate" if from.first().is_some_and(|module| module == "bin") => {
                (vec!["bin".to_owned()], &path[1..])
            }
            "crate" | "mcpid" => (Vec::new(), &path[1..]),
            "self" => (from.clone(), &path[1..]),
            "super" => (from[..from.len().checked_sub(1)?].to_vec(), &path[1..]),
            first => {
                let child: Module = from.iter().cloned().chain([first.to_owned()]).collect();
                if self.modules.contains_key(&child) {
                    (child, &path[1..])
                } else {
                    let import = source.imports.get(first)?;
                    if import.as_slice() == path || depth == 0 {
                        return None;
                    }
                    let whole: Vec<String> = import.iter().chain(&path[1..]).cloned().collect();
                    return self.resolve(from, &whole, depth - 1);
                }
            }
        };
        while let Some(segment) = rest.first() {
            if segment == "super" {
                here.pop()?;
            } else {
                let child: Module = here.iter().cloned().chain([segment.clone()]).collect();
                if self.modules.contains_key(&child) {
                    here = child;
                } else {
                    // The path names an item of this module, or one that this module re-exports.
                    let module = self.modules.get(&here)?;
                    if let Some(handed_on) = module.imports.get(segment).filter(|_| depth > 0) {
                        return self.resolve(&here, handed_on, depth - 1);
                    }
                    return Some((here.clone(), module.file.clone()));
                }
            }
            rest = &rest[1..];
        }
        None
    }
}

impl Source {
    fn read(file: String, code: &str) -> Self {
        let mut source =
            Source { file, imports: BTreeMap::new(), globs: Vec::new(), paths: BTreeSet::new() };
        let mut remaining = String::new();
        for statement in code.split_inclusive(';') {
            let start = statement.rfind("use ").filter(|&at| {
                let before = statement[..at].trim_end();
                before.is_empty()
                    || before.ends_with(['}', ')', ']', '{'])
                    || before.ends_with("pub")
            });
            match start {
                Some(at) if statement.ends_with(';') => {
                    remaining.push_str(&statement[..at]);
                    source.import(&[], statement[at + 4..].trim_end_matches(';').trim());
                }
                _ => remaining.push_str(statement),
            }
        }
        for text in remaining.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')) {
            let path: Vec<String> = text.trim_matches(':').split("::").map(str::to_owned).collect();
            if path.len() > 1 && path.iter().all(|segment| !segment.is_empty()) {
                source.paths.insert(path);
            }
        }
        source
    }

    /// Adds the imports of a part of a `use` declaration; `prefix` is the path in front of that
    /// part.
    fn import(&mut self, prefix: &[String], tree: &str) {
        let tree = tree.trim();
        if let Some((head, group)) = tree.split_once('{') {
            let mut prefix = prefix.to_vec();
            prefix.extend(head.split("::").filter(|s| !s.is_empty()).map(|s| s.trim().to_owned()));
            let (mut depth, mut from) = (0, 0);
            let group = group.trim_end().trim_end_matches('}');
            for (at, c) in group.char_indices().chain([(group.len(), ',')]) {
                match c {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    ',' if depth == 0 => {
                        self.import(&prefix, &group[from..at]);
                        from = (at + 1).min(group.len());
                    }
                    _ => {}
                }
            }
            return;
        }
        let (path, alias) = match tree.split_once(" as ") {
            Some((path, alias)) => (path, Some(alias.trim().to_owned())),
            None => (tree, None),
        };
        let mut whole = prefix.to_vec();
        whole.extend(path.split("::").filter(|s| !s.is_empty()).map(|s| s.trim().to_owned()));
        match whole.last().map(String::as_str) {
            None => {}
            Some("*") => {
                whole.pop();
                // `use a::*` may import an item of any name.
                whole.push("*".to_owned());
                self.globs.push(whole);
            }
            Some("self") => {
                whole.pop();
                if let Some(name) = alias.or_else(|| whole.last().cloned()) {
                    self.imports.insert(name, whole);
                }
            }
            Some(name) => {
                let name = alias.unwrap_or_else(|| name.to_owned());
                self.imports.insert(name, whole);
            }
        }
    }
}

fn module_of(file: &str) -> Module {
    let file = file.trim_end_matches(".rs");
    let mut parts: Module = file.split('/').map(str::to_owned).collect();
    if parts.last().is_some_and(|last| matches!(last.as_str(), "mod" | "lib" | "main")) {
        parts.pop();
    }
    // The root of the program is bin/mcpid/main.rs, so the segment after `bin` is dropped.
    if parts.len() > 1 && parts[0] == "bin" {
        parts.remove(1);
    }
    parts
}

/// Returns the files of the shortest circle through `start`, beginning with `start`.
fn shortest_circle(start: &str, edges: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
    let mut came_from: BTreeMap<&str, &str> = BTreeMap::new();
    let mut queue = std::collections::VecDeque::from([start]);
    while let Some(file) = queue.pop_front() {
        for next in edges.get(file)? {
            if next == start {
                let mut circle = vec![file.to_owned()];
                let mut at = file;
                while at != start {
                    at = came_from.get(at)?;
                    circle.push(at.to_owned());
                }
                circle.reverse();
                return Some(circle);
            }
            if edges.contains_key(next) && !came_from.contains_key(next.as_str()) {
                came_from.insert(next, file);
                queue.push_back(next);
            }
        }
    }
    None
}
