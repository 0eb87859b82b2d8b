package dataset

import (
	"slices"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"k8ntext/dataset/audit"
)

func TestAtLevel(t *testing.T) {
	event := func(level string) *audit.Event {
		return &audit.Event{Level: level, RequestObject: jsontext.Value(`{}`), ResponseObject: jsontext.Value(`{}`)}
	}
	for _, test := range []struct {
		is, to, want      string
		request, response bool
	}{
		{"RequestResponse", "RequestResponse", "RequestResponse", true, true},
		{"RequestResponse", "Request", "Request", true, false},
		{"RequestResponse", "Metadata", "Metadata", false, false},
		{"Request", "Request", "Request", true, true}, // is what it says: nothing to do
		{"Metadata", "Request", "Metadata", true, true},
		{"", "Metadata", "Metadata", false, false},
	} {
		e := event(test.is)
		c := &Corpus{Events: []*audit.Event{e, e}}
		low := c.AtLevel(test.to, []int32{1})
		got := low.Events[1]
		if got.Level != test.want || (got.RequestObject != nil) != test.request || (got.ResponseObject != nil) != test.response {
			t.Errorf("%q at level %s: level %q, request %s, response %s", test.is, test.to, got.Level, got.RequestObject, got.ResponseObject)
		}
		if low.Events[0] != e || c.Events[1] != e || e.Level != test.is || e.ResponseObject == nil {
			t.Errorf("%q at level %s: another event changed, or the corpus did", test.is, test.to)
		}
	}
}

func TestShorter(t *testing.T) {
	s := &Split{
		Protocol: "blocked", Length: 3, Sequences: [][]int32{upTo(0, 10), upTo(12, 22), upTo(30, 31), upTo(40, 45)},
		FitEvents: append(append(upTo(0, 10), upTo(12, 22)...), 30),
	}
	for i := range 3 {
		s.Train = slide(s.Train, s.Sequences, i, s.Length, 1)
	}
	s.Test = slide(nil, s.Sequences, 3, s.Length, 1)
	if got := s.Shorter(1); got != s {
		t.Error("all of it is another split")
	}
	half := s.Shorter(.5)
	want := append(append(upTo(0, 5), upTo(12, 17)...), 30)
	if got := half.TrainEvents(); !slices.Equal(got, want) || !slices.Equal(half.FitEvents, want) {
		t.Errorf("half is trained on %v, vocabularies on %v, want %v", got, half.FitEvents, want)
	}
	if !slices.Equal(half.TestEvents(), s.TestEvents()) || len(s.TrainEvents()) != 21 {
		t.Error("the test part or the split itself changed")
	}

	paper := &Split{Protocol: "paper", Length: 3, Sequences: s.Sequences, Train: s.Train, FitEvents: s.FitEvents}
	if got := paper.Shorter(.25); !slices.Equal(got.Train, s.Train[:len(s.Train)/4]) || len(got.FitEvents) != 21 {
		t.Errorf("a quarter of %d shuffled windows is %d, with vocabularies of %d events", len(s.Train), len(got.Train), len(got.FitEvents))
	}
}
