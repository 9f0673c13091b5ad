"""Azure's own Python libraries, with a ClientSecretCredential: each script runs under az's Python, which has them."""

import json
import os
import subprocess
from pathlib import Path

from harness import case

PRELUDE = """
import json, os, sys
from azure.identity import ClientSecretCredential
said = json.load(sys.stdin)
credential = ClientSecretCredential(said["tenant"], said["client"], said["secret"], authority=said["authority"], disable_instance_discovery=True)
arm = {"base_url": said["service"], "credential_scopes": ["https://management.azure.com/.default"]}
"""

MONITOR = PRELUDE + """
from azure.mgmt.monitor import MonitorManagementClient
from azure.mgmt.monitor import models
from azure.mgmt.resource.resources import ResourceManagementClient
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

groups = ResourceManagementClient(credential, said["subscription"], **arm).resource_groups
monitor = MonitorManagementClient(credential, said["subscription"], **arm)
group, name = said["group"], said["name"]
assert groups.check_existence(group) and not groups.check_existence(group + "-none")
workspace = monitor.azure_monitor_workspaces.create(group, name, {"location": "local", "tags": {"a": "b"}})
assert workspace.provisioning_state == "Succeeded", workspace
assert workspace.metrics.prometheus_query_endpoint.startswith(said["service"]), workspace.metrics
assert [one.name for one in monitor.azure_monitor_workspaces.list_by_resource_group(group)] == [name]
assert name in [one.name for one in monitor.azure_monitor_workspaces.list_by_subscription()]
endpoint = monitor.data_collection_endpoints.create(group, name, models.DataCollectionEndpointResource(
    location="local", network_acls=models.DataCollectionEndpointNetworkAcls(public_network_access="Enabled")))
assert endpoint.immutable_id.startswith("dce-") and endpoint.metrics_ingestion.endpoint.startswith("https://"), endpoint
rule = monitor.data_collection_rules.create(group, name, models.DataCollectionRuleResource(
    location="local", data_collection_endpoint_id=endpoint.id,
    destinations=models.DataCollectionRuleDestinations(
        monitoring_accounts=[models.MonitoringAccountDestination(account_resource_id=workspace.id, name="ws")]),
    data_flows=[models.DataFlow(streams=["Microsoft-PrometheusMetrics"], destinations=["ws"])]))
assert rule.immutable_id.startswith("dcr-"), rule
assert rule.destinations.monitoring_accounts[0].account_id == workspace.account_id, rule.destinations
assert monitor.data_collection_rules.get(group, name).etag == rule.etag
updated = monitor.data_collection_rules.update(group, name, models.ResourceForUpdate(tags={"c": "d"}))
assert updated.tags == {"c": "d"} and updated.immutable_id == rule.immutable_id, updated
assert [one.name for one in monitor.data_collection_rules.list_by_resource_group(group)] == [name]
metrics = monitor.metrics.list(workspace.id, metricnames="ActiveTimeSeriesLimit", aggregation="Maximum", interval="PT1M")
assert metrics.value[0].name.value == "ActiveTimeSeriesLimit", metrics
assert "EventsDropped" in [one.name.value for one in monitor.metric_definitions.list(workspace.id)]
monitor.data_collection_rules.delete(group, name)
monitor.data_collection_endpoints.delete(group, name)
try:
    monitor.data_collection_rules.get(group, name)
    sys.exit("a deleted rule is found")
except ResourceNotFoundError as error:
    assert error.error.code, error
try:
    monitor.azure_monitor_workspaces.create(group, "-wrong-", {"location": "local"})
    sys.exit("a wrong name is taken")
except HttpResponseError as error:
    assert error.status_code == 400 and error.error.code, error
monitor.azure_monitor_workspaces.delete(group, name) if hasattr(monitor.azure_monitor_workspaces, "delete") \\
    else monitor.azure_monitor_workspaces.begin_delete(group, name).result()
assert [one.name for one in monitor.azure_monitor_workspaces.list_by_resource_group(group)] == []
"""

ROLES = PRELUDE + """
import uuid
from azure.mgmt.authorization import AuthorizationManagementClient
from azure.mgmt.msi import ManagedServiceIdentityClient

identities = ManagedServiceIdentityClient(credential, said["subscription"], **arm)
made = identities.user_assigned_identities.create_or_update(said["group"], said["name"], {"location": "local"})
authorization = AuthorizationManagementClient(credential, said["subscription"], **arm)
scope = f"/subscriptions/{said['subscription']}/resourceGroups/{said['group']}"
(role,) = authorization.role_definitions.list(scope, filter="roleName eq 'Monitoring Data Reader'")
name = str(uuid.uuid4())
body = {"properties": {"roleDefinitionId": role.id, "principalId": made.principal_id, "principalType": "ServicePrincipal"}}
assignment = authorization.role_assignments.create(scope, name, body)
assert assignment.name == name, assignment
listed = [one.name for one in authorization.role_assignments.list_for_scope(scope, filter="atScope()")]
assert name in listed, listed
authorization.role_assignments.delete(scope, name)
identities.user_assigned_identities.delete(said["group"], said["name"])
"""

QUERY = PRELUDE + """
from azure.monitor.query import MetricsQueryClient

client = MetricsQueryClient(credential, endpoint=said["service"], audience="https://management.azure.com")
answer = client.query_resource(said["workspace"], metric_names=["ActiveTimeSeries", "EventsPerMinuteIngested"], aggregations=["Maximum"])
assert {one.name for one in answer.metrics} == {"ActiveTimeSeries", "EventsPerMinuteIngested"}, answer.metrics
assert "EventsDropped" in [one.name for one in client.list_metric_definitions(said["workspace"])]
"""


def run(t, script, **more):
    """Runs a script with what it needs on its standard input, where no list of processes shows it."""
    python = Path(t.suite.az_program).parent / "python3"
    said = {
        "tenant": t.facts["tenant_id"], "client": t.facts["admin_client_id"], "secret": t.remora.admin_secret(),
        "authority": t.facts["authority_tls"], "service": t.facts["service_tls"], "subscription": t.subscription, "name": f"{t.name}-sdk", **more,
    }
    environment = {**os.environ, "REQUESTS_CA_BUNDLE": t.facts["ca_file"], "SSL_CERT_FILE": t.facts["ca_file"], "NO_PROXY": "127.0.0.1,localhost"}
    # azure-identity lies apart. Not through PYTHONPATH, by which az's Python may find its own libraries.
    script = f"import sys; sys.path.append({str(t.suite.sdk)!r})\n{script}"
    done = subprocess.run([python, "-c", script], input=json.dumps(said), env=environment, capture_output=True, text=True, timeout=180)
    t.calls.append(f"$ python [{done.returncode}]\n{done.stdout}{done.stderr[-4000:]}")
    t.equal("the script's end", done.returncode, 0)


@case("azure-identity and azure-mgmt-monitor: workspaces, endpoints, rules, metrics")
def monitor(t):
    run(t, MONITOR, group=t.group())


@case("azure-mgmt-authorization and azure-mgmt-msi: identities and roles")
def roles(t):
    run(t, ROLES, group=t.group())


@case("azure-monitor-query: metrics")
def query(t):
    group = t.group()
    made = t.arm("PUT", f"{t.group_id(group)}/providers/Microsoft.Monitor/accounts/{t.name}-ws?api-version=2023-04-03", {"location": "local"})
    run(t, QUERY, workspace=made.json["id"])
