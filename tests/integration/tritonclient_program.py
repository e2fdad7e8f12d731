"""Calls a server with the stock tritonclient and prints the results as JSON.

Runs in a separate process and imports nothing of this project: both have stubs for the same messages, and one
interpreter holds only one of each.
"""

import asyncio
import json
import queue
import sys
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from google.protobuf import descriptor_pb2
from tritonclient.grpc import model_config_pb2, service_pb2
from tritonclient.utils import InferenceServerException

MODEL, MISSING, TENSOR, WIDTH = "scoring", "nothing", "x", 4
ROWS = np.random.default_rng(5).standard_normal((300, WIDTH)).astype(np.float32)
STREAMED = 40
INVALID = 7  # number of the invalid request of a stream
Seen = dict[str, Any]


def infer_input(rows: np.ndarray, name: str = TENSOR) -> list[triton.InferInput]:
    tensor = triton.InferInput(name, list(rows.shape), "FP32")
    tensor.set_data_from_numpy(rows)
    return [tensor]


def output_of(result: triton.InferResult, name: str = "probabilities") -> list[Any]:
    output_of: list[Any] = result.as_numpy(name).tolist()
    return output_of


def refusal(call: Any, *args: Any, **words: Any) -> list[str]:
    try:
        call(*args, **words)
    except InferenceServerException as refused:
        return [str(refused.status()), refused.message()]
    return ["OK", ""]


def state(client: triton.InferenceServerClient) -> Seen:
    return {
        "live": client.is_server_live(),
        "ready": client.is_server_ready(),
        "models": {
            f"{name}/{version}": client.is_model_ready(name, version)
            for name, version in ((MODEL, ""), (MODEL, "1"), (MODEL, "production"), (MODEL, "9"), (MISSING, ""))
        },
        "server": client.get_server_metadata(as_json=True),
        "metadata": client.get_model_metadata(MODEL, as_json=True),
        "of_a_task": client.get_model_metadata("batted_ball", as_json=True),
        "config": client.get_model_config(MODEL, as_json=True)["config"],
    }


def infer_all(client: triton.InferenceServerClient) -> Seen:
    outputs = [triton.InferRequestedOutput("label"), triton.InferRequestedOutput("probabilities")]
    chosen = client.infer(
        MODEL, infer_input(ROWS[:3]), outputs=outputs, request_id="seven", priority=1, timeout=2_000_000
    )
    return {
        "many": output_of(client.infer(MODEL, infer_input(ROWS))),
        "id": chosen.get_response().id,
        "version": chosen.get_response().model_version,
        "order": [each.name for each in chosen.get_response().outputs],
        "label": output_of(chosen, "label"),
    }


def stream_all(client: triton.InferenceServerClient) -> list[list[Any]]:
    answers: queue.Queue[tuple[Any, Any]] = queue.Queue()
    client.start_stream(lambda result, error: answers.put((result, error)))
    for number in range(STREAMED):
        name = "wrong" if number == INVALID else TENSOR
        client.async_stream_infer(
            MODEL,
            infer_input(ROWS[number : number + 1], name),
            request_id=str(number),
            enable_empty_final_response=True,
        )
    seen = [answers.get(timeout=30) for _ in range(STREAMED)]
    client.stop_stream()
    return [["error", error.message()] if error else [r.get_response().id, output_of(r)[0]] for r, error in seen]


def statistics(client: triton.InferenceServerClient) -> Seen:
    before = client.get_inference_statistics(MODEL, as_json=True)
    client.infer(MODEL, infer_input(ROWS[:5]))
    refusal(client.infer, MODEL, infer_input(ROWS[:5], "wrong"))
    return {"before": before, "after": client.get_inference_statistics(MODEL, as_json=True)}


def refusals(client: triton.InferenceServerClient) -> Seen:
    classes = [triton.InferRequestedOutput("probabilities", class_count=2)]
    narrow = infer_input(ROWS[:1, :2])
    return {
        "missing model": refusal(client.infer, MISSING, infer_input(ROWS[:1])),
        "missing version": refusal(client.infer, MODEL, infer_input(ROWS[:1]), model_version="9"),
        "missing alias": refusal(client.infer, MODEL, infer_input(ROWS[:1]), model_version="unknown"),
        "sequence": refusal(client.infer, MODEL, infer_input(ROWS[:1]), sequence_id=3),
        "classification": refusal(client.infer, MODEL, infer_input(ROWS[:1]), outputs=classes),
        "shape": refusal(client.infer, MODEL, narrow),
        "load with a config": refusal(client.load_model, MODEL, config="{}"),
        "load what is not there": refusal(client.load_model, MISSING),
        "shared memory": refusal(client.get_system_shared_memory_status),
    }


def repository(client: triton.InferenceServerClient) -> Seen:
    def index() -> dict[str, list[str]]:
        entries = client.get_model_repository_index().models
        return {f"{each.name}/{each.version}": [each.state, each.reason] for each in entries}

    seen: Seen = {"before": index()}
    client.unload_model(MODEL)
    seen["unloaded"] = [index(), client.is_model_ready(MODEL), refusal(client.infer, MODEL, infer_input(ROWS[:1]))]
    client.load_model(MODEL)
    seen["loaded"] = [index(), client.is_model_ready(MODEL), refusal(client.infer, MODEL, infer_input(ROWS[:1]))]
    return seen


async def with_asyncio(target: str) -> Seen:
    async def requests() -> AsyncIterator[Seen]:
        for number in range(STREAMED):
            yield {
                "model_name": MODEL,
                "inputs": infer_input(ROWS[number : number + 1]),
                "request_id": str(number),
            }

    client = triton_aio.InferenceServerClient(target)
    try:
        together = await asyncio.gather(*(client.infer(MODEL, infer_input(ROWS[n : n + 1])) for n in range(STREAMED)))
        return {
            "ready": [await client.is_server_ready(), await client.is_model_ready(MISSING)],
            "together": [output_of(each)[0] for each in together],
            "streamed": [[r.get_response().id, output_of(r)[0]] async for r, _ in client.stream_infer(requests())],
        }
    finally:
        await client.close()


def describe_protocol() -> dict[str, list[Any]]:
    """Return every field, enum value and rpc of the client's protocol."""
    written: dict[str, list[Any]] = {}

    def fields(prefix: str, message: descriptor_pb2.DescriptorProto) -> None:
        for field in message.field:
            written[f"{prefix}{message.name}.{field.name}"] = [field.number, field.type, field.label, field.type_name]
        for nested in message.nested_type:
            fields(f"{prefix}{message.name}.", nested)

    for module in (service_pb2, model_config_pb2):
        file = descriptor_pb2.FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(file)
        for message in file.message_type:
            fields("", message)
        written |= {f"{each.name}.{value.name}": [value.number] for each in file.enum_type for value in each.value}
        for service in file.service:
            for rpc in service.method:
                kinds = [rpc.input_type, rpc.output_type, rpc.client_streaming, rpc.server_streaming]
                written[f"{service.name}.{rpc.name}"] = kinds
    return written


def main(target: str) -> None:
    client = triton.InferenceServerClient(target)
    seen = {
        "rows": ROWS.tolist(),
        "contract": describe_protocol(),
        "state": state(client),
        "inferred": infer_all(client),
        "streamed": stream_all(client),
        "statistics": statistics(client),
        "refusals": refusals(client),
        "asyncio": asyncio.run(with_asyncio(target)),
        "repository": repository(client),  # last, because it changes what is loaded
    }
    client.close()
    json.dump(seen, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1])
