package audit_test

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"k8ntext/dataset/audit"
)

func ExampleReader() {
	const log = `{"auditID":"1","stage":"RequestReceived","verb":"delete","requestURI":"/api/v1/namespaces/shop","requestReceivedTimestamp":"2026-03-01T12:00:00Z"}
E0301 12:00:00 not an event
{"auditID":"1","stage":"ResponseComplete","verb":"delete","requestURI":"/api/v1/namespaces/shop","requestReceivedTimestamp":"2026-03-01T12:00:00Z","responseStatus":{"code":200}}
`
	r := audit.NewReader(strings.NewReader(log), "audit.log", audit.Options{KeepRaw: true})
	for {
		rec, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			fmt.Println(err)
			return
		}
		if rec.Problem != nil {
			fmt.Println(rec.Problem)
			continue
		}
		e := rec.Event
		fmt.Println(e.Verb, e.RequestURI, e.ResponseStatus.Code, len(e.Stages), "stages")
		line, err := audit.AppendJSON(nil, e, "note", "seen")
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("...%s\n", line[len(line)-45:])
	}
	// Output:
	// audit.log:2: not JSON: at byte 0
	// delete /api/v1/namespaces/shop 200 2 stages
	// ...,"responseStatus":{"code":200},"note":"seen"}
}
