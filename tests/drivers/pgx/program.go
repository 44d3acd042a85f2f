// What users of pgx do, by itself and under database/sql. See ../README.md for the rules of these
// programs.
package main

import (
	"bytes"
	"context"
	"crypto/md5"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
)

const primary = "/* pointsman: read_hint=primary */ "

var ctx = context.Background()

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// connect opens a connection; each of the functions may change what it is configured to.
func connect(changes ...func(*pgx.ConnConfig)) *pgx.Conn {
	config, err := pgx.ParseConfig("")
	must(err)
	for _, change := range changes {
		change(config)
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	must(err)
	return conn
}

func exec(c *pgx.Conn, query string, args ...any) string {
	tag, err := c.Exec(ctx, query, args...)
	must(err)
	return tag.String()
}

// one returns the values of the only row.
func one(c *pgx.Conn, query string, args ...any) []any {
	rows, err := c.Query(ctx, query, args...)
	must(err)
	values, err := pgx.CollectOneRow(rows, func(row pgx.CollectableRow) ([]any, error) { return row.Values() })
	must(err)
	return values
}

func number(c *pgx.Conn, query string, args ...any) (n int64) {
	must(c.QueryRow(ctx, query, args...).Scan(&n))
	return
}

func text(c *pgx.Conn, query string, args ...any) (s string) {
	must(c.QueryRow(ctx, query, args...).Scan(&s))
	return
}

func show(what ...any) {
	fmt.Println(what...)
}

func say(err error) {
	var e *pgconn.PgError
	switch {
	case err == nil:
		show("  no error")
	case errors.As(err, &e):
		show("  error:", e.Code, "|", e.Severity, "|", e.Message, "|", e.Detail, "|", e.Hint, "|", e.Position, "|", e.ConstraintName)
	case errors.Is(err, context.DeadlineExceeded):
		show("  deadline exceeded")
	default:
		show("  error:", err)
	}
}

func fail(c *pgx.Conn, query string, args ...any) {
	_, err := c.Exec(ctx, query, args...)
	say(err)
}

func digest(data []byte) string {
	return fmt.Sprintf("%d %x", len(data), md5.Sum(data))
}

var modes = []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe,
	pgx.QueryExecModeDescribeExec, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol}

func inMode(mode pgx.QueryExecMode) func(*pgx.ConnConfig) {
	return func(c *pgx.ConnConfig) { c.DefaultQueryExecMode = mode }
}

func session() {
	c := connect(func(c *pgx.ConnConfig) {
		c.RuntimeParams["application_name"] = "my app"
		c.RuntimeParams["work_mem"] = "3MB"
		c.RuntimeParams["search_path"] = "public"
	})
	defer c.Close(ctx)
	for _, name := range []string{"server_version", "client_encoding", "application_name", "TimeZone", "DateStyle",
		"is_superuser", "in_hot_standby", "session_authorization"} {
		show(name, c.PgConn().ParameterStatus(name))
	}
	show(text(c, "SHOW work_mem"), text(c, "SHOW search_path"))
	exec(c, "SET application_name = 'another'")
	exec(c, "SET TIME ZONE 'Asia/Tokyo'")
	show(c.PgConn().ParameterStatus("application_name"), c.PgConn().ParameterStatus("TimeZone"), text(c, "SHOW application_name"))
	must(pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "SET LOCAL work_mem = '5MB'")
		show("in", text(c, "SHOW work_mem"))
		return err
	}))
	show("after", text(c, "SHOW work_mem"))
	show(text(c, "SELECT set_config('work_mem', '9MB', false)"), text(c, "SHOW work_mem"))
	exec(c, "RESET ALL")
	show(text(c, "SHOW work_mem"), c.PgConn().ParameterStatus("application_name"), c.PgConn().ParameterStatus("TimeZone"))
	fail(c, "SET work_mem = 'nonsense'")
	must(c.Ping(ctx))
}

func types() {
	at := time.Date(2024, 2, 29, 12, 34, 56, 789000, time.UTC)
	for _, mode := range modes {
		c := connect(inMode(mode))
		show(mode)
		show(one(c, "SELECT $1::int2, $2::int8, $3::float8, $4::bool, $5::text", 7, int64(-1)<<62, 1.5e300, true, "h\u00e9llo \u2603"))
		show(one(c, "SELECT $1::bytea, $2::date, $3::int4[], $4::text[]", []byte{0, 1, 254, 255}, at, []int32{1, 2, 3}, []string{"a", `b"c`, ""}))
		var when time.Time
		must(c.QueryRow(ctx, "SELECT $1::timestamptz", at).Scan(&when))
		show(when.UTC())
		show(text(c, "SELECT $1::numeric::text", "12345678901234567890.000100"), one(c, "SELECT $1::text", nil))
		show(one(c, "SELECT $1::jsonb", `{"a": [1, null, "x"]}`), one(c, "SELECT '10.1.2.3/24'::inet, 'x'::varchar(3), 1::int2"))
		var composite struct {
			A int
			B *string
		}
		must(c.QueryRow(ctx, "SELECT 1 AS a, NULL::text AS b").Scan(&composite.A, &composite.B))
		show(composite.A, composite.B == nil)
		c.Close(ctx)
	}
}

func large() {
	c := connect()
	defer c.Close(ctx)
	long := strings.Repeat("0123456789abcdef\u2603", 200000)
	data := bytes.Repeat([]byte{0, 1, 2, 255}, 750000)
	exec(c, "CREATE TABLE large (id int PRIMARY KEY, t text, b bytea)")
	exec(c, "INSERT INTO large VALUES (1, $1, $2)", long, data)
	var t string
	var b []byte
	must(c.QueryRow(ctx, "SELECT t, b FROM large WHERE id = 1").Scan(&t, &b))
	show(digest([]byte(t)), digest(b))
	rows, err := c.Query(ctx, "SELECT n, repeat('x', 100) FROM generate_series(1, 50000) n")
	must(err)
	sum := 0
	for rows.Next() {
		var n int
		must(rows.Scan(&n, nil))
		sum += n
	}
	must(rows.Err())
	show(sum)
	many := make([]int32, 200000)
	show(number(c, "SELECT count(*) FROM unnest($1::int[])", many))
}

func transactions() {
	c := connect()
	defer c.Close(ctx)
	exec(c, "CREATE TABLE accounts (id int PRIMARY KEY, amount int NOT NULL)")
	show(exec(c, "INSERT INTO accounts SELECT n, 100 FROM generate_series(1, 5) n"))
	must(pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "UPDATE accounts SET amount = amount + 1 WHERE id = $1", 1)
		must(err)
		for i := 0; i < 3; i++ {
			err = pgx.BeginFunc(ctx, tx, func(tx pgx.Tx) error {
				_, err := tx.Exec(ctx, "UPDATE accounts SET amount = amount + 10 WHERE id = 2")
				must(err)
				if i == 1 {
					return errors.New("undo")
				}
				return nil
			})
			show(err)
		}
		return nil
	}))
	show(number(c, "SELECT sum(amount) FROM accounts"))
	for _, options := range []pgx.TxOptions{{IsoLevel: pgx.Serializable, AccessMode: pgx.ReadOnly, DeferrableMode: pgx.Deferrable},
		{IsoLevel: pgx.RepeatableRead}, {AccessMode: pgx.ReadOnly}} {
		err := pgx.BeginTxFunc(ctx, c, options, func(tx pgx.Tx) error {
			show(text(c, "SHOW transaction_isolation"), text(c, "SHOW transaction_read_only"), number(c, "SELECT count(*) FROM accounts"))
			_, err := tx.Exec(ctx, "UPDATE accounts SET amount = 0 WHERE id = -1")
			return err
		})
		say(err)
	}
	tx, err := c.Begin(ctx)
	must(err)
	_, err = tx.Exec(ctx, "DELETE FROM accounts")
	must(err)
	show(number(c, "SELECT count(*) FROM accounts"))
	must(tx.Rollback(ctx))
	show(number(c, "SELECT count(*) FROM accounts"))
	tx, err = c.Begin(ctx)
	must(err)
	_, err = tx.Exec(ctx, "SELECT 1/0")
	say(err)
	_, err = tx.Exec(ctx, "SELECT 1")
	say(err)
	say(tx.Commit(ctx))
	tx, err = c.Begin(ctx)
	must(err)
	must(tx.Commit(ctx))
	show(string(c.PgConn().TxStatus()))
}

func prepared() {
	for i, mode := range modes {
		c := connect(inMode(mode), func(c *pgx.ConnConfig) { c.StatementCacheCapacity = 10; c.DescriptionCacheCapacity = 10 })
		table := fmt.Sprintf("prepared%d", i)
		show(mode)
		exec(c, "CREATE TABLE "+table+" (id int PRIMARY KEY, v text)")
		exec(c, "INSERT INTO "+table+" SELECT n, 'v' || n FROM generate_series(1, 20) n")
		for id := 1; id < 5; id++ {
			show(text(c, "SELECT v FROM "+table+" WHERE id = $1", id))
		}
		// More statements than the cache holds.
		sum := int64(0)
		for n := 0; n < 30; n++ {
			sum += number(c, fmt.Sprintf("SELECT %d + $1::int", n), 1)
		}
		show(sum)
		fail(c, "SELECT nothing FROM "+table+" WHERE id = $1", 1)
		fail(c, "SELECT 1 / $1::int", 0)
		must(pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "INSERT INTO "+table+" VALUES ($1, $2)", 100, "x")
			show(text(c, "SELECT v FROM "+table+" WHERE id = $1", 100))
			return err
		}))
		c.Close(ctx)
	}
	c := connect()
	defer c.Close(ctx)
	description, err := c.Prepare(ctx, "named", "SELECT $1::int + 1 AS next")
	must(err)
	show(description.ParamOIDs, description.Fields[0].Name)
	show(number(c, "named", 41), number(c, "named", 1))
	_, err = c.Prepare(ctx, "other", "SELECT nothing FROM nowhere")
	say(err)
	must(c.Deallocate(ctx, "named"))
	fail(c, "named", 1)
	_, err = c.Prepare(ctx, "named", "SELECT $1::text || 'x'")
	must(err)
	show(text(c, "named", "a"))
	must(c.DeallocateAll(ctx))
	show(text(c, "SELECT $1::text", "after"))
	// The result type of a cached statement changes: without a proxy the next use fails, and only
	// the one after it is prepared anew.
	exec(c, "CREATE TABLE changing (id int)")
	exec(c, "INSERT INTO changing VALUES (1)")
	show(one(c, "SELECT * FROM changing"))
	exec(c, "ALTER TABLE changing ADD COLUMN v text DEFAULT 'new'")
	if rows, err := c.Query(ctx, "SELECT * FROM changing"); err == nil {
		rows.Close()
	}
	show(one(c, "SELECT * FROM changing"))
}

func copies() {
	c := connect()
	defer c.Close(ctx)
	exec(c, "CREATE TABLE copies (id int PRIMARY KEY, v text)")
	rows := func(from, to int) pgx.CopyFromSource {
		return pgx.CopyFromSlice(to-from, func(i int) ([]any, error) { return []any{from + i, fmt.Sprint("value ", i)}, nil })
	}
	n, err := c.CopyFrom(ctx, pgx.Identifier{"copies"}, []string{"id", "v"}, rows(0, 20000))
	must(err)
	show(n)
	n, err = c.CopyFrom(ctx, pgx.Identifier{"copies"}, []string{"id", "v"}, rows(10000, 30000))
	show(n)
	say(err)
	_, err = c.CopyFrom(ctx, pgx.Identifier{"nowhere"}, []string{"id"}, rows(0, 1))
	say(err)
	broken := pgx.CopyFromSlice(10, func(i int) ([]any, error) {
		if i == 5 {
			return nil, errors.New("the source is broken")
		}
		return []any{50000 + i, "x"}, nil
	})
	_, err = c.CopyFrom(ctx, pgx.Identifier{"copies"}, []string{"id", "v"}, broken)
	say(err)
	var out bytes.Buffer
	tag, err := c.PgConn().CopyTo(ctx, &out, "COPY (SELECT * FROM copies ORDER BY id) TO STDOUT")
	must(err)
	show(tag, digest(out.Bytes()))
	tag, err = c.PgConn().CopyFrom(ctx, strings.NewReader("70000,a\n70001,b\n"), "COPY copies FROM STDIN (FORMAT csv)")
	must(err)
	show(tag, number(c, "SELECT count(*) FROM copies"))
	exec(c, "CREATE TEMP TABLE staging (LIKE copies)")
	must(pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
		n, err := tx.CopyFrom(ctx, pgx.Identifier{"staging"}, []string{"id", "v"}, rows(80000, 80100))
		show(n)
		must(err)
		_, err = tx.Exec(ctx, "INSERT INTO copies SELECT * FROM staging")
		return err
	}))
	show(number(c, "SELECT count(*) FROM copies"))
	exec(c, "DROP TABLE staging")
}

func notifications() {
	listener, sender := connect(), connect()
	defer listener.Close(ctx)
	defer sender.Close(ctx)
	exec(listener, "LISTEN first")
	exec(listener, `LISTEN "Second"`)
	for i := 0; i < 3; i++ {
		exec(sender, fmt.Sprintf("NOTIFY first, 'payload %d'", i))
	}
	exec(sender, "SELECT pg_notify($1, $2)", "Second", strings.Repeat("x", 7000))
	next := func() {
		limited, cancel := context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		n, err := listener.WaitForNotification(limited)
		must(err)
		if len(n.Payload) > 50 {
			n.Payload = digest([]byte(n.Payload))
		}
		show(n.Channel, n.Payload)
	}
	for i := 0; i < 4; i++ {
		next()
	}
	exec(listener, "UNLISTEN first")
	exec(sender, "NOTIFY first, 'not heard'")
	exec(sender, `NOTIFY "Second", 'heard'`)
	next()
	exec(listener, "UNLISTEN *")
}

func notices() {
	c := connect(func(c *pgx.ConnConfig) {
		c.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { show("  notice:", n.Severity, n.Code, n.Message) }
	})
	defer c.Close(ctx)
	exec(c, "DO $$ BEGIN RAISE NOTICE 'hello %', 1; RAISE WARNING 'beware'; END $$")
	exec(c, "DROP TABLE IF EXISTS no_such_table")
	exec(c, "COMMIT")
}

func cancels() {
	c := connect()
	defer c.Close(ctx)
	for _, query := range []string{"SELECT pg_sleep(60)", primary + "SELECT pg_sleep(60)"} {
		over := make(chan bool)
		go func() {
			fail(c, query)
			close(over)
		}()
		for running := true; running; {
			must(c.PgConn().CancelRequest(ctx))
			select {
			case <-over:
				running = false
			case <-time.After(50 * time.Millisecond):
			}
		}
		show(text(c, "SELECT 'alive'"))
	}
	// A context that ends closes the connection.
	lost := connect()
	limited, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	_, err := lost.Exec(limited, "SELECT pg_sleep(60)")
	say(err)
	show(lost.IsClosed())
}

func timeouts() {
	c := connect(func(c *pgx.ConnConfig) { c.RuntimeParams["statement_timeout"] = "100ms" })
	defer c.Close(ctx)
	fail(c, "SELECT pg_sleep(60)")
	show(text(c, "SHOW statement_timeout"))
	other := connect()
	defer other.Close(ctx)
	exec(other, "BEGIN")
	exec(other, "SELECT * FROM accounts WHERE id = 1 FOR UPDATE")
	exec(c, "SET lock_timeout = '20ms'")
	fail(c, "UPDATE accounts SET amount = 1 WHERE id = 1")
	fail(c, "SELECT * FROM accounts WHERE id = 1 FOR UPDATE NOWAIT")
	exec(other, "ROLLBACK")
}

func mistakes() {
	for i, mode := range modes {
		c := connect(inMode(mode))
		table := fmt.Sprintf("mistakes%d", i)
		show(mode)
		exec(c, "CREATE TABLE "+table+" (id int PRIMARY KEY, positive int CONSTRAINT is_positive CHECK (positive > 0))")
		exec(c, "INSERT INTO "+table+" VALUES (1, 1)")
		for _, query := range []string{"SELEC 1", "SELECT * FROM no_such_table", "INSERT INTO " + table + " VALUES (1, 1)",
			"INSERT INTO " + table + " VALUES (2, -1)", "SELECT 1/0", "SELECT 'x'::int", "", "SELECT 1; SELECT 2"} {
			show("query:", query)
			fail(c, query)
			show(text(c, "SELECT 'next'"))
		}
		fail(c, "SELECT $1::int", "x")
		c.Close(ctx)
	}
}

func batches() {
	c := connect()
	defer c.Close(ctx)
	exec(c, "CREATE TABLE batches (id int PRIMARY KEY, v text)")
	batch := &pgx.Batch{}
	for i := 0; i < 500; i++ {
		batch.Queue("INSERT INTO batches VALUES ($1, $2)", i, fmt.Sprint("v", i))
	}
	total := int64(0)
	batch.Queue("SELECT count(*) FROM batches").QueryRow(func(row pgx.Row) error { return row.Scan(&total) })
	must(c.SendBatch(ctx, batch).Close())
	show(total)
	// An error in the middle takes the whole batch with it.
	batch = &pgx.Batch{}
	batch.Queue("INSERT INTO batches VALUES (1000, 'x')")
	batch.Queue("INSERT INTO batches VALUES (1, 'again')")
	batch.Queue("INSERT INTO batches VALUES (1001, 'x')")
	results := c.SendBatch(ctx, batch)
	for i := 0; i < 3; i++ {
		_, err := results.Exec()
		say(err)
	}
	say(results.Close())
	show(number(c, "SELECT count(*) FROM batches"))
	must(pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
		batch := &pgx.Batch{}
		batch.Queue("UPDATE batches SET v = 'u' WHERE id < $1", 10)
		batch.Queue("SELECT count(*) FROM batches WHERE v = 'u'").QueryRow(func(row pgx.Row) error { return row.Scan(&total) })
		return tx.SendBatch(ctx, batch).Close()
	}))
	show(total)
	// A pipeline: many Syncs in flight, some of them failed.
	pipeline := c.PgConn().StartPipeline(ctx)
	for i := 0; i < 20; i++ {
		pipeline.SendQueryParams("SELECT 10 / $1::int", [][]byte{[]byte(fmt.Sprint(i % 4))}, nil, nil, nil)
		must(pipeline.Sync())
	}
	for {
		got, err := pipeline.GetResults()
		if err != nil {
			say(err)
			continue
		}
		if got == nil {
			break
		}
		switch r := got.(type) {
		case *pgconn.ResultReader:
			result := r.Read()
			if result.Err == nil {
				show(string(result.Rows[0][0]))
			} else {
				say(result.Err)
			}
		case *pgconn.PipelineSync:
			show("sync")
		}
	}
	must(pipeline.Close())
	multi, err := c.PgConn().Exec(ctx, "SELECT 1; SELECT 2, 3; INSERT INTO batches VALUES (2000, 'm'); SELECT 'x'").ReadAll()
	must(err)
	for _, result := range multi {
		show(result.CommandTag, len(result.Rows))
	}
}

func cursors() {
	c := connect()
	defer c.Close(ctx)
	must(pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "DECLARE cur CURSOR FOR SELECT n FROM generate_series(1, 1000) n")
		must(err)
		for i := 0; i < 3; i++ {
			rows, _ := tx.Query(ctx, "FETCH 4 FROM cur")
			got, err := pgx.CollectRows(rows, pgx.RowTo[int])
			must(err)
			show(got)
		}
		_, err = tx.Exec(ctx, "CLOSE cur")
		return err
	}))
	// Rows that are not read to the end.
	rows, err := c.Query(ctx, "SELECT n, repeat('x', 1000) FROM generate_series(1, 20000) n")
	must(err)
	rows.Next()
	rows.Close()
	show(rows.Err(), text(c, "SELECT 'after'"))
}

func sessionState() {
	c, other := connect(), connect()
	defer c.Close(ctx)
	defer other.Close(ctx)
	exec(c, "CREATE TEMP TABLE temporary (n int)")
	exec(c, "INSERT INTO temporary VALUES (1), (2)")
	show(number(c, "SELECT sum(n) FROM temporary"))
	fail(other, "SELECT * FROM temporary")
	show(one(c, "SELECT pg_try_advisory_lock(42)"), one(other, "SELECT pg_try_advisory_lock(42)"))
	show(one(c, "SELECT pg_advisory_unlock(42)"), one(other, "SELECT pg_try_advisory_lock(42)"))
	exec(other, "DISCARD ALL")
	exec(c, "DROP TABLE temporary")
	show(one(c, "SELECT pg_try_advisory_lock(42)"), one(c, "SELECT pg_advisory_unlock_all() IS NULL"))
}

func pool() {
	config, err := pgxpool.ParseConfig("pool_max_conns=24 pool_min_conns=24")
	must(err)
	p, err := pgxpool.NewWithConfig(ctx, config)
	must(err)
	defer p.Close()
	_, err = p.Exec(ctx, "CREATE TABLE pool (id int PRIMARY KEY, amount int)")
	must(err)
	_, err = p.Exec(ctx, "INSERT INTO pool SELECT n, 1000 FROM generate_series(0, 47) n")
	must(err)
	var wait sync.WaitGroup
	var lock sync.Mutex
	var wrong []string
	work := func(me int) {
		defer wait.Done()
		for i := 0; i < 8; i++ {
			var name, value string
			var amount int
			must(pgx.BeginFunc(ctx, p, func(tx pgx.Tx) error {
				_, err := tx.Exec(ctx, fmt.Sprintf("SET LOCAL application_name = 'number %d'", me))
				must(err)
				must(tx.QueryRow(ctx, "SELECT set_config('my.tenant', $1, true)", fmt.Sprint(me)).Scan(&value))
				must(tx.QueryRow(ctx, "UPDATE pool SET amount = amount - 1 WHERE id = $1 RETURNING amount", me).Scan(&amount))
				return tx.QueryRow(ctx, "SELECT current_setting('application_name'), current_setting('my.tenant')").Scan(&name, &value)
			}))
			if name != fmt.Sprint("number ", me) || value != fmt.Sprint(me) || amount != 999-i {
				lock.Lock()
				wrong = append(wrong, fmt.Sprint(me, i, name, value, amount))
				lock.Unlock()
			}
			pgx.BeginFunc(ctx, p, func(tx pgx.Tx) error {
				tx.Exec(ctx, "UPDATE pool SET amount = 0 WHERE id = $1", me)
				_, err := tx.Exec(ctx, "INSERT INTO pool VALUES ($1, 0)", me)
				return err
			})
			var n int
			must(p.QueryRow(ctx, "SELECT $1::int", me).Scan(&n))
			if n != me {
				lock.Lock()
				wrong = append(wrong, fmt.Sprint(me, n))
				lock.Unlock()
			}
		}
	}
	for me := 0; me < 48; me++ {
		wait.Add(1)
		go work(me)
	}
	wait.Wait()
	sort.Strings(wrong)
	show(len(wrong), wrong)
	var sum, min, max int
	must(p.QueryRow(ctx, primary+"SELECT sum(amount), min(amount), max(amount) FROM pool").Scan(&sum, &min, &max))
	show(sum, min, max)
}

func standard() {
	config, err := pgx.ParseConfig("")
	must(err)
	db := stdlib.OpenDB(*config)
	defer db.Close()
	db.SetMaxOpenConns(16)
	_, err = db.Exec("CREATE TABLE standard (id int PRIMARY KEY, v text)")
	must(err)
	statement, err := db.Prepare("INSERT INTO standard VALUES ($1, $2)")
	must(err)
	var wait sync.WaitGroup
	for i := 0; i < 40; i++ {
		wait.Add(1)
		go func(i int) {
			defer wait.Done()
			_, err := statement.Exec(i, "x")
			must(err)
		}(i)
	}
	wait.Wait()
	must(statement.Close())
	tx, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead})
	must(err)
	var n int
	must(tx.QueryRow("SELECT count(*) FROM standard").Scan(&n))
	_, err = tx.Exec("DELETE FROM standard WHERE id >= 20")
	must(err)
	must(tx.Rollback())
	show(n)
	must(db.QueryRow(primary + "SELECT count(*) FROM standard").Scan(&n))
	show(n)
	_, err = db.Exec("INSERT INTO standard VALUES (1, 'again')")
	say(err)
	tx, err = db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	must(err)
	_, err = tx.Exec("DELETE FROM standard")
	say(err)
	must(tx.Rollback())
}

func reconnecting() {
	for i := 0; i < 20; i++ {
		name := fmt.Sprint("number ", i)
		c := connect(func(c *pgx.ConnConfig) { c.RuntimeParams["application_name"] = name })
		if text(c, "SHOW application_name") != name {
			show("wrong name")
		}
		must(c.Close(ctx))
	}
	abandoned := connect()
	exec(abandoned, "BEGIN")
	exec(abandoned, "DELETE FROM accounts")
	abandoned.PgConn().Conn().Close()
	c := connect()
	show(number(c, primary+"SELECT count(*) FROM accounts"))
	c.Close(ctx)
	for _, parameters := range []string{"password=wrong", "user=nobody", "dbname=no_such_database"} {
		c, err := pgx.Connect(ctx, parameters)
		if err == nil {
			show("connected")
			c.Close(ctx)
			continue
		}
		var e *pgconn.PgError
		errors.As(err, &e)
		show(parameters, e.Code)
	}
}

func run(name string, topic func()) {
	if len(os.Args) > 1 && os.Args[1] != name {
		return
	}
	show("==", name)
	defer func() {
		if problem := recover(); problem != nil {
			show("\nEXCEPTION", problem)
		}
	}()
	topic()
}

func main() {
	run("session", session)
	run("types", types)
	run("large", large)
	run("transactions", transactions)
	run("prepared", prepared)
	run("copies", copies)
	run("notifications", notifications)
	run("notices", notices)
	run("cancels", cancels)
	run("timeouts", timeouts)
	run("errors", mistakes)
	run("batches", batches)
	run("cursors", cursors)
	run("session_state", sessionState)
	run("pool", pool)
	run("standard", standard)
	run("reconnecting", reconnecting)
	show("== end")
}
