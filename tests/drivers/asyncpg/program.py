"""What users of asyncpg do. See ../README.md for the rules of these programs."""

import asyncio
import datetime
import decimal
import hashlib
import io
import ipaddress
import sys
import traceback
import uuid

import asyncpg

PRIMARY = "/* pointsman: read_hint=primary */ "
topics = []


def topic(function):
    topics.append(function)
    return function


class connect:
    """async with connect() as c"""

    def __init__(self, **parameters):
        self.parameters = parameters

    async def __aenter__(self):
        self.conn = await asyncpg.connect(**self.parameters)
        return self.conn

    async def __aexit__(self, *_):
        await self.conn.close()


async def error(awaitable):
    try:
        await awaitable
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as e:
        parts = [type(e).__name__] + [getattr(e, name, None) for name in
                                      ("sqlstate", "severity", "message", "detail", "hint", "position",
                                       "table_name", "constraint_name")]
        if isinstance(e, asyncpg.InterfaceError):
            parts.append(str(e))
        print("  error:", " | ".join(str(p) for p in parts if p is not None))
    except (asyncio.TimeoutError, TimeoutError):
        print("  timed out")
    else:
        print("  no error")


def digest(data):
    if isinstance(data, str):
        data = data.encode()
    return f"{len(data)} {hashlib.md5(data).hexdigest()}"


@topic
async def session():
    async with connect(server_settings={"application_name": "my app", "search_path": "public", "work_mem": "3MB"}) as c:
        settings = c.get_settings()
        for name in ("server_version", "client_encoding", "application_name", "DateStyle", "TimeZone",
                     "is_superuser", "in_hot_standby", "default_transaction_read_only"):
            print(name, getattr(settings, name))
        print(c.get_server_version()[:2], await c.fetchval("SHOW work_mem"), await c.fetchval("SHOW search_path"))
        await c.execute("SET application_name = 'another'")
        print(c.get_settings().application_name, await c.fetchval("SELECT current_setting('application_name')"))
        await c.execute("SET TIME ZONE 'Asia/Tokyo'")
        print(c.get_settings().TimeZone, await c.fetchval("SELECT '2024-01-01 00:00Z'::timestamptz::text"))
        async with c.transaction():
            await c.execute("SET LOCAL work_mem = '5MB'")
            print("in", await c.fetchval("SHOW work_mem"))
        print("after", await c.fetchval("SHOW work_mem"))
        print(await c.fetchval("SELECT set_config('work_mem', '9MB', false)"), await c.fetchval("SHOW work_mem"))
        # What asyncpg's pools do between two users of a connection.
        await c.reset()
        print(await c.fetchval("SHOW work_mem"), await c.fetchval("SHOW TimeZone"), c.get_settings().TimeZone,
              await c.fetchval("SHOW application_name"))
        await error(c.execute("SET work_mem = 'nonsense'"))
        await c.execute("SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        print(await c.fetchval("SHOW default_transaction_isolation"), await c.fetchval("SHOW transaction_isolation"))


@topic
async def types():
    values = [
        ("int2", 7), ("int8", -2**62), ("float8", 1.5e300), ("bool", True),
        ("numeric", decimal.Decimal("12345678901234567890.000100")), ("text", "h\u00e9llo \u2603"),
        ("bytea", bytes(range(256))), ("date", datetime.date(2024, 2, 29)),
        ("timestamp", datetime.datetime(2024, 2, 29, 12, 34, 56, 789012)),
        ("timestamptz", datetime.datetime(2024, 2, 29, 12, tzinfo=datetime.timezone.utc)),
        ("interval", datetime.timedelta(days=3, seconds=5)), ("uuid", uuid.UUID(int=42)),
        ("inet", ipaddress.ip_interface("10.1.2.3/24")), ("jsonb", '{"a": [1, null, "x"]}'),
        ("int4[]", [1, None, 3]), ("text[]", ["a", 'b"c', None, ""]), ("float8[]", [[1.0, 2.0], [3.0, 4.0]]),
        ("int4range", asyncpg.Range(1, 5)), ("point", asyncpg.Point(1, 2)), ("text", None),
    ]
    async with connect() as c:
        for name, value in values:
            print(name, await c.fetchval(f"SELECT $1::{name}", value))
        # asyncpg asks the catalogs for types that it does not know, with queries of its own.
        await c.execute("CREATE TYPE mood AS ENUM ('sad', 'ok');"
                        "CREATE TYPE pair AS (a int, b mood);"
                        "CREATE DOMAIN positive AS int CHECK (VALUE > 0);"
                        "CREATE TABLE typed (m mood, p pair, d positive, ms mood[])")
        await c.execute("INSERT INTO typed VALUES ($1, $2, $3, $4)", "ok", (1, "sad"), 5, ["ok", "sad"])
        row = await c.fetchrow("SELECT * FROM typed")
        print(row, row["p"]["b"])
        import json
        await c.set_type_codec("jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")
        print(await c.fetchval("SELECT $1::jsonb", {"k": [1, 2]}))
        await error(c.fetchval("SELECT $1::int", "not an int"))
        await error(c.fetchval("SELECT $1::positive", -1))


@topic
async def large():
    text = "0123456789abcdef\u2603" * 200000
    data = bytes((i * 7 + (i >> 8)) & 255 for i in range(3000000))
    async with connect() as c:
        await c.execute("CREATE TABLE large (id int PRIMARY KEY, t text, b bytea)")
        await c.execute("INSERT INTO large VALUES (1, $1, $2)", text, data)
        row = await c.fetchrow("SELECT t, b FROM large WHERE id = 1")
        print(digest(row[0]), digest(row[1]))
        row = await c.fetchrow("SELECT length($1::text), md5($2::bytea)", text, data)
        print(tuple(row))
        rows = await c.fetch("SELECT n, repeat('x', 100) FROM generate_series(1, 50000) n")
        print(len(rows), sum(r[0] for r in rows))
        print(await c.fetchval("SELECT count(*) FROM unnest($1::int[])", list(range(200000))))
        await c.executemany("INSERT INTO large VALUES ($1, $2, $3)", [(i, "x" * i, b"y" * i) for i in range(2, 2000)])
        print(await c.fetchval("SELECT sum(length(t) + length(b)) FROM large"))


@topic
async def transactions():
    async with connect() as c:
        await c.execute("CREATE TABLE accounts (id int PRIMARY KEY, amount int NOT NULL);"
                        "INSERT INTO accounts SELECT n, 100 FROM generate_series(1, 5) n")
        async with c.transaction():
            await c.execute("UPDATE accounts SET amount = amount + 1 WHERE id = 1")
            for i in range(3):
                try:
                    async with c.transaction():
                        await c.execute("UPDATE accounts SET amount = amount + 10 WHERE id = 2")
                        if i == 1:
                            raise ValueError("undo")
                except ValueError as e:
                    print(e, c.is_in_transaction())
        print([tuple(r) for r in await c.fetch("SELECT * FROM accounts ORDER BY id")])
        for options in ({"isolation": "serializable", "readonly": True, "deferrable": True},
                        {"isolation": "repeatable_read"}, {"readonly": True}):
            async with c.transaction(**options):
                print(await c.fetchval("SHOW transaction_isolation"), await c.fetchval("SHOW transaction_read_only"),
                      await c.fetchval("SELECT count(*) FROM accounts"))
        try:
            async with c.transaction(readonly=True):
                await c.execute("DELETE FROM accounts")
        except asyncpg.ReadOnlySQLTransactionError as e:
            print(e)
        tr = c.transaction()
        await tr.start()
        await c.execute("DELETE FROM accounts")
        print("inside", await c.fetchval("SELECT count(*) FROM accounts"))
        await tr.rollback()
        print("rolled back", await c.fetchval("SELECT count(*) FROM accounts"))
        tr = c.transaction()
        await tr.start()
        await error(c.execute("SELECT 1/0"))
        await error(c.fetchval("SELECT 1"))
        await tr.rollback()
        async with c.transaction():
            pass
        print(c.is_in_transaction())


@topic
async def prepared():
    async with connect(statement_cache_size=10) as c:
        await c.execute("CREATE TABLE prepared (id int PRIMARY KEY, v text);"
                        "INSERT INTO prepared SELECT n, 'v' || n FROM generate_series(1, 20) n")
        statement = await c.prepare("SELECT v FROM prepared WHERE id = $1")
        print(statement.get_parameters()[0].name, [(a.name, a.type.name) for a in statement.get_attributes()])
        print([await statement.fetchval(i) for i in range(1, 6)])
        print(await statement.executemany([(1,), (2,)]), statement.get_statusmsg())
        plan = await (await c.prepare("SELECT 1")).explain()
        print(plan[0]["Plan"]["Node Type"])
        # The cache holds 10: each of these is closed when it falls out.
        print([await c.fetchval(f"SELECT {i} + $1", 1) for i in range(30)])
        for _ in range(3):
            row = await c.fetchrow("SELECT * FROM prepared WHERE id = $1", 1)
        print(row)
        # asyncpg heals this itself, outside a transaction.
        await c.execute("ALTER TABLE prepared ADD COLUMN w int DEFAULT 3")
        await error(c.fetchval("SELECT nothing FROM prepared WHERE id = $1", 1))
        await error(c.fetchval("SELECT 1 FROM nowhere"))
        await c.execute("DISCARD ALL")
        await c.reload_schema_state()
    async with connect() as c:
        print(await c.fetchrow(PRIMARY + "SELECT id, v, w FROM prepared WHERE id = $1", 2))
        named = await c.prepare("SELECT $1::text || 'x'", name="my_name")
        print(await named.fetchval("a"))
        async with c.transaction():
            named2 = await c.prepare(PRIMARY + "SELECT sum(id) FROM prepared WHERE id < $1")
            print(await named2.fetchval(5), await named.fetchval("b"))
        print(await named2.fetchval(6))
    async with connect(statement_cache_size=0) as c:
        print([await c.fetchval("SELECT $1::int", i) for i in range(5)])


@topic
async def copies():
    async with connect() as c:
        await c.execute("CREATE TABLE copies (id int PRIMARY KEY, v text)")
        print(await c.copy_records_to_table("copies", records=[(i, f"v\t{i}" if i % 7 else None) for i in range(20000)]))
        out = io.BytesIO()
        print(await c.copy_from_table("copies", output=out, format="csv"), digest(out.getvalue()))
        out = io.BytesIO()
        print(await c.copy_from_query("SELECT * FROM copies WHERE id > $1 ORDER BY id", 100, output=out, format="binary"),
              digest(out.getvalue()))
        print(await c.copy_to_table("copies", source=io.BytesIO(b"30000,x\n30001,y\n"), format="csv"))
        await error(c.copy_to_table("copies", source=io.BytesIO(b"1\tagain\n" * 5000)))
        await error(c.copy_to_table("copies", source=io.BytesIO(b"one\tx\n")))

        async def failing():
            yield b"40000\tx\n"
            raise asyncpg.InterfaceError("changed my mind")

        await error(c.copy_to_table("copies", source=failing()))
        await error(c.copy_from_table("no_such_table", output=io.BytesIO()))
        print(await c.fetchval("SELECT count(*) FROM copies"))


@topic
async def notifications():
    async with connect() as listener, connect() as sender:
        queue = asyncio.Queue()

        def heard(conn, pid, channel, payload):
            queue.put_nowait((channel, payload if len(payload) < 50 else digest(payload)))

        await listener.add_listener("first", heard)
        await listener.add_listener("Second", heard)
        for i in range(3):
            await sender.execute(f"NOTIFY first, 'payload {i}'")
        await sender.execute("SELECT pg_notify($1, $2)", "Second", "x" * 7000)
        for _ in range(4):
            print(await asyncio.wait_for(queue.get(), 20))
        await listener.remove_listener("first", heard)
        await sender.execute("NOTIFY first, 'not heard'")
        await sender.execute("NOTIFY \"Second\", 'heard'")
        print(await asyncio.wait_for(queue.get(), 20))
        # A listener that queries between notifications.
        print(await listener.fetchval("SELECT 1"))
        await sender.execute("NOTIFY \"Second\", 'heard too'")
        print(await asyncio.wait_for(queue.get(), 20))
        await listener.remove_listener("Second", heard)


@topic
async def notices():
    async with connect() as c:
        c.add_log_listener(lambda conn, m: print("  notice:", m.severity, m.sqlstate, m.message))
        await c.execute("DO $$ BEGIN RAISE NOTICE 'hello %', 1; RAISE WARNING 'beware'; END $$")
        await c.execute("DROP TABLE IF EXISTS no_such_table")
        await c.execute("COMMIT")
        await asyncio.sleep(0)


@topic
async def cancels():
    async with connect() as c:
        for query in ("SELECT pg_sleep(60)", PRIMARY + "SELECT pg_sleep(60)"):
            await error(c.fetchval(query, timeout=0.2))
            print(await c.fetchval("SELECT 'alive'"))
        task = asyncio.ensure_future(c.fetchval("SELECT pg_sleep(60)"))
        await asyncio.sleep(0.2)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            print("cancelled")
        print(await c.fetchval("SELECT 'alive'"))
        async with c.transaction():
            try:
                async with c.transaction():
                    await c.fetchval("SELECT pg_sleep(60)", timeout=0.2)
            except asyncio.TimeoutError:
                print("timed out in a savepoint")
            print(await c.fetchval("SELECT 'alive'"))


@topic
async def timeouts():
    async with connect(command_timeout=0.2) as c:
        await error(c.fetchval("SELECT pg_sleep(60)"))
        await c.execute("SET statement_timeout = '50ms'")
        await error(c.fetchval("SELECT pg_sleep(60)", timeout=30))
    async with connect(server_settings={"statement_timeout": "50ms", "lock_timeout": "20ms"}) as c, connect() as other:
        await error(c.fetchval("SELECT pg_sleep(60)"))
        async with other.transaction():
            await other.execute("SELECT * FROM accounts WHERE id = 1 FOR UPDATE")
            await error(c.execute("UPDATE accounts SET amount = 1 WHERE id = 1"))


@topic
async def errors():
    async with connect() as c:
        await c.execute("CREATE TABLE errors (id int PRIMARY KEY, positive int CONSTRAINT is_positive CHECK (positive > 0))")
        await c.execute("INSERT INTO errors VALUES (1, 1)")
        for query in ("SELEC 1", "SELECT * FROM no_such_table", "INSERT INTO errors VALUES (1, 1)",
                      "INSERT INTO errors VALUES (2, -1)", "SELECT 1/0", "SELECT 'x'::int", "VACUUM nowhere"):
            for method in (c.execute, c.fetch):
                print("query:", query)
                await error(method(query))
                print("  ", await c.fetchval("SELECT 'next'"))
        await error(c.execute("INSERT INTO errors VALUES ($1, $2)", 1, 1))
        await error(c.executemany("INSERT INTO errors VALUES ($1, $2)", [(10, 1), (11, 1), (10, 1), (12, 1)]))
        print(await c.fetchval("SELECT count(*) FROM errors"))
        await error(c.fetch("SELECT 1; SELECT 2"))
        await error(c.execute("SELECT $1", 1, 2))


@topic
async def conflicts():
    async with connect() as a, connect() as b:
        await a.execute("CREATE TABLE conflicts (id int PRIMARY KEY, v int); INSERT INTO conflicts VALUES (1, 0), (2, 0)")

        async def crosswise(c, first, second, barrier):
            try:
                async with c.transaction():
                    await c.execute("UPDATE conflicts SET v = v + 1 WHERE id = $1", first)
                    barrier[first].set()
                    await barrier[second].wait()
                    await c.execute("UPDATE conflicts SET v = v + 1 WHERE id = $1", second)
                return "done"
            except asyncpg.DeadlockDetectedError as e:
                return e.sqlstate + " " + str(e).split("\n")[0]

        barrier = {1: asyncio.Event(), 2: asyncio.Event()}
        print(sorted(await asyncio.gather(crosswise(a, 1, 2, barrier), crosswise(b, 2, 1, barrier))))
        print(await a.fetchval(PRIMARY + "SELECT sum(v) FROM conflicts"))
        # A retry loop for serialization failures, from many clients at once.
        await a.execute("UPDATE conflicts SET v = 0")

        async def add(n):
            async with connect() as c:
                for _ in range(5):
                    while True:
                        try:
                            async with c.transaction(isolation="serializable"):
                                v = await c.fetchval("SELECT v FROM conflicts WHERE id = 1")
                                await c.execute("UPDATE conflicts SET v = $1 WHERE id = 1", v + 1)
                            break
                        except asyncpg.SerializationError:
                            continue

        await asyncio.gather(*[add(n) for n in range(6)])
        print(await a.fetchval(PRIMARY + "SELECT v FROM conflicts WHERE id = 1"))


@topic
async def cursors():
    async with connect() as c:
        async with c.transaction():
            total = 0
            async for row in c.cursor("SELECT n FROM generate_series(1, $1) n", 10000, prefetch=123):
                total += row[0]
            print(total)
            cursor = await c.cursor("SELECT n FROM generate_series(1, 1000) n")
            print(await cursor.fetchrow(), [r[0] for r in await cursor.fetch(5)], await cursor.forward(100),
                  await cursor.fetchrow())
            other = await c.cursor("SELECT n * 2 FROM generate_series(1, 1000) n")
            print(await other.fetchrow(), await cursor.fetchrow(), await c.fetchval("SELECT 'between'"), await other.fetchrow())
        await error(cursor.fetchrow())
        try:
            async for row in c.cursor("SELECT 1"):
                print(row)
        except asyncpg.NoActiveSQLTransactionError as e:
            print(e)


@topic
async def batches():
    async with connect() as c:
        await c.execute("CREATE TABLE batches (id int PRIMARY KEY, v text)")
        await c.executemany("INSERT INTO batches VALUES ($1, $2)", [(i, "v" * (i % 50)) for i in range(5000)])
        print(tuple(await c.fetchrow("SELECT count(*), sum(length(v)) FROM batches")))
        rows = await c.fetchmany("INSERT INTO batches VALUES ($1, $2) RETURNING id", [(i, "x") for i in range(6000, 6010)])
        print([r[0] for r in rows])
        print(await c.execute("INSERT INTO batches VALUES (7000, 'a'); UPDATE batches SET v = 'b' WHERE id >= 7000;"
                              "DELETE FROM batches WHERE id < 10"))
        await error(c.execute("INSERT INTO batches VALUES (7001, 'a'); SELECT 1/0"))
        print(await c.fetchval("SELECT count(*) FROM batches WHERE id >= 7000"))


@topic
async def session_state():
    async with connect() as c, connect() as other:
        await c.execute("CREATE TEMP TABLE temporary (n int)")
        await c.copy_records_to_table("temporary", records=[(i,) for i in range(10)])
        print(await c.fetchval("SELECT sum(n) FROM temporary"))
        await error(other.fetch("SELECT * FROM temporary"))
        print(await c.fetchval("SELECT pg_try_advisory_lock(7)"), await other.fetchval("SELECT pg_try_advisory_lock(7)"))
        await c.reset()
        print(await other.fetchval("SELECT pg_try_advisory_lock(7)"))
        await c.execute("DROP TABLE temporary")
        async with c.transaction():
            await c.fetchval("SELECT pg_advisory_xact_lock(8)")
            print(await other.fetchval("SELECT pg_try_advisory_lock(8)"))
        print(await other.fetchval("SELECT pg_try_advisory_lock(8)"), await other.fetchval("SELECT pg_advisory_unlock_all()"))


@topic
async def pool():
    mistakes = []

    async def init(c):
        await c.execute("SET work_mem = '2MB'")

    async with asyncpg.create_pool(min_size=24, max_size=24, server_settings={"application_name": "pool"},
                                   init=init) as p:
        await p.execute("CREATE TABLE pool (id int PRIMARY KEY, amount int);"
                        "INSERT INTO pool SELECT n, 1000 FROM generate_series(0, 47) n")

        async def work(me):
            for i in range(8):
                async with p.acquire() as c:
                    async with c.transaction():
                        await c.execute(f"SET LOCAL application_name = '{me}'")
                        await c.execute("UPDATE pool SET amount = amount - 1 WHERE id = $1", me)
                        name = await c.fetchval("SELECT current_setting('application_name')")
                        if name != str(me):
                            mistakes.append((me, name))
                    amount = await c.fetchval("SELECT amount FROM pool WHERE id = $1", me)
                    if amount != 999 - i:
                        mistakes.append((me, i, amount))
                    name = await c.fetchval("SHOW application_name")
                    if name != "pool":
                        mistakes.append((me, name))
                    try:
                        async with c.transaction():
                            await c.execute("UPDATE pool SET amount = 0 WHERE id = $1", me)
                            await c.execute("INSERT INTO pool VALUES ($1, 0)", me)
                    except asyncpg.UniqueViolationError:
                        pass

        await asyncio.gather(*[work(n) for n in range(48)])
        print(len(mistakes), mistakes[:5])
        print(tuple(await p.fetchrow(PRIMARY + "SELECT sum(amount), min(amount), max(amount) FROM pool")))
        print(sum(await asyncio.gather(*[p.fetchval("SELECT $1::int", n) for n in range(500)])))


@topic
async def reconnecting():
    for i in range(20):
        async with connect(server_settings={"application_name": f"number {i}"}) as c:
            if await c.fetchval("SHOW application_name") != f"number {i}":
                print("wrong name")
    c = await asyncpg.connect()
    await c.execute("BEGIN; DELETE FROM accounts")
    c.terminate()
    async with connect() as c:
        print(await c.fetchval(PRIMARY + "SELECT count(*) FROM accounts"))
    for parameters in ({"password": "wrong"}, {"user": "nobody"}, {"database": "no_such_database"}):
        try:
            await asyncpg.connect(**parameters)
            print("connected")
        except asyncpg.PostgresError as e:
            print(parameters, e.sqlstate)


async def main():
    wanted = sys.argv[1:]
    for function in topics:
        if wanted and function.__name__ not in wanted:
            continue
        print("==", function.__name__)
        try:
            await function()
        except Exception as e:
            print("\nEXCEPTION", type(e).__name__, str(e).strip())
            traceback.print_exc()
        sys.stdout.flush()


asyncio.run(main())
print("== end")
