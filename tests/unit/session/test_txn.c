/* session/txn: PostgreSQL's rules for what a session has set, by a table and against a
 * model. */

#include "session/txn.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

#define ROWS(table) ((int)(sizeof(table) / sizeof((table)[0])))

static struct txn txn;
static struct settings *startup;

static struct settings *add(struct settings *set, const char *name, const char *value)
{
	bool failed = false;
	struct settings *next = settings_with(set, name, value, &failed);

	ck_assert(!failed);
	settings_unref(&set);
	return next;
}

static void set_up(void)
{
	startup = add(NULL, "s", "9");
	txn_init(&txn, startup);
}

static void tear_down(void)
{
	txn_destroy(&txn);
	settings_unref(&startup);
}

static const char *value(const char *name)
{
	const char *statement = settings_get(txn.settings, name);

	return statement ? statement : "-";
}

static void apply(enum effect_kind kind, const char *name, const char *text, unsigned flags,
		  const char *tag)
{
	struct effect effect = { .kind = kind, .name = name, .value = text, .flags = flags };

	ck_assert(txn_apply(&txn, &effect, tag));
}

/*
 * One word of a script. Each stands for what a server has answered:
 *   a=1 SET a        L=1 SET LOCAL    -a RESET a     --  RESET ALL   DISCARD
 *   BEGIN COMMIT ROLLBACK ABORTED (a COMMIT that answers "ROLLBACK")  PREPARE (TRANSACTION)
 *   +x SAVEPOINT x   /x ROLLBACK TO   .x RELEASE     ! an error
 *   I T E  ReadyForQuery
 */
static void play_word(char *word)
{
	if (strcmp(word, "BEGIN") == 0)
		apply(EFFECT_BEGIN, NULL, NULL, 0, "BEGIN");
	else if (strcmp(word, "COMMIT") == 0)
		apply(EFFECT_COMMIT, NULL, NULL, 0, "COMMIT");
	else if (strcmp(word, "ABORTED") == 0)
		apply(EFFECT_COMMIT, NULL, NULL, 0, "ROLLBACK");
	else if (strcmp(word, "ROLLBACK") == 0)
		apply(EFFECT_ROLLBACK, NULL, NULL, 0, "ROLLBACK");
	else if (strcmp(word, "PREPARE") == 0)
		apply(EFFECT_PREPARE_TRANSACTION, NULL, NULL, 0, "PREPARE TRANSACTION");
	else if (strcmp(word, "DISCARD") == 0)
		apply(EFFECT_DISCARD_ALL, NULL, NULL, 0, "DISCARD ALL");
	else if (strcmp(word, "--") == 0)
		apply(EFFECT_RESET_ALL, NULL, NULL, 0, "RESET");
	else if (strcmp(word, "!") == 0)
		txn_note_error(&txn);
	else if (strlen(word) == 1 && strchr("ITE", word[0]))
		txn_note_ready(&txn, (uint8_t)word[0], 5);
	else if (word[0] == '-')
		apply(EFFECT_RESET, word + 1, NULL, 0, "RESET");
	else if (word[0] == '+')
		apply(EFFECT_SAVEPOINT, word + 1, NULL, 0, "SAVEPOINT");
	else if (word[0] == '/')
		apply(EFFECT_ROLLBACK_TO, word + 1, NULL, 0, "ROLLBACK");
	else if (word[0] == '.')
		apply(EFFECT_RELEASE, word + 1, NULL, 0, "RELEASE");
	else if (word[0] == 'L')
		apply(EFFECT_SET, "a", word + 2, EFFECT_LOCAL, "SET");
	else {
		word[strcspn(word, "=")] = '\0';
		apply(EFFECT_SET, word, word + strlen(word) + 1, 0, "SET");
	}
}

static void play(const char *script)
{
	char *copy = strdup(script);
	char *save = NULL;

	for (char *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save))
		play_word(word);
	free(copy);
}

static const struct {
	const char *script;
	const char *a; /* afterwards; "-": not set */
	const char *s; /* set by a start-up option, to 9 */
} sequences[] = {
	{ "", "-", "9" },
	{ "a=1 I", "1", "9" },
	{ "a=1 I a=2 I", "2", "9" },
	{ "a=1 I -a I", "-", "9" },
	{ "s=1 I", "-", "1" },
	{ "s=1 I -s I", "-", "9" },
	{ "a=1 s=1 I -- I", "-", "9" },
	{ "a=1 s=1 I DISCARD I", "-", "9" },
	{ "L=1 I", "-", "9" },
	/* transactions */
	{ "BEGIN T a=1 T COMMIT I", "1", "9" },
	{ "BEGIN T a=1 T ROLLBACK I", "-", "9" },
	{ "a=1 I BEGIN T a=2 T ROLLBACK I", "1", "9" },
	{ "a=1 I BEGIN T -a T ROLLBACK I", "1", "9" },
	{ "a=1 I BEGIN T -- T ROLLBACK I", "1", "9" },
	{ "BEGIN T a=1 T ! E ROLLBACK I", "-", "9" },
	{ "BEGIN T a=1 T ! E ABORTED I", "-", "9" },
	{ "BEGIN T a=1 T PREPARE I", "1", "9" },
	{ "BEGIN T a=1 COMMIT a=2 I", "2", "9" },
	{ "BEGIN T a=1 COMMIT BEGIN T a=2 T ROLLBACK I", "1", "9" },
	{ "BEGIN T a=1 ROLLBACK BEGIN T a=2 T COMMIT I", "2", "9" },
	/* the connection was left in a transaction that ended otherwise */
	{ "BEGIN T a=1 T I", "1", "9" },
	{ "BEGIN T a=1 T ! E I", "-", "9" },
	/* savepoints */
	{ "BEGIN T a=1 +x a=2 /x T COMMIT I", "1", "9" },
	{ "BEGIN T a=1 +x a=2 .x T COMMIT I", "2", "9" },
	{ "BEGIN T a=1 +x a=2 .x T ROLLBACK I", "-", "9" },
	{ "BEGIN T +x a=1 /x a=2 /x T COMMIT I", "-", "9" },
	{ "BEGIN T +x a=1 +y a=2 +z a=3 /y T COMMIT I", "1", "9" },
	{ "BEGIN T +x a=1 +y a=2 /x T COMMIT I", "-", "9" },
	/* the innermost of one name; released, the outer one of that name is seen again */
	{ "BEGIN T +x a=1 +x a=2 /x T COMMIT I", "1", "9" },
	{ "BEGIN T +x a=1 +x a=2 .x a=3 /x T COMMIT I", "-", "9" },
	{ "BEGIN T +x a=1 +y .x T COMMIT I", "1", "9" },
	/* an error that is undone by ROLLBACK TO does not spoil the rest */
	{ "BEGIN T a=1 +x T a=2 T ! E /x T COMMIT I", "1", "9" },
	{ "BEGIN T a=1 +x T ! E /x T a=3 COMMIT I", "3", "9" },
	/* savepoints end with their transaction */
	{ "BEGIN T +x a=1 T COMMIT I BEGIN T a=2 T COMMIT I", "2", "9" },
	/* implicit transactions: a Query of several statements, a pipeline up to its Sync */
	{ "a=1 a=2 I", "2", "9" },
	{ "a=1 ! I", "-", "9" },
	{ "a=1 I a=2 ! I", "1", "9" },
	{ "a=1 COMMIT a=2 ! I", "1", "9" },
	{ "a=1 ROLLBACK a=2 I", "2", "9" },
	{ "BEGIN a=1 ! E ROLLBACK I", "-", "9" },
	{ "a=1 BEGIN a=2 T ROLLBACK I", "-", "9" },
	{ "! I a=1 I", "1", "9" },
};

START_TEST(sequence)
{
	play(sequences[_i].script);
	ck_assert_str_eq(value("a"), sequences[_i].a);
	ck_assert_str_eq(value("s"), sequences[_i].s);
	ck_assert_ptr_eq(txn.settings, txn.committed);
	ck_assert_ptr_null(txn.savepoints);
}
END_TEST

/* RESET ALL leaves who one is; DISCARD ALL does not. */
START_TEST(identities)
{
	play("session_authorization=q role=r a=1 I -- I");
	ck_assert_str_eq(value("a"), "-");
	ck_assert_str_eq(value("role"), "r");
	ck_assert_str_eq(value("session_authorization"), "q");
	ck_assert_str_eq(value("s"), "9");
	play("DISCARD I");
	ck_assert_str_eq(value("role"), "-");
	ck_assert_str_eq(value("s"), "9");
}
END_TEST

/* Another session_user ends a SET ROLE, also one that may not exist any more. */
START_TEST(another_session_user_ends_the_role)
{
	play("session_authorization=q role=r I -session_authorization I");
	ck_assert_str_eq(value("role"), "-");
	ck_assert_str_eq(value("session_authorization"), "-");
	play("role=r I session_authorization=q I");
	ck_assert_str_eq(value("role"), "-");
	play("role=r I BEGIN T session_authorization=p role=o ROLLBACK I");
	ck_assert_str_eq(value("role"), "r");
	ck_assert_str_eq(value("session_authorization"), "q");
}
END_TEST

/* Of a SET of half a DateStyle both halves are kept, as the server reports them. */
START_TEST(both_halves_of_a_date_style)
{
	ck_assert(txn_note_date_style(&txn, "German, DMY"));
	ck_assert_str_eq(value("datestyle"), "-");
	play("datestyle=iso I datestyle=ymd I");
	ck_assert(txn_note_date_style(&txn, NULL));
	ck_assert_str_eq(value("datestyle"), "ymd");
	ck_assert(txn_note_date_style(&txn, "ISO, YMD"));
	ck_assert_str_eq(value("datestyle"),
			 "SELECT pg_catalog.set_config(E'datestyle', E'ISO, YMD', false)");
	play("BEGIN T datestyle=german ROLLBACK I");
	ck_assert_ptr_nonnull(strstr(value("datestyle"), "ISO, YMD"));
	ck_assert_ptr_eq(txn.settings, txn.committed);
	unit_fail_alloc(1);
	ck_assert(!txn_note_date_style(&txn, "SQL, YMD"));
	unit_fail_alloc(0);
	ck_assert_ptr_nonnull(strstr(value("datestyle"), "ISO, YMD"));
}
END_TEST

START_TEST(the_time_of_a_transaction)
{
	ck_assert(!txn_is_open(&txn));
	txn_note_ready(&txn, 'T', 100);
	ck_assert(txn_is_open(&txn));
	txn_note_ready(&txn, 'T', 200);
	txn_note_ready(&txn, 'E', 300);
	ck_assert_int_eq(txn.began_at, 100);
	txn_note_ready(&txn, 'I', 400);
	ck_assert_int_eq(txn.began_at, 0);
}
END_TEST

/* --- hints --- */

static void set_hint(const char *value_or_null, bool local)
{
	char why[160] = "";

	ck_assert_msg(txn_set_hint(&txn, "read_hint", value_or_null, local, why, sizeof(why)),
		      "%s", why);
}

static enum read_hint hint(void)
{
	struct hints hints = { 0 };

	txn_merge_hints(&txn, &hints);
	return hint_is_set(&hints, HINT_READ_HINT) ? hints.read_hint : READ_HINT_NONE;
}

START_TEST(hints_follow_transactions)
{
	set_hint("replica", false);
	ck_assert_int_eq(hint(), READ_HINT_REPLICA);
	txn_note_ready(&txn, 'I', 0);
	play("BEGIN T");
	set_hint("primary", false);
	ck_assert_int_eq(hint(), READ_HINT_PRIMARY);
	play("+x T");
	set_hint("stale-allowed", false);
	play("/x T");
	ck_assert_int_eq(hint(), READ_HINT_PRIMARY);
	play("ROLLBACK I");
	ck_assert_int_eq(hint(), READ_HINT_REPLICA);
	play("BEGIN T");
	set_hint("primary", false);
	play("COMMIT I");
	ck_assert_int_eq(hint(), READ_HINT_PRIMARY);
	set_hint(NULL, false);
	ck_assert_int_eq(hint(), READ_HINT_NONE);
}
END_TEST

START_TEST(local_hints_end_with_the_transaction)
{
	set_hint("replica", false);
	play("BEGIN T");
	set_hint("primary", true);
	ck_assert_int_eq(hint(), READ_HINT_PRIMARY);
	play("+x T");
	set_hint("stale-allowed", true);
	play("/x T");
	ck_assert_int_eq(hint(), READ_HINT_PRIMARY);
	play("COMMIT I");
	ck_assert_int_eq(hint(), READ_HINT_REPLICA);
}
END_TEST

START_TEST(hints_go_back_to_those_of_the_start)
{
	struct hints hints = { .set = 1u << HINT_READ_HINT, .read_hint = READ_HINT_REPLICA };

	txn_set_startup_hints(&txn, &hints);
	ck_assert_int_eq(hint(), READ_HINT_REPLICA);
	set_hint("primary", false);
	ck_assert_int_eq(hint(), READ_HINT_PRIMARY);
	set_hint(NULL, false);
	ck_assert_int_eq(hint(), READ_HINT_REPLICA);
}
END_TEST

START_TEST(bad_hints_change_nothing)
{
	char why[160] = "";

	set_hint("replica", false);
	ck_assert(!txn_set_hint(&txn, "read_hint", "nonsense", false, why, sizeof(why)));
	ck_assert_str_ne(why, "");
	ck_assert(!txn_set_hint(&txn, "nonsense", "1", false, why, sizeof(why)));
	why[0] = '\0';
	ck_assert(!txn_set_hint(&txn, "nonsense", NULL, false, why, sizeof(why)));
	ck_assert_str_ne(why, "");
	ck_assert_int_eq(hint(), READ_HINT_REPLICA);
}
END_TEST

START_TEST(without_memory_the_state_is_unknown)
{
	struct effect effects[] = {
		{ .kind = EFFECT_SET, .name = "a", .value = "1" },
		{ .kind = EFFECT_RESET, .name = "s" },
		{ .kind = EFFECT_SAVEPOINT, .name = "x" },
	};
	char why[160] = "";

	play("s=1 b=1 I BEGIN T");
	for (int i = 0; i < ROWS(effects); i++) {
		unit_fail_alloc(1);
		ck_assert(!txn_apply(&txn, &effects[i], "SET"));
		unit_fail_alloc(0);
	}
	unit_fail_alloc(1);
	ck_assert(!txn_set_hint(&txn, "read_hint", "replica", false, why, sizeof(why)));
	unit_fail_alloc(0);
	ck_assert_str_eq(value("a"), "-");
	ck_assert_str_eq(value("s"), "1");
	play("ROLLBACK I");
}
END_TEST

/* --- against a model --- */

#define NAMES  3
#define LEVELS 16

struct state {
	int values[NAMES]; /* 0: not set */
};

/* What PostgreSQL does, in the simplest way: whole copies. */
struct model {
	struct state now;
	struct state committed;
	struct state start;
	struct {
		char name;
		struct state state;
	} savepoints[LEVELS];
	int depth;
	bool is_open;   /* BEGIN has been run */
	bool is_failed; /* in it */
};

static const char *const model_names[NAMES] = { "a", "b", "s" };

static void model_end(struct model *model, bool commit)
{
	if (commit)
		model->committed = model->now;
	else
		model->now = model->committed;
	model->depth = 0;
	model->is_open = model->is_failed = false;
}

static int model_find(const struct model *model, char name)
{
	int at = model->depth - 1;

	while (at >= 0 && model->savepoints[at].name != name)
		at--;
	return at;
}

/* One statement of a Query: tells the model and the module under test. false: an error. */
static bool step(struct model *model, unsigned random)
{
	unsigned what = random % 12;
	int which = (int)(random >> 8) % NAMES;
	char text[2] = { (char)('1' + (random >> 12) % 3), 0 };
	char name[2] = { (char)('x' + (random >> 16) % 2), 0 };
	int found = model_find(model, name[0]);

	if (model->is_failed && what != 4 && what != 5 && (what != 8 || found < 0))
		return false;
	switch (what) {
	case 0:
	case 1:
		model->now.values[which] = text[0];
		apply(EFFECT_SET, model_names[which], text, 0, "SET");
		return true;
	case 2:
		model->now.values[which] = model->start.values[which];
		apply(EFFECT_RESET, model_names[which], NULL, 0, "RESET");
		return true;
	case 3:
		if (!model->is_open)
			model->depth = 0;
		model->is_open = true;
		apply(EFFECT_BEGIN, NULL, NULL, 0, "BEGIN");
		return true;
	case 4: {
		bool failed = model->is_failed;

		model_end(model, !failed);
		apply(EFFECT_COMMIT, NULL, NULL, 0, failed ? "ROLLBACK" : "COMMIT");
		return true;
	}
	case 5:
		model_end(model, false);
		apply(EFFECT_ROLLBACK, NULL, NULL, 0, "ROLLBACK");
		return true;
	case 6:
		if (!model->is_open || model->depth == LEVELS)
			return false;
		model->savepoints[model->depth].name = name[0];
		model->savepoints[model->depth++].state = model->now;
		apply(EFFECT_SAVEPOINT, name, NULL, 0, "SAVEPOINT");
		return true;
	case 7:
		if (found < 0)
			return false;
		model->depth = found;
		apply(EFFECT_RELEASE, name, NULL, 0, "RELEASE");
		return true;
	case 8:
		if (found < 0)
			return false;
		model->depth = found + 1;
		model->now = model->savepoints[found].state;
		model->is_failed = false;
		apply(EFFECT_ROLLBACK_TO, name, NULL, 0, "ROLLBACK");
		return true;
	case 9:
		model->now = model->start;
		apply(EFFECT_RESET_ALL, NULL, NULL, 0, "RESET");
		return true;
	case 10: apply(EFFECT_SET, model_names[which], text, EFFECT_LOCAL, "SET"); return true;
	default: return false;
	}
}

static void run_query(struct model *model, unsigned statements, uint64_t *seed)
{
	for (unsigned i = 0; i < statements; i++) {
		*seed = *seed * 6364136223846793005u + 1442695040888963407u;
		if (step(model, (unsigned)(*seed >> 33)))
			continue;
		txn_note_error(&txn);
		if (model->is_open)
			model->is_failed = true;
		else
			model->now = model->committed;
		break;
	}
	if (!model->is_open)
		model->committed = model->now;
	txn_note_ready(&txn, model->is_failed ? 'E' : model->is_open ? 'T' : 'I', 1);
}

START_TEST(random_sequences_agree_with_the_model)
{
	uint64_t seed = (uint64_t)_i * 7919 + 1;
	struct model model = { .now = { { 0, 0, '9' } },
			       .committed = { { 0, 0, '9' } },
			       .start = { { 0, 0, '9' } } };

	for (int query = 0; query < 400; query++) {
		run_query(&model, 1 + (unsigned)(seed >> 60) % 4, &seed);
		for (int i = 0; i < NAMES; i++) {
			char expected[2] = {
				(char)(model.now.values[i] ? model.now.values[i] : '-'), 0
			};

			/* In a failed transaction the values are nobody's to see. */
			if (!model.is_failed)
				ck_assert_msg(strcmp(value(model_names[i]), expected) == 0,
					      "query %d: %s is %s, not %s", query, model_names[i],
					      value(model_names[i]), expected);
		}
	}
}
END_TEST

/* --- a BEGIN that no server has seen --- */

static void defer(unsigned flags)
{
	const struct effect begin = { .kind = EFFECT_BEGIN, .flags = flags, .value = "begin" };
	struct hints hints = { 0 };

	ck_assert(hint_set(&hints, "read_hint", "primary", NULL, 0));
	ck_assert(txn_defer(&txn, &begin, &hints, 7));
}

static const char *end(enum effect_kind kind, unsigned flags)
{
	const struct effect effect = { .kind = kind, .flags = flags };

	return txn_end_deferred(&txn, &effect, 9);
}

START_TEST(a_deferred_transaction_is_open)
{
	struct hints hints = { 0 };

	defer(EFFECT_READ_ONLY);
	ck_assert(txn_is_open(&txn));
	ck_assert(txn_is_deferred(&txn));
	ck_assert_int_eq(txn.status, 'T');
	ck_assert_int_eq(txn.began_at, 7);
	ck_assert_uint_eq(txn.begin->flags, EFFECT_READ_ONLY);
	ck_assert_str_eq(txn.begin->text, "begin");
	txn_merge_hints(&txn, &hints);
	ck_assert_int_eq(hints.read_hint, READ_HINT_PRIMARY);
	/* sent, and answered by its server */
	txn.begin->is_sent = true;
	ck_assert(!txn_is_deferred(&txn));
	txn_note_ready(&txn, 'T', 8);
	ck_assert_ptr_null(txn.begin);
	ck_assert_int_eq(txn.began_at, 7);
}
END_TEST

START_TEST(a_deferred_transaction_ends_by_the_rules)
{
	char why[160];

	defer(0);
	ck_assert(txn_set_hint(&txn, "consistency", "strong", false, why, sizeof(why)));
	ck_assert_str_eq(end(EFFECT_ROLLBACK, 0), "ROLLBACK");
	ck_assert(!txn_is_open(&txn));
	ck_assert_ptr_null(txn.begin);
	ck_assert_ptr_null(txn.hints);
	defer(0);
	ck_assert(txn_set_hint(&txn, "consistency", "strong", false, why, sizeof(why)));
	ck_assert_str_eq(end(EFFECT_COMMIT, 0), "COMMIT");
	ck_assert(!txn_is_open(&txn));
	ck_assert_ptr_nonnull(txn.hints);
}
END_TEST

START_TEST(a_chained_transaction_is_deferred_again)
{
	defer(EFFECT_SERIALIZABLE);
	txn_fail_deferred(&txn);
	ck_assert_int_eq(txn.status, 'E');
	ck_assert_str_eq(end(EFFECT_COMMIT, EFFECT_CHAIN), "ROLLBACK");
	ck_assert_int_eq(txn.status, 'T');
	ck_assert(txn_is_deferred(&txn));
	ck_assert(!txn.begin->has_failed);
	ck_assert_uint_eq(txn.begin->flags, EFFECT_SERIALIZABLE);
	ck_assert_uint_eq(txn.begin->hints.set, 0);
	ck_assert_int_eq(txn.began_at, 9);
	ck_assert_str_eq(end(EFFECT_COMMIT, 0), "COMMIT");
}
END_TEST

START_TEST(a_refused_begin_is_owed_again_and_has_failed)
{
	defer(0);
	txn.begin->is_sent = true;
	txn_fail_deferred(&txn); /* the server's own business */
	ck_assert_int_eq(txn.status, 'T');
	txn_begin_refused(&txn);
	ck_assert_int_eq(txn.status, 'E');
	ck_assert(txn_is_deferred(&txn));
	ck_assert(txn.begin->has_failed);
	ck_assert_str_eq(end(EFFECT_COMMIT, 0), "ROLLBACK");
	ck_assert_int_eq(txn.status, 'I');
}
END_TEST

START_TEST(without_memory_nothing_is_deferred)
{
	const struct effect begin = { .kind = EFFECT_BEGIN, .value = "begin" };

	unit_fail_alloc(1);
	ck_assert(!txn_defer(&txn, &begin, NULL, 1));
	ck_assert(!txn_is_open(&txn));
}
END_TEST

static Suite *txn_suite(void)
{
	Suite *suite = suite_create("session/txn");
	TCase *tc = tcase_create("txn");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_loop_test(tc, sequence, 0, ROWS(sequences));
	tcase_add_test(tc, identities);
	tcase_add_test(tc, another_session_user_ends_the_role);
	tcase_add_test(tc, both_halves_of_a_date_style);
	tcase_add_test(tc, the_time_of_a_transaction);
	tcase_add_test(tc, hints_follow_transactions);
	tcase_add_test(tc, local_hints_end_with_the_transaction);
	tcase_add_test(tc, hints_go_back_to_those_of_the_start);
	tcase_add_test(tc, bad_hints_change_nothing);
	tcase_add_test(tc, without_memory_the_state_is_unknown);
	tcase_add_test(tc, a_deferred_transaction_is_open);
	tcase_add_test(tc, a_deferred_transaction_ends_by_the_rules);
	tcase_add_test(tc, a_chained_transaction_is_deferred_again);
	tcase_add_test(tc, a_refused_begin_is_owed_again_and_has_failed);
	tcase_add_test(tc, without_memory_nothing_is_deferred);
	tcase_add_loop_test(tc, random_sequences_agree_with_the_model, 0, 50);
	suite_add_tcase(suite, tc);
	return suite;
}

UNIT_SUITE(txn_suite)
