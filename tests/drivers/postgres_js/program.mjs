// What users of postgres.js do. See ../README.md for the rules of these programs.
import crypto from 'node:crypto'
import { once, EventEmitter } from 'node:events'
import { pipeline } from 'node:stream/promises'
import { Readable } from 'node:stream'
import postgres from 'postgres'

const PRIMARY = '/* pointsman: read_hint=primary */ '
const topics = {}

// A pool of one connection unless the options say otherwise.
async function withSql(options, work) {
  const sql = postgres({ max: 1, onnotice: () => {}, ...options })
  try {
    return await work(sql)
  } finally {
    await sql.end({ timeout: 5 })
  }
}

async function error(promise) {
  try {
    await promise
    console.log('  no error')
  } catch (e) {
    const parts = [e.code, e.severity, e.message, e.detail, e.hint, e.position, e.table_name, e.constraint_name]
    console.log('  error:', parts.filter((p) => p !== undefined).join(' | '))
  }
}

const digest = (data) => `${data.length} ${crypto.createHash('md5').update(data).digest('hex')}`
const show = (...what) => console.log(...what.map((w) => (typeof w === 'string' ? w : JSON.stringify(w))))
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

topics.session = async () => {
  const connection = { application_name: 'my app', search_path: 'public', work_mem: '3MB' }
  const status = {}
  await withSql({ connection, onparameter: (k, v) => (status[k] = v) }, async (sql) => {
    show(await sql`SHOW application_name`, await sql`SHOW work_mem`, await sql`SHOW search_path`)
    for (const name of ['server_version', 'client_encoding', 'TimeZone', 'in_hot_standby', 'is_superuser', 'application_name'])
      show(name, status[name])
    await sql`SET application_name = 'another'`
    await sql`SET TIME ZONE 'Asia/Tokyo'`
    show(status.application_name, status.TimeZone, await sql`SELECT '2024-01-01 00:00Z'::timestamptz::text AS t`)
    await sql.begin(async (sql) => {
      await sql`SET LOCAL work_mem = '5MB'`
      show('in', await sql`SHOW work_mem`)
    })
    show('after', await sql`SHOW work_mem`)
    show(await sql`SELECT set_config('work_mem', '9MB', false)`, await sql`SHOW work_mem`)
    await error(sql`SET work_mem = 'nonsense'`)
  })
}

topics.types = async () => {
  await withSql({}, async (sql) => {
    show(await sql`SELECT ${7}::int2 AS a, ${'-4611686018427387904'}::int8 AS b, ${1.5e300}::float8 AS c, ${true}::bool AS d`)
    show(await sql`SELECT ${'1234567890.000100'}::numeric AS a, ${'h\u00e9llo \u2603'}::text AS b, ${null}::text AS c`)
    show(await sql`SELECT ${Buffer.from([0, 1, 254, 255])}::bytea AS a, ${new Date(Date.UTC(2024, 1, 29, 12))}::timestamptz AS b`)
    show(await sql`SELECT ${sql.json({ a: [1, null, 'x'] })}::jsonb AS a, ${sql.array([1, 2, 3])}::int[] AS b`)
    show(await sql`SELECT ${['a', 'b"c', '']}::text[] AS a, ARRAY[1.5, NULL] AS b, ARRAY[[1,2],[3,4]] AS c`)
    const rows = await sql`SELECT 1 AS a, 'x' AS b`
    show(rows.columns, rows.count, rows.command)
    show(await sql`SELECT 1 AS a, 2 AS b`.values(), await sql`SELECT 'x' AS raw`.raw())
    const { types, columns } = await sql`SELECT 1 + ${2} AS n`.describe()
    show(types, columns)
  })
}

topics.large = async () => {
  const text = '0123456789abcdef\u2603'.repeat(200000)
  const data = Buffer.alloc(3000000, 'binary data\0')
  await withSql({}, async (sql) => {
    await sql`CREATE TABLE large (id int PRIMARY KEY, t text, b bytea)`
    await sql`INSERT INTO large VALUES (1, ${text}, ${data})`
    const [row] = await sql`SELECT t, b FROM large WHERE id = 1`
    show(digest(row.t), digest(row.b))
    const many = Array.from({ length: 2000 }, (_, i) => ({ id: i + 10, t: 'x'.repeat(i) }))
    show((await sql`INSERT INTO large ${sql(many, 'id', 't')}`).count)
    show(await sql`SELECT count(*), sum(length(t)) FROM large WHERE id IN ${sql(many.map((m) => m.id))}`)
    show((await sql`SELECT n, repeat('x', 100) FROM generate_series(1, 50000) n`).reduce((sum, r) => sum + r.n, 0))
  })
}

topics.transactions = async () => {
  await withSql({}, async (sql) => {
    await sql`CREATE TABLE accounts (id int PRIMARY KEY, amount int NOT NULL)`
    await sql`INSERT INTO accounts SELECT n, 100 FROM generate_series(1, 5) n`
    await sql.begin(async (sql) => {
      await sql`UPDATE accounts SET amount = amount - 1 WHERE id = 1`
      await sql.savepoint(async (sql) => {
        await sql`DELETE FROM accounts`
        throw new Error('undo')
      }).catch((e) => show(e.message))
      await error(sql.savepoint((sql) => sql`INSERT INTO accounts VALUES (1, 1)`))
      await sql`UPDATE accounts SET amount = amount - 1 WHERE id = 2`
    })
    show(await sql`SELECT * FROM accounts ORDER BY id`)
    await error(sql.begin(async (sql) => {
      await sql`DELETE FROM accounts`
      throw new Error('roll back')
    }))
    await error(sql.begin(async (sql) => {
      await sql`DELETE FROM accounts`
      await sql`SELECT 1/0`
    }))
    show(await sql.begin('isolation level serializable read only', (sql) => sql`SELECT count(*), sum(amount) FROM accounts`))
    await error(sql.begin('read only', (sql) => sql`DELETE FROM accounts`))
    // Pipelined inside the transaction.
    show(await sql.begin((sql) => [
      sql`UPDATE accounts SET amount = 7 WHERE id = 5 RETURNING *`, sql`SELECT sum(amount) FROM accounts`, sql`SELECT 'x' AS x`,
    ]))
    const reserved = await sql.reserve()
    await reserved`BEGIN`
    await reserved`UPDATE accounts SET amount = 0`
    show(await reserved`SELECT sum(amount) FROM accounts`)
    await reserved`ROLLBACK`
    reserved.release()
    await sql.begin(async (sql) => {
      await sql`INSERT INTO accounts VALUES (50, 50)`
      await sql.prepare('two-phase')
    })
    await sql`COMMIT PREPARED 'two-phase'`
    show(await sql`SELECT count(*) FROM accounts`)
  })
}

topics.prepared = async () => {
  await withSql({}, async (sql) => {
    await sql`CREATE TABLE prepared (id int PRIMARY KEY, v text)`
    await sql`INSERT INTO prepared SELECT n, 'v' || n FROM generate_series(1, 20) n`
    for (let i = 1; i <= 5; i++) show(await sql`SELECT * FROM prepared WHERE id = ${i}`)
    await error(sql`SELECT nothing FROM prepared WHERE id = ${1}`)
    await error(sql`SELECT ${'x'}::int`)
    show(await sql`SELECT ${'5'}::int AS n`)
    for (let i = 0; i < 50; i++) await sql.unsafe(`SELECT ${i} + $1::int AS v`, [1], { prepare: true })
    await sql`ALTER TABLE prepared ADD COLUMN w int DEFAULT 3`
    show(await sql`SELECT id, v, w FROM prepared WHERE id = ${1}`)
    show(await sql.unsafe('SELECT $1::int AS n', [1]), await sql.unsafe('SELECT 1 AS a; SELECT 2 AS b').simple())
  })
  await withSql({ prepare: false }, async (sql) => {
    for (let i = 0; i < 5; i++) show(await sql`/* pointsman: read_hint=primary */ SELECT v, ${i}::int AS i FROM prepared WHERE id = ${i + 1}`)
  })
}

topics.copies = async () => {
  await withSql({}, async (sql) => {
    await sql`CREATE TABLE copies (id int PRIMARY KEY, v text)`
    const lines = Array.from({ length: 20000 }, (_, i) => `${i}\tvalue ${i}\n`)
    await pipeline(Readable.from(lines), await sql`COPY copies FROM STDIN`.writable())
    show(await sql`SELECT count(*) FROM copies`)
    const parts = []
    for await (const part of await sql`COPY copies TO STDOUT`.readable()) parts.push(part)
    show(digest(Buffer.concat(parts)))
  })
}

topics.notifications = async () => {
  const heard = new EventEmitter()
  const queue = []
  const next = async () => {
    while (queue.length === 0) await once(heard, 'one')
    show(...queue.shift())
  }
  await withSql({ max: 2 }, async (sql) => {
    const listen = (channel) => sql.listen(channel, (payload) => {
      queue.push([channel, payload.length > 50 ? digest(payload) : payload])
      heard.emit('one')
    })
    const first = await listen('first')
    await listen('Second')
    for (let i = 0; i < 3; i++) await sql.notify('first', `payload ${i}`)
    await sql.notify('Second', 'x'.repeat(7000))
    for (let i = 0; i < 4; i++) await next()
    await first.unlisten()
    await sql.notify('first', 'not heard')
    await sql.notify('Second', 'heard')
    await next()
  })
}

topics.notices = async () => {
  await withSql({ onnotice: (n) => show('  notice:', n.severity, n.code, n.message) }, async (sql) => {
    await sql`DO $$ BEGIN RAISE NOTICE 'hello %', 1; RAISE WARNING 'beware'; END $$`.simple()
    await sql`DROP TABLE IF EXISTS no_such_table`
  })
}

topics.cancels = async () => {
  await withSql({ max: 2 }, async (sql) => {
    for (const text of ['SELECT pg_sleep(60)', PRIMARY + 'SELECT pg_sleep(60)']) {
      const query = sql.unsafe(text)
      let over = false
      const running = error(query).then(() => (over = true))
      await sleep(100)
      while (!over) {
        query.cancel()
        await Promise.race([running, sleep(200)])
      }
      show(await sql`SELECT 'alive' AS alive`)
    }
  })
}

topics.timeouts = async () => {
  await withSql({ connection: { statement_timeout: 100 } }, async (sql) => {
    await error(sql`SELECT pg_sleep(60)`)
    show(await sql`SHOW statement_timeout`)
    await sql.begin(async (sql) => {
      await sql`SET LOCAL statement_timeout = '200ms'`
      show(await sql`SHOW statement_timeout`)
    })
  })
  // Idle connections are closed by the driver and opened again.
  await withSql({ idle_timeout: 0.1 }, async (sql) => {
    show(await sql`SELECT 1 AS n`)
    await sleep(300)
    show(await sql`SELECT 2 AS n`)
  })
}

topics.errors = async () => {
  await withSql({}, async (sql) => {
    await sql`CREATE TABLE errors (id int PRIMARY KEY, positive int CONSTRAINT is_positive CHECK (positive > 0))`
    await sql`INSERT INTO errors VALUES (1, 1)`
    for (const text of ['SELEC 1', 'SELECT * FROM no_such_table', 'INSERT INTO errors VALUES (1, 1)',
      'INSERT INTO errors VALUES (2, -1)', 'SELECT 1/0', "SELECT 'x'::int", '']) {
      show('query:', text)
      await error(sql.unsafe(text))
      await error(sql.unsafe(text, [], { prepare: true }))
      show(await sql`SELECT 'next' AS next`)
    }
    await error(sql.unsafe('SELECT 1; SELECT 1/0; SELECT 2'))
    // Queries in one pipeline, of which some fail.
    const settled = await Promise.allSettled(Array.from({ length: 20 }, (_, i) => sql`SELECT 10 / (${i}::int % 5) AS n`))
    show(settled.map((s) => s.value?.[0].n ?? s.reason.code))
  })
}

topics.cursors = async () => {
  await withSql({}, async (sql) => {
    let sum = 0
    let batches = 0
    await sql`SELECT n FROM generate_series(1, ${10000}) n`.cursor(777, (rows) => {
      batches++
      for (const row of rows) sum += row.n
    })
    show(sum, batches)
    for await (const [row] of sql`SELECT n FROM generate_series(1, 1000) n`.cursor()) {
      if (row.n === 5) break
      show(row)
    }
    await sql`SELECT n FROM generate_series(1, 1000) n`.cursor(10, (rows) => (rows[0].n > 30 ? sql.CLOSE : undefined))
    let seen = 0
    await sql`SELECT n FROM generate_series(1, 5000) n`.forEach((row) => (seen += row.n))
    show(seen, await sql`SELECT 'after' AS after`)
    await error(sql`SELECT 10 / (5 - n) FROM generate_series(1, 10) n`.cursor(2, (rows) => show(rows)))
  })
}

topics.session_state = async () => {
  await withSql({}, async (sql) => withSql({}, async (other) => {
    await sql`CREATE TEMP TABLE temporary (n int)`
    await sql`INSERT INTO temporary VALUES (1), (2)`
    show(await sql`SELECT sum(n) FROM temporary`)
    await error(other`SELECT * FROM temporary`)
    show(await sql`SELECT pg_advisory_lock(42)`, await other`SELECT pg_try_advisory_lock(42)`)
    await sql`SELECT pg_advisory_unlock(42)`
    show(await other`SELECT pg_try_advisory_lock(42)`)
    await other`DISCARD ALL`
    await sql`DROP TABLE temporary`
  }))
}

topics.pool = async () => {
  await withSql({ max: 24 }, async (sql) => {
    const mistakes = []
    await sql`CREATE TABLE pool (id int PRIMARY KEY, amount int)`
    await sql`INSERT INTO pool SELECT n, 1000 FROM generate_series(0, 47) n`
    const work = async (me) => {
      for (let i = 0; i < 8; i++) {
        const [name, amount] = await sql.begin(async (sql) => {
          await sql.unsafe(`SET LOCAL application_name = 'number ${me}'`)
          const [{ amount }] = await sql`UPDATE pool SET amount = amount - 1 WHERE id = ${me} RETURNING amount`
          const [{ application_name }] = await sql`SHOW application_name`
          return [application_name, amount]
        })
        if (name !== `number ${me}` || amount !== 999 - i) mistakes.push([me, i, name, amount])
        await sql.begin(async (sql) => {
          await sql`UPDATE pool SET amount = 0 WHERE id = ${me}`
          await sql`INSERT INTO pool VALUES (${me}, 0)`
        }).catch(() => {})
      }
    }
    await Promise.all(Array.from({ length: 48 }, (_, n) => work(n)))
    show(mistakes.length, mistakes.slice(0, 5))
    show(await sql.unsafe(PRIMARY + 'SELECT sum(amount), min(amount), max(amount) FROM pool'))
    const got = await Promise.all(Array.from({ length: 1000 }, (_, n) => sql`SELECT ${n}::int AS n, ${'v' + n} AS v`))
    show(got.every(([row], n) => row.n === n && row.v === `v${n}`))
  })
}

topics.reconnecting = async () => {
  for (let i = 0; i < 20; i++)
    await withSql({ connection: { application_name: `number ${i}` } }, async (sql) => {
      const [row] = await sql`SHOW application_name`
      if (row.application_name !== `number ${i}`) show('wrong name')
    })
  for (const options of [{ password: 'wrong' }, { user: 'nobody' }, { database: 'no_such_database' }])
    await withSql(options, async (sql) => show(await sql`SELECT 1`)).catch((e) => show(options, e.code))
}

const wanted = process.argv.slice(2)
for (const [name, topic] of Object.entries(topics)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue
  console.log('==', name)
  try {
    await topic()
  } catch (e) {
    console.log('\nEXCEPTION', e.code, e.message)
    console.error(e)
  }
}
console.log('== end')
