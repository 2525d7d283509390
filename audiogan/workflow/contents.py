"""Which songs or notes a prepared corpus holds, by name, hash and split, and how two such lists differ.

A run keeps the list it began with. So a corpus that was prepared again from the same files counts as the same, also on
another computer or in another folder, and one in which a file was edited does not.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

INDEX = "index.jsonl"
N_NAMED = 3

Contents = dict[str, str]


def contents_of(prepared: Path) -> Contents:
    """Return hash and split by name of everything that a prepared corpus was made of; empty where it has no index.

    Args:
        prepared: Folder in the cache.
    """
    path = prepared / INDEX
    if not path.is_file():
        return {}
    found: Contents = {}
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            for record in _records(json.loads(line)):
                name, number = _name_of(record), 1
                while (key := name if number == 1 else f"{name} ({number})") in found:
                    number += 1
                found[key] = f"{record['sha256']} {record.get('split', '')} {record.get('pitch', '')}".strip()
    return found


def _records(line: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return what a line of an index says of songs, notes and sources that were taken."""
    found = [line[key] for key in ("entry", "note") if key in line]
    return [record for record in [*found, *line.get("sources", ())] if "sha256" in record]


def _name_of(record: Mapping[str, Any]) -> str:
    if "path" in record:
        path = PurePath(record["path"])
        return str(path.relative_to(record["root"])) if path.is_relative_to(record.get("root", "")) else path.name
    return str(record.get("name", ""))


def fingerprint_of(contents: Contents) -> str:
    """Return a hash that two corpora share when they hold the same; empty for an unknown one.

    Args:
        contents: Of a corpus.
    """
    return hashlib.sha256(json.dumps(contents, sort_keys=True).encode()).hexdigest() if contents else ""


def difference(before: Contents, now: Contents) -> str:
    """Return in words what differs between two corpora.

    Args:
        before: What a run began with.
        now: What there is.
    """
    parts = {
        "added": sorted(now.keys() - before.keys()),
        "gone": sorted(before.keys() - now.keys()),
        "changed": sorted(name for name in before.keys() & now.keys() if before[name] != now[name]),
    }
    told = [f"{len(names)} {what} ({_some(names)})" for what, names in parts.items() if names]
    return ", ".join(told) or "nothing by name"


def _some(names: list[str]) -> str:
    return ", ".join(names[:N_NAMED]) + (f" and {len(names) - N_NAMED} more" if len(names) > N_NAMED else "")
