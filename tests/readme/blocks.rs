//! Parses a document: its fenced blocks, the commands in them, and the inline code outside.

#[derive(Debug)]
pub(crate) struct Block<'d> {
    /// Line number of the fence that opens the block, from 1.
    pub(crate) line: usize,
    pub(crate) tag: &'d str,
    pub(crate) lines: Vec<&'d str>,
}

/// Returns the fenced blocks of a document, and the lines outside of blocks.
pub(crate) fn blocks(text: &str) -> Result<(Vec<Block<'_>>, Vec<&str>), String> {
    let (mut blocks, mut prose, mut open) = (Vec::new(), Vec::new(), None);
    for (at, line) in text.lines().enumerate() {
        match (line.trim_start().strip_prefix("```"), open.take()) {
            (Some(tag), None) => {
                open = Some(Block { line: at + 1, tag, lines: Vec::new() });
            }
            (Some(""), Some(block)) => blocks.push(block),
            (Some(_), Some(_)) => return Err(format!("line {}: a fence within a fence", at + 1)),
            (None, Some(mut block)) => {
                block.lines.push(line);
                open = Some(block);
            }
            (None, None) => prose.push(line),
        }
    }
    match open {
        Some(block) => Err(format!("line {}: the fence is not closed", block.line)),
        None => Ok((blocks, prose)),
    }
}

/// Returns the inline code of a document.
pub(crate) fn spans(text: &str) -> Vec<String> {
    let (_, prose) = blocks(text).unwrap();
    prose.join("\n").split('`').skip(1).step_by(2).map(|s| s.replace('\n', " ")).collect()
}

#[derive(Debug, PartialEq)]
pub(crate) struct Step<'d> {
    pub(crate) command: String,
    pub(crate) shown: Vec<&'d str>,
}

/// Returns the commands of a `console` block, each with the output that the page shows.
pub(crate) fn steps<'d>(block: &Block<'d>) -> Result<Vec<Step<'d>>, String> {
    let mut steps: Vec<Step<'d>> = Vec::new();
    for line in &block.lines {
        match (line.strip_prefix("$ "), line.strip_prefix("> "), steps.last_mut()) {
            (Some(command), _, _) => {
                steps.push(Step { command: command.to_owned(), shown: Vec::new() });
            }
            (None, Some(more), Some(step)) if step.shown.is_empty() => {
                step.command.push('\n');
                step.command.push_str(more);
            }
            (None, _, Some(step)) => step.shown.push(line),
            (None, _, None) => return Err(format!("line {}: no command", block.line)),
        }
    }
    if steps.is_empty() { Err(format!("line {}: empty", block.line)) } else { Ok(steps) }
}

fn line_fits(shown: &str, printed: &str) -> bool {
    let mut pieces = shown.split("[..]");
    let Some(mut rest) = printed.strip_prefix(pieces.next().unwrap_or_default()) else {
        return false;
    };
    let mut pieces: Vec<&str> = pieces.collect();
    let Some(last) = pieces.pop() else { return rest.is_empty() };
    for piece in pieces {
        let Some(at) = rest.find(piece) else { return false };
        rest = &rest[at + piece.len()..];
    }
    rest.ends_with(last)
}

/// Returns true if the printed lines match those in the document, in which `[..]` and `...` stand
/// for any text.
pub(crate) fn fits(shown: &[&str], printed: &[&str]) -> bool {
    match (shown.split_first(), printed.split_first()) {
        (None, None) => true,
        (Some((&"...", rest)), _) => {
            fits(rest, printed) || (!printed.is_empty() && fits(shown, &printed[1..]))
        }
        (Some((line, shown)), Some((real, printed))) => {
            line_fits(line, real) && fits(shown, printed)
        }
        _ => false,
    }
}
