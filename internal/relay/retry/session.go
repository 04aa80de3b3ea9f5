package retry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-dev/weir/internal/relay"
	"github.com/weir-dev/weir/internal/relay/config"
)

const (
	commitInterval = 100 * time.Millisecond
	// commitTimeout bounds a commit, and leaveTimeout what a stopping worker
	// waits to leave its group: the brokers may be away.
	commitTimeout = 5 * time.Second
	leaveTimeout  = 3 * time.Second

	// sessionTimeout is how long the partitions of a killed worker rest. A
	// rebalance waits rebalanceTimeout at most for a worker to let partitions
	// go: it drains, then it commits.
	sessionTimeout    = 10 * time.Second
	rebalanceTimeout  = relay.DrainTimeout + commitTimeout + 5*time.Second
	heartbeatInterval = time.Second
	// fetchWait is how long a broker holds a fetch without records, and so the
	// longest that a partition waits to be fetched again after a pause. New
	// records end it at once.
	fetchWait = 50 * time.Millisecond
	// fetchBytes is what one fetch brings of a partition, besides a larger batch.
	fetchBytes = 64 << 10
	// metadataMaxAge is how soon topics that appear or grow are noticed.
	metadataMaxAge = 10 * time.Second
	metadataMinAge = 250 * time.Millisecond
	retryMin       = 50 * time.Millisecond
	retryMax       = 500 * time.Millisecond
)

// What all lanes share, and the least and most that one of them gets.
const (
	queuedBytes, laneBytesMin, laneBytesMax       = 64 << 20, 64 << 10, 1 << 20
	flyingRecords, laneRecordsMin, laneRecordsMax = 8_000, 10, 1_000 // kgo buffers 10,000
)

// session is one membership of the consumer group: a consumer and a lane for
// each assigned partition.
type session struct {
	client   *kgo.Client
	sink     relay.Sink
	explain  func(error) *relay.Problem // what an error of the group, or of a commit, means
	engine   *relay.Metrics
	metrics  *metrics
	problems *problems
	groups   *groupProblems
	marks    *marks
	log      *slog.Logger
	// fail ends the session.
	fail context.CancelCauseFunc

	mu    sync.Mutex
	steps map[string]step
	lanes map[topicPartition]*runningLane
}

// runningLane is a lane and the engine that drives it.
type runningLane struct {
	*lane
	cancel context.CancelFunc
	done   chan struct{} // closed when the engine has returned
}

// newSession joins the consumer group; run what it returns. The session calls
// fail, with the reason, when it must begin again.
func newSession(w *worker, f *files, sink relay.Sink, explain func(error) *relay.Problem, connect []kgo.Opt, fail context.CancelCauseFunc) (*session, error) {
	s := &session{
		sink: sink, explain: explain, engine: w.engine, metrics: w.metrics, problems: w.problems, groups: w.groups, log: w.log, fail: fail,
		steps: steps(f.effective()),
		lanes: map[topicPartition]*runningLane{},
	}
	// The client joins at once: its callbacks wait until the session is whole.
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	s.client, err = kgo.NewClient(append(slices.Clip(connect),
		kgo.ConsumerGroup(f.ConsumerGroup),
		kgo.ConsumeTopics(topicsOf(s.steps)...),
		kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.DisableAutoCommit(),
		// A record that failed before the first worker ran must not be missed.
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		// The lanes commit behind the ends of transactions, too.
		kgo.KeepControlRecords(),
		// Between a poll and the push to the lanes no partition may change
		// hands: a late push to a new lane would leave a gap.
		kgo.BlockRebalanceOnPoll(),
		kgo.OnPartitionsAssigned(s.assigned),
		kgo.OnPartitionsRevoked(s.revoked),
		kgo.OnPartitionsLost(s.lost),
		kgo.SessionTimeout(sessionTimeout),
		kgo.RebalanceTimeout(rebalanceTimeout),
		kgo.HeartbeatInterval(heartbeatInterval),
		kgo.FetchMaxWait(fetchWait),
		kgo.FetchMaxPartitionBytes(fetchBytes),
		kgo.MetadataMaxAge(metadataMaxAge),
		kgo.MetadataMinAge(metadataMinAge),
		kgo.RetryBackoffFn(func(fails int) time.Duration { return min(retryMin<<min(fails, 8), retryMax) }),
	)...)
	if err != nil {
		return nil, err
	}
	s.marks = newMarks(s.client)
	return s, nil
}

func topicsOf(steps map[string]step) []string {
	topics := make([]string, 0, len(steps))
	for topic := range steps {
		topics = append(topics, topic)
	}
	return topics
}

// run moves records until ctx ends. Then, and only then, what the lanes have
// in flight is acknowledged or given up, everything acknowledged is committed,
// and the group is left.
func (s *session) run(ctx context.Context) {
	committing, stopCommitting := context.WithCancel(context.WithoutCancel(ctx))
	committed := make(chan struct{})
	go func() {
		defer close(committed)
		s.commitOften(committing)
	}()
	s.poll(ctx)
	s.stop(s.take(nil))
	stopCommitting()
	<-committed
	s.commit(context.WithoutCancel(ctx))
	s.leave(context.WithoutCancel(ctx))
}

// leave tells the brokers that the partitions are free.
func (s *session) leave(ctx context.Context) {
	s.client.AllowRebalance()
	ctx, cancel := context.WithTimeout(ctx, leaveTimeout)
	defer cancel()
	if err := s.client.LeaveGroupContext(ctx); err != nil {
		s.log.Warn("cannot leave the consumer group; its partitions rest until the session times out", "err", err)
	}
	s.client.Close()
}

// poll hands what the brokers send to the lanes until ctx ends.
func (s *session) poll(ctx context.Context) {
	for {
		fetches := s.client.PollFetches(ctx)
		if ctx.Err() != nil {
			return
		}
		for _, failed := range fetches.Errors() {
			s.fetchFailed(failed)
		}
		s.push(fetches)
		s.client.AllowRebalance()
	}
}

// fetchFailed takes what a poll met beside records. The client asks for the
// partition again at once, and would be told the same at once.
func (s *session) fetchFailed(failed kgo.FetchError) {
	if group, ok := errors.AsType[*kgo.ErrGroupSession](failed.Err); ok {
		problem := s.explain(group.Err)
		if s.problems.report(partGroup, problem) {
			s.log.Warn("not a member of the consumer group", "reason", problem.Reason, "message", problem.Message)
		}
		return
	}
	level := slog.LevelDebug // what keeps the worker from a topic is the checker's to tell
	if _, lost := errors.AsType[*kgo.ErrDataLoss](failed.Err); lost {
		level = slog.LevelWarn
	}
	s.log.Log(context.Background(), level, "cannot fetch", "topic", failed.Topic, "partition", failed.Partition, "err", failed.Err)
	s.mu.Lock()
	defer s.mu.Unlock()
	if lane := s.lanes[topicPartition{failed.Topic, failed.Partition}]; lane != nil {
		lane.rest()
	}
}

func (s *session) push(fetches kgo.Fetches) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		at := topicPartition{p.Topic, p.Partition}
		if lane := s.lanes[at]; lane != nil && len(p.Records) > 0 {
			lane.push(p.Records)
		}
	})
}

// commitOften commits what the lanes settled until ctx ends.
func (s *session) commitOften(ctx context.Context) {
	ticker := time.NewTicker(commitInterval)
	defer ticker.Stop()
	var backoff relay.Backoff
	for {
		select {
		case <-ticker.C:
			if s.commit(ctx) {
				backoff.Reset()
			} else {
				backoff.Wait(ctx)
			}
		case <-ctx.Done():
			return
		}
	}
}

// commit returns whether all went well.
func (s *session) commit(ctx context.Context) bool {
	bounded, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	err := s.marks.commit(bounded)
	switch {
	case err == nil:
		s.problems.report(partCommit, nil)
	case ctx.Err() != nil, passes(err):
	default:
		problem := s.explain(err)
		s.log.Warn("cannot commit offsets", "reason", problem.Reason, "message", problem.Message)
		s.problems.report(partCommit, problem)
	}
	return err == nil
}

// passes reports whether a commit met a rebalance: its offsets are committed
// right after, or forgotten with their partitions.
func passes(err error) bool {
	return errors.Is(err, kerr.RebalanceInProgress) || errors.Is(err, kerr.IllegalGeneration) || errors.Is(err, kerr.UnknownMemberID)
}

// setSteps changes policies, adds topics, and lets go of those that are no longer
// to be read: their lanes finish, and what they settled is committed.
func (s *session) setSteps(ctx context.Context, steps map[string]step) {
	s.mu.Lock()
	var added, dropped []string
	for topic := range s.steps {
		if _, stays := steps[topic]; !stays {
			dropped = append(dropped, topic)
		}
	}
	for topic := range steps {
		if _, known := s.steps[topic]; !known {
			added = append(added, topic)
		}
	}
	s.steps = steps
	leaving := map[string][]int32{}
	for at, lane := range s.lanes {
		if step, stays := steps[at.topic]; stays {
			lane.setStep(step)
		} else {
			leaving[at.topic] = append(leaving[at.topic], at.partition)
		}
	}
	s.mu.Unlock()
	if len(dropped) > 0 {
		if len(leaving) > 0 {
			s.stop(s.take(leaving))
			s.commit(ctx)
			s.marks.forget(leaving)
		}
		s.client.PurgeTopicsFromConsuming(dropped...)
	}
	s.client.AddConsumeTopics(added...)
}

// assigned starts a lane for each new partition. It is also called when a
// join brings none, and so tells that the worker is a member.
func (s *session) assigned(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for topic, ids := range partitions {
		for _, id := range ids {
			s.start(topicPartition{topic, id})
		}
	}
	s.divide()
	s.problems.report(partGroup, nil)
	s.problems.enter(config.Active)
	s.log.Info("joined the consumer group", "partitions", len(s.lanes))
}

func (s *session) start(at topicPartition) {
	if _, read := s.steps[at.topic]; !read {
		return // its group has just left
	}
	ctx, cancel := context.WithCancel(context.Background())
	lane := &runningLane{
		lane:   newLane(at, s.steps[at.topic], s.client, s.marks, s.metrics, s.engine.Settled),
		cancel: cancel,
		done:   make(chan struct{}),
	}
	s.lanes[at] = lane
	group := s.groups.of(lane.group())
	engine := relay.Engine{
		Source:  lane,
		Sink:    s.sink,
		Report:  func(p *relay.Problem) { group.report(at.String(), p) },
		Metrics: s.engine,
		Log:     s.log.With("topic", at.topic, "partition", at.partition),
	}
	go func() {
		defer close(lane.done)
		if err := engine.Run(ctx); err != nil {
			s.fail(fmt.Errorf("moving records of %s: %w", at, err))
		}
	}()
}

// divide gives each lane its share of what they have in common.
func (s *session) divide() {
	n := max(len(s.lanes), 1)
	each := share{
		bytes:   min(max(queuedBytes/n, laneBytesMin), laneBytesMax),
		records: min(max(flyingRecords/n, laneRecordsMin), laneRecordsMax),
	}
	for _, lane := range s.lanes {
		lane.setShare(each)
	}
}

// revoked lets partitions go to another worker: their lanes finish, and what
// they settled is committed before the other one begins.
func (s *session) revoked(ctx context.Context, _ *kgo.Client, partitions map[string][]int32) {
	if len(partitions) == 0 {
		return
	}
	s.stop(s.take(partitions))
	s.commit(ctx)
	s.marks.forget(partitions)
}

// lost is told that partitions have another owner already.
func (s *session) lost(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
	s.stop(s.take(partitions))
	s.marks.forget(partitions)
}

// take removes the lanes of these partitions from the session; nil means all.
func (s *session) take(partitions map[string][]int32) []*runningLane {
	s.mu.Lock()
	defer s.mu.Unlock()
	var taken []*runningLane
	for at, lane := range s.lanes {
		if partitions == nil || slices.Contains(partitions[at.topic], at.partition) {
			taken = append(taken, lane)
			delete(s.lanes, at)
		}
	}
	s.divide()
	return taken
}

// stop returns when what the lanes have in flight is acknowledged and marked,
// or given up after relay.DrainTimeout.
func (s *session) stop(lanes []*runningLane) {
	for _, lane := range lanes {
		lane.cancel()
	}
	for _, lane := range lanes {
		<-lane.done
		lane.release()
		s.groups.of(lane.group()).report(lane.at.String(), nil)
	}
}
