"""The messages between the supervisor and its workers; `ondeck_server.ipc.channel` carries them."""

from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter

_WALL_FACTOR: Final = 6  # a busy machine gives a process a part of a core


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LogConfig(_Message):
    """Level and format of the log, and its file, if there is one; see `ondeck_runtime.logging`."""

    level: str
    form: str
    file: str = ""


class LoadLimits(_Message):
    """Limits of one load in the trial process: seconds of CPU time, and MiB of memory beyond those of the process."""

    cpu_seconds: int
    memory_mib: int

    @property
    def wall_seconds(self) -> int:
        """Seconds of elapsed time."""
        return self.cpu_seconds * _WALL_FACTOR


class StartWorker(_Message):
    """To a worker, first message: its settings, the reserved port and the load requests."""

    kind: Literal["start"] = "start"
    settings: Mapping[str, JsonValue]
    port: int
    logging: LogConfig
    load_requests: Mapping[str, bool]


class StartListening(_Message):
    """To a ready worker: accept calls now."""

    kind: Literal["listen"] = "listen"


class ServerState(_Message):
    """To every worker: the health of the whole server by name, and which models were requested loaded or unloaded."""

    kind: Literal["state"] = "state"
    serving: Mapping[str, bool]
    load_requests: Mapping[str, bool]


class StartDraining(_Message):
    """To every worker: report NOT_SERVING for every health name from now on."""

    kind: Literal["draining"] = "draining"


class RetireWorker(_Message):
    """To a worker: accept no new connections, finish calls in flight and exit.

    With `immediate` it does not wait for clients to disconnect first.
    """

    kind: Literal["retire"] = "retire"
    immediate: bool


class ChannelzRequest(_Message):
    """To a worker: send its channelz data."""

    kind: Literal["channelz_request"] = "channelz_request"
    number: int


class WorkerStatus(_Message):
    """From a worker, after each change of its state.

    `serving` maps each health name to whether this worker serves it; `missing` lists why it is not ready. `loaded` are
    the loaded versions as `model number`, `refused` those that failed verification, with the reason, and the models of
    which a part is set aside. `desired` and `applied` map the aliases of each model to versions, as the repository has
    them and as this worker serves them. A worker is `ready` once it has loaded everything that it needs before it
    accepts calls.
    """

    kind: Literal["status"] = "status"
    ready: bool
    listening: bool
    serving: Mapping[str, bool]
    missing: tuple[str, ...]
    loaded: tuple[str, ...]
    refused: Mapping[str, str] = {}
    desired: Mapping[str, Mapping[str, int]] = {}
    applied: Mapping[str, Mapping[str, int]] = {}


class Heartbeat(_Message):
    """From a worker, several times within the heartbeat timeout: its event loop runs."""

    kind: Literal["heartbeat"] = "heartbeat"


class WorkerFailed(_Message):
    """From a worker that cannot start: a readable reason; the worker exits after that."""

    kind: Literal["failed"] = "failed"
    reason: str


class LoadRequest(_Message):
    """From a worker: a caller requested that a model be loaded or unloaded in every process."""

    kind: Literal["load_request"] = "load_request"
    model: str
    loaded: bool


class TrialRequest(_Message):
    """From a worker to the supervisor, and from it to the trial process: load a version before this worker does.

    `key` identifies the files of the version, `graph` is the SHA-256 of its graph, `manifest` its manifest as JSON.
    The supervisor adds the path of a file for the optimized graph; empty: it is not optimized.
    """

    kind: Literal["trial_request"] = "trial_request"
    key: str
    graph: str
    folder: str
    manifest: str
    optimized_file: str = ""


class TrialResult(_Message):
    """To a worker, in response to the `TrialRequest` of the same key: why the version is refused; empty: it is not.

    With `is_retried` the operating system was the reason, and a later trial may succeed. `optimized_file` is the file
    of the optimized graph, if there is one, and `optimized_digest` its SHA-256; `rewrites` are its rewrites, and
    `rejected` is why others were rejected.
    """

    kind: Literal["trial_result"] = "trial_result"
    key: str
    refused: str = ""
    is_retried: bool = False
    optimized_file: str = ""
    optimized_digest: str = ""
    rewrites: tuple[str, ...] = ()
    rejected: str = ""


class SetLogLevel(_Message):
    """To every worker: log events of this level and above from now on."""

    kind: Literal["log_level"] = "log_level"
    level: str


class PlayersFile(_Message):
    """To every worker, after each read of the players: the file with their index."""

    kind: Literal["players"] = "players"
    path: str


class PlayersRequest(_Message):
    """From the supervisor to the process that reads the players, which may take so many seconds.

    They are written to a new file at `path`, unless the database has the fingerprint `known`.
    """

    settings: Mapping[str, JsonValue]
    known: str
    path: str
    seconds: int


class PlayersResult(_Message):
    """In response to a `PlayersRequest`: the fingerprint of the players, or why they cannot be read."""

    fingerprint: str = ""
    failed: str = ""


class DashboardRequest(_Message):
    """From the supervisor to the process that reads a view of the dashboard, which may take so many seconds.

    `settings` are those of the store; `parameters` depend on the view. With `trends` it stores points instead.
    """

    settings: Mapping[str, JsonValue]
    view: Literal["data", "history", "models", "scores", "trends"]
    parameters: Mapping[str, JsonValue] = {}
    seconds: int


class DashboardResult(_Message):
    """In response to a `DashboardRequest`: the values of the view, or why they cannot be read."""

    values: Mapping[str, JsonValue] = {}
    failed: str = ""


class ChannelzResponse(_Message):
    """From a worker: its channelz data, in response to the `ChannelzRequest` of the same number."""

    kind: Literal["channelz_response"] = "channelz_response"
    number: int
    channelz: Mapping[str, JsonValue]


FromSupervisor = (
    StartWorker
    | StartListening
    | ServerState
    | StartDraining
    | RetireWorker
    | ChannelzRequest
    | TrialResult
    | PlayersFile
    | SetLogLevel
)
FromWorker = Heartbeat | WorkerStatus | WorkerFailed | LoadRequest | ChannelzResponse | TrialRequest

TO_WORKER: Final[TypeAdapter[FromSupervisor]] = TypeAdapter(Annotated[FromSupervisor, Field(discriminator="kind")])
TO_SUPERVISOR: Final[TypeAdapter[FromWorker]] = TypeAdapter(Annotated[FromWorker, Field(discriminator="kind")])
