package dataset

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"k8ntext/dataset/label"
)

// Join puts corpora of one label space together for training on all of them, one after the other in the
// order given. No window, part or context reaches from one recording into another: see
// [Corpus.Recordings]. The label space has the custom groups of all. One corpus is returned as it is.
func Join(corpora ...*Corpus) (*Corpus, error) {
	if len(corpora) == 1 {
		return corpora[0], nil
	}
	var groups, names []string
	for _, c := range corpora {
		if c.Space.Name() != corpora[0].Space.Name() {
			return nil, fmt.Errorf("join corpora: %s has labels of space %q, %s of %q: load all in one space",
				c.Name, c.Space.Name(), corpora[0].Name, corpora[0].Space.Name())
		}
		groups = append(groups, c.Space.CRDGroups()...)
		names = append(names, c.Name)
	}
	if len(corpora) == 0 {
		return nil, fmt.Errorf("join corpora: none given: name at least one")
	}
	space, err := label.ByName(corpora[0].Space.Name(), groups)
	if err != nil {
		return nil, fmt.Errorf("join corpora: %w", err)
	}
	joined := &Corpus{Name: strings.Join(names, "+"), Space: space}
	h := sha256.New()
	for _, c := range corpora {
		fmt.Fprintln(h, c.Digest)
		from := len(joined.Events)
		joined.Recordings = append(joined.Recordings, Recording{c.Name, from, from + len(c.Events)})
		joined.Events = append(joined.Events, c.Events...)
		for _, x := range c.Context {
			if x >= 0 {
				x += int32(len(joined.Contexts))
			}
			joined.Context = append(joined.Context, x)
		}
		for _, x := range c.Contexts {
			x.Events = slices.Clone(x.Events)
			for i := range x.Events {
				x.Events[i] += int32(from)
			}
			if x.Trigger >= 0 {
				x.Trigger += int32(from)
			}
			joined.Contexts = append(joined.Contexts, x)
		}
		joined.Dropped.BeforeStart += c.Dropped.BeforeStart
		joined.Dropped.Harness += c.Dropped.Harness
	}
	joined.Digest = hex.EncodeToString(h.Sum(nil))
	joined.label()
	joined.classify()
	return joined, nil
}

// LoadAll loads corpora as [Load] does and joins them.
func LoadAll(ctx context.Context, names []string, space *label.Space) (*Corpus, error) {
	var corpora []*Corpus
	for _, name := range names {
		c, err := Load(ctx, name, space)
		if err != nil {
			return nil, err
		}
		corpora = append(corpora, c)
	}
	return Join(corpora...)
}
