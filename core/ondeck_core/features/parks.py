"""Parks: how high they lie, and how far away the end of the outfield is in each direction.

The distances were read off public outlines of the stadiums in Statcast's hit coordinates (2.5 ft each), every five
degrees between the foul lines; they run along the outer border, some feet behind the wall. The parks that have no
outline stand with the distances that their clubs publish.
"""

import math
from functools import cache
from typing import Final

import numpy as np

from ondeck_core.categories import Park
from ondeck_core.features.categorical import Codes
from ondeck_core.features.grid import Column, Grid

# Park, its altitude in feet, then the distances in feet at spray angles of -45, -40 ... 45 degrees.
_TABLE: Final = """
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
_ANGLES: Final = Grid(low=-45.0, high=45.0, step=5.0)  # degrees


def altitude(park: Codes) -> Column:
    """Height above the sea: feet, NaN where the park is not known."""
    high: Column = _altitudes()[park]
    return high


def fence(park: Codes, spray_angle: Column) -> Column:
    """Distance to the end of the outfield in a direction: feet; NaN where the park or the direction is not known."""
    right, cell = _ANGLES.place(spray_angle)
    at = park * len(_ANGLES.points) + cell
    distance: Column = (1 - right) * _fences()[at] + right * _fences()[at + 1]
    return distance


@cache
def _altitudes() -> Column:
    return np.array([numbers[0] for numbers in _sites()])


@cache
def _fences() -> Column:
    """List the distances of one park after the other."""
    return np.array([numbers[1:] for numbers in _sites()]).ravel()


def _sites() -> list[list[float]]:
    """List altitude and distances by the number of the park; nothing is known of number 0."""
    lines = {name: numbers for name, *numbers in map(str.split, _TABLE.strip().splitlines())}
    unknown = [math.nan] * len(lines[Park.FENWAY_PARK.name])
    return [unknown, *([float(number) for number in lines[park.name]] for park in Park if park)]
