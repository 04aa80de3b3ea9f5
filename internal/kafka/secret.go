package kafka

import "strings"

// SecretText is the text of a Secret's value without the line break at its end
// that `echo`, editors and `kubectl create secret --from-file` leave behind. All
// of Weir's programs read user names, passwords and URIs by it, so that what
// works in one works in the others.
func SecretText(value []byte) string { return strings.TrimRight(string(value), "\r\n") }
