import com.zaxxer.hikari.HikariConfig;
import com.zaxxer.hikari.HikariDataSource;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.io.StringReader;
import java.io.StringWriter;
import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.sql.*;
import java.time.LocalDate;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.util.*;
import java.util.concurrent.*;
import org.postgresql.PGConnection;
import org.postgresql.PGNotification;
import org.postgresql.copy.CopyManager;
import org.postgresql.jdbc.AutoSave;
import org.postgresql.jdbc.PreferQueryMode;
import org.postgresql.util.PSQLException;
import org.postgresql.util.ServerErrorMessage;

/** What users of the JDBC driver do. See ../README.md for the rules of these programs. */
public class Program {
    static final String PRIMARY = "/* pointsman: read_hint=primary */ ";
    static PrintStream out;

    interface Action {
        void run() throws Exception;
    }

    static String url(String... parameters) {
        Map<String, String> env = System.getenv();
        return "jdbc:postgresql://" + env.get("PGHOST") + ":" + env.get("PGPORT") + "/" + env.get("PGDATABASE")
            + "?user=" + env.get("PGUSER") + (parameters.length == 0 ? "" : "&" + String.join("&", parameters));
    }

    static Connection connect(String... parameters) throws SQLException {
        Properties p = new Properties();
        p.setProperty("password", System.getenv("PGPASSWORD"));
        return DriverManager.getConnection(url(parameters), p);
    }

    static void show(Object... what) {
        StringJoiner line = new StringJoiner(" ");
        for (Object w : what)
            line.add(w instanceof Object[] ? Arrays.deepToString((Object[]) w) : String.valueOf(w));
        out.println(line);
    }

    static void exec(Connection c, String sql) throws SQLException {
        try (Statement s = c.createStatement()) {
            s.execute(sql);
        }
    }

    static PreparedStatement bind(PreparedStatement s, Object... values) throws SQLException {
        for (int i = 0; i < values.length; i++)
            s.setObject(i + 1, values[i]);
        return s;
    }

    static int update(Connection c, String sql, Object... values) throws SQLException {
        try (PreparedStatement s = c.prepareStatement(sql)) {
            return bind(s, values).executeUpdate();
        }
    }

    /** The first column of the first row. */
    static Object value(Connection c, String sql, Object... values) throws SQLException {
        try (PreparedStatement s = c.prepareStatement(sql); ResultSet r = bind(s, values).executeQuery()) {
            return r.next() ? r.getObject(1) : "no row";
        }
    }

    static void error(Action action) throws Exception {
        try {
            action.run();
            show("  no error");
        } catch (PSQLException e) {
            ServerErrorMessage m = e.getServerErrorMessage();
            show("  error:", e.getSQLState(), "|", m == null ? e.getMessage() : m.getMessage(), "|",
                m == null ? null : m.getDetail(), "|", m == null ? 0 : m.getPosition(), "|",
                m == null ? null : m.getConstraint());
        } catch (BatchUpdateException e) {
            show("  batch error:", e.getSQLState(), Arrays.toString(e.getUpdateCounts()));
        } catch (SQLTimeoutException e) {
            show("  timed out");
        }
    }

    static String digest(byte[] data) throws Exception {
        StringBuilder hex = new StringBuilder(data.length + " ");
        for (byte b : MessageDigest.getInstance("MD5").digest(data))
            hex.append(String.format("%02x", b));
        return hex.toString();
    }

    static void session() throws Exception {
        try (Connection c = connect("ApplicationName=my+app", "currentSchema=public", "options=-c%20work_mem=3MB")) {
            DatabaseMetaData m = c.getMetaData();
            show(m.getDatabaseProductName(), m.getDatabaseProductVersion(), m.getDriverVersion());
            Map<String, String> status = c.unwrap(PGConnection.class).getParameterStatuses();
            for (String name : new String[] {"client_encoding", "DateStyle", "TimeZone", "application_name",
                                             "is_superuser", "in_hot_standby", "server_version", "IntervalStyle"})
                show(name, status.get(name));
            show(value(c, "SHOW work_mem"), c.getSchema(), c.getCatalog(), c.isValid(5), c.isReadOnly());
            c.setClientInfo("ApplicationName", "another");
            show(c.getClientInfo("ApplicationName"), value(c, "SHOW application_name"));
            exec(c, "SET TIME ZONE 'Asia/Tokyo'");
            show(c.unwrap(PGConnection.class).getParameterStatus("TimeZone"), value(c, "SELECT '2024-01-01 00:00Z'::timestamptz::text"));
            c.setSchema("pg_catalog");
            show(c.getSchema(), value(c, "SHOW search_path"));
            c.setSchema("public");
            c.setAutoCommit(false);
            exec(c, "SET LOCAL work_mem = '5MB'");
            show("in", value(c, "SHOW work_mem"));
            c.commit();
            show("after", value(c, "SHOW work_mem"));
            exec(c, "SET work_mem = '7MB'");
            c.rollback();
            show("rolled back", value(c, "SHOW work_mem"));
            c.commit();
            c.setAutoCommit(true);
            show(value(c, "SELECT set_config('work_mem', '9MB', false)"), value(c, "SHOW work_mem"));
            exec(c, "DISCARD ALL");
            show(value(c, "SHOW work_mem"), value(c, "SHOW TimeZone"));
            error(() -> exec(c, "SET work_mem = 'nonsense'"));
        }
    }

    static void types() throws Exception {
        // From the fifth execution on statements are named, and results binary.
        for (String binary : new String[] {"binaryTransfer=true", "binaryTransfer=false"}) {
            try (Connection c = connect(binary, "prepareThreshold=2");
                 PreparedStatement s = c.prepareStatement("SELECT ?::int2, ?::int8, ?::float8, ?::bool, ?::text, ?::numeric,"
                     + " ?::date, ?::timestamptz, ?::bytea, ?::int4[], ?::text[], ?::uuid, ?::jsonb, ?::text")) {
                for (int i = 0; i < 4; i++) {
                    bind(s, 7, -1L << 62, 1.5e300, true, "h\u00e9llo \u2603", new BigDecimal("12345678901234567890.000100"),
                        LocalDate.of(2024, 2, 29), OffsetDateTime.of(2024, 2, 29, 12, 34, 56, 789000, ZoneOffset.UTC),
                        new byte[] {0, 1, -2, -1}, c.createArrayOf("int4", new Integer[] {1, null, 3}),
                        c.createArrayOf("text", new String[] {"a", "b\"c", null, ""}), new UUID(0, 42), "{\"a\": [1, null]}", null);
                    try (ResultSet r = s.executeQuery()) {
                        r.next();
                        StringJoiner line = new StringJoiner(", ");
                        for (int n = 1; n <= 14; n++) {
                            Object o = n == 8 ? r.getObject(n, OffsetDateTime.class).toInstant() : r.getObject(n);
                            line.add(o instanceof byte[] ? Arrays.toString((byte[]) o) : String.valueOf(o));
                        }
                        show(line);
                    }
                }
                ResultSetMetaData m = s.getMetaData();
                StringJoiner line = new StringJoiner(", ");
                for (int n = 1; n <= m.getColumnCount(); n++)
                    line.add(m.getColumnTypeName(n));
                show(line, s.getParameterMetaData().getParameterCount());
            }
        }
    }

    static void metadata() throws Exception {
        try (Connection c = connect()) {
            exec(c, "CREATE TABLE described (id serial PRIMARY KEY, name varchar(20) NOT NULL, amount numeric(8,2) DEFAULT 0)");
            exec(c, "CREATE INDEX described_name ON described (name)");
            DatabaseMetaData m = c.getMetaData();
            try (ResultSet r = m.getColumns(null, "public", "described", null)) {
                while (r.next())
                    show(r.getString("COLUMN_NAME"), r.getString("TYPE_NAME"), r.getInt("COLUMN_SIZE"), r.getString("COLUMN_DEF"));
            }
            try (ResultSet r = m.getPrimaryKeys(null, "public", "described")) {
                while (r.next())
                    show(r.getString("COLUMN_NAME"), r.getString("PK_NAME"));
            }
            try (ResultSet r = m.getIndexInfo(null, "public", "described", false, false)) {
                while (r.next())
                    show(r.getString("INDEX_NAME"), r.getString("COLUMN_NAME"));
            }
            try (PreparedStatement s = c.prepareStatement("INSERT INTO described (name) VALUES (?)", Statement.RETURN_GENERATED_KEYS)) {
                for (String name : new String[] {"a", "b"}) {
                    s.setString(1, name);
                    s.executeUpdate();
                    try (ResultSet r = s.getGeneratedKeys()) {
                        r.next();
                        show(r.getInt("id"), r.getString("name"), r.getBigDecimal("amount"));
                    }
                }
            }
            try (Statement s = c.createStatement(ResultSet.TYPE_SCROLL_INSENSITIVE, ResultSet.CONCUR_UPDATABLE);
                 ResultSet r = s.executeQuery("SELECT * FROM described ORDER BY id")) {
                r.last();
                r.updateString("name", "updated");
                r.updateRow();
                show(r.getRow(), value(c, "SELECT name FROM described WHERE id = 2"));
            }
        }
    }

    static void large() throws Exception {
        String text = "0123456789abcdef\u2603".repeat(200000);
        byte[] data = new byte[3000000];
        for (int i = 0; i < data.length; i++)
            data[i] = (byte) (i * 7 + (i >> 8));
        try (Connection c = connect()) {
            exec(c, "CREATE TABLE large (id int PRIMARY KEY, t text, b bytea)");
            try (PreparedStatement s = c.prepareStatement("INSERT INTO large VALUES (1, ?, ?)")) {
                s.setString(1, text);
                s.setBinaryStream(2, new ByteArrayInputStream(data), data.length);
                s.executeUpdate();
            }
            try (Statement s = c.createStatement(); ResultSet r = s.executeQuery("SELECT t, b FROM large")) {
                r.next();
                show(digest(r.getString(1).getBytes(StandardCharsets.UTF_8)), digest(r.getBytes(2)));
            }
            long sum = 0;
            try (Statement s = c.createStatement();
                 ResultSet r = s.executeQuery("SELECT n, repeat('x', 100) FROM generate_series(1, 50000) n")) {
                while (r.next())
                    sum += r.getInt(1);
            }
            show(sum);
        }
    }

    static void transactions() throws Exception {
        try (Connection c = connect()) {
            exec(c, "CREATE TABLE accounts (id int PRIMARY KEY, amount int NOT NULL)");
            show(update(c, "INSERT INTO accounts SELECT n, ? FROM generate_series(1, 5) n", 100));
            c.setAutoCommit(false);
            update(c, "UPDATE accounts SET amount = amount + 1 WHERE id = ?", 1);
            Savepoint point = c.setSavepoint("point");
            update(c, "DELETE FROM accounts");
            error(() -> update(c, "INSERT INTO accounts VALUES (1, NULL)"));
            error(() -> value(c, "SELECT 1"));
            c.rollback(point);
            c.releaseSavepoint(c.setSavepoint());
            update(c, "UPDATE accounts SET amount = amount + 1 WHERE id = ?", 2);
            c.commit();
            show(value(c, "SELECT sum(amount) FROM accounts"));
            update(c, "DELETE FROM accounts");
            c.rollback();
            show(value(c, "SELECT count(*) FROM accounts"));
            c.commit();
            c.setReadOnly(true);
            c.setTransactionIsolation(Connection.TRANSACTION_SERIALIZABLE);
            show(value(c, "SHOW transaction_isolation"), value(c, "SHOW transaction_read_only"), value(c, "SELECT count(*) FROM accounts"));
            error(() -> update(c, "DELETE FROM accounts"));
            c.rollback();
            c.setReadOnly(false);
            c.setTransactionIsolation(Connection.TRANSACTION_READ_COMMITTED);
            error(() -> value(c, "SELECT 1/0"));
            error(c::commit);
            c.setAutoCommit(true);
            show(value(c, "SELECT count(*) FROM accounts"));
        }
        // The driver sets a savepoint before each statement, and goes back to it after an error.
        try (Connection c = connect("autosave=always")) {
            c.unwrap(PGConnection.class).setAutosave(AutoSave.ALWAYS);
            c.setAutoCommit(false);
            update(c, "UPDATE accounts SET amount = 500 WHERE id = ?", 3);
            error(() -> update(c, "INSERT INTO accounts VALUES (1, 1)"));
            show(value(c, "SELECT amount FROM accounts WHERE id = 3"));
            c.commit();
        }
    }

    static void prepared() throws Exception {
        try (Connection c = connect("prepareThreshold=3", "preparedStatementCacheQueries=8")) {
            exec(c, "CREATE TABLE prepared (id int PRIMARY KEY, v text)");
            exec(c, "INSERT INTO prepared SELECT n, 'v' || n FROM generate_series(1, 50) n");
            StringJoiner line = new StringJoiner(" ");
            for (int i = 1; i < 12; i++)
                line.add(String.valueOf(value(c, "SELECT v FROM prepared WHERE id = ?", i)));
            show(line);
            // More than the driver's cache holds: the oldest are closed.
            long sum = 0;
            for (int round = 0; round < 4; round++)
                for (int n = 0; n < 20; n++)
                    sum += ((Number) value(c, "SELECT " + n + " + ?::int", round)).longValue();
            show(sum);
            for (int i = 0; i < 5; i++)
                error(() -> value(c, "SELECT 1 / ?::int", 0));
            error(() -> value(c, "SELECT nothing FROM prepared WHERE id = ?", 1));
            for (int i = 0; i < 5; i++)
                value(c, "SELECT * FROM prepared WHERE id = ?", 1);
            exec(c, "ALTER TABLE prepared ADD COLUMN w int DEFAULT 3");
            show(value(c, "SELECT w FROM prepared WHERE id = ?", 1));
            // The driver itself prepares again what no longer fits.
            show(value(c, "SELECT * FROM prepared WHERE id = ?", 1));
            exec(c, "DISCARD ALL");
            show(value(c, "SELECT v FROM prepared WHERE id = ?", 7));
            exec(c, "DEALLOCATE ALL");
            show(value(c, "SELECT v FROM prepared WHERE id = ?", 8));
            // The same parameter with other types.
            for (Object o : new Object[] {1, 2L, "x", 1.5, new BigDecimal("3.25")})
                for (int i = 0; i < 4; i++)
                    line.add(String.valueOf(value(c, "SELECT ?::text", o)));
            show(line);
        }
        for (PreferQueryMode mode : PreferQueryMode.values())
            try (Connection c = connect("preferQueryMode=" + mode.value())) {
                for (int i = 0; i < 7; i++)
                    exec(c, "SELECT 1");
                show(mode, value(c, PRIMARY + "SELECT v FROM prepared WHERE id = ?", 5));
                error(() -> value(c, "SELECT 1 / ?::int", 0));
            }
    }

    static void copies() throws Exception {
        try (Connection c = connect()) {
            CopyManager copy = c.unwrap(PGConnection.class).getCopyAPI();
            exec(c, "CREATE TABLE copies (id int PRIMARY KEY, v text)");
            StringBuilder lines = new StringBuilder();
            for (int i = 0; i < 20000; i++)
                lines.append(i).append("\tvalue ").append(i).append('\n');
            show(copy.copyIn("COPY copies FROM STDIN", new StringReader(lines.toString())));
            ByteArrayOutputStream bytes = new ByteArrayOutputStream();
            show(copy.copyOut("COPY (SELECT * FROM copies ORDER BY id) TO STDOUT (FORMAT binary)", bytes), digest(bytes.toByteArray()));
            StringWriter text = new StringWriter();
            show(copy.copyOut("COPY copies TO STDOUT (FORMAT csv)", text), text.toString().length());
            error(() -> copy.copyIn("COPY copies FROM STDIN", new StringReader(lines.toString())));
            error(() -> copy.copyIn("COPY copies (id) FROM STDIN", new StringReader("one\n")));
            error(() -> copy.copyIn("COPY nowhere FROM STDIN", new StringReader("")));
            error(() -> copy.copyIn("COPY copies (id) FROM STDIN").cancelCopy());
            show(value(c, "SELECT count(*) FROM copies"));
        }
    }

    static void notifications() throws Exception {
        try (Connection listener = connect(); Connection sender = connect()) {
            exec(listener, "LISTEN first");
            exec(listener, "LISTEN \"Second\"");
            for (int i = 0; i < 3; i++)
                exec(sender, "NOTIFY first, 'payload " + i + "'");
            value(sender, "SELECT pg_notify(?, ?)", "Second", "x".repeat(7000));
            int heard = 0;
            while (heard < 4)
                for (PGNotification n : listener.unwrap(PGConnection.class).getNotifications(20000)) {
                    String payload = n.getParameter();
                    show(n.getName(), payload.length() > 50 ? digest(payload.getBytes()) : payload);
                    heard++;
                }
            exec(listener, "UNLISTEN first");
            exec(sender, "NOTIFY first, 'not heard'");
            exec(sender, "NOTIFY \"Second\", 'heard'");
            for (PGNotification n : listener.unwrap(PGConnection.class).getNotifications(20000))
                show(n.getName(), n.getParameter());
            exec(listener, "UNLISTEN *");
        }
    }

    static void notices() throws Exception {
        try (Connection c = connect(); Statement s = c.createStatement()) {
            s.execute("DO $$ BEGIN RAISE NOTICE 'hello %', 1; RAISE WARNING 'beware'; END $$");
            for (SQLWarning w = s.getWarnings(); w != null; w = w.getNextWarning())
                show(w.getSQLState(), w.getMessage());
        }
    }

    static void cancels() throws Exception {
        try (Connection c = connect()) {
            for (String sql : new String[] {"SELECT pg_sleep(60)", PRIMARY + "SELECT pg_sleep(60)"})
                try (Statement s = c.createStatement()) {
                    CountDownLatch over = new CountDownLatch(1);
                    Thread canceller = new Thread(() -> {
                        try {
                            while (!over.await(50, TimeUnit.MILLISECONDS))
                                s.cancel();
                        } catch (Exception e) {
                            throw new RuntimeException(e);
                        }
                    });
                    canceller.start();
                    error(() -> s.execute(sql));
                    over.countDown();
                    canceller.join();
                    show(value(c, "SELECT 'alive'"));
                }
        }
    }

    static void timeouts() throws Exception {
        try (Connection c = connect(); Connection other = connect("options=-c%20lock_timeout=20")) {
            try (Statement s = c.createStatement()) {
                s.setQueryTimeout(1);
                error(() -> s.execute("SELECT pg_sleep(60)"));
                show(value(c, "SELECT 'alive'"));
            }
            exec(c, "SET statement_timeout = '50ms'");
            error(() -> exec(c, "SELECT pg_sleep(60)"));
            exec(c, "RESET statement_timeout");
            c.setAutoCommit(false);
            exec(c, "SELECT * FROM accounts WHERE id = 1 FOR UPDATE");
            error(() -> update(other, "UPDATE accounts SET amount = 1 WHERE id = 1"));
            c.rollback();
            c.setAutoCommit(true);
        }
        try (Connection c = connect("socketTimeout=1")) {
            error(() -> exec(c, "SELECT pg_sleep(60)"));
            show(c.isClosed());
        }
    }

    static void errors() throws Exception {
        try (Connection c = connect()) {
            exec(c, "CREATE TABLE errors (id int PRIMARY KEY, positive int CONSTRAINT is_positive CHECK (positive > 0))");
            exec(c, "INSERT INTO errors VALUES (1, 1)");
            for (String sql : new String[] {"SELEC 1", "SELECT * FROM no_such_table", "INSERT INTO errors VALUES (1, 1)",
                                            "INSERT INTO errors VALUES (2, -1)", "SELECT 1/0", "SELECT 'x'::int", "", ";",
                                            "INSERT INTO errors VALUES (3, 1); SELECT 1/0"}) {
                show("query:", sql);
                error(() -> exec(c, sql));
                show(value(c, "SELECT 'next'"));
            }
            show(value(c, "SELECT count(*) FROM errors"));
            error(() -> update(c, "INSERT INTO errors VALUES (?, ?)", 1, 1));
        }
    }

    static void conflicts() throws Exception {
        ExecutorService threads = Executors.newFixedThreadPool(2);
        try (Connection a = connect(); Connection b = connect()) {
            exec(a, "CREATE TABLE conflicts (id int PRIMARY KEY, v int)");
            exec(a, "INSERT INTO conflicts VALUES (1, 0), (2, 0)");
            a.setAutoCommit(false);
            b.setAutoCommit(false);
            update(a, "UPDATE conflicts SET v = v + 1 WHERE id = 1");
            update(b, "UPDATE conflicts SET v = v + 1 WHERE id = 2");
            List<Future<String>> ends = new ArrayList<>();
            for (int i = 0; i < 2; i++) {
                Connection c = i == 0 ? a : b;
                int id = 2 - i;
                ends.add(threads.submit(() -> {
                    try {
                        update(c, "UPDATE conflicts SET v = v + 1 WHERE id = ?", id);
                        c.commit();
                        return "done";
                    } catch (SQLException e) {
                        c.rollback();
                        return e.getSQLState();
                    }
                }));
            }
            show(new TreeSet<>(List.of(ends.get(0).get(), ends.get(1).get())));
        } finally {
            threads.shutdown();
        }
    }

    static void cursors() throws Exception {
        try (Connection c = connect()) {
            c.setAutoCommit(false);
            long sum = 0;
            // Portals of which a few rows are fetched at a time, two of them in turns.
            try (Statement s = c.createStatement(); Statement t = c.createStatement()) {
                s.setFetchSize(100);
                t.setFetchSize(7);
                ResultSet r = s.executeQuery("SELECT n FROM generate_series(1, 10000) n");
                ResultSet q = t.executeQuery("SELECT n * 2 FROM generate_series(1, 10000) n");
                while (r.next() && q.next())
                    sum += r.getInt(1) + q.getInt(1);
            }
            show(sum);
            try (PreparedStatement s = c.prepareStatement("SELECT n FROM generate_series(1, ?) n")) {
                s.setFetchSize(10);
                for (int i = 0; i < 8; i++) {
                    s.setInt(1, 25);
                    ResultSet r = s.executeQuery();
                    for (int n = 0; n < 12; n++)
                        r.next();
                    show(r.getInt(1));
                }
            }
            try (Statement s = c.createStatement()) {
                s.setFetchSize(2);
                ResultSet r = s.executeQuery("SELECT 10 / (4 - n) FROM generate_series(1, 10) n");
                error(() -> {
                    while (r.next())
                        show(r.getInt(1));
                });
            }
            c.rollback();
            try (Statement s = c.createStatement()) {
                s.setMaxRows(5);
                ResultSet r = s.executeQuery("SELECT n FROM generate_series(1, 10) n");
                int rows = 0;
                while (r.next())
                    rows++;
                show(rows);
            }
            c.commit();
        }
    }

    static void batches() throws Exception {
        for (String rewrite : new String[] {"reWriteBatchedInserts=false", "reWriteBatchedInserts=true"})
            try (Connection c = connect(rewrite)) {
                exec(c, "DROP TABLE IF EXISTS batches");
                exec(c, "CREATE TABLE batches (id int PRIMARY KEY, v text)");
                try (PreparedStatement s = c.prepareStatement("INSERT INTO batches VALUES (?, ?)")) {
                    for (int i = 0; i < 1000; i++)
                        bind(s, i, "v".repeat(i % 300)).addBatch();
                    int[] counts = s.executeBatch();
                    show(counts.length, value(c, "SELECT count(*) FROM batches"), value(c, "SELECT sum(length(v)) FROM batches"));
                    for (int id : new int[] {2000, 1, 2001})
                        bind(s, id, "x").addBatch();
                    error(s::executeBatch);
                }
                show(value(c, "SELECT count(*) FROM batches"));
                c.setAutoCommit(false);
                try (Statement s = c.createStatement()) {
                    s.addBatch("INSERT INTO batches VALUES (3000, 'a')");
                    s.addBatch("UPDATE batches SET v = 'b' WHERE id >= 990");
                    s.addBatch("DELETE FROM batches WHERE id < 10");
                    show(Arrays.toString(s.executeBatch()));
                }
                c.commit();
                c.setAutoCommit(true);
                try (Statement s = c.createStatement()) {
                    boolean rows = s.execute("SELECT 1; INSERT INTO batches VALUES (4000, 'm'); SELECT 'x'");
                    show(rows, s.getMoreResults(), s.getUpdateCount(), s.getMoreResults());
                }
            }
    }

    static void session_state() throws Exception {
        try (Connection c = connect(); Connection other = connect()) {
            exec(c, "CREATE TEMP TABLE temporary (n int)");
            update(c, "INSERT INTO temporary VALUES (?), (?)", 1, 2);
            show(value(c, "SELECT sum(n) FROM temporary"));
            error(() -> value(other, "SELECT * FROM temporary"));
            show(value(c, "SELECT pg_try_advisory_lock(42)"), value(other, "SELECT pg_try_advisory_lock(42)"));
            show(value(c, "SELECT pg_advisory_unlock(42)"), value(other, "SELECT pg_try_advisory_lock(42)"));
            exec(other, "DISCARD ALL");
            exec(c, "DROP TABLE temporary");
            try (CallableStatement s = c.prepareCall("{? = call abs(?)}")) {
                s.registerOutParameter(1, Types.INTEGER);
                s.setInt(2, -5);
                s.execute();
                show(s.getInt(1));
            }
        }
    }

    static void pool() throws Exception {
        HikariConfig config = new HikariConfig();
        config.setJdbcUrl(url("prepareThreshold=2"));
        config.setPassword(System.getenv("PGPASSWORD"));
        config.setMaximumPoolSize(24);
        config.setMinimumIdle(24);
        config.setConnectionInitSql("SET work_mem = '3MB'");
        List<String> wrong = Collections.synchronizedList(new ArrayList<>());
        try (HikariDataSource source = new HikariDataSource(config)) {
            try (Connection c = source.getConnection()) {
                exec(c, "CREATE TABLE pool (id int PRIMARY KEY, amount int)");
                exec(c, "INSERT INTO pool SELECT n, 1000 FROM generate_series(0, 31) n");
            }
            ExecutorService threads = Executors.newFixedThreadPool(32);
            List<Future<?>> tasks = new ArrayList<>();
            for (int n = 0; n < 32; n++) {
                int me = n;
                tasks.add(threads.submit(() -> {
                    for (int i = 0; i < 8; i++)
                        try (Connection c = source.getConnection()) {
                            c.setAutoCommit(false);
                            exec(c, "SET LOCAL application_name = 'number " + me + "'");
                            update(c, "UPDATE pool SET amount = amount - 1 WHERE id = ?", me);
                            Object name = value(c, "SHOW application_name");
                            c.commit();
                            c.setAutoCommit(true);
                            Object amount = value(c, "SELECT amount FROM pool WHERE id = ?", me);
                            Object memory = value(c, "SHOW work_mem");
                            if (!name.equals("number " + me) || !amount.equals(999 - i) || !memory.equals("3MB"))
                                wrong.add(me + " " + i + " " + name + " " + amount + " " + memory);
                            c.setAutoCommit(false);
                            try {
                                update(c, "UPDATE pool SET amount = 0 WHERE id = ?", me);
                                update(c, "INSERT INTO pool VALUES (?, 0)", me);
                            } catch (SQLException e) {
                                c.rollback();
                            }
                        }
                    return null;
                }));
            }
            for (Future<?> task : tasks)
                task.get();
            threads.shutdown();
            show(wrong.size(), wrong);
            try (Connection c = source.getConnection()) {
                show(value(c, PRIMARY + "SELECT sum(amount) FROM pool"), value(c, PRIMARY + "SELECT min(amount) FROM pool"));
            }
        }
    }

    static void reconnecting() throws Exception {
        for (int i = 0; i < 20; i++)
            try (Connection c = connect("ApplicationName=number" + i)) {
                if (!value(c, "SHOW application_name").equals("number" + i))
                    show("wrong name");
            }
        Connection abandoned = connect();
        abandoned.setAutoCommit(false);
        update(abandoned, "DELETE FROM accounts");
        abandoned.abort(Runnable::run);
        try (Connection c = connect()) {
            show(value(c, PRIMARY + "SELECT count(*) FROM accounts"));
        }
        // What a driver does that looks for a server by its role.
        for (String target : new String[] {"primary", "any", "preferSecondary"})
            try (Connection c = connect("targetServerType=" + target)) {
                show(target, value(c, "SELECT 1"));
            }
        error(() -> connect("targetServerType=secondary").close());
        for (String parameter : new String[] {"user=nobody", "database=no_such_database"})
            try {
                Properties p = new Properties();
                p.setProperty("user", parameter.startsWith("user") ? "nobody" : System.getenv("PGUSER"));
                p.setProperty("password", System.getenv("PGPASSWORD"));
                String database = parameter.startsWith("user") ? System.getenv("PGDATABASE") : "no_such_database";
                DriverManager.getConnection("jdbc:postgresql://" + System.getenv("PGHOST") + ":" + System.getenv("PGPORT")
                    + "/" + database, p).close();
                show("connected");
            } catch (SQLException e) {
                show(parameter, e.getSQLState());
            }
    }

    static void topic(String name, Action action) {
        out.println("== " + name);
        try {
            action.run();
        } catch (Throwable e) {
            out.println("\nEXCEPTION " + e);
            e.printStackTrace();
        }
        out.flush();
    }

    public static void main(String[] args) throws Exception {
        out = new PrintStream(System.out, true, "UTF-8");
        topic("session", Program::session);
        topic("types", Program::types);
        topic("metadata", Program::metadata);
        topic("large", Program::large);
        topic("transactions", Program::transactions);
        topic("prepared", Program::prepared);
        topic("copies", Program::copies);
        topic("notifications", Program::notifications);
        topic("notices", Program::notices);
        topic("cancels", Program::cancels);
        topic("timeouts", Program::timeouts);
        topic("errors", Program::errors);
        topic("conflicts", Program::conflicts);
        topic("cursors", Program::cursors);
        topic("batches", Program::batches);
        topic("session_state", Program::session_state);
        topic("pool", Program::pool);
        topic("reconnecting", Program::reconnecting);
        out.println("== end");
    }
}
