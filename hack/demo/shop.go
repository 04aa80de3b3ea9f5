package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/weir-dev/weir/test/env"
)

// customers is how many customers the shop has; an order's events are in order
// per customer.
const customers = 50

// shop is the application that writes orders and their events, each pair in
// one transaction. Its methods may be called from any goroutine.
type shop struct {
	uri      string // of the application's role
	relayURI string // of the relay's role
}

// The tables as the team's migrations make them. The outbox is the one in
// config/samples/shop.yaml.
const migrations = `
CREATE TABLE customers (id text PRIMARY KEY, orders bigint NOT NULL DEFAULT 0);
CREATE TABLE orders (
  customer text   NOT NULL REFERENCES customers,
  number   bigint NOT NULL,  -- counts the customer's orders
  payment  text   NOT NULL,
  PRIMARY KEY (customer, number)
);
CREATE TABLE outbox (
  seq           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  id            uuid        NOT NULL DEFAULT gen_random_uuid(),
  aggregatetype text        NOT NULL,
  aggregateid   text        NOT NULL,
  type          text        NOT NULL,
  payload       jsonb       NOT NULL,
  created_at    timestamptz NOT NULL DEFAULT now()
);
GRANT SELECT, INSERT, UPDATE ON customers, orders TO shop;
GRANT INSERT ON outbox TO shop;
GRANT SELECT, DELETE ON outbox TO shop_relay;`

// openShop makes the shop's database and its two roles.
func openShop(ctx context.Context, t *teller, postgres *env.Postgres) (*shop, error) {
	password, relayPassword := rand.Text(), rand.Text()
	t.command("postgres=#", "CREATE DATABASE shop;\nCREATE ROLE shop LOGIN PASSWORD '…';\nCREATE ROLE shop_relay LOGIN PASSWORD '…';")
	uri, err := postgres.CreateDatabase(ctx, "shop")
	if err != nil {
		return nil, err
	}
	if err := errors.Join(
		postgres.CreateRole(ctx, "shop", password),
		postgres.CreateRole(ctx, "shop_relay", relayPassword),
	); err != nil {
		return nil, err
	}
	t.command("shop=#", strings.TrimSpace(migrations))
	connection, err := pgx.Connect(ctx, uri)
	if err != nil {
		return nil, err
	}
	defer connection.Close(ctx)
	if _, err := connection.Exec(ctx, migrations+fmt.Sprintf(`
		INSERT INTO customers SELECT 'customer-' || n FROM generate_series(1, %d) n;
		INSERT INTO customers VALUES ('%s'), ('%s')`, customers, gatewayCustomer, tenderCustomer)); err != nil {
		return nil, fmt.Errorf("make the shop's tables: %w", err)
	}
	return &shop{
		uri:      postgres.UserURI("shop", password, "shop"),
		relayURI: postgres.UserURI("shop_relay", relayPassword, "shop"),
	}, nil
}

// order is what a customer asks for.
type order struct {
	customer string
	payment  string // what billing will meet: see bill
	rollBack bool   // the transaction fails at its end
}

func anyCustomer() string { return fmt.Sprintf("customer-%d", 1+mathrand.IntN(customers)) }

// placing is the application's transaction. The first statement locks the
// customer, so that the numbers of a customer and the outbox's seq have one order.
const (
	countOrder  = `UPDATE customers SET orders = orders + 1 WHERE id = $1 RETURNING orders`
	insertOrder = `INSERT INTO orders (customer, number, payment) VALUES ($1, $2, $3)`
	insertEvent = `INSERT INTO outbox (aggregatetype, aggregateid, type, payload)
VALUES ('order', $1, 'OrderPlaced', jsonb_build_object('customer', $1::text, 'number', $2::bigint, 'payment', $3::text))`
)

// place places the orders over that many connections at once.
func (s *shop) place(ctx context.Context, connections int, orders []order) error {
	queue := make(chan order)
	var workers sync.WaitGroup
	errs := make([]error, connections)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for i := range errs {
		workers.Go(func() {
			if errs[i] = s.work(ctx, queue); errs[i] != nil {
				cancel()
			}
		})
	}
feed:
	for _, o := range orders {
		select {
		case queue <- o:
		case <-ctx.Done():
			break feed
		}
	}
	close(queue)
	workers.Wait()
	return errors.Join(errs...)
}

// work places the orders of the queue on a connection of its own.
func (s *shop) work(ctx context.Context, queue <-chan order) error {
	connection, err := pgx.Connect(ctx, s.uri)
	if err != nil {
		return err
	}
	defer connection.Close(context.WithoutCancel(ctx))
	for o := range queue {
		if err := placeOne(ctx, connection, o); err != nil {
			return fmt.Errorf("place an order of %s: %w", o.customer, err)
		}
	}
	return nil
}

func placeOne(ctx context.Context, connection *pgx.Conn, o order) error {
	tx, err := connection.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // nothing to do once it has ended
	var number int64
	if err := tx.QueryRow(ctx, countOrder, o.customer).Scan(&number); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, insertOrder, o.customer, number, o.payment); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, insertEvent, o.customer, number, o.payment); err != nil {
		return err
	}
	if o.rollBack {
		return tx.Rollback(ctx)
	}
	return tx.Commit(ctx)
}

// sell places an order every interval until stop is called, which waits and
// says how many there were. It may be called again.
func (s *shop) sell(ctx context.Context, interval time.Duration) (stop func() (int, error)) {
	ctx, cancel := context.WithCancel(ctx)
	queue := make(chan order)
	done := make(chan error, 1)
	go func() { done <- s.work(context.WithoutCancel(ctx), queue) }()
	sold := make(chan int, 1)
	go func() {
		defer close(queue)
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for n := 0; ; {
			select {
			case <-ctx.Done():
				sold <- n
				return
			case <-tick.C:
			}
			select {
			case <-ctx.Done():
			case queue <- order{customer: anyCustomer(), payment: "card"}:
				n++
			}
		}
	}()
	return sync.OnceValues(func() (int, error) {
		cancel()
		return <-sold, <-done
	})
}

// placed is the database's truth: how many orders each customer has, numbered
// from 1.
func (s *shop) placed(ctx context.Context) (map[string]int, error) {
	connection, err := pgx.Connect(ctx, s.uri)
	if err != nil {
		return nil, err
	}
	defer connection.Close(ctx)
	rows, err := connection.Query(ctx, `SELECT customer, count(*), max(number) FROM orders GROUP BY customer`)
	if err != nil {
		return nil, err
	}
	placed := map[string]int{}
	var customer string
	var count, highest int
	_, err = pgx.ForEachRow(rows, []any{&customer, &count, &highest}, func() error {
		placed[customer] = count
		if count != highest {
			return fmt.Errorf("the story is wrong: %s has %d orders, the last is number %d", customer, count, highest)
		}
		return nil
	})
	return placed, err
}

// waiting is how many rows are in the outbox. The application may not look, so
// the relay's role does.
func (s *shop) waiting(ctx context.Context) (n int, err error) {
	connection, err := pgx.Connect(ctx, s.relayURI)
	if err != nil {
		return 0, err
	}
	defer connection.Close(ctx)
	err = connection.QueryRow(ctx, `SELECT count(*) FROM outbox`).Scan(&n)
	return n, err
}
