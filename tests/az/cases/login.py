"""Clouds, logins, accounts."""

import subprocess
import sys
from pathlib import Path

from harness import ROOT, case, claims


@case("a login by secret shows the subscription, whose token names the tenant and the principal")
def by_secret(t):
    az = t.log_in(t.facts["admin_client_id"], t.remora.admin_secret())
    account = az("account", "show")
    t.equal("the subscription", account["id"], t.subscription)
    t.equal("the tenant", account["tenantId"], t.facts["tenant_id"])
    t.equal("the state", account["state"], "Enabled")
    t.equal("who", account["user"], {"name": t.facts["admin_client_id"], "type": "servicePrincipal"})
    listed = az("account", "list", "--refresh")
    t.equal("all subscriptions", [one["id"] for one in listed], [t.subscription])
    az("account", "set", "--subscription", account["name"])
    token = az("account", "get-access-token")
    t.equal("the token's tenant", token["tenant"], t.facts["tenant_id"])
    said = claims(token["accessToken"])
    t.equal("its application", said["appid"], t.facts["admin_client_id"])
    t.true("its audience is the management one", said["aud"].startswith("https://management."), said["aud"])
    az("logout")
    t.contains("after a logout az asks for a login", az.fails("account", "show"), "az login")


@case("a login by certificate works for a principal whose certificate is known")
def by_certificate(t):
    az = t.log_in(t.facts["application_id"], certificate=t.facts["certificate_file"])
    account = az("account", "list", "--all")
    t.true("the application is logged in", account and account[0]["user"]["name"] == t.facts["application_id"], account)
    other = t.directory() / "other.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=other", "-days", "1", "-keyout", other,
                    "-out", f"{other}.crt"], check=True, capture_output=True)
    other.write_text(other.read_text() + Path(f"{other}.crt").read_text())
    said = t.az_of_nobody().fails("login", "--service-principal", "--username", t.facts["application_id"], "--certificate", other,
                                  "--tenant", t.facts["tenant_id"])
    t.contains("a certificate that nobody registered is refused in Entra's words", said, "AADSTS700027")


@case("what is wrong with a login is said in Entra's words")
def refused(t):
    az = t.az_of_nobody()
    login = ("login", "--service-principal", "--username")
    said = az.fails(*login, t.facts["admin_client_id"], "--password=wrong", "--tenant", t.facts["tenant_id"])
    t.contains("a wrong secret", said, "AADSTS7000215", "Invalid client secret")
    nobody = "11111111-1111-1111-1111-111111111111"
    said = az.fails(*login, nobody, "--password=wrong", "--tenant", t.facts["tenant_id"])
    t.contains("an application that does not exist", said, "AADSTS700016", nobody)
    # az has no words of its own for this, and shows where in its code it heard of it: also with Azure.
    done = az.run(*login, t.facts["admin_client_id"], "--password=wrong", "--tenant", nobody)
    t.true("a tenant that does not exist is an error", done.returncode != 0, done.stdout)
    t.contains("which is Entra's", done.stderr, "AADSTS90002", nobody)
    t.contains("without a login az says so", az.fails("account", "show"), "az login")


@case("the cloud's metadata answer every version that clients ask, without a token")
def metadata(t):
    service, authority = t.facts["service_tls"], t.facts["authority_tls"]
    for version in ("2019-05-01", "2022-09-01"):
        answer = t.send("GET", f"{service}/metadata/endpoints?api-version={version}")
        t.equal(f"status of {version}", answer.status, 200)
        clouds = answer.json if isinstance(answer.json, list) else [answer.json]
        for cloud in clouds:
            t.true("it has a name", isinstance(cloud["name"], str) and cloud["name"], cloud)
            t.equal("the management URL", cloud["resourceManager"].rstrip("/"), service)
            t.equal("where to log in", cloud["authentication"]["loginEndpoint"].rstrip("/"), authority)
            t.true("an audience", cloud["authentication"]["audiences"], cloud)
            t.true("suffixes are an object", isinstance(cloud["suffixes"], dict), cloud)
    answer = t.send("GET", f"{service}/metadata/endpoints?api-version=2015-01-01")
    t.equal("status of 2015-01-01", answer.status, 200)
    for name in ("galleryEndpoint", "graphEndpoint"):
        t.true(f"{name} is there", name in answer.json, answer)
    t.equal("where to log in", answer.json["authentication"]["loginEndpoint"].rstrip("/"), authority)
    answer = t.send("GET", f"{service}/metadata/endpoints")
    t.equal("without a version", answer.status, 400)


@case("the registered cloud names our Microsoft Graph, and can be shown, updated and removed")
def cloud(t):
    az = t.az_of_nobody()
    shown = az("cloud", "show", "--name", "Remora")["endpoints"]
    t.equal("the management URL", shown["resourceManager"].rstrip("/"), t.facts["service_tls"])
    t.equal("the authority", shown["activeDirectory"].rstrip("/"), t.facts["authority_tls"])
    t.true("Microsoft Graph is ours", shown["microsoftGraphResourceId"].startswith(t.facts["service_tls"]), shown)
    az("cloud", "update", "--name", "Remora", "--endpoint-resource-manager", t.facts["service_tls"])
    az("cloud", "register", "--name", "Second", "--endpoint-resource-manager", t.facts["service_tls"])
    names = [one["name"] for one in az("cloud", "list")]
    t.true("both are registered", {"Remora", "Second"} <= set(names), names)
    az("cloud", "unregister", "--name", "Second")


@case("scripts/az-local: registers once, logs in again when it must, and says what is wrong")
def script(t):
    script = ROOT / "scripts/az-local"
    config = t.directory() / "az"
    place = Path(t.suite.az_program).parent
    environment = {**t.az.environment, "PATH": f"{place}:{t.az.environment['PATH']}"}

    def run(*words, expect=0):
        done = subprocess.run([sys.executable, script, *map(str, words)], env=environment, capture_output=True, text=True)
        t.calls.append(f"$ az-local {' '.join(map(str, words))}   [{done.returncode}]\n{done.stdout}{done.stderr}")
        t.equal(f"az-local {words[-1]} ends with", done.returncode, expect)
        return done.stdout if expect == 0 else done.stderr

    options = ("--data-dir", t.remora.data_dir, "--config-dir", config)
    printed = run(*options)
    t.true("it prints what to export", f"export AZURE_CONFIG_DIR={config}" in printed, printed)
    t.true("no secret is printed", t.remora.admin_secret() not in printed, "a secret")
    t.equal("its directory is the owner's alone", (config.stat().st_mode & 0o777), 0o700)
    done_before = (config / "az-local.json").stat().st_mtime_ns
    t.true("az runs", '"cloudName": "Remora"' in run(*options, "account", "list"), "account list")
    t.equal("nothing is registered anew", (config / "az-local.json").stat().st_mtime_ns, done_before)
    run(*options, "logout")
    t.contains("after a logout it logs in again", run(*options, "account", "show"), t.subscription)
    t.contains("another directory", run("--data-dir", config, "account", "show", expect=1), "remora up", "--data-dir")
