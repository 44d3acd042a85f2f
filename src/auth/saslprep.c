/*
 * SASLprep of passwords: the same password typed on two systems must give the same SCRAM keys.
 * The tables of RFC 3454 and the normalisation come from libidn; the order of the steps is
 * PostgreSQL's, which looks for prohibited characters before it normalises and not after, so
 * that libidn's own stringprep_profile() would answer differently for some passwords.
 * Pure; any thread.
 */

#include "auth/saslprep.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <stringprep.h>

static bool is_in_table(uint32_t code, const Stringprep_table_element *table)
{
	for (; table->start != 0 || table->end != 0; table++) {
		uint32_t last = table->end != 0 ? table->end : table->start;

		if (code >= table->start && code <= last)
			return true;
	}
	return false;
}

static bool is_ascii(const char *text)
{
	for (; *text != '\0'; text++) {
		if ((unsigned char)*text >= 0x80)
			return false;
	}
	return true;
}

/* RFC 4013, 2.1: other spaces become a space, some characters vanish. Returns the new length. */
static size_t map_characters(uint32_t *codes, size_t length)
{
	size_t kept = 0;

	for (size_t i = 0; i < length; i++) {
		if (is_in_table(codes[i], stringprep_rfc3454_C_1_2))
			codes[kept++] = ' ';
		else if (!is_in_table(codes[i], stringprep_rfc3454_B_1))
			codes[kept++] = codes[i];
	}
	return kept;
}

/* RFC 4013, 2.3 and 2.5. */
static bool is_prohibited(uint32_t code)
{
	static const Stringprep_table_element *const tables[] = {
		stringprep_rfc3454_C_1_2, stringprep_rfc3454_C_2_1, stringprep_rfc3454_C_2_2,
		stringprep_rfc3454_C_3,   stringprep_rfc3454_C_4,   stringprep_rfc3454_C_5,
		stringprep_rfc3454_C_6,   stringprep_rfc3454_C_7,   stringprep_rfc3454_C_8,
		stringprep_rfc3454_C_9,   stringprep_rfc3454_A_1,
	};

	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		if (is_in_table(code, tables[i]))
			return true;
	}
	return false;
}

/* RFC 3454, 6: text with right-to-left characters begins and ends with one and has no others. */
static bool is_bidi_broken(const uint32_t *codes, size_t length)
{
	bool has_right_to_left = false;
	bool has_left_to_right = false;

	for (size_t i = 0; i < length; i++) {
		if (is_in_table(codes[i], stringprep_rfc3454_D_1))
			has_right_to_left = true;
		else if (is_in_table(codes[i], stringprep_rfc3454_D_2))
			has_left_to_right = true;
	}
	if (!has_right_to_left)
		return false;
	return has_left_to_right || !is_in_table(codes[0], stringprep_rfc3454_D_1) ||
	       !is_in_table(codes[length - 1], stringprep_rfc3454_D_1);
}

static bool is_allowed(const uint32_t *codes, size_t length)
{
	if (length == 0)
		return false;
	for (size_t i = 0; i < length; i++) {
		if (is_prohibited(codes[i]))
			return false;
	}
	return !is_bidi_broken(codes, length);
}

/*
 * libidn normalises as Unicode 3.2 did; PostgreSQL by a current Unicode, which differs for five
 * of the characters assigned then (Unicode's Corrigendum 4).
 */
static void apply_corrigendum(uint32_t *codes, size_t length)
{
	static const uint32_t corrected[][2] = {
		{ 0x2f868, 0x36fc }, { 0x2f874, 0x5f53 }, { 0x2f91f, 0x243ab },
		{ 0x2f95f, 0x7aee }, { 0x2f9bf, 0x45d7 },
	};

	for (size_t i = 0; i < length; i++) {
		for (size_t k = 0; k < sizeof(corrected) / sizeof(corrected[0]); k++) {
			if (codes[i] == corrected[k][0])
				codes[i] = corrected[k][1];
		}
	}
}

static void free_codes(uint32_t *codes, size_t length)
{
	if (codes != NULL)
		OPENSSL_cleanse(codes, length * sizeof(*codes));
	free(codes);
}

/* The prepared text, or NULL when the text is not one that SASLprep accepts. */
static char *prepare(const char *password)
{
	uint32_t *codes;
	uint32_t *normal = NULL;
	size_t allocated = 0;
	size_t length;
	char *prepared = NULL;

	codes = stringprep_utf8_to_ucs4(password, -1, &allocated);
	if (codes == NULL)
		return NULL;
	length = map_characters(codes, allocated);
	if (!is_allowed(codes, length))
		goto out;
	apply_corrigendum(codes, length);
	normal = stringprep_ucs4_nfkc_normalize(codes, (ssize_t)length);
	if (normal == NULL)
		goto out;
	prepared = stringprep_ucs4_to_utf8(normal, -1, NULL, NULL);
out:
	if (normal != NULL) {
		size_t n = 0;

		while (normal[n] != 0)
			n++;
		free_codes(normal, n);
	}
	free_codes(codes, allocated);
	return prepared;
}

char *saslprep_password(const char *password)
{
	char *prepared = NULL;

	if (!is_ascii(password))
		prepared = prepare(password);
	return prepared != NULL ? prepared : strdup(password);
}
