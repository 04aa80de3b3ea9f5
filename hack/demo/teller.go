package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode/utf8"
)

// columns is how wide the story is at most.
const columns = 120

// teller prints the story. Its methods may be called from any goroutine.
type teller struct {
	mu    sync.Mutex
	out   io.Writer
	color bool
}

// The looks of a line, as a terminal's codes.
const (
	plain = ""
	bold  = "1"
	faint = "2"
	red   = "31"
	green = "32"
)

// chapter begins a step of the story.
func (t *teller) chapter(number int, title string) {
	t.lines(bold, "\n", "", fmt.Sprintf("%d. %s", number, title))
}

// say tells what happens next or what has been seen.
func (t *teller) say(format string, args ...any) {
	t.lines(plain, "\n", "   ", fmt.Sprintf(format, args...))
}

// command shows what a user would type.
func (t *teller) command(prompt, text string) {
	t.lines(bold, "\n", "   ", prompt+" "+strings.ReplaceAll(text, "\n", "\n     "))
}

// output shows what came back.
func (t *teller) output(text string) {
	if text = strings.TrimRight(text, "\n"); text != "" {
		t.lines(faint, "", "   ", text)
	}
}

// holds says that a check of the story holds.
func (t *teller) holds(format string, args ...any) {
	t.lines(green, "", "   ", "✓ "+fmt.Sprintf(format, args...))
}

// breaks says what does not hold.
func (t *teller) breaks(text string) {
	t.lines(red, "\n", "   ", "✗ "+text)
}

func (t *teller) lines(look, before, indent, text string) {
	var b strings.Builder
	b.WriteString(before)
	for line := range strings.SplitSeq(text, "\n") {
		for _, piece := range fold(line, columns-len(indent)) {
			if t.color && look != plain && piece != "" {
				piece = "\x1b[" + look + "m" + piece + "\x1b[0m"
			}
			b.WriteString(strings.TrimRight(indent+piece, " ") + "\n")
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprint(t.out, b.String())
}

// fold cuts a line into pieces of at most width characters, between words
// where it can, each piece after the first indented.
func fold(line string, width int) []string {
	const hang = "    "
	var pieces []string
	for utf8.RuneCountInString(line) > width {
		runes := []rune(line)
		at := strings.LastIndex(string(runes[:width+1]), " ")
		if at <= len(hang) {
			at = len(string(runes[:width]))
		}
		pieces = append(pieces, strings.TrimRight(line[:at], " "))
		line = hang + strings.TrimLeft(line[at:], " ")
	}
	return append(pieces, line)
}
