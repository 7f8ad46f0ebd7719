"""Between JSON and attrs classes: nothing is guessed, and nothing is lost.

A key of the wrong type is an error, because no call can name the record without it. The rest of an
answer is kept: unknown keys and values of the wrong type in `extra`, unknown words as they are, and
which keys were null. Dumping a record gives back the object it was read from.
"""

from sigmamind_async.convert.conversion import (
    as_object,
    body_of,
    dump_record,
    present_keys,
    record_decoder,
    structure,
    structure_list,
)
from sigmamind_async.convert.fields import Record, RequestValue, check_field, wire, wire_names
from sigmamind_async.convert.json_codec import dump_json, load_json, parse_json

__all__ = [
    "Record",
    "RequestValue",
    "as_object",
    "body_of",
    "check_field",
    "dump_json",
    "dump_record",
    "load_json",
    "parse_json",
    "present_keys",
    "record_decoder",
    "structure",
    "structure_list",
    "wire",
    "wire_names",
]
