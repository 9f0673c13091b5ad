"""Platform metrics and the activity log."""

import datetime

from harness import case

WORKSPACE_METRICS = {
    "ActiveTimeSeries", "ActiveTimeSeriesLimit", "ActiveTimeSeriesPercentUtilization", "EventsPerMinuteIngested",
    "EventsPerMinuteIngestedLimit", "EventsPerMinuteIngestedPercentUtilization", "EventsDropped", "TimeSeriesSamplesDropped",
}


@case("monitor metrics list-definitions and list-namespaces of workspaces and rules")
def definitions(t):
    workspace = t.az("monitor", "account", "show", "-g", "remora", "-n", "default")
    listed = t.az("monitor", "metrics", "list-definitions", "--resource", workspace["id"])
    names = {one["name"]["value"]: one for one in listed}
    t.true("the set of Azure", WORKSPACE_METRICS <= set(names), sorted(names))
    dropped = names["EventsDropped"]
    t.equal("unit and aggregation", (dropped["unit"], dropped["primaryAggregationType"]), ("Count", "Maximum"))
    t.true("a dimension for reasons", "Reason" in [one["value"] for one in dropped["dimensions"]], dropped)
    t.true("a grain of a minute", "PT1M" in [one["timeGrain"] for one in dropped["metricAvailabilities"]] or
           "0:01:00" in str(dropped["metricAvailabilities"]), dropped)
    rule = workspace["defaultIngestionSettings"]["dataCollectionRuleResourceId"] if workspace.get("defaultIngestionSettings") else \
        f"{t.group_id('remora')}/providers/Microsoft.Insights/dataCollectionRules/default"
    listed = t.az("monitor", "metrics", "list-definitions", "--resource", rule)
    t.true("of a rule", "MetricIngestionRequest_Count" in [one["name"]["value"] for one in listed], listed)


@case("monitor metrics list: limits and use of a workspace, with filter and several metrics")
def values(t):
    group = t.group()
    made = t.az("monitor", "account", "create", "-g", group, "-n", f"{t.name}-ws", "--location", "local")
    answered = t.az("monitor", "metrics", "list", "--resource", made["id"], "--metrics", "ActiveTimeSeriesLimit")
    t.equal("its name", answered["value"][0]["name"]["value"], "ActiveTimeSeriesLimit")
    t.equal("its namespace", answered["namespace"].lower(), "microsoft.monitor/accounts")
    t.equal("its grain", answered["interval"], "PT1M")
    both = t.az("monitor", "metrics", "list", "--resource", made["id"], "--metrics", "EventsPerMinuteIngested", "ActiveTimeSeries",
                "--aggregation", "Maximum", "--interval", "PT5M", "--offset", "1h")
    t.equal("two at once", {one["name"]["value"] for one in both["value"]}, {"EventsPerMinuteIngested", "ActiveTimeSeries"})
    t.equal("the grain asked for", both["interval"], "PT5M")
    t.az("monitor", "metrics", "list", "--resource", made["id"], "--metrics", "EventsDropped", "--filter", "Reason eq '*'")
    said = t.az.fails("monitor", "metrics", "list", "--resource", made["id"], "--metrics", "Nothing")
    t.contains("one that does not exist", said, "Nothing")


@case("monitor metrics list: the default workspace, which writes its own metrics, shows them")
def of_the_default_workspace(t):
    workspace = t.az("monitor", "account", "show", "-g", "remora", "-n", "default")

    def points():
        answered = t.az("monitor", "metrics", "list", "--resource", workspace["id"], "--metrics", "EventsPerMinuteIngested", "ActiveTimeSeries",
                        "--aggregation", "Maximum", "--offset", "15m")
        found = {}
        for metric in answered["value"]:
            values = [point.get("maximum") for series in metric["timeseries"] for point in series["data"]]
            found[metric["name"]["value"]] = max([value for value in values if value is not None], default=0)
        return found if all(found.get(name, 0) > 0 for name in ("EventsPerMinuteIngested", "ActiveTimeSeries")) else None

    # A minute must be over before it is recorded.
    t.eventually("its own scrapes are counted", 150, points)


@case("monitor activity-log list: who changed what")
def activity_log(t):
    group = t.group()
    made = t.az("monitor", "account", "create", "-g", group, "-n", f"{t.name}-ws", "--location", "local")
    start = (datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    listed = t.az("monitor", "activity-log", "list", "--start-time", start, "-g", group)
    operations = {one["operationName"]["value"].lower() for one in listed}
    t.true("the workspace was written", "microsoft.monitor/accounts/write" in operations, sorted(operations))
    event = next(one for one in listed if one["operationName"]["value"].lower() == "microsoft.monitor/accounts/write")
    t.same_id("on what", event["resourceId"], made["id"])
    t.true("by whom, when, with which result", event["caller"] and event["eventTimestamp"] and event["status"]["value"], event)
    one = t.az("monitor", "activity-log", "list", "--resource-id", made["id"], "--offset", "1h")
    t.true("by resource", one and {entry["resourceId"].lower() for entry in one} == {made["id"].lower()}, one)
