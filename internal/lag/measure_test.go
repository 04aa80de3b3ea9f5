package lag

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// observed is what a cycle sees of one group and the logs of one topic.
func observed(spec Spec, commits map[Partition]int64, logs ...partitionLog) observation {
	o := observation{
		at:      now,
		groups:  map[string]Group{spec.Group: {State: "Stable", Type: "Classic", Members: 1}},
		commits: map[string]Commits{spec.Group: {Offsets: commits}},
		topics:  map[string]Topic{},
		ladders: ladders(map[string]Spec{"": spec}),
	}
	for _, topic := range spec.Topics {
		var partitions []Offsets
		for _, l := range logs {
			partitions = append(partitions, l.offsets(o.ladders[topic].before(now)))
		}
		o.topics[topic] = Topic{Partitions: partitions}
	}
	return o
}

// logOf makes a log from the ages of its records.
func logOf(start int64, ages ...time.Duration) partitionLog {
	l := partitionLog{start: start}
	for _, age := range ages {
		l.records = append(l.records, now.Add(-age))
	}
	return l
}

func TestMeasure(t *testing.T) {
	t.Parallel()
	const s = time.Second
	broken := errors.New("no leader")
	for name, test := range map[string]struct {
		spec      Spec
		committed int64 // −1: no commit
		log       partitionLog
		want      PartitionLag
	}{
		"all is read": {
			Spec{MaxTime: 60 * s}, 13, logOf(10, 90*s, 80*s, 70*s), PartitionLag{},
		},
		"a commit beyond the end, of a topic made anew, is not negative lag": {
			Spec{MaxTime: 60 * s}, 99, logOf(0, 90*s), PartitionLag{},
		},
		"an empty log": {
			Spec{MaxTime: 60 * s}, -1, logOf(7), PartitionLag{},
		},
		"without a commit everything is unread": {
			Spec{MaxTime: 60 * s, InitialOffset: Earliest}, -1, logOf(5, 61*s, 50*s, 10*s),
			PartitionLag{Records: 3, Seconds: 240, OverTime: true},
		},
		"without a commit and from Latest nothing is unread": {
			Spec{MaxTime: 60 * s, InitialOffset: Latest}, -1, logOf(5, 61*s, 50*s), PartitionLag{},
		},
		"records that retention deleted unread are lost, and the rest is lag": {
			Spec{MaxTime: 60 * s}, 2, logOf(5, 30*s, 5*s),
			PartitionLag{Records: 2, Seconds: 60, Lost: 3},
		},
		"a record as old as the objective meets it": {
			Spec{MaxTime: 60 * s}, 0, logOf(0, 60*s, 59*s),
			PartitionLag{Records: 2, Seconds: 60},
		},
		"a millisecond older misses it": {
			Spec{MaxTime: 60 * s}, 0, logOf(0, 60*s+time.Millisecond, 60*s),
			PartitionLag{Records: 2, Seconds: 240, OverTime: true},
		},
		"an old record that is read does not count": {
			Spec{MaxTime: 60 * s}, 1, logOf(0, 3600*s, 60*s, 30*s, 15*s),
			PartitionLag{Records: 3, Seconds: 60},
		},
		"between two rungs the time is shared out": {
			Spec{MaxTime: 60 * s}, 2, logOf(0, 60*s, 50*s, 40*s, 30*s, 10*s), // 60 s at offset 0, 15 s at offset 4
			PartitionLag{Records: 3, Seconds: 37.5},
		},
		"beyond the ladder the time is a lower bound": {
			Spec{MaxTime: 60 * s}, 0, logOf(0, 5000*s, 10*s),
			PartitionLag{Records: 2, Seconds: 960, AtLeast: true, OverTime: true},
		},
		"without an objective there is a time all the same": {
			Spec{}, 0, logOf(0, 45*s),
			PartitionLag{Records: 1, Seconds: 60},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spec := test.spec
			spec.Group, spec.Topics = "g", []string{"t"}
			commits := map[Partition]int64{}
			if test.committed >= 0 {
				commits[Partition{"t", 0}] = test.committed
			}
			got := observed(spec, commits, test.log).measure(spec)
			test.want.Topic = "t"
			if diff := cmp.Diff([]PartitionLag{test.want}, got.Partitions); diff != "" {
				t.Errorf("partitions (-want +got):\n%s", diff)
			}
			if got.Over() != test.want.OverTime || got.Records != test.want.Records || got.Lost != test.want.Lost {
				t.Errorf("the group's sums differ from its only partition: %+v", got.Measurement)
			}
		})
	}

	t.Run("sums and the worst over topics and partitions", func(t *testing.T) {
		t.Parallel()
		spec := Spec{Group: "g", Topics: []string{"a", "b"}, MaxTime: 60 * s, MaxRecords: 7}
		o := observed(spec, map[Partition]int64{{"a", 1}: 2, {"b", 0}: 1, {"b", 1}: 2}, logOf(0, 100*s, 50*s), logOf(0, 20*s, 10*s))
		o.topics["b"].Partitions[0].Err = broken
		got := o.measure(spec)
		want := Report{
			Spec: spec, State: "Stable", Type: "Classic", Members: 1, Checked: now, Err: broken,
			Measurement: Measurement{
				At: now, Records: 2, Seconds: 240, OverTime: true,
				Topics: []TopicLag{{Topic: "a", Records: 2, Seconds: 240}, {Topic: "b"}},
				Partitions: []PartitionLag{
					{Topic: "a", Partition: 0, Records: 2, Seconds: 240, OverTime: true},
					{Topic: "a", Partition: 1},
					{Topic: "b", Partition: 1},
				},
				Worst: PartitionLag{Topic: "a", Partition: 0, Records: 2, Seconds: 240, OverTime: true},
			},
		}
		if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b error) bool { return a == b })); diff != "" {
			t.Errorf("report (-want +got):\n%s", diff)
		}
	})

	t.Run("maxRecords is for all partitions together", func(t *testing.T) {
		t.Parallel()
		for maxRecords, over := range map[int64]bool{4: false, 3: true} {
			spec := Spec{Group: "g", Topics: []string{"t"}, MaxRecords: maxRecords}
			got := observed(spec, nil, logOf(0, s, s), logOf(0, s, s)).measure(spec)
			if got.OverRecords != over || got.OverTime {
				t.Errorf("4 records, at most %d: OverRecords %v, OverTime %v", maxRecords, got.OverRecords, got.OverTime)
			}
		}
	})
}

func TestMeasureSaysWhatItCannotKnow(t *testing.T) {
	t.Parallel()
	spec := Spec{Group: "g", Topics: []string{"a", "b"}, MaxTime: time.Minute}
	refused := errors.New("refused")
	for name, test := range map[string]struct {
		spoil    func(*observation)
		measured bool
		err      string
	}{
		"nothing is wrong":        {func(*observation) {}, true, ""},
		"an absent group":         {func(o *observation) { delete(o.groups, "g") }, true, ""},
		"the group's description": {func(o *observation) { o.groups["g"] = Group{Err: refused} }, true, "refused"},
		"the commits":             {func(o *observation) { o.commits["g"] = Commits{Err: refused} }, false, "refused"},
		"one topic":               {func(o *observation) { o.topics["b"] = Topic{Err: refused} }, true, "refused"},
		"all topics": {func(o *observation) {
			o.topics["a"], o.topics["b"] = Topic{Err: refused}, Topic{Err: errors.New("other")}
		}, false, "refused"},
		"a share group": {func(o *observation) { o.groups["g"] = Group{State: "Stable", Type: "Share"} }, false,
			"group g is a share group, which commits no offsets to measure lag by"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := observed(spec, nil, logOf(0))
			test.spoil(&o)
			got := o.measure(spec)
			if got.Fresh() != test.measured {
				t.Errorf("measured: %v, want %v", got.Fresh(), test.measured)
			}
			if err := text(got.Err); err != test.err {
				t.Errorf("error %q, want %q", err, test.err)
			}
		})
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// TestMeasureAgainstTheRecords compares with what looking at every record shows.
func TestMeasureAgainstTheRecords(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 15))
	objectives := []time.Duration{0, time.Second, 7 * time.Second, time.Minute, time.Hour}
	for range 20_000 {
		disorder := r.IntN(4) == 0
		l := randomLog(r, now, disorder)
		spec := Spec{Group: "g", Topics: []string{"t"}, MaxTime: objectives[r.IntN(len(objectives))]}
		committed := r.Int64N(100)
		got := observed(spec, map[Partition]int64{{"t", 0}: committed}, l).measure(spec).Partitions[0]

		unread := l.unread(committed)
		var oldest time.Duration
		for _, record := range unread {
			oldest = max(oldest, now.Sub(record))
		}
		late := spec.MaxTime > 0 && oldest > spec.MaxTime
		fail := func(what string, want any) {
			t.Fatalf("%s: got %+v, want %v\nspec %+v, committed %d, start %d, unread %v, disorder %v", what, got, want, spec, committed, l.start, unread, disorder)
		}
		if got.Records != int64(len(unread)) {
			fail("records", len(unread))
		}
		if got.Lost != max(0, l.start-committed) {
			fail("lost", max(0, l.start-committed))
		}
		if disorder && got.OverTime && !late || !disorder && got.OverTime != late {
			fail("late", late)
		}
		if spec.MaxTime > 0 && got.OverTime != (got.Seconds > spec.MaxTime.Seconds()) {
			fail("seconds and objective tell the same", spec.MaxTime)
		}
		if disorder {
			continue
		}
		rungs := ladderOf(spec)
		position, _ := positionOf(committed, true, "", l.offsets(nil))
		span := rungs.timeLag(position, l.offsets(rungs.before(now)))
		if oldest < span.least || oldest > span.most || span.estimate < span.least || span.estimate > span.most {
			fail("age within its bounds", []time.Duration{span.least, oldest, span.most})
		}
		if got.AtLeast != (oldest > rungs[len(rungs)-1]) {
			fail("lower bound", oldest)
		}
	}
}
