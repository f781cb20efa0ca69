"""The oldest browsers that the pages are made for, and what the scripts use that these lack.

`oldest_browsers.txt` is what all of them have: a line for each object that a script may come by,
with the names of its members. It is MDN's browser-compat-data (CC0) without the rest, written by

    python -m tests.browser.oldest_browsers data.json

from the `data.json` of npm's `@mdn/browser-compat-data`: again where other browsers are named here,
or a script comes by an object of another kind. What a running browser has and the table has not is
newer, and so is whatever nobody has put there.
"""

import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from posixpath import dirname, join, normpath
from typing import Any, Final

import tree_sitter_javascript
from playwright.sync_api import Page
from tree_sitter import Language, Node, Parser

# docs/pages.md names them too. The data knows Edge and Android's Chrome as `chrome`.
OLDEST: Final = {"chrome": "87", "firefox": "78", "safari": "14.1", "safari_ios": "14.5"}

TABLE: Final = Path(__file__).with_suffix(".txt")
_GLOBALS: Final = "Window"

# What scripts of a page come by: all that the language has, and these of the browser.
_OBJECTS: Final = re.compile(
    r"Abort.+|Blob|Crypto|Document(Fragment)?|DOM(Exception|StringMap|TokenList)|Element|Event(Source"
    r"|Target)?|File|FormData|Headers|History|HTML(?!Frame|Font|Marquee|Param|Slot).+|KeyboardEvent"
    r"|Location|MediaQueryList|MessageEvent|Navigator|Node(List)?|PageTransitionEvent|Performance"
    r"|PopStateEvent|Request|Response|Storage|SVG(SVG)?Element|URL(SearchParams)?|Window"
)
# The data says of these that they are newer, since scripts cannot name them; they come by them.
_NAMELESS: Final = frozenset({"Iterator", "TypedArray"})
# It has these under another name.
_CONSTRUCTORS: Final = frozenset({"Audio", "Image", "Option"})
# All that they have is others'.
_EMPTY: Final = re.compile(r"globalThis|.+Error")


# --- What the scripts use ---------------------------------------------------------------------

_PARSER: Final = Parser(Language(tree_sitter_javascript.language()))
# Setting the handler of an event that there is not changes nothing.
_HANDLER: Final = re.compile(r"on[a-z]+")
_DECLARING: Final = {
    "variable_declarator": "name",
    "function_declaration": "name",
    "class_declaration": "name",
    "import_specifier": "name",
    "arrow_function": "parameter",
    "catch_clause": "parameter",
}
# Grammar that came after the oldest browsers: such a script they cannot read at all.
NEWER_GRAMMAR: Final = frozenset(
    {"class_static_block", "namespace_export", "private_property_identifier", "&&=", "||=", "??="}
    | {"await at the top", "lookbehind"}
)
_FUNCTIONS: Final = re.compile(r".*function.*|method_definition")


class Uses:
    """The names that a script uses of what is not its own, and the kinds of its grammar."""

    def __init__(self, source: bytes) -> None:
        nodes = list(_walk(_PARSER.parse(source).root_node))
        self.grammar = set(chain.from_iterable(map(_grammar, nodes)))
        self.members = {
            _text(node)
            for node in nodes
            if _is_member(node) and not _HANDLER.fullmatch(_text(node))
        }
        own = set(chain.from_iterable(map(_declared, nodes)))
        self.globals = {_text(node) for node in nodes if node.type == "identifier"} - own
        self.imports = {
            _text(node).strip("\"'")
            for node in nodes
            if node.type == "string" and node.parent and node.parent.type == "import_statement"
        }


def _walk(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from _walk(child)


def _text(node: Node) -> str:
    assert node.text is not None
    return node.text.decode()


def _grammar(node: Node) -> Iterator[str]:
    yield node.type
    if node.type == "regex_pattern" and re.search(r"\(\?<[=!]", _text(node)):
        yield "lookbehind"
    if node.type == "await_expression" and not _is_in_function(node):
        yield "await at the top"


def _is_in_function(node: Node | None) -> bool:
    while node is not None and not _FUNCTIONS.fullmatch(node.type):
        node = node.parent
    return node is not None


def _is_member(node: Node) -> bool:
    """Whether it names a member of some object; but a `data-` attribute's name is the page's."""
    if node.type == "shorthand_property_identifier_pattern":
        return True
    if node.type != "property_identifier" or node.parent is None:
        return False
    owner = node.parent.child_by_field_name("object")
    if node.parent.type == "member_expression" and owner is not None:
        return not _text(owner).endswith("dataset")
    return node.parent.type == "pair_pattern"


def _declared(node: Node) -> Iterator[str]:
    """The names that the node declares for its script."""
    if node.type == "formal_parameters":
        yield from chain.from_iterable(map(_bound, node.named_children))
    field = _DECLARING.get(node.type)
    pattern = node.child_by_field_name(field) if field else None
    if pattern is not None:
        yield from _bound(pattern)
    elif node.type == "for_in_statement" and (left := node.child_by_field_name("left")):
        yield from _bound(left)


def _bound(pattern: Node) -> Iterator[str]:
    if pattern.type in ("assignment_pattern", "object_assignment_pattern"):
        left = pattern.child_by_field_name("left")
        assert left is not None
        yield from _bound(left)
    elif pattern.type in ("identifier", "shorthand_property_identifier_pattern"):
        yield _text(pattern)
    else:
        yield from chain.from_iterable(map(_bound, pattern.named_children))


def uses_of(scripts: Path, roots: Iterable[str]) -> dict[str, Uses]:
    """What each of the scripts uses, and each of those they import."""
    found: dict[str, Uses] = {}
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = Uses((scripts / name).read_bytes())
            waiting += [normpath(join(dirname(name), path)) for path in found[name].imports]
    return found


# --- What is newer ----------------------------------------------------------------------------

_FIND_OBJECT: Final = """
    (path) => path === "Window" ? window
        : path === "TypedArray" ? Object.getPrototypeOf(Int8Array)
        : path.split(".").reduce((object, name) => object?.[name], window)
"""
_MEMBERS: Final = f"""
    (paths) => {{
        const find = {_FIND_OBJECT};
        const members = (object) => Object.getOwnPropertyNames(object ?? {{}});
        return paths.map((path) => {{
            const object = find(path);
            // What every function has says nothing.
            const own = members(object).filter((name) => !(name in Function.prototype));
            return [...own, ...members(object?.prototype)];
        }});
    }}
"""


def newer(tab: Page, uses: Iterable[Uses]) -> list[str]:
    """What the tab's browser has, a script may use, and the oldest browsers lack; such as
    `AbortSignal.timeout`. A name counts wherever it is a member: nobody knows of which object."""
    uses = list(uses)
    members = set[str]().union(*(one.members for one in uses))
    variables = set[str]().union(*(one.globals for one in uses))
    lines = map(str.split, TABLE.read_text().splitlines())
    had = {path: set(names) for path, *names in lines}
    there: list[list[str]] = tab.evaluate(_MEMBERS, list(had))
    return sorted(
        f"{path}.{name}"
        for path, names in zip(had, there, strict=True)
        for name in set(names) & (members | variables if path == _GLOBALS else members)
        if name not in had[path]
    )


def has(tab: Page, path: str) -> bool:
    """Whether the browser has it, on the tab's page."""
    holder, name = path.rsplit(".", 1)
    there: list[list[str]] = tab.evaluate(_MEMBERS, [holder])
    return name in there[0]


def deletion(path: str) -> str:
    """A script that takes it away, as in a browser that never had it."""
    holder, name = path.rsplit(".", 1)
    return f"""{{
        const holder = ({_FIND_OBJECT})({json.dumps(holder)});
        delete holder[{json.dumps(name)}];
        if (holder.prototype) delete holder.prototype[{json.dumps(name)}];
    }}"""


# --- The table --------------------------------------------------------------------------------


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.lstrip("≤").split("."))


def _is_old(entry: Mapping[str, Any]) -> bool:
    """Whether all of the oldest browsers have it, under its own name and without a switch."""

    def has(statement: Mapping[str, Any], oldest: str) -> bool:
        since = statement.get("version_added")
        return (
            isinstance(since, str)
            and since != "preview"
            and statement.keys().isdisjoint({"flags", "prefix", "alternative_name"})
            and "version_removed" not in statement
            and _version(since) <= _version(oldest)
        )

    support = entry["__compat"]["support"]
    for browser, oldest in OLDEST.items():
        told = support.get(browser, [])
        if not any(has(one, oldest) for one in (told if isinstance(told, list) else [told])):
            return False
    return True


def _old(entries: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, entry in entries.items():
        is_name = name.isidentifier() and isinstance(entry, dict) and "__compat" in entry
        if is_name and (name in _NAMELESS or _is_old(entry)):
            yield name.removesuffix("_static"), entry


def make_table(data: Mapping[str, Any]) -> str:
    builtins, api = data["javascript"]["builtins"], data["api"]
    objects = dict(_old(builtins))
    variables = _CONSTRUCTORS | set(objects) | {name for name, _ in _old(api)}
    objects = {name: entry for name, entry in objects.items() if not _EMPTY.fullmatch(name)}
    objects |= {f"Intl.{name}": entry for name, entry in _old(builtins["Intl"])}
    objects |= {name: entry for name, entry in _old(api) if _OBJECTS.fullmatch(name)}
    members = {path: {name for name, _ in _old(entry)} for path, entry in objects.items()}
    members[_GLOBALS] |= variables
    lines = (" ".join([path, *sorted(names)]) for path, names in sorted(members.items()))
    return "".join(f"{line}\n" for line in lines)


if __name__ == "__main__":
    TABLE.write_text(make_table(json.loads(Path(sys.argv[1]).read_text())))
