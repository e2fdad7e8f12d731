import asyncio
from collections.abc import AsyncIterator, Mapping
from itertools import count
from typing import Self

import numpy as np
import pytest

from inference.grpc_service_pb2 import ModelInferRequest
from ondeck_core.errors import InvalidInstanceError, NotFoundError
from ondeck_server.adding import publish_graph
from ondeck_server.graphs import Graphs
from ondeck_server.models.loaded import LoadedGraph, load_any
from ondeck_server.models.manager import Version, Wanted
from ondeck_server.rpc.open_inference.inferring import IN_FLIGHT, Inferring
from ondeck_store.artifacts.repository import Line
from tests.made_up_graphs import WIDTH, scoring

MODEL = "scoring"


class Held:
    """A hold that counts itself."""

    def __init__(self, shelf: "Shelf") -> None:
        self.version = shelf.version
        self._shelf = shelf

    def release(self) -> None:
        self._shelf.held -= 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class Shelf:
    """One loaded version, and how many hold it."""

    def __init__(self, version: LoadedGraph) -> None:
        self.version = version
        self.held = 0
        self.lines = {MODEL: Line(model=MODEL, versions=(1,), aliases={"production": 1})}
        self.versions: Mapping[tuple[str, int], Version] = {}

    def find(self, wanted: Wanted) -> tuple[Version, str]:
        raise NotFoundError("model", wanted.model)

    def lease(self, wanted: Wanted) -> Held:
        if wanted.model != MODEL:
            raise NotFoundError("model", wanted.model)
        self.held += 1
        return Held(self)

    async def wish(self, model: str, *, loaded: bool) -> None:
        raise NotFoundError("model", f"{model} {loaded}")


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> LoadedGraph:
    models = tmp_path_factory.mktemp("inferring")
    publish_graph(models, MODEL, scoring())
    return load_any(models / MODEL / "1", MODEL, 1)


@pytest.fixture
def shelf(version: LoadedGraph) -> Shelf:
    return Shelf(version)


def request(number: int = 0, model: str = MODEL, width: int = WIDTH) -> ModelInferRequest:
    asked = ModelInferRequest(model_name=model, id=str(number), raw_input_contents=[bytes(4 * width)])
    asked.inputs.add(name="x", datatype="FP32", shape=(1, width))
    return asked


async def test_a_hold_ends_with_the_answer_the_refusal_and_the_cancel(shelf: Shelf) -> None:
    graphs = Graphs(10**6)
    inferring = Inferring(shelf, graphs)
    await inferring.infer(request(), None)
    with pytest.raises(InvalidInstanceError):
        await inferring.infer(request(width=WIDTH + 1), None)
    given_up = asyncio.create_task(inferring.infer(request(), None))
    await asyncio.sleep(0)
    given_up.cancel()
    await asyncio.gather(given_up, return_exceptions=True)
    tally = graphs.tally(MODEL, 1)
    assert (shelf.held, tally.succeeded, tally.failed, tally.rows) == (0, 1, 2, 1)


async def test_a_stream_that_is_given_up_ends_at_once_and_holds_nothing(shelf: Shelf) -> None:
    async def endless() -> AsyncIterator[ModelInferRequest]:
        for number in count():
            yield request(number)

    answers = Inferring(shelf, Graphs(10**6)).stream(endless())
    assert (await anext(answers)).infer_response.id == "0"
    for _ in range(3):
        await asyncio.sleep(0)
    assert shelf.held >= IN_FLIGHT  # as many wait as may, and one more would like to
    async with asyncio.timeout(10):
        await answers.aclose()  # type: ignore[attr-defined]  # it is a generator
    assert shelf.held == 0


async def test_a_request_that_cannot_be_read_ends_the_stream_after_what_came_before(shelf: Shelf) -> None:
    async def breaking() -> AsyncIterator[ModelInferRequest]:
        yield request(0)
        yield request(1, model="nothing")
        raise ValueError("no request")

    answers = aiter(Inferring(shelf, Graphs(10**6)).stream(breaking()))
    first, second = await anext(answers), await anext(answers)
    assert (first.infer_response.id, first.error_message) == ("0", "")
    assert (second.infer_response.id, "nothing" in second.error_message) == ("1", True)
    with pytest.raises(ValueError, match="no request"):
        await anext(answers)
    assert shelf.held == 0


async def test_outputs_come_as_they_were_asked_for(shelf: Shelf) -> None:
    asked = request()
    asked.outputs.add(name="label")
    answer = await Inferring(shelf, Graphs(10**6)).infer(asked, None)
    assert [each.name for each in answer.outputs] == ["label"]
    assert np.frombuffer(answer.raw_output_contents[0], np.int64).tolist() == [0]
