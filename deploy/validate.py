"""Checks deploy/kubernetes and deploy/helm against the schemas of Kubernetes; started by deploy/validate."""

import copy
import sys
from pathlib import Path

import kubernetes_validate
import yaml

HERE = Path(__file__).parent
# Kinds that are defined by what is installed in a cluster: there is no schema for them.
CUSTOM = {"SecretProviderClass"}
KINDS = {"aad-application", "pod-identity", "system-assigned", "user-assigned", "workload-identity"}


def pods():
    """The manifests of each file, and for Helm values a pod of what they add to Prometheus', by name."""
    for path in sorted((HERE / "kubernetes").glob("*.yaml")):
        for number, manifest in enumerate(yaml.safe_load_all(path.read_text()), 1):
            yield f"{path.relative_to(HERE)} {number}", manifest
    for path in sorted((HERE / "helm").glob("*.yaml")):
        values = yaml.safe_load(path.read_text())["prometheus"]
        spec = values["prometheusSpec"]
        yield f"{path.relative_to(HERE)}", {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "prometheus", **spec.get("podMetadata", {})},
            "spec": {"containers": spec["containers"], "volumes": spec["volumes"]},
        }
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "prometheus", **values.get("serviceAccount", {})}}
        yield f"{path.relative_to(HERE)} service account", account


def sidecar_of(manifest):
    """The sidecar's container in a pod or stateful set, and the names of the volumes beside it."""
    spec = manifest["spec"]
    claims = [claim["metadata"]["name"] for claim in spec.get("volumeClaimTemplates", [])]
    spec = spec.get("template", {}).get("spec", spec)
    found = [container for container in spec.get("containers", []) if container["name"] == "remora-sidecar"]
    return found, claims + [volume["name"] for volume in spec.get("volumes", [])]


def complaints(name, container, volumes):
    """What no schema knows but everyone who runs it wants."""
    security = container["securityContext"]
    wanted = {
        "runs as user 65532": security["runAsNonRoot"] and security["runAsUser"] == 65532,
        "root file system is read-only": security["readOnlyRootFilesystem"],
        "no privilege escalation": not security["allowPrivilegeEscalation"],
        "no capabilities": security["capabilities"]["drop"] == ["ALL"],
        "default seccomp profile": security["seccompProfile"]["type"] == "RuntimeDefault",
        "memory is bounded": "memory" in container["resources"]["limits"],
        "resources are asked for": {"cpu", "memory"} <= set(container["resources"]["requests"]),
        "liveness is /health": container["livenessProbe"]["httpGet"] == {"path": "/health", "port": "rw-port"},
        "readiness is /ready": container["readinessProbe"]["httpGet"] == {"path": "/ready", "port": "rw-port"},
        "the port has the name that probes use": container["ports"] == [{"name": "rw-port", "containerPort": 8081}],
        "every mount has its volume": all(mount["name"] in volumes for mount in container["volumeMounts"]),
        "the queue is on a volume": queue_is_mounted(container),
    }
    return [f"{name}: not so: {what}" for what, holds in wanted.items() if not holds]


def queue_is_mounted(container):
    directory = next((entry["value"] for entry in container["env"] if entry["name"] == "REMORA_QUEUE_DIR"), None)
    return any(mount["mountPath"] == directory and not mount.get("readOnly") for mount in container["volumeMounts"])


def wrong_is_seen(version, good):
    """The check itself is checked: one misspelt field must not get through."""
    bad = copy.deepcopy(good)
    container = (bad["spec"].get("template", bad)["spec"])["containers"][0]
    container["readinesProbe"] = container.pop("readinessProbe")
    try:
        kubernetes_validate.validate(bad, version, strict=True)
    except kubernetes_validate.ValidationError:
        return True
    return False


def main():
    versions = sys.argv[1:] or ["1.30", "1.37"]
    wrong, checked, sidecars = [], 0, {}
    for name, manifest in pods():
        if manifest["kind"] in CUSTOM:
            continue
        for version in versions:
            try:
                kubernetes_validate.validate(manifest, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                wrong.append(f"{name} ({version}): {'.'.join(map(str, error.path))}: {error.message}")
        checked += 1
        if manifest["kind"] in ("Pod", "StatefulSet"):
            found, volumes = sidecar_of(manifest)
            if len(found) != 1:
                wrong.append(f"{name}: {len(found)} containers of the sidecar")
                continue
            wrong += complaints(name, found[0], volumes)
            folder, file = name.split()[0].split("/")
            sidecars.setdefault(file.removesuffix(".yaml"), {})[folder] = found[0]
            if not all(wrong_is_seen(version, manifest) for version in versions):
                wrong.append(f"{name}: a misspelt field is not seen")
    if set(sidecars) != KINDS:
        wrong.append(f"kinds of identity: {sorted(sidecars)} instead of {sorted(KINDS)}")
    for kind, containers in sidecars.items():
        if containers.get("helm") != containers.get("kubernetes"):
            wrong.append(f"{kind}: the containers in deploy/helm and deploy/kubernetes differ")
    for line in wrong:
        print(line, file=sys.stderr)
    print(f"{checked} manifests against Kubernetes {' and '.join(versions)}: {len(wrong)} mistakes")
    sys.exit(bool(wrong))


main()
