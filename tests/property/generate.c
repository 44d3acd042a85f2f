/*
 * What clients do: random messages, most of them sensible, some wrong. Only what PostgreSQL
 * answers the same each time, and nothing that docs/compatibility.md lists as different; nothing
 * that waits for another client. Texts have places to be filled: @c the client's number, @n a
 * small number, @v a word, @k one of three names.
 */
#include "generate.h"

#include <string.h>

bool generate_known_faults;

#define COUNT(list) ((unsigned)(sizeof(list) / sizeof((list)[0])))

unsigned draw_below(struct draw *draw, unsigned n)
{
	uint64_t z = draw->state += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return (unsigned)((z ^ (z >> 31)) % n);
}

/* --- statements --- */

static const char *const reads[] = {
	"SELECT id, v FROM c@c.t ORDER BY id",
	"SELECT count(*), sum(id) FROM c@c.t",
	"SELECT name FROM who",
	"SELECT v FROM c@c.t WHERE id = @n",
	"SELECT current_user, session_user, current_schema()",
	"SELECT date '2001-02-03', timestamptz '2001-02-03 04:05:06+00', interval '1 day 2 "
	"hours'",
	"SELECT '\\x0102'::bytea, 0.1::float8 / 3, 'a\\b'",
	"SELECT generate_series(1, 1@n)",
	"SELECT repeat('x', 3000)",
	"TABLE who",
	"VALUES (@n), (@n)",
	"WITH w AS (SELECT @n AS a) SELECT a FROM w",
	"SELECT 1 / @n",
	"SELECT * FROM no_such_table",
	"SELEC @n",
	"SELECT '@v'::int",
	"",
	"-- nothing",
	"SELECT a FROM c@c.x",
	"EXPLAIN (COSTS OFF) SELECT name FROM who",
	"SELECT U&'\\0061', E'\\'', $$it's$$",
	"SHOW server_version_num",
	"SHOW transaction_isolation",
	"SHOW transaction_read_only",
	"SELECT nullif(current_setting('my.var', true), ''), nullif(current_setting('my.start', "
	"true), '')",
};

static const char *const writes[] = {
	"INSERT INTO c@c.t VALUES (@n, '@v')",
	"INSERT INTO c@c.t VALUES (@n, '@v') ON CONFLICT (id) DO UPDATE SET v = excluded.v || "
	"'x' "
	"RETURNING *",
	"UPDATE c@c.t SET v = '@v' WHERE id >= @n RETURNING id",
	"DELETE FROM c@c.t WHERE id = @n",
	"WITH d AS (DELETE FROM c@c.t WHERE id > 1@n RETURNING id) SELECT count(*) FROM d",
	"SELECT id FROM c@c.t ORDER BY id FOR UPDATE",
	"SELECT nextval('c@c.s')",
	"CREATE TABLE c@c.x (a int)",
	"DROP TABLE c@c.x",
	"DROP TABLE IF EXISTS c@c.x",
	"INSERT INTO c@c.x SELECT generate_series(1, @n)",
	"TRUNCATE c@c.x",
	"CREATE TABLE c@c.x AS SELECT @n AS a",
	"DO $$ BEGIN RAISE NOTICE 'notice @n'; END $$",
	"DO $$ BEGIN RAISE EXCEPTION 'raised @n'; END $$",
	"ANALYZE c@c.t",
	"VACUUM c@c.t",
	"COPY c@c.t TO STDOUT",
	"COPY (SELECT name FROM who) TO STDOUT",
	"SET CONSTRAINTS ALL DEFERRED",
	"LOCK TABLE c@c.t IN EXCLUSIVE MODE",
	"COMMENT ON TABLE c@c.t IS '@v'",
	"INSERT INTO c@c.d VALUES (@n)", /* its check is deferred to the commit */
};

static const char *const settings[] = {
	"DateStyle|'ISO, DMY'",
	"DateStyle|german",
	"DateStyle|ymd",
	"datestyle|'SQL'",
	"TimeZone|'Europe/Berlin'",
	"timezone|'Asia/Kathmandu'",
	"TimeZone|-7",
	"IntervalStyle|iso_8601",
	"IntervalStyle|postgres_verbose",
	"bytea_output|escape",
	"bytea_output|hex",
	"extra_float_digits|0",
	"extra_float_digits|-3",
	"search_path|c@c",
	"search_path|c@n, public",
	"search_path|pg_catalog, public",
	"search_path|\"$user\", c2",
	"work_mem|'@nMB'",
	"work_mem|'oops'",
	"application_name|'@v'",
	"application_name|''",
	"client_min_messages|error",
	"client_min_messages|notice",
	"client_min_messages|debug1",
	"statement_timeout|'10@nmin'",
	"lock_timeout|'251ms'",
	"enable_seqscan|off",
	"default_transaction_isolation|'repeatable read'",
	"default_transaction_deferrable|on",
	"default_transaction_read_only|on",
	"default_transaction_read_only|off",
	"client_encoding|'LATIN1'",
	"client_encoding|'UTF8'",
	"client_encoding|'nonsense'",
	"standard_conforming_strings|off",
	"standard_conforming_strings|on",
	"backslash_quote|on",
	"my.var|'@v'",
	"my.var|'it''s @n'",
	"my.other|@n",
	"no_such_setting|1",
	"escape_string_warning|off",
	"row_security|off",
	"xmloption|document",
	"synchronous_commit|off",
	"plan_cache_mode|force_generic_plan",
	"shared_buffers|'1GB'",
	"log_statement|'all'",
	"role|r1",
	"role|none",
	"role|nobody",
	"quote_all_identifiers|on",
};

static const char *const setting_texts[] = {
	"SET TIME ZONE 'America/Lima'",
	"SET TIME ZONE INTERVAL '+03:30' HOUR TO MINUTE",
	"SET TIME ZONE LOCAL",
	"SET LOCAL TIME ZONE 'UTC'",
	"SET NAMES 'UTF8'",
	"SET NAMES LATIN1",
	"SET SCHEMA 'c@c'",
	"SET XML OPTION CONTENT",
	"SET ROLE r@n",
	"SET ROLE r1",
	"SET ROLE NONE",
	"RESET ROLE",
	"SET LOCAL ROLE r2",
	"SET SESSION AUTHORIZATION r1",
	"SET SESSION AUTHORIZATION r2",
	"SET SESSION AUTHORIZATION DEFAULT",
	"SET LOCAL SESSION AUTHORIZATION r1",
	"RESET SESSION AUTHORIZATION",
	"RESET ALL",
	"DISCARD ALL",
	"SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE",
	"SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
	"SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE, NOT DEFERRABLE",
	"SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
	"SET TRANSACTION READ ONLY",
	"SET transaction_read_only = on",
	"SHOW ALL FOR NOTHING",
};

/* What the session's own settings are, asked of the server. */
static const char question[] =
	"SELECT current_setting('DateStyle'), current_setting('TimeZone'), "
	"current_setting('IntervalStyle'), current_setting('bytea_output'), "
	"current_setting('extra_float_digits'), current_setting('search_path'), "
	"current_setting('work_mem'), current_setting('application_name'), "
	"current_setting('client_min_messages'), current_setting('statement_timeout'), "
	"current_setting('lock_timeout'), current_setting('enable_seqscan'), "
	"current_setting('default_transaction_isolation'), "
	"current_setting('default_transaction_read_only'), "
	"current_setting('default_transaction_deferrable'), "
	"current_setting('transaction_isolation'), current_setting('transaction_read_only'), "
	"current_setting('client_encoding'), current_setting('standard_conforming_strings'), "
	"nullif(current_setting('my.var', true), ''), nullif(current_setting('my.other', true), "
	"''), "
	"nullif(current_setting('my.start', true), ''), current_setting('role'), current_user, "
	"session_user, current_setting('synchronous_commit'), "
	"current_setting('plan_cache_mode'), current_setting('quote_all_identifiers'), "
	"current_setting('xmloption'), current_setting('row_security'), "
	"current_setting('escape_string_warning'), current_setting('backslash_quote')";

static const char *const begins[] = {
	"BEGIN",
	"BEGIN",
	"BEGIN",
	"START TRANSACTION",
	"BEGIN READ ONLY",
	"BEGIN ISOLATION LEVEL REPEATABLE READ",
	"BEGIN TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ WRITE",
	"BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY",
	"START TRANSACTION READ WRITE",
	"BEGIN ISOLATION LEVEL NONSENSE",
};

static const char *const ends[] = {
	"COMMIT", "COMMIT", "ROLLBACK", "END", "ABORT", "COMMIT AND CHAIN", "ROLLBACK AND CHAIN",
};

static const char *const in_transaction[] = {
	"SAVEPOINT @k",
	"SAVEPOINT @k",
	"ROLLBACK TO @k",
	"ROLLBACK TO SAVEPOINT @k",
	"RELEASE @k",
	"DECLARE cur_@k CURSOR FOR SELECT generate_series(1, 5)",
	"FETCH 2 FROM cur_@k",
	"FETCH ALL cur_@k",
	"CLOSE cur_@k",
	"CLOSE ALL",
	"MOVE 1 IN cur_@k",
	"SELECT pg_advisory_xact_lock(@c)",
	"CREATE TEMP TABLE tmp_@k (a int) ON COMMIT DROP",
	"BEGIN",
};

static const char *const named[] = {
	"PREPARE %s AS SELECT @n",
	"PREPARE %s (int) AS SELECT $1 + @n, name FROM who",
	"PREPARE %s (int, text) AS INSERT INTO c@c.t VALUES ($1, $2)",
	"PREPARE %s AS SELECT * FROM no_such_table",
	"PREPARE %s AS VALUES (1), (2)",
};

static const char *const prepares[] = {
	"EXECUTE @k",           "EXECUTE @k(@n)",
	"EXECUTE @k(@n, '@v')", "EXPLAIN (COSTS OFF) EXECUTE @k",
	"DEALLOCATE @k",        "DEALLOCATE PREPARE @k",
	"DEALLOCATE ALL",       "DISCARD PLANS",
	"DISCARD SEQUENCES",    "DISCARD ALL",
};

/* These keep the session on its server until DISCARD ALL, for all the generator knows. */
static const char *const pinning[] = {
	"CREATE TEMP TABLE tmp_@k (a int)",
	"INSERT INTO tmp_@k VALUES (@n)",
	"SELECT count(*) FROM tmp_@k",
	"DROP TABLE tmp_@k",
	"DISCARD TEMP",
	"SELECT pg_advisory_lock(@c)",
	"SELECT pg_advisory_unlock(@c)",
	"SELECT pg_advisory_unlock_all()",
	"SELECT pg_try_advisory_lock(100 + @c)",
	"DECLARE held_@k CURSOR WITH HOLD FOR SELECT generate_series(1, 5)",
	"FETCH 1 FROM held_@k",
	"CLOSE held_@k",
	"SELECT set_config('my.var', '@v' || @n, false)",
};

static const char *const two_phase[] = {
	"PREPARE TRANSACTION 'g@c'",
	"COMMIT PREPARED 'g@c'",
	"ROLLBACK PREPARED 'g@c'",
};

/* --- filling in --- */

static void fill(struct draw *draw, const struct generate_client *client, const char *text,
		 struct text *out)
{
	static const char *const words[] = { "apple", "pear", "plum" };
	static const char *const names[] = { "ka", "kb", "kc" };

	for (; *text != '\0'; text++) {
		if (*text != '@') {
			text_add(out, "%c", *text);
			continue;
		}
		switch (*++text) {
		case 'c': text_add(out, "%u", client->number); break;
		case 'n': text_add(out, "%u", draw_below(draw, 6)); break;
		case 'v': text_add(out, "%s", words[draw_below(draw, COUNT(words))]); break;
		default: text_add(out, "%s", names[draw_below(draw, COUNT(names))]); break;
		}
	}
}

#define PICK(draw, list) (list)[draw_below(draw, COUNT(list))]

static void add_setting(struct draw *draw, const struct generate_client *client, struct text *out)
{
	char name[64];
	const char *value;
	unsigned form = draw_below(draw, 12);

	if (form >= 9) {
		fill(draw, client, PICK(draw, setting_texts), out);
		return;
	}
	value = PICK(draw, settings);
	strncpy(name, value, sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	name[strcspn(name, "|")] = '\0';
	value += strlen(name) + 1;
	/* Unknown until it is first set, by anybody, on that server. */
	if (form == 2 && strncmp(name, "my.", 3) == 0)
		form = 7;
	switch (form) {
	case 0: text_add(out, "RESET %s", name); return;
	case 1: text_add(out, "SET %s TO DEFAULT", name); return;
	case 2: text_add(out, "SHOW %s", name); return;
	case 3:
		text_add(out, "SELECT set_config('%s', '", name);
		for (; *value != '\0'; value++) {
			if (*value != '\'' && *value != '@')
				text_add(out, "%c", *value);
		}
		text_add(out, "', %s)", draw_below(draw, 2) == 0 ? "false" : "true");
		return;
	case 4:
	case 5: text_add(out, "SET LOCAL %s = ", name); break;
	case 6: text_add(out, "SET SESSION %s TO ", name); break;
	default: text_add(out, "SET %s = ", name); break;
	}
	fill(draw, client, value, out);
}

/* Names of statements are told apart by their last letter. */
static unsigned name_bit(const char *name)
{
	return name[0] == '\0' ? 0 : 1u << (name[strlen(name) - 1] % 32);
}

/* The name is given to something else: it is free then. */
static void add_free_name(struct text *out, const char *name)
{
	if (!generate_known_faults && name[0] != '\0')
		text_add(out, "C S|%s\n", name);
}

static void add_any_statement(struct draw *draw, struct generate_client *client, struct text *out)
{
	unsigned kind = draw_below(draw, 100);
	bool is_open = client->txn != 'I';

	if (kind < 22)
		fill(draw, client, PICK(draw, reads), out);
	else if (kind < 38)
		fill(draw, client, PICK(draw, writes), out);
	else if (kind < 62)
		add_setting(draw, client, out);
	else if (kind < 72)
		fill(draw, client, PICK(draw, prepares), out);
	else if (kind < 75)
		text_add(out, "%s", question);
	else if (kind < 78) {
		fill(draw, client, PICK(draw, pinning), out);
		client->may_be_pinned = true;
	} else if (kind < 80)
		fill(draw, client, PICK(draw, two_phase), out);
	else if (is_open && kind < 90)
		fill(draw, client, PICK(draw, in_transaction), out);
	else if (is_open)
		text_add(out, "%s", PICK(draw, ends));
	else if (kind < 97)
		text_add(out, "%s", PICK(draw, begins));
	else
		fill(draw, client, PICK(draw, in_transaction), out);
}

/* See generate_known_faults. */
static bool is_faulty(const struct generate_client *client, const char *text, bool in_batch)
{
	static const char *const resets[] = { "RESET", "DEFAULT", "DISCARD ALL", "ZONE LOCAL" };
	bool found = false;

	for (unsigned i = 0; client->has_startup && i < COUNT(resets); i++)
		found = found || strstr(text, resets[i]) != NULL;
	/* One that executes itself; what is dropped after its Parse. */
	if (in_batch &&
	    (strstr(text, "EXECUTE ka") || strstr(text, ".x") || strstr(text, "tmp_")))
		return true;
	return found ||
	       (in_batch && (strstr(text, "DISCARD ALL") || strstr(text, "DEALLOCATE ALL")));
}

/* What does not parse may have any effect: the session keeps its server. */
static bool is_mistyped(const char *text)
{
	return strstr(text, "SELEC ") || strstr(text, "LATIN1") || strstr(text, "NONSENSE") ||
	       strstr(text, "FOR NOTHING");
}

static void add_statement(struct draw *draw, struct generate_client *client, bool in_batch,
			  struct text *out)
{
	struct text text = { 0 };

	do {
		text_clear(&text);
		add_any_statement(draw, client, &text);
	} while (!generate_known_faults && is_faulty(client, text_of(&text), in_batch));
	/* While it is off, texts are not read, and the session keeps its server. */
	client->may_be_pinned |= strstr(text_of(&text), "standard_conforming_strings") != NULL ||
				 is_mistyped(text_of(&text));
	text_add(out, "%s", text_of(&text));
	text_free(&text);
}

/* --- steps --- */

static void add_prepare(struct draw *draw, struct generate_client *client, struct text *out)
{
	static const char *const names[] = { "ka", "kb", "kc" };
	const char *name = PICK(draw, names);
	const char *text = PICK(draw, named);
	struct text filled = { 0 };

	add_free_name(out, name);
	if (!generate_known_faults)
		text_add(out, "S\n");
	text_add(&filled, "Q PREPARE %s%s\n", name, text + strlen("PREPARE %s"));
	fill(draw, client, text_of(&filled), out);
	text_free(&filled);
}

/* Mostly one statement, sometimes up to three in one text. */
static void add_query(struct draw *draw, struct generate_client *client, struct text *out)
{
	unsigned n = draw_below(draw, 8) == 0 ? 2 + draw_below(draw, 2) : 1;

	text_add(out, "Q ");
	for (unsigned i = 0; i < n; i++) {
		if (i > 0)
			text_add(out, "; ");
		add_statement(draw, client, false, out);
	}
	text_add(out, "\n");
}

static void add_copy(struct draw *draw, struct generate_client *client, struct text *out)
{
	bool extended = draw_below(draw, 2) == 0;

	if (extended)
		text_add(out, "P |COPY c%u.t FROM STDIN\nB ||\nE |0\nH\n", client->number);
	else
		text_add(out, "Q COPY c%u.t FROM STDIN\n", client->number);
	for (unsigned i = draw_below(draw, 4); i > 0; i--)
		text_add(out, draw_below(draw, 8) == 0 ? "d %u\n" : "d %u\tcopied\n",
			 draw_below(draw, 30));
	text_add(out, draw_below(draw, 4) == 0 ? "f on purpose\n" : "c\n");
	if (extended)
		text_add(out, "S\n");
}

static const char *const parsed[] = {
	"SELECT $1::int + @n",
	"SELECT v FROM c@c.t WHERE id = $1",
	"SELECT name FROM who",
	"SELECT generate_series(1, $1::int)",
	"INSERT INTO c@c.t VALUES ($1, $2)",
	"SELECT $1::text, $2::text",
	"SELECT * FROM no_such_table",
	"SELEC",
	"UPDATE c@c.t SET v = $2 WHERE id = $1 RETURNING id",
};

static const char *const statement_names[] = { "", "", "", "s1", "s2", "ka" };
static const char *const portal_names[] = { "", "", "", "p1", "p2" };
static const char *const parameters[] = { "1", "3", "7", "apple", "\\N", "" };

/*
 * A statement to Bind or Describe. The unnamed one only when it is known what it is.
 */
static const char *pick_statement(struct draw *draw, struct generate_client *client)
{
	const char *name;

	do {
		name = PICK(draw, statement_names);
	} while (name[0] == '\0' && client->has_failed && !generate_known_faults);
	client->bound |= name_bit(name);
	return name;
}

/* A name to give to a statement, or to take away: none that is in use in this batch. */
static const char *pick_name(struct draw *draw, const struct generate_client *client)
{
	const char *name;

	do {
		name = PICK(draw, statement_names);
	} while (!generate_known_faults && (client->bound & name_bit(name)) != 0);
	return name;
}

/* The unnamed one only when this batch has made it: see generate_known_faults. */
static const char *pick_portal(struct draw *draw, const struct generate_client *client)
{
	const char *name;

	do {
		name = PICK(draw, portal_names);
	} while (name[0] == '\0' && !client->has_portal && !generate_known_faults);
	return name;
}

static void add_parse(struct draw *draw, struct generate_client *client, struct text *out)
{
	const char *name = pick_name(draw, client);

	add_free_name(out, name);
	text_add(out, "P %s|", name);
	if (draw_below(draw, 2) == 0)
		fill(draw, client, PICK(draw, parsed), out);
	else
		add_statement(draw, client, true, out);
	text_add(out, "\n");
}

static void add_bind(struct draw *draw, struct generate_client *client, struct text *out)
{
	const char *portal = PICK(draw, portal_names);

	client->has_portal |= portal[0] == '\0';
	text_add(out, "B %s|%s", portal, pick_statement(draw, client));
	for (unsigned i = draw_below(draw, 3); i > 0; i--)
		text_add(out, "|%s", PICK(draw, parameters));
	text_add(out, "\n");
}

static void add_extended(struct draw *draw, struct generate_client *client, struct text *out)
{
	switch (draw_below(draw, 10)) {
	case 0:
	case 1:
	case 2: add_parse(draw, client, out); break;
	case 3:
	case 4: add_bind(draw, client, out); break;
	case 5:
	case 6:
	case 7:
		text_add(out, "E %s|%u\n", pick_portal(draw, client),
			 draw_below(draw, 2) * draw_below(draw, 4));
		break;
	case 8:
		if (draw_below(draw, 2) == 0)
			text_add(out, "D S|%s\n", pick_statement(draw, client));
		else
			text_add(out, "D P|%s\n", pick_portal(draw, client));
		break;
	default:
		if (draw_below(draw, 2) == 0)
			text_add(out, "C S|%s\n", pick_name(draw, client));
		else
			text_add(out, "C P|%s\n", PICK(draw, portal_names));
	}
}

/* What drivers do: all of it, in order. */
static void add_usual(struct draw *draw, struct generate_client *client, struct text *out)
{
	const char *name = pick_name(draw, client);

	add_free_name(out, name);
	text_add(out, "P %s|", name);
	client->bound |= name_bit(name);
	add_statement(draw, client, true, out);
	client->has_portal = true;
	text_add(out, "\nB |%s\n", name);
	if (draw_below(draw, 2) == 0)
		text_add(out, "D P|\n");
	text_add(out, "E |0\n");
}

static void add_batch(struct draw *draw, struct generate_client *client, struct text *out)
{
	bool has_sync = false;

	client->has_portal &= client->is_in_batch;
	client->bound = 0;
	for (unsigned n = 1 + draw_below(draw, 3); n > 0; n--) {
		if (draw_below(draw, 2) == 0)
			add_usual(draw, client, out);
		else {
			for (unsigned i = 1 + draw_below(draw, 5); i > 0; i--)
				add_extended(draw, client, out);
		}
		if (draw_below(draw, 4) == 0) {
			text_add(out, "s\n");
			has_sync = true;
			client->has_failed = true; /* for all that is known */
			client->has_portal = false;
		}
	}
	text_add(out, !has_sync && draw_below(draw, 5) == 0 ? "H\n" : "S\n");
}

void generate_step(struct draw *draw, struct generate_client *client, struct text *out)
{
	unsigned kind = draw_below(draw, 100);

	if (client->is_in_batch)
		add_batch(draw, client, out);
	else if (kind < 6)
		add_prepare(draw, client, out);
	else if (kind < 55)
		add_query(draw, client, out);
	else if (kind < 92 && (client->txn != 'E' || generate_known_faults))
		add_batch(draw, client, out);
	else if (kind < 92)
		add_query(draw, client, out);
	else if (kind < 96)
		add_copy(draw, client, out);
	else if (kind < 98)
		text_add(out, "F 177|%u|%u\n", draw_below(draw, 9), draw_below(draw, 9));
	else
		text_add(out, "Q %s\n", question);
}

void generate_release(struct draw *draw, struct generate_client *client, struct text *out)
{
	if (client->is_in_batch)
		text_add(out, "S\n");
	if (client->txn != 'I' || client->is_in_batch)
		text_add(out, "Q %s\n", draw_below(draw, 2) == 0 ? "COMMIT" : "ROLLBACK");
	if (client->may_be_pinned) {
		if (client->has_startup && !generate_known_faults)
			text_add(out, "> \n"); /* another session */
		else
			text_add(out, "Q DISCARD ALL\n");
	}
	client->may_be_pinned = false;
}

void generate_question(struct text *out)
{
	text_add(out, "Q %s\n", question);
}

void generate_startup(struct draw *draw, struct generate_client *client, struct text *out)
{
	static const char *const options[] = {
		"DateStyle|German|",
		"TimeZone|Asia/Tokyo|",
		"application_name|app|",
		"search_path|c@c, public|",
		"options|-c work_mem=3MB -c my.start=@v|",
		"client_encoding|UTF8|extra_float_digits|2|",
		"options|-c default_transaction_read_only=on --statement-timeout=1h|",
	};

	bool has_any = draw_below(draw, 3) == 0;

	client->has_startup = false;
	for (unsigned i = 0; i < COUNT(options); i++) {
		if (!has_any || draw_below(draw, 4) != 0)
			continue;
		fill(draw, client, options[i], out);
		client->has_startup = true;
	}
}
