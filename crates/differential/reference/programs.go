//go:build programs

// Package reference names the programs that scripts/reference-prometheus builds, so that Go keeps their modules.
package reference

import (
	_ "github.com/prometheus/prometheus/cmd/prometheus"
	_ "github.com/prometheus/prometheus/cmd/promtool"
)
