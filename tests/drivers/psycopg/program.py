"""What users of psycopg 3 do. See ../README.md for the rules of these programs."""

import asyncio
import datetime
import decimal
import hashlib
import ipaddress
import select
import sys
import threading
import time
import uuid

import psycopg
from psycopg import sql
from psycopg.rows import dict_row, namedtuple_row
from psycopg.types.json import Jsonb
from psycopg_pool import AsyncConnectionPool, ConnectionPool

PRIMARY = "/* pointsman: read_hint=primary */ "
topics = []


def topic(function):
    topics.append(function)
    return function


def connect(**parameters):
    parameters.setdefault("autocommit", True)
    return psycopg.connect("", **parameters)


def one(conn, query, params=None, **options):
    return conn.execute(query, params, **options).fetchone()


def error(function, *args, **options):
    """What the error of a call says; a call that succeeds is told, too."""
    try:
        function(*args, **options)
    except psycopg.Error as e:
        d = e.diag
        parts = [type(e).__name__, d.sqlstate, d.severity, d.message_primary, d.message_detail,
                 d.message_hint, d.statement_position, d.table_name, d.constraint_name]
        print("  error:", " | ".join(str(p) for p in parts if p is not None))
        return e
    print("  no error")


def digest(data):
    if isinstance(data, str):
        data = data.encode()
    return f"{len(data)} {hashlib.md5(data).hexdigest()}"


@topic
def session():
    with connect(application_name="my app", options="-c search_path=public -c DateStyle=German") as c:
        for name in ("server_version", "client_encoding", "application_name", "DateStyle", "TimeZone",
                     "standard_conforming_strings", "integer_datetimes", "is_superuser",
                     "session_authorization", "IntervalStyle", "in_hot_standby"):
            print(name, c.info.parameter_status(name))
        print(c.info.server_version, c.info.encoding, c.info.transaction_status.name)
        print(one(c, "SELECT current_date > '2000-01-01', '2024-02-03'::date::text"))
        print(one(c, "SHOW application_name"), one(c, "SHOW search_path"), one(c, "SHOW DateStyle"))
        c.execute("SET application_name = 'another'")
        print(c.info.parameter_status("application_name"), one(c, "SHOW application_name"))
        c.execute("SET TimeZone = 'Asia/Tokyo'")
        print(c.info.timezone, one(c, "SELECT '2024-01-01 00:00Z'::timestamptz::text"))
        print(one(c, "SELECT set_config('work_mem', '3MB', false), current_setting('work_mem')"))
        print(one(c, "SHOW work_mem"))
        with c.transaction():
            c.execute("SET LOCAL work_mem = '5MB'")
            print("in", one(c, "SHOW work_mem"))
        print("after", one(c, "SHOW work_mem"))
        try:
            with c.transaction():
                c.execute("SET work_mem = '7MB'")
                raise psycopg.Rollback()
        except psycopg.Rollback:
            pass
        print("rolled back", one(c, "SHOW work_mem"))
        c.execute("RESET work_mem")
        print("reset", one(c, "SHOW work_mem"))
        c.execute("RESET ALL")
        print(one(c, "SHOW application_name"), one(c, "SHOW TimeZone"), one(c, "SHOW DateStyle"))
        error(c.execute, "SET work_mem = 'nonsense'")
        error(c.execute, "SET no_such_setting = 1")
        c.execute("SET my.own = 'value'")
        print(one(c, "SELECT current_setting('my.own')"))
        print(one(c, "SELECT current_user, session_user, current_database()"))
        c.execute("SET client_encoding = 'LATIN1'")
        print(c.info.encoding, one(c, "SELECT %s::text, octet_length(%s)", ("\xe9", "\xe9")))


@topic
def types():
    values = [
        ("int2", 7), ("int8", -2**62), ("float8", 1.5e300), ("float4", 0.25), ("bool", True),
        ("numeric", decimal.Decimal("12345678901234567890.000100")), ("text", "h\u00e9llo \u2603"),
        ("bytea", bytes(range(256))), ("date", datetime.date(2024, 2, 29)),
        ("timestamp", datetime.datetime(2024, 2, 29, 12, 34, 56, 789012)),
        ("timestamptz", datetime.datetime(2024, 2, 29, 12, tzinfo=datetime.timezone.utc)),
        ("interval", datetime.timedelta(days=3, seconds=5)), ("uuid", uuid.UUID(int=42)),
        ("inet", ipaddress.ip_interface("10.1.2.3/24")), ("jsonb", Jsonb({"a": [1, None, "x"]})),
        ("int4[]", [1, None, 3]), ("text[]", ["a", 'b"c', None, ""]), ("float8[]", [[1.0, 2.0], [3.0, 4.0]]),
        ("text", None),
    ]
    with connect() as c:
        for binary in (False, True):
            for name, value in values:
                row = one(c, sql.SQL("SELECT %s::{}").format(sql.SQL(name)), (value,), binary=binary)
                print(binary, name, row[0])
        row = one(c, "SELECT ROW(1, 'x'), int4range(1, 5), '{\"k\": 1.50}'::json, point(1, 2)")
        print(row)
        c.execute("CREATE TYPE mood AS ENUM ('sad', 'ok')")
        print(one(c, PRIMARY + "SELECT 'ok'::mood, 'sad'::mood < 'ok'::mood"))
        cursor = c.execute("SELECT 1 AS a, 'x'::varchar(7) AS b, 1.5::numeric(6,2) AS c")
        print([(d.name, d.type_code, d.display_size, d.precision, d.scale) for d in cursor.description])
        c.row_factory = dict_row
        print(one(c, "SELECT 1 AS one, NULL AS nothing"))
        c.row_factory = namedtuple_row
        print(one(c, "SELECT 1 AS one, 2 AS two"))


@topic
def large():
    text = "0123456789abcdef\u2603" * 200000
    data = bytes((i * 7 + (i >> 8)) & 255 for i in range(3000000))
    with connect() as c:
        c.execute("CREATE TABLE large (id int PRIMARY KEY, t text, b bytea)")
        c.execute("INSERT INTO large VALUES (1, %s, %s)", (text, data))
        for binary in (False, True):
            row = one(c, "SELECT t, b FROM large WHERE id = 1", binary=binary)
            print(digest(row[0]), digest(row[1]))
        print(one(c, "SELECT length(%s), md5(%b)", (text, data)))
        rows = c.execute("SELECT n, repeat('x', 100) FROM generate_series(1, 50000) n").fetchall()
        print(len(rows), sum(r[0] for r in rows))
        print(one(c, "SELECT count(*) FROM unnest(%s::int[])", (list(range(100000)),)))
        names = sql.SQL(",").join(sql.Literal(n) for n in range(10000))
        print(one(c, sql.SQL("SELECT count(*) FROM generate_series(1, 20000) n WHERE n IN ({})").format(names)))


@topic
def transactions():
    with connect(autocommit=False) as c:
        c.execute("CREATE TABLE accounts (id int PRIMARY KEY, amount int NOT NULL)")
        c.execute("INSERT INTO accounts SELECT n, 100 FROM generate_series(1, 5) n")
        print(c.info.transaction_status.name)
        c.commit()
        print(c.info.transaction_status.name)
        c.execute("UPDATE accounts SET amount = 0")
        print("inside", one(c, "SELECT sum(amount) FROM accounts"))
        c.rollback()
        print("rolled back", one(c, "SELECT sum(amount) FROM accounts"))
        c.rollback()
        with c.transaction():
            c.execute("UPDATE accounts SET amount = amount + 1 WHERE id = 1")
            for i in range(3):
                try:
                    with c.transaction("point"):
                        c.execute("UPDATE accounts SET amount = amount + 10 WHERE id = 2")
                        if i == 1:
                            raise ValueError("undo")
                except ValueError as e:
                    print(e)
            print(c.info.transaction_status.name)
        print("nested", c.execute("SELECT * FROM accounts ORDER BY id").fetchall())
        c.rollback()
        c.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
        c.read_only = True
        c.deferrable = True
        print(one(c, "SHOW transaction_isolation"), one(c, "SHOW transaction_read_only"),
              one(c, "SHOW transaction_deferrable"))
        error(c.execute, "UPDATE accounts SET amount = 1")
        print(c.info.transaction_status.name)
        error(c.execute, "SELECT 1")
        c.rollback()
        c.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        c.read_only = None
        c.deferrable = None
        print(one(c, "SHOW transaction_isolation"), one(c, "SELECT count(*) FROM accounts"))
        with connect() as other:
            other.execute("UPDATE accounts SET amount = amount + 1 WHERE id = 3")
        print("snapshot", one(c, "SELECT amount FROM accounts WHERE id = 3"))
        error(c.execute, "UPDATE accounts SET amount = 0 WHERE id = 3")
        c.rollback()
        c.isolation_level = None
        c.autocommit = True
        with c.transaction(force_rollback=True):
            c.execute("DELETE FROM accounts")
        print("forced", one(c, "SELECT count(*) FROM accounts"))
        c.execute("BEGIN")
        c.execute("SAVEPOINT a")
        error(c.execute, "INSERT INTO accounts VALUES (1, 1)")
        c.execute("ROLLBACK TO a")
        print(one(c, "SELECT count(*) FROM accounts"), c.info.transaction_status.name)
        c.execute("COMMIT AND CHAIN")
        print(c.info.transaction_status.name)
        c.execute("ROLLBACK")
        c.execute("BEGIN")
        error(c.execute, "SELECT 1/0")
        print(c.execute("COMMIT").statusmessage, c.info.transaction_status.name)


@topic
def two_phase():
    with connect(autocommit=False) as c:
        c.execute("CREATE TABLE phases (n int)")
        c.commit()
        xid = c.xid(1, "gtrid", "bqual")
        c.tpc_begin(xid)
        c.execute("INSERT INTO phases VALUES (1)")
        c.tpc_prepare()
        c.tpc_commit()
        c.tpc_begin(c.xid(1, "second", "b"))
        c.execute("INSERT INTO phases VALUES (2)")
        c.tpc_prepare()
        with connect(autocommit=False) as other:
            print([x.gtrid for x in other.tpc_recover() if x.database == c.info.dbname])
        c.tpc_rollback()
        print(c.execute("SELECT n FROM phases").fetchall())


@topic
def prepared():
    with connect(prepare_threshold=3) as c:
        c.execute("CREATE TABLE prepared (id int PRIMARY KEY, v text)")
        c.execute("INSERT INTO prepared SELECT n, 'v' || n FROM generate_series(1, 20) n")
        for i in range(1, 12):
            print(one(c, "SELECT v FROM prepared WHERE id = %s", (i,)), end=" ")
        print()
        for i in range(1, 4):
            print(one(c, "SELECT count(*), %s::text FROM prepared", ("x",), prepare=True))
        c.execute("INSERT INTO prepared VALUES (%s, %s)", (100, "new"), prepare=True)
        print(one(c, "SELECT * FROM prepared WHERE id = %s", (100,), prepare=True))
        # The result type changes under a prepared statement.
        for _ in range(4):
            row = one(c, "SELECT * FROM prepared WHERE id = %s", (1,))
        print(row)
        c.execute("ALTER TABLE prepared ADD COLUMN w int DEFAULT 3")
        print(one(c, "SELECT id, v, w FROM prepared WHERE id = %s", (1,)))
        error(c.execute, "SELECT nothing FROM prepared WHERE id = %s", (1,), prepare=True)
        error(c.execute, "SELECT v FROM prepared WHERE id = %s::int", ("x",), prepare=True)
        print(one(c, "SELECT v FROM prepared WHERE id = %s::int", ("2",), prepare=True))
        # Kinds of a parameter make different statements.
        for value in (1, "1", 1.5, decimal.Decimal("2.5"), None, 2**40):
            for _ in range(4):
                row = one(c, "SELECT %s", (value,))
            print(row)
        # More statements than psycopg keeps: it deallocates the oldest.
        c.prepared_max = 5
        for i in range(12):
            row = one(c, f"SELECT {i} + %s", (1,), prepare=True)
        print(row)
        c.execute("DISCARD ALL")
        error(c.execute, "SELECT 11 + %s", (1,), prepare=True)
        # psycopg forgets its statements after a DROP, and sends DEALLOCATE ALL.
        c.execute("DROP TABLE IF EXISTS no_such_table")
        print(one(c, "SELECT 11 + %s", (1,), prepare=True))
        with c.transaction():
            for i in range(5):
                row = one(c, "SELECT sum(id) FROM prepared WHERE id < %s", (i,))
            print(row)
    with connect() as c:
        c.execute(PRIMARY + "PREPARE by_name (int) AS SELECT v FROM prepared WHERE id = $1")
        print(one(c, "EXECUTE by_name(5)"))
        error(c.execute, "PREPARE by_name AS SELECT 1")
        c.execute("DEALLOCATE by_name")
        error(c.execute, "EXECUTE by_name(5)")
        error(c.execute, "DEALLOCATE by_name")


@topic
def copies():
    with connect() as c:
        c.execute("CREATE TABLE copies (id int PRIMARY KEY, v text, n numeric)")
        with c.cursor().copy("COPY copies FROM STDIN") as copy:
            for i in range(5000):
                copy.write_row((i, f"v\t{i}\\\n" if i % 7 else None, decimal.Decimal(i) / 4))
        print(one(c, "SELECT count(*), count(v), sum(n) FROM copies"))
        for query in ("COPY copies TO STDOUT", "COPY (SELECT * FROM copies ORDER BY id DESC) TO STDOUT (FORMAT csv)",
                      "COPY copies TO STDOUT (FORMAT binary)"):
            with c.cursor().copy(query) as copy:
                print(digest(b"".join(bytes(part) for part in copy)))
        with c.cursor().copy("COPY (SELECT id, v FROM copies ORDER BY id LIMIT 3) TO STDOUT") as copy:
            copy.set_types(["int4", "text"])
            print(list(copy.rows()))
        with c.cursor().copy("COPY copies (id, v) FROM STDIN (FORMAT binary)") as copy:
            copy.set_types(["int4", "text"])
            copy.write_row((9001, "binary"))
        print(one(c, "SELECT v FROM copies WHERE id = 9001"))

        def duplicate():
            with c.cursor().copy("COPY copies (id) FROM STDIN") as copy:
                for i in range(1, 20000):
                    copy.write(f"{i}\n")

        error(duplicate)

        def malformed():
            with c.cursor().copy("COPY copies (id) FROM STDIN") as copy:
                copy.write("one\n")

        error(malformed)
        try:
            with c.cursor().copy("COPY copies (id) FROM STDIN") as copy:
                copy.write("9002\n")
                raise ValueError("changed my mind")
        except ValueError as e:
            print(e)
        print(one(c, "SELECT count(*) FROM copies"), c.info.transaction_status.name)
        # Leaving an endless COPY OUT early cancels it.
        try:
            with c.cursor().copy("COPY (SELECT n, repeat('x', 500) FROM generate_series(1, 1000000) n) TO STDOUT") as copy:
                print(bytes(copy.read()[:2]))
                raise ValueError("enough")
        except ValueError as e:
            print(e)
        print(one(c, "SELECT 'still here'"))
        with c.transaction():
            with c.cursor().copy("COPY copies (id) FROM STDIN") as copy:
                copy.write("9003\n9004\n")
            print(one(c, "SELECT count(*) FROM copies WHERE id > 9000"))


@topic
def notifications():
    with connect() as listener, connect() as sender:
        listener.execute("LISTEN first")
        listener.execute('LISTEN "Second"')
        for i in range(3):
            sender.execute("NOTIFY first, 'payload %s'" % i)
        sender.execute("SELECT pg_notify('Second', %s)", ("x" * 7000,))
        with sender.transaction():
            sender.execute("NOTIFY first, 'in a transaction'")
            sender.execute("NOTIFY first, 'in a transaction'")
        for n in listener.notifies(timeout=20, stop_after=5):
            print(n.channel, digest(n.payload) if len(n.payload) > 50 else n.payload)
        listener.execute("UNLISTEN first")
        sender.execute("NOTIFY first, 'not heard'")
        sender.execute("NOTIFY \"Second\", 'heard'")
        for n in listener.notifies(timeout=20, stop_after=1):
            print(n.channel, n.payload)
        listener.execute("UNLISTEN *")
        listener.execute("LISTEN own")
        listener.execute("NOTIFY own, 'to myself'")
        for n in listener.notifies(timeout=20, stop_after=1):
            print(n.channel, n.payload)


@topic
def notices():
    with connect() as c:
        c.add_notice_handler(lambda d: print("  notice:", d.severity, d.sqlstate, d.message_primary, d.message_detail))
        c.execute("DO $$ BEGIN RAISE NOTICE 'hello %', 1; RAISE WARNING 'beware' USING DETAIL = 'why'; END $$")
        c.execute("DROP TABLE IF EXISTS no_such_table")
        c.execute("CREATE TABLE IF NOT EXISTS accounts (id int)")
        c.execute("COMMIT")
        c.execute("BEGIN")
        c.execute("BEGIN")
        c.execute("ROLLBACK")
        c.execute("SET client_min_messages = error")
        c.execute("DROP TABLE IF EXISTS no_such_table")


@topic
def cancels():
    with connect() as c:
        for query in ("SELECT pg_sleep(60)", PRIMARY + "SELECT pg_sleep(60)",
                      "SELECT count(*) FROM generate_series(1, 100000000000)"):
            over = threading.Event()

            def canceller():
                while not over.wait(0.05):
                    c.cancel_safe(timeout=10)

            thread = threading.Thread(target=canceller)
            thread.start()
            error(c.execute, query)
            over.set()
            thread.join()
            print(one(c, "SELECT 'alive'"))
        c.cancel_safe()
        print(one(c, "SELECT 'nothing to cancel'"))


@topic
def timeouts():
    with connect() as c:
        c.execute("SET statement_timeout = '100ms'")
        error(c.execute, "SELECT pg_sleep(30)")
        print(one(c, "SELECT 1"), one(c, "SHOW statement_timeout"))
        c.execute("RESET statement_timeout")
        with c.transaction():
            c.execute("SET LOCAL statement_timeout = '50ms'")
            print(one(c, "SHOW statement_timeout"))
        print(one(c, "SELECT 'slept' FROM pg_sleep(0.1)"))
        with connect() as holder, holder.transaction():
            holder.execute("SELECT * FROM accounts WHERE id = 1 FOR UPDATE")
            c.execute("SET lock_timeout = '100ms'")
            error(c.execute, "UPDATE accounts SET amount = 0 WHERE id = 1")
            error(c.execute, "SELECT * FROM accounts WHERE id = 1 FOR UPDATE NOWAIT")
            print(c.execute("SELECT id FROM accounts ORDER BY id LIMIT 2 FOR UPDATE SKIP LOCKED").fetchall())
    with connect(options="-c statement_timeout=80ms") as c:
        error(c.execute, "SELECT pg_sleep(30)")


@topic
def errors():
    with connect() as c:
        c.execute("CREATE TABLE errors (id int PRIMARY KEY, positive int CONSTRAINT is_positive CHECK (positive > 0),"
                  " parent int REFERENCES errors)")
        c.execute("INSERT INTO errors VALUES (1, 1, NULL)")
        for query in ("SELEC 1", "SELECT * FROM no_such_table", "SELECT no_such_column FROM errors",
                      "SELECT no_such_function(1)", "INSERT INTO errors VALUES (1, 1)",
                      "INSERT INTO errors VALUES (2, -1)", "INSERT INTO errors VALUES (2, 1, 77)",
                      "INSERT INTO errors VALUES (NULL, 1)", "SELECT 1/0", "SELECT 'x'::int",
                      "DROP TABLE no_such_table", "COMMIT PREPARED 'nothing'", "SELECT '\\x0'::bytea",
                      "DO $$ BEGIN RAISE EXCEPTION 'mine' USING ERRCODE = 'ZZ001', HINT = 'do not'; END $$",
                      "VACUUM no_such_table", "SELECT pg_advisory_lock(1, 2, 3)", "", ";", "-- nothing"):
            print("query:", query)
            error(c.execute, query)
            print("  ", c.info.transaction_status.name, one(c, "SELECT 'next'")[0])
        error(c.execute, "SELECT %s::int + %s::int", ("1", "x"))
        error(c.execute, "SELECT $1", None)
        with c.transaction():
            for i in range(3):
                try:
                    with c.transaction():
                        c.execute("INSERT INTO errors VALUES (1, 1)")
                except psycopg.errors.UniqueViolation as e:
                    print("unique inside", e.diag.constraint_name)
            c.execute("INSERT INTO errors VALUES (5, 5)")
        print(one(c, "SELECT count(*) FROM errors"))


@topic
def conflicts():
    with connect() as a, connect() as b:
        a.execute("CREATE TABLE conflicts (id int PRIMARY KEY, v int)")
        a.execute("INSERT INTO conflicts VALUES (1, 0), (2, 0)")
        a.execute("BEGIN")
        b.execute("BEGIN")
        a.execute("UPDATE conflicts SET v = v + 1 WHERE id = 1")
        b.execute("UPDATE conflicts SET v = v + 1 WHERE id = 2")
        states = []

        def crosswise(conn, id):
            try:
                conn.execute("UPDATE conflicts SET v = v + 1 WHERE id = %s", (id,))
                states.append("done")
            except psycopg.Error as e:
                states.append(e.sqlstate + " " + e.diag.message_primary)
                conn.execute("ROLLBACK")

        thread = threading.Thread(target=crosswise, args=(a, 2))
        thread.start()
        crosswise(b, 1)
        thread.join()
        a.execute("COMMIT")
        b.execute("COMMIT")
        print(sorted(states), one(a, PRIMARY + "SELECT sum(v) FROM conflicts"))
        for conn in (a, b):
            conn.execute("BEGIN ISOLATION LEVEL SERIALIZABLE")
            one(conn, "SELECT sum(v) FROM conflicts")
        a.execute("UPDATE conflicts SET v = 10 WHERE id = 1")
        b.execute("UPDATE conflicts SET v = 10 WHERE id = 2")
        a.execute("COMMIT")
        error(b.execute, "COMMIT")
        print(b.info.transaction_status.name)


@topic
def cursors():
    with connect(autocommit=False) as c:
        with c.cursor("server_side") as cursor:
            cursor.execute("SELECT n FROM generate_series(1, 10000) n")
            print(cursor.fetchmany(3), cursor.fetchone())
            cursor.scroll(100)
            print(cursor.fetchone())
            cursor.itersize = 777
            print(sum(row[0] for row in cursor))
        with c.cursor("scrolling", scrollable=True) as cursor:
            cursor.execute("SELECT n FROM generate_series(1, 100) n")
            cursor.scroll(50, mode="absolute")
            print(cursor.fetchmany(2))
            cursor.scroll(-2)
            print(cursor.fetchone())
        with c.cursor("by_hand", withhold=True) as cursor:
            cursor.execute("SELECT n FROM generate_series(1, 1000) n")
            print(cursor.fetchone())
            c.commit()
            print(cursor.fetchmany(2))
        c.commit()
        cursor = c.cursor()
        print(sum(row[0] for row in cursor.stream("SELECT n FROM generate_series(1, 20000) n")))
        c.commit()


@topic
def pipelines():
    with connect() as c:
        c.execute("CREATE TABLE pipelined (id int PRIMARY KEY, v text)")
        with c.pipeline():
            results = [c.execute("INSERT INTO pipelined VALUES (%s, %s) RETURNING id", (i, f"v{i}")) for i in range(100)]
            reads = [c.execute("SELECT v FROM pipelined WHERE id = %s", (i,)) for i in range(50)]
        print(sum(r.fetchone()[0] for r in results), [r.fetchone() for r in reads][:3])
        with c.pipeline() as p:
            before = c.execute("INSERT INTO pipelined VALUES (1000, 'before')")
            p.sync()
            wrong = c.execute("INSERT INTO pipelined VALUES (1, 'again')")
            aborted = c.execute("INSERT INTO pipelined VALUES (1001, 'lost')")
            try:
                p.sync()
                wrong.fetchall()
            except psycopg.Error as e:
                print(type(e).__name__, e.sqlstate)
            after = c.execute("INSERT INTO pipelined VALUES (1002, 'after')")
        print(before.rowcount, after.rowcount, one(c, "SELECT array_agg(id ORDER BY id) FROM pipelined WHERE id >= 1000"))
        with c.pipeline():
            with c.transaction():
                c.execute("UPDATE pipelined SET v = 'x' WHERE id < 10")
                cursor = c.execute("SELECT count(*) FROM pipelined WHERE v = 'x'")
            print(cursor.fetchone())
        with c.cursor() as cursor:
            cursor.executemany("INSERT INTO pipelined VALUES (%s, %s)", [(2000 + i, "many") for i in range(500)])
            print(cursor.rowcount)
            cursor.executemany("SELECT v FROM pipelined WHERE id = %s", [(2000,), (3,), (50,)], returning=True)
            while True:
                print(cursor.fetchall())
                if not cursor.nextset():
                    break


@topic
def multiple():
    with connect() as c:
        cursor = c.execute("SELECT 1 AS a; SELECT 2 AS b, 3 AS c; CREATE TABLE multiple (n int);"
                           "INSERT INTO multiple VALUES (1), (2); SELECT n FROM multiple")
        while True:
            print(cursor.statusmessage, cursor.fetchall() if cursor.description else None)
            if not cursor.nextset():
                break
        error(c.execute, "INSERT INTO multiple VALUES (3); SELECT 1/0; INSERT INTO multiple VALUES (4)")
        print(one(c, "SELECT count(*) FROM multiple"))
        error(c.execute, "SELECT 1; SELECT %s", (2,))
        c.execute("BEGIN; INSERT INTO multiple VALUES (5); COMMIT; SELECT 1")
        print(one(c, "SELECT count(*) FROM multiple"), c.info.transaction_status.name)
        error(c.execute, "BEGIN; INSERT INTO multiple VALUES (6); SELECT 1/0; COMMIT")
        print(c.info.transaction_status.name)
        c.execute("ROLLBACK")
        print(one(c, "SELECT count(*) FROM multiple"))


@topic
def session_state():
    with connect() as c:
        c.execute("CREATE TEMP TABLE temporary (n int)")
        c.execute("INSERT INTO temporary VALUES (1), (2)")
        print(one(c, "SELECT sum(n) FROM temporary"))
        with c.transaction():
            c.execute("CREATE TEMP TABLE short_lived (n int) ON COMMIT DROP")
            c.execute("INSERT INTO short_lived VALUES (1)")
            print(one(c, "SELECT count(*) FROM short_lived"))
        error(c.execute, "SELECT count(*) FROM short_lived")
        c.execute("CREATE SEQUENCE seq")
        print(one(c, "SELECT nextval('seq'), currval('seq'), lastval()"))
        print(one(c, "SELECT pg_advisory_lock(42)"), one(c, "SELECT pg_try_advisory_lock(42)"))
        with connect() as other:
            print("other", one(other, "SELECT pg_try_advisory_lock(42)"))
            error(other.execute, "SELECT * FROM temporary")
        print(one(c, "SELECT pg_advisory_unlock(42), pg_advisory_unlock(42), pg_advisory_unlock(42)"))
        c.execute("SET search_path = pg_temp, public")
        c.execute("DISCARD ALL")
        error(c.execute, "SELECT * FROM temporary")
        print(one(c, "SHOW search_path"))
        with connect() as other:
            print("other", one(other, "SELECT pg_try_advisory_lock(42)"))


@topic
def pool():
    with connect() as c:
        c.execute("CREATE TABLE pool (id int PRIMARY KEY, amount int)")
        c.execute("INSERT INTO pool SELECT n, 1000 FROM generate_series(0, 23) n")
    mistakes = []

    def configure(conn):
        conn.autocommit = True
        conn.prepare_threshold = 2

    def work(p, me):
        for i in range(12):
            with p.connection() as conn:
                conn.execute(f"SET my.me = '{me}'")
                with conn.transaction():
                    conn.execute("SELECT set_config('my.tenant', %s, true)", (str(me),))
                    conn.execute("SET LOCAL application_name = '%d'" % me)
                    conn.execute("UPDATE pool SET amount = amount - 1 WHERE id = %s", (me,))
                    if i % 4 == 3:
                        name = one(conn, "SHOW application_name")[0]
                        mine = one(conn, "SELECT current_setting('my.me')")[0]
                        if (name, mine) != (str(me), str(me)):
                            mistakes.append((me, name, mine))
                got = one(conn, "SELECT %s::int, amount FROM pool WHERE id = %s", (me, me))
                if got != (me, 1000 - i - 1):
                    mistakes.append((me, i, got))
                mine = one(conn, "SELECT current_setting('my.me')")[0]
                if mine != str(me):
                    mistakes.append((me, "later", mine))
                try:
                    with conn.transaction():
                        conn.execute("UPDATE pool SET amount = 0 WHERE id = %s", (me,))
                        conn.execute("INSERT INTO pool VALUES (%s, 0)", (me,))
                except psycopg.errors.UniqueViolation:
                    pass

    with ConnectionPool("", min_size=24, max_size=24, configure=configure, open=True, timeout=60) as p:
        p.wait(timeout=60)
        threads = [threading.Thread(target=work, args=(p, n)) for n in range(24)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        print(len(mistakes), sorted(map(str, mistakes))[:5])
        with p.connection() as conn:
            print(one(conn, PRIMARY + "SELECT sum(amount), min(amount), max(amount) FROM pool"))


@topic
def asynchronous():
    async def main():
        async with AsyncConnectionPool("", min_size=16, max_size=16, open=False, timeout=60) as p:
            await p.wait(timeout=60)

            async def task(n):
                async with p.connection() as conn:
                    async with conn.transaction():
                        cursor = await conn.execute("SELECT %s::int * 2", (n,))
                        row = await cursor.fetchone()
                        cursor = await conn.execute("SELECT sum(n) FROM generate_series(1, %s) n", (n,))
                        return row[0], (await cursor.fetchone())[0]

            print(await asyncio.gather(*[task(n) for n in range(1, 41)]))
        conn = await psycopg.AsyncConnection.connect("", autocommit=True)
        async with conn:
            try:
                await asyncio.wait_for(conn.execute("SELECT pg_sleep(60)"), 0.2)
            except asyncio.TimeoutError:
                print("timed out")
            print(await (await conn.execute("SELECT 'usable'")).fetchone())

    asyncio.run(main())


@topic
def reconnecting():
    for i in range(30):
        with connect(application_name=f"number {i}") as c:
            if one(c, "SHOW application_name")[0] != f"number {i}":
                print("wrong name")
    abandoned = connect(autocommit=False)
    abandoned.execute("DELETE FROM accounts")
    abandoned.close()
    with connect() as c:
        print(one(c, PRIMARY + "SELECT count(*) FROM accounts"))
    for parameters in ({"dbname": "no_such_database"}, {"password": "wrong"}, {"user": "nobody"}):
        try:
            psycopg.connect("", **parameters)
            print("connected")
        except psycopg.OperationalError as e:
            print(type(e).__name__, sorted(parameters))


def main():
    wanted = sys.argv[1:]
    for function in topics:
        if wanted and function.__name__ not in wanted:
            continue
        print("==", function.__name__)
        try:
            function()
        except Exception as e:
            print("\nEXCEPTION", type(e).__name__, str(e).strip())
            import traceback
            traceback.print_exc()
        sys.stdout.flush()


main()
print("== end")
