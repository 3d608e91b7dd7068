"""The messages of the Pub/Sub API, as protobuf classes that are made at run time: no compiler is needed.

Only names and numbers of the public interface `eventbus.v1` are here, as far as this org answers its methods.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PACKAGE = "eventbus.v1"
_ENUMS = {"ErrorCode": ("UNKNOWN", "PUBLISH", "COMMIT"), "ReplayPreset": ("LATEST", "EARLIEST", "CUSTOM")}
# The first field of a message has the number 1, the next one 2, and so on. `*`: repeated.
_MESSAGES = {
    "TopicRequest": "topic_name:string",
    "TopicInfo": (
        "topic_name:string tenant_guid:string can_publish:bool can_subscribe:bool schema_id:string rpc_id:string"
    ),
    "SchemaRequest": "schema_id:string",
    "SchemaInfo": "schema_json:string schema_id:string rpc_id:string",
    "EventHeader": "key:string value:bytes",
    "ProducerEvent": "id:string schema_id:string payload:bytes headers:*EventHeader",
    "ConsumerEvent": "event:ProducerEvent replay_id:bytes",
    "FetchRequest": (
        "topic_name:string replay_preset:ReplayPreset replay_id:bytes num_requested:int32 auth_refresh:string"
    ),
    "FetchResponse": "events:*ConsumerEvent latest_replay_id:bytes rpc_id:string pending_num_requested:int32",
    "Error": "code:ErrorCode msg:string",
    "PublishRequest": "topic_name:string events:*ProducerEvent auth_refresh:string",
    "PublishResult": "replay_id:bytes error:Error correlation_key:string",
    "PublishResponse": "results:*PublishResult schema_id:string rpc_id:string",
}
_Field = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "string": _Field.TYPE_STRING,
    "bytes": _Field.TYPE_BYTES,
    "bool": _Field.TYPE_BOOL,
    "int32": _Field.TYPE_INT32,
}


def _described() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="localorg/pubsub.proto", package=PACKAGE, syntax="proto3")
    for name, values in _ENUMS.items():
        enum = file.enum_type.add(name=name)
        for number, value in enumerate(values):
            enum.value.add(name=value, number=number)
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for number, each in enumerate(fields.split(), start=1):
            _add(message, number, *each.split(":"))
    return file


def _add(message: Any, number: int, name: str, kind: str) -> None:
    field = message.field.add(name=name, number=number, label=_Field.LABEL_OPTIONAL)
    if kind.startswith("*"):
        kind, field.label = kind[1:], _Field.LABEL_REPEATED
    if kind in _SCALARS:
        field.type = _SCALARS[kind]
    else:
        field.type = _Field.TYPE_ENUM if kind in _ENUMS else _Field.TYPE_MESSAGE
        field.type_name = f".{PACKAGE}.{kind}"


_POOL = descriptor_pool.DescriptorPool()
_POOL.Add(_described())


def message(name: str) -> Any:
    """Return the class of the messages with this name, such as `FetchRequest`."""
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"{PACKAGE}.{name}"))
