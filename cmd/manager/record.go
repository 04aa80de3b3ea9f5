package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/weir-dev/weir/internal/controller/record"
)

// showRecord is `manager record`: it prints what Weir owns, and writes nothing.
func showRecord(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("manager record", flag.ContinueOnError)
	namespace := flags.String("namespace", cmp.Or(os.Getenv("POD_NAMESPACE"), "weir-system"), "the operator's namespace")
	format := flags.String("o", "text", "text, or json: one object a line, as the record has it")
	if err := flags.Parse(args); err != nil {
		return err
	}
	show := map[string]func(io.Writer, record.Copy) error{"text": printText, "json": printJSON}[*format]
	showRoots := map[string]func(io.Writer, record.Roots) error{"text": printRootsText, "json": printRootsJSON}[*format]
	switch {
	case flags.NArg() > 0:
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case show == nil:
		return fmt.Errorf("-o must be text or json, is %q", *format)
	}
	config, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("finding the API server: %w", err)
	}
	reader, err := client.New(config, client.Options{})
	if err != nil {
		return err
	}
	roots, rooted, rootErr := record.ReadRoot(ctx, reader, *namespace)
	copies, err := record.Read(ctx, reader, *namespace)
	err = errors.Join(rootErr, err)
	if err == nil && len(copies) == 0 && !rooted {
		return fmt.Errorf("there is no record in namespace %s", *namespace)
	}
	buffered := bufio.NewWriter(out)
	if rooted {
		if err := showRoots(buffered, roots); err != nil {
			return err
		}
	}
	for _, one := range copies {
		if err := show(buffered, one); err != nil {
			return err
		}
	}
	return errors.Join(buffered.Flush(), err)
}

// printRootsText prints which KafkaCluster acts for which Kafka cluster.
func printRootsText(out io.Writer, roots record.Roots) error {
	for _, id := range slices.Sorted(maps.Keys(roots.Acting)) {
		fmt.Fprintf(out, "KafkaCluster %s acts for Kafka cluster %s\n", plain(roots.Acting[id]), plain(id))
	}
	if roots.Default != "" {
		fmt.Fprintf(out, "KafkaCluster %s is the default\n", plain(roots.Default))
	}
	return nil
}

// printRootsJSON prints the same in a line.
func printRootsJSON(out io.Writer, roots record.Roots) error {
	return json.NewEncoder(out).Encode(map[string]record.Roots{"root": roots})
}

// printText prints a heading and a line an entry.
func printText(out io.Writer, one record.Copy) error {
	fmt.Fprintf(out, "Kafka cluster %s, entries: %d, kept by the Kubernetes cluster whose kube-system has the UID %s\n",
		plain(one.ClusterID), len(one.Entries), plain(one.Writer))
	for _, key := range one.Keys() {
		entry := one.Entries[key]
		line := fmt.Sprintf("  %-15s  %-8s  %s", key.Kind, entry.Phase, plain(key.Name))
		if more := details(entry); len(more) > 0 {
			line += "  (" + strings.Join(more, ", ") + ")"
		}
		fmt.Fprintln(out, line)
	}
	return nil
}

// details are what there is to say of an entry beside its phase.
func details(entry record.Entry) []string {
	var all []string
	if !entry.Since.IsZero() {
		all = append(all, "since "+entry.Since.Format(time.RFC3339))
	}
	if entry.Cause != "" {
		all = append(all, "because "+causes[entry.Cause])
	}
	if entry.Found {
		all = append(all, "found")
	}
	if entry.Holder != (record.Ref{}) {
		all = append(all, "held by "+plain(entry.Holder.String()))
	}
	if entry.ID != "" {
		all = append(all, "id "+plain(entry.ID))
	}
	if len(entry.Set) > 0 {
		all = append(all, "sets "+plain(strings.Join(slices.Sorted(maps.Keys(entry.Set)), " ")))
	}
	if entry.Lane != nil {
		all = append(all, fmt.Sprintf("%d wait topics", entry.Lane.Waits))
		if entry.Lane.Drain != record.InUse {
			all = append(all, drains[entry.Lane.Drain])
		}
	}
	return all
}

// causes are the words for why something leaves.
var causes = map[string]string{
	"now": "its topic goes", "asked": "a resource changed or was deleted", "consequence": "another object changed",
	"absent": "what declared it is not there",
}

// drains are the words for what becomes of what waits in a lane.
var drains = map[record.Drain]string{
	record.ToRetry: "drained to the retry topic", record.ToDeadLetters: "drained to the dead letters", record.Drained: "drained",
}

// plain is text as it is, unless a terminal would do something else with it than
// show it: Kafka takes any name for a group.
func plain(text string) string {
	if strings.ContainsFunc(text, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return strconv.Quote(text)
	}
	return text
}

// printJSON prints a line an entry, which says of itself which cluster it is of.
func printJSON(out io.Writer, one record.Copy) error {
	lines := json.NewEncoder(out)
	lines.SetEscapeHTML(false)
	for _, key := range one.Keys() {
		line, err := record.Line(key, one.Entries[key])
		if err != nil {
			return err
		}
		err = lines.Encode(struct {
			Cluster string          `json:"cluster"`
			Entry   json.RawMessage `json:"entry"`
		}{one.ClusterID, json.RawMessage(line)})
		if err != nil {
			return err
		}
	}
	return nil
}
