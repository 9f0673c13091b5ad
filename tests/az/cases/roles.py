"""Role definitions and assignments."""

from harness import DATA_READER, METRICS_PUBLISHER, READER, case


@case("role definition list: the built-in roles with their rights")
def definitions(t):
    listed = {one["roleName"]: one for one in t.az("role", "definition", "list")}
    publisher = listed["Monitoring Metrics Publisher"]
    t.equal("its GUID", publisher["name"], METRICS_PUBLISHER)
    t.equal("its type", (publisher["roleType"], publisher["type"]), ("BuiltInRole", "Microsoft.Authorization/roleDefinitions"))
    t.true("its data action", "Microsoft.Insights/Metrics/Write" in publisher["permissions"][0]["dataActions"], publisher["permissions"])
    for name in ("Owner", "Contributor", "Reader", "User Access Administrator", "Monitoring Reader", "Monitoring Data Reader"):
        t.true(f"{name} is there", name in listed, sorted(listed))
    one = t.az("role", "definition", "list", "--name", "Monitoring Data Reader")
    t.equal("by name", [role["name"] for role in one], [DATA_READER])
    one = t.az("role", "definition", "list", "--name", READER)
    t.equal("by GUID", [role["roleName"] for role in one], ["Reader"])
    shown = t.az("role", "definition", "show", "--id", publisher["id"])
    t.equal("show by id", shown["roleName"], "Monitoring Metrics Publisher")
    t.equal("none by another name", t.az("role", "definition", "list", "--name", "Lord"), [])


@case("role assignment by object id: create, list, delete")
def by_object_id(t):
    group = t.group()
    scope = t.group_id(group)
    identity = t.az("identity", "create", "-g", group, "-n", f"{t.name}-id")
    principal = identity["principalId"]
    who = ("--assignee-object-id", principal, "--assignee-principal-type", "ServicePrincipal")
    made = t.az("role", "assignment", "create", *who, "--role", "Monitoring Metrics Publisher", "--scope", scope)
    t.equal("whom and what", (made["principalId"], made["principalType"]), (principal, "ServicePrincipal"))
    t.same_id("where", made["scope"], scope)
    t.true("the role", made["roleDefinitionId"].lower().endswith(METRICS_PUBLISHER), made["roleDefinitionId"])
    t.true("who made it, when", made["createdBy"] and made["createdOn"], made)
    again = t.az("role", "assignment", "create", *who, "--role", METRICS_PUBLISHER, "--scope", scope)
    t.equal("making it again finds the first", again["id"].lower(), made["id"].lower())
    listed = t.az("role", "assignment", "list", "--scope", scope)
    t.equal("the list at the scope, with names", [(one["principalId"], one["roleDefinitionName"]) for one in listed],
            [(principal, "Monitoring Metrics Publisher")])
    inherited = t.az("role", "assignment", "list", "--scope", scope, "--include-inherited")
    t.true("with what is inherited", {"Owner", "Monitoring Metrics Publisher"} <= {one["roleDefinitionName"] for one in inherited}, inherited)
    mine = t.az("role", "assignment", "list", "--all", "--assignee", principal)
    t.equal("of one principal everywhere", [one["name"] for one in mine], [made["name"]])
    by_role = t.az("role", "assignment", "list", "--scope", scope, "--role", "Monitoring Metrics Publisher")
    t.equal("by role", [one["name"] for one in by_role], [made["name"]])
    t.equal("by another role", t.az("role", "assignment", "list", "--scope", scope, "--role", "Reader"), [])
    t.az("role", "assignment", "delete", "--assignee", principal, "--role", "Monitoring Metrics Publisher", "--scope", scope)
    t.equal("none is left", t.az("role", "assignment", "list", "--scope", scope), [])
    second = t.az("role", "assignment", "create", *who, "--role", "Reader", "--scope", scope)
    t.az("role", "assignment", "delete", "--ids", second["id"])
    t.equal("deleted by id", t.az("role", "assignment", "list", "--scope", scope), [])


@case("role assignment by application id: Microsoft Graph gives the principal")
def by_application(t):
    group = t.group()
    scope = t.group_id(group)
    application = t.facts["application_id"]
    made = t.az("role", "assignment", "create", "--assignee", application, "--role", "Reader", "--scope", scope)
    t.true("the principal is not the application", made["principalId"] != application, made)
    t.equal("its kind comes from Graph", made["principalType"], "ServicePrincipal")
    listed = t.az("role", "assignment", "list", "--scope", scope, "--assignee", application)
    t.equal("it is listed by application, with its name", [one["principalName"] for one in listed], [application])
    everything = t.az("role", "assignment", "list", "--all")
    t.true("--all has it and the admin's", {"Reader", "Owner"} <= {one["roleDefinitionName"] for one in everything}, everything)
    t.az("role", "assignment", "delete", "--assignee", application, "--scope", scope)
    t.equal("none is left", t.az("role", "assignment", "list", "--scope", scope), [])


@case("role assignment: what is wrong is said")
def refused(t):
    scope = t.group_id(t.group())
    who = ("--assignee-object-id", t.facts["application_id"], "--assignee-principal-type", "ServicePrincipal")
    said = t.az.fails("role", "assignment", "create", *who, "--role", "Lord", "--scope", scope)
    t.contains("a role that does not exist", said, "Lord")
    said = t.az.fails("role", "assignment", "create", *who, "--role", "Reader", "--scope", "/subscriptions/11111111-1111-1111-1111-111111111111")
    t.true("a subscription that does not exist", "SubscriptionNotFound" in said or "AuthorizationFailed" in said, said)
    said = t.az.fails("role", "assignment", "delete", "--assignee", t.facts["client_id"], "--scope", scope)
    t.contains("one that does not exist", said, "No matched assignments")


@case("a Reader may look and not touch, and says who may what; changes of roles act at once")
def rights(t):
    group = t.group()
    scope = t.group_id(group)
    made = t.az("ad", "sp", "create-for-rbac", "--name", f"{t.name}-reader", "--role", "Reader", "--scopes", scope)
    az = t.log_in(made["appId"], made["password"])
    t.equal("it sees its group", [one["name"] for one in az("group", "list")], [group])
    t.equal("and no workspace of others", az("monitor", "account", "list"), [])
    said = az.fails("monitor", "account", "create", "-g", group, "-n", "ws", "--location", "local")
    t.contains("it may not write", said, "AuthorizationFailed", made["appId"], "Microsoft.Monitor/accounts/write", group)
    t.contains("nor look elsewhere", az.fails("monitor", "account", "show", "-g", "remora", "-n", "default"), "AuthorizationFailed")
    said = az.fails("role", "assignment", "create", "--assignee-object-id", t.facts["client_id"], "--assignee-principal-type",
                    "ServicePrincipal", "--role", "Owner", "--scope", scope)
    t.contains("nor give roles", said, "AuthorizationFailed", "roleAssignments/write")
    t.az("role", "assignment", "create", "--assignee", made["appId"], "--role", "Contributor", "--scope", scope)
    az("monitor", "account", "create", "-g", group, "-n", f"{t.name}-ws", "--location", "local")
    t.az("role", "assignment", "delete", "--assignee", made["appId"], "--scope", scope)
    t.contains("without its roles it may nothing", az.fails("group", "show", "-n", group), "AuthorizationFailed")
