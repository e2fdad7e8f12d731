"""Settings of the trainers."""

from pathlib import Path

from pydantic import Field

from ondeck_store.settings import StoreSettings


class TrainerSettings(StoreSettings):
    """Where models go, and how they are fitted."""

    models: Path = Field(default=Path("onnx_models"), description="folder of the model repository")
    jobs: int = Field(default=2, ge=1, le=64, description="processes that fit members, one thread each")
    dask: str | None = Field(
        default=None, description="address of a Dask scheduler whose workers fit, as tcp://HOST:PORT"
    )
    seed: int = Field(default=20240320, ge=0, le=2**31 - 1, description="seed of everything that is drawn in training")
