"""Between JSON and attrs classes: strict about what is known, and nothing is lost.

A known key of the wrong type is an error. Everything else of an answer is kept: unknown keys in
`extra`, unknown words as they are, and which keys were null, so that parsing and dumping give back
what came in.
"""

from sigmamind_async.convert.bodies import Record, RequestValue, wire, wire_names
from sigmamind_async.convert.conversion import (
    as_object,
    body_of,
    dump_json,
    dump_record,
    load_json,
    record_decoder,
    structure,
    structure_list,
)

__all__ = [
    "Record",
    "RequestValue",
    "as_object",
    "body_of",
    "dump_json",
    "dump_record",
    "load_json",
    "record_decoder",
    "structure",
    "structure_list",
    "wire",
    "wire_names",
]
