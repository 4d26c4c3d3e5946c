#!/usr/bin/env python3
"""Measures the prose and the names of this project, and fails where a bound is crossed.

Counted is what a person reads: comments and doc comments of Rust, shell and Python files, texts of
`--help`, and Markdown without its code blocks. `tests/prose.py --list` names each place.
"""
import argparse
import collections
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Pronouns for persons that are not named.
INDEFINITE = re.compile(
    r"\b(whoever|whomever|nobody|somebody|anybody|everybody|someone|anyone|whatever)\b", re.I
)
MOST_INDEFINITE = 1.0  # in 10,000 words
MOST_SHARED_TYPES = 0.10  # of all type names
LEAST_EXAMPLES = 40  # runnable doc examples in the library
TYPE = re.compile(r"^\s*(?:pub(?:\([^)]*\))? )?(?:struct|enum|trait|union|type) ([A-Z]\w*)", re.M)


def tracked(*patterns):
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--", *patterns], cwd=ROOT, capture_output=True, check=True
    )
    names = listed.stdout.decode().split("\0")
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


def rust_prose(text):
    """Yields (line, words) for each comment line outside of code examples."""
    in_example = False
    for number, line in enumerate(text.splitlines(), 1):
        found = re.match(r"\s*//[/!]? ?(.*)$", line)
        if not found:
            in_example = False
            continue
        words = found.group(1)
        if words.lstrip().startswith("```"):
            in_example = not in_example
        elif not in_example:
            yield number, words


def hash_prose(text):
    for number, line in enumerate(text.splitlines(), 1):
        found = re.match(r"\s*#(?!!) ?(.*)$", line)
        if found:
            yield number, found.group(1)


def markdown_prose(text):
    in_block = False
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("```"):
            in_block = not in_block
        elif not in_block:
            yield number, re.sub(r"`[^`]*`", "", line)


def prose():
    """Yields (path, line, words) for every line of prose."""
    for pattern, reader in (("*.rs", rust_prose), ("*.py", hash_prose), ("*.md", markdown_prose)):
        for path in tracked(pattern):
            for number, words in reader(path.read_text(encoding="utf-8")):
                yield path, number, words
    for path in tracked("tests/all", "tests/long", ".ci/run"):
        for number, words in hash_prose(path.read_text(encoding="utf-8")):
            yield path, number, words


def type_names():
    """Returns all type names of the library and the program, with the files that define each."""
    names = collections.defaultdict(list)
    for path in tracked("src/*.rs"):
        text = path.read_text(encoding="utf-8")
        # Types of test modules are not counted.
        text = text.split("#[cfg(test)]\nmod tests")[0]
        code = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("//"))
        for name in TYPE.findall(code):
            if name not in ("Error", "Err", "Future", "Response", "Output", "Item", "Target", "Data",
                            "Value", "Service", "Layer"):  # associated types of traits
                names[name].append(str(path.relative_to(ROOT)))
    return names


def examples():
    count = 0
    for path in tracked("src/*.rs"):
        if "src/bin/" in str(path):
            continue
        opening = False
        for line in path.read_text(encoding="utf-8").splitlines():
            found = re.match(r"\s*//[/!] ```(.*)$", line)
            if found:
                opening = not opening
                if opening and found.group(1).strip() in ("", "rust", "no_run", "should_panic"):
                    count += 1
    return count


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--list", action="store_true", help="name each place")
    listing = parser.parse_args().list

    words = sentences = 0
    indefinite = []
    for path, number, text in prose():
        here = re.findall(r"[A-Za-z][A-Za-z'-]*", text)
        words += len(here)
        sentences += len(re.findall(r"[.!?](?:\s|$)", text))
        for found in INDEFINITE.finditer(text):
            indefinite.append(f"{path.relative_to(ROOT)}:{number}: {found.group(0)}")
    names = type_names()
    shared = {name: places for name, places in names.items() if len(set(places)) > 1}
    one_word = [name for name in names if re.fullmatch(r"[A-Z][a-z0-9]*", name)]
    per_10_000 = len(indefinite) * 10_000 / max(words, 1)
    shared_share = len(shared) / max(len(names), 1)
    found_examples = examples()
    print(f"{words} words, {words / max(sentences, 1):.1f} a sentence")
    print(f"{len(indefinite)} indefinite persons: {per_10_000:.2f} in 10,000 words")
    print(f"{len(names)} type names: {len(one_word)} of one word, {len(shared)} used twice "
          f"({shared_share:.1%})")
    print(f"{found_examples} runnable examples in doc comments")
    if listing:
        for place in indefinite:
            print(place)
        for name, places in sorted(shared.items()):
            print(f"type {name}: {', '.join(sorted(set(places)))}")
    failed = []
    if per_10_000 > MOST_INDEFINITE:
        failed.append(f"more than {MOST_INDEFINITE} indefinite persons in 10,000 words")
    if shared_share > MOST_SHARED_TYPES:
        failed.append(f"more than {MOST_SHARED_TYPES:.0%} of the type names are used twice")
    if found_examples < LEAST_EXAMPLES:
        failed.append(f"fewer than {LEAST_EXAMPLES} examples")
    for reason in failed:
        print(f"prose: {reason}; see tests/prose.py --list", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
