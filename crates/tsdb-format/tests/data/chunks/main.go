// Prints chunks that Prometheus' own library packs, with the samples that it reads from them again.
package main

import (
	"fmt"
	"math"
	"math/rand"
	"os"
	"strings"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func bits(v float64) string { return fmt.Sprintf("%016x", math.Float64bits(v)) }

func spans(ss []histogram.Span) string {
	out := []string{}
	for _, s := range ss {
		out = append(out, fmt.Sprintf("%d+%d", s.Offset, s.Length))
	}
	return strings.Join(out, ",")
}

func ints(vs []int64) string {
	out := []string{}
	for _, v := range vs {
		out = append(out, fmt.Sprint(v))
	}
	return strings.Join(out, ",")
}

func floats(vs []float64) string {
	out := []string{}
	for _, v := range vs {
		out = append(out, bits(v))
	}
	return strings.Join(out, ",")
}

func hint(h histogram.CounterResetHint) string {
	return []string{"unknown", "reset", "not-reset", "gauge"}[h]
}

func print(name string, c chunkenc.Chunk) {
	fmt.Printf("chunk %s %d %x\n", name, c.Encoding(), c.Bytes())
	it := c.Iterator(nil)
	for {
		switch it.Next() {
		case chunkenc.ValNone:
			check(it.Err())
			return
		case chunkenc.ValFloat:
			t, v := it.At()
			fmt.Printf("%d %s\n", t, bits(v))
		case chunkenc.ValHistogram:
			t, h := it.AtHistogram(nil)
			if value.IsStaleNaN(h.Sum) {
				fmt.Printf("%d stale\n", t)
				continue
			}
			fmt.Printf("%d schema=%d threshold=%s zero=%d count=%d sum=%s positive=%s negative=%s up=%s down=%s custom=%s hint=%s\n", t, h.Schema, bits(h.ZeroThreshold),
				h.ZeroCount, h.Count, bits(h.Sum), spans(h.PositiveSpans), spans(h.NegativeSpans), ints(h.PositiveBuckets), ints(h.NegativeBuckets), floats(h.CustomValues), hint(h.CounterResetHint))
		case chunkenc.ValFloatHistogram:
			t, h := it.AtFloatHistogram(nil)
			if value.IsStaleNaN(h.Sum) {
				fmt.Printf("%d stale\n", t)
				continue
			}
			fmt.Printf("%d schema=%d threshold=%s zero=%s count=%s sum=%s positive=%s negative=%s up=%s down=%s custom=%s hint=%s\n", t, h.Schema, bits(h.ZeroThreshold),
				bits(h.ZeroCount), bits(h.Count), bits(h.Sum), spans(h.PositiveSpans), spans(h.NegativeSpans), floats(h.PositiveBuckets), floats(h.NegativeBuckets), floats(h.CustomValues), hint(h.CounterResetHint))
		}
	}
}

var stale = math.Float64frombits(value.StaleNaN)

type start func(i int, t int64) int64

func never(int, int64) int64 { return 0 }
func constant(int, int64) int64 { return 1_700_000_000_000 }
func restarts(i int, t int64) int64 {
	if i < 7 {
		return 0
	}
	return t - t%900_000 - 3
}
func late(i int, t int64) int64 {
	if i > 131 {
		return t - 5
	}
	return 0
}

func floatChunk(name string, c chunkenc.Chunk, n int, st start, v func(int) float64, jitter int64, r *rand.Rand) {
	app, err := c.Appender()
	check(err)
	t := int64(1_700_000_000_000)
	for i := 0; i < n; i++ {
		t += 15_000
		if jitter > 0 {
			t += r.Int63n(jitter) - jitter/2
		}
		app.Append(st(i, t), t, v(i))
	}
	print(name, c)
}

func histogramAt(i int, custom, gauge bool) *histogram.Histogram {
	k := int64(i)
	h := &histogram.Histogram{
		Schema: 1, ZeroThreshold: 0.001, ZeroCount: uint64(k), Sum: 1.5 * float64(i*i),
		PositiveSpans: []histogram.Span{{Offset: -1, Length: 2}, {Offset: 3, Length: 1}}, PositiveBuckets: []int64{k, 1, k},
		NegativeSpans: []histogram.Span{{Offset: 2, Length: 1}}, NegativeBuckets: []int64{2 * k},
	}
	if custom {
		h.Schema, h.ZeroThreshold, h.ZeroCount = -53, 0, 0
		h.NegativeSpans, h.NegativeBuckets = nil, nil
		h.PositiveSpans = []histogram.Span{{Offset: 0, Length: 2}, {Offset: 1, Length: 1}}
		h.CustomValues = []float64{0.005, 0.1, 1, 2.5, 33554.43, 1e9}
	}
	if gauge {
		h.CounterResetHint = histogram.GaugeType
		h.PositiveBuckets[0] = 40 - k%11
	}
	sum, run := uint64(0), int64(0)
	for _, d := range h.PositiveBuckets {
		run += d
		sum += uint64(run)
	}
	run = 0
	for _, d := range h.NegativeBuckets {
		run += d
		sum += uint64(run)
	}
	h.Count = sum + h.ZeroCount
	return h
}

func histogramChunk(name string, c chunkenc.Chunk, n int, st start, custom, gauge, asFloat, startStale, endStale bool) {
	app, err := c.Appender()
	check(err)
	t := int64(1_700_000_000_000)
	for i := 0; i < n; i++ {
		t += 15_000 + int64(i%3)
		h := histogramAt(i+3, custom, gauge)
		if startStale || (endStale && i >= n-2) {
			h = &histogram.Histogram{Sum: stale, CounterResetHint: h.CounterResetHint}
		}
		var next chunkenc.Chunk
		if asFloat {
			_ = startStale
			fh := h.ToFloat(nil)
			next, _, app, err = app.AppendFloatHistogram(nil, st(i, t), t, fh, true)
		} else {
			next, _, app, err = app.AppendHistogram(nil, st(i, t), t, h, true)
		}
		check(err)
		if next != nil {
			panic("new chunk: " + name)
		}
	}
	print(name, c)
}

func main() {
	r := rand.New(rand.NewSource(1))
	values := map[string]func(int) float64{
		"constant": func(int) float64 { return 42 },
		"counter":  func(i int) float64 { return float64(1_000_000 + 7*i) },
		"random":   func(int) float64 { return r.NormFloat64() },
		"stale": func(i int) float64 {
			if i%5 == 0 || i == 11 {
				return stale
			}
			return float64(i / 3)
		},
		"odd": func(i int) float64 {
			return []float64{math.NaN(), math.Inf(1), math.Inf(-1), math.Copysign(0, -1), 0, math.MaxFloat64, 5e-324}[i%7]
		},
	}
	starts := map[string]start{"never": never, "constant": constant, "restarts": restarts, "late": late}
	for _, v := range []string{"constant", "counter", "random", "stale", "odd"} {
		for _, s := range []string{"never", "constant", "restarts", "late"} {
			for _, jitter := range []int64{0, 10, 9000, 4_000_000} {
				if (s == "late" || jitter > 9000) && v != "stale" && v != "counter" {
					continue
				}
				n := 24
				if s == "late" {
					n = 136
				}
				floatChunk(fmt.Sprintf("xor2/%s/%s/%d", v, s, jitter), chunkenc.NewXOR2Chunk(), n, starts[s], values[v], jitter, r)
			}
		}
	}
	for _, n := range []int{1, 2, 3} {
		floatChunk(fmt.Sprintf("xor2/short/%d", n), chunkenc.NewXOR2Chunk(), n, constant, values["counter"], 0, r)
		floatChunk(fmt.Sprintf("xor2/short-stale/%d", n), chunkenc.NewXOR2Chunk(), n, restarts, values["stale"], 0, r)
	}
	floatChunk("xor/plain", chunkenc.NewXORChunk(), 40, never, values["random"], 10, r)
	for _, s := range []string{"never", "constant", "restarts", "late"} {
		n := 12
		if s == "late" {
			n = 133
		}
		for _, k := range []struct {
			name                                  string
			custom, gauge, startStale, endStale bool
		}{{name: "counter"}, {name: "custom", custom: true}, {name: "gauge", gauge: true}, {name: "stale", startStale: true}, {name: "ends", endStale: true}} {
			if s == "late" && k.name != "custom" {
				continue
			}
			histogramChunk("histogram/"+k.name+"/"+s, chunkenc.NewHistogramSTChunk(), n, starts[s], k.custom, k.gauge, false, k.startStale, k.endStale)
			histogramChunk("float-histogram/"+k.name+"/"+s, chunkenc.NewFloatHistogramSTChunk(), n, starts[s], k.custom, k.gauge, true, k.startStale, k.endStale)
			if s == "never" {
				histogramChunk("plain-histogram/"+k.name, chunkenc.NewHistogramChunk(), n, never, k.custom, k.gauge, false, k.startStale, k.endStale)
				histogramChunk("plain-float-histogram/"+k.name, chunkenc.NewFloatHistogramChunk(), n, never, k.custom, k.gauge, true, k.startStale, k.endStale)
			}
		}
	}
	fmt.Fprintln(os.Stderr, "done")
}
