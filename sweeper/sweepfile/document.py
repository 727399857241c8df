"""YAML text to plain values that remember where each of them stands.

A subset of YAML on purpose: plain scalars, lists, mappings, anchors. A tag that would construct
anything else is a problem, and so is a key that is given twice. Numbers are read as people write
them (`1e-5` is a number here; YAML 1.1 reads it as a string, and `1:30` as ninety).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

import yaml

from sweeper.errors import Problem, SpecError

Path = tuple[str | int, ...]
"""Keys and list positions from the root. A key may hold dots: ("parameters", "loss.margin")."""

MAX_CHARACTERS = 100_000
MAX_VALUES = 20_000
"""Values after anchors are expanded: nine short lines can name a billion of them."""
MAX_DEPTH = 64

_CORE = "tag:yaml.org,2002:"

UNKEPT = re.compile("[\0\ud800-\udfff]")
"""Characters that an escape can name, and that no database or file in UTF-8 holds."""


class _Loader(yaml.SafeLoader):
    """SafeLoader with the scalars of YAML 1.2, used to compose nodes only, never to construct."""


class _Dumper(yaml.SafeDumper):
    """SafeDumper that quotes every text that a reader of YAML 1.1 or 1.2 would take for more."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    (
        "bool",
        r"true|True|TRUE|yes|Yes|YES|on|On|ON|false|False|FALSE|no|No|NO|off|Off|OFF",
        "tTfFyYnNoO",
    ),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", r"[-+]?[0-9][0-9_]*", "-+0123456789"),
    (
        "float",
        r"[-+]?(?:[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?|[0-9][0-9_]*[eE][-+]?[0-9]+"
        r"|\.[0-9][0-9_]*(?:[eE][-+]?[0-9]+)?|\.(?:inf|Inf|INF))|\.(?:nan|NaN|NAN)",
        "-+0123456789.",
    ),
):
    for _reader in (_Loader, _Dumper):
        _reader.add_implicit_resolver(
            f"{_CORE}{_tag}", re.compile(rf"(?:{_pattern})\Z"), list(_first)
        )


@dataclass(frozen=True)
class Place:
    """Where a value was written: a line of a file, or an override, which has no line."""

    file: str
    line: int | None


@dataclass
class Document:
    """The plain value of a text, where its parts stand, and what is wrong with it so far."""

    file: str
    root: Any = None
    places: dict[Path, Place] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    unread: set[Path] = field(default_factory=set)
    """Where a value could not be read: it counts as absent, and one problem is enough for that."""

    @property
    def readable(self) -> bool:
        """Whether there is a value at all to look into."""
        return self.root is not None or not self.problems

    def place(self, path: Path) -> Place:
        """Where `path` stands, or the nearest thing above it that does."""
        for length in range(len(path), -1, -1):
            if path[:length] in self.places:
                return self.places[path[:length]]
        return Place(self.file, None)

    def add(self, path: Path, message: str, expected: str = "", nearest: str = "") -> None:
        """Report a problem, once, unless what stands there could not be read to begin with."""
        if path in self.unread:
            return
        place = self.place(path)
        problem = Problem(dotted(path), message, expected, nearest, place.file, place.line)
        if problem not in self.problems:
            self.problems.append(problem)

    def refuse(self, path: Path, message: str, expected: str) -> None:
        """Report a value that cannot be read, which counts as absent from here on."""
        self.add(path, message, expected)
        self.unread.add(path)

    def in_file_order(self) -> list[Problem]:
        """The problems by line; those without one, of overrides, at the end."""
        return sorted(self.problems, key=lambda problem: (problem.line is None, problem.line or 0))

    def texts(self) -> Iterator[tuple[Path, str]]:
        """Every text among the values, and every key, with its place."""
        waiting: list[tuple[Path, Any]] = [((), self.root)]
        while waiting:
            path, value = waiting.pop()
            if isinstance(value, str):
                yield path, value
            elif isinstance(value, list):
                waiting += [((*path, index), item) for index, item in enumerate(value)]
            elif isinstance(value, dict):
                yield from ((path, key) for key in value if isinstance(key, str))
                waiting += [((*path, key), item) for key, item in value.items()]

    def graft(self, path: Path, other: Document) -> None:
        """Take over the places of `other`, whose root now stands at `path` of this document."""
        for old in [old for old in self.places if old[: len(path)] == path]:
            del self.places[old]
        for inner, place in other.places.items():
            self.places[path + inner] = place
        self.unread -= {old for old in self.unread if old[: len(path)] == path}
        self.unread |= {path + inner for inner in other.unread}
        if other.root is None and other.problems:
            self.unread.add(path)


def dotted(path: Iterable[str | int]) -> str:
    """A path as it is shown: `parameters.loss.values[1]`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def keys_of(path: str) -> Path:
    """The keys of a trainer's path, `evaluation.metrics.0`, whose numbers are list positions."""
    return tuple(int(key) if key.isdigit() else key for key in path.split(".") if key)


def read_text(path: FilePath) -> str:
    """The text of a file, or as much of it as `read_document` needs to say that it is too long.

    Raises:
        SpecError: it cannot be read.
    """
    try:
        with path.open(encoding="utf-8") as file:
            return file.read(MAX_CHARACTERS + 1)
    except UnicodeDecodeError as error:
        message = f"is not UTF-8 text: {error}"
    except (OSError, ValueError) as error:
        message = f"cannot be read: {getattr(error, 'strerror', None) or error}"
    raise SpecError([Problem("", message, file=str(path))])


def read_document(text: str, file: str) -> Document:
    """Read one YAML document. Never raises: what is wrong stands in `problems`."""
    document = Document(file)
    if len(text) > MAX_CHARACTERS:
        document.add((), f"the text is longer than {MAX_CHARACTERS:,} characters")
        return document
    try:
        node = yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError as error:
        document.problems.append(_syntax_problem(error, file, text))
    except RecursionError:
        document.add((), "the text is nested too deeply")
    else:
        if node is not None:
            _Builder(document).build(node)
    return document


def write_document(value: Mapping[str, Any]) -> str:
    """The text of a plain value, from which `read_document` reads the same.

    Raises:
        SpecError: it holds what no file could: an object, or half a character.
    """
    try:
        text: str = yaml.dump(dict(value), Dumper=_Dumper, sort_keys=False, allow_unicode=True)
        text.encode()
    except (yaml.representer.RepresenterError, UnicodeEncodeError, RecursionError) as error:
        raise SpecError([Problem("", f"cannot be written as a sweep file: {error}")]) from error
    return text


def _syntax_problem(error: yaml.YAMLError, file: str, text: str) -> Problem:
    line: int | None = None
    message = str(error)
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark is not None else None
        parts = [part for part in (error.context, error.problem, error.note) if part]
        message = ", ".join(parts)
    elif isinstance(error, yaml.reader.ReaderError):
        line = text.count("\n", 0, error.position) + 1
        message = f"the character U+{error.character:04X} cannot stand in a YAML file"
    return Problem("", f"not YAML: {message}", file=file, line=line)


class _TooMuchError(Exception):
    """The document grows beyond the limits."""


class _Builder:
    """Builds the plain value of a node tree, noting places and problems."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.values = 0
        self.open: set[int] = set()

    def build(self, node: yaml.Node) -> None:
        try:
            self.document.root = self._value(node, ())
        except _TooMuchError as error:
            self.document.root = None
            self.document.add((), str(error))

    def _value(self, node: yaml.Node, path: Path) -> Any:
        self.values += 1
        if self.values > MAX_VALUES:
            raise _TooMuchError(f"the text holds more than {MAX_VALUES:,} values")
        if len(path) > MAX_DEPTH:
            raise _TooMuchError(f"the text is nested deeper than {MAX_DEPTH} levels")
        if id(node) in self.open:
            raise _TooMuchError("an anchor contains itself")
        self.document.places.setdefault(path, Place(self.document.file, _line(node)))
        self.open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode) and node.tag == f"{_CORE}map":
                return dict(self._items(node, path))
            if isinstance(node, yaml.SequenceNode) and node.tag == f"{_CORE}seq":
                return [self._value(item, (*path, i)) for i, item in enumerate(node.value)]
            if isinstance(node, yaml.ScalarNode):
                return self._scalar(node, path)
        finally:
            self.open.discard(id(node))
        self._refuse_tag(node, path)
        return None

    def _items(self, node: yaml.MappingNode, path: Path) -> Iterator[tuple[str, Any]]:
        seen: dict[str, int] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self.document.add(path, "a key is a list or a mapping", "a name")
                continue
            if UNKEPT.search(key_node.value):
                self.document.add(path, f"the key {shown(key_node.value)} is not text", "a name")
                continue
            key, inner = key_node.value, (*path, key_node.value)
            if key in seen:
                self.document.problems.append(
                    Problem(
                        dotted(inner),
                        f"is given twice, first on line {seen[key]}",
                        file=self.document.file,
                        line=_line(key_node),
                    )
                )
                continue
            seen[key] = _line(key_node)
            # The key's line: the value of a block mapping only starts on the next one.
            self.document.places[inner] = Place(self.document.file, _line(key_node))
            yield key, self._value(value_node, inner)

    def _scalar(self, node: yaml.ScalarNode, path: Path) -> Any:
        kind, text = node.tag.removeprefix(_CORE), node.value
        try:
            match kind:
                case "str":
                    return self._text(text, path)
                case "null":
                    return None
                case "bool":
                    return text.lower() in ("true", "yes", "on")
                case "int":
                    return self._bounded(int(text), path)
                case "float":
                    return self._bounded(float(re.sub(r"\.(?=inf|nan)", "", text.lower())), path)
        except ValueError:
            self.document.refuse(path, f"{shown(text)} is not of type {kind}", "a plain value")
        else:
            self._refuse_tag(node, path)
        return None

    def _text(self, text: str, path: Path) -> str | None:
        """Texts that files and databases can all hold."""
        unkept = UNKEPT.search(text)
        if unkept is None:
            return text
        self.document.refuse(path, f"holds the character U+{ord(unkept[0]):04X}", "text")
        return None

    def _bounded(self, number: int | float, path: Path) -> int | float | None:
        if is_kept(number):
            return number
        self.document.refuse(path, f"{shown(number)} is too large or NaN", "a finite number")
        return None

    def _refuse_tag(self, node: yaml.Node, path: Path) -> None:
        tag = node.tag.replace(_CORE, "!!")
        self.document.refuse(path, f"the tag {tag} is not supported", "a plain value")


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def is_kept(number: int | float) -> bool:
    """Whether JSON, Optuna and MLflow can all hold the number."""
    return abs(number) < 2**63 if isinstance(number, int) else math.isfinite(number)


def depth(value: Any) -> int:
    """How many lists and mappings stand in one another at the deepest place of a plain value."""
    deep, layer = 0, [value]
    while layer:
        deep += 1
        layer = [
            item
            for outer in layer
            if isinstance(outer, dict | list)
            for item in (outer.values() if isinstance(outer, dict) else outer)
        ]
    return deep - 1


def shown(value: Any) -> str:
    """A value as it is quoted in a message: one line, not too long."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def one_of(names: Iterable[Any]) -> str:
    """The names as what is expected."""
    return "one of " + ", ".join(str(name) for name in names)
