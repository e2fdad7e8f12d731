"""`ondeck explain`: its chart, its JSON and its errors."""

import json
import re
from collections.abc import Iterator

import pytest

from ondeck_client import AsyncClient, BattedBall, Client
from tests.fixtures.explain import UNEXPLAINED
from tests.fixtures.server import RunningServer
from tests.integration.test_cli import ondeck

BALL = ("--launch-speed", "100", "--launch-angle", "20", "--stand", "r")
WIDEST = 100


@pytest.fixture
def client(explaining_server: RunningServer) -> Iterator[Client]:
    with Client(explaining_server.target) as opened:
        yield opened


def bars_of(text: str) -> dict[str, float]:
    """Return the number at the end of each line with a bar, by field."""
    found = re.findall(r"^(\w+(?: rate)?) .*\|\W*? ([+-]?\d\.\d{3})(?: .*)?$", text, re.MULTILINE)
    return {name: float(figure) for name, figure in found}


def test_explain_prints_the_path_from_base_rate_to_probability(explaining_server: RunningServer) -> None:
    done = ondeck("explain", "batted-ball", *BALL, "--outcome", "single", "--target", explaining_server.target)
    assert done.returncode == 0, done.stderr
    figures = bars_of(done.stdout)
    assert next(iter(figures)) == "base rate"
    assert list(figures)[-1] == "probability"
    assert {"launch_speed", "launch_angle", "spray_angle", "stand"} <= set(figures)
    moved = sum(figures.values()) - figures["base rate"] - figures["probability"]
    assert figures["base rate"] + moved == pytest.approx(figures["probability"], abs=0.0005 * len(figures) + 1e-9)
    assert done.stdout.startswith("why single? ")
    assert "100 mph" in done.stdout
    assert re.search(r"^stand +R ", done.stdout, re.MULTILINE)
    assert re.search(r"^spray_angle +not given ", done.stdout, re.MULTILINE)
    assert done.stdout.splitlines()[-1].startswith("answered by batted_ball, version 1 (production), ")


def test_bars_point_left_or_right_by_sign_and_the_first_is_longest(
    explaining_server: RunningServer,
) -> None:
    done = ondeck("explain", "called-strike", "--plate-x", "1", "--plate-z", "2", "--target", explaining_server.target)
    bars = re.findall(r"(█*)\|(█*) +([+-])", done.stdout)
    lengths = [max(map(len, (left, right))) for left, right, _ in bars]
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[0] > 0
    assert not any((left and sign == "+") or (right and sign == "-") for left, right, sign in bars)


def test_explain_fits_a_narrow_terminal_without_color_or_accents(explaining_server: RunningServer) -> None:
    arguments = ("called-strike", "--plate-x", "1", "--plate-z", "2", "--target", explaining_server.target)
    plain = ondeck("explain", *arguments, PYTHONIOENCODING="ascii").stdout
    assert "\x1b" not in plain
    assert plain.isascii()
    assert "#|" in plain or "|#" in plain
    assert max(map(len, plain.splitlines())) <= WIDEST
    assert not any(line.endswith(" ") for line in plain.splitlines())


def test_explain_prints_the_whole_response_as_json(explaining_server: RunningServer) -> None:
    done = ondeck("explain", "batted-ball", *BALL, "--json", "--target", explaining_server.target)
    answer = json.loads(done.stdout)
    added = sum(each["contribution"] for each in answer["contributions"])
    assert answer["base_rate"] + added == pytest.approx(answer["probability"], abs=1e-6)
    assert answer["prediction"]["answered_by"]["version"] == 1


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("batted-ball", *BALL, "--outcome", "walk"), 1, "error: --outcome must be one of out, single"),
        (("batted-ball", *BALL, "--alias", UNEXPLAINED), 1, "was published without a background"),
        (("called-strike", "--plate-x", "0"), 1, "error: --plate-z is required"),
        (("home-runs",), 2, "available: batted_ball"),
    ],
)
def test_an_impossible_explanation_is_reported_with_its_reason(
    explaining_server: RunningServer, arguments: tuple[str, ...], code: int, message: str
) -> None:
    done = ondeck("explain", *arguments, ONDECK_PORT=explaining_server.target.rpartition(":")[2])
    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


async def test_sync_and_async_clients_return_equal_explanations(
    client: Client, explaining_server: RunningServer
) -> None:
    ball = BattedBall(launch_speed=100, launch_angle=20)
    response = client.explain("batted_ball", ball, outcome="triple", version=1)
    async with AsyncClient(explaining_server.target) as ondeck_:
        awaited = await ondeck_.explain("batted_ball", ball, outcome="triple", version=1)
    assert (response.outcome, awaited.outcome) == ("triple", "triple")
    assert response.contributions == awaited.contributions
    added = sum(each.contribution for each in response.contributions)
    assert response.base_rate + added == pytest.approx(response.probability, abs=1e-6)
