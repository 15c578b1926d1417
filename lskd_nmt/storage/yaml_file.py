"""A YAML file as Python has it: text, numbers, truth values, lists and mappings; all else is refused in one line."""

from pathlib import Path
from typing import Any

import yaml

from lskd_nmt.errors import LskdError, require
from lskd_nmt.storage.records import JsonObject

# of a file, of its brackets (PyYAML's time grows with their square), and of what it holds with aliases written out
MOST_BYTES, MOST_BRACKETS, MOST_VALUES = 300_000, 1000, 20_000
PLAIN = ("null", "bool", "int", "float", "str", "seq")


class PlainLoader(yaml.SafeLoader):
    """YAML without dates, sets and binary data, where a key is text and stands once.

    PyYAML takes the last of several equal keys, and builds values that are neither JSON nor a flag's word.
    """


PlainLoader.yaml_constructors = {
    tag: build
    for tag, build in yaml.SafeLoader.yaml_constructors.items()
    if tag is None or tag.rpartition(":")[2] in PLAIN
}
PlainLoader.yaml_implicit_resolvers = {  # a date stays the text that it is
    first: [(tag, pattern) for tag, pattern in found if not tag.endswith(":timestamp")]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def mapping(loader: PlainLoader, node: yaml.MappingNode) -> JsonObject:
    """Build a mapping, refusing repeated keys and those that are no text."""
    result: JsonObject = {}
    for key, value in node.value:
        name, line = loader.construct_object(key, deep=True), key.start_mark.line + 1
        require(isinstance(name, str), f"line {line}: a key is {repr(name)[:40]}, it must be a word: put it in quotes")
        require(name not in result, f"line {node.start_mark.line + 1}: key '{name}' stands twice: keep one")
        result[name] = loader.construct_object(value, deep=True)
    return result


PlainLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)


def values(node: yaml.Node, sizes: dict[int, int]) -> int:
    """How many values a node holds with all its aliases written out; `sizes` keeps what is known by the node's id."""
    if id(node) not in sizes:
        sizes[id(node)] = MOST_VALUES + 1  # so that an alias to what it stands in is too many
        parts = node.value if isinstance(node, yaml.CollectionNode) else []
        below = [each for part in parts for each in (part if isinstance(part, tuple) else (part,))]
        sizes[id(node)] = 1 + sum(values(each, sizes) for each in below)
    return sizes[id(node)]


def read_yaml(file: str | Path) -> Any:
    """What the file holds: text, numbers, truth values, None, lists and dictionaries with text as keys."""
    require(Path(file).is_file(), f"{file} is not a file that can be read: give the path of a YAML file")
    size = Path(file).stat().st_size
    require(size <= MOST_BYTES, f"{file} has {size:,} bytes: a YAML file of at most {MOST_BYTES:,} is read")
    try:
        text = Path(file).read_text(encoding="utf-8")
        brackets = text.count("[") + text.count("{")
        require(brackets <= MOST_BRACKETS, f"{brackets:,} brackets, at most {MOST_BRACKETS:,} are read: write fewer")
        loader = PlainLoader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            few = values(node, {}) <= MOST_VALUES
            require(few, f"more than {MOST_VALUES:,} values with all aliases written out: write fewer")
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except LskdError as error:
        raise LskdError(f"{file}: {error}") from None
    except RecursionError:
        raise LskdError(f"{file} is not YAML that can be read: too many levels within each other") from None
    except (yaml.YAMLError, ValueError, LookupError) as error:  # of UTF-8, of int() and float(), of `!!bool x`
        raise LskdError(f"{file} is not YAML: {' '.join(str(error).split())[:300]}") from None
