package query

import (
	"fmt"
	"strings"
	"time"
)

// Table7 are the paper's four queries (its Table 7) for a log of these contexts, from Q0, which asks for
// everything: of the first person that starts a context, and of the middle third of the log's time.
func Table7(contexts []Context) []string {
	var first, last time.Time
	user := ""
	for _, c := range contexts {
		for _, ev := range c.Events {
			if first.IsZero() || ev.RequestReceived.Before(first) {
				first = ev.RequestReceived
			}
			if ev.RequestReceived.After(last) {
				last = ev.RequestReceived
			}
		}
		if user == "" && c.Trigger != nil && !strings.HasPrefix(c.Trigger.User.Username, "system:") {
			user = c.Trigger.User.Username
		}
	}
	t0 := first.Add(last.Sub(first) / 3).Format(time.RFC3339Nano)
	t1 := first.Add(last.Sub(first) * 2 / 3).Format(time.RFC3339Nano)
	return []string{
		"",
		fmt.Sprintf("username == %q or stagetimestamp >= %s", user, t0),
		fmt.Sprintf("(username == %q and exists(namespace)) or %s <= stagetimestamp <= %s", user, t0, t1),
		fmt.Sprintf(`(username == %q and exists(namespace)) or (username == regexp(".*controller.*") and %s <= stagetimestamp <= %s)`, user, t0, t1),
	}
}
