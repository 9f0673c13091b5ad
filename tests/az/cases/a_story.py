"""The story of a user: everything is made by az, then samples go in through a sidecar and come out by PromQL."""

import json
import os
import subprocess
import time
import urllib.parse

import remote_write
from harness import MONITOR, PROMETHEUS, Failure, case

STREAM = "Microsoft-PrometheusMetrics"


def now_ms():
    return int(time.time() * 1000)


def query(t, url, token, expression):
    return t.send("GET", f"{url}/api/v1/query?{urllib.parse.urlencode({'query': expression})}", token=token)


def write(t, url, token, labels, value=1.0):
    body = remote_write.request([(labels, [(value, now_ms())])])
    return t.send("POST", url, body, remote_write.HEADERS, token)


def ingestion_url(endpoint, rule):
    """As the documentation of Azure puts it together."""
    host, immutable_id = endpoint["properties"]["metricsIngestion"]["endpoint"], rule["properties"]["immutableId"]
    return f"{host}/dataCollectionRules/{immutable_id}/streams/{STREAM}/api/v1/write?api-version=2023-04-24"


def pipeline(t, group, workspace, suffix=""):
    """A data collection endpoint and a rule to a workspace, put as the extension of az does."""
    base = f"{t.facts['service_tls']}{t.group_id(group)}/providers/Microsoft.Insights"
    put = lambda kind, body: t.az("rest", "--method", "put", "--url", f"{base}/{kind}/{t.name}{suffix}?api-version=2023-03-11", "--body",
                                  json.dumps(body))
    endpoint = put("dataCollectionEndpoints", {"location": "local", "properties": {"networkAcls": {"publicNetworkAccess": "Enabled"}}})
    rule = put("dataCollectionRules", {"location": "local", "properties": {
        "dataCollectionEndpointId": endpoint["id"],
        "destinations": {"monitoringAccounts": [{"accountResourceId": workspace["id"], "name": "ws"}]},
        "dataFlows": [{"streams": [STREAM], "destinations": ["ws"]}]}})
    return endpoint, rule


@case("workspace, endpoint, rule and roles by az; a sidecar writes; a reader reads and nobody else does")
def story(t):
    group = f"{t.name}-fleet"
    t.az("group", "create", "-n", group, "-l", "local")
    workspace = t.az("monitor", "account", "create", "-g", group, "-n", f"{t.name}-ws")
    endpoint, rule = pipeline(t, group, workspace)
    writer = t.az("ad", "sp", "create-for-rbac", "--name", f"{t.name}-writer", "--role", "Monitoring Metrics Publisher", "--scopes", rule["id"])
    reader = t.az("ad", "sp", "create-for-rbac", "--name", f"{t.name}-reader")
    t.az("role", "assignment", "create", "--assignee", reader["appId"], "--role", "Monitoring Data Reader", "--scope", workspace["id"])
    outsider = t.az("ad", "sp", "create-for-rbac", "--name", f"{t.name}-outsider")

    url = ingestion_url(endpoint, rule)
    token = lambda who, resource: t.remora.token(resource, who["appId"], who["password"])
    labels = {"__name__": "story_total", "job": "direct"}
    answer = write(t, url, token(writer, MONITOR), labels, 41.0)
    t.equal("a write with the role is taken", answer.status, 204)
    answer = write(t, url, token(reader, MONITOR), labels)
    t.equal("without it, it is not", (answer.status, answer.code), (403, "OperationFailed"))
    t.contains("which is said as Azure says it", answer.body.decode(), "does not have access to ingest data for the data collection rule")
    answer = write(t, url, token(writer, PROMETHEUS), labels)
    t.equal("a token for another resource is none", answer.status, 401)

    through_a_sidecar(t, url, writer)
    read = token(reader, PROMETHEUS)
    base = workspace["metrics"]["prometheusQueryEndpoint"]
    answer = query(t, base, read, "story_total")
    t.equal("the reader reads", answer.status, 200)
    found = {one["metric"]["job"]: one["value"][1] for one in answer.json["data"]["result"]}
    t.equal("both samples", found, {"direct": "41", "sidecar": "42"})
    for who in (writer, outsider):
        answer = query(t, base, token(who, PROMETHEUS), "story_total")
        t.equal("others may not read", (answer.status, answer.code), (403, "InsufficientAccessError"))
    default = f"{t.facts['service_tls']}/workspaces/default"
    t.equal("nor the reader elsewhere", query(t, default, read, "up").status, 403)

    t.az("role", "assignment", "delete", "--assignee", writer["appId"], "--scope", rule["id"])
    t.equal("a role that is taken away is gone at once", write(t, url, token(writer, MONITOR), labels).status, 403)
    t.az("role", "assignment", "delete", "--assignee", reader["appId"], "--scope", workspace["id"])
    t.equal("for reading, too", query(t, base, read, "story_total").status, 403)
    t.az("group", "delete", "-n", group, "--yes")
    answer = write(t, url, token(writer, MONITOR), labels)
    t.equal("without its rule nothing is taken", (answer.status, answer.code), (404, "NotFound"))
    t.true("a query finds no workspace", query(t, base, read, "story_total").status in (403, 404))


def through_a_sidecar(t, url, writer):
    """The sidecar with the environment that users give it; one sample through it."""
    directory = t.directory()
    environment = {
        "PATH": os.environ.get("PATH", ""),
        "INGESTION_URL": url,
        "LISTENING_PORT": "0",
        "REMORA_LISTEN_ADDRESS": "127.0.0.1",
        "IDENTITY_TYPE": "aadApplication",
        "AZURE_CLIENT_ID": writer["appId"],
        "AZURE_TENANT_ID": t.facts["tenant_id"],
        "AZURE_CLIENT_SECRET": writer["password"],
        "AZURE_AUTHORITY_HOST": t.facts["authority_tls"],
        "SSL_CERT_FILE": t.facts["ca_file"],
    }
    log = directory / "sidecar.log"
    with open(log, "wb") as output:
        process = subprocess.Popen([t.remora.program, "sidecar"], env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        address = t.eventually("the sidecar listens", 20, lambda: listening(process, log))
        body = remote_write.request([({"__name__": "story_total", "job": "sidecar"}, [(42.0, now_ms())])])

        def accepted():
            answer = t.send("POST", f"http://{address}/api/v1/write", body, remote_write.HEADERS)
            return answer.status in (200, 204)

        # Until its first token is there it asks senders to come again.
        t.eventually("the sidecar passes a sample on", 20, accepted)
    except Failure as failure:
        raise Failure(f"{failure}; the sidecar's log:\n{log.read_text(errors='replace')[-4000:]}") from None
    finally:
        process.terminate()
        process.wait(20)


def listening(process, log):
    """The address that it says it listens on."""
    if process.poll() is not None:
        raise Failure(f"it ended with {process.returncode}")
    for line in log.read_text(errors="replace").splitlines():
        for part in line.replace('"', " ").replace("=", " ").split():
            host, _, port = part.removeprefix("http://").rpartition(":")
            if host == "127.0.0.1" and port.isdigit() and "isten" in line:
                return f"{host}:{port}"
    return None


@case("a second endpoint and rule for the same workspace spread the load; a managed identity writes")
def second_rule(t):
    group = t.group()
    workspace = t.az("monitor", "account", "create", "-g", group, "-n", f"{t.name}-ws")
    identity = t.az("identity", "create", "-g", group, "-n", f"{t.name}-id")
    principal = identity["principalId"]
    token_url = f"{t.facts['imds']}/metadata/identity/oauth2/token?api-version=2018-02-01&resource={MONITOR}&client_id={identity['clientId']}"
    token = t.send("GET", token_url, headers={"Metadata": "true"}).json["access_token"]
    for number in (1, 2):
        endpoint, rule = pipeline(t, group, workspace, f"-{number}")
        t.az("role", "assignment", "create", "--assignee-object-id", principal, "--assignee-principal-type", "ServicePrincipal", "--role",
             "Monitoring Metrics Publisher", "--scope", rule["id"])
        answer = write(t, ingestion_url(endpoint, rule), token, {"__name__": "spread_total", "cluster": str(number)})
        t.equal(f"rule {number} takes samples", answer.status, 204)
    t.az("role", "assignment", "create", "--assignee", t.facts["application_id"], "--role", "Monitoring Data Reader", "--scope", workspace["id"])
    with open(t.facts["client_secret_file"], encoding="utf-8") as file:
        read = t.remora.token(PROMETHEUS, t.facts["application_id"], file.read().strip())
    answer = query(t, workspace["metrics"]["prometheusQueryEndpoint"], read, "sum(spread_total)")
    t.equal("one view of both", answer.json["data"]["result"][0]["value"][1], "2")
