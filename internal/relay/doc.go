// Package relay moves records from a source to Kafka and settles them there:
//
//	source.Next ─▶ records ─▶ produce ─▶ acknowledged prefix ─▶ source.Settle
package relay
