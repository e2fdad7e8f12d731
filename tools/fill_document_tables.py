"""Fill the generated tables of README.md and docs/ from code and artifacts; with --check, only compare.

    python tools/fill_document_tables.py [--check]

A table lies between `<!-- NAME: … -->` and `<!-- end -->`, in any number of documents.
"""

import ast
import difflib
import json
import re
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Final

import click
from pydantic.fields import FieldInfo

from ondeck_cli.main import ondeck
from ondeck_core.evaluation import Evaluation, Score
from ondeck_core.evaluation import scores as evaluation_scores
from ondeck_core.instances import INSTANCE_TYPES, Field
from ondeck_core.manifest import ALIASES_FILE, EVALUATION_FILE, PRODUCTION
from ondeck_core.model_name_normalization import canonical
from ondeck_core.tasks import TASKS
from ondeck_ingest.settings import IngestSettings
from ondeck_runtime.metrics import CounterFamily, MetricFamily
from ondeck_runtime.settings import PREFIX
from ondeck_server.settings import ServerSettings
from ondeck_store.settings import StoreSettings
from ondeck_trainer.settings import TrainerSettings

ROOT: Final = Path(__file__).resolve().parent.parent
ERROR_REASONS: Final = ROOT / "proto" / "ondeck" / "v1" / "error_reason.proto"
PROGRAMS: Final[dict[str, type[StoreSettings]]] = {
    "server": ServerSettings,
    "ingest": IngestSettings,
    "trainer": TrainerSettings,
}
METRIC_PROGRAMS: Final = {
    "ingest": "ingest",
    "runtime": "all",
    "server": "server",
    "store": "ingest",
    "trainer": "trainer",
}
DECLARATION: Final = re.compile(r"(Counter|Gauge|Histogram)Family\(\n?\s*\"")
LOG_SETTINGS: Final = [
    ("ONDECK_LOG_LEVEL", "`info`", "lowest level that is logged: debug, info, warning, error", "all"),
    ("ONDECK_LOG_FORMAT", "text on a terminal, else json", "format of the log: text, json", "all"),
    (
        "ONDECK_LOG_FILE",
        "`logs/<program>.jsonl` in the home folder, if that exists",
        "file of JSON lines that the log is also written to; `none`: no file",
        "all",
    ),
    (
        "ONDECK_CORRELATION_ID",
        "a new id",
        "correlation id of a command, its calls and the jobs that it enqueues",
        "cli",
    ),
]
REASON: Final = re.compile(r"// ERROR_REASON_(\w+): (.*)")


def scores() -> str:
    """Return the metrics of the evaluation fits of the versions in production."""
    lines = [
        "| model | evaluated on | question | predictor | log loss | Brier | ECE | AUC | accuracy |",
        "| --- " * 9 + "|",
    ]
    for aliases in sorted((ROOT / "onnx_models").glob(f"*/{ALIASES_FILE}")):
        version = json.loads(aliases.read_text())["aliases"][PRODUCTION]
        evaluation = Evaluation.model_validate_json((aliases.parent / str(version) / EVALUATION_FILE).read_bytes())
        lines += [_score(aliases.parent.name, evaluation, each) for each in evaluation_scores(evaluation)]
    return "\n".join(lines)


def _score(model: str, evaluation: Evaluation, each: Score) -> str:
    predicted = f"| `{model}` | {evaluation.evaluation_window} | {each.question} | {each.predictor} | "
    metrics = (each.log_loss, each.brier, each.ece, each.auc, each.accuracy)
    return predicted + " | ".join("" if metric is None else f"{metric:.4f}" for metric in metrics) + " |"


def settings() -> str:
    """Return every setting of every program."""
    lines = ["| variable | default | meaning | program |", "| --- " * 4 + "|"]
    lines += [_setting(name, field, "all") for name, field in StoreSettings.model_fields.items()]
    own = {
        name: field
        for kind in PROGRAMS.values()
        for name, field in kind.model_fields.items()
        if name not in StoreSettings.model_fields
    }
    users = {name: [program for program, kind in PROGRAMS.items() if name in kind.model_fields] for name in own}
    lines += [_setting(name, field, ", ".join(users[name])) for name, field in own.items()]
    lines += [f"| `{name}` | {default} | {meaning} | {program} |" for name, default, meaning, program in LOG_SETTINGS]
    return "\n".join(lines)


def _setting(name: str, field: FieldInfo, programs: str) -> str:
    default = "unset" if field.default in (None, ()) or field.default_factory else f"`{field.default}`"
    return f"| `{PREFIX}{name.upper()}` | {default} | {field.description} | {programs} |"


def instances() -> str:
    """Return the fields of every instance type, with their ranges."""
    lines = ["| instance | field | values | required |", "| --- " * 4 + "|"]
    for kind in INSTANCE_TYPES:
        lines += [
            f"| `{kind.message}` | `{field.name}` | {_values(field)} | {'yes' if field.required else ''} |"
            for field in kind.fields
        ]
    return "\n".join(lines)


def _values(field: Field) -> str:
    return f"a code of `{field.codes.__name__}`" if field.codes is not None else field.allowed_values


def errors() -> str:
    """Return the error reasons, from the comments of the contract."""
    text = re.sub(r"\n\s*// (?!ERROR_REASON_)", " ", ERROR_REASONS.read_text())
    lines = ["| reason | when, and with which status and details |", "| --- | --- |"]
    lines += [f"| `{name}` | {meaning[0].upper()}{meaning[1:]} |" for name, meaning in REASON.findall(text)]
    return "\n".join(lines)


def commands() -> str:
    """Return every command of `ondeck`; options that are settings are left out."""
    return "\n\n".join(_command(context) for context in _contexts(click.Context(ondeck, info_name="ondeck")))


def _contexts(context: click.Context) -> Iterator[click.Context]:
    group = context.command
    if not isinstance(group, click.Group):
        yield context
        return
    names = group.list_commands(context)
    commands = [found for name in names if (found := group.get_command(context, name)) is not None]
    if {canonical(name) for name in names} == set(TASKS):
        names, commands = ["TASK"], commands[:1]  # they differ in the fields of the instance alone
        commands[0].help = group.help
    for name, command in zip(names, commands, strict=True):
        yield from _contexts(click.Context(command, info_name=name, parent=context))


def _command(context: click.Context) -> str:
    command = context.command
    arguments = [each.make_metavar(context) for each in command.params if isinstance(each, click.Argument)]
    lines = [f"### `{' '.join([context.command_path, *arguments])}`", "", " ".join((command.help or "").split())]
    options = [each for each in command.params if isinstance(each, click.Option) and not _is_documented(each)]
    if options:
        lines += ["", "| option | meaning |", "| --- | --- |"]
        lines += [f"| `{each.opts[0]}` | {each.help} |" for each in options]
    return "\n".join(lines)


def _is_documented(option: click.Option) -> bool:
    """Return whether another table has the option: it is a setting, or a field of an instance."""
    fields = {field.name for kind in INSTANCE_TYPES for field in kind.fields}
    return option.name in fields or f"({PREFIX}" in (option.help or "")


def events() -> str:
    """Return the log events of the programs, from the calls that log them."""
    lines = ["| event | level | detail | fields | program |", "| --- " * 5 + "|"]
    found = {
        event
        for program in (*PROGRAMS, "store", "cli")
        for path in (ROOT / program).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and (event := _event(node, program)) is not None
    }
    return "\n".join([*lines, *sorted(found)])


def _event(call: ast.Call, program: str) -> str | None:
    match call:
        case ast.Call(func=ast.Attribute(value=ast.Name(id="log"), attr=level), args=[ast.Constant(value=str(event))]):
            values = {each.arg: each.value for each in call.keywords if each.arg is not None}
            detail = values.pop("detail", None)
            text = str(detail.value) if isinstance(detail, ast.Constant) else ""
            fields = ", ".join(f"`{name}`" for name in values if name not in {"exc_info", "is_printed"})
            return f"| `{event}` | {level} | {text} | {fields} | {program} |"
        case _:
            return None


def metrics() -> str:
    """Return the metrics of the programs, from the modules that declare them."""
    lines = ["| metric | type | labels | meaning | program |", "| --- " * 5 + "|"]
    found = {_metric(family, program) for program, family in declared_metrics()}
    return "\n".join([*lines, *sorted(found)])


def declared_metrics() -> Iterator[tuple[str, MetricFamily]]:
    """Yield the metric families that a module declares, each with its program."""
    seen: set[MetricFamily] = set()
    for program in METRIC_PROGRAMS:
        for path in sorted((ROOT / program).rglob("*.py")):
            if DECLARATION.search(path.read_text()):
                module = import_module(".".join(path.relative_to(ROOT / program).with_suffix("").parts))
                for value in vars(module).values():
                    if isinstance(value, MetricFamily) and value not in seen:
                        seen.add(value)  # it may be imported by another
                        yield program, value


def exported_name(family: MetricFamily) -> str:
    """Return the name of a family on the page."""
    return f"{family.name}_total" if isinstance(family, CounterFamily) else family.name


def _metric(family: MetricFamily, program: str) -> str:
    kind = type(family).__name__.removesuffix("Family").lower()
    labels = ", ".join(f"`{label}`" for label in family.labels)
    return f"| `{exported_name(family)}` | {kind} | {labels} | {family.help} | {METRIC_PROGRAMS[program]} |"


TABLES: Final[dict[str, Callable[[], str]]] = {
    "scores": scores,
    "settings": settings,
    "instances": instances,
    "errors": errors,
    "commands": commands,
    "events": events,
    "metrics": metrics,
}
OTHERS: Final = {"trace", "attacks"}  # tools/trace_walks.py and tests/attack/document.py fill these
MARKED: Final = re.compile(r"(?P<begin><!-- (?P<name>\w+): [^>]*-->\n).*?(?P<end><!-- end -->)", re.DOTALL)


def documents() -> list[Path]:
    """List the documents that may have tables."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def fill(text: str) -> str:
    """Return a document with all its tables written anew.

    Raises:
        KeyError: a marker names no table.
    """
    return MARKED.sub(
        lambda found: (
            found[0] if found["name"] in OTHERS else f"{found['begin']}\n{TABLES[found['name']]()}\n\n{found['end']}"
        ),
        text,
    )


def outdated() -> dict[Path, str]:
    """Return the documents whose tables are out of date, with their new text."""
    filled = {path: fill(path.read_text()) for path in documents()}
    return {path: text for path, text in filled.items() if text != path.read_text()}


def main() -> None:
    """Write the tables, or compare them."""
    changed = outdated()
    if "--check" not in sys.argv:
        for path, text in changed.items():
            path.write_text(text)
        return
    for path, text in changed.items():
        before, after = path.read_text().splitlines(keepends=True), text.splitlines(keepends=True)
        sys.stdout.writelines(difflib.unified_diff(before, after, str(path.relative_to(ROOT)), "generated"))
    if changed:
        names = ", ".join(str(path.relative_to(ROOT)) for path in changed)
        sys.exit(f"{names}: out of date, run `make gen`")


if __name__ == "__main__":
    main()
