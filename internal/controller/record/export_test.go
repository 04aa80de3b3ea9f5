package record

// Waiting is how many stores wait for the one under way.
func Waiting(b *Book) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.waiting)
}
