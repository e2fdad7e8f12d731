"""`ondeck models`: the model repository, looked at and moved."""

from typing import Final

from ondeck_cli.lazy import Entry, LazyGroup

COMMANDS: Final = {
    "list": Entry("ondeck_cli.models.listing:list_", "List versions, and how each was judged."),
    "add": Entry("ondeck_server.adding:add", "Put a graph of somebody else's into the repository."),
    "compare": Entry("ondeck_cli.models.comparing:compare_", "Judge two versions on the same later rows."),
    "promote": Entry("ondeck_cli.models.promoting:promote", "Put a version into production, if it is better."),
    "rollback": Entry("ondeck_cli.models.rolling_back:rollback", "Put back the version that served before."),
    "history": Entry("ondeck_cli.models.history:history", "Tell which version served when, by whom and why."),
    "verify": Entry("ondeck_cli.models.verifying:verify", "See whether versions are what they claim."),
}

models = LazyGroup(name="models", entries=COMMANDS, help="The model repository: what is in it, what serves, and why.")
