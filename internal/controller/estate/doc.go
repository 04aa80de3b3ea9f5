// Package estate is what Weir has on each Kafka cluster, put together: the
// record, who holds which name, and the one writer of grants. A KafkaCluster that
// is ready opens the estate of the Kafka cluster that it leads to; resources find
// theirs by On, claim their names there and declare what they want to be granted.
//
//	KafkaCluster ─ Open ─▶ Estate ◀─ On ─ Topic, OutboxRelay, ConsumerGroup
//	                       ├ names.Book     who holds a name
//	                       ├ grants.Writer  the ACL bindings
//	                       └ record.Book    what Weir owns
//
// Of two KafkaClusters that lead to one Kafka cluster only one acts.
package estate
