"""Measurements for tests: a run of two configurations that went well."""

from typing import Any

from bench.measurement import YARDSTICK, Measurement

CPU = {"client": 0.5, "postgres": 0.1, "redis": 0.1, "tigerbeetle": 0.2, "sequencer": 0.1}


def measurement(phase: str = "purchase", workers: int = 1, **changes: Any) -> Measurement:
    fields: dict[str, Any] = {
        "timestamp": "2026-01-02T03:04:05+00:00",
        "machine": "2 cores, a processor, Linux 6.1",
        "git_revision": "0123456789",
        "config": f"workers-{workers}",
        "ledger": "tigerbeetle",
        "workers": workers,
        "concurrency": 60,
        "phase": phase,
        "total": 1000,
        "ok": 990,
        "errors": 10,
        "throughput": 495.0,
        "p50_ms": 12.5,
        "p99_ms": 25.125,
        "average_batch": 31.5,
        "cpu_seconds": CPU | {f"worker-{n}": 0.25 for n in range(1, workers + 1)},
        "stage_ms": {"ledger": 2.5, "session": 0.75},
    }
    return Measurement(**(fields | changes))


def failed(phase: str = "purchase", workers: int = 1, **changes: Any) -> Measurement:
    nothing: dict[str, Any] = {"total": 0, "ok": 0, "errors": 0, "cpu_seconds": {}, "stage_ms": {}}
    nothing |= dict.fromkeys(("throughput", "p50_ms", "p99_ms", "average_batch"))
    return measurement(phase, workers, **{"failure": "It broke.", **nothing, **changes})


def whole_run() -> list[Measurement]:
    return [
        measurement(phase, workers, concurrency=concurrency, throughput=rate * workers)
        for workers in (1, 2)
        for concurrency in (10, 60, 200)
        for phase, rate in ((YARDSTICK, 10_000.0), ("checkout", 2_000.0), ("purchase", 700.0))
    ]
