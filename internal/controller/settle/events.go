package settle

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/weir-dev/weir/api/v1alpha1"
)

// longestNote is what the API server accepts for the text of an event.
const longestNote = 1024

// Settled is the action of events that tell of transitions.
const Settled = "Settle"

// tellTransitions emits the events of a pass that changed conditions.
func (s Settler) tellTransitions(before, after Object) {
	for _, one := range transitions(*before.GetConditions(), *after.GetConditions()) {
		s.Events.Eventf(after, nil, one.eventType, one.reason, Settled, "%s", truncate(one.message, longestNote))
	}
}

// transition is a change of a condition that somebody wants to be told of.
type transition struct {
	eventType, reason, message string
}

// troubles are the conditions that are bad news while True.
var troubles = []string{
	v1alpha1.ConditionStalled, v1alpha1.ConditionBacklogged, v1alpha1.ConditionLagging, v1alpha1.ConditionDeadLettersPresent,
	v1alpha1.ConditionRetriesStopped,
}

// transitions are the events of a pass that changed conditions from before to
// after: a resource that stops or begins to be Ready, and trouble that comes or
// goes. What is under way or not known is no news, and neither is a new resource
// that is Ready at once: the events of what was made for it tell that.
func transitions(before, after []metav1.Condition) []transition {
	var all []transition
	for _, now := range after {
		was, is := meta.IsStatusConditionTrue(before, now.Type), now.Status == metav1.ConditionTrue
		bad := slices.Contains(troubles, now.Type)
		if was == is || now.Status == metav1.ConditionUnknown || (!bad && now.Type != v1alpha1.ConditionReady) {
			continue
		}
		if is && !bad && meta.FindStatusCondition(before, now.Type) == nil {
			continue
		}
		one := transition{corev1.EventTypeNormal, now.Reason, now.Message}
		if is == bad {
			one.eventType = corev1.EventTypeWarning
		}
		// Ready and Stalled say the same.
		if !slices.Contains(all, one) {
			all = append(all, one)
		}
	}
	return all
}

// Event tells of an effect on obj. Action is what Weir did, in one CamelCase word.
func (s Settler) Event(obj client.Object, reason, action, format string, args ...any) {
	s.Events.Eventf(obj, nil, corev1.EventTypeNormal, reason, action, "%s", truncate(fmt.Sprintf(format, args...), longestNote))
}

// Warn is Event for what somebody should know who did not ask for it.
func (s Settler) Warn(obj client.Object, reason, action, format string, args ...any) {
	s.Events.Eventf(obj, nil, corev1.EventTypeWarning, reason, action, "%s", truncate(fmt.Sprintf(format, args...), longestNote))
}
