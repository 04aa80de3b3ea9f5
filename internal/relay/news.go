package relay

// News remembers what was said last, so that a log says once what lasts. The
// zero value is ready to use. It is not safe for concurrent use.
type News struct{ last string }

// Is returns whether text is not what was said last, and remembers it.
func (n *News) Is(text string) bool {
	news := n.last != text
	n.last = text
	return news
}

// Over forgets what was said last, and returns whether there was something.
func (n *News) Over() bool { return n.Is("") }
