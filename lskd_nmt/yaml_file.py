"""A YAML file as Python has it; what cannot be read is one line."""

from pathlib import Path
from typing import Any

import yaml

from lskd_nmt.errors import LskdError, require


class UniqueKeys(yaml.SafeLoader):
    """YAML where a key that stands twice is an error instead of the last one winning."""


def mapping(loader: UniqueKeys, node: yaml.MappingNode) -> dict[Any, Any]:
    """Build a mapping, refusing repeated keys."""
    pairs = [(loader.construct_object(key), loader.construct_object(value, deep=True)) for key, value in node.value]
    names = [name for name, _ in pairs]
    twice = [name for name in names if names.count(name) > 1]
    require(not twice, f"line {node.start_mark.line + 1}: key '{twice[0] if twice else ''}' stands twice: keep one")
    return dict(pairs)


UniqueKeys.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)


def read_yaml(file: str | Path) -> Any:
    """What the file holds."""
    try:
        return yaml.load(Path(file).read_text(encoding="utf-8"), Loader=UniqueKeys)
    except LskdError as error:
        raise LskdError(f"{file}: {error}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise LskdError(f"{file} is not YAML: {' '.join(str(error).split())}") from None
