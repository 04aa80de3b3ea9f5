// Package lag measures how far consumer groups are behind, and judges it by
// their objectives. It is pure but for the Collector, which runs one cycle per
// cluster and interval for the groups that were declared, and keeps the results
// in memory:
//
//	 group states ┐
//	  commits     ├─ measure ─▶ Report ─▶ Verdict(now) ─▶ OnChange
//	log by time   ┘
//
// The objective "no unread record older than maxTime" is tested exactly, without
// reading a record: the brokers say which offset is the first that is not older
// than now − maxTime, and a group misses the objective on a partition if and
// only if its position is before that offset. The time lag comes from the same
// question at a few ages more.
//
// A record's age is counted from its timestamp by this machine's clock. Kafka
// finds places by time, so "if and only if" holds where the timestamps of a
// partition do not decrease; where they do, an old record behind a younger one
// may go unseen, but nothing is called late that is not.
package lag
