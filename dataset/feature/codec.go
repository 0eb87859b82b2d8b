package feature

import (
	"fmt"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// revision is raised by hand whenever a field reads or encodes differently, so that a model never gets
// other numbers than it was trained on.
const revision = 1

// maxEncoded bounds the JSON of an encoder, in bytes. The text of a vocabulary is bounded by
// maxVocabularyBytes; JSON writes a byte as six at worst.
const maxEncoded = 64 << 20

// encoded is the JSON of an encoder.
type encoded struct {
	Revision int      `json:"revision"`
	Profile  string   `json:"profile"`
	Fields   []string `json:"fields"` // paths, in the order of the columns
	Values   lists    `json:"values"` // of each field, in the order of the ids; null is the word null
}

// MarshalJSON writes the profile's name, the fields and their vocabularies.
func (e *Encoder) MarshalJSON() ([]byte, error) {
	out := encoded{Revision: revision, Profile: e.profile.name, Values: make(lists, len(e.columns))}
	for f, field := range e.profile.fields {
		out.Fields = append(out.Fields, field.Path)
		out.Values[f] = e.columns[f].words
	}
	b, err := json.Marshal(out, json.Deterministic(true))
	if err != nil {
		return nil, fmt.Errorf("write the feature encoder: %w", err)
	}
	return b, nil
}

// UnmarshalJSON reads what [Encoder.MarshalJSON] wrote. Anything else is an error and leaves e as it
// was: another revision, an unknown profile or field, fields in another order, a value twice, a
// null where the profile has none, or more than the stated bounds allow.
func (e *Encoder) UnmarshalJSON(data []byte) error {
	if err := e.decode(data); err != nil {
		return fmt.Errorf("read the feature encoder: %w", err)
	}
	return nil
}

func (e *Encoder) decode(data []byte) error {
	if len(data) > maxEncoded {
		return fmt.Errorf("%d bytes, more than the %d that an encoder may have", len(data), maxEncoded)
	}
	var in encoded
	if err := json.Unmarshal(data, &in, json.RejectUnknownMembers(true)); err != nil {
		return err
	}
	if in.Revision != revision {
		return fmt.Errorf("feature revision %d, but this program has %d: train the model again or use the program that made it", in.Revision, revision)
	}
	p, err := ByName(in.Profile)
	if err != nil {
		return err
	}
	if p.fields, err = pickFields(p, in.Fields); err != nil {
		return err
	}
	if len(in.Values) != len(in.Fields) {
		return fmt.Errorf("%d fields but %d vocabularies", len(in.Fields), len(in.Values))
	}
	read := newEncoder(p)
	for f, words := range in.Values {
		if len(words) > p.limit {
			return fmt.Errorf("field %s has %d values, more than %d", in.Fields[f], len(words), p.limit)
		}
		c := &read.columns[f]
		for _, w := range words {
			_, twice := c.ids[w.text]
			switch {
			case w.null && (!p.rising || c.null >= 0):
				return fmt.Errorf("field %s: null is no value here", in.Fields[f])
			case !w.null && twice:
				return fmt.Errorf("field %s has the value %q twice", in.Fields[f], w.text)
			}
			c.add(w)
		}
	}
	e.profile, e.columns, e.bodies, e.slots = read.profile, read.columns, read.bodies, read.slots
	e.spare.New = read.spare.New
	return nil
}

// pickFields is the profile's fields of these paths, which must be in the profile's order.
func pickFields(p Profile, paths []string) ([]Field, error) {
	if len(paths) == 0 {
		return nil, fmt.Errorf("profile %s without a field", p.name)
	}
	var fields []Field
	rest := p.fields
	for _, path := range paths {
		for len(rest) > 0 && rest[0].Path != path {
			rest = rest[1:]
		}
		if len(rest) == 0 {
			return nil, fmt.Errorf("field %.100q is not in profile %s, or not in its order", path, p.name)
		}
		fields, rest = append(fields, rest[0]), rest[1:]
	}
	return fields, nil
}

// lists is a vocabulary per field. It reads itself, so that hostile sizes end early.
type lists [][]word

func (l lists) MarshalJSONTo(enc *jsontext.Encoder) error {
	if err := enc.WriteToken(jsontext.BeginArray); err != nil {
		return err
	}
	for _, words := range l {
		if err := enc.WriteToken(jsontext.BeginArray); err != nil {
			return err
		}
		for _, w := range words {
			token := jsontext.Null
			if !w.null {
				token = jsontext.String(w.text)
			}
			if err := enc.WriteToken(token); err != nil {
				return err
			}
		}
		if err := enc.WriteToken(jsontext.EndArray); err != nil {
			return err
		}
	}
	return enc.WriteToken(jsontext.EndArray)
}

// maxFields is more than any profile has.
const maxFields = 1024

func (l *lists) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	if err := open(dec, "values"); err != nil {
		return err
	}
	bytes := 0
	for dec.PeekKind() != ']' {
		if len(*l) == maxFields {
			return fmt.Errorf("more than %d vocabularies", maxFields)
		}
		if err := open(dec, "a vocabulary"); err != nil {
			return err
		}
		var words []word
		for dec.PeekKind() != ']' {
			if len(words) == maxVocabulary {
				return fmt.Errorf("a vocabulary of more than %d values", maxVocabulary)
			}
			token, err := dec.ReadToken()
			if err != nil {
				return err
			}
			switch token.Kind() {
			case 'n':
				words = append(words, word{null: true})
			case '"':
				text := token.String()
				bytes += len(text)
				if len(text) > maxText || bytes > maxVocabularyBytes || !utf8.ValidString(text) {
					return fmt.Errorf("a value of %d bytes: more than %d, or more than %d in all", len(text), maxText, maxVocabularyBytes)
				}
				words = append(words, word{text: text})
			default:
				return fmt.Errorf("a value that is neither text nor null but %s", token.Kind())
			}
		}
		if _, err := dec.ReadToken(); err != nil {
			return err
		}
		*l = append(*l, words)
	}
	_, err := dec.ReadToken()
	return err
}

func open(dec *jsontext.Decoder, what string) error {
	token, err := dec.ReadToken()
	if err != nil {
		return err
	}
	if token.Kind() != '[' {
		return fmt.Errorf("%s must be a list, not %s", what, token.Kind())
	}
	return nil
}
