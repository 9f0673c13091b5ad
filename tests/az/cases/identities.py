"""Managed identities, applications and service principals."""

import json
import subprocess

from harness import MONITOR, Failure, case, claims


@case("identity: create, show, list, tag, delete")
def identity(t):
    group, name = t.group(), f"{t.name}-id"
    made = t.az("identity", "create", "-g", group, "-n", name)
    t.equal("its type", made["type"], "Microsoft.ManagedIdentity/userAssignedIdentities")
    t.true("two ids", made["clientId"] != made["principalId"], made)
    t.equal("its tenant", made["tenantId"], t.facts["tenant_id"])
    shown = t.az("identity", "show", "-g", group, "-n", name)
    t.equal("show gives the same", (shown["clientId"], shown["principalId"]), (made["clientId"], made["principalId"]))
    t.equal("list", [one["name"] for one in t.az("identity", "list", "-g", group)], [name])
    t.true("list of the subscription", name in [one["name"] for one in t.az("identity", "list")])
    again = t.az("identity", "create", "-g", group, "-n", name, "--tags", "a=b")
    t.equal("creating it again keeps its ids", (again["clientId"], again["tags"]), (made["clientId"], {"a": "b"}))
    t.az("identity", "delete", "-g", group, "-n", name)
    t.contains("it is gone", t.az.fails("identity", "show", "-g", group, "-n", name), "NotFound")


@case("identity federated-credential: create, show, list, update, delete")
def federated(t):
    group, name = t.group(), f"{t.name}-id"
    t.az("identity", "create", "-g", group, "-n", name)
    of = ("-g", group, "--identity-name", name)
    issuer, subject = "https://issuer.example.org/", "system:serviceaccount:monitoring:prometheus"
    made = t.az("identity", "federated-credential", "create", *of, "-n", "fed", "--issuer", issuer, "--subject", subject,
                "--audiences", "api://AzureADTokenExchange")
    t.equal("what it says", (made["issuer"], made["subject"], made["audiences"]), (issuer, subject, ["api://AzureADTokenExchange"]))
    t.equal("show", t.az("identity", "federated-credential", "show", *of, "-n", "fed")["subject"], subject)
    changed = t.az("identity", "federated-credential", "update", *of, "-n", "fed", "--issuer", issuer, "--subject", f"{subject}-2",
                   "--audiences", "api://AzureADTokenExchange")
    t.equal("update", changed["subject"], f"{subject}-2")
    t.equal("list", [one["name"] for one in t.az("identity", "federated-credential", "list", *of)], ["fed"])
    t.az("identity", "federated-credential", "delete", *of, "-n", "fed", "--yes")
    t.equal("none is left", t.az("identity", "federated-credential", "list", *of), [])


@case("a managed identity made by az gets tokens from IMDS at once, and none when it is deleted")
def imds(t):
    group, name = t.group(), f"{t.name}-id"
    made = t.az("identity", "create", "-g", group, "-n", name)
    url = f"{t.facts['imds']}/metadata/identity/oauth2/token?api-version=2018-02-01&resource={MONITOR}&client_id={made['clientId']}"
    answer = t.send("GET", url, headers={"Metadata": "true"})
    t.equal("IMDS", answer.status, 200)
    t.equal("the token's principal", claims(answer.json["access_token"])["oid"], made["principalId"])
    t.az("identity", "delete", "-g", group, "-n", name)
    answer = t.send("GET", url, headers={"Metadata": "true"})
    t.equal("after its deletion", answer.status, 400)


@case("ad sp create-for-rbac: a new principal with a role can log in; ad sp and ad app list and delete it")
def service_principal(t):
    group = t.group()
    scope, name = t.group_id(group), f"{t.name}-sp"
    made = t.az("ad", "sp", "create-for-rbac", "--name", name, "--role", "Contributor", "--scopes", scope)
    t.equal("what is printed", (made["displayName"], made["tenant"], bool(made["password"])), (name, t.facts["tenant_id"], True))
    az = t.log_in(made["appId"], made["password"])
    t.equal("it is logged in to the subscription", az("account", "show")["id"], t.subscription)
    t.equal("it sees its group", [one["name"] for one in az("group", "list")], [group])
    shown = t.az("ad", "sp", "show", "--id", made["appId"])
    t.equal("show", (shown["appId"], shown["displayName"], shown["servicePrincipalType"]), (made["appId"], name, "Application"))
    listed = t.az("ad", "sp", "list", "--display-name", name)
    t.equal("list by name", [one["appId"] for one in listed], [made["appId"]])
    listed = t.az("ad", "sp", "list", "--filter", f"appId eq '{made['appId']}'")
    t.equal("list by filter", [one["id"] for one in listed], [shown["id"]])
    everyone = {one["appId"] for one in t.az("ad", "sp", "list", "--all")}
    t.true("list of all has applications and managed identities", {made["appId"], t.facts["client_id"], t.facts["admin_client_id"]} <= everyone,
           sorted(everyone))
    application = t.az("ad", "app", "show", "--id", made["appId"])
    t.equal("the application", (application["displayName"], len(application["passwordCredentials"])), (name, 1))
    t.true("no secret is ever shown", made["password"] not in json.dumps(application), application)
    again = t.az("ad", "sp", "create-for-rbac", "--name", name, "--role", "Contributor", "--scopes", scope)
    t.true("made again it has the same id and another password", again["appId"] == made["appId"] and again["password"] != made["password"])
    t.contains("the first password is gone", t.az_of_nobody().fails("login", "--service-principal", "--username", made["appId"],
                                                                   f"--password={made['password']}", "--tenant", t.facts["tenant_id"]),
               "AADSTS7000215")
    reset = t.az("ad", "sp", "credential", "reset", "--id", made["appId"])
    t.log_in(made["appId"], reset["password"])
    t.az("ad", "sp", "delete", "--id", made["appId"])
    t.equal("it is gone", t.az("ad", "sp", "list", "--display-name", name), [])


@case("ad sp create-for-rbac with a certificate of one's own: a login by that certificate")
def certificate(t):
    directory = t.directory()
    key, pem = directory / "key.pem", directory / "certificate.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={t.name}", "-days", "30", "-keyout", key,
                    "-out", pem], check=True, capture_output=True)
    made = t.az("ad", "sp", "create-for-rbac", "--name", f"{t.name}-cert", "--cert", f"@{pem}")
    both = directory / "both.pem"
    both.write_text(key.read_text() + pem.read_text())
    az = t.log_in(made["appId"], certificate=both)
    t.true("it is logged in", az("account", "list", "--all"), "no account")
    t.az("ad", "app", "delete", "--id", made["appId"])


@case("directory writes need a right at the root")
def rights(t):
    scope = t.group_id(t.group())
    made = t.az("ad", "sp", "create-for-rbac", "--name", f"{t.name}-low", "--role", "Contributor", "--scopes", scope)
    az = t.log_in(made["appId"], made["password"])
    t.true("it may look", az("ad", "sp", "list", "--filter", f"appId eq '{made['appId']}'"), "nothing")
    said = az.fails("ad", "app", "create", "--display-name", "more")
    t.contains("it may not make applications", said, "does not have authorization", made["appId"])
    if made["password"] in said:
        raise Failure("a password is printed")
