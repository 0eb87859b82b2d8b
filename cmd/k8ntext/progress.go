package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// progress shows how far a command is: one line that is rewritten on a terminal, a plain line now
// and then elsewhere, nothing under --quiet.
type progress struct {
	mu       sync.Mutex
	w        io.Writer
	terminal bool
	every    time.Duration // between plain lines
	last     time.Time
	width    int // of the line on the terminal
}

func (a *app) newProgress() *progress {
	if a.quiet {
		return &progress{w: io.Discard}
	}
	p := &progress{w: a.stderr, every: 15 * time.Second}
	if f, ok := a.stderr.(*os.File); ok {
		p.terminal = term.IsTerminal(int(f.Fd()))
	}
	return p
}

// show replaces the state that is shown. Plain output shows it at most once in a while.
func (p *progress) show(format string, args ...any) { p.line(false, format, args...) }

// note prints a line that stays.
func (p *progress) note(format string, args ...any) { p.line(true, format, args...) }

func (p *progress) line(stays bool, format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	text := fmt.Sprintf(format, args...)
	switch {
	case p.terminal:
		fmt.Fprintf(p.w, "\r%s%s", text, strings.Repeat(" ", max(0, p.width-len(text))))
		p.width = len(text)
		if stays {
			fmt.Fprintln(p.w)
			p.width = 0
		}
	case stays || time.Since(p.last) >= p.every:
		fmt.Fprintln(p.w, text)
		p.last = time.Now()
	}
}

// done ends a line that is being rewritten.
func (p *progress) done() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.terminal && p.width > 0 {
		fmt.Fprintln(p.w)
		p.width = 0
	}
}

// roundETA makes a duration short to read: seconds below an hour, minutes above.
func roundETA(d time.Duration) time.Duration {
	if d > time.Hour {
		return d.Round(time.Minute)
	}
	return d.Round(time.Second)
}
