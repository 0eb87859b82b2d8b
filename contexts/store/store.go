// Package store keeps the contexts of a log beside its raw lines, in a packed log: see
// [k8ntext/dataset/packed]. A store gives back every raw line and every context, and reads one context
// without the rest of the log.
//
// Contexts are told by what cannot be told from the lines: which event is in which context, at which
// line it ends, and why it is there. Actor, object and outcome are in the trigger's line.
//
// A stripped log (the paper's section 7.3) is another thing: see [Stripped].
package store

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"

	"k8ntext/contexts"
	"k8ntext/dataset/label"
	"k8ntext/dataset/packed"
)

// section names the contexts in a packed log.
const section = "contexts"

// Header says where the contexts of a store come from.
type Header struct {
	Level  string   `json:"level"` // of the reconstruction
	Space  string   `json:"space"` // that the labels are of
	Groups []string `json:"groups,omitzero"`
	Events int      `json:"events"` // in the log
}

// LabelSpace is the space of the labels.
func (h Header) LabelSpace() (*label.Space, error) { return label.ByName(h.Space, h.Groups) }

// Entry is a context in a store.
type Entry struct {
	ID        string
	Label     label.Label
	User      bool   // started by a person or a CI account
	Operation string // shared by the contexts of one command; may be empty
	Parent    string // ID of the context whose clock or threshold started this one; may be empty
	Trigger   contexts.Trigger
	Members   []contexts.Member // by event number
}

// Write adds the contexts of the log to a store, whole ones ([contexts.Whole]), and its header.
func Write(w *packed.Writer, h Header, list []*contexts.Context) error {
	head, err := json.Marshal(h)
	if err != nil {
		return fmt.Errorf("store contexts: %w", err)
	}
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b *contexts.Context) int { return cmp.Compare(firstEvent(a), firstEvent(b)) })
	events := 0
	number := make(map[string]int, len(list))
	for i, c := range list {
		for _, m := range c.Members {
			events = max(events, m.Event+1)
		}
		if _, twice := number[c.ID]; twice {
			return fmt.Errorf("store contexts: two have the id %.80q: put their parts together first", c.ID)
		}
		number[c.ID] = i
	}
	if limit := h.Events; events > limit {
		return fmt.Errorf("store contexts: event %d of %d", events-1, limit)
	}
	// By event: its context, and what is known of it there.
	of := make([]int32, events)
	members := make([]contexts.Member, events)
	for i := range of {
		of[i] = -1
	}
	for i, c := range list {
		for _, m := range c.Members {
			if m.Event < 0 || of[m.Event] >= 0 {
				return fmt.Errorf("store contexts: event %d is in two of them, or in none", m.Event)
			}
			of[m.Event], members[m.Event] = int32(i), m
		}
	}
	var out columns
	out.bytes(head)
	out.number(len(list), events)
	next := int32(0)
	for _, c := range of {
		switch {
		case c < 0:
			out.number(1)
		case c == next:
			out.number(0)
			next++
		default:
			out.number(int(next-c) + 1)
		}
	}
	line := 0
	for e, c := range of {
		if c >= 0 {
			out.signed(members[e].Line - line)
			line = members[e].Line
		}
	}
	pairs := make(map[[2]int]int)
	for e, c := range of {
		if c < 0 {
			continue
		}
		why := [2]int{int(members[e].Reason), int(math.Float32bits(members[e].Confidence))}
		no, ok := pairs[why]
		if !ok {
			no = len(pairs)
			pairs[why] = no
			out.number(no, why[0], why[1])
			continue
		}
		out.number(no)
	}
	texts := make(map[string]int)
	text := func(s string) {
		no, ok := texts[s]
		if !ok {
			no = len(texts)
			texts[s] = no
			out.number(no)
			out.bytes([]byte(s))
			return
		}
		out.number(no)
	}
	for i, c := range list {
		out.signed(int(c.Label))
		flags := 0
		if c.User {
			flags |= 1
		}
		if c.Trigger.Estimated {
			flags |= 2
		}
		at := slices.IndexFunc(c.Members, func(m contexts.Member) bool { return m.Event == c.Trigger.Event })
		out.number(flags, at+1)
		if at < 0 {
			out.signed(c.Trigger.Event)
			out.signed(c.Trigger.Line)
		}
		// Ids made of the number of an event are the rule.
		letters := strings.TrimRight(c.ID, "0123456789")
		if n, err := strconv.Atoi(c.ID[len(letters):]); err == nil && strconv.Itoa(n) == c.ID[len(letters):] && n < 1<<40 &&
			len(c.Members) > 0 && !strings.HasPrefix(letters, "\x00") {
			text(letters)
			out.signed(n - firstEvent(c))
		} else {
			text("\x00" + c.ID)
		}
		text(c.Operation)
		if p, ok := number[c.Parent]; ok && c.Parent != "" {
			out.number(1)
			out.signed(i - p)
		} else {
			out.number(0)
			text(c.Parent)
		}
	}
	return w.Section(section, out.b)
}

func firstEvent(c *contexts.Context) int {
	if len(c.Members) == 0 {
		return math.MaxInt32
	}
	return c.Members[0].Event
}

// ErrNone is returned for a packed log without contexts.
var ErrNone = errors.New("the file has no contexts: pack the log with them (store pack --level identity)")

// Read reads the contexts of a store, in the order of their first events.
func Read(f *packed.File) (Header, []Entry, error) {
	data, err := f.Section(section)
	if err != nil {
		return Header{}, nil, fmt.Errorf("read contexts: %w", err)
	}
	if data == nil {
		return Header{}, nil, ErrNone
	}
	fail := func() (Header, []Entry, error) {
		return Header{}, nil, errors.New("read contexts: the section is damaged, or of another version: pack the log again")
	}
	in := columns{b: data}
	var h Header
	if err := json.Unmarshal(in.getBytes(), &h); err != nil {
		return fail()
	}
	size, events := in.get(), in.get()
	if in.bad || size > events || events > len(data) { // every event has a byte at least
		return fail()
	}
	list := make([]Entry, size)
	of := make([]int32, events)
	next := 0
	for e := range of {
		switch v := in.get(); {
		case v == 0:
			of[e] = int32(next)
			next++
		case v == 1:
			of[e] = -1
		default:
			of[e] = int32(next - v + 1)
			if of[e] < 0 {
				return fail()
			}
		}
		if in.bad || next > size {
			return fail()
		}
	}
	line := 0
	for e, c := range of {
		if c >= 0 {
			line += in.getSigned()
			list[c].Members = append(list[c].Members, contexts.Member{Event: e, Line: line})
		}
	}
	type why struct {
		reason     contexts.Reason
		confidence float32
	}
	var pairs []why
	at := make([]int, size)
	for _, c := range of {
		if c < 0 {
			continue
		}
		no := in.get()
		if no == len(pairs) {
			pairs = append(pairs, why{contexts.Reason(in.get()), math.Float32frombits(uint32(in.get()))})
		}
		if in.bad || no >= len(pairs) {
			return fail()
		}
		m := &list[c].Members[at[c]]
		at[c]++
		m.Reason, m.Confidence = pairs[no].reason, pairs[no].confidence
	}
	var texts []string
	text := func() string {
		no := in.get()
		if no == len(texts) {
			texts = append(texts, string(in.getBytes()))
		}
		if in.bad || no >= len(texts) {
			in.bad = true
			return ""
		}
		return texts[no]
	}
	parents := make([]int, size)
	for i := range list {
		x := &list[i]
		x.Label = label.Label(in.getSigned())
		flags, trigger := in.get(), in.get()
		x.User, x.Trigger.Estimated = flags&1 != 0, flags&2 != 0
		switch {
		case trigger == 0:
			x.Trigger.Event, x.Trigger.Line = in.getSigned(), in.getSigned()
		case trigger <= len(x.Members):
			m := x.Members[trigger-1]
			x.Trigger.Event, x.Trigger.Line = m.Event, m.Line
		default:
			return fail()
		}
		x.ID = text()
		if id, ok := strings.CutPrefix(x.ID, "\x00"); ok {
			x.ID = id
		} else if first := in.getSigned(); len(x.Members) > 0 {
			x.ID += strconv.Itoa(x.Members[0].Event + first)
		}
		x.Operation = text()
		parents[i] = -1
		if in.get() == 1 {
			parents[i] = i - in.getSigned()
			if parents[i] < 0 || parents[i] >= size {
				return fail()
			}
		} else {
			x.Parent = text()
		}
		if in.bad {
			return fail()
		}
	}
	for i, p := range parents {
		if p >= 0 {
			list[i].Parent = list[p].ID
		}
	}
	return h, list, nil
}

// columns writes and reads numbers and texts.
type columns struct {
	b   []byte
	bad bool
}

func (c *columns) number(vs ...int) {
	for _, v := range vs {
		c.b = binary.AppendUvarint(c.b, uint64(v))
	}
}

func (c *columns) signed(v int) { c.b = binary.AppendVarint(c.b, int64(v)) }

func (c *columns) bytes(b []byte) {
	c.number(len(b))
	c.b = append(c.b, b...)
}

func (c *columns) get() int {
	v, n := binary.Uvarint(c.b)
	if n <= 0 || v > 1<<48 {
		c.bad, c.b = true, nil
		return 0
	}
	c.b = c.b[n:]
	return int(v)
}

func (c *columns) getSigned() int {
	v, n := binary.Varint(c.b)
	if n <= 0 || v > 1<<48 || v < -1<<48 {
		c.bad, c.b = true, nil
		return 0
	}
	c.b = c.b[n:]
	return int(v)
}

func (c *columns) getBytes() []byte {
	n := c.get()
	if n > len(c.b) {
		c.bad, c.b = true, nil
		return nil
	}
	b := c.b[:n]
	c.b = c.b[n:]
	return b
}
