#!/usr/bin/env python3
"""Send remote-write requests to a receiver and judge the answers strictly (own work).

  rw_receiver_cases.py URL [--header 'Authorization: Bearer x'] [--only SUBSTRING] [--lenient] [--no-v1]
Covers the situations of the public receiver suite and the partial-write cases of Prometheus' own unit
tests. Unlike the public suite a success case must be answered 2xx (204 = SHOULD, reported as a note) with exact Written counts.
--lenient: also accept a 400 where success is expected, as the public suite does.
Every case uses its own metric names (run id), so that cases do not disturb each other. Exit code 0 = all passed.
"""
import argparse, math, random, struct, sys, time
from rwlib import H1, H2, STALE_RAW, dbl, i64, ld, packed, post, snappy, uv, v1, v2, Sym

RUN = "rw%06x" % random.randrange(1 << 24)
NOW = int(time.time() * 1000)
SP = [(0, 3), (2, 2)]


def H(pos=True, neg=False, zero=False, cv=False, sum_=1.0, count=None):
    h, n = {"sum": sum_}, 0
    if cv:
        h.update(schema=-53, ps=[(0, 6)], pd=[2, 1, 2, 3, -1, -2], cv=[.1, .5, 1, 2.5, 5, 10])
        n = 30
    elif pos:
        h.update(ps=SP, pd=[1, 2, 1, 3, 1])
        n += 23
    if neg:
        h.update(ns=[(0, 2)], nd=[1, 1])
        n += 3
    if zero:
        h["zero"] = 1
        n += 1
    h["count"] = n if count is None else count
    return h


def L(name, **kw):
    return ([("__name__", "%s_%s" % (RUN, name))] if name else []) + sorted(kw.items())


def S(labels, v=1.0, dt=0, **kw):
    return dict(labels=labels, samples=[(NOW + dt, v)], **kw)


def HS(labels, h=None, dt=0, **kw):
    return dict(labels=labels, hist=[(NOW + dt, h or H())], **kw)


def EX(v=1.0, dt=0, **l):
    return [(sorted(l.items()), v, NOW + dt)]


C = []      # (level, name, headers, body, expectation)  expectation: ("ok",S,H,E) | ("bad",code set, S,H,E exact or None)


def ok(name, series, s=0, h=0, e=0, hd=H2, level="MUST"):
    C.append((level, name, hd, snappy(v2(series)), ("ok", s, h, e)))


def bad(name, series, s=0, h=0, e=0, symbols=None, codes=(400,)):
    C.append(("MUST", name, H2, snappy(v2(series, symbols)), ("bad", codes, s, h, e)))


for vn, v in (("1", 1.0), ("stale", STALE_RAW), ("nan", math.nan), ("inf", math.inf), ("-inf", -math.inf)):
    n = "m" + vn.replace("-", "n")
    ok("sample/%s/simple" % vn, [S(L(n + "a"), v)], 1)
    ok("sample/%s/labels" % vn, [S(L(n + "b", job="j", instance="localhost:9090"), v)], 1)
    ok("sample/%s/newline in value" % vn, [S(L(n + "c", job="a\nb\n"), v)], 1)
    ok("sample/%s/dots (UTF-8 names)" % vn, [S(L(n + ".d", **{"job.name": "x"}), v)], 1)
    ok("sample/%s/blanks (UTF-8 names)" % vn, [S(L(n + " e", **{"job name": "x"}), v)], 1)
    bad("sample/%s/no name" % vn, [S(L("", job="x"), v)])
    bad("sample/%s/no labels" % vn, [S([], v)])
    four = [S(L(n + "f", i=str(i)), v) for i in range(4)]
    ok("sample/%s/four series" % vn, four, 4)
    bad("sample/%s/one of four without name" % vn, [S(L("", i="x"), v)] + [S(L(n + "g", i=str(i)), v) for i in range(3)], 3)
    bad("sample/%s/four without name" % vn, [S(L("", i=str(i)), v) for i in range(4)])
ok("labels unsorted on the wire", [S([("zz", "1"), ("__name__", RUN + "_uns"), ("aa", "2")])], 1)
ok("counter with start timestamp", [S(L("st_total"), 5.0, st=NOW - 3600000)], 1, level="SHOULD")
ok("two samples of a series in one TimeSeries", [dict(labels=L("two"), samples=[(NOW - 1000, 1.0), (NOW, 2.0)])], 2)
ok("same series in three TimeSeries, old to new", [S(L("tri"), 1.0, d, ex=EX(1.0, d, trace_id="t%d" % i)) for i, d in enumerate((-3600000, -60000, 0))], 3, 0, 3)
for n, l in (("trace", dict(trace_id="a")), ("trace+span", dict(trace_id="a", span_id="b")), ("user", dict(user_id="u")), ("three", dict(trace_id="a", user="b", endpoint="/c")),
             ("none", {}), ("punctuation", dict(trace_id="a-b_c.1")), ("unicode", dict(trace_id="\u6d4b\u8bd5"))):
    ok("exemplar/" + n, [S(L("ex_" + "".join(c for c in n if c.isalpha())), 1.0, ex=EX(1.0, 0, **l))], 1, 0, 1)
for i, v in enumerate((0.0, -123.456, 1e10, 1e-10, math.nan, math.inf, -math.inf)):
    ok("exemplar/value %r" % v, [S(L("exv%d" % i), v, ex=EX(v, 0, trace_id="x"))], 1, 0, 1)
bad("exemplar/series without name", [S(L("", job="x"), ex=EX(trace_id="a"))])
bad("exemplar/series with empty name", [S([("__name__", "")], ex=EX(trace_id="a"))])
bad("exemplar/only, no sample", [dict(labels=L("exonly"), ex=EX(trace_id="a"))], e=None)
for n, h in (("all parts", H(True, True, True)), ("custom buckets", H(cv=True)), ("positive+zero", H(True, False, True)), ("negative", H(False, True)), ("zero only", H(False, False, True)), ("empty", H(False))):
    ok("histogram/" + n, [HS(L("h_" + n.replace(" ", "_").replace("+", "_")), h)], 0, 1)
ok("histogram/float", [HS(L("h_float"), dict(count_f=10.5, sum=1.0, zero_f=.5, ps=[(0, 2)], pc=[4.0, 6.0]))], 0, 1)
ok("histogram/gauge", [HS(L("h_gauge"), dict(H(), hint=3))], 0, 1)
ok("histogram/stale", [HS(L("h_stale"), dict(count=0, sum=STALE_RAW))], 0, 1)
ok("histogram/two series with metadata and exemplars", [HS(L("h2", i=str(i)), meta=(3, "help", "seconds"), ex=EX(trace_id="x")) for i in range(2)], 0, 2, 2)
bad("histogram/count does not fit", [HS(L("h_bad"), H(count=99))])
bad("histogram/span shorter than buckets", [HS(L("h_bad2"), dict(count=23, sum=1.0, ps=[(0, 2)], pd=[1, 2, 1, 3, 1]))])
bad("histogram/bounds not ascending", [HS(L("h_bad3"), dict(H(cv=True), cv=[.5, .1, 1, 2.5, 5, 10]))])
for t, n in enumerate(("unspecified", "counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset")):
    ok("metadata/" + n, [S(L("md_" + n), meta=(t, "some help", "bytes"))], 1)
ok("metadata/no help no unit", [S(L("md_none"), meta=(1, "", ""))], 1)
ok("metadata/newline, quotes, slash", [S(L("md_spec"), meta=(2, 'a\nb "c" \u00e4', "bytes/sec"))], 1)
ok("combined/50 samples, metadata, exemplars", [S(L("c50", i=str(i)), float(i), meta=(1, "h%d" % i, "c"), ex=EX(float(i), 0, trace_id="t%d" % i)) for i in range(50)], 50, 0, 50)
ok("combined/50 histograms", [HS(L("ch50", i=str(i)), H(True, i % 2 == 0, True), meta=(3, "h", "s"), ex=EX(1.0, 0, trace_id="t")) for i in range(50)], 0, 50, 50)
ok("combined/emoji and special characters", [S(L("emo", env="test\U0001F680", job="a-b_c.d@e"), 42.0, ex=EX(42.0, 0, trace_id="\u00e4-1"))], 1, 0, 1)
good = S(L("pw_good"))
bad("partial/duplicate label name", [S(L("pw1", a="1") + [("a", "2")]), S(L("pw1g"))], 1)
bad("partial/odd number of refs", [dict(refs=[1, 2, 3], samples=[(NOW, 1.0)])], symbols=["", "__name__", RUN + "_odd", "x"])
bad("partial/label ref out of range", [dict(refs=[1, 99], samples=[(NOW, 1.0)]), dict(refs=[1, 2], samples=[(NOW, 1.0)])], 1, symbols=["", "__name__", RUN + "_oor"])
bad("partial/help ref out of range", [dict(refs=[1, 2], samples=[(NOW, 1.0)], meta=(1, 77, 0))], s=None, symbols=["", "__name__", RUN + "_hor"])
bad("partial/empty label name", [S(L("pw3") + [("", "x")]), S(L("pw3g"))], 1)
bad("partial/no samples and no histograms", [dict(labels=L("pw4")), S(L("pw4g"))], 1)
bad("partial/far in the future (1 day)", [S(L("pw5"), 1.0, 86400000), S(L("pw5g"))], 1)
bad("partial/same time, other value", [dict(labels=L("pw6"), samples=[(NOW, 1.0), (NOW, 2.0)]), S(L("pw6g"))], 2)
body = snappy(v2([S(L("hdr"))]))
hd = lambda **k: {a: b for a, b in dict(H2, **{x.replace("_", "-"): y for x, y in k.items()}).items() if b}
broken = b"0" + body[1:]
for n, h, b, e in (("content type json", hd(Content_Type="application/json"), broken, ("bad", (415,), 0, 0, 0)), ("content type png", hd(Content_Type="image/png"), broken, ("bad", (415,), 0, 0, 0)),
                   ("unknown proto parameter", hd(Content_Type="application/x-protobuf;proto=yolo"), body, ("bad", (415,), 0, 0, 0)), ("encoding gzip", hd(Content_Encoding="gzip"), broken, ("bad", (415,), 0, 0, 0)),
                   ("encoding deflate", hd(Content_Encoding="deflate"), broken, ("bad", (415,), 0, 0, 0)), ("damaged snappy", H2, broken, ("bad", (400,), 0, 0, 0)),
                   ("damaged protobuf", H2, snappy(b"\x2a\xff\xff\xff\xff"), ("bad", (400,), 0, 0, 0)), ("empty body", H2, b"", ("bad", (400,), 0, 0, 0)),
                   ("framed snappy", H2, b"\xff\x06\x00\x00sNaPpY" + body, ("bad", (400,), 0, 0, 0)), ("huge declared length", H2, uv(1 << 40) + body[1:], ("bad", (400, 413), 0, 0, 0)),
                   ("quoted proto parameter", hd(Content_Type='application/x-protobuf; proto="io.prometheus.write.v2.Request"'), snappy(v2([S(L("hdrq"))])), ("ok", 1, 0, 0)),
                   ("no version header", hd(X_Prometheus_Remote_Write_Version=None), snappy(v2([S(L("hdrv"))])), ("ok", 1, 0, 0)),
                   ("empty request", H2, snappy(v2([])), ("ok", 0, 0, 0)), ("wrong method GET", "GET", body, ("bad", (405, 404, 400), 0, 0, 0))):
    C.append(("MUST", "http/" + n, h, b, e))
w1 = [S(L("v1a", job="x")), S(L("v1b"), 2.0), HS(L("v1h")), S(L("v1e"), 1.0, ex=EX(trace_id="x"))]
C.append(("MAY", "v1/plain request", H1, snappy(v1(w1, [(1, RUN + "_v1a", "help", "")])), ("v1",)))
C.append(("MAY", "v1/with proto parameter", dict(H1, **{"Content-Type": "application/x-protobuf;proto=prometheus.WriteRequest"}), snappy(v1([S(L("v1c"))])), ("v1",)))
C.append(("MAY", "v1/damaged snappy", H1, b"\xff" + snappy(v1([S(L("v1d"))]))[1:], ("bad", (400,), 0, 0, 0)))


def judge(exp, code, hdr, text, lenient):
    w = [hdr.get("x-prometheus-remote-write-%s-written" % k) for k in ("samples", "histograms", "exemplars")]
    n = [int(x) if x and x.isdigit() else 0 for x in w]
    if exp[0] == "v1":
        return (None, "" if code == 204 else "note: not 204") if code // 100 == 2 else ("code %d: %s" % (code, text[:80]), "")
    if exp[0] == "ok":
        if code // 100 == 2:
            if all(x is None for x in w) and sum(exp[1:]):
                return "2xx without Written headers (a 1.0 receiver)", ""
            return (None if n == list(exp[1:]) else "written %s, expected %s" % (n, list(exp[1:]))), "" if code == 204 else "note: %d, not 204" % code
        return (None, "note: 400 where success was expected") if lenient and code == 400 else ("code %d: %s" % (code, text[:120]), "")
    if code not in exp[1]:
        return "code %d, expected %s: %s" % (code, "/".join(map(str, exp[1])), text[:80]), ""
    for got, want in zip(n, exp[2:]):
        if want is not None and got != want:
            return "written %s, expected %s" % (n, list(exp[2:])), ""
    return None, "" if text.strip() else "note: no error message in the body"


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("url")
    ap.add_argument("--header", action="append", default=[])
    ap.add_argument("--only", default="")
    ap.add_argument("--lenient", action="store_true")
    ap.add_argument("--no-v1", action="store_true")
    a = ap.parse_args()
    extra = dict(map(str.strip, h.split(":", 1)) for h in a.header)
    good_ = total = 0
    for level, name, h, b, exp in C:
        if a.only not in name or (a.no_v1 and name.startswith("v1/")):
            continue
        total += 1
        try:
            code, hdr, text = post(a.url, b, dict(H2 if h == "GET" else h, **extra), "GET" if h == "GET" else "POST")
            err, note = judge(exp, code, hdr, text, a.lenient)
        except Exception as e:
            err, note = "%s: %s" % (type(e).__name__, e), ""
        good_ += err is None
        if err or note:
            print("%-6s %-6s %s: %s" % ("FAILED" if err else "ok", level, name, err or note))
    print("%d of %d passed" % (good_, total))
    return good_ != total


if __name__ == "__main__":
    sys.exit(main())
