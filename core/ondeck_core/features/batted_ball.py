"""Features of a batted ball: contact, direction, flight, park and defence, and the geometry that they need.

The distance at which the ball was fielded is not a feature, since the fielders influence it.
"""

import math
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray

from ondeck_core.categories import InfieldAlignment, OutfieldAlignment, Park
from ondeck_core.features.feature_set import (
    Codes,
    Column,
    Columns,
    Feature,
    FeatureSet,
    clip,
    code_or_nan,
    first_known,
    is_right,
    known_codes,
)
from ondeck_core.instances import BATTED_BALL

HOME_X: Final = 125.42  # hit coordinates of home plate
HOME_Y: Final = 198.27
_CARRY_GAIN_PER_FOOT: Final = 1.1e-5  # relative gain of distance per foot of altitude, from thinner air


def derive(ball: Columns) -> Columns:
    """Compute the features from the fields of `BattedBall`."""
    from_coordinates = spray_angle(ball["hc_x"], ball["hc_y"])
    spray = first_known(ball["spray_angle"], from_coordinates)
    return _contact(ball, spray) | _location(ball, spray) | _defence(ball)


def _contact(ball: Columns, spray: Column) -> Columns:
    angle, bats_right = np.radians(ball["launch_angle"]), is_right(ball["stand"])
    return {
        "launch_speed": ball["launch_speed"],
        "launch_angle": ball["launch_angle"],
        "spray_angle": spray,
        "pull_angle": (1 - 2 * bats_right) * spray,
        "off_centre": abs(spray),
        "rise_speed": ball["launch_speed"] * np.sin(angle),
        "ground_speed": ball["launch_speed"] * np.cos(angle),
        "bats_right": bats_right,
        "throws_right": is_right(ball["p_throws"]),
    }


def _location(ball: Columns, spray: Column) -> Columns:
    carry, hang = flight(ball["launch_speed"], ball["launch_angle"])
    park = known_codes(ball["park"], Park)
    feet, distance = altitude(park), fence_distance(park, spray)
    carry_here = carry * (1 + _CARRY_GAIN_PER_FOOT * feet)
    return {
        "carry": carry,
        "hang_time": hang,
        "carry_here": carry_here,
        "fence": distance,
        "beyond_fence": carry_here - distance,
        "altitude": feet,
    }


def _defence(ball: Columns) -> Columns:
    return {
        "infield": code_or_nan(ball["if_fielding_alignment"], InfieldAlignment),
        "outfield": code_or_nan(ball["of_fielding_alignment"], OutfieldAlignment),
        "outs": ball["outs_when_up"],
        "on_1b": ball["on_1b"],
        "on_2b": ball["on_2b"],
        "on_3b": ball["on_3b"],
    }


def spray_angle(hc_x: Column, hc_y: Column) -> Column:
    """Compute the direction of a batted ball: degrees, 0 is centre field, negative is left field."""
    return np.degrees(np.arctan2(hc_x - HOME_X, HOME_Y - hc_y))


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Evenly spaced points from `low` to `high`, for linear interpolation."""

    low: float
    high: float
    step: float

    @property
    def points(self) -> Column:
        """All points, both ends included."""
        return np.arange(self.low, self.high + self.step / 2, self.step)

    @cached_property
    def cells(self) -> int:
        """Number of intervals between the points."""
        return round((self.high - self.low) / self.step)

    def locate(self, value: Column) -> tuple[Column, NDArray[np.intp]]:
        """Return the position of a value within its cell (0 to 1, NaN if missing) and the cell's number.

        A value beyond an end is clipped to the end.
        """
        position = (clip(value, self.low, self.high) - self.low) / self.step
        last = self.cells - 1  # also the cell of NaN, with the position NaN
        if not value.ndim:
            cell = cast("NDArray[np.intp]", np.intp(min(last, float(position))))
            return position - cell, cell
        cells = np.fmin(position, last).astype(np.intp)
        return position - cells, cells


_SPEEDS: Final = Grid(low=0.0, high=130.0, step=2.0)  # mph
_ANGLES: Final = Grid(low=-90.0, high=90.0, step=2.0)  # degrees
_MPH: Final = 1.46667  # ft/s
_GRAVITY: Final = 32.17  # ft/s2
_DRAG: Final = 0.00195  # 1/ft
_LIFT: Final = 0.00045  # 1/ft
_CONTACT_HEIGHT: Final = 3.0  # ft
_TIME_STEP: Final = 0.02  # s
_MAX_SECONDS: Final = 8.0  # s


def flight(launch_speed: Column, launch_angle: Column) -> tuple[Column, Column]:
    """Compute the carry (ft) and the hang time (s) of a batted ball at sea level; NaN where an input is missing.

    The trajectory is that of a point mass with drag and the lift of average backspin. It is integrated once for a grid
    of exit velocities and launch angles and interpolated between the grid points.
    """
    faster, speed = _SPEEDS.locate(launch_speed)
    higher, angle = _ANGLES.locate(launch_angle)
    slower, lower = 1 - faster, 1 - higher
    carry, hang = (
        slower * (lower * slow_low + higher * slow_high) + faster * (lower * fast_low + higher * fast_high)
        for slow_low, slow_high, fast_low, fast_high in _cells().take(speed * _ANGLES.cells + angle, axis=-1)
    )
    return carry, hang


@cache
def _cells() -> Column:
    """Carry and hang time at the four corners of each cell: shape (2, 4, cells), cells ordered by speed, then angle."""
    corners = [[table[:-1, :-1], table[:-1, 1:], table[1:, :-1], table[1:, 1:]] for table in _integrate_flight()]
    return np.array(corners).reshape(2, 4, -1)


def _integrate_flight() -> tuple[Column, Column]:
    speed, angle = np.meshgrid(_SPEEDS.points * _MPH, np.radians(_ANGLES.points), indexing="ij")
    along, up = speed * np.cos(angle), speed * np.sin(angle)
    distance, height = np.zeros_like(along), np.full_like(along, _CONTACT_HEIGHT)
    carry, hang = np.zeros_like(along), np.zeros_like(along)
    flying = np.ones(along.shape, dtype=np.bool_)
    for step in range(1, int(_MAX_SECONDS / _TIME_STEP) + 1):
        total = np.hypot(along, up)
        distance, height = distance + _TIME_STEP * along, height + _TIME_STEP * up
        along, up = (
            along - _TIME_STEP * total * (_DRAG * along + _LIFT * up),
            up - _TIME_STEP * (_GRAVITY + total * (_DRAG * up - _LIFT * along)),
        )
        landed = flying & (height <= 0)
        carry[landed], hang[landed] = distance[landed], step * _TIME_STEP
        flying &= ~landed
    carry[flying], hang[flying] = distance[flying], _MAX_SECONDS
    return carry, hang


# Park, altitude in feet, then the distance to the fence in feet at spray angles of -45, -40 ... 45 degrees. Distances
# are measured on public stadium outlines in Statcast hit coordinates (2.5 ft each), along the outer border, some feet
# behind the wall. Parks without an outline have the distances that their clubs publish.
_PARK_TABLE: Final = """
ANGEL_STADIUM             160  352 368 374 382 393 393 392 394 398 406 401 387 378 372 369 368 370 366 348
CHASE_FIELD              1086  344 361 360 365 373 385 400 401 405 405 404 401 399 383 372 364 359 358 347
TRUIST_PARK               997  343 355 371 381 385 388 391 397 404 403 404 395 386 380 371 356 345 336 329
CAMDEN_YARDS               33  342 356 361 361 365 371 381 394 410 403 395 391 389 389 370 352 339 329 323
FENWAY_PARK                20  311 313 317 323 332 344 360 381 381 389 400 415 385 379 376 377 380 382 330
WRIGLEY_FIELD             600  354 352 354 351 350 355 363 374 388 400 404 402 393 380 366 356 362 361 356
RATE_FIELD                596  337 343 351 358 368 380 389 396 406 405 407 397 391 382 370 358 349 344 341
GREAT_AMERICAN_BALL_PARK  490  335 342 346 353 363 376 391 394 400 408 400 390 380 371 362 354 345 338 331
PROGRESSIVE_FIELD         653  332 342 355 359 363 369 379 392 410 404 393 385 380 378 378 362 349 339 332
COORS_FIELD              5190  350 354 361 371 385 403 419 415 413 415 419 412 394 380 370 363 359 357 357
COMERICA_PARK             600  349 350 354 361 371 384 402 425 427 427 430 434 413 394 366 356 349 345 342
DAIKIN_PARK                45  320 321 324 330 343 369 382 398 412 418 420 416 398 376 366 353 343 336 332
KAUFFMAN_STADIUM          886  351 369 374 381 389 399 406 411 413 414 413 410 405 397 389 380 373 367 348
DODGER_STADIUM            522  342 362 370 371 374 379 384 390 396 398 396 390 383 378 373 370 369 361 341
LOANDEPOT_PARK             10  345 353 361 369 376 383 393 400 423 420 415 410 402 392 377 362 351 344 339
AMERICAN_FAMILY_FIELD     597  350 362 366 373 371 372 376 390 402 400 402 386 378 375 369 352 345 343 343
TARGET_FIELD              827  342 345 351 360 373 381 389 401 408 404 403 391 378 369 361 340 334 331 329
CITI_FIELD                 10  347 359 360 362 365 371 381 396 415 415 412 396 384 375 375 376 362 348 336
YANKEE_STADIUM             55  340 359 371 378 389 403 415 423 426 425 419 408 391 374 360 350 343 339 330
OAKLAND_COLISEUM            3  338 351 367 368 366 370 380 391 402 401 400 390 378 368 362 365 366 349 336
CITIZENS_BANK_PARK         20  339 341 345 352 362 375 391 395 412 407 404 404 386 369 356 346 339 335 334
PNC_PARK                  743  337 363 376 380 387 398 405 395 396 399 395 392 386 380 372 355 342 332 326
PETCO_PARK                 23  341 345 349 355 365 379 390 395 395 396 398 399 396 384 371 360 353 346 324
ORACLE_PARK                 0  349 355 356 360 367 378 392 407 403 402 403 408 416 421 384 367 347 329 315
T_MOBILE_PARK              20  342 345 350 359 371 380 389 394 403 403 394 388 385 383 365 352 342 335 330
BUSCH_STADIUM             460  351 356 360 367 377 390 393 396 401 401 401 395 392 389 376 366 359 355 345
TROPICANA_FIELD            44  333 350 354 361 371 385 402 418 414 411 411 410 391 373 360 350 343 340 335
GLOBE_LIFE_FIELD          545  344 360 364 372 382 395 399 405 406 405 406 411 395 381 375 365 358 354 339
ROGERS_CENTRE             247  336 343 353 366 381 389 400 405 405 405 405 405 398 387 379 363 350 340 334
NATIONALS_PARK              7  344 352 364 373 374 378 384 386 399 404 390 380 373 369 368 370 364 350 340
SUTTER_HEALTH_PARK         26  340 350 360 370 380 388 394 401 407 413 407 401 394 388 379 368 357 346 335
STEINBRENNER_FIELD         40  340 359 371 378 389 403 415 423 426 425 419 408 391 374 360 350 343 339 330
"""
_FENCE_ANGLES: Final = Grid(low=-45.0, high=45.0, step=5.0)  # degrees


def altitude(park: Codes) -> Column:
    """Return the altitude of a park: feet, NaN if unknown."""
    feet: Column = _altitudes()[park]
    return feet


def fence_distance(park: Codes, spray_angle: Column) -> Column:
    """Return the distance to the fence in a direction: feet, NaN if the park or the direction is unknown."""
    fraction, cell = _FENCE_ANGLES.locate(spray_angle)
    at = park * len(_FENCE_ANGLES.points) + cell
    distance: Column = (1 - fraction) * _fences()[at] + fraction * _fences()[at + 1]
    return distance


@cache
def _altitudes() -> Column:
    return np.array([numbers[0] for numbers in _park_rows()])


@cache
def _fences() -> Column:
    """Return the distances of all parks, one park after the other."""
    return np.array([numbers[1:] for numbers in _park_rows()]).ravel()


def _park_rows() -> list[list[float]]:
    """Return the altitude and the distances of each park, by its code; code 0 is NaN."""
    lines = {name: numbers for name, *numbers in map(str.split, _PARK_TABLE.strip().splitlines())}
    unknown = [math.nan] * len(lines[Park.FENWAY_PARK.name])
    return [unknown, *([float(number) for number in lines[park.name]] for park in Park if park)]


def _feature(name: str, unit: str, description: str) -> Feature:
    return Feature(name=name, unit=unit, description=description)


BATTED_BALL_FEATURES: Final = FeatureSet(
    name="batted_ball/2",
    instance=BATTED_BALL,
    features=(
        _feature("launch_speed", "mph", "exit velocity, Statcast launch_speed"),
        _feature("launch_angle", "degrees", "vertical angle, Statcast launch_angle"),
        _feature("spray_angle", "degrees", "direction, negative to left field; as given, or of hc_x and hc_y"),
        _feature("pull_angle", "degrees", "spray_angle turned so that positive is the batter's pull side, by stand"),
        _feature("off_centre", "degrees", "spray_angle without its sign"),
        _feature("rise_speed", "mph", "launch_speed * sin(launch_angle)"),
        _feature("ground_speed", "mph", "launch_speed * cos(launch_angle)"),
        _feature("bats_right", "", "1 bats right, 0 bats left, Statcast stand"),
        _feature("throws_right", "", "1 throws right, 0 throws left, Statcast p_throws"),
        _feature("carry", "ft", "distance until it comes down at sea level, of launch_speed and launch_angle alone"),
        _feature("hang_time", "s", "time until it comes down at sea level, of launch_speed and launch_angle alone"),
        _feature("carry_here", "ft", "carry, further where the park lies high"),
        _feature("fence", "ft", "distance to the end of the outfield in this direction, by park"),
        _feature("beyond_fence", "ft", "carry_here - fence"),
        _feature("altitude", "ft", "height of the park above the sea"),
        _feature("infield", "", "Statcast if_fielding_alignment: 1 standard, 2 strategic, 3 shade, 4 shift"),
        _feature("outfield", "", "Statcast of_fielding_alignment: 1 standard, 2 strategic, 3 a fourth outfielder"),
        _feature("outs", "", "outs before the pitch, Statcast outs_when_up"),
        _feature("on_1b", "", "1 where a runner is on first base, Statcast on_1b"),
        _feature("on_2b", "", "1 where a runner is on second base, Statcast on_2b"),
        _feature("on_3b", "", "1 where a runner is on third base, Statcast on_3b"),
    ),
    derive=derive,
)
