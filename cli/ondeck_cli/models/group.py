"""`ondeck models`: the model repository, looked at and moved."""

from typing import Final

from ondeck_cli.lazy import CommandEntry, LazyGroup

COMMANDS: Final = {
    "list": CommandEntry("ondeck_cli.models.list:list_", "List versions, and how each was judged."),
    "import": CommandEntry("ondeck_cli.models.import_onnx:import_", "Import an ONNX graph as a version."),
    "compare": CommandEntry("ondeck_cli.models.compare:compare_", "Judge two versions on the same later rows."),
    "promote": CommandEntry("ondeck_cli.models.promote:promote", "Put a version into production, if it is better."),
    "rollback": CommandEntry("ondeck_cli.models.rollback:rollback", "Put back the version that served before."),
    "history": CommandEntry("ondeck_cli.models.history:history", "Tell which version served when, by whom and why."),
    "migrate": CommandEntry("ondeck_cli.models.migrate:migrate", "Migrate a repository of an older format."),
    "verify": CommandEntry("ondeck_cli.models.verify:verify", "See whether versions are what they claim."),
}

models = LazyGroup(name="models", entries=COMMANDS, help="The model repository: what is in it, what serves, and why.")
