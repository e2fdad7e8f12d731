"""Settings of the trainer."""

from pathlib import Path

from pydantic import Field

from ondeck_store.settings import StoreSettings


class TrainerSettings(StoreSettings):
    """Settings of `ondeck train`, `evaluate` and `recalibrate`, beside those of the database."""

    model_repository: Path = Field(default=Path("onnx_models"), description="folder of the model repository")
    training_workers: int = Field(
        default=2, ge=1, le=64, description="processes that fit ensemble members, one thread each"
    )
    dask_scheduler: str | None = Field(
        default=None, description="address of a Dask scheduler whose workers fit instead, as tcp://HOST:PORT"
    )
    train_metrics_folder: Path | None = Field(
        default=None, description="folder of node_exporter's textfile collector, for the metrics of each training run"
    )
    seed: int = Field(default=20240320, ge=0, le=2**31 - 1, description="random seed of a training run")
