#!/usr/bin/env python3
"""Independent reader of Prometheus TSDB files (written from their description, apart from our own code, to test it).

  tsdbfmt.py block  DIR [--dump]      check a block: meta.json, index, chunks, tombstones (all CRCs and orderings)
  tsdbfmt.py wal    DIR               check a wal/ or wbl/ or checkpoint.N directory, count records by type
  tsdbfmt.py mmap   DIR               check a chunks_head/ directory
--dump prints '{labels} value timestamp' lines in the style of `promtool tsdb dump`.
"""
import json, os, struct, sys, collections


def _crc_table():
    t = []
    for n in range(256):
        c = n
        for _ in range(8):
            c = (c >> 1) ^ 0x82F63B78 if c & 1 else c >> 1
        t.append(c)
    return t


try:
    import crc32c as _c                      # pip install crc32c (optional, fast)
    crc32c = _c.crc32c
except Exception:
    _T = _crc_table()

    def crc32c(b, c=0):
        c ^= 0xFFFFFFFF
        for x in b:
            c = _T[(c ^ x) & 0xFF] ^ (c >> 8)
        return c ^ 0xFFFFFFFF


class Buf:
    def __init__(s, b, p=0):
        s.b, s.p = b, p

    def u8(s):
        s.p += 1
        return s.b[s.p - 1]

    def be(s, n):
        s.p += n
        return int.from_bytes(s.b[s.p - n:s.p], "big")

    def f64(s):
        s.p += 8
        return struct.unpack(">d", s.b[s.p - 8:s.p])[0]

    def uv(s):
        x = sh = 0
        while True:
            c = s.u8()
            x |= (c & 0x7F) << sh
            if c < 0x80:
                return x
            sh += 7

    def sv(s):
        u = s.uv()
        return (u >> 1) ^ -(u & 1)

    def s_(s):
        n = s.uv()
        s.p += n
        return s.b[s.p - n:s.p]


class Bits:
    def __init__(s, b, p=0):
        s.v, s.n, s.p = int.from_bytes(b, "big"), len(b) * 8, p * 8

    def r(s, k):
        if s.p + k > s.n:
            raise EOFError
        s.p += k
        return (s.v >> (s.n - s.p)) & ((1 << k) - 1)

    def u8(s):
        return s.r(8)

    uv, sv = Buf.uv, Buf.sv

    def f64(s):
        return struct.unpack(">d", s.r(64).to_bytes(8, "big"))[0]


def sext(v, k):            # value range is -(2^(k-1)-1) .. 2^(k-1)
    return v - (1 << k) if v > (1 << (k - 1)) else v


def ts_dod(b):
    for size in (None, 14, 17, 20):
        if not b.r(1):
            return 0 if size is None else sext(b.r(size), size)
    x = b.r(64)
    return x - (1 << 64) if x >> 63 else x


VB = (None, 3, 6, 9, 12, 18, 25, 56)


def vint(b, signed=True):
    for size in VB:
        if not b.r(1):
            if size is None:
                return 0
            v = b.r(size)
            return sext(v, size) if signed else v
    x = b.r(64)
    return x - (1 << 64) if signed and x >> 63 else x


class Xor:
    def __init__(s, first):
        s.v = struct.unpack(">Q", struct.pack(">d", first))[0]
        s.lead = s.trail = 0

    def f(s):
        return struct.unpack(">d", struct.pack(">Q", s.v))[0]

    def next(s, b):
        if b.r(1):
            if b.r(1):
                s.lead = b.r(5)
                n = b.r(6) or 64
                s.trail = 64 - s.lead - n
            n = 64 - s.lead - s.trail
            s.v ^= b.r(n) << s.trail
        return s.f()


def dec_xor(data):
    b = Bits(data)
    n = b.r(16)
    if not n:
        return []
    t, v = b.sv(), b.f64()
    out, x, d = [(t, v)], Xor(v), 0
    for i in range(1, n):
        d = b.uv() if i == 1 else d + ts_dod(b)
        t += d
        out.append((t, x.next(b)))
    assert b.n - b.p <= 8, "trailing bytes"
    return out


def hist_layout(b):
    z = b.u8()
    zt = 0.0 if z == 0 else b.f64() if z == 255 else 2.0 ** (z - 243 - 1)
    schema = vint(b)
    spans = []
    for _ in range(2):
        spans.append([(vint(b, False), vint(b)) for _ in range(vint(b, False))])   # (length, offset)
    cv = []
    if schema == -53:
        for _ in range(vint(b, False)):
            p = b.p
            if not b.r(1):
                cv.append(b.f64())
            else:
                b.p = p
                cv.append((vint(b, False) - 1) / 1000)
    return zt, schema, spans[0], spans[1], cv


def dec_hist(data, is_float):
    b = Bits(data)
    n, flags = b.r(16), b.u8()
    if not n:
        return [], flags
    zt, schema, ps, ns, cv = hist_layout(b)
    np_, nn = sum(l for l, _ in ps), sum(l for l, _ in ns)
    out = []
    t = td = 0
    for i in range(n):
        if i == 0:
            t = vint(b)
            if is_float:
                c, z = Xor(b.f64()), Xor(b.f64())
                s = Xor(b.f64())
                bk = [Xor(b.f64()) for _ in range(np_ + nn)]
            else:
                c, z = vint(b, False), vint(b, False)
                s = Xor(b.f64())
                bk = [vint(b) for _ in range(np_ + nn)]
                dl = [0] * (np_ + nn)
                cd = zd = 0
        else:
            td += vint(b)
            t += td
            if is_float:
                c.next(b), z.next(b), s.next(b)
                if s.v != 0x7ff0000000000002:
                    [x.next(b) for x in bk]
            else:
                cd += vint(b)
                c += cd
                zd += vint(b)
                z += zd
                s.next(b)
                stale = s.v == 0x7ff0000000000002
                if not stale:
                    for k in range(np_ + nn):
                        dl[k] += vint(b)
                        bk[k] += dl[k]
        if is_float:
            cnt, zc, bs = c.f(), z.f(), [x.f() for x in bk]
            pb, nb = bs[:np_], bs[np_:]
        else:
            cnt, zc = c, z
            pb, nb, a = [], [], 0
            for k in range(np_):
                a += bk[k]
                pb.append(a)
            a = 0
            for k in range(np_, np_ + nn):
                a += bk[k]
                nb.append(a)
        out.append((t, dict(schema=schema, zt=zt, count=cnt, zero=zc, sum=s.f(), ps=ps, ns=ns, pb=pb, nb=nb, cv=cv)))
    assert b.n - b.p <= 8, "trailing bytes %d" % (b.n - b.p)
    return out, flags >> 6


def decode(enc, data):
    if enc == 1:
        return dec_xor(data)
    if enc in (2, 3):
        return dec_hist(data, enc == 3)[0]
    return None              # 4..6: XOR2 and ST histograms; 255: Thanos AggrChunk; not decoded here


def section(b, off):
    n = int.from_bytes(b[off:off + 4], "big")
    body = b[off + 4:off + 4 + n]
    assert len(body) == n, "short section"
    assert crc32c(body) == int.from_bytes(b[off + 4 + n:off + 8 + n], "big"), "crc of section at %d" % off
    return body, off + 8 + n


class Index:
    def __init__(s, path):
        s.b = b = open(path, "rb").read()
        assert b[:4] == b"\xba\xaa\xd7\x00" and b[4] in (1, 2), "index magic/version"
        s.version = b[4]
        assert s.version == 2, "index format v1 is not read by this script"
        toc = b[-52:]
        assert crc32c(toc[:48]) == int.from_bytes(toc[48:], "big"), "toc crc"
        s.toc = dict(zip(("symbols", "series", "label_indices", "label_table", "postings", "postings_table"), struct.unpack(">6Q", toc[:48])))
        body, _ = section(b, s.toc["symbols"])
        r = Buf(body)
        s.sym = [r for r in (lambda q: [q.s_() for _ in range(q.be(4))])(r)]
        assert r.p == len(body) and s.sym == sorted(set(s.sym)), "symbols not sorted or unique"
        s.series = {}
        p, end = s.toc["series"], s.toc["label_indices"] or s.toc["postings"]
        prev_l, prev_ref = None, -1
        while p < end:
            p = (p + 15) // 16 * 16
            if p >= end or b[p] == 0:
                break
            q = Buf(b, p)
            n = q.uv()
            body = b[q.p:q.p + n]
            assert crc32c(body) == int.from_bytes(b[q.p + n:q.p + n + 4], "big"), "series crc"
            nxt = q.p + n + 4
            q = Buf(body)
            ls = [(s.sym[q.uv()], s.sym[q.uv()]) for _ in range(q.uv())]
            assert ls == sorted(ls) and len({a for a, _ in ls}) == len(ls), "labels not sorted"
            assert prev_l is None or prev_l < ls, "series not sorted"
            ch = []
            for i in range(q.uv()):
                if i == 0:
                    mint = q.sv()
                    maxt = mint + q.uv()
                    ref = q.uv()
                else:
                    mint = maxt + q.uv()
                    maxt = mint + q.uv()
                    ref += q.sv()
                assert ref > prev_ref, "chunk refs not increasing"
                prev_ref = ref
                ch.append((mint, maxt, ref))
            assert q.p == len(body), "bytes left in series"
            s.series[p // 16 if s.version == 2 else p] = (ls, ch)
            prev_l, p = ls, nxt
        s.postings = {}
        body, _ = section(b, s.toc["postings_table"])
        q = Buf(body)
        keys = []
        for _ in range(q.be(4)):
            assert q.uv() == 2
            k = (q.s_(), q.s_())
            off = q.uv()
            keys.append(k)
            pb, _ = section(b, off)
            r = Buf(pb)
            refs = [r.be(4) for _ in range(r.be(4))]
            assert r.p == len(pb) and refs == sorted(refs), "postings"
            s.postings[k] = refs
        assert q.p == len(body) and keys == sorted(keys), "postings table order"
        want = collections.defaultdict(list)
        for ref, (ls, _) in s.series.items():
            want[b"", b""].append(ref)
            for l in ls:
                want[l].append(ref)
        assert s.postings == dict(want), "postings do not match the series"
        s.label_idx = 0
        # since Prometheus 3.x the label indices are no longer written: both tables then share one offset
        if s.toc["label_table"] and s.toc["label_table"] != s.toc["postings_table"]:
            body, _ = section(b, s.toc["label_table"])
            q = Buf(body)
            n = q.be(4)
            for _ in range(n):
                assert q.uv() == 1
                q.s_()
                section(b, q.uv())
            s.label_idx = n


def block(d, dump):
    meta = json.load(open(d + "/meta.json"))
    ix = Index(d + "/index")
    segs = {}
    for f in sorted(os.listdir(d + "/chunks")):
        b = open(d + "/chunks/" + f, "rb").read()
        assert b[:8] == b"\x85\xbd\x40\xdd\x01\0\0\0", "chunk segment header"
        segs[int(f) - 1] = b
    n = dict(chunks=0, samples=0, hist=0)
    enc = collections.Counter()
    lo, hi = 1 << 62, -1 << 62
    for ref, (ls, ch) in sorted(ix.series.items()):
        pm = None
        for mint, maxt, cref in ch:
            assert mint <= maxt and (pm is None or mint > pm), "chunk time order"
            pm = maxt
            q = Buf(segs[cref >> 32], cref & 0xFFFFFFFF)
            ln = q.uv()
            body = q.b[q.p:q.p + 1 + ln]
            assert crc32c(body) == int.from_bytes(q.b[q.p + 1 + ln:q.p + 5 + ln], "big"), "chunk crc"
            smp = decode(body[0], body[1:])
            enc[body[0]] += 1
            n["chunks"] += 1
            if smp is None:
                continue
            assert smp[0][0] == mint and smp[-1][0] == maxt, "chunk meta times"
            assert all(a[0] < b_[0] for a, b_ in zip(smp, smp[1:])), "sample order"
            n["samples"] += len(smp)
            n["hist"] += len(smp) if body[0] in (2, 3, 5, 6) else 0
            lo, hi = min(lo, mint), max(hi, maxt)
            if dump:
                l = ", ".join('%s="%s"' % (a.decode(), b_.decode()) for a, b_ in ls)
                for t, v in smp:
                    print("{%s} %s %d" % (l, v if isinstance(v, dict) else repr(float(v)), t))
    tb = open(d + "/tombstones", "rb").read() if os.path.exists(d + "/tombstones") else None
    ts = 0
    if tb is not None:
        assert tb[:5] == b"\x01\x30\xba\x30\x01" and crc32c(tb[5:-4]) == int.from_bytes(tb[-4:], "big"), "tombstones"
        q = Buf(tb[5:-4])
        while q.p < len(q.b):
            q.uv(), q.sv(), q.sv()
            ts += 1
    st = meta.get("stats", {})
    assert st.get("numSeries", 0) == len(ix.series) and st.get("numChunks", 0) == n["chunks"], "stats"
    if lo <= hi:
        assert meta["minTime"] <= lo and hi < meta["maxTime"], "time range"
    if not dump:
        print(os.path.basename(d.rstrip("/")), "ok: index v%d, %d symbols, %d series, %d postings lists, %d label indices, chunks by encoding %s, %d samples (%d histograms), %d tombstones, meta %s"
              % (ix.version, len(ix.sym), len(ix.series), len(ix.postings), ix.label_idx, dict(enc), n["samples"], n["hist"], ts, st))
        print("  toc", ix.toc, "size", len(ix.b))


RT = {1: "series", 2: "samples", 3: "tombstones", 4: "exemplars", 5: "mmap markers", 6: "metadata", 7: "int histograms", 8: "float histograms",
      9: "NHCB int", 10: "NHCB float", 11: "samples v2", 12: "int histograms v2", 13: "float histograms v2"}


def unsnappy(b):
    q = Buf(b)
    n, out = q.uv(), bytearray()
    while q.p < len(b):
        tag = q.u8()
        k = tag & 3
        if k == 0:
            ln = tag >> 2
            if ln >= 60:
                w = ln - 59
                ln = int.from_bytes(b[q.p:q.p + w], "little")
                q.p += w
            ln += 1
            out += b[q.p:q.p + ln]
            q.p += ln
            continue
        if k == 1:
            ln, off = 4 + ((tag >> 2) & 7), ((tag >> 5) << 8) | q.u8()
        else:
            w = 2 if k == 2 else 4
            ln, off = (tag >> 2) + 1, int.from_bytes(b[q.p:q.p + w], "little")
            q.p += w
        for _ in range(ln):
            out.append(out[-off])
    assert len(out) == n
    return bytes(out)


def wal(d):
    cnt, items, flags = collections.Counter(), collections.Counter(), collections.Counter()
    segs = sorted(f for f in os.listdir(d) if f.isdigit())
    for f in segs:
        b = open(d + "/" + f, "rb").read()
        p, rec, comp = 0, b"", 0
        while p < len(b):
            left = 32768 - p % 32768
            typ = b[p]
            if typ & 7 == 0:                          # rest of the page is zero
                assert not any(b[p:p + left]), "non-zero padding"
                p += left
                continue
            ln, crc = int.from_bytes(b[p + 1:p + 3], "big"), int.from_bytes(b[p + 3:p + 7], "big")
            frag = b[p + 7:p + 7 + ln]
            if len(frag) < ln:
                print("  torn record at end of", f)
                break
            assert 7 + ln <= left and crc32c(frag) == crc, "record crc in %s at %d" % (f, p)
            flags[typ >> 3] += 1
            k = typ & 7
            rec = frag if k in (1, 2) else rec + frag
            p += 7 + ln
            if k in (1, 4):
                r = unsnappy(rec) if typ & 8 else rec
                if typ & 16:
                    cnt["zstd record"] += 1
                    continue
                cnt[RT.get(r[0], r[0])] += 1
                q = Buf(r, 1)
                if r[0] == 1:
                    while q.p < len(r):
                        q.be(8)
                        for _ in range(q.uv()):
                            q.s_(), q.s_()
                        items["series"] += 1
                elif r[0] == 2 and len(r) > 1:
                    q.be(8), q.be(8)
                    while q.p < len(r):
                        q.sv(), q.sv(), q.be(8)
                        items["samples"] += 1
                elif r[0] == 6:
                    while q.p < len(r):
                        q.uv(), q.u8()
                        for _ in range(q.uv()):
                            q.s_(), q.s_()
                        items["metadata"] += 1
                elif r[0] in (7, 8, 9, 10) and len(r) > 1:
                    fl = r[0] in (8, 10)
                    q.be(8), q.be(8)
                    while q.p < len(r):
                        q.sv(), q.sv(), q.u8(), q.sv(), q.f64()
                        (q.f64(), q.f64()) if fl else (q.uv(), q.uv())
                        q.f64()
                        for _ in range(2):
                            for _ in range(q.uv()):
                                q.sv(), q.uv()
                        for _ in range(2):
                            for _ in range(q.uv()):
                                q.f64() if fl else q.sv()
                        if r[0] in (9, 10):
                            [q.f64() for _ in range(q.uv())]
                        items["histograms"] += 1
                elif r[0] == 4 and len(r) > 1:
                    q.be(8), q.be(8)
                    while q.p < len(r):
                        q.sv(), q.sv(), q.be(8)
                        for _ in range(q.uv()):
                            q.s_(), q.s_()
                        items["exemplars"] += 1
    print(d, "ok: segments", segs, "records", dict(cnt), "items", dict(items), "flag bits (type>>3)", dict(flags))


def mmap(d):
    n, e, ooo = 0, collections.Counter(), 0
    for f in sorted(os.listdir(d)):
        b = open(d + "/" + f, "rb").read()
        if not b:
            continue
        assert b[:8] == b"\x01\x30\xbc\x91\x01\0\0\0", "head chunk header"
        p = 8
        while p + 25 < len(b):
            q = Buf(b, p)
            ref, mint, maxt, enc = q.be(8), q.be(8), q.be(8), q.u8()
            if ref == 0 and mint == 0:
                break
            ln = q.uv()
            end = q.p + ln
            assert crc32c(b[p:end]) == int.from_bytes(b[end:end + 4], "big"), "head chunk crc"
            ooo += enc >> 7
            s = decode(enc & 0x7F, b[q.p:end])
            assert s is None or (s[0][0] == mint and s[-1][0] == maxt)
            n += 1
            e[enc] += 1
            p = end + 4
    print(d, "ok:", n, "chunks, encodings", dict(e), "out of order", ooo)


if __name__ == "__main__":
    c, d = sys.argv[1], sys.argv[2]
    {"block": lambda: block(d, "--dump" in sys.argv), "wal": lambda: wal(d), "mmap": lambda: mmap(d)}[c]()
