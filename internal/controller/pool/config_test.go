package pool

import "testing"

// A Secret with the certificate of the authority often holds its private key
// too, and what a worker mounts is a ConfigMap that tenants read.
func TestCertificatesOnly(t *testing.T) {
	t.Parallel()
	const certificate = "-----BEGIN CERTIFICATE-----\nYWJj\n-----END CERTIFICATE-----\n"
	text := "a comment\n-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n" + certificate +
		"-----BEGIN EC PARAMETERS-----\nYWJj\n-----END EC PARAMETERS-----\n" + certificate
	if got := certificatesOf(text); got != certificate+certificate {
		t.Errorf("got %q", got)
	}
	if got := certificatesOf("no PEM"); got != "" {
		t.Errorf("got %q", got)
	}
}
