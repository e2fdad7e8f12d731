"""The ensemble: learners, preprocessing, calibration, prediction sets, parallel fits."""
