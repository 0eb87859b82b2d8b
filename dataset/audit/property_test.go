package audit

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// drawLog makes the raw lines of a few requests, in the order in which a server logs them. Receive
// times differ, so that the order of events is decided.
func drawLog(t *rapid.T) (lines []string, requests int) {
	type logged struct {
		text string
		at   time.Time
	}
	var all []logged
	requests = rapid.IntRange(1, 12).Draw(t, "requests")
	for i := range requests {
		r := newRequest(rapid.SampledFrom([]string{"", "same", fmt.Sprint(i)}).Draw(t, "id"), time.Duration(i)*time.Second+time.Duration(i)*time.Microsecond)
		r.verb = rapid.SampledFrom([]string{"watch", "get", "create"}).Draw(t, "verb")
		r.user = rapid.SampledFrom([]string{"alice", "grüß\u2028", "system:node:n1"}).Draw(t, "user")
		took := time.Duration(rapid.Int64Range(0, 5e6).Draw(t, "took")) * time.Microsecond
		stages := rapid.SampledFrom([]string{"RC", "RSC", "C", "SC", "R", "RP", "RSSC"}).Draw(t, "stages")
		for j, s := range stages {
			name := map[rune]string{'R': stageReceived, 'S': stageStarted, 'C': stageComplete, 'P': stagePanic}[s]
			after := took * time.Duration(j+1) / time.Duration(len(stages))
			if s == 'R' {
				after = 0
			} else {
				after += time.Duration(j) * time.Microsecond
			}
			all = append(all, logged{r.with(fmt.Sprintf(`"requestObject":{"n":%d}`, i)).stage(name, after), r.received.Add(after)})
		}
	}
	slices.SortStableFunc(all, func(a, b logged) int { return a.at.Compare(b.at) })
	for _, l := range all {
		lines = append(lines, l.text)
	}
	return lines, requests
}

// render is everything that an event says but where it was read.
func render(events []*Event) string {
	var b strings.Builder
	for _, e := range events {
		c := *e
		c.Stages = slices.Clone(e.Stages)
		for i := range c.Stages {
			c.Stages[i].Position = Position{}
		}
		fmt.Fprintf(&b, "%x %+v %+v %s %s %s\n", e.Digest(), c.Stages, c.ObjectRef, c.RequestObject, c.User.Username, c.Raw)
	}
	return b.String()
}

// The stages of every request merge, whatever the order of the lines within the window.
func TestShuffledLinesGiveTheSameEvents(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		lines, requests := drawLog(rt)
		want := read(t, Options{KeepRaw: true}, strings.Join(lines, "\n"))
		if len(want.events) != requests {
			rt.Fatalf("%d events of %d requests:\n%s", len(want.events), requests, strings.Join(lines, "\n"))
		}
		got := read(t, Options{KeepRaw: true}, strings.Join(rapid.Permutation(lines).Draw(rt, "order"), "\n"))
		if render(got.events) != render(want.events) {
			rt.Fatalf("shuffled:\n%s\nin order:\n%s", render(got.events), render(want.events))
		}
	})
}

// However little is held back, a request never becomes two events: stages that come too late are counted.
func TestNarrowWindowsLoseNothing(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		lines, requests := drawLog(rt)
		res := read(t, Options{
			ReorderWindow: time.Duration(rapid.Int64Range(1, 5e9).Draw(rt, "window")),
			MaxHeld:       rapid.IntRange(1, 20_000).Draw(rt, "held"),
		}, strings.Join(lines, "\n"))
		if s := res.summary; len(res.events) != requests || s.Stages+s.Late != int64(len(lines)) {
			rt.Fatalf("%d events of %d requests, %d lines; summary:\n%s", len(res.events), requests, len(lines), s)
		}
	})
}

// How the bytes are packed changes nothing: compression, members, batches, arrays.
func TestPackingChangesNothing(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		lines, _ := drawLog(rt)
		text := strings.Join(lines, "\n") + "\n"
		want := render(read(t, Options{KeepRaw: true}, text).events)
		pack := zip
		if rapid.Bool().Draw(rt, "zstd") {
			pack = zst
		}
		cut := rapid.IntRange(0, len(text)).Draw(rt, "cut")
		again := rapid.IntRange(cut, len(text)).Draw(rt, "cut again")
		for name, data := range map[string]string{
			"members":      pack(t, text[:cut]) + pack(t, text[cut:again]) + pack(t, text[again:]),
			"list":         `{"kind":"EventList","items":[` + strings.Join(lines, ",") + `]}`,
			"array":        "[" + strings.Join(lines, ", ") + "]",
			"array lines":  "[\n" + strings.Join(lines, ",\n") + "\n]",
			"one line":     strings.Join(lines, ""),
			"carriage":     strings.Join(lines, "\r\n"),
			"pretty array": "[\n  " + strings.Join(lines, ",\n  ") + "\n]\n",
		} {
			got := read(t, Options{KeepRaw: true}, data)
			if render(got.events) != want || len(got.problems) > 0 {
				rt.Fatalf("%s: problems %q, events\n%s\nwant\n%s", name, got.kinds(), render(got.events), want)
			}
		}
	})
}

// One damaged line costs at most itself.
func TestDamageIsLocal(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(2, 6).Draw(rt, "lines")
		hit := rapid.IntRange(0, n-1).Draw(rt, "hit")
		var lines, want []string
		for i := range n {
			id := fmt.Sprintf("id%d", i)
			l := newRequest(id, time.Duration(i)*time.Second).done()
			if i == hit {
				at := rapid.IntRange(0, len(l)-1).Draw(rt, "at")
				// Any bytes but a newline, in place of any others.
				junk := strings.ReplaceAll(string(rapid.SliceOfN(rapid.Byte(), 0, 8).Draw(rt, "junk")), "\n", "")
				to := rapid.IntRange(at, len(l)).Draw(rt, "to")
				l = l[:at] + junk + l[to:]
			} else {
				want = append(want, id)
			}
			lines = append(lines, l)
		}
		var got []string
		for _, e := range read(t, Options{}, strings.Join(lines, "\n")).events {
			if e.Stages[0].Position.Line != hit+1 {
				got = append(got, e.AuditID)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			rt.Fatalf("events %v survive damage to line %d, want %v:\n%q", got, hit+1, want, lines[hit])
		}
	})
}
