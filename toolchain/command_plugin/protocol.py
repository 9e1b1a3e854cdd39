"""The engine's gRPC messages and services, in one place because their packages have no types."""

import grpc.aio  # type: ignore[import-untyped]  # grpcio and protobuf ship no type information
from google.protobuf.empty_pb2 import Empty  # type: ignore[import-untyped]  # same
from google.protobuf.struct_pb2 import Struct, Value  # type: ignore[import-untyped]  # same
from pulumi.runtime.proto import (
    engine_pb2,
    engine_pb2_grpc,
    plugin_pb2,
    provider_pb2,
    provider_pb2_grpc,
)

_MAX_MESSAGE_BYTES = 400 * 1024 * 1024  # the engine's own limit
CHANNEL_OPTIONS = [
    ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", _MAX_MESSAGE_BYTES),
]

__all__ = [
    "CHANNEL_OPTIONS",
    "Empty",
    "Struct",
    "Value",
    "engine_pb2",
    "engine_pb2_grpc",
    "grpc",
    "plugin_pb2",
    "provider_pb2",
    "provider_pb2_grpc",
]
