"""Every attack in its short form, beside a neighbour; `make attack` runs the long form."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.attack.attack import Attack
from tests.attack.document import DOCUMENT, fill
from tests.attack.harness import SHORT, AttackedServer, attacked
from tests.attack.table import ATTACKS
from tests.conftest import ROOT
from tests.fixtures.tls import Authority

MODELS = ROOT / "onnx_models"
Serve = Callable[[str, Attack], AttackedServer]
WITHSTOOD_BY_GRPCIO = {each.kind: each for each in ATTACKS if not each.grpcio and not each.least_seconds}


@pytest.fixture(scope="module")
def serve(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """Return a function that starts a server of a transport for the needs of an attack, once."""
    with ExitStack() as stack:
        servers: dict[tuple[str, bool, bool], AttackedServer] = {}

        def start(transport: str, attack: Attack) -> AttackedServer:
            key = transport, attack.needs_tls, attack.has_short_timeouts
            if key not in servers:
                opened = attacked(
                    MODELS,
                    tmp_path_factory.mktemp("attacked"),
                    transport,
                    authority if attack.needs_tls else None,
                    has_short_timeouts=attack.has_short_timeouts,
                )
                servers[key] = stack.enter_context(opened)
            return servers[key]

        yield start


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_the_default_transport_withstands_an_attack(serve: Serve, attack: Attack) -> None:
    result = serve("nghttp2", attack).attack(attack, SHORT)
    assert result.faults(attack, SHORT, is_default=True) == []


@pytest.mark.parametrize("attack", WITHSTOOD_BY_GRPCIO.values(), ids=lambda attack: attack.name)
def test_grpcio_withstands_one_attack_of_each_kind(serve: Serve, attack: Attack) -> None:
    result = serve("grpcio", attack).attack(attack, SHORT)
    assert result.faults(attack, SHORT, is_default=False) == []


def test_the_document_lists_every_attack() -> None:
    text = DOCUMENT.read_text()
    assert fill(text) == text


def test_each_attack_has_its_own_name() -> None:
    assert len({each.name for each in ATTACKS}) == len(ATTACKS)
