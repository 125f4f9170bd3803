"""deploy/kubernetes, rendered by kubectl, validated against the API's schemas, and held to what it promises."""

import copy
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.settings import Settings

_REPOSITORY = Path(__file__).parents[2]
_KUBERNETES = _REPOSITORY / "deploy/kubernetes"
_OVERLAYS = ["base", "overlays/one-node", "overlays/cluster", "kserve"]
# Custom resources, whose schemas are not Kubernetes' own.
_FOREIGN = {"ServiceMonitor", "PrometheusRule", "InferenceService"}

Document = dict[str, Any]


def test_prometheus_rule_is_up_to_date() -> None:
    """Kubernetes gets the same rules as Prometheus elsewhere; `make rules` writes them."""
    rule = yaml.safe_load((_KUBERNETES / "monitoring/prometheusrule.yaml").read_text())
    files = [_REPOSITORY / "deploy/prometheus/rules" / name for name in ("objectives.yml", "alerts.yml")]
    assert rule["spec"]["groups"] == [group for file in files for group in yaml.safe_load(file.read_text())["groups"]]


@pytest.mark.kubernetes
@pytest.mark.parametrize("overlay", _OVERLAYS)
def test_objects_are_of_the_api_s_schemas(overlay: str, tmp_path: Path) -> None:
    """Every object is valid, and has no member that the API does not know."""
    file = tmp_path / "rendered.yaml"
    file.write_text(yaml.safe_dump_all(document for document in _rendered(overlay) if document["kind"] not in _FOREIGN))
    done = subprocess.run(
        ["kubernetes-validate", "--strict", str(file)], capture_output=True, text=True, check=False, timeout=120
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "Couldn't find schema" not in said


@pytest.mark.kubernetes
@pytest.mark.parametrize("overlay", _OVERLAYS)
def test_pods_are_of_the_restricted_profile(overlay: str) -> None:
    """No pod is root, gains privileges, writes its root file system, has a token, or gets services' variables."""
    pods = list(_pods(overlay))
    assert pods
    for pod in pods:
        assert not pod["automountServiceAccountToken"]
        assert not pod["enableServiceLinks"]
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["runAsUser"] == 10001
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert {"requests", "limits"} == container["resources"].keys()


@pytest.mark.kubernetes
def test_namespace_enforces_the_restricted_profile() -> None:
    """The cluster refuses pods that do not conform to it."""
    labels = _only("base", "Namespace")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


@pytest.mark.kubernetes
def test_only_the_trainer_writes_the_model_store() -> None:
    """The service mounts the claim read-only, the trainer does not, and there is no other persistent volume."""
    writes = {
        container["name"]: not mount.get("readOnly", False)
        for pod in _pods("base")
        for container in pod["containers"]
        for mount in container["volumeMounts"]
        if mount["name"] == "model-store"
    }
    assert writes == {"service": False, "trainer": True}
    assert _only("base", "PersistentVolumeClaim")["spec"]["accessModes"] == ["ReadWriteMany"]


@pytest.mark.kubernetes
def test_a_replica_has_time_to_finish() -> None:
    """The hook, the drain, the last request and the killing of workers fit into the grace period of the kubelet."""
    pod = _only("base", "Deployment")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    environment = {entry["name"]: entry["value"] for entry in container["env"]}
    fields = {f"DIGITS_{name.upper()}": field.default for name, field in Settings.model_fields.items()}
    assert environment.keys() <= fields.keys()
    assert "time.sleep(5)" in container["lifecycle"]["preStop"]["exec"]["command"][-1]
    drain = float(environment["DIGITS_DRAIN_SECONDS"])
    assert pod["terminationGracePeriodSeconds"] >= 5 + drain + fields["DIGITS_REQUEST_TIMEOUT_SECONDS"] + 5


@pytest.mark.kubernetes
def test_probes_ask_what_they_are_for() -> None:
    """Only readiness depends on a version: a pod without one is not restarted for it."""
    (container,) = _only("base", "Deployment")["spec"]["template"]["spec"]["containers"]
    asked = {kind: container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "liveness", "readiness")}
    assert asked == {"startup": "/health/live", "liveness": "/health/live", "readiness": "/health/ready"}


@pytest.mark.kubernetes
@pytest.mark.parametrize("overlay", ["base", "overlays/one-node", "overlays/cluster"])
def test_what_refers_to_another_finds_it(overlay: str) -> None:
    """Selectors match the pods, the named ports and claims exist, and the autoscaler finds the Deployment."""
    deployment, service = _only(overlay, "Deployment"), _only(overlay, "Service")
    template = deployment["spec"]["template"]
    labels = template["metadata"]["labels"].items()
    assert deployment["spec"]["selector"]["matchLabels"].items() <= labels
    assert service["spec"]["selector"].items() <= labels
    assert _only(overlay, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"].items() <= labels
    for spread in template["spec"]["topologySpreadConstraints"]:
        assert spread["labelSelector"]["matchLabels"].items() <= labels
    ports = {port["name"] for port in template["spec"]["containers"][0]["ports"]}
    assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports
    target = _only(overlay, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", deployment["metadata"]["name"])
    claims = {
        volume["persistentVolumeClaim"]["claimName"]
        for pod in _pods(overlay)
        for volume in pod["volumes"]
        if "persistentVolumeClaim" in volume
    }
    assert claims == {_only(overlay, "PersistentVolumeClaim")["metadata"]["name"]}
    assert {document["metadata"].get("namespace", "digits") for document in _rendered(overlay)} == {"digits"}


@pytest.mark.kubernetes
def test_network_is_closed_but_for_what_is_needed() -> None:
    """All traffic is denied, except requests to the service and connections that the trainer opens."""
    policies = {document["metadata"]["name"]: document["spec"] for document in _of_kind("base", "NetworkPolicy")}
    assert policies["deny-all"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert "egress" not in policies["digits"]
    assert [port["port"] for rule in policies["digits"]["ingress"] for port in rule["ports"]] == ["http"]
    assert "ingress" not in policies["digits-trainer"]


@pytest.mark.kubernetes
def test_cluster_scales_by_the_queue_and_is_watched() -> None:
    """With monitoring the autoscaler looks at CPU and queue, and the monitor finds the service's port."""
    metrics = _only("overlays/cluster", "HorizontalPodAutoscaler")["spec"]["metrics"]
    assert [metric["type"] for metric in metrics] == ["Resource", "Pods"]
    queue = metrics[1]["pods"]["metric"]["name"]
    assert f"| `{queue}` | gauge |" in (_REPOSITORY / "docs/metrics.md").read_text()
    monitor, service = (_only("overlays/cluster", kind) for kind in ("ServiceMonitor", "Service"))
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert monitor["spec"]["endpoints"][0]["port"] in {port["name"] for port in service["spec"]["ports"]}
    # The operator takes the job's name from this label, and the rules select the job by that name.
    assert service["metadata"]["labels"][monitor["spec"]["jobLabel"]] == "digits"
    assert _of_kind("overlays/cluster", "PrometheusRule")


@pytest.mark.kubernetes
def test_kserve_runs_the_same_container() -> None:
    """The InferenceService has the Deployment's pod, from a registry, under the container name that KServe asks for."""
    (ours,) = (pod for pod in _pods("base") if pod["containers"][0]["name"] == "service")
    theirs = _only("kserve", "InferenceService")["spec"]["predictor"]
    assert theirs["containers"] == [
        ours["containers"][0] | {"name": "kserve-container", "image": "registry.example/digits-service:0.1.0"}
    ]
    same = ours.keys() - {"containers"}
    assert {key: theirs[key] for key in same} == {key: ours[key] for key in same}


@pytest.mark.kubernetes
def test_kserve_brings_all_that_its_replicas_need() -> None:
    """The one folder to apply leaves out the objects that KServe makes itself, and has all others of the base."""
    made_by_kserve = {("Deployment", "digits"), ("Service", "digits"), ("HorizontalPodAutoscaler", "digits")}
    base, kserve = (
        {(each["kind"], each["metadata"]["name"]) for each in _rendered(overlay)} for overlay in ("base", "kserve")
    )
    assert made_by_kserve <= base
    assert kserve == base - made_by_kserve | {("InferenceService", "digits")}
    predictor = _only("kserve", "InferenceService")["spec"]["predictor"]
    budget = _only("kserve", "PodDisruptionBudget")
    assert budget["spec"]["selector"]["matchLabels"].items() <= predictor["labels"].items()


@pytest.mark.kubernetes
def test_a_replica_that_is_not_ready_blocks_no_drain() -> None:
    """A node can be drained even while an empty store keeps all replicas from being ready."""
    assert _only("base", "PodDisruptionBudget")["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


@pytest.mark.kubernetes
def test_the_runbook_s_command_makes_a_job_that_pins(tmp_path: Path) -> None:
    """It makes the nightly Job with another command, and with requests small enough for a full node."""
    (nightly,) = (job for job in _of_kind("base", "CronJob") if job["metadata"]["name"] == "train")
    spec = nightly["spec"]["jobTemplate"]["spec"]
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "made", "namespace": "digits"}, "spec": spec}
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(job))
    # Plays the cluster: prints the Job made from the CronJob, and shows what is created in the end.
    stand_in = tmp_path / "kubectl"
    stand_in.write_text(_CLUSTER.format(made=tmp_path / "job.yaml", kubectl=shutil.which("kubectl")))
    stand_in.chmod(0o755)
    runbook = (_REPOSITORY / "docs/runbook.md").read_text()
    (command,) = re.findall(r"^\$ (kubectl .*?)^```", runbook, re.MULTILINE | re.DOTALL)
    path = f"{tmp_path}:{os.environ['PATH']}"
    made = subprocess.run(
        ["sh", "-c", command], env=os.environ | {"PATH": path}, capture_output=True, text=True, check=True, timeout=60
    ).stdout

    done = yaml.safe_load(made)
    (container,) = done["spec"]["template"]["spec"]["containers"]
    assert container.pop("command") == ["python", "-m", "trainer", "serve-version", "7"]
    assert container["resources"].pop("requests") == {"cpu": "100m", "memory": "256Mi"}
    (expected,) = copy.deepcopy(spec["template"]["spec"]["containers"])  # other tests use the rendering too
    del expected["resources"]["requests"]
    assert container == {key: value for key, value in expected.items() if key != "command"}
    (tmp_path / "made.yaml").write_text(made)
    subprocess.run(["kubernetes-validate", "--strict", str(tmp_path / "made.yaml")], check=True, timeout=120)


_CLUSTER = """#!/bin/sh
case "$*" in
  "-n digits create job store-"*" --from=cronjob/train --dry-run=client -o yaml") cat {made} ;;
  "create -f -") cat ;;
  *) exec {kubectl} "$@" ;;
esac
"""


@cache
def _rendered(overlay: str) -> tuple[Document, ...]:
    done = subprocess.run(
        ["kubectl", "kustomize", str(_KUBERNETES / overlay)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "deprecated" not in done.stderr
    return tuple(yaml.safe_load_all(done.stdout))


def _of_kind(overlay: str, kind: str) -> list[Document]:
    return [document for document in _rendered(overlay) if document["kind"] == kind]


def _only(overlay: str, kind: str) -> Document:
    (document,) = _of_kind(overlay, kind)
    return document


def _pods(overlay: str) -> Iterator[Document]:
    """The pod specification of each object that makes pods."""
    for document in _rendered(overlay):
        match document["kind"]:
            case "Deployment" | "Job":
                yield document["spec"]["template"]["spec"]
            case "CronJob":
                yield document["spec"]["jobTemplate"]["spec"]["template"]["spec"]
            case "InferenceService":
                yield document["spec"]["predictor"]
