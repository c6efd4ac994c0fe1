"""The manifest for Kubernetes is YAML, calls the binary with flags that it has, and agrees with itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter import run

PACKAGING = Path(__file__).resolve().parents[2] / "packaging"
HOUR = 3600
LEASE = 600


@pytest.fixture(scope="module")
def cronjob() -> dict[str, Any]:
    """The only document of the file."""
    (document,) = yaml.safe_load_all((PACKAGING / "cronjob.yaml").read_text())
    assert (document["apiVersion"], document["kind"]) == ("batch/v1", "CronJob")
    return dict(document)


def test_runs_are_kept_apart_and_end_in_good_order(cronjob: dict[str, Any]) -> None:
    """By themselves, before they are ended."""
    job = cronjob["spec"]["jobTemplate"]["spec"]
    (container,) = job["template"]["spec"]["containers"]
    assert cronjob["spec"]["concurrencyPolicy"] == "Forbid"
    longest = container["args"][container["args"].index("--max-duration") + 1]
    assert longest.endswith("h")
    assert int(longest[:-1]) * HOUR < job["activeDeadlineSeconds"]
    pauses = [min(10 * 2**tried, 360) for tried in range(job["backoffLimit"])]
    assert sum(pauses) > LEASE, "the claim of a killed pod outlasts every try"
    hopeless, moved = job["podFailurePolicy"]["rules"]
    assert (hopeless["action"], hopeless["onExitCodes"]["values"]) == ("FailJob", [2, 3, 4, 8, 9])
    assert hopeless["onExitCodes"]["containerName"] == container["name"]
    assert moved["action"] == "Ignore"
    assert job["template"]["spec"]["restartPolicy"] == "Never", "a policy for failures asks for it"


def test_the_key_is_a_secret_and_the_rest_is_none(cronjob: dict[str, Any]) -> None:
    """And every volume that is mounted exists."""
    pod = cronjob["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    (key,) = container["env"]
    assert (key["name"], set(key["valueFrom"])) == ("CIO_TOKEN", {"secretKeyRef"})
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert volumes["config"]["configMap"]["name"] == "cio2parquet"
    assert {mount["name"] for mount in container["volumeMounts"]} == set(volumes)
    assert pod["securityContext"]["runAsNonRoot"]
    assert container["securityContext"]["readOnlyRootFilesystem"]


def test_the_binary_has_the_flags(cronjob: dict[str, Any], binary: Path) -> None:
    """As its help shows them."""
    (container,) = cronjob["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    verb, *rest = container["args"]
    shown = run(binary, verb, "--help").expect(0).stdout
    flags = [word for word in rest if word.startswith("--")]
    assert flags
    assert [flag for flag in flags if flag not in shown] == []
