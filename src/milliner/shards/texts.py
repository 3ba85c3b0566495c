"""What is known of a record besides its picture, as a JSON object that any program can read."""

import json
from dataclasses import MISSING, fields
from typing import Any, Final

from milliner.shards.format import Record

_ALWAYS: Final = ("id", "labels", "encoded", "key")
_MORE: Final = {field.name: field for field in fields(Record) if field.name not in _ALWAYS}
"""What few records have, such as RecordIO's second id; left out where it is the default."""

_LARGEST_ID: Final = 2**64


def more_of(record: Record) -> dict[str, Any]:
    """The fields of a record that few records have."""
    found = {name: getattr(record, name) for name in _MORE}
    return {name: value for name, value in found.items() if value != _MORE[name].default}


def record_key(record: Record) -> str:
    """What a record is found by: its key, or its id where it has none."""
    return record.key or str(record.id)


def describe(record: Record, label: str, **others: Any) -> bytes:
    """The JSON text of a record; `label` is the name of its class."""
    shown = {"id": record.id, "key": record_key(record), "label": label, "labels": list(record.labels)}
    return json.dumps(shown | more_of(record) | others, ensure_ascii=False, separators=(",", ":")).encode()


def parse(text: bytes) -> dict[str, Any] | None:
    """A record's text as a dictionary with `id`, `key` and `labels`; None where it is none of ours."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and is_ours(found) else None


def restore(described: dict[str, Any], encoded: bytes) -> Record:
    """The record that a parsed text describes."""
    labels = tuple(float(label) for label in described["labels"])
    return Record(described["id"], labels, encoded, described["key"], **known_more(described))


def known_more(described: dict[str, Any]) -> dict[str, Any]:
    """Those of the rarer fields that have a value of their kind."""
    return {
        name: described[name]
        for name, field in _MORE.items()
        if field.default is not MISSING and type(described.get(name)) is type(field.default)
    }


def is_ours(found: dict[str, Any]) -> bool:
    """Whether a dictionary has what `describe` writes, each of its kind."""
    identity, labels = found.get("id"), found.get("labels")
    return (
        type(identity) is int
        and 0 <= identity < _LARGEST_ID
        and isinstance(found.get("key"), str)
        and isinstance(labels, list)
        and bool(labels)
        and all(type(label) is float or (type(label) is int and abs(label) < _LARGEST_ID) for label in labels)
    )
