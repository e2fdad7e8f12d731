"""The client for threads is generated from the asyncio client, and has the same interface."""

import inspect

import pytest

from ondeck_client import AsyncClient, Client
from tools.generate import ASYNC_CLIENT, SYNC_CLIENT, sync_client


def public_methods(client: type[Client | AsyncClient]) -> dict[str, list[str]]:
    """Return the parameters of each public method."""
    methods = inspect.getmembers(client, inspect.isfunction)
    return {name: list(inspect.signature(each).parameters) for name, each in methods if not name.startswith("_")}


def test_the_client_for_threads_is_up_to_date() -> None:
    assert sync_client(ASYNC_CLIENT.read_text()) == SYNC_CLIENT.read_text()


def test_the_client_for_threads_has_nothing_asynchronous() -> None:
    source = SYNC_CLIENT.read_text()
    assert [word for word in ("async ", "await ", "Async", "aiter", "grpc.aio") if word in source] == []


def test_both_clients_have_the_same_methods() -> None:
    assert public_methods(Client) == public_methods(AsyncClient)
    assert set(public_methods(Client)) >= {"predict", "batch_predict", "stream", "explain", "models", "close"}


def test_a_changed_docstring_of_the_stream_is_reported() -> None:
    with pytest.raises(SystemExit, match="SYNC_DOCS"):
        sync_client("class AsyncClient: ...")
