"""A graph, opened: float32 features in, probabilities and what each member says out, one thread."""

from typing import Final

import onnxruntime as ort

from ondeck_core.errors import ArtifactRefusedError
from ondeck_core.instances import Matrix
from ondeck_core.manifest import INPUT, MEMBERS, MODEL_FILE, OUTPUT

_ERRORS_ONLY: Final = 3
_BOTH: Final = [OUTPUT, MEMBERS]


class Session:
    """One ONNX Runtime session on one thread; the operating system has the other cores for other processes."""

    def __init__(self, graph: bytes, features: int, outcomes: int) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = _ERRORS_ONLY
        try:
            self._session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        except Exception as broken:
            raise ArtifactRefusedError(f"{MODEL_FILE} is not a graph that can be run: {broken}") from broken
        _expect(self._session.get_inputs(), {INPUT: features})
        _expect(self._session.get_outputs(), {OUTPUT: outcomes, MEMBERS: outcomes})

    def run(self, features: Matrix) -> tuple[Matrix, Matrix]:
        """Turn features (n, features) into probabilities (n, outcomes) and those of members (n, members, outcomes)."""
        probabilities, members = self._session.run(_BOTH, {INPUT: features})
        return probabilities, members


def _expect(ends: list[ort.NodeArg], widths: dict[str, int]) -> None:
    found = {end.name: (end.type, end.shape[-1]) for end in ends}
    wanted = {name: ("tensor(float)", width) for name, width in widths.items()}
    if found != wanted:
        raise ArtifactRefusedError(f"the graph should have {wanted} alone, has {found}")
