// What users of node-postgres do. See ../README.md for the rules of these programs.
import crypto from 'node:crypto'
import { pipeline } from 'node:stream/promises'
import { Readable, Writable } from 'node:stream'
import { once } from 'node:events'
import pg from 'pg'
import Cursor from 'pg-cursor'
import QueryStream from 'pg-query-stream'
import { from as copyFrom, to as copyTo } from 'pg-copy-streams'

const PRIMARY = '/* pointsman: read_hint=primary */ '
const topics = {}

async function withClient(options, work) {
  const client = new pg.Client(options)
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}

async function error(promise) {
  try {
    await promise
    console.log('  no error')
  } catch (e) {
    const parts = [e.code, e.severity, e.message, e.detail, e.hint, e.position, e.table, e.constraint]
    console.log('  error:', parts.filter((p) => p !== undefined).join(' | '))
  }
}

const digest = (data) => `${data.length} ${crypto.createHash('md5').update(data).digest('hex')}`
const value = async (c, ...query) => Object.values((await c.query(...query)).rows[0])[0]
const show = (...what) => console.log(...what.map((w) => (typeof w === 'string' ? w : JSON.stringify(w))))
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

topics.session = async () => {
  await withClient({ application_name: 'my app', options: '-c search_path=public -c work_mem=3MB' }, async (c) => {
    const status = {}
    // client_encoding is told again, with the value it has, after RESET: see README.md
    c.connection.on('parameterStatus', (m) => m.parameterName !== 'client_encoding' && (status[m.parameterName] = m.parameterValue))
    show(await value(c, 'SHOW application_name'), await value(c, 'SHOW work_mem'), await value(c, 'SHOW search_path'))
    await c.query("SET application_name = 'another'")
    show(status, await value(c, 'SHOW application_name'))
    await c.query("SET TIME ZONE 'Asia/Tokyo'")
    show(status, await value(c, "SELECT '2024-01-01 00:00Z'::timestamptz::text"))
    await c.query('BEGIN')
    await c.query("SET LOCAL work_mem = '5MB'")
    show('in', await value(c, 'SHOW work_mem'))
    await c.query('COMMIT')
    show('after', await value(c, 'SHOW work_mem'))
    show(await value(c, "SELECT set_config('work_mem', '9MB', false)"), await value(c, 'SHOW work_mem'))
    await c.query('DISCARD ALL')
    show(await value(c, 'SHOW work_mem'), status)
    await error(c.query("SET work_mem = 'nonsense'"))
  })
}

topics.types = async () => {
  const values = [
    ['int2', 7], ['int8', '-4611686018427387904'], ['float8', 1.5e300], ['bool', true],
    ['numeric', '12345678901234567890.000100'], ['text', 'h\u00e9llo \u2603'], ['bytea', Buffer.from([0, 1, 254, 255])],
    ['date', '2024-02-29'], ['timestamptz', new Date(Date.UTC(2024, 1, 29, 12, 34, 56, 789))], ['interval', '3 days 5 s'],
    ['uuid', '00000000-0000-0000-0000-00000000002a'], ['inet', '10.1.2.3/24'], ['jsonb', { a: [1, null, 'x'] }],
    ['int4[]', [1, null, 3]], ['text[]', ['a', 'b"c', null, '']], ['point', '(1,2)'], ['text', null],
  ]
  await withClient({}, async (c) => {
    for (const binary of [false, true])
      for (const [type, v] of values)
        if (!binary || ['int2', 'bool', 'text', 'bytea', 'float8'].includes(type))
          show(binary, type, (await c.query({ text: `SELECT $1::${type} AS v`, values: [v], binary })).rows[0].v)
    const result = await c.query("SELECT 1 AS a, 'x' AS b, ARRAY[1.5, 2] AS c")
    show(result.fields.map((f) => [f.name, f.dataTypeID, f.format]), result.command, result.rowCount)
    show((await c.query({ text: 'SELECT 1, 2', rowMode: 'array' })).rows)
  })
}

topics.large = async () => {
  const text = '0123456789abcdef\u2603'.repeat(200000)
  const data = Buffer.alloc(3000000, 'binary data\0')
  await withClient({}, async (c) => {
    await c.query('CREATE TABLE large (id int PRIMARY KEY, t text, b bytea)')
    await c.query('INSERT INTO large VALUES (1, $1, $2)', [text, data])
    const row = (await c.query('SELECT t, b FROM large WHERE id = 1')).rows[0]
    show(digest(row.t), digest(row.b))
    show(await value(c, "SELECT length('" + text + "')"))
    const rows = (await c.query("SELECT n, repeat('x', 100) FROM generate_series(1, 50000) n")).rows
    show(rows.length, rows.reduce((sum, r) => sum + r.n, 0))
  })
}

topics.transactions = async () => {
  await withClient({}, async (c) => {
    await c.query('CREATE TABLE accounts (id int PRIMARY KEY, amount int NOT NULL)')
    await c.query('INSERT INTO accounts SELECT n, 100 FROM generate_series(1, 5) n')
    await c.query('BEGIN')
    await c.query('UPDATE accounts SET amount = amount - 1 WHERE id = $1', [1])
    await c.query('SAVEPOINT a')
    await error(c.query('INSERT INTO accounts VALUES ($1, $2)', [1, 1]))
    await error(c.query('SELECT 1'))
    await c.query('ROLLBACK TO SAVEPOINT a')
    await c.query('UPDATE accounts SET amount = amount - 1 WHERE id = $1', [2])
    await c.query('COMMIT')
    show((await c.query('SELECT * FROM accounts ORDER BY id')).rows)
    await c.query('BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY')
    show(await value(c, 'SHOW transaction_isolation'), await value(c, 'SHOW transaction_read_only'))
    await error(c.query('DELETE FROM accounts'))
    show((await c.query('COMMIT')).command)
    await c.query('BEGIN')
    await c.query('DELETE FROM accounts')
    await c.query('ROLLBACK')
    show(await value(c, 'SELECT count(*) FROM accounts'))
    // Without waiting between them, as queued by the driver.
    const results = await Promise.all([
      c.query('BEGIN'), c.query('UPDATE accounts SET amount = 7 WHERE id = 5'),
      c.query('SELECT amount FROM accounts WHERE id = 5'), c.query('COMMIT'),
    ])
    show(results.map((r) => [r.command, r.rowCount, r.rows]))
  })
}

topics.prepared = async () => {
  await withClient({}, async (c) => {
    await c.query('CREATE TABLE prepared (id int PRIMARY KEY, v text)')
    await c.query("INSERT INTO prepared SELECT n, 'v' || n FROM generate_series(1, 20) n")
    for (let i = 1; i <= 5; i++)
      show((await c.query({ name: 'by-id', text: 'SELECT * FROM prepared WHERE id = $1', values: [i] })).rows[0])
    await error(c.query({ name: 'by-id', text: 'SELECT something else' }))
    await error(c.query({ name: 'wrong', text: 'SELECT nothing FROM prepared' }))
    await error(c.query({ name: 'wrong', text: 'SELECT nothing FROM prepared' }))
    await error(c.query({ name: 'numbers', text: 'SELECT $1::int', values: ['x'] }))
    show(await value(c, { name: 'numbers', text: 'SELECT $1::int', values: ['5'] }))
    for (let i = 0; i < 50; i++) await c.query({ name: `many-${i}`, text: `SELECT ${i} + $1::int AS v`, values: [1] })
    show(await value(c, { name: 'many-7', text: 'SELECT 7 + $1::int AS v', values: [100] }))
    await c.query('BEGIN')
    await c.query({ name: 'insert', text: 'INSERT INTO prepared VALUES ($1, $2)', values: [100, 'x'] })
    show((await c.query({ name: 'by-id', text: 'SELECT * FROM prepared WHERE id = $1', values: [100] })).rows)
    await c.query('ROLLBACK')
    show((await c.query({ name: 'by-id', text: 'SELECT * FROM prepared WHERE id = $1', values: [100] })).rows)
    await c.query('DEALLOCATE ALL')
    await error(c.query({ name: 'by-id', text: 'SELECT * FROM prepared WHERE id = $1', values: [1] }))
  })
}

topics.copies = async () => {
  await withClient({}, async (c) => {
    await c.query('CREATE TABLE copies (id int PRIMARY KEY, v text)')
    const lines = Array.from({ length: 20000 }, (_, i) => `${i}\tvalue ${i}\n`)
    await pipeline(Readable.from(lines), c.query(copyFrom('COPY copies FROM STDIN')))
    show(await value(c, 'SELECT count(*) FROM copies'))
    for (const query of ['COPY copies TO STDOUT', 'COPY (SELECT * FROM copies ORDER BY id) TO STDOUT (FORMAT binary)']) {
      const parts = []
      await pipeline(c.query(copyTo(query)), new Writable({ write(part, _, done) { parts.push(part); done() } }))
      show(digest(Buffer.concat(parts)))
    }
    await error(pipeline(Readable.from(lines), c.query(copyFrom('COPY copies FROM STDIN'))))
    await error(pipeline(Readable.from(['one\n']), c.query(copyFrom('COPY copies (id) FROM STDIN'))))
    await error(pipeline(c.query(copyTo('COPY nowhere TO STDOUT')), new Writable({ write: (p, e, done) => done() })))
    show(await value(c, 'SELECT count(*) FROM copies'))
  })
}

topics.notifications = async () => {
  await withClient({}, async (listener) => withClient({}, async (sender) => {
    const queue = []
    listener.on('notification', (m) => { queue.push(m); listener.emit('queued') })
    const next = async () => {
      while (queue.length === 0) await once(listener, 'queued')
      const m = queue.shift()
      show(m.channel, m.payload.length > 50 ? digest(m.payload) : m.payload)
    }
    await listener.query('LISTEN first')
    await listener.query('LISTEN "Second"')
    for (let i = 0; i < 3; i++) await sender.query(`NOTIFY first, 'payload ${i}'`)
    await sender.query('SELECT pg_notify($1, $2)', ['Second', 'x'.repeat(7000)])
    for (let i = 0; i < 4; i++) await next()
    await listener.query('UNLISTEN first')
    await sender.query("NOTIFY first, 'not heard'")
    await sender.query(`NOTIFY "Second", 'heard'`)
    await next()
    await listener.query(`NOTIFY "Second", 'to myself'`)
    await next()
    await listener.query('UNLISTEN *')
  }))
}

topics.notices = async () => {
  await withClient({}, async (c) => {
    c.on('notice', (n) => show('  notice:', n.severity, n.code, n.message))
    await c.query("DO $$ BEGIN RAISE NOTICE 'hello %', 1; RAISE WARNING 'beware'; END $$")
    await c.query('DROP TABLE IF EXISTS no_such_table')
    await c.query('COMMIT')
  })
}

topics.cancels = async () => {
  for (const query of ['SELECT pg_sleep(60)', PRIMARY + 'SELECT pg_sleep(60)'])
    await withClient({}, async (c) => {
      let over = false
      const running = error(c.query(query)).then(() => (over = true))
      // The driver's own cancel() leaves its connection open; this is the request itself.
      while (!over) {
        const request = new pg.Connection()
        request.connect(Number(process.env.PGPORT), process.env.PGHOST)
        request.on('connect', () => request.cancel(c.processID, c.secretKey))
        await once(request, 'end')
        await Promise.race([running, sleep(50)])
      }
      show(await value(c, "SELECT 'alive'"))
    })
}

topics.timeouts = async () => {
  await withClient({ statement_timeout: 100 }, async (c) => {
    await error(c.query('SELECT pg_sleep(60)'))
    show(await value(c, 'SHOW statement_timeout'))
  })
  await withClient({ lock_timeout: 100 }, async (c) => withClient({}, async (other) => {
    await other.query('BEGIN')
    await other.query('SELECT * FROM accounts WHERE id = 1 FOR UPDATE')
    await error(c.query('UPDATE accounts SET amount = 1 WHERE id = 1'))
    await other.query('COMMIT')
  }))
  // The driver gives up waiting, and then its connection.
  const c = new pg.Client({ query_timeout: 100 })
  await c.connect()
  await error(c.query('SELECT pg_sleep(1)'))
  await c.end()
  await withClient({ idle_in_transaction_session_timeout: 10000 }, async (other) =>
    show(await value(other, 'SHOW idle_in_transaction_session_timeout')))
}

topics.errors = async () => {
  await withClient({}, async (c) => {
    await c.query('CREATE TABLE errors (id int PRIMARY KEY, positive int CONSTRAINT is_positive CHECK (positive > 0))')
    await c.query('INSERT INTO errors VALUES (1, 1)')
    for (const query of ['SELEC 1', 'SELECT * FROM no_such_table', 'INSERT INTO errors VALUES (1, 1)',
      'INSERT INTO errors VALUES (2, -1)', 'SELECT 1/0', "SELECT 'x'::int", '', ';']) {
      show('query:', query)
      await error(c.query(query))
      await error(c.query({ text: query, values: [], queryMode: 'extended' }))
      show(await value(c, "SELECT 'next'"))
    }
    await error(c.query('SELECT $1::int + $2::int', ['1', 'x']))
    await error(c.query('SELECT $1::int', [1, 2]))
    show((await Promise.allSettled([c.query('SELECT 1 AS a'), c.query('SELECT 1/0'), c.query('SELECT 2 AS a')]))
      .map((r) => r.value?.rows ?? r.reason.message))
  })
}

topics.cursors = async () => {
  await withClient({}, async (c) => {
    const cursor = c.query(new Cursor('SELECT n FROM generate_series(1, $1) n', [10000]))
    show((await cursor.read(3)).map((r) => r.n), (await cursor.read(2)).map((r) => r.n))
    await cursor.close()
    show(await value(c, "SELECT 'after'"))
    let sum = 0
    for await (const row of c.query(new QueryStream('SELECT n FROM generate_series(1, $1) n', [20000], { batchSize: 99 })))
      sum += row.n
    show(sum)
    await c.query('BEGIN')
    await c.query('DECLARE cur CURSOR FOR SELECT n FROM generate_series(1, 100) n')
    show((await c.query('FETCH 3 FROM cur')).rows, (await c.query('MOVE 10 IN cur')).command, await value(c, 'FETCH cur'))
    await c.query('COMMIT')
    await error(c.query('FETCH cur'))
    const failing = c.query(new Cursor('SELECT 10 / (5 - n) FROM generate_series(1, 10) n'))
    show(await failing.read(3))
    await error(failing.read(3))
    show(await value(c, "SELECT 'after an error'"))
  })
}

topics.multiple = async () => {
  await withClient({}, async (c) => {
    const results = await c.query('SELECT 1 AS a; CREATE TABLE multiple (n int); INSERT INTO multiple VALUES (1), (2); SELECT n FROM multiple')
    show(results.map((r) => [r.command, r.rowCount, r.rows]))
    await error(c.query('INSERT INTO multiple VALUES (3); SELECT 1/0; INSERT INTO multiple VALUES (4)'))
    show(await value(c, 'SELECT count(*) FROM multiple'))
    await error(c.query({ text: 'SELECT 1; SELECT $1', values: [1] }))
  })
}

topics.session_state = async () => {
  await withClient({}, async (c) => withClient({}, async (other) => {
    await c.query('CREATE TEMP TABLE temporary (n int)')
    await c.query('INSERT INTO temporary VALUES (1), (2)')
    show(await value(c, 'SELECT sum(n) FROM temporary'))
    await error(other.query('SELECT * FROM temporary'))
    show(await value(c, 'SELECT pg_advisory_lock(42)'), await value(other, 'SELECT pg_try_advisory_lock(42)'))
    await c.query('SELECT pg_advisory_unlock(42)')
    show(await value(other, 'SELECT pg_try_advisory_lock(42)'))
    await other.query('DISCARD ALL')
    await c.query('DROP TABLE temporary')
    await c.query('CREATE SEQUENCE seq')
    await c.query('BEGIN')
    show(await value(c, "SELECT nextval('seq')"), await value(c, "SELECT currval('seq')"), await value(c, 'SELECT lastval()'))
    await c.query('COMMIT')
  }))
}

topics.pool = async () => {
  const pool = new pg.Pool({ max: 24, min: 24 })
  const mistakes = []
  await pool.query('CREATE TABLE pool (id int PRIMARY KEY, amount int)')
  await pool.query('INSERT INTO pool SELECT n, 1000 FROM generate_series(0, 47) n')
  const work = async (me) => {
    for (let i = 0; i < 8; i++) {
      const c = await pool.connect()
      try {
        await c.query(`SET application_name = 'number ${me}'`)
        await c.query('BEGIN')
        await c.query({ name: 'take', text: 'UPDATE pool SET amount = amount - 1 WHERE id = $1', values: [me] })
        const name = await value(c, 'SHOW application_name')
        await c.query('COMMIT')
        const amount = await value(c, { name: 'look', text: 'SELECT amount FROM pool WHERE id = $1', values: [me] })
        if (name !== `number ${me}` || amount !== 999 - i) mistakes.push([me, i, name, amount])
        await c.query('BEGIN')
        await c.query({ name: 'put', text: 'INSERT INTO pool VALUES ($1, 0)', values: [me] }).catch(() => {})
        await c.query('ROLLBACK')
      } finally {
        c.release()
      }
    }
  }
  await Promise.all(Array.from({ length: 48 }, (_, n) => work(n)))
  show(mistakes.length, mistakes.slice(0, 5))
  show((await pool.query(PRIMARY + 'SELECT sum(amount), min(amount), max(amount) FROM pool')).rows)
  const got = await Promise.all(Array.from({ length: 500 }, (_, n) => pool.query('SELECT $1::int AS n', [n])))
  show(got.every((r, n) => r.rows[0].n === n))
  await pool.end()
}

topics.reconnecting = async () => {
  for (let i = 0; i < 20; i++)
    await withClient({ application_name: `number ${i}` }, async (c) => {
      if ((await value(c, 'SHOW application_name')) !== `number ${i}`) show('wrong name')
    })
  await withClient({}, async (c) => {
    await c.query('BEGIN')
    await c.query('DELETE FROM accounts')
  })
  await withClient({}, async (c) => show(await value(c, PRIMARY + 'SELECT count(*) FROM accounts')))
  for (const options of [{ password: 'wrong' }, { user: 'nobody' }, { database: 'no_such_database' }])
    await withClient(options, async () => show('connected')).catch((e) => show(options, e.code))
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
