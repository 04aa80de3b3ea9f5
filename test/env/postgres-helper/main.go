// Command postgres-helper runs one PostgreSQL for the tests and the demo: it
// prints "ready" when the server takes connections and stops it when standard
// input ends, which it does when the process that started it dies. The server
// refuses to run as root, so root's helper goes on as another user.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"os/user"
	"strconv"
	"syscall"

	embeddedpostgres "github.com/fergusstrange/embedded-postgres"
)

func main() {
	signal.Ignore(os.Interrupt, syscall.SIGTERM) // the end of standard input says when to stop
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	dir := flag.String("dir", "", "directory for temporary files")
	remove := flag.Bool("remove", false, "remove the directory at the end")
	binaries := flag.String("binaries", "", "directory of PostgreSQL's binaries; fetched into it where they are missing")
	data := flag.String("data", "", "data directory; initialised where it is empty")
	port := flag.Uint("port", 0, "port of the loopback address")
	userName := flag.String("user", "", "user to run as, for root")
	flag.Parse()
	if *userName != "" {
		if err := become(*userName); err != nil {
			return err
		}
	}
	if *remove {
		defer os.RemoveAll(*dir)
	}
	if err := os.Setenv("TMPDIR", *dir); err != nil {
		return err
	}

	database := embeddedpostgres.NewDatabase(embeddedpostgres.DefaultConfig().
		Version(embeddedpostgres.V18).
		Port(uint32(*port)).
		CachePath(*dir + "/archive").
		RuntimePath(*dir + "/run").
		BinariesPath(*binaries).
		DataPath(*data).
		Locale("C").Encoding("UTF8"). // whatever the environment says
		Logger(io.Discard).           // the library puts the server's log into its errors
		StartParameters(map[string]string{
			"listen_addresses":        "127.0.0.1",
			"unix_socket_directories": "",
			"wal_level":               "logical",
			"max_connections":         "300",
			"max_replication_slots":   "50",
			"max_wal_senders":         "50",
			// They protect from a crash of the machine, which no test survives.
			"fsync":            "off",
			"full_page_writes": "off",
		}))
	if err := database.Start(); err != nil {
		return err
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin) // an error ends it as well
	return database.Stop()
}

// become makes this process another user's for good.
func become(name string) error {
	account, err := user.Lookup(name)
	if err != nil {
		return err
	}
	uid, err := strconv.Atoi(account.Uid)
	if err != nil {
		return err
	}
	gid, err := strconv.Atoi(account.Gid)
	if err != nil {
		return err
	}
	if err := syscall.Setgroups(nil); err != nil {
		return err
	}
	if err := syscall.Setgid(gid); err != nil {
		return err
	}
	return syscall.Setuid(uid)
}
