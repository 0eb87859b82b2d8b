package plots

// Symbols is the paper's Table 1: its symbols, with what they are called here.
func Symbols() *Table {
	return &Table{
		ID: "table1", Title: "Table 1: symbols",
		Note:    "The paper's symbols in our words. Its lines are our events: requests, their stages merged. It writes the verb before the two flags; the number of a label holds them behind.",
		Columns: []string{"symbol", "meaning", "here"},
		Rows: [][]string{
			{"e", "one event of an audit log", "event"},
			{"ê", "the event that caused others, directly or indirectly, in the smallest time", "trigger"},
			{"E", "a trigger with all events that it caused, in any order, foreign events between them", "context"},
			{"t0, t1", "when the first and the last event of a context were received", "from, to"},
			{"|E|", "number of events of a context", "events"},
			{"W", "number of consecutive events that the network sees at once", "model.window"},
			{"|F|", "number of features of an event", "model.features, model.without"},
			{"|L|", "number of parts of a label: 5", "components"},
			{"m", "number of values that a part of a label can take in the network", "classes"},
			{"r, s", "resource and subresource of a label", "r, s"},
			{"v", "verb of a label: create, delete, get, update or watch", "v"},
			{"n", "1 if the request names a namespace", "namespaced"},
			{"u", "1 if the request names an object", "one"},
			{"f_A", "from API group, version and resource to (r, s)", "label space"},
			{"f_V", "from a request's verb to v: list is get, patch is update, deletecollection is delete", "label space"},
		},
	}
}
