"""Every way to change an alias gives the same verdict on the same pair of versions."""

import asyncio
import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import pytest
from click.testing import CliRunner
from google.rpc import code_pb2
from threadpoolctl import threadpool_limits

from ondeck.v1.model_service_pb2 import MoveAliasRequest, RollbackModelRequest
from ondeck_cli.models.aliases import promote as promote_command
from ondeck_cli.models.aliases import rollback as rollback_command
from ondeck_core.errors import OndeckError
from ondeck_core.evaluation import Evaluation, Metrics
from ondeck_core.manifest import PRODUCTION
from ondeck_core.tasks import TASKS
from ondeck_registry import promotion
from ondeck_registry.aliases import AliasDecision, move_alias
from ondeck_registry.import_onnx import publish_graph
from ondeck_registry.repository import aliases, read_evaluation
from ondeck_server.rpc.errors import error_status
from ondeck_server.security.operators import OperatorList
from ondeck_server.services.models.service import ModelService
from ondeck_trainer import pipeline
from ondeck_trainer import recalibrate as recalibration
from ondeck_trainer.artifact.publish import publish_ensemble
from ondeck_trainer.artifact.published_model import open_version
from ondeck_trainer.data.dataset import Dataset, build_dataset
from tests.factories import onnx_graphs
from tests.factories.statcast_rows import sample_rows
from tests.fixtures.models import small_plan

TASK: Final = "batted_ball"
GRAPH: Final = "scores"
SERVING, CANDIDATE = 1, 2


@dataclass(frozen=True, kw_only=True)
class Case:
    """A candidate, the version in production, and whether promotion passes."""

    name: str
    gate: bool
    verified: bool = True
    model: str = TASK
    force: bool = False
    log_loss: float = 0.0
    other_rows: bool = False
    has_serving: bool = True

    @property
    def promoted(self) -> bool:
        return self.verified and (self.gate or self.force)


CASES: Final = [
    Case(name="better", gate=True, log_loss=-0.01),
    Case(name="worse", gate=False, log_loss=0.01),
    Case(name="equal", gate=False),
    Case(name="other rows, no baseline", gate=False, log_loss=-0.01, other_rows=True),
    Case(name="worse, forced", gate=False, log_loss=0.01, force=True),
    Case(name="unverifiable", gate=True, verified=False, log_loss=-0.01),
    Case(name="unverifiable, forced", gate=True, verified=False, log_loss=-0.01, force=True),
    Case(name="nothing serves", gate=True, has_serving=False),
    Case(name="nothing serves, worse than a constant", gate=False, log_loss=9.0, has_serving=False),
    Case(name="imported graph", gate=True, model=GRAPH),
    Case(name="imported graph, unverifiable", gate=True, verified=False, model=GRAPH),
]


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.param
    return found


@pytest.fixture
def models(case: Case, small_repository: Path, tmp_path: Path) -> Path:
    """Return a repository of version 1 and a candidate, version 2; production is version 1 or unset."""
    models = tmp_path / "models"
    if case.model == GRAPH:
        for _ in (SERVING, CANDIDATE):
            publish_graph(models, GRAPH, onnx_graphs.scoring_graph())
        move_alias(models, GRAPH, PRODUCTION, SERVING, decision(force=False))
    else:
        shutil.copytree(small_repository / TASK, models / TASK)
        add_candidate(models / TASK, case)
    if not case.verified:
        damage_graph(models / case.model)
    return models


def damage_graph(folder: Path) -> None:
    graph = folder / str(CANDIDATE) / "model.onnx"
    graph.write_bytes(graph.read_bytes()[:-1])


def add_candidate(folder: Path, case: Case) -> None:
    copy = Path(shutil.copytree(folder / str(SERVING), folder / str(CANDIDATE)))
    evaluation = json.loads((copy / "evaluation.json").read_text())
    evaluation["log_loss"] += case.log_loss
    evaluation["rows"] += case.other_rows
    (copy / "evaluation.json").write_text(json.dumps(evaluation))
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["version"] = CANDIDATE
    manifest["files"]["evaluation.json"] = hashlib.sha256((copy / "evaluation.json").read_bytes()).hexdigest()
    (copy / "manifest.json").write_text(json.dumps(manifest))
    if not case.has_serving:
        (folder / "aliases.json").unlink()
        (folder / "aliases.log.jsonl").unlink()


def decision(*, force: bool) -> AliasDecision:
    return AliasDecision(actor="a test", reason="a test", at=datetime.now(UTC), forced=force)


def call_service(models: Path, rpc: str, request: Any) -> bool:
    """Call a handler of `ModelService`; return False if refused with FAILED_PRECONDITION."""
    manager: Any = SimpleNamespace(repository=SimpleNamespace(folder=models))
    call: Any = SimpleNamespace(peer="a test", identity=None)
    code = code_pb2.OK
    try:
        asyncio.run(getattr(ModelService(manager, OperatorList(())), rpc)(call, request))
    except OndeckError as refused:
        code = error_status(refused).code
    assert code in {code_pb2.OK, code_pb2.FAILED_PRECONDITION}
    return bool(code == code_pb2.OK)


def by_rpc(models: Path, case: Case, _: pytest.MonkeyPatch) -> bool:
    request = MoveAliasRequest(model=case.model, version=CANDIDATE, reason="a test", force=case.force)
    return call_service(models, "move_alias", request)


def by_command(models: Path, case: Case, _: pytest.MonkeyPatch) -> bool:
    words = [case.model, str(CANDIDATE), "--model-repository", str(models)]
    words += ["--force", "--reason", "a test"] if case.force else []
    return refusal(CliRunner().invoke(promote_command, words))


def by_training(models: Path, case: Case, patch: pytest.MonkeyPatch) -> bool:
    """Train, with the evaluation of the candidate; an imported graph is promoted as a training run promotes."""
    try:
        if case.model == GRAPH:
            promotion.promote(models, case.model, PRODUCTION, CANDIDATE, decision(force=case.force))
            return True
        evaluation = take_candidate(models)

        def publish_damaged(*args: Any, **options: Any) -> Any:
            published = publish_ensemble(*args, **options)
            damage_graph(models / TASK)
            return published

        assert promotion.gate_evaluation(models, TASK, evaluation).passed is case.gate
        patch.setattr(pipeline, "evaluate_recipe", lambda *_: evaluation)
        if case.other_rows:
            patch.setattr(pipeline, "add_production_baseline", lambda evaluation, *_: evaluation)
        if not case.verified:
            patch.setattr(pipeline, "publish_ensemble", publish_damaged)
        with threadpool_limits(1):
            pipeline.train(training_rows(), small_plan(models, force=case.force), print)
    except OndeckError:
        return False
    return True


def by_recalibration(models: Path, case: Case, patch: pytest.MonkeyPatch) -> bool:
    """Recalibrate, with the evaluation of the candidate and of the version in production, then promote."""
    evaluation = take_candidate(models)
    serving = read_evaluation(models / TASK / str(SERVING))
    metrics = Metrics(**{name: getattr(serving, name) for name in Metrics.model_fields})

    def evaluate(_model: Any, _rows: Any, _probabilities: Any, baselines: dict[str, Metrics]) -> Evaluation:
        assert set(baselines) == ({"version_1"} if case.has_serving else set())
        added = {} if case.other_rows else baselines
        return evaluation.model_copy(update={"baselines": {**evaluation.baselines, **added}})

    patch.setattr(recalibration, "compute_metrics", lambda *_: metrics)
    patch.setattr(recalibration, "evaluate_graph", evaluate)
    recalibration.recalibrate(open_version(models, TASKS[TASK], SERVING), recent_rows(), models)
    assert aliases(models, TASK) == ({PRODUCTION: SERVING} if case.has_serving else {})
    if not case.verified:
        damage_graph(models / TASK)
    return by_command(models, case, patch)


def take_candidate(models: Path) -> Evaluation:
    """Remove the candidate, so that its number is free, and return its evaluation."""
    evaluation = read_evaluation(models / TASK / str(CANDIDATE))
    shutil.rmtree(models / TASK / str(CANDIDATE))
    return evaluation


@cache
def training_rows() -> Dataset:
    return build_dataset(TASKS[TASK], sample_rows(date(2022, 6, 1), days=92, games=1))


@cache
def recent_rows() -> Dataset:
    return build_dataset(TASKS[TASK], sample_rows(date(2022, 9, 1), days=14, games=6, seed=5))


def refusal(done: Any) -> bool:
    assert done.exception is None or isinstance(done.exception, OndeckError), done.output
    return done.exception is None


PROMOTIONS: Final[dict[str, Callable[[Path, Case, pytest.MonkeyPatch], bool]]] = {
    "MoveAlias": by_rpc,
    "promote": by_command,
    "train": by_training,
    "recalibrate": by_recalibration,
}


@pytest.mark.parametrize(
    ("entry_point", "case"),
    [
        pytest.param(name, case, id=f"{name}, {case.name}")
        for name in PROMOTIONS
        for case in CASES
        if name != "recalibrate" or case.model == TASK
    ],
)
def test_every_promotion_gives_the_same_verdict(
    entry_point: str, case: Case, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert PROMOTIONS[entry_point](models, case, monkeypatch) is case.promoted
    expected = CANDIDATE if case.promoted else SERVING if case.has_serving else None
    assert aliases(models, case.model).get(PRODUCTION) == expected


def test_recalibration_reports_the_verdict_of_the_gate(case: Case, models: Path) -> None:
    assert promotion.gate(models, case.model, PRODUCTION, CANDIDATE).passed is case.gate


@pytest.mark.parametrize("entry_point", ["RollbackModel", "rollback"])
@pytest.mark.parametrize("case", [each for each in CASES if each.has_serving], ids=lambda each: each.name)
def test_every_rollback_verifies_the_previous_version(entry_point: str, case: Case, models: Path) -> None:
    move_alias(models, case.model, PRODUCTION, CANDIDATE, decision(force=True))
    move_alias(models, case.model, PRODUCTION, SERVING, decision(force=True))
    if entry_point == "rollback":
        done = refusal(CliRunner().invoke(rollback_command, [case.model, "--model-repository", str(models)]))
    else:
        request = RollbackModelRequest(model=case.model, reason="a test")
        done = call_service(models, "rollback_model", request)
    assert done is case.verified
    assert aliases(models, case.model)[PRODUCTION] == (CANDIDATE if case.verified else SERVING)
