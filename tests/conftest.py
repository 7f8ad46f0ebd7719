"""Hypothesis: no time limit per example, since a busy machine is not a failing test."""

from hypothesis import settings

settings.register_profile("patient", settings(), deadline=None)
settings.load_profile("patient")
