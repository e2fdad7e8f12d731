"""Write the tables of README.md from what they are about; with --check, only say whether they are up to date."""

import difflib
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

from pydantic.fields import FieldInfo

from ondeck_core.evaluation import Evaluation, Score
from ondeck_core.evaluation import scores as judged_scores
from ondeck_core.manifest import ALIASES_FILE, EVALUATION_FILE, PRODUCTION
from ondeck_ingest.settings import IngestSettings
from ondeck_server.settings import ServerSettings
from ondeck_store.settings import PREFIX, StoreSettings
from ondeck_trainer.settings import TrainerSettings

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
PROGRAMS: dict[str, type[StoreSettings]] = {
    "server": ServerSettings,
    "ingest": IngestSettings,
    "trainer": TrainerSettings,
}
LOGS = [
    ("ONDECK_LOG_LEVEL", "`info`", "least that is logged: debug, info, warning, error", "all"),
    ("ONDECK_LOG_FORMAT", "text on a terminal, else json", "how the log is written: text, json", "all"),
]


def scores() -> str:
    """Lay out how the recipes of the versions in production were judged."""
    lines = [
        "| model | judged on | question | predictor | log loss | Brier | ECE | AUC | accuracy |",
        "| --- " * 9 + "|",
    ]
    for aliases in sorted((ROOT / "onnx_models").glob(f"*/{ALIASES_FILE}")):
        version = json.loads(aliases.read_text())["aliases"][PRODUCTION]
        evaluation = Evaluation.model_validate_json((aliases.parent / str(version) / EVALUATION_FILE).read_bytes())
        lines += [_score(aliases.parent.name, evaluation, each) for each in judged_scores(evaluation)]
    return "\n".join(lines)


def _score(model: str, evaluation: Evaluation, each: Score) -> str:
    what = f"| `{model}` | {evaluation.evaluation_window} | {each.question} | {each.predictor} | "
    figures = (each.log_loss, each.brier, each.ece, each.auc, each.accuracy)
    return what + " | ".join("" if figure is None else f"{figure:.4f}" for figure in figures) + " |"


def settings() -> str:
    """Lay out every setting of every program."""
    lines = ["| variable | default | meaning | for |", "| --- " * 4 + "|"]
    shared = StoreSettings.model_fields
    lines += [_setting(name, field, "all") for name, field in shared.items()]
    named = {name: [program for program, kind in PROGRAMS.items() if name in kind.model_fields] for name in _own()}
    lines += [_setting(name, field, ", ".join(named[name])) for name, field in _own().items()]
    lines += [f"| `{name}` | {default} | {meaning} | {whose} |" for name, default, meaning, whose in LOGS]
    return "\n".join(lines)


def _own() -> dict[str, FieldInfo]:
    return {
        name: field
        for kind in PROGRAMS.values()
        for name, field in kind.model_fields.items()
        if name not in StoreSettings.model_fields
    }


def _setting(name: str, field: FieldInfo, whose: str) -> str:
    default = "unset" if field.default in (None, ()) or field.default_factory else f"`{field.default}`"
    return f"| `{PREFIX}{name.upper()}` | {default} | {field.description} | {whose} |"


TABLES: dict[str, Callable[[], str]] = {"scores": scores, "settings": settings}


def filled(text: str) -> str:
    """Put every table between its markers."""
    for name, table in TABLES.items():
        text = re.sub(
            rf"(<!-- {name}: .*? -->\n).*?(<!-- end -->)", rf"\g<1>\n{table()}\n\n\g<2>", text, flags=re.DOTALL
        )
    return text


def main() -> None:
    """Write the tables, or compare them."""
    before = README.read_text()
    after = filled(before)
    if "--check" not in sys.argv:
        README.write_text(after)
    elif before != after:
        sys.stdout.writelines(
            difflib.unified_diff(before.splitlines(keepends=True), after.splitlines(keepends=True), "README.md", "due")
        )
        sys.exit("README.md is out of date, run `make gen`")


if __name__ == "__main__":
    main()
