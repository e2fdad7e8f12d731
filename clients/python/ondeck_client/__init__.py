"""The Python client of Ondeck: typed responses, deadlines, retries of idempotent rpcs.

>>> from ondeck_client import BattedBall, Client, Side
>>> with Client("127.0.0.1:50051") as ondeck:
...     ball = BattedBall(launch_speed=108, launch_angle=27, spray_angle=0, stand=Side.SIDE_RIGHT)
...     prediction = ondeck.predict("batted_ball", ball)
"""

from ondeck.v1.error_reason_pb2 import ErrorReason
from ondeck.v1.instances_pb2 import (
    BattedBall,
    BattedBallColumns,
    InfieldAlignment,
    OutfieldAlignment,
    Park,
    Pitch,
    PitchColumns,
    PitchType,
    Side,
)
from ondeck.v1.model_service_pb2 import Model, ModelState
from ondeck.v1.player_service_pb2 import GetPlayerResponse, Player, PlayerId, PlayerName, PlayerResolution, Role
from ondeck.v1.prediction_service_pb2 import (
    BatchPredictResponse,
    Contribution,
    ExplainResponse,
    FieldViolation,
    PitchKey,
    PitchKeyColumns,
    Prediction,
    StreamAnswer,
)
from ondeck_client.aio import AsyncClient
from ondeck_client.channel_options import tls
from ondeck_client.client import Client
from ondeck_client.correlation import correlated
from ondeck_client.error_details import correlation_id_of, reason_of, retry_delay_of, violations_of
from ondeck_client.stream_retry import IncompleteStreamError, OutOfOrderError, StreamRetryPolicy

__all__ = [
    "AsyncClient",
    "BatchPredictResponse",
    "BattedBall",
    "BattedBallColumns",
    "Client",
    "Contribution",
    "ErrorReason",
    "ExplainResponse",
    "FieldViolation",
    "GetPlayerResponse",
    "IncompleteStreamError",
    "InfieldAlignment",
    "Model",
    "ModelState",
    "OutOfOrderError",
    "OutfieldAlignment",
    "Park",
    "Pitch",
    "PitchColumns",
    "PitchKey",
    "PitchKeyColumns",
    "PitchType",
    "Player",
    "PlayerId",
    "PlayerName",
    "PlayerResolution",
    "Prediction",
    "Role",
    "Side",
    "StreamAnswer",
    "StreamRetryPolicy",
    "correlated",
    "correlation_id_of",
    "reason_of",
    "retry_delay_of",
    "tls",
    "violations_of",
]
