package truth

import (
	"bytes"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"
)

// Levels of an audit policy that a recording can be published at.
const (
	LevelRequestResponse = "RequestResponse"
	LevelRequest         = "Request"
	LevelMetadata        = "Metadata"
)

// appendAtLevel appends a line as the API server writes it at a lower level: the level's name in it,
// and without the bodies that the level does not log. Nothing else depends on the level: the server
// fills objectRef from the body, and sets annotations and status, before it asks whether to log bodies
// (k8s.io/apiserver/pkg/audit, LogRequestObject).
func appendAtLevel(dst, line []byte, level string) ([]byte, error) {
	dec := jsontext.NewDecoder(bytes.NewBuffer(line), lenient)
	if _, err := dec.ReadToken(); err != nil {
		return nil, fmt.Errorf("read the line's object: %w", err)
	}
	dst = append(dst, '{')
	first := true
	for dec.PeekKind() == '"' {
		token, err := dec.ReadToken()
		if err != nil {
			return nil, fmt.Errorf("read a key: %w", err)
		}
		key := token.String()
		value, err := dec.ReadValue()
		if err != nil {
			return nil, fmt.Errorf("read the value of %s: %w", key, err)
		}
		switch {
		case key == "responseObject" && level != LevelRequestResponse,
			key == "requestObject" && level == LevelMetadata:
			continue
		case key == "level":
			value = []byte(`"` + level + `"`)
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst, _ = jsontext.AppendQuote(dst, key)
		dst = append(append(dst, ':'), value...)
	}
	if _, err := dec.ReadToken(); err != nil {
		return nil, fmt.Errorf("read the line's end: %w", err)
	}
	return append(dst, '}'), nil
}
