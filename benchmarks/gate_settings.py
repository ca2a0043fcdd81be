"""The service's settings, with the bare views of `benchmarks.gate_server` beside its own."""

from config.settings import *  # noqa: F403

ROOT_URLCONF = "benchmarks.gate_server"
