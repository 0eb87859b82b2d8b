package query

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/agext/levenshtein"
	"github.com/alecthomas/participle/v2"
	"github.com/alecthomas/participle/v2/lexer"

	"k8ntext/suggest"
)

// The syntax tree, as the grammar in the package's documentation. It keeps what was written, so that
// it can be printed again.
type (
	expression struct {
		Terms []*conjunction `parser:"@@ ( 'or' @@ )*"`
	}
	conjunction struct {
		Factors []*factor `parser:"@@ ( 'and' @@ )*"`
	}
	factor struct {
		Nots      []string    `parser:"@'not'*"`
		Group     *expression `parser:"( '(' @@ ')'"`
		Condition *comparison `parser:"| @@ )"`
	}
	comparison struct {
		First *operand `parser:"@@"`
		Rest  []*link  `parser:"@@*"`
	}
	link struct {
		Pos     lexer.Position
		Op      string   `parser:"@Operator"`
		Operand *operand `parser:"@@"`
	}
	operand struct {
		Pos    lexer.Position
		Text   *string `parser:"  @Text"`
		Number *string `parser:"| @Number"`
		Time   *string `parser:"| @( Date | Now )"`
		Bool   *string `parser:"| @( 'true' | 'false' )"`
		Call   *call   `parser:"| @@"`
		Path   *path   `parser:"| @@"`
	}
	call struct {
		Function string      `parser:"@Name '('"`
		Argument *expression `parser:"@@ ')'"`
	}
	path struct {
		Name  string      `parser:"@Name"`
		Steps []*pathStep `parser:"@@*"`
	}
	pathStep struct {
		Pos   lexer.Position
		Name  *string `parser:"  '.' @Name"`
		Key   *string `parser:"| '[' ( @Text"`
		Index *string `parser:"      | @Number ) ']'"`
	}
)

// grammar is built when the first expression is compiled. Order matters: the first rule that fits the
// text makes the token.
var grammar = sync.OnceValue(func() *participle.Parser[expression] {
	return participle.MustBuild[expression](
		participle.Lexer(lexer.MustSimple([]lexer.SimpleRule{
			{Name: "Space", Pattern: `[ \t\r\n]+`},
			{Name: "Text", Pattern: `"(\\.|[^"\\\n])*"|'(\\.|[^'\\\n])*'|` + "`[^`]*`"},
			{Name: "Date", Pattern: `\d{4}-\d{2}-\d{2}([Tt][0-9:.]+([Zz]|[+-]\d{2}:\d{2})?)?|\d{1,2}/\d{1,2}/\d{4}`},
			{Name: "Now", Pattern: `now\b([ \t]*[+-][ \t]*(\d+(\.\d+)?(ns|us|ms|s|m|h|d|w))+)?`},
			{Name: "Keyword", Pattern: `(and|or|not|true|false)\b`},
			{Name: "Name", Pattern: `[A-Za-z_][A-Za-z0-9_]*`},
			{Name: "Number", Pattern: `[+-]?\d+(\.\d+)?([eE][+-]?\d+)?`},
			{Name: "Operator", Pattern: `==|!=|<=|>=|<|>`},
			{Name: "Punctuation", Pattern: `[()\[\].]`},
		})),
		participle.Elide("Space"),
		participle.UseLookahead(2), // a name and a parenthesis are a function
	)
})

// parse gives nil for the empty expression.
func parse(text string) (*expression, error) {
	if len(text) > MaxLength {
		return nil, &Error{1, 1, fmt.Sprintf("the expression has %d bytes: at most %d are allowed", len(text), MaxLength), ""}
	}
	if valid := strings.ToValidUTF8(text, ""); valid != text {
		i := 0
		for i < len(valid) && valid[i] == text[i] {
			i++
		}
		return nil, errorAt(positionOf(text, i), "", "a character that is not UTF-8")
	}
	tokens, err := grammar().Lex("", strings.NewReader(text))
	if err != nil {
		return nil, lexicalError(text, err)
	}
	// The parser recurses with the parentheses: they are counted first.
	depth, written := 0, 0
	for _, t := range tokens {
		switch t.Value {
		case "(":
			depth++
		case ")":
			depth--
		}
		if depth > MaxDepth {
			return nil, errorAt(t.Pos, "", "more than %d parentheses in one another", MaxDepth)
		}
		if !t.EOF() && strings.TrimSpace(t.Value) != "" {
			written++
		}
	}
	if written == 0 {
		return nil, nil
	}
	tree, err := grammar().ParseString("", text)
	if err != nil {
		return nil, syntaxError(err)
	}
	return tree, nil
}

func positionOf(text string, offset int) lexer.Position {
	before := text[:offset]
	line := strings.LastIndexByte(before, '\n') + 1
	return lexer.Position{Offset: offset, Line: 1 + strings.Count(before, "\n"), Column: 1 + utf8.RuneCountInString(before[line:])}
}

func errorAt(pos lexer.Position, hint, format string, args ...any) *Error {
	return &Error{Line: pos.Line, Column: pos.Column, Message: fmt.Sprintf(format, args...), Hint: hint}
}

// lexicalError explains text that is no token.
func lexicalError(text string, err error) error {
	var at participle.Error
	if !errors.As(err, &at) {
		return err
	}
	pos := at.Position()
	rest := text[min(pos.Offset, len(text)):]
	if strings.IndexAny(rest, "\"'`") == 0 {
		return errorAt(pos, `a text ends on its line, and a backslash in it is written \\`, "this quote is not closed")
	}
	first, _ := utf8.DecodeRuneInString(rest)
	hint := map[rune]string{
		'=': "write ==", '&': "write and", '|': "write or", '!': "write not", '~': "write == regexp(...)",
		'*': "write regexp(...) for patterns", '$': "names have no sign in front", '-': `members with a hyphen are written ["..."]`,
		'/': `members with a slash are written ["..."]`,
	}[first]
	return errorAt(pos, hint, "unexpected character %q", first)
}

// syntaxError explains a token in the wrong place.
func syntaxError(err error) error {
	var at participle.Error
	if !errors.As(err, &at) {
		return err
	}
	pos := at.Position()
	var token *participle.UnexpectedTokenError
	if !errors.As(err, &token) {
		return errorAt(pos, "", "%s", strings.ToValidUTF8(at.Message(), "?"))
	}
	if token.Unexpected.EOF() {
		return errorAt(pos, "a name, a value or a closing parenthesis is missing", "the expression ends too early")
	}
	word := token.Unexpected.Value
	hint := ""
	switch lower := strings.ToLower(word); lower {
	case "and", "or", "not":
		if word != lower {
			hint = fmt.Sprintf("write %s in small letters", lower)
		}
	case "in":
		hint = "write a == ... for each, joined by or"
	case "==", "!=", "<", "<=", ">", ">=":
		hint = "a comparison has a name or a value on each side, without parentheses around it"
	case ")":
		hint = "a condition is missing before it, or it closes nothing"
	default:
		near := suggest.Nearest(lower, []string{"and", "or", "not"})
		switch {
		case token.Unexpected.Type != grammar().Lexer().Symbols()["Name"]:
		case len(word) <= 4 && levenshtein.Distance(lower, near, nil) <= 2:
			hint = fmt.Sprintf("did you mean %q?", near)
		default:
			hint = "join conditions with and, or"
		}
	}
	return errorAt(pos, hint, "unexpected %s", shown(word))
}

// shown quotes a piece of the expression, shortened.
func shown(s string) string {
	if r := []rune(s); len(r) > 40 {
		s = string(r[:40]) + "..."
	}
	return fmt.Sprintf("%q", s)
}
