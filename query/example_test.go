package query_test

import (
	"context"
	"fmt"

	"k8ntext/dataset"
	"k8ntext/query"
)

// Actions in a namespace during which somebody met a conflict.
func Example() {
	corpus, err := dataset.Load(context.Background(), "testdata/shop.jsonl", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	contexts, err := query.Contexts(corpus)
	if err != nil {
		fmt.Println(err)
		return
	}
	q, err := query.Compile(`namespace == "shop" and any(code == 409)`, query.Options{Space: corpus.Space})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, c := range contexts {
		found, err := q.Match(&c)
		if err != nil {
			fmt.Println(err)
			return
		}
		if found {
			fmt.Printf("%s: %s by %s, %d events\n", c.ID, c.Label, c.Trigger.User.Username, len(c.Events))
		}
	}

	_, err = query.Compile(`usernme == "bob"`, query.Options{})
	fmt.Println(err)
	// Output:
	// scale: update apps/deployments/scale (one, namespaced) by bob, 3 events
	// line 1, column 1: unknown name "usernme": did you mean "username"? Else, a text is written in quotes, "usernme"
}
