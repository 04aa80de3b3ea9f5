package retry

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// marks are the offsets that the lanes settled and that are not committed
// yet. It is safe for concurrent use.
type marks struct {
	client *kgo.Client

	mu    sync.Mutex
	dirty map[topicPartition]kgo.EpochOffset
}

func newMarks(client *kgo.Client) *marks {
	return &marks{client: client, dirty: map[topicPartition]kgo.EpochOffset{}}
}

func (m *marks) set(at topicPartition, offset kgo.EpochOffset) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dirty[at] = offset
}

// forget drops the marks of partitions that are no longer ours: their next
// owner begins where they were committed.
func (m *marks) forget(partitions map[string][]int32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for topic, ids := range partitions {
		for _, id := range ids {
			delete(m.dirty, topicPartition{topic, id})
		}
	}
}

// commit commits what was marked. What fails stays marked.
func (m *marks) commit(ctx context.Context) error {
	m.mu.Lock()
	sent := maps.Clone(m.dirty)
	m.mu.Unlock()
	if len(sent) == 0 {
		return nil
	}
	offsets := map[string]map[int32]kgo.EpochOffset{}
	for at, offset := range sent {
		if offsets[at.topic] == nil {
			offsets[at.topic] = map[int32]kgo.EpochOffset{}
		}
		offsets[at.topic][at.partition] = offset
	}
	var failed error
	m.client.CommitOffsetsSync(ctx, offsets, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, response *kmsg.OffsetCommitResponse, err error) {
		if err != nil {
			failed = fmt.Errorf("committing offsets: %w", err)
			return
		}
		failed = m.committed(sent, response)
	})
	return failed
}

// committed removes the marks that the response confirms and that have not
// moved on meanwhile.
func (m *marks) committed(sent map[topicPartition]kgo.EpochOffset, response *kmsg.OffsetCommitResponse) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var failed []error
	for _, topic := range response.Topics {
		for _, partition := range topic.Partitions {
			at := topicPartition{topic.Topic, partition.Partition}
			err := kerr.ErrorForCode(partition.ErrorCode)
			if errors.Is(err, kerr.UnknownTopicOrPartition) || errors.Is(err, kerr.UnknownTopicID) {
				// The topic was deleted. Its offset must not be committed
				// for another one of that name.
				delete(m.dirty, at)
				continue
			}
			if err != nil {
				failed = append(failed, fmt.Errorf("committing the offset of %s: %w", at, err))
				continue
			}
			if m.dirty[at] == sent[at] {
				delete(m.dirty, at)
			}
		}
	}
	return errors.Join(failed...)
}
