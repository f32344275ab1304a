"""Energy of answers: measured, calibrated or estimated, and never without its source."""
