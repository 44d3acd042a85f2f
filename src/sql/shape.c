/*
 * Tokens to shape: writes the text out again in one spelling, leaves out what no verdict depends
 * on, and counts what a parser would have to bear. One pass with a stack of open brackets; what
 * turns out to be a repetition is taken back by moving the end of the buffer. Pure; any thread.
 */
#include "sql/shape.h"

#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "words.h"

/* A text may have this many times the tokens that a shape may have, and is read no further. */
#define RAW_TOKENS_FACTOR 256

/* What of a token is looked at when the buffer is full. */
#define PEEK_BYTES (SHAPE_BUFFER_EXTRA - SHORT_BYTES)

#define SHORT_BYTES 16

enum level_kind {
	LEVEL_PLAIN,
	LEVEL_CASE, /* CASE ... END */
	LEVEL_LIST, /* behind IN or ARRAY: equal neighbours are written once */
};

/*
 * One open bracket, or the text itself at the bottom. `ops` and `chains` are what this level adds
 * to the depth of the parse tree: the operators since the last comma, AND or OR (PostgreSQL's
 * grammar makes flat lists of those), and the joins and set operations, which no comma ends.
 */
struct level {
	uint8_t kind;  /* enum level_kind */
	bool has_rows; /* VALUES was read and nothing but rows since */
	uint32_t ops;
	uint32_t chains;
	uint32_t betweens;    /* BETWEENs whose AND has not come */
	uint32_t opened_at;   /* where its bracket stands */
	uint32_t piece_start; /* the element of a list that is being written */
	uint32_t last_start;  /* the element or row before it ... */
	uint32_t last_end;    /* ... 0 when there is none */
	uint32_t last_tokens; /* ... and how many tokens there were at its end */
};

/* What the token before was, as far as the next one must know. */
enum before {
	BEFORE_START,
	BEFORE_NAME, /* a word or a quoted name */
	BEFORE_OPEN,
	BEFORE_CLOSE,
	BEFORE_COMMA,
	BEFORE_DOT, /* glued to the name in front of it */
	BEFORE_OTHER,
};

struct shaper {
	const struct shape_limits *limits;
	struct lexer lexer;
	char *buffer;
	uint32_t length;
	uint32_t tokens; /* in the shape */
	size_t load;     /* depth of levels plus all their ops and chains */
	bool is_over;    /* beyond a bound: nothing is kept any more */

	bool strips;           /* the statement's literals are replaced */
	bool at_lead;          /* the next word begins a statement */
	bool has_semicolon;    /* one is due before the next token: none at the end of the text */
	bool keeps_rest;       /* no literal is replaced any more */
	size_t keep_from;      /* depth of the bracket that keeps its literals; 0: none */
	bool has_odd_lead;     /* a statement that may leave state in the session */
	bool has_pinning_lead; /* ... by its first word alone */
	bool has_state_word;   /* CREATE TEMP, pg_advisory_lock(...) */

	enum before before;
	enum word word;   /* the token before, if it was a word */
	uint32_t sign_at; /* where a '-' that begins an element was written, + 1; 0: none */

	size_t depth;
	size_t overflow; /* brackets above the cap */
	struct level levels[SHAPE_NESTING_CAP + 1];
};

static inline struct level *top(struct shaper *s)
{
	return &s->levels[s->depth];
}

static inline bool is_stripping(const struct shaper *s)
{
	return s->strips && !s->keep_from && !s->keeps_rest;
}

/*
 * The text of a token at the end of the buffer. Above the bound only its beginning, over and
 * over: the words of a text that is too large are still looked at.
 */
static inline char *write_token(struct shaper *s, const struct token *token)
{
	size_t length = token->length;
	char *to;

	if (s->is_over || length > s->limits->bytes_max - s->length) {
		s->is_over = true;
		to = s->buffer + s->length;
		memcpy(to, token->at, length < PEEK_BYTES ? length : PEEK_BYTES);
		return to;
	}
	to = s->buffer + s->length;
	/* Most are short, and a copy of fixed size is no call; the buffer and the text allow for
	 * it. */
	if (length <= SHORT_BYTES && s->lexer.end - token->at >= SHORT_BYTES)
		memcpy(to, token->at, SHORT_BYTES);
	else
		memcpy(to, token->at, length);
	s->length += (uint32_t)length;
	return to;
}

static inline void write_byte(struct shaper *s, char byte)
{
	if (s->is_over || s->length == s->limits->bytes_max)
		s->is_over = true;
	else
		s->buffer[s->length++] = byte;
}

static void add_load(struct shaper *s, uint32_t *counter)
{
	(*counter)++;
	if (++s->load > s->limits->nesting_max)
		s->is_over = true;
}

static void end_operands(struct shaper *s)
{
	struct level *level = top(s);

	s->load -= level->ops;
	level->ops = 0;
	level->betweens = 0;
}

static void push_level(struct shaper *s, enum level_kind kind, uint32_t at)
{
	if (s->depth == SHAPE_NESTING_CAP || s->overflow) {
		s->overflow++;
		s->is_over = true;
		return;
	}
	s->depth++;
	*top(s) = (struct level){ .kind = (uint8_t)kind, .opened_at = at, .piece_start = at + 1 };
	if (++s->load > s->limits->nesting_max)
		s->is_over = true;
}

static void pop_level(struct shaper *s)
{
	s->load -= top(s)->ops + top(s)->chains + 1;
	s->depth--;
	if (s->keep_from > s->depth)
		s->keep_from = 0;
}

/* A CASE without its END is no SQL; whatever closes the level around it ends it for us. */
static void pop_cases(struct shaper *s)
{
	while (s->overflow == 0 && s->depth && top(s)->kind == LEVEL_CASE)
		pop_level(s);
}

/*
 * The piece from `start` to the end of the buffer is complete. When it equals the piece before
 * it, the comma and the piece are taken back.
 */
static void end_piece(struct shaper *s, struct level *level, uint32_t start)
{
	uint32_t length;

	if (s->is_over)
		return;
	if (start < s->length && s->buffer[start] == ' ')
		start++;
	length = s->length - start;
	if (level->last_end && level->last_end - level->last_start == length &&
	    memcmp(s->buffer + level->last_start, s->buffer + start, length) == 0) {
		s->length = level->last_end;
		s->tokens = level->last_tokens;
		return;
	}
	level->last_start = start;
	level->last_end = s->length;
	level->last_tokens = s->tokens;
}

static inline bool wants_blank(const struct shaper *s, enum token_kind kind)
{
	switch (s->before) {
	case BEFORE_START:
	case BEFORE_OPEN: return false;
	case BEFORE_DOT:
		return kind != TOKEN_WORD && kind != TOKEN_QUOTED && kind != TOKEN_OPERATOR;
	default: break;
	}
	switch (kind) {
	case TOKEN_COMMA:
	case TOKEN_SEMICOLON:
	case TOKEN_CLOSE: return false;
	case TOKEN_OPEN:
	case TOKEN_DOT: return s->before != BEFORE_NAME && s->before != BEFORE_CLOSE;
	default: return true;
	}
}

static void write_due_semicolon(struct shaper *s)
{
	s->has_semicolon = false;
	if (s->length) {
		write_byte(s, ';');
		s->before = BEFORE_OTHER;
		s->tokens++;
	}
}

static inline void begin_token(struct shaper *s, enum token_kind kind)
{
	if (s->has_semicolon)
		write_due_semicolon(s);
	if (wants_blank(s, kind))
		write_byte(s, ' ');
	if (++s->tokens > s->limits->tokens_max)
		s->is_over = true;
}

static inline void end_token(struct shaper *s, enum before before, enum word word)
{
	s->before = before;
	s->word = word;
	s->sign_at = 0;
}

/* A token that means nothing to the ones around it, as it stands. */
static void write_plain(struct shaper *s, const struct token *token)
{
	begin_token(s, token->kind);
	write_token(s, token);
	s->at_lead = false;
	end_token(s, BEFORE_OTHER, WORD_OTHER);
}

/* One of the shape's own in place of it. */
static void write_instead(struct shaper *s, enum token_kind kind, const char *text)
{
	begin_token(s, kind);
	while (*text)
		write_byte(s, *text++);
	s->at_lead = false;
	end_token(s, BEFORE_OTHER, WORD_OTHER);
}

/* Eight letters at once: adds 0x20 to each byte from 'A' to 'Z'. ASCII only: what else PostgreSQL
 * folds depends on the server's encoding. */
static inline void fold_eight(char *at)
{
	const uint64_t ones = UINT64_C(0x0101010101010101);
	const uint64_t high = ones * 0x80;
	uint64_t bytes, low, is_upper;

	memcpy(&bytes, at, 8);
	low = bytes & ~high;
	is_upper = (low + ones * (0x80 - 'A')) & ~(low + ones * (0x7f - 'Z')) & ~bytes & high;
	bytes += is_upper >> 2;
	memcpy(at, &bytes, 8);
}

static const char *write_folded(struct shaper *s, const struct token *token)
{
	char *word = write_token(s, token);
	size_t length = token->length;

	if (s->is_over && length > PEEK_BYTES)
		length = PEEK_BYTES;
	/* What is behind the word in the buffer may change: nothing is there yet. */
	for (size_t i = 0; i < length; i += 8)
		fold_eight(word + i);
	return word;
}

static void note_lead(struct shaper *s, const char *word, size_t length)
{
	unsigned lead = length > PEEK_BYTES ? 0 : lead_of(word, length);

	s->at_lead = false;
	s->strips = (lead & LEAD_STRIPS) != 0;
	s->has_odd_lead |= (lead & LEAD_STATELESS) == 0;
	s->has_pinning_lead |= (lead & LEAD_PINS) != 0;
}

/* VALUES: rows follow. In a list its elements are what repeats. */
static void begin_rows(struct shaper *s)
{
	if (top(s)->kind == LEVEL_LIST)
		return;
	top(s)->has_rows = true;
	top(s)->last_end = 0;
}

/* What the word does to the counts. */
static void weigh_word(struct shaper *s, enum word word)
{
	struct level *level = top(s);

	switch (word) {
	case WORD_AND:
		if (level->betweens)
			level->betweens--;
		else
			end_operands(s);
		break;
	case WORD_OR: end_operands(s); break;
	case WORD_BETWEEN:
		level->betweens++;
		add_load(s, &level->ops);
		break;
	case WORD_IN:
	case WORD_DEEPENS: add_load(s, &level->ops); break;
	case WORD_CHAINS: add_load(s, &level->chains); break;
	case WORD_CASE: push_level(s, LEVEL_CASE, s->length); break;
	case WORD_END:
		if (s->overflow == 0 && level->kind == LEVEL_CASE)
			pop_level(s);
		break;
	case WORD_VALUES: begin_rows(s); break;
	case WORD_TEMP: s->has_state_word |= s->word == WORD_BEFORE_TEMP; break;
	default: break;
	}
}

static void shape_word(struct shaper *s, const struct token *token)
{
	bool is_after_dot = s->before == BEFORE_DOT;
	enum word kind = WORD_OTHER;
	const char *word;

	begin_token(s, TOKEN_WORD);
	word = write_folded(s, token);
	if (s->at_lead)
		note_lead(s, word, token->length);
	if (token->length >= WORD_LENGTH_MIN && token->length <= WORD_LENGTH_MAX)
		kind = word_of(word, token->length);
	/* a.or, a.case: only a name. */
	if (is_after_dot && kind < WORD_CURRENT_SETTING)
		kind = WORD_OTHER;
	/* (x).setseed calls setseed(x). */
	s->has_state_word |= is_after_dot && kind == WORD_SESSION_FUNCTION;
	top(s)->has_rows = false;
	if (kind != WORD_OTHER)
		weigh_word(s, kind);
	end_token(s, BEFORE_NAME, kind);
}

static void shape_quoted(struct shaper *s, const struct token *token)
{
	enum word kind = WORD_OTHER;

	write_plain(s, token);
	top(s)->has_rows = false;
	/* "set_config"(...) calls the same function. */
	if (token->kind == TOKEN_QUOTED && token->length > 8 &&
	    token->length <= WORD_LENGTH_MAX + 2)
		kind = word_of(token->at + 1, token->length - 2);
	if (kind < WORD_CURRENT_SETTING)
		kind = WORD_OTHER;
	/* Escapes may spell any name: from here on no literal is thought to be harmless. */
	if (token->kind == TOKEN_UNICODE_QUOTED)
		s->keeps_rest = true;
	end_token(s, BEFORE_NAME, kind);
}

/* 'a' 'b' on two lines: a line each, and no comments between them. */
static void write_pieces(struct shaper *s, const struct token *token)
{
	const char *at = NULL;
	struct token piece;

	begin_token(s, token->kind);
	while (lexer_next_piece(token, &at, &piece)) {
		if (piece.at != token->at)
			write_byte(s, '\n');
		write_token(s, &piece);
	}
	s->at_lead = false;
	end_token(s, BEFORE_OTHER, WORD_OTHER);
}

static void shape_string(struct shaper *s, const struct token *token)
{
	bool is_kept = !is_stripping(s) || token->kind == TOKEN_UNICODE_STRING ||
		       s->word == WORD_UESCAPE;

	if (is_kept && token->is_continued)
		write_pieces(s, token);
	else if (is_kept)
		write_plain(s, token);
	else if (token->kind == TOKEN_BIT_STRING)
		write_instead(s, token->kind, "b''");
	else
		write_instead(s, token->kind, "''");
}

/* In a list -1 is as good a number as 1. */
static void take_back_sign(struct shaper *s)
{
	s->length = s->sign_at - 1;
	s->tokens--;
	s->before = s->buffer[s->length - 1] == ',' ? BEFORE_COMMA : BEFORE_OPEN;
}

static void shape_number(struct shaper *s, const struct token *token)
{
	if (!is_stripping(s)) {
		write_plain(s, token);
		return;
	}
	if (s->sign_at && !s->is_over)
		take_back_sign(s);
	/* Not 0: float(0) is a syntax error. */
	write_instead(s, TOKEN_NUMBER, "1");
}

static void shape_param(struct shaper *s, const struct token *token)
{
	if (is_stripping(s) && top(s)->kind == LEVEL_LIST)
		write_instead(s, TOKEN_PARAM, "$1");
	else
		write_plain(s, token);
}

static void shape_operator(struct shaper *s, const struct token *token)
{
	uint32_t sign_at = 0;

	if (top(s)->kind == LEVEL_LIST && token->length == 1 && *token->at == '-' &&
	    (s->before == BEFORE_COMMA || s->before == BEFORE_OPEN))
		sign_at = s->length + 1;
	write_plain(s, token);
	s->sign_at = sign_at;
	top(s)->has_rows = false;
	add_load(s, &top(s)->ops);
}

/* IN (...), ARRAY[...] and the brackets directly inside that. x[1] is none. */
static bool opens_list(struct shaper *s, bool is_bracket)
{
	if (!is_stripping(s))
		return false;
	if (!is_bracket)
		return s->word == WORD_IN;
	return s->word == WORD_ARRAY || (top(s)->kind == LEVEL_LIST &&
					 (s->before == BEFORE_OPEN || s->before == BEFORE_COMMA));
}

static void shape_open(struct shaper *s, const struct token *token)
{
	bool is_bracket = *token->at == '[';
	bool is_list = opens_list(s, is_bracket);
	enum word word = s->word;

	if (s->before != BEFORE_COMMA && word != WORD_VALUES)
		top(s)->has_rows = false;
	/* x[1][1] is a chain too. */
	if (is_bracket)
		add_load(s, &top(s)->ops);
	begin_token(s, TOKEN_OPEN);
	write_byte(s, *token->at);
	push_level(s, is_list ? LEVEL_LIST : LEVEL_PLAIN, s->length - 1);
	if ((word == WORD_CURRENT_SETTING || word == WORD_SET_CONFIG) && !s->keep_from)
		s->keep_from = s->depth;
	s->has_state_word |= word >= WORD_SET_CONFIG;
	end_token(s, BEFORE_OPEN, WORD_OTHER);
}

static void shape_close(struct shaper *s, const struct token *token)
{
	uint32_t opened_at;

	pop_cases(s);
	if (s->overflow == 0 && top(s)->kind == LEVEL_LIST)
		end_piece(s, top(s), top(s)->piece_start);
	begin_token(s, TOKEN_CLOSE);
	write_byte(s, *token->at);
	s->at_lead = false;
	end_token(s, BEFORE_CLOSE, WORD_OTHER);
	if (s->overflow) {
		s->overflow--;
		return;
	}
	if (s->depth == 0)
		return;
	opened_at = top(s)->opened_at;
	pop_level(s);
	if (top(s)->has_rows && is_stripping(s))
		end_piece(s, top(s), opened_at);
}

static void shape_comma(struct shaper *s)
{
	struct level *level = top(s);

	if (s->overflow == 0 && level->kind == LEVEL_LIST)
		end_piece(s, level, level->piece_start);
	/* Only a row directly behind the comma can repeat the one in front of it. */
	if (s->before != BEFORE_CLOSE)
		level->has_rows = false;
	begin_token(s, TOKEN_COMMA);
	write_byte(s, ',');
	level->piece_start = s->length;
	end_operands(s);
	s->at_lead = false;
	end_token(s, BEFORE_COMMA, WORD_OTHER);
}

static void shape_semicolon(struct shaper *s)
{
	pop_cases(s);
	if (s->depth) {
		write_instead(s, TOKEN_SEMICOLON, ";");
		return;
	}
	*top(s) = (struct level){ 0 };
	s->load = 0;
	s->strips = false;
	s->at_lead = true;
	s->has_semicolon = true;
	end_token(s, s->before, WORD_OTHER);
}

static void shape_dot(struct shaper *s)
{
	bool is_glued = s->before == BEFORE_NAME || s->before == BEFORE_CLOSE;

	write_instead(s, TOKEN_DOT, ".");
	if (is_glued)
		s->before = BEFORE_DOT;
}

static void shape_token(struct shaper *s, const struct token *token)
{
	switch (token->kind) {
	case TOKEN_WORD: shape_word(s, token); break;
	case TOKEN_QUOTED:
	case TOKEN_UNICODE_QUOTED: shape_quoted(s, token); break;
	case TOKEN_STRING:
	case TOKEN_UNICODE_STRING:
	case TOKEN_DOLLAR_STRING:
	case TOKEN_BIT_STRING: shape_string(s, token); break;
	case TOKEN_NUMBER: shape_number(s, token); break;
	case TOKEN_PARAM: shape_param(s, token); break;
	case TOKEN_OPERATOR: shape_operator(s, token); break;
	case TOKEN_OPEN: shape_open(s, token); break;
	case TOKEN_CLOSE: shape_close(s, token); break;
	case TOKEN_COMMA: shape_comma(s); break;
	case TOKEN_SEMICOLON: shape_semicolon(s); break;
	case TOKEN_DOT: shape_dot(s); break;
	case TOKEN_COLON: add_load(s, &top(s)->ops); /* fall through */
	case TOKEN_BAD:
	case TOKEN_END:
		/* What is no SQL is written as it stands, and so stays none. */
		write_plain(s, token);
		break;
	}
}

void shape_make(const struct shape_limits *limits, const char *text, size_t length, char *buffer,
		lexer_comment_fn *on_comment, void *context, struct shape *out)
{
	struct shaper s;
	struct token token;
	size_t raw_tokens = 0;
	size_t raw_tokens_max = limits->tokens_max * RAW_TOKENS_FACTOR;
	bool is_unread = false;
	XXH128_hash_t hash;

	/* Not the whole of it: the levels are cleared as they are opened. */
	memset(&s, 0, offsetof(struct shaper, levels));
	s.levels[0] = (struct level){ 0 };
	s.limits = limits;
	s.buffer = buffer;
	s.at_lead = true;
	lexer_init(&s.lexer, text, length, on_comment, context);
	for (lexer_next(&s.lexer, &token); token.kind != TOKEN_END;
	     lexer_next(&s.lexer, &token)) {
		if (++raw_tokens > raw_tokens_max) {
			is_unread = true;
			break;
		}
		shape_token(&s, &token);
	}
	buffer[s.length] = '\0';
	hash = XXH3_128bits(buffer, s.length);
	out->text = buffer;
	out->length = s.length;
	out->hash[0] = hash.high64;
	out->hash[1] = hash.low64;
	out->is_too_large = s.is_over || is_unread;
	out->has_state_if_unread = is_unread || s.has_odd_lead || s.has_state_word;
	out->has_state_if_refused = s.has_pinning_lead || s.has_state_word;
}
