package query

import (
	"fmt"
	"strings"
	"testing"

	"github.com/alecthomas/participle/v2/lexer"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// expressions draws expressions that compile, with spaces where they may be.
type expressions struct {
	t     *rapid.T
	terms int
}

func (g *expressions) pick(of ...string) string { return rapid.SampledFrom(of).Draw(g.t, "pick") }

func (g *expressions) space() string { return g.pick("", "", " ", "\t", "\n ") }

func (g *expressions) text() string {
	s := rapid.OneOf(rapid.SampledFrom([]string{"shop", "alice", "create", ""}), rapid.String()).Draw(g.t, "text")
	if strings.ContainsAny(s, "`\r\x00") || strings.ContainsRune(s, '\ufffd') || g.pick("a", "b") == "a" {
		return fmt.Sprintf("%q", s)
	}
	return "`" + s + "`"
}

func (g *expressions) texts() string {
	return g.pick("username", "VERB", "objectRef.namespace", "user.groups", `annotations["team"]`, "annotations.team", "operation", "sourceIPs")
}

func (g *expressions) body() string {
	return g.pick("requestObject.spec.replicas", "uid", `responseObject["metadata"].name`, "ownerReferences.kind", "requestObject.spec.template.spec.containers[1].image")
}

func (g *expressions) comparison(within bool) string {
	op := func(of ...string) string { return g.space() + g.pick(of...) + g.space() }
	all := []string{"==", "!=", "<", "<=", ">", ">="}
	time := func() string {
		return g.pick("now", "now-1h", "now - 1m30s", "2026-11-20T10:01:00Z", "2026-11-20", "20/11/2026", `"2026-11-20T10:00:30+01:00"`)
	}
	number := func() string { return g.pick("0", "1", "3", "200", "-1.5e3", "404") }
	kinds := []string{"text", "number", "time", "body", "regexp", "exists", "range", "pair"}
	if !within {
		kinds = append(kinds, "each", "count")
	}
	switch g.pick(kinds...) {
	case "text":
		return g.texts() + op(all...) + g.text()
	case "number":
		return number() + op(all...) + g.pick("size", "code", "responseStatus.code")
	case "time":
		return g.pick("stagetimestamp", "requestReceivedTimestamp") + op(all...) + time()
	case "body":
		return g.body() + op("==", "!=") + g.pick("true", "false", "3", `"web"`, time())
	case "regexp":
		return g.texts() + op("==", "!=") + "regexp(" + g.pick(`".*controller.*"`, "`^a\\w+$`", `''`) + ")"
	case "exists":
		return "exists(" + g.space() + g.pick(g.body(), g.texts(), "objectRef", "impersonatedUser", "size") + ")"
	case "range":
		if g.pick("up", "down") == "up" {
			return "1" + op("<", "<=") + "size" + op("<", "<=") + "4"
		}
		return "now" + op(">", ">=") + "stageTimestamp" + op(">", ">=") + "now-2m"
	case "pair":
		return g.body() + op(all...) + g.pick(g.body(), "name", "size", "stageTimestamp")
	case "each":
		return g.pick("any", "all") + "(" + g.expression(3, true) + ")"
	}
	return "count(" + g.expression(3, true) + ")" + op(all...) + number()
}

func (g *expressions) expression(depth int, within bool) string {
	if g.terms++; depth == 0 || g.terms > 6 {
		return g.comparison(within)
	}
	switch g.pick("comparison", "not", "group", "and", "or") {
	case "not":
		return "not" + g.pick(" ", "\n") + g.expression(depth-1, within)
	case "group":
		return "(" + g.expression(depth-1, within) + g.space() + ")"
	case "and":
		return g.expression(depth-1, within) + " and " + g.expression(depth-1, within)
	case "or":
		return g.expression(depth-1, within) + " or\t" + g.expression(depth-1, within)
	}
	return g.comparison(within)
}

// TestPrinted: an expression prints as one that means the same, has the same tree but for places and
// spelling, and prints as itself.
func TestPrinted(t *testing.T) {
	b := load(t, "testdata/shop.jsonl")
	rapid.Check(t, func(rt *rapid.T) {
		g := expressions{t: rt}
		text := g.expression(5, false)
		q, err := b.compile(text)
		if err != nil {
			rt.Fatalf("%s\n%v", text, err)
		}
		again, err := b.compile(q.String())
		if err != nil {
			rt.Fatalf("%s\nprints as\n%s\n%v", text, q, err)
		}
		if again.String() != q.String() {
			rt.Fatalf("%s\nprints as\n%s\nand that as\n%s", text, q, again)
		}
		spelling := cmp.Transformer("meaning", func(o *operand) any {
			switch {
			case o.Text != nil:
				s, err := unquote(*o.Text)
				return fmt.Sprint("text ", s, err)
			case o.Time != nil:
				return withoutSpace(*o.Time)
			case o.Path != nil:
				return "path " + o.Path.String()
			case o.Call != nil:
				return *o.Call
			}
			return fmt.Sprint(o.Number != nil && *o.Number != "", o.Bool != nil && *o.Bool == "true")
		})
		place := cmp.FilterValues(func(lexer.Position, lexer.Position) bool { return true }, cmp.Ignore())
		if diff := cmp.Diff(q.tree, again.tree, spelling, place); diff != "" {
			rt.Fatalf("%s\nprints as another expression\n%s\n%s", text, q, diff)
		}
		if x, y := b.found(t, q), b.found(t, again); x != y {
			rt.Fatalf("%s finds %s, printed %s", text, x, y)
		}
	})
}

// TestLaws: what holds for any two conditions, whatever they are.
func TestLaws(t *testing.T) {
	b := load(t, "testdata/shop.jsonl")
	rapid.Check(t, func(rt *rapid.T) {
		one := expressions{t: rt}
		two := expressions{t: rt}
		x, y := "("+one.expression(3, true)+")", "("+two.expression(3, true)+")"
		same := func(left, right string) {
			p, err := b.compile(left)
			if err != nil {
				rt.Fatalf("%s\n%v", left, err)
			}
			q, err := b.compile(right)
			if err != nil {
				rt.Fatalf("%s\n%v", right, err)
			}
			if l, r := b.found(t, p), b.found(t, q); l != r {
				rt.Fatalf("%s\nfinds %s;\n%s\nfinds %s", left, l, right, r)
			}
		}
		same("not ("+x+" and "+y+")", "not "+x+" or not "+y)
		same("not not "+x, x)
		same("any("+x+")", "not all(not "+x+")")
		same("any("+x+")", "count("+x+") > 0")
		same("all("+x+")", "count("+x+") == size")
		same("count("+x+") != count("+y+")", "not count("+x+") == count("+y+")")
		same(x+" or "+y, y+" or "+x)
	})
}
