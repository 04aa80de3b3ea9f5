package settle

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/client-go/tools/events"

	"github.com/weir-dev/weir/api/v1alpha1"
)

// A few events go at once, a storm of them at a rate, in order and none lost.
func TestPacedEvents(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sink := events.NewFakeRecorder(2 * mostEvents)
		paced := NewPaced(sink)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { _ = paced.Start(ctx) }()
		const n = eventBurst + 10*eventRate
		for i := range n {
			paced.Eventf(&v1alpha1.Topic{}, nil, "Normal", "Told", "Tell", "%d", i)
		}
		if now := len(sink.Events); now != eventBurst {
			t.Errorf("%d events at once, want %d", now, eventBurst)
		}
		time.Sleep(5 * time.Second)
		if now := len(sink.Events); now < eventBurst+4*eventRate || now > eventBurst+6*eventRate {
			t.Errorf("%d events after 5 s", now)
		}
		time.Sleep(6 * time.Second)
		if now := len(sink.Events); now != n {
			t.Errorf("%d of %d events", now, n)
		}
	})
}
