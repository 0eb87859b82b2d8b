package feature

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"k8ntext/dataset/audit"
)

// value is what a field reads of an event, before it is numbered.
type value struct {
	state state
	text  string // of present values only
}

type state uint8

const (
	absent  state = iota // the place is not there
	empty                // it is there, but null, "", {} or []
	present              // it has a value
)

// maxText is the longest value that is numbered, in bytes; a longer one is unknown to any encoder.
const maxText = 1024

// just is a present value.
func just(text string) value { return value{present, text} }

// textOf is the value of an event's member that is absent if it is "": [audit.Event] does not tell the two apart.
func textOf(text string) value {
	if text == "" {
		return value{}
	}
	return just(text)
}

// bit is present with a "yes" or absent.
func bit(there bool) value {
	if !there {
		return value{}
	}
	return just(yes)
}

const (
	yes   = "yes"
	other = "other"
)

// class applies f to what is present.
func (v value) class(f func(string) string) value {
	if v.state == present {
		v.text = f(v.text)
	}
	return v
}

// clean is v with valid UTF-8, so that vocabularies can be written as JSON.
func (v value) clean() value {
	if v.state == present && !utf8.ValidString(v.text) {
		v.text = strings.ToValidUTF8(v.text, "\uFFFD")
	}
	return v
}

// row is one event being read: the event and what several fields derive from it.
type row struct {
	event     *audit.Event
	agent     agent
	request   request
	relations *relations // of Linked only
}

// scalar is the value of a slot that should hold a scalar. A container in its place is "other".
func scalar(s slot) value {
	switch {
	case s.kind == 0:
		return value{}
	case s.container():
		return just(other)
	case s.text == "": // null and ""
		return value{state: empty}
	}
	return just(s.text)
}

// presence tells a slot's three states and nothing of its value.
func presence(s slot) value {
	switch {
	case s.kind == 0:
		return value{}
	case s.container() && s.count == 0, !s.container() && s.text == "":
		return value{state: empty}
	}
	return just(yes)
}

// members is the bucket of the number of members of a container.
func members(s slot) value {
	switch {
	case s.kind == 0:
		return value{}
	case s.kind == 'n':
		return value{state: empty}
	case !s.container():
		return just(other)
	}
	return just(bucket(strconv.Itoa(s.count)))
}

// first is the first slot that has anything.
func first(in []slot) slot {
	for _, s := range in {
		if s.kind != 0 {
			return s
		}
	}
	return slot{}
}
