"""`az rest` on endpoints and rules: what `az monitor data-collection` would do, and preconditions."""

import json

from harness import case

VERSION = "api-version=2023-03-11"
INSIGHTS = "providers/Microsoft.Insights"


@case("rest: an endpoint and a rule are put, read, patched, listed and deleted; stale etags are refused")
def endpoint_and_rule(t):
    group, base = t.group(), t.facts["service_tls"]
    workspace = t.az("monitor", "account", "create", "-g", group, "-n", f"{t.name}-ws", "--location", "local")
    endpoint = f"{base}{t.group_id(group)}/{INSIGHTS}/dataCollectionEndpoints/{t.name}-dce?{VERSION}"
    rule = f"{base}{t.group_id(group)}/{INSIGHTS}/dataCollectionRules/{t.name}-dcr?{VERSION}"

    def rest(method, url, body=None, *headers):
        words = ["rest", "--method", method, "--url", url, *(("--body", json.dumps(body)) if body is not None else ())]
        return [*words, *(("--headers", *headers) if headers else ())]

    made = t.az(*rest("put", endpoint, {"location": "local", "properties": {"networkAcls": {"publicNetworkAccess": "Enabled"}}}))
    t.true("its immutable id", made["properties"]["immutableId"].startswith("dce-"), made)
    t.equal("where metrics go", made["properties"]["metricsIngestion"]["endpoint"], base)
    definition = {
        "location": "local",
        "properties": {
            "description": "of a cluster",
            "dataCollectionEndpointId": made["id"],
            "dataSources": {},
            "destinations": {"monitoringAccounts": [{"accountResourceId": workspace["id"], "name": "ws"}]},
            "dataFlows": [{"streams": ["Microsoft-PrometheusMetrics"], "destinations": ["ws"]}],
        },
    }
    created = t.az(*rest("put", rule, definition))
    t.true("its immutable id", created["properties"]["immutableId"].startswith("dcr-"), created)
    t.equal("its state", created["properties"]["provisioningState"], "Succeeded")
    destination = created["properties"]["destinations"]["monitoringAccounts"][0]
    t.equal("the workspace's id is filled in", destination["accountId"], workspace["accountId"])

    tagged = t.az(*rest("patch", rule, {"tags": {"a": "b"}}, f"If-Match={created['etag']}"))
    t.equal("tags", tagged["tags"], {"a": "b"})
    t.equal("a patch of tags leaves the rest", tagged["properties"]["description"], "of a cluster")
    said = t.az.fails(*rest("patch", rule, {"tags": {"a": "c"}}, f"If-Match={created['etag']}"))
    t.contains("with a stale etag", said, "PreconditionFailed")
    definition["properties"]["description"] = "changed"
    t.contains("so for PUT", t.az.fails(*rest("put", rule, definition, f"If-Match={created['etag']}")), "PreconditionFailed")
    t.contains("and for what exists already", t.az.fails(*rest("put", rule, definition, "If-None-Match=*")), "PreconditionFailed")
    changed = t.az(*rest("put", rule, definition, f"If-Match={tagged['etag']}"))
    t.equal("with the right etag", changed["properties"]["description"], "changed")
    t.equal("the immutable id stays", changed["properties"]["immutableId"], created["properties"]["immutableId"])
    t.equal("read", t.az(*rest("get", rule))["etag"], changed["etag"])

    listed = t.az(*rest("get", rule.replace(f"/{t.name}-dcr", "")))
    t.equal("list", [one["name"] for one in listed["value"]], [f"{t.name}-dcr"])
    t.true("an endpoint in use stays", t.az.fails(*rest("delete", endpoint)).strip(), "it is deleted")
    t.contains("a stale etag keeps it", t.az.fails(*rest("delete", rule, None, f"If-Match={created['etag']}")), "PreconditionFailed")
    t.az(*rest("delete", rule, None, f"If-Match={changed['etag']}"))
    t.az(*rest("delete", endpoint))
    t.contains("gone", t.az.fails(*rest("get", rule)), "NotFound")
    t.az(*rest("delete", rule))


@case("rest: everything that is wrong with a rule is said at once")
def invalid_rule(t):
    group, base = t.group(), t.facts["service_tls"]
    rule = f"{base}{t.group_id(group)}/{INSIGHTS}/dataCollectionRules/{t.name}-dcr?{VERSION}"
    body = {
        "location": "local",
        "properties": {
            "dataCollectionEndpointId": f"{t.group_id(group)}/{INSIGHTS}/dataCollectionEndpoints/none",
            "destinations": {"monitoringAccounts": [{"accountResourceId": f"{t.group_id(group)}/providers/Microsoft.Monitor/accounts/none",
                                                     "name": "ws"}]},
            "dataFlows": [{"streams": ["Microsoft-PrometheusMetrics"], "destinations": ["other"]}],
        },
    }
    said = t.az.fails("rest", "--method", "put", "--url", rule, "--body", json.dumps(body))
    t.contains("each problem", said, "dataCollectionEndpoints/none", "accounts/none", "other")
    answer = t.arm("PUT", rule.removeprefix(base), body)
    t.equal("a 400 in Azure's envelope", (answer.status, bool(answer.code)), (400, True))
    details = answer.json["error"]["details"]
    t.true("with a target for each", len(details) >= 3 and all(one["target"] and one["message"] for one in details), answer)
