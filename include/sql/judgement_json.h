#ifndef POINTSMAN_SQL_JUDGEMENT_JSON_H
#define POINTSMAN_SQL_JUDGEMENT_JSON_H

#include <stdbool.h>

#include "base/bytes.h"
#include "sql/judge.h"

/*
 * Appends the members of a JSON object that describe a judgement, without the braces around them:
 *
 *   "verdict":"session","reason":"session","culprit":"timezone","statements":1,
 *   "effects":[{"effect":"set","name":"timezone","value":"set timezone to 'UTC'"}],
 *   "hints":{"read_hint":"primary","deadline":"250ms"}
 *
 * culprit is null where there is none; an effect has "name", "value", "pin" and "flags" only
 * where they apply; "bad_hints" and "bad_hint" follow when hints were malformed. Bytes that are
 * not UTF-8 become U+FFFD. false when memory ran out (out->failed).
 */
bool judgement_to_json(const struct judgement *judgement, struct bytes *out);

/* "begin", "set", "pin", ...: the word of an effect. */
const char *effect_kind_name(enum effect_kind kind);

#endif
