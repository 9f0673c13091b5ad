"""Workspaces, resource groups, generic resources, providers."""

import json

from harness import case

TYPE = "Microsoft.Monitor/accounts"


@case("monitor account: create, show, list, update, delete")
def account(t):
    group, name = t.group(), f"{t.name}-ws"
    created = t.az("monitor", "account", "create", "-g", group, "-n", name)
    t.equal("its name", created["name"], name)
    t.equal("without --location it is where its group is", created["location"], "local")
    t.equal("its state", created["provisioningState"], "Succeeded")
    t.equal("its type", created["type"], TYPE)
    t.same_id("its id", created["id"], f"{t.group_id(group)}/providers/{TYPE}/{name}")
    t.equal("internalId goes with accountId", created["metrics"]["internalId"], f"mac_{created['accountId']}")
    query = created["metrics"]["prometheusQueryEndpoint"]
    t.true("it has a query endpoint here", query.startswith(t.facts["service_tls"] + "/workspaces/"), query)
    ingestion = created["defaultIngestionSettings"]
    managed = f"/resourcegroups/ma_{name}_local_managed/"
    for key, kind in (("dataCollectionRuleResourceId", "dataCollectionRules"), ("dataCollectionEndpointResourceId", "dataCollectionEndpoints")):
        t.contains(f"its {key}", ingestion[key], managed, f"/providers/Microsoft.Insights/{kind}/{name}")
        made = t.az("resource", "show", "--ids", ingestion[key])
        t.equal(f"its {kind} are its own", made["name"].lower(), name.lower())
    # az leaves the etag out.
    etag = lambda: t.arm("GET", created["id"] + "?api-version=2025-10-03").json["etag"]
    first_etag = etag()
    t.true("who made it", created["systemData"]["createdBy"] and created["systemData"]["createdAt"], created["systemData"])

    shown = t.az("monitor", "account", "show", "-g", group.upper(), "-n", name.upper())
    t.equal("show finds it in any case", shown["accountId"], created["accountId"])
    updated = t.az("monitor", "account", "update", "-g", group, "-n", name, "--tags", "team=metrics", "Stage=prod")
    t.equal("tags, with their case", updated["tags"], {"team": "metrics", "Stage": "prod"})
    t.equal("an update keeps its identity", updated["accountId"], created["accountId"])
    t.true("an update changes the etag", etag() != first_etag, first_etag)
    again = t.az("monitor", "account", "create", "-g", group, "-n", name, "--location", "local")
    t.equal("creating it again keeps its identity", again["accountId"], created["accountId"])
    listed = t.az("monitor", "account", "list", "-g", group)
    t.equal("the list of its group", [one["name"] for one in listed], [name])
    everywhere = t.az("monitor", "account", "list")
    t.true("the list of the subscription has it and the default one", {name, "default"} <= {one["name"] for one in everywhere}, everywhere)

    t.az("monitor", "account", "delete", "-g", group, "-n", name, "--yes")
    t.contains("afterwards it is not found", t.az.fails("monitor", "account", "show", "-g", group, "-n", name), "ResourceNotFound", name)
    managed_group = t.az("group", "exists", "-n", f"MA_{name}_local_managed")
    t.equal("its managed group is gone", managed_group, False)
    t.az("monitor", "account", "delete", "-g", group, "-n", name, "--yes")


@case("monitor account: what is wrong is said")
def account_refused(t):
    group = t.group()
    said = t.az.fails("monitor", "account", "create", "-g", f"{t.name}-none", "-n", "ws", "--location", "local")
    t.contains("a group that does not exist", said, "ResourceGroupNotFound", f"{t.name}-none")
    said = t.az.fails("monitor", "account", "show", "-g", group, "-n", "none")
    t.contains("a workspace that does not exist", said, "ResourceNotFound", "none")
    answer = t.arm("PUT", f"{t.group_id(group)}/providers/{TYPE}/-bad-?api-version=2025-10-03", {"location": "local"})
    t.equal("a name that Azure does not take", (answer.status, bool(answer.code)), (400, True))


@case("monitor account metrics-container: create, show, and limits that may be raised")
def metrics_container(t):
    group, name = t.group(), f"{t.name}-ws"
    t.az("monitor", "account", "create", "-g", group, "-n", name, "--location", "local")
    made = t.az("monitor", "account", "metrics-container", "create", "-g", group, "-w", name, "-n", "default")
    t.equal("its name", made["name"], "default")
    t.equal("its type", made["type"].lower(), f"{TYPE}/metricsContainers".lower())
    shown = t.az("monitor", "account", "metrics-container", "show", "-g", group, "-w", name, "-n", "default")
    t.equal("show gives the same", shown["id"], made["id"])
    url = f"{t.facts['service_tls']}{t.group_id(group)}/providers/{TYPE}/{name}/metricsContainers/default?api-version=2025-10-03"
    limits = {"maxActiveTimeSeries": 2_000_000, "maxEventsPerMinute": 1_500_000}
    raised = t.az("rest", "--method", "put", "--url", url, "--body", json.dumps({"properties": {"limits": limits}}))
    t.equal("limits up to 2 million are set", raised["properties"]["limits"], limits)
    said = t.az.fails("rest", "--method", "put", "--url", url, "--body",
                      json.dumps({"properties": {"limits": {"maxActiveTimeSeries": 3_000_000}}}))
    t.contains("more needs use", said, "MaxTimeSeries quota requested")
    said = t.az.fails("rest", "--method", "put", "--url", url, "--body",
                      json.dumps({"properties": {"limits": {"maxActiveTimeSeries": 30_000_000}}}))
    t.contains("more than 20 million never", said, "exceeds the maximum limit")


@case("group: create, show, list, exists, update, delete with all that is in it")
def group(t):
    name = f"{t.name}-group"
    t.equal("it does not exist yet", t.az("group", "exists", "-n", name), False)
    made = t.az("group", "create", "-n", name, "-l", "local", "--tags", "a=b")
    t.equal("what is made", (made["name"], made["location"], made["tags"], made["properties"]["provisioningState"], made["type"]),
            (name, "local", {"a": "b"}, "Succeeded", "Microsoft.Resources/resourceGroups"))
    t.equal("it exists", t.az("group", "exists", "-n", name.upper()), True)
    t.same_id("show gives it", t.az("group", "show", "-n", name)["id"], t.group_id(name))
    t.true("it is listed", name in [one["name"] for one in t.az("group", "list")])
    tagged = t.az("group", "list", "--tag", "a=b")
    t.true("it is found by its tag", name in [one["name"] for one in tagged], tagged)
    updated = t.az("group", "update", "-n", name, "--set", "tags.c=d")
    t.equal("tags are added", updated["tags"], {"a": "b", "c": "d"})
    t.az("monitor", "account", "create", "-g", name, "-n", f"{name}-ws", "--location", "local")
    t.az("group", "delete", "-n", name, "--yes")
    t.equal("it is gone", t.az("group", "exists", "-n", name), False)
    t.contains("so is what was in it", t.az.fails("monitor", "account", "show", "-g", name, "-n", f"{name}-ws"), "NotFound")
    t.contains("deleting it again", t.az.fails("group", "delete", "-n", name, "--yes"), "ResourceGroupNotFound")


@case("resource: list, show, tag, delete")
def resource(t):
    group, name = t.group(), f"{t.name}-ws"
    made = t.az("monitor", "account", "create", "-g", group, "-n", name, "--location", "local", "--tags", "purpose=test")
    listed = t.az("resource", "list", "-g", group)
    t.equal("the group's resources", [(one["name"], one["type"].lower(), one["resourceGroup"].lower()) for one in listed],
            [(name, TYPE.lower(), group.lower())])
    typed = t.az("resource", "list", "--resource-type", TYPE)
    t.true("by type", name in [one["name"] for one in typed] and {one["type"].lower() for one in typed} == {TYPE.lower()}, typed)
    named = t.az("resource", "list", "--name", name)
    t.equal("by name: the workspace with its endpoint and rule", sorted({one["type"].split("/")[1].lower() for one in named}),
            ["accounts", "datacollectionendpoints", "datacollectionrules"])
    tagged = t.az("resource", "list", "--tag", "purpose=test")
    t.true("by tag", name in [one["name"] for one in tagged], tagged)
    shown = t.az("resource", "show", "--ids", made["id"])
    t.equal("show, with the newest version that the provider lists", shown["properties"]["accountId"], made["accountId"])
    shown = t.az("resource", "show", "-g", group, "-n", name, "--resource-type", TYPE)
    t.equal("show by name", shown["properties"]["accountId"], made["accountId"])
    t.az("resource", "delete", "--ids", made["id"])
    t.equal("it is gone", t.az("resource", "list", "-g", group), [])


@case("provider: list, show, register")
def provider(t):
    listed = {one["namespace"]: one["registrationState"] for one in t.az("provider", "list")}
    ours = ("Microsoft.Monitor", "Microsoft.Insights", "Microsoft.Authorization", "Microsoft.ManagedIdentity", "Microsoft.Resources")
    t.equal("all that is served is registered", {name: listed.get(name) for name in ours}, dict.fromkeys(ours, "Registered"))
    monitor = t.az("provider", "show", "-n", "microsoft.monitor")
    accounts = next(one for one in monitor["resourceTypes"] if one["resourceType"].lower() == "accounts")
    dates = [version[:10] for version in accounts["apiVersions"]]
    t.true("versions, the newest first", dates and dates == sorted(dates, reverse=True), accounts)
    t.true("regions", accounts["locations"], accounts)
    t.az("provider", "register", "-n", "Microsoft.Insights", "--wait")
    t.contains("one that is not served", t.az.fails("provider", "show", "-n", "Microsoft.Nothing"), "Microsoft.Nothing")
