package kafka

// requestPartitions is the most partitions that one CreateTopics request makes:
// Apache Kafka refuses a request for more, with all its topics.
const requestPartitions = 10_000

// topicChanges are changes of one kind to one topic.
type topicChanges struct {
	name    string
	id      string // of the topic to delete; empty where any of that name is
	changes []Change
}

// partitions is how many partitions the changes make, 1 where that is left to
// the broker.
func (t topicChanges) partitions() int {
	made := 0
	for _, change := range t.changes {
		made += max(0, int(change.Partitions)-int(change.OldPartitions))
	}
	return max(1, made)
}

// done is the value of an outcome that has none.
type done = struct{}

// answer takes what became of one topic of a request.
type answer[Out any] func(name string, value Out, err error)

// perTopic calls send with at most requestItems topics at a time that make at
// most requestPartitions partitions together, each topic once, since Kafka
// refuses a request that names a topic twice. An error of send is that of all
// its topics.
func perTopic[Out any](all []topicChanges, send func([]topicChanges, answer[Out]) error) []outcome[Out] {
	outcomes := make([]outcome[Out], len(all))
	rest := make([]int, len(all))
	for i := range rest {
		rest[i] = i
	}
	for len(rest) > 0 {
		var items, later []int
		named, partitions := map[string]bool{}, 0
		for _, i := range rest {
			more := all[i].partitions()
			if named[all[i].name] || len(items) == requestItems || len(items) > 0 && partitions+more > requestPartitions {
				later = append(later, i)
				continue
			}
			named[all[i].name] = true
			partitions += more
			items = append(items, i)
		}
		sendFairly(all, items, outcomes, send)
		rest = later
	}
	return outcomes
}

// sendFairly sends the topics that items are the indices of, and again in
// halves where one refusal is the answer for all of several: a limit or a policy
// may have judged the request as a whole, and then the wish of one would be held
// against the others.
func sendFairly[Out any](all []topicChanges, items []int, outcomes []outcome[Out], send func([]topicChanges, answer[Out]) error) {
	index := make(map[string]int, len(items))
	request := make([]topicChanges, 0, len(items))
	for _, i := range items {
		outcomes[i].err = errNoAnswer
		index[all[i].name] = i
		request = append(request, all[i])
	}
	err := send(request, func(name string, value Out, err error) {
		if i, asked := index[name]; asked {
			outcomes[i] = outcome[Out]{value, err}
		}
	})
	if err != nil {
		for _, i := range items {
			outcomes[i].err = err
		}
	}
	if shareRefusal(items, outcomes) {
		half := len(items) / 2
		sendFairly(all, items[:half], outcomes, send)
		sendFairly(all, items[half:], outcomes, send)
	}
}

// shareRefusal says whether several items have one and the same refusal, of a
// kind that may be one item's fault.
func shareRefusal[Out any](items []int, outcomes []outcome[Out]) bool {
	if len(items) < 2 {
		return false
	}
	first := outcomes[items[0]].err
	if !isSpecRefused(first) {
		return false
	}
	for _, i := range items[1:] {
		if err := outcomes[i].err; err == nil || err.Error() != first.Error() {
			return false
		}
	}
	return true
}

// isSpecRefused says whether Kafka refused what was asked for, and not who asked.
func isSpecRefused(err error) bool {
	is := Classify(err)
	if is == nil || is.Class != Rejected {
		return false
	}
	switch is.Reason {
	case InvalidConfig, InvalidTopicName, InvalidPartitions, InvalidReplicationFactor, PolicyViolation, InvalidRequest:
		return true
	default:
		return false
	}
}
