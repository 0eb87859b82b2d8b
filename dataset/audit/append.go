package audit

import (
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// AppendJSON appends the event's raw object with one member more, key: value, as one line of JSON
// without a newline. A member of that name that is there already is replaced. The event must have
// been read with Options.KeepRaw; value is marshalled with sorted keys.
func AppendJSON(dst []byte, e *Event, key string, value any) ([]byte, error) {
	if e.Raw == nil {
		return dst, fmt.Errorf("adding %q to event %s: its raw line was not kept (Options.KeepRaw)", key, shorten(e.AuditID))
	}
	member, err := json.Marshal(value, json.Deterministic(true))
	if err != nil {
		return dst, fmt.Errorf("adding %q to an event: %w", key, err)
	}
	name, err := jsontext.AppendQuote(nil, key)
	if err != nil {
		return dst, fmt.Errorf("adding %q to an event: %w", key, err)
	}
	start := len(dst)
	out := object(dst, e.Raw, func(name, _ []byte) bool { return unquote(name) != key })
	if out == nil {
		return dst[:start], errors.New("adding to an event: its raw line is no JSON object")
	}
	out = out[:len(out)-1]
	if len(out) > start+1 {
		out = append(out, ',')
	}
	out = append(out, name...)
	out = append(out, ':')
	out = append(out, member...)
	return append(out, '}'), nil
}
