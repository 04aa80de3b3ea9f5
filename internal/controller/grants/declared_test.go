package grants_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/weir-dev/weir/internal/controller/grants"
	"github.com/weir-dev/weir/internal/controller/record"
	"github.com/weir-dev/weir/internal/kafka"
)

func owner(i int) record.Ref {
	return record.Ref{Kind: "Topic", Namespace: "shop", Name: fmt.Sprint(i)}
}

func TestDeclaredIsTheUnion(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		declared := grants.NewDeclared(nil)
		owners := map[record.Ref]grants.Wants{}
		causes := map[kafka.Binding]grants.Cause{}
		union := grants.Wants{}
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			self := owner(rapid.IntRange(0, 3).Draw(t, "owner"))
			cause := grants.Cause(rapid.IntRange(1, 4).Draw(t, "cause"))
			if rapid.Bool().Draw(t, "gone") {
				delete(owners, self)
				declared.Gone(self, cause)
			} else {
				wants := grants.Wants{}
				for i := range 4 {
					if want := rapid.IntRange(0, 2).Draw(t, "want"); want > 0 {
						wants[read(fmt.Sprint(i))] = grants.Want(want)
					}
				}
				owners[self] = wants
				declared.Declare(self, wants, cause)
			}

			before := union
			union = grants.Wants{}
			for _, wants := range owners {
				for binding, want := range wants {
					union[binding] = max(union[binding], want)
					delete(causes, binding)
				}
			}
			for binding := range before {
				if union[binding] == 0 {
					causes[binding] = cause
				}
			}
			if diff := cmp.Diff(union, declared.Wants()); diff != "" {
				t.Fatal("wants (-want +got):\n" + diff)
			}
			if diff := cmp.Diff(causes, declared.Causes()); diff != "" {
				t.Fatal("causes (-want +got):\n" + diff)
			}
		}
	})
}

func TestDeclaredIsCompleteOnceAllWereSeen(t *testing.T) {
	declared := grants.NewDeclared([]record.Ref{owner(1), owner(2)})
	declared.Declare(owner(1), grants.Wants{read("a"): grants.Grant}, grants.Asked)
	declared.Declare(owner(3), nil, grants.Asked)
	if declared.Complete() {
		t.Error("complete while a resource that is expected was not seen")
	}
	declared.Gone(owner(2), grants.Absent)
	if !declared.Complete() {
		t.Error("a resource that is gone is still waited for")
	}
}
