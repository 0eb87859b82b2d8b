package truth

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// TestProjected compares what is projected to level Metadata with what an API server wrote at that
// level. The two files hold one line of every kind of request and every form that it took in two
// recordings of one plan, one at each level; reviews are left out, for their names changed in between.
func TestProjected(t *testing.T) {
	full := forms(t, "testdata/levels/requestresponse.jsonl.zst", LevelMetadata)
	logged := forms(t, "testdata/levels/metadata.jsonl.zst", "")
	compared := 0
	for kind, projected := range full {
		if logged[kind] == nil {
			continue
		}
		compared++
		if !maps.Equal(projected, logged[kind]) {
			t.Errorf("%s\n  projected: %s\n  recorded:  %s", kind,
				strings.Join(slices.Sorted(maps.Keys(projected)), "\n             "), strings.Join(slices.Sorted(maps.Keys(logged[kind])), "\n             "))
		}
	}
	if compared < 400 {
		t.Errorf("only %d kinds of requests occur in both files", compared)
	}
}

// forms are, by kind of request, the forms of its lines: which keys they have, in which order. The
// lines are projected to a level first, if one is given.
func forms(t *testing.T, file, level string) map[string]map[string]bool {
	t.Helper()
	all := make(map[string]map[string]bool)
	err := EachLine(file, func(line []byte) error {
		if level != "" {
			var err error
			if line, err = appendAtLevel(nil, line, level); err != nil {
				return err
			}
		}
		var l auditLine
		var parts struct {
			Level       string         `json:"level"`
			Ref         jsontext.Value `json:"objectRef"`
			Annotations jsontext.Value `json:"annotations"`
			Response    jsontext.Value `json:"responseStatus"`
		}
		if err := json.Unmarshal(line, &l, lenient); err != nil {
			return err
		}
		if err := json.Unmarshal(line, &parts, lenient); err != nil {
			return err
		}
		q := Request{User: l.User.Username}
		kind := fmt.Sprintf("%s %s %s.%s/%s %s %d", q.worker(), l.Verb, l.Ref.Resource, l.Ref.Group, l.Ref.Subresource, l.Stage, l.Response.Code)
		annotations := keys(parts.Annotations)
		slices.Sort(annotations)
		form := fmt.Sprintf("%s %v objectRef %v annotations %v responseStatus %v", parts.Level, keys(line), keys(parts.Ref), annotations, keys(parts.Response))
		if all[kind] == nil {
			all[kind] = make(map[string]bool)
		}
		all[kind][form] = true
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// keys are the names in a JSON object, in their order.
func keys(object []byte) []string {
	var list []string
	dec := jsontext.NewDecoder(strings.NewReader(string(object)))
	if _, err := dec.ReadToken(); err != nil {
		return nil
	}
	for dec.PeekKind() == '"' {
		token, err := dec.ReadToken()
		if err != nil {
			return nil
		}
		list = append(list, token.String())
		if dec.SkipValue() != nil {
			return nil
		}
	}
	return list
}
