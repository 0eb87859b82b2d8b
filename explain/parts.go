package explain

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
)

// Cut says how rows are cut into parts.
type Cut struct {
	// Blocks is into how many contiguous blocks of time the rows are cut; 0: 10. They take turns in
	// [Folds] roles, so that more blocks than folds spread each part over the whole time.
	Blocks int `json:"blocks"`
	// Fold is which blocks are for reporting, 0 to Folds-1: over all folds every row is reported once.
	Fold int `json:"fold"`
	// Seed orders the rows of a table without time.
	Seed uint64 `json:"seed"`
}

// Folds is the number of ways to cut: a fifth of the rows is for reporting and a fifth for choosing.
const Folds = 5

const defaultBlocks = 2 * Folds

// roles of a row.
const (
	forTraining = iota
	forSelecting
	forReporting
	inNone
)

// turns are the roles that blocks take in turn: the two small parts lie apart from each other.
var turns = [Folds]int{forReporting, forTraining, forSelecting, forTraining, forTraining}

// Parts are disjoint rows, ascending. Trees are grown on Train, their size and the best of them are
// chosen on Select; Report is looked at once, at the end.
type Parts struct {
	Train  []int32 `json:"-"`
	Select []int32 `json:"-"`
	Report []int32 `json:"-"`

	Protocol string `json:"protocol"` // blocked, or plain for a table without time
	Gap      int    `json:"gap"`      // rows in no part because they share events with a row of another
	Purged   int    `json:"purged"`   // rows in no part because their group has rows in another
}

// known is the rows that are not for reporting, ascending.
func (p *Parts) known() []int32 {
	return sorted(append(append([]int32{}, p.Train...), p.Select...))
}

// Cut cuts the rows of a problem into parts.
//
// With times: contiguous blocks. A row less than Reach away from a row of another part would share
// events with it and is left out, and so is a row whose group has rows in another part: Report keeps
// all its rows, Select those that do not touch Report, Train those that touch neither.
//
// Without times: disjoint parts in an order drawn by the seed; equal rows are in the same part.
//
// It fails where a part would be empty.
func (p *Problem) Cut(c Cut) (Parts, error) {
	if err := p.check(); err != nil {
		return Parts{}, err
	}
	if c.Blocks == 0 {
		c.Blocks = defaultBlocks
	}
	if c.Blocks < Folds || c.Fold < 0 || c.Fold >= Folds {
		return Parts{}, fmt.Errorf("cut into %d blocks, fold %d: give %d blocks or more and a fold from 0 to %d", c.Blocks, c.Fold, Folds, Folds-1)
	}
	parts := Parts{Protocol: "plain"}
	role := p.plainRoles(c)
	if p.Time != nil {
		parts.Protocol = fmt.Sprintf("blocked (%d blocks)", c.Blocks)
		role = p.blockedRoles(c, &parts)
	}
	for r, is := range role {
		switch is {
		case forTraining:
			parts.Train = append(parts.Train, int32(r))
		case forSelecting:
			parts.Select = append(parts.Select, int32(r))
		case forReporting:
			parts.Report = append(parts.Report, int32(r))
		}
	}
	if len(parts.Train) == 0 || len(parts.Select) == 0 || len(parts.Report) == 0 {
		return Parts{}, fmt.Errorf("of %d rows %d are for training, %d for selecting and %d for reporting (%d lie in gaps, %d were purged): give more rows, fewer blocks or a shorter reach",
			len(role), len(parts.Train), len(parts.Select), len(parts.Report), parts.Gap, parts.Purged)
	}
	return parts, nil
}

func (p *Problem) plainRoles(c Cut) []int {
	// The order is that of a keyed digest of the row, which equal rows share.
	type keyed struct {
		key [sha256.Size]byte
		row int
	}
	rng := rand.New(rand.NewPCG(c.Seed, 0x637574)) // the stream "cut"
	salt := binary.LittleEndian.AppendUint64(nil, rng.Uint64())
	order := make([]keyed, p.Table.Rows())
	var values []int32
	var text []byte
	for r := range order {
		values = p.Table.Row(r, values)
		text = append(text[:0], salt...)
		for _, v := range values {
			text = binary.LittleEndian.AppendUint32(text, uint32(v))
		}
		order[r] = keyed{sha256.Sum256(text), r}
	}
	slices.SortFunc(order, func(a, b keyed) int {
		return cmp.Or(slices.Compare(a.key[:], b.key[:]), cmp.Compare(a.row, b.row))
	})
	role := make([]int, len(order))
	turn := 0
	for i, k := range order {
		if i == 0 || k.key != order[i-1].key {
			turn = i * Folds / len(order)
		}
		role[k.row] = turns[(turn-c.Fold+Folds)%Folds]
	}
	return role
}

func (p *Problem) blockedRoles(c Cut, parts *Parts) []int {
	n := p.Table.Rows()
	role := make([]int, n)
	for r := range role {
		block := r * c.Blocks / n
		role[r] = turns[((block-c.Fold)%Folds+Folds)%Folds]
	}
	was := slices.Clone(role)

	// The more a part is protected, the later it loses rows.
	for _, lower := range []int{forSelecting, forTraining} {
		var times []int32
		groups := make(map[int32]bool)
		for r, is := range was {
			if is > lower {
				times = append(times, p.Time[r])
				if p.Group != nil && p.Group[r] >= 0 {
					groups[p.Group[r]] = true
				}
			}
		}
		for r, is := range was {
			if is != lower {
				continue
			}
			at, _ := slices.BinarySearch(times, p.Time[r])
			switch {
			case at < len(times) && times[at]-p.Time[r] < int32(p.Reach), at > 0 && p.Time[r]-times[at-1] < int32(p.Reach):
				role[r] = inNone
				parts.Gap++
			case p.Group != nil && p.Group[r] >= 0 && groups[p.Group[r]]:
				role[r] = inNone
				parts.Purged++
			}
		}
	}
	return role
}
