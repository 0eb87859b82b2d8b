package explain

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"k8ntext/explain/tree"
)

func explained(t *testing.T, change func(*Problem)) *Explanation {
	t.Helper()
	p, _ := toyProblem(t, 600, 10)
	p.Truth = make([]int32, 600)
	if change != nil {
		change(p)
	}
	e, err := Explain(t.Context(), p, Options{Probes: 10, Single: 1, Honest: HonestOptions{Bootstraps: 2}})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// evaluate runs the body of a function as WriteGo writes it.
func evaluate(t *testing.T, body []ast.Stmt, row []int32) string {
	t.Helper()
	for _, s := range body {
		switch s := s.(type) {
		case *ast.ReturnStmt:
			return constant.StringVal(constant.MakeFromLiteral(s.Results[0].(*ast.BasicLit).Value, token.STRING, 0))
		case *ast.IfStmt:
			x := s.Cond.(*ast.BinaryExpr)
			left := x.X
			if call, ok := left.(*ast.CallExpr); ok { // float64(row[f])
				left = call.Args[0]
			}
			f, _ := constant.Int64Val(constant.MakeFromLiteral(left.(*ast.IndexExpr).Index.(*ast.BasicLit).Value, token.INT, 0))
			var limit float64
			if _, err := fmt.Sscan(literal(x.Y), &limit); err != nil {
				t.Fatal(err)
			}
			v := float64(row[f])
			if x.Op == token.EQL && v == limit || x.Op == token.LEQ && v <= limit {
				return evaluate(t, s.Body.List, row)
			}
		}
	}
	t.Fatal("the function ends without an answer")
	return ""
}

func literal(e ast.Expr) string {
	if u, ok := e.(*ast.UnaryExpr); ok {
		return u.Op.String() + u.X.(*ast.BasicLit).Value
	}
	return e.(*ast.BasicLit).Value
}

// The tree as Go code says what the tree says.
func TestGoCode(t *testing.T) {
	for name, nominal := range map[string]bool{"nominal": true, "ordered": false} {
		e := explained(t, func(p *Problem) {
			for f := range p.Features {
				p.Features[f].Nominal = nominal
			}
			p.Classes[3] = "quote \" and\nline */"
		})
		var code bytes.Buffer
		if err := e.Problem.WriteGo(&code, e.Honest.Full, "surrogate"); err != nil {
			t.Fatal(err)
		}
		file, err := parser.ParseFile(token.NewFileSet(), "surrogate.go", code.Bytes(), 0)
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, code.String())
		}
		body := file.Decls[0].(*ast.FuncDecl).Body.List
		for row := range e.Problem.Table.Rows() {
			values := e.Problem.Table.Row(row, nil)
			want := e.Problem.Classes[e.Honest.Full.Nodes[e.Honest.Full.Find(values)].Class]
			if got := evaluate(t, body, values); got != want {
				t.Fatalf("%s: the code gives row %d %q, the tree %q", name, row, got, want)
			}
		}
	}
}

func TestFiles(t *testing.T) {
	e := explained(t, func(p *Problem) {
		p.Classes[5] = "</script>\x1b[31m\"quoted\""
		p.Decode = func(_ int, v int32) string { return fmt.Sprintf("v%d\"\\", v) }
	})
	for _, mode := range []string{"honest", "trustee"} {
		files := e.Files(mode)
		if len(files) != 14 {
			t.Errorf("mode %s has %d files", mode, len(files))
		}
		for _, f := range files {
			var b bytes.Buffer
			if err := f.Write(&b); err != nil {
				t.Errorf("%s of mode %s: %v", f.Name, mode, err)
			}
			if strings.Contains(b.String(), "NaN") || b.Len() == 0 {
				t.Errorf("%s of mode %s has %d bytes, a NaN among them or none", f.Name, mode, b.Len())
			}
			if strings.HasSuffix(f.Name, ".json") {
				var v any
				if err := json.Unmarshal(b.Bytes(), &v); err != nil {
					t.Errorf("%s of mode %s: %v", f.Name, mode, err)
				}
			}
			if strings.HasSuffix(f.Name, ".dot") && strings.Contains(b.String(), "\x1b") {
				t.Errorf("%s of mode %s has a control character", f.Name, mode)
			}
		}
	}
	e.Trustee = nil
	if files := e.Files("trustee"); files != nil {
		t.Errorf("without a tree of mode trustee there are %d files of it", len(files))
	}
}

func TestRules(t *testing.T) {
	table, err := tree.NewTable(8, 2, func(f int, dst []int32) {
		copy(dst, [][]int32{{0, 1, 2, 3, 0, 1, 2, 3}, {1, 2, 3, 4, 5, 6, 7, 8}}[f])
	})
	if err != nil {
		t.Fatal(err)
	}
	p := &Problem{
		Table: table, Classes: []string{"no", "yes"}, Features: []Feature{{Field: "verb", Offset: -1, Nominal: true}, {Field: "size", Single: true}},
		Decode: func(f int, v int32) string { return []string{"get", "list", "watch", "delete"}[v] },
	}
	// One class for watch, and for get of a size from 4 to 6 inclusive.
	fit, err := tree.Fit(table, []int32{0, 0, 1, 0, 1, 0, 1, 0}, 2, tree.Options{Nominal: p.nominal()})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := p.WriteRules(&b, fit); err != nil {
		t.Fatal(err)
	}
	const want = `4 rules by the number of training rows; 8 rows in all
   1.  50.00 % of rows, 100 % pure: if verb@-1 not in {watch, get} then no
   2.  25.00 % of rows, 100 % pure: if verb@-1 = watch then yes
   3.  12.50 % of rows, 100 % pure: if verb@-1 = get and size ≤ 3 then no
   4.  12.50 % of rows, 100 % pure: if verb@-1 = get and size > 3 then yes
`
	if got := b.String(); got != want {
		t.Errorf("the rules are\n%swant\n%s", got, want)
	}
	at, above := 6.5, 3.5
	for want, c := range map[string]Condition{
		"3.5 < size ≤ 6.5": {Feature: "size", Above: &above, AtMost: &at}, "size ≤ 6.5": {Feature: "size", AtMost: &at},
		"verb ≠ get": {Feature: "verb", IsNot: []string{"get"}},
	} {
		if got := c.String(); got != want {
			t.Errorf("a condition reads %q, want %q", got, want)
		}
	}
}

func TestRow(t *testing.T) {
	p, _ := toyProblem(t, 900, 10)
	p.Unknown = func(int) int32 { return 77 } // the rule is then outside of all known classes
	teacher := p.Teacher.(*toy)
	rule := teacher.rule
	teacher.rule = func(row []int32) int32 {
		if row[4] == 77 || row[4] == 9 && row[0] == 77 {
			return 0
		}
		return rule(row)
	}
	h, err := Honest(t.Context(), p, HonestOptions{Bootstraps: -1})
	if err != nil {
		t.Fatal(err)
	}
	row := -1
	for r := range p.Table.Rows() { // one that the event before decides, to another class than hiding makes
		if p.Table.Value(r, 4) == 9 && p.Table.Value(r, 0) > 0 && rule(p.Table.Row(r, nil)) != 0 {
			row = r
			break
		}
	}
	x, err := Row(t.Context(), p, h, row)
	if err != nil {
		t.Fatal(err)
	}
	var hidden []string
	for _, o := range x.Features {
		hidden = append(hidden, o.What)
	}
	if got := strings.Join(hidden, " "); got != "f0@-1 f0@0" {
		t.Errorf("the answer hangs on %q, want f0@-1 f0@0", got)
	}
	if len(x.Events) != 2 || x.Events[0].What != "@-1" || x.Events[1].What != "@0" {
		t.Errorf("the answer hangs on the events %+v", x.Events)
	}
	if x.Tree == x.Teacher && (x.Nearest == nil || len(x.Nearest.Changes) == 0) {
		t.Error("no counterfactual for an explained row")
	}
	if len(x.Path) == 0 || x.Hidden != 12 {
		t.Errorf("a path of %d questions, %d values hidden of 12", len(x.Path), x.Hidden)
	}
	if _, err := Row(t.Context(), p, h, 900); err == nil {
		t.Error("a row that is not there is explained")
	}
}
