"""The formulas against simulation, and the calibration of every estimator and test."""
